package accesslog_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// everything is a store that answers a scan with all events of the log: the database decides
// nothing.
type everything struct {
	*site
	t testing.TB
}

func (e everything) Scan(ctx context.Context, _ tally.Query, size uint64, fn func(*tally.Event) error) (int64, error) {
	last, err := e.LastSeq(ctx, size)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, x := range e.all(e.t) {
		if x.Seq <= last {
			n++
			x := x.Tally()
			if err := fn(&x); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// promise: INV-1
func TestWhatTheDatabaseDecidesChangesNoAnswer(t *testing.T) {
	s := newSite(t)
	var b strings.Builder
	for i := range 600 {
		fmt.Fprintf(&b, `{"id":"q%d","time":%q,"kind":%q,"actor":{"type":"staff","id":"w%d"},"action":%q,"endpoint":"GET /%d","credential":"tok_%d","merchant":"m_%d","subjects":[{"kind":"account","id":"%d"}],"data_types":["customer.email","order.f%d"],"outcome":%q,"source":{"ip":%q,"user_agent":"a%d"}}`+"\n",
			i, noon.Add(-time.Duration(i*97%600)*time.Minute).Format(time.RFC3339), []string{"pii_access", "pii_access", "auth"}[i%3], i%4, []string{"read", "list"}[i%2], i%5, i%3, i%11, i%23, i%2,
			[]string{"ok", "denied", "error"}[i%7%3], []string{"203.0.113.9", "198.51.100.7", "2001:db8::7"}[i%3], i%4)
	}
	s.take(t, b.String())
	day := scope.Query{From: noon.Add(-10 * time.Hour), To: noon.Add(-time.Hour)}
	for i, c := range [][2][]scope.Clause{
		{},
		{{{Credential: []string{"tok_1", "nobody"}}}, {{Agent: []string{"a1"}}}},
		{{{IP: []string{"198.51.100.0/24", "2001:db8::7"}}, {Actor: []string{"w1"}, Action: []string{"list"}}}},
		{{{IP: []string{"203.0.113.9"}}, {Merchant: []string{"m_3"}, Endpoint: []string{"GET /1"}}}, {{Credential: []string{"tok_0"}, Actor: []string{"w2"}}}},
		{{{DataType: []string{"order.f1"}}}, {{IP: []string{"203.0.113.0/24"}}}},
		{{{Credential: []string{"nobody"}}}},
	} {
		q := day
		q.Any, q.Not = c[0], c[1]
		got, err := scope.Compute(t.Context(), s, q, scope.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := scope.Compute(t.Context(), everything{s, t}, q, scope.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != want.Digest || got.Events != want.Events || got.Customers != want.Customers {
			t.Errorf("query %d: %d events of %d customers, want %d of %d", i, got.Events, got.Customers, want.Events, want.Customers)
		}
		seqs, err := s.Matching(t.Context(), q, got.Size)
		if err != nil || int64(len(seqs)) != got.Events {
			t.Errorf("query %d: %d events match, %v", i, len(seqs), err)
		}
	}
}

func TestAnEventIsFoundByItsIDAndItsPlaceInTheLog(t *testing.T) {
	s := newSite(t)
	s.take(t, line("a", noon, "")+"\n"+line("b", noon, ""))
	s.sealedIDs(t)
	e, err := s.EventByID(t.Context(), "b")
	if err != nil || e.Seq != 2 {
		t.Fatalf("%+v, %v", e, err)
	}
	if index, n, err := s.Position(t.Context(), e.Seq); err != nil || index != 0 || n != 1 {
		t.Fatalf("at %d of leaf %d, %v", n, index, err)
	}
	if _, err := s.EventByID(t.Context(), "nobody"); err != accesslog.ErrNotFound {
		t.Fatalf("error %v", err)
	}
	if _, _, err := s.Position(t.Context(), 3); err != accesslog.ErrNotFound {
		t.Fatalf("error %v", err)
	}
}

func TestAStoreOpenedForReadingAnswersAndWritesNothing(t *testing.T) {
	s := newSite(t)
	s.take(t, line("a", noon, `"subjects":[{"kind":"account","id":"1"}]`))
	s.sealedIDs(t)
	s.close()
	log, err := translog.OpenReader(filepath.Join(s.dir, "log", "events"), "javabeanai/events")
	if err != nil {
		t.Fatal(err)
	}
	ro, err := accesslog.Open(t.Context(), accesslog.Options{Dir: s.dir, Keys: testKeys{}, Log: log, Now: s.clock, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	r, err := scope.Compute(t.Context(), ro, scope.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}, scope.Options{})
	if err != nil || r.Customers != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := ro.Ingest(t.Context(), app, "", "", strings.NewReader(line("b", noon, ""))); err != accesslog.ErrReadOnly {
		t.Fatalf("error %v", err)
	}
}

// A question of many clauses that no index can narrow reads the events once, not once for each.
func TestBroadClausesAreReadInOnePass(t *testing.T) {
	s := newSite(t)
	s.take(t, line("a", noon, "")+"\n"+line("b", noon, ""))
	q := tally.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour), Kind: accesslog.PIIAccess}
	for range 64 {
		q.Any = append(q.Any, tally.Clause{IP: []string{"0.0.0.0/0"}})
	}
	_, _, size, err := s.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Scan(t.Context(), q, size, func(*tally.Event) error { return nil })
	if err != nil || n != 2 {
		t.Errorf("%d events were read, %v; there are 2", n, err)
	}
}

// Questions about everything, however many, leave the detector its turn.
func TestQuestionsDoNotKeepTheDetectorWaiting(t *testing.T) {
	s := newSite(t)
	s.take(t, line("a", noon, ""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	entered, ended := make(chan struct{}, 8), make(chan struct{})
	for range 8 {
		go func() {
			_ = s.Select(ctx, accesslog.Filter{}, func(accesslog.Event) error {
				entered <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
			ended <- struct{}{}
		}()
	}
	<-entered
	<-entered
	for range 20 {
		soon, stop := context.WithTimeout(t.Context(), 10*time.Second)
		events, err := s.EventsAfter(soon, 0, 10)
		stop()
		if err != nil || len(events) != 1 {
			t.Fatalf("%d events, %v", len(events), err)
		}
	}
	if n := len(entered); n > 0 {
		t.Errorf("%d questions are read at a time", 2+n)
	}
	cancel()
	for range 8 {
		<-ended
	}
}

// promise: INV-1
func TestAScopeSaysWhatWasSuppliedLaterAndWhereCustomersLive(t *testing.T) {
	s := newSite(t)
	account := func(id, region string) string {
		return fmt.Sprintf(`{"kind":"account","id":%q,"region":%q}`, id, region)
	}
	event := func(id, merchant string, subjects ...string) string {
		return line(id, noon, fmt.Sprintf(`"merchant":%q,"subjects":[%s]`, merchant, strings.Join(subjects, ",")))
	}
	s.take(t, strings.Join([]string{
		event("live1", "m_1", account("1", "us-ca"), account("2", "DE")),
		event("live2", "m_1", account("1", ""), account("3", "Hamburg")),
	}, "\n"))
	file := "sha256:" + strings.Repeat("ab", 32)
	later := app
	later.Supplied = file
	if r, err := s.Ingest(t.Context(), later, "", "", strings.NewReader(strings.Join([]string{
		event("later1", "m_1", account("1", "US-NY")),
		event("later2", "m_2", account("1", "DE")),
	}, "\n"))); err != nil || r.Accepted != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.sealedIDs(t)
	for name, src := range map[string]scope.Source{"columns": s, "log": everything{s, t}} {
		r, err := scope.Compute(t.Context(), src, scope.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}, scope.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(r.Supplied), fmt.Sprint([]incident.Supplied{{File: file, Events: 2}}); got != want {
			t.Errorf("%s: supplied %s, want %s", name, got, want)
		}
		if len(r.Rows) != 2 || r.Rows[0].Events != 3 || len(r.Rows[0].Supplied) != 1 || r.Rows[0].Supplied[0].Events != 1 || r.Rows[1].Supplied[0].File != file {
			t.Errorf("%s: rows %+v", name, r.Rows)
		}
		// Customer 1 of m_1 was seen in California and in New York; of customer 3 no code says anything.
		if got, want := fmt.Sprint(r.Regions), "[{DE 2} {US-CA 1} {US-NY 1} { 1}]"; got != want || r.Customers != 4 {
			t.Errorf("%s: %d customers in %s, want 4 in %s", name, r.Customers, got, want)
		}
		if r.Step != 3600 || len(r.Timeline) != 1 || !r.Timeline[0].From.Equal(noon) || r.Timeline[0].Events != 4 {
			t.Errorf("%s: timeline %+v of %d s", name, r.Timeline, r.Step)
		}
	}
}
