package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
	"github.com/tocsin-ir/tocsin/scope"
)

// Whatever sources hold, and wherever each of them was cut, the pages together are all of it in one order.
func TestPagesOfSeveralSourcesAreOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all [3][]keyed
		var want []key
		for rank := range all {
			for i := range rapid.IntRange(0, 30).Draw(t, "entries") {
				k := key{rapid.Int64Range(0, 12).Draw(t, "at"), rank, int64(i)}
				all[rank], want = append(all[rank], keyed{key: k}), append(want, k)
			}
			slices.SortFunc(all[rank], func(a, b keyed) int { return a.compare(b.key) })
		}
		slices.SortFunc(want, key.compare)
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		var got []key
		after, more := key{at: -1}, true
		for pages := 0; more; pages++ {
			if pages > 500 {
				t.Fatal("it never ends")
			}
			var streams []stream
			for rank := range all {
				var s stream
				for _, e := range all[rank] {
					if e.compare(after) > 0 {
						s.list = append(s.list, e)
					}
				}
				// A source may have been read in part, at least one of its entries further.
				if n := len(s.list); n > 1 {
					if k := rapid.IntRange(1, n).Draw(t, "read"); k < n {
						s.list, s.cut = s.list[:k], true
						s.until = s.list[k-1].key
					}
				}
				streams = append(streams, s)
			}
			var out []keyed
			out, after, more = mergeStreams(streams, limit)
			if len(out) > limit {
				t.Fatalf("%d entries", len(out))
			}
			for _, e := range out {
				got = append(got, e.key)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v\nwant %v", got, want)
		}
	})
}

