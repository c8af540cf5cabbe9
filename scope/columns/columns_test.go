package columns_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/columns"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// source is a scope's source over a table, event by event.
type source struct {
	table *table.Table
	dir   string
	size  int64
}

func (s *source) Checkpoint(context.Context) (string, []byte, uint64, error) {
	return "org/events", []byte("note"), uint64(s.size), nil
}

func (s *source) Gaps(context.Context, string, time.Time, time.Time) ([]tally.Gap, error) {
	return nil, nil
}

func (s *source) Scan(_ context.Context, _ scope.Query, size uint64, fn func(*tally.Event) error) (int64, error) {
	v := s.table.View()
	defer v.Release()
	types := map[string][]string{}
	return 0, v.Each(func(r *table.Row) error {
		if r.Seq > int64(size) {
			return nil
		}
		e, err := accesslog.TallyOf(r, types)
		if err != nil {
			return err
		}
		return fn(&e)
	})
}

// byColumns is the same source, counted over the columns of its files.
type byColumns struct{ *source }

func (s byColumns) Count(_ context.Context, q, wide tally.Query, size uint64, pairs int) (_ *ask.Answer, _ int64, err error) {
	v := s.table.View()
	defer v.Release()
	files, _, err := v.Paths(table.Selection{From: q.From.UnixMicro(), To: q.To.UnixMicro(), UpTo: int64(size)})
	if err != nil {
		return nil, 0, err
	}
	loose, _, remove, err := v.Loose(func(*table.Row) bool { return true })
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if loose != "" {
		files = append(files, loose)
	}
	a, err := columns.Count(&ask.Question{Files: files, Query: q, Wide: wide, UpTo: int64(size), Pairs: pairs}, columns.Options{Dir: s.dir, Spill: s.dir, Memory: 16 << 20, Threads: 2})
	return a, 0, err
}

func pick(t *rapid.T, what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }

func token(n int) (c [table.TokenLen]byte) {
	binary.LittleEndian.PutUint32(c[6:], uint32(n))
	return c
}

func drawRow(t *rapid.T, seq int64) table.Row {
	r := table.Row{
		Seq: seq, ID: fmt.Sprint("ev-", seq), Kind: pick(t, "kind", "pii_access", "pii_access", "auth"), Credential: pick(t, "credential", "", "tok_1", "tok_2", "it's"),
		Actor: pick(t, "actor", "", "ann", "bob"), Merchant: pick(t, "merchant", "", "m_1", "m_2", "m_3"), Store: pick(t, "store", "", "s_1", "s_2"),
		Endpoint: pick(t, "endpoint", "", "GET /orders", "GET /x"), Action: pick(t, "action", "read", "list"), Agent: pick(t, "agent", "", "curl", "Mozilla/5.0 'x'; --"),
		IP:      pick(t, "ip", "", "192.0.2.1", "192.0.2.200", "2001:db8::7", "203.0.113.9"),
		Outcome: pick(t, "outcome", "", "ok", "denied", "error"), DataTypes: pick(t, "types", `[]`, `["customer.email"]`, `["a,\"x","customer.email","order.address"]`, `["order.address"]`),
		Records: rapid.SampledFrom([]int64{0, 1, 2, 3, tally.MaxCount - 1}).Draw(t, "records"), Supplied: pick(t, "supplied", "", "", "sha256:aa", "sha256:bb"),
	}
	r.SetTime(noon.Add(time.Duration(rapid.Int64Range(-int64(50*time.Hour), int64(50*time.Hour)).Draw(t, "at"))))
	for range rapid.IntRange(0, 3).Draw(t, "customers") {
		r.Customers = append(r.Customers, token(rapid.IntRange(0, 6).Draw(t, "customer")))
	}
	switch len(r.Customers) {
	case 0:
	case 2:
		r.Regions = pick(t, "regions", "", "DE", "US-CA,DE", ",DE", "US-NY,")
	default:
		r.Regions = pick(t, "regions", "", "DE", "US-CA")
	}
	return r
}

