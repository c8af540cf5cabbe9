package accesslog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
)

// A machine's clock that is set back by an hour, over midnight and over a restart, costs nothing: what
// comes meanwhile is taken once, a batch that was taken is known, and all of it is sealed.
func TestAClockThatIsSetBackLosesAndDoublesNothing(t *testing.T) {
	s := newSite(t)
	late := time.Date(2026, 11, 23, 0, 30, 0, 0, time.UTC)
	want := map[string]bool{}
	send := func(key string, at time.Time) accesslog.Receipt {
		t.Helper()
		body := ""
		for i := range 3 {
			id := fmt.Sprint(key, "-", i)
			want[id] = true
			body += line(id, at, "") + "\n"
		}
		r, err := s.Ingest(t.Context(), app, key, "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for round, now := range []time.Time{late, late.Add(-time.Hour), late.Add(-time.Hour), late.Add(time.Minute)} {
		s.set(now)
		if round >= 2 {
			s.close()
			s.open(t)
		}
		for earlier := range round {
			if r := send(fmt.Sprint("k", earlier), late.Add(time.Duration(earlier)*time.Second)); r.Accepted != 0 || r.Duplicates != 3 {
				t.Errorf("round %d: batch %d again: %+v", round, earlier, r)
			}
			other := strings.NewReader(line("other", late, ""))
			if _, err := s.Ingest(t.Context(), app, fmt.Sprint("k", earlier), "", other); !errors.Is(err, accesslog.ErrOtherBatch) {
				t.Errorf("round %d: other bytes under the key of batch %d: %v", round, earlier, err)
			}
			id := line(fmt.Sprint("k", earlier, "-0"), late.Add(time.Duration(earlier)*time.Second), "")
			if r := s.take(t, id); r.Duplicates != 1 {
				t.Errorf("round %d: an event of batch %d again: %+v", round, earlier, r)
			}
		}
		if r := send(fmt.Sprint("k", round), late.Add(time.Duration(round)*time.Second)); r.Accepted != 3 {
			t.Errorf("round %d: %+v", round, r)
		}
	}
	got := map[string]int{}
	for _, e := range s.all(t) {
		got[e.ID]++
	}
	sealed := map[string]int{}
	for _, id := range s.sealedIDs(t) {
		sealed[id]++
	}
	for id := range want {
		if got[id] != 1 || sealed[id] != 1 {
			t.Errorf("%s stands in the log %d times, sealed %d times", id, got[id], sealed[id])
		}
	}
	if len(got) != len(want) || len(sealed) != len(want) {
		t.Errorf("%d events, %d sealed, want %d", len(got), len(sealed), len(want))
	}
}