func TestACursorIsReadAsItWasWritten(t *testing.T) {
	c := cursor{key{1764000000123456789, rankEvent, 77}, 90 * time.Second}
	if got, err := parseCursor(c.String()); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"x", "1.2.3", "1.9.3.4", "1.1.1.0", "1.1.1.99999999999", "1.1.1.1.1", strings.Repeat("1", 200)} {
		if _, err := parseCursor(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// sightseer is a desk over its own access log whose incident has a scope of one credential.
func sightseer(t *testing.T) (*site, *accesslog.Store, string) {
	t.Helper()
	log, events, err := openEvents(t.TempDir(), theGround(t).keys, noon.Add(4*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(events.Close(), log.Close()) }) // what they hold is thrown away
	s := newSite(t, func(o *Options) {
		o.Events = events
		o.Scope = func(_ context.Context, q scope.Query, _ scope.Options) (scope.Result, error) {
			q, err := q.Normal()
			return scope.Result{Query: q, Digest: "sha256:1", Size: 1, First: noon, Last: noon.Add(2 * time.Hour), Rows: []incident.Exposure{{Merchant: "m_1", Customers: 1}}}, err
		}
	})
	inc := s.open()
	q := scope.Query{From: noon, To: noon.Add(3 * time.Hour), Any: []scope.Clause{{Credential: []string{"tok_9f"}}}, Not: []scope.Clause{{IP: []string{"198.51.100.0/24"}}}}
	if _, _, err := s.RecordScope(t.Context(), "", nadia, inc, q, "r"); err != nil {
		t.Fatal(err)
	}
	return s, events, inc
}

// promise: INV-2
func TestTheMergedTimelineHasEveryEntryOnceInOrder(t *testing.T) {
	s, events, inc := sightseer(t)
	var b strings.Builder
	for i := range 90 {
		at := noon.Add(time.Duration(i/3) * time.Minute) // three at each instant
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, `{"id":"a%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"w"},"action":"list","endpoint":"GET /orders","credential":"tok_9f","merchant":"m_%d","outcome":"ok","source":{"ip":"203.0.113.9"}}`+"\n", i, at.Format(time.RFC3339), i%7)
		case 1:
			fmt.Fprintf(&b, `{"id":"d%d","time":%q,"kind":"db_query","actor":{"type":"service","id":"pg"},"action":"select","outcome":"ok"}`+"\n", i, at.Format(time.RFC3339))
		default: // the owner's own, which the scope leaves out
			fmt.Fprintf(&b, `{"id":"o%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"w"},"action":"list","credential":"tok_9f","merchant":"m_1","outcome":"ok","source":{"ip":"198.51.100.7"}}`+"\n", i, at.Format(time.RFC3339))
		}
	}
	if r, err := events.Ingest(t.Context(), accesslog.Source{Name: "app", Supplied: "sha256:" + strings.Repeat("ab", 32)}, "", "native", strings.NewReader(b.String())); err != nil || r.Accepted != 90 {
		t.Fatalf("%+v, %v", r, err)
	}
	whole, err := s.Entries(t.Context(), inc, EntryQuery{Limit: MaxEntries})
	if err != nil || whole.Next != "" {
		t.Fatalf("%q, %v", whole.Next, err)
	}
	count := map[string]int{}
	for i, e := range whole.Entries {
		count[e.Source]++
		if strings.HasPrefix(e.ID, "o") {
			t.Errorf("%s is not in the scope", e.ID)
		}
		if i > 0 && e.At.Before(whole.Entries[i-1].At) {
			t.Errorf("entry %d is before the one before", i)
		}
		if e.Source != SourceFact && e.Supplied == "" {
			t.Errorf("%s does not say that it was supplied later", e.ID)
		}
	}
	if count[SourceEvent] != 30 || count[SourceLog] != 30 || count[SourceFact] == 0 {
		t.Fatalf("%v", count)
	}
	for _, limit := range []int{1, 7} {
		var ids []string
		for after := ""; ; {
			page, err := s.Entries(t.Context(), inc, EntryQuery{Limit: limit, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				ids = append(ids, e.ID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(ids) != len(whole.Entries) {
			t.Fatalf("pages of %d have %d entries, not %d", limit, len(ids), len(whole.Entries))
		}
		for i, e := range whole.Entries {
			if ids[i] != e.ID {
				t.Fatalf("pages of %d: entry %d is %s, not %s", limit, i, ids[i], e.ID)
			}
		}
	}
	// A page begins at any entry.
	mid := whole.Entries[len(whole.Entries)/2]
	if page, err := s.Entries(t.Context(), inc, EntryQuery{Limit: 1, After: mid.From}); err != nil || len(page.Entries) != 1 || page.Entries[0].ID != mid.ID {
		t.Errorf("from %s: %+v, %v", mid.From, page, err)
	}
	for name, c := range map[string]struct {
		q    EntryQuery
		want int
	}{
		"one source": {EntryQuery{Sources: []string{SourceLog}}, 30},
		"one kind":   {EntryQuery{Kinds: []string{"pii_access"}}, 30},
		"a text":     {EntryQuery{Text: "MERCHANT m_3", Sources: []string{SourceEvent}}, 5},
		"a time":     {EntryQuery{From: noon.Add(10 * time.Minute), To: noon.Add(12 * time.Minute), Sources: []string{SourceEvent, SourceLog}}, 4},
		"nothing":    {EntryQuery{Text: "no such text"}, 0},
	} {
		c.q.Limit = 100
		if page, err := s.Entries(t.Context(), inc, c.q); err != nil || len(page.Entries) != c.want {
			t.Errorf("%s: %d entries, want %d, %v", name, len(page.Entries), c.want, err)
		}
	}
}

// A page of a timeline of millions costs what it shows.
func TestSoakAPageOfATimelineOfMillions(t *testing.T) {
	soaktest.Start(t)
	s, events, inc := sightseer(t)
	const total, batch = 2_000_000, 10_000
	var b strings.Builder
	for from := 0; from < total; from += batch {
		b.Reset()
		for i := from; i < from+batch; i++ {
			at := noon.Add(time.Duration(i) * 3600 * time.Microsecond)
			fmt.Fprintf(&b, `{"id":"a%d","time":%q,"kind":%q,"actor":{"type":"service","id":"w"},"action":"list","endpoint":"GET /orders","credential":"tok_9f","merchant":"m_%d","outcome":"ok","source":{"ip":"203.0.113.9"}}`+"\n", i, at.Format(time.RFC3339Nano), []string{"pii_access", "pii_access", "pii_access", "http_access"}[i%4], i%50)
		}
		if r, err := events.Ingest(t.Context(), accesslog.Source{Name: "app"}, "", "native", strings.NewReader(b.String())); err != nil || r.Accepted != batch {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	// Pages at the beginning, in the middle and at the end: each begins where the one before it ended.
	var took []time.Duration
	for _, first := range []int{0, total / 2, total - 5*MaxEntries} {
		after, seen := "", first
		for range 5 {
			began := time.Now()
			page, err := s.Entries(t.Context(), inc, EntryQuery{
				Limit: MaxEntries, After: after, From: noon.Add(time.Duration(first) * 3600 * time.Microsecond), Sources: []string{SourceEvent, SourceLog},
			})
			if err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
			// What the page after it will look through is a few pages at most.
			if c, err := parseCursor(page.Next); page.Next != "" && (err != nil || c.window > 4*MaxEntries*3600*time.Microsecond) {
				t.Errorf("after a page of %s the next one looks through %s (%v)", MaxEntries*3600*time.Microsecond, c.window, err)
			}
			for _, e := range page.Entries {
				if want := noon.Add(time.Duration(seen) * 3600 * time.Microsecond); !e.At.Equal(want) {
					t.Fatalf("entry %d is of %s, want %s", seen, e.At, want)
				}
				seen++
			}
			after = page.Next
		}
		if seen != first+5*MaxEntries {
			t.Errorf("from entry %d on five pages hold %d entries", first, seen-first)
		}
	}
	slices.SortFunc(took, cmp.Compare[time.Duration])
	t.Logf("%d pages of %d entries out of %d: median %s, the slowest %s", len(took), MaxEntries, total, took[len(took)/2], took[len(took)-1])
}

// What a log shows that was supplied later is in the timeline when it happened, which is not around the
// time at which its incident was opened. With a signal of a live log it is around
// that time again.
func TestTheTimelineOfALogSuppliedLaterIsOfWhenItHappened(t *testing.T) {
	then := noon.AddDate(-3, 0, 0)
	old := incident.Signal{From: then, At: then, To: then.Add(time.Hour), Noticed: noon}
	s := &incident.State{Opened: noon, Signals: []incident.Signal{old}}
	if from, to := scopeWindow(s); !from.Equal(then.Add(-12*time.Hour)) || !to.Equal(then.Add(13*time.Hour)) {
		t.Errorf("from %s to %s", from, to)
	}
	s.Signals = append(s.Signals, incident.Signal{From: noon, At: noon, To: noon})
	if from, to := scopeWindow(s); !from.Equal(noon.Add(-12*time.Hour)) || !to.Equal(noon.Add(12*time.Hour)) {
		t.Errorf("with a live signal from %s to %s", from, to)
	}
}