func drawClauses(t *rapid.T, what string) []tally.Clause {
	var out []tally.Clause
	for range rapid.IntRange(0, 2).Draw(t, what) {
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
func TestColumnsCountWhatCountingEventByEventGivesWhateverHappenedToTheTable(t *testing.T) {
	dir := t.TempDir()
	n, counted, erased := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > tables {
			return
		}
		s := &source{dir: filepath.Join(dir, fmt.Sprint(n))}
		var err error
		if s.table, err = table.Open(table.Options{Dir: s.dir, Origin: "org/events", FlushAge: time.Hour}); err != nil {
			rt.Fatal(err)
		}
		defer s.table.Close()
		must := func(err error) {
			rt.Helper()
			if err != nil {
				rt.Fatal(err)
			}
		}
		var tombs []table.Tombstone
		for range rapid.IntRange(1, 4).Draw(rt, "steps") {
			var rows []table.Row
			for range rapid.IntRange(1, 40).Draw(rt, "rows") {
				rows = append(rows, drawRow(rt, s.size+int64(len(rows))+1))
			}
			must(s.table.Append(rt.Context(), s.size, rows, s.size+int64(len(rows))))
			s.size += int64(len(rows))
			must(s.table.Append(rt.Context(), s.size-int64(len(rows)), rows, s.size)) // a second time
			if rapid.Bool().Draw(rt, "flush") {
				must(s.table.Flush())
			}
			switch pick(rt, "then", "nothing", "merge", "erase", "drop") {
			case "merge":
				must(s.table.Merge(rt.Context()))
			case "erase":
				gone := table.Tombstone{ID: fmt.Sprint("t", len(tombs)), Merchant: pick(rt, "gone", "m_1", "m_2"), UpTo: rapid.Int64Range(0, s.size).Draw(rt, "up to")}
				for range rapid.IntRange(0, 3).Draw(rt, "customers gone") {
					gone.Customers = append(gone.Customers, token(rapid.IntRange(0, 6).Draw(rt, "customer gone")))
				}
				tombs = append(tombs, gone)
				s.table.Erase(tombs)
				must(s.table.Merge(rt.Context()))
				erased++
			case "drop":
				first := rapid.Int64Range(1, s.size).Draw(rt, "first")
				must(s.table.Drop(rt.Context(), []table.Positions{{First: first, Last: min(first+10, s.size)}}))
			}
		}
		for range 3 {
			q := scope.Query{From: noon.Add(-time.Duration(rapid.IntRange(1, 60).Draw(rt, "from")) * time.Hour), To: noon.Add(time.Duration(rapid.IntRange(1, 60).Draw(rt, "to"))*time.Hour + 7)}
			q.Any, q.Not = drawClauses(rt, "any"), drawClauses(rt, "not")
			o := scope.Options{Size: uint64(rapid.Int64Range(0, s.size).Draw(rt, "size")), MaxPairs: rapid.IntRange(1, 10).Draw(rt, "pairs")}
			want, err := scope.Compute(rt.Context(), s, q, o)
			must(err)
			got, err := scope.Compute(rt.Context(), byColumns{s}, q, o)
			must(err)
			if want.Events > 0 {
				counted++
			}
			if a, b := text(rt, got), text(rt, want); a != b {
				rt.Fatalf("by columns it is\n%s\nand event by event\n%s", a, b)
			}
		}
	})
	if counted == 0 || erased == 0 {
		t.Errorf("%d questions found something and %d erasures were made", counted, erased)
	}
}

func text(t *rapid.T, r scope.Result) string {
	r.RowsRead = 0
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

// written is the files of a table of so many rows, whose values all differ.
func written(t *testing.T, rows int) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	tab, err := table.Open(table.Options{Dir: dir, Origin: "org/events", FlushAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	var list []table.Row
	for i := range rows {
		r := table.Row{Seq: int64(i + 1), ID: fmt.Sprint(i), Kind: tally.DefaultKind, Merchant: "m_1", DataTypes: "[]", IP: fmt.Sprintf("2001:db8::%x:%x", i>>16, i&0xffff), Agent: strings.Repeat("x", 100) + fmt.Sprint(i), Records: 40}
		for k := range 40 {
			r.Customers = append(r.Customers, token(i*40+k))
		}
		r.SetTime(noon)
		list = append(list, r)
	}
	if err := errors.Join(tab.Append(t.Context(), 0, list, int64(rows)), tab.Flush()); err != nil {
		t.Fatal(err)
	}
	v := tab.View()
	defer v.Release()
	if files, _, err = v.Paths(table.Selection{To: 1 << 62, UpTo: 1 << 62}); err != nil {
		t.Fatal(err)
	}
	return dir, files
}

func everything(files []string) *ask.Question {
	q := tally.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour), Kind: tally.DefaultKind}
	return &ask.Question{Files: files, Query: q, Wide: q, UpTo: 1 << 40, Pairs: 10}
}

func TestColumnsAreReadBelowTheFolderOnlyAndDamageIsAnError(t *testing.T) {
	dir, files := written(t, 10)
	elsewhere := t.TempDir()
	link := filepath.Join(elsewhere, "link.parquet")
	if err := os.Symlink(files[0], link); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{files[0], link, "/etc/passwd"} {
		if _, err := columns.Count(everything([]string{file}), columns.Options{Dir: elsewhere, Spill: elsewhere, Memory: 32 << 20}); err == nil {
			t.Errorf("%s was read from outside of %s", file, elsewhere)
		}
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 4, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(files[0], whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := columns.Count(everything(files), columns.Options{Dir: dir, Spill: dir, Memory: 32 << 20}); err == nil {
			t.Errorf("a file of %d bytes of %d was counted", n, len(whole))
		}
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := columns.Count(everything(files), columns.Options{Dir: dir, Spill: dir, Memory: 32 << 20}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
