//go:build cgo

package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

const childEnv = "TOCSIN_QUERY_CHILD"

// The test's own binary is the child, so that the engine is asked as it is in production.
func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
	case "greedy": // a question that takes more memory than there is
		confine(config{memory: 64})
		_, _ = os.Stdin.Read(make([]byte, 1))
		var held [][]byte
		for {
			held = append(held, make([]byte, 64<<20))
		}
	default:
		main()
		return
	}
	os.Exit(m.Run())
}

func engine(t testing.TB, dir string, o ask.Options) *ask.Engine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if o.Program, o.Dir = self, dir; len(o.Env) == 0 {
		o.Env = []string{childEnv + "=1"}
	}
	e := ask.New(o)
	t.Cleanup(func() { e.Close() })
	return e
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// source is a scope's source over rows, with or without the engine.
type source struct {
	rows   []table.Row
	table  *table.Table
	engine *ask.Engine
}

func (s *source) Checkpoint(context.Context) (string, []byte, uint64, error) {
	return "org/events", []byte("note"), uint64(len(s.rows)), nil
}

func (s *source) Gaps(context.Context, string, time.Time, time.Time) ([]tally.Gap, error) {
	return nil, nil
}

func (s *source) Scan(_ context.Context, _ scope.Query, size uint64, fn func(*tally.Event) error) (int64, error) {
	for i := range s.rows[:size] {
		r := &s.rows[i]
		e := tally.Event{
			Time: r.At(), Kind: r.Kind, Credential: r.Credential, Actor: r.Actor, IP: r.IP, Agent: r.Agent, Endpoint: r.Endpoint, Action: r.Action,
			Outcome: r.Outcome, Merchant: r.Merchant, Store: r.Store, Records: r.Records, Supplied: r.Supplied,
		}
		if err := json.Unmarshal([]byte(r.DataTypes), &e.DataTypes); err != nil {
			return 0, err
		}
		for _, c := range r.Customers {
			e.Customers = append(e.Customers, string(c[:]))
		}
		if r.Regions != "" {
			e.Regions = strings.Split(r.Regions, ",")
			for len(e.Regions) < len(e.Customers) {
				e.Regions = append(e.Regions, r.Regions)
			}
		}
		if err := fn(&e); err != nil {
			return 0, err
		}
	}
	return int64(size), nil
}

// counted is a source with the engine: one position is one leaf.
type counted struct {
	*source
	general *sql.Conn // the general engine in this process; nil: whatever the child takes
}

func (s counted) Count(ctx context.Context, q, wide tally.Query, size uint64, pairs int) (*ask.Answer, int64, error) {
	v := s.table.View()
	defer v.Release()
	paths, n, err := v.Paths(table.Selection{From: q.From.UnixMicro(), To: q.To.UnixMicro(), UpTo: int64(size)})
	if err != nil {
		return nil, 0, err
	}
	loose, k, remove, err := v.Loose(func(*table.Row) bool { return true })
	if err != nil {
		return nil, 0, err
	}
	defer remove()
	if loose != "" {
		paths = append(paths, loose)
	}
	question := ask.Question{Files: paths, Query: q, Wide: wide, UpTo: int64(size), Pairs: pairs}
	if s.general != nil {
		a, err := count(ctx, s.general, &question, func(ask.Progress) {})
		return a, n + k, err
	}
	a, err := s.engine.Ask(ctx, question)
	return a, n + k, err
}

func pick(t *rapid.T, what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }

func drawRow(t *rapid.T, seq int64) table.Row {
	r := table.Row{
		Seq: seq, ID: fmt.Sprint("ev-", seq), Kind: pick(t, "kind", "pii_access", "pii_access", "auth"), Credential: pick(t, "credential", "", "tok_1", "tok_2", "it's"),
		Actor: pick(t, "actor", "", "ann", "bob"), Merchant: pick(t, "merchant", "", "m_1", "m_2", "m_3"), Store: pick(t, "store", "", "s_1", "s_2"),
		Endpoint: pick(t, "endpoint", "", "GET /orders", "GET /x"), Action: pick(t, "action", "read", "list"), Agent: pick(t, "agent", "", "curl", "Mozilla/5.0 'x'; --"),
		IP:      pick(t, "ip", "", "192.0.2.1", "192.0.2.200", "2001:db8::7", "203.0.113.9"),
		Outcome: pick(t, "outcome", "", "ok", "denied", "error"), DataTypes: pick(t, "types", `[]`, `["customer.email"]`, `["a,\"x","customer.email","order.address"]`, `["order.address"]`),
		Records: rapid.SampledFrom([]int64{0, 1, 2, 3, tally.MaxCount - 1}).Draw(t, "records"),
	}
	r.SetTime(noon.Add(time.Duration(rapid.Int64Range(-int64(50*time.Hour), int64(50*time.Hour)).Draw(t, "at"))))
	for range rapid.IntRange(0, 3).Draw(t, "customers") {
		var c [table.TokenLen]byte
		binary.LittleEndian.PutUint32(c[6:], uint32(rapid.IntRange(0, 6).Draw(t, "customer")))
		r.Customers = append(r.Customers, c)
	}
	switch len(r.Customers) {
	case 0:
	case 2:
		r.Regions = pick(t, "regions", "", "DE", "US-CA,DE", ",DE", "US-NY,")
	default:
		r.Regions = pick(t, "regions", "", "DE", "US-CA")
	}
	r.Supplied = pick(t, "supplied", "", "", "sha256:aa", "sha256:bb")
	return r
}

func drawClauses(t *rapid.T, what string, most int) []tally.Clause {
	var out []tally.Clause
	for range rapid.IntRange(0, most).Draw(t, what) {
		var c tally.Clause
		for _, f := range rapid.SliceOfNDistinct(rapid.IntRange(0, 7), 1, 3, rapid.ID[int]).Draw(t, "fields") {
			some := func(of ...string) []string {
				return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, 2, rapid.ID[string]).Draw(t, "values")
			}
			switch f {
			case 0:
				c.Credential = some("tok_1", "tok_2", "it's", "none")
			case 1:
				c.Actor = some("ann", "bob")
			case 2:
				c.IP = some("192.0.2.1", "192.0.2.0/25", "192.0.2.0/24", "2001:db8::/32", "::ffff:203.0.113.9")
			case 3:
				c.Agent = some("curl", "Mozilla/5.0 'x'; --")
			case 4:
				c.Endpoint = some("GET /orders", "GET /x")
			case 5:
				c.Merchant = some("m_1", "m_2")
			case 6:
				c.Action = some("read", "list")
			case 7:
				c.DataType = some("customer.email", "order.address", "x", "order.addres")
			}
		}
		out = append(out, c)
	}
	return out
}

// promise: INV-1
// promise: INV-2
func TestTheEngineCountsWhatCountingEventByEventGives(t *testing.T) {
	dir := t.TempDir()
	e := engine(t, dir, ask.Options{Threads: 2})
	db, err := open(config{dir: dir, spill: filepath.Join(dir, "spilt"), memory: 512, threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	general, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer general.Close()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		tab, err := table.Open(table.Options{Dir: filepath.Join(dir, fmt.Sprint(n)), Origin: "org/events", FlushAge: time.Hour})
		if err != nil {
			rt.Fatal(err)
		}
		defer tab.Close()
		s := &source{table: tab, engine: e}
		for range rapid.IntRange(0, 3).Draw(rt, "batches") {
			from := int64(len(s.rows))
			for range rapid.IntRange(1, 40).Draw(rt, "rows") {
				s.rows = append(s.rows, drawRow(rt, int64(len(s.rows)+1)))
			}
			if err := tab.Append(t.Context(), from, s.rows[from:], int64(len(s.rows))); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "flush") {
				if err := tab.Flush(); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for range 3 {
			q := scope.Query{From: noon.Add(-time.Duration(rapid.IntRange(1, 60).Draw(rt, "from")) * time.Hour), To: noon.Add(time.Duration(rapid.IntRange(1, 60).Draw(rt, "to"))*time.Hour + 7)}
			q.Any, q.Not = drawClauses(rt, "any", 2), drawClauses(rt, "not", 2)
			o := scope.Options{Size: uint64(rapid.IntRange(0, len(s.rows)).Draw(rt, "size")), MaxPairs: rapid.IntRange(1, 10).Draw(rt, "pairs")}
			want, err := scope.Compute(t.Context(), s, q, o)
			if err != nil {
				rt.Fatal(err)
			}
			// What does not fit the memory over dictionaries falls to the general engine, whatever is asked.
			for _, c := range []counted{{source: s}, {source: s, general: general}} {
				if _, _, err := c.Count(t.Context(), q, q, o.Size, 1); err != nil {
					rt.Fatal(err)
				}
				got, err := scope.Compute(t.Context(), c, q, o)
				if err != nil {
					rt.Fatal(err)
				}
				got.RowsRead, want.RowsRead = 0, 0
				if a, b := text(rt, got), text(rt, want); a != b {
					rt.Fatalf("the engine says\n%s\nand event by event it is\n%s", a, b)
				}
			}
		}
	})
}

func text(t *rapid.T, r scope.Result) string {
	if len(r.Included) == 0 {
		r.Included = nil
	}
	if len(r.Excluded) == 0 {
		r.Excluded = nil
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func question(files ...string) ask.Question {
	q := tally.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour), Kind: tally.DefaultKind}
	return ask.Question{Files: files, Query: q, Wide: q, UpTo: 1 << 40, Pairs: 10}
}

func TestTheChildReadsNothingOutsideItsFolder(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	tab, err := table.Open(table.Options{Dir: outside, Origin: "x", FlushAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	r := table.Row{Seq: 1, Kind: tally.DefaultKind, DataTypes: "[]", Merchant: "m_1"}
	r.SetTime(noon)
	if err := errors.Join(tab.Append(t.Context(), 0, []table.Row{r}, 1), tab.Flush()); err != nil {
		t.Fatal(err)
	}
	v := tab.View()
	defer v.Release()
	path, _, err := v.Paths(table.Selection{To: 1 << 60, UpTo: 9})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := engine(t, outside, ask.Options{}).Ask(t.Context(), question(path...)); err != nil || len(a.Parts) != 1 {
		t.Fatalf("inside of its folder: %+v, %v", a, err)
	}
	for _, file := range append(path, "/etc/passwd", "http://127.0.0.1:1/x.parquet") {
		if _, err := engine(t, dir, ask.Options{}).Ask(t.Context(), question(file)); !errors.Is(err, ask.ErrUnavailable) || !strings.Contains(err.Error(), "ermission") && !strings.Contains(err.Error(), "requires the extension") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestAChildThatIsNotWaitedForIsKilledAndTheNextAnswers(t *testing.T) {
	dir := t.TempDir()
	e := engine(t, dir, ask.Options{})
	if _, err := e.Ask(t.Context(), question()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Ask(ctx, question()); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	slow := engine(t, dir, ask.Options{Patience: time.Nanosecond})
	if _, err := slow.Ask(t.Context(), question()); !errors.Is(err, ask.ErrUnavailable) {
		t.Fatalf("too slow: %v", err)
	}
	if _, err := e.Ask(t.Context(), question()); err != nil {
		t.Fatalf("after it: %v", err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Ask(t.Context(), question()); !errors.Is(err, ask.ErrUnavailable) {
		t.Fatalf("closed: %v", err)
	}
}

func TestAMissingFileIsUnavailableAndNotAnAnswer(t *testing.T) {
	dir := t.TempDir()
	if _, err := engine(t, dir, ask.Options{}).Ask(t.Context(), question(filepath.Join(dir, "gone.parquet"))); !errors.Is(err, ask.ErrUnavailable) {
		t.Fatal(err)
	}
	var none *ask.Engine
	if _, err := none.Ask(t.Context(), question()); !errors.Is(err, ask.ErrUnavailable) {
		t.Fatal(err)
	}
}

func TestACancelledQuestionLeavesNoChildAndNoFile(t *testing.T) {
	dir := t.TempDir()
	tab, err := table.Open(table.Options{Dir: filepath.Join(dir, "table"), Origin: "x", FlushAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	r := table.Row{Seq: 1, Kind: tally.DefaultKind, DataTypes: "[]", Merchant: "m_1"}
	r.SetTime(noon)
	if err := errors.Join(tab.Append(t.Context(), 0, []table.Row{r}, 1), tab.Flush()); err != nil {
		t.Fatal(err)
	}
	v := tab.View()
	defer v.Release()
	files, _, _ := v.Paths(table.Selection{To: 1 << 60, UpTo: 9})
	e := engine(t, dir, ask.Options{})
	all, one := question(files...), question(files...)
	one.Query.Any = []tally.Clause{{Credential: []string{"tok_1"}}}
	one.Wide.Any = one.Query.Any
	for _, x := range []struct {
		asked ask.Question
		of    int
	}{{all, 2}, {one, 6}} { // over dictionaries, and by the general engine
		told, steps := []ask.Progress{}, 0
		if _, err := e.Ask(ask.Report(t.Context(), func(p ask.Progress) { told = append(told, p) }), x.asked); err != nil {
			t.Fatal(err)
		}
		for _, p := range told {
			if p.Unit == "steps" {
				if p.Done != int64(steps) || p.Of != int64(x.of) {
					t.Errorf("step %d is told as %+v", steps, p)
				}
				steps++
			}
		}
		if steps != x.of {
			t.Errorf("%d steps of %d were told: %+v", steps, x.of, told)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ctx = ask.Report(ctx, func(p ask.Progress) {
		if p.Unit == "steps" {
			if children(t) != 1 {
				t.Errorf("%d children count", children(t))
			}
			if err := os.WriteFile(filepath.Join(dir, "spill", "half"), []byte("x"), 0o600); err != nil {
				t.Error(err)
			}
			cancel()
		}
	})
	if _, err := e.Ask(ctx, question(files...)); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "spill")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what it had spilled is still there: %v", err)
	}
	if n := children(t); n != 0 {
		t.Errorf("%d children live", n)
	}
	if a, err := e.Ask(t.Context(), question(files...)); err != nil || len(a.Parts) != 1 {
		t.Errorf("the next question: %+v, %v", a, err)
	}
}

// children is how many child processes this one has.
func children(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(files) == 0 {
		t.Fatalf("the system does not say which children there are: %v", err)
	}
	n := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a thread that ended
			t.Fatal(err)
		}
		n += len(strings.Fields(string(text)))
	}
	return n
}

// The general engine gives nothing back of what a large question took. What counts over dictionaries then
// has a child of its own: beside what was left, a hundred million events ended it.
func TestAChildThatIsFullOfAnEarlierQuestionIsFollowedByAnother(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	e := engine(t, dir, ask.Options{Memory: 64, Logger: slog.New(slog.NewTextHandler(&log, nil))}) // the engine alone takes half of it
	for i := range 3 {
		if a, err := e.Ask(t.Context(), question()); err != nil || a.Error != "" {
			t.Fatalf("question %d: %+v, %v", i, a, err)
		}
	}
	if n := strings.Count(log.String(), "the child that counts is started anew"); n != 2 || children(t) != 1 {
		t.Errorf("started anew %d times, %d children:\n%s", n, children(t), &log)
	}
}

// A question that takes more memory than there is ends its child. The server counts another way.
func TestAQuestionThatExhaustsMemoryTakesOnlyItsChild(t *testing.T) {
	dir := t.TempDir()
	tab, err := table.Open(table.Options{Dir: filepath.Join(dir, "table"), Origin: "org/events", FlushAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	r := table.Row{Seq: 1, Kind: tally.DefaultKind, DataTypes: "[]", Merchant: "m_1", Customers: make([][table.TokenLen]byte, 1), Records: 1}
	r.SetTime(noon)
	if err := tab.Append(t.Context(), 0, []table.Row{r}, 1); err != nil {
		t.Fatal(err)
	}
	e := engine(t, dir, ask.Options{Env: []string{childEnv + "=greedy", "GOTRACEBACK=none"}})
	if _, err := e.Ask(t.Context(), question()); !errors.Is(err, ask.ErrUnavailable) {
		t.Fatalf("a child without memory: %v", err)
	}
	s := &source{rows: []table.Row{r}, table: tab, engine: e}
	res, err := scope.Compute(t.Context(), counted{source: s}, scope.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}, scope.Options{})
	if err != nil || res.Customers != 1 {
		t.Fatalf("the scope: %+v, %v", res, err)
	}
}
