package incident

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// calls are the ids of the calls about a suspicion so far, in order, and when each was due.
func (w *world) calls() (ids []string) {
	for _, f := range w.facts {
		if f.Kind == KindPageOwed {
			if b, _ := read[PageBody, struct{}](f); b.Role == "lead" {
				if _, ok := (&Page{ID: b.Page}).Reaches(); ok {
					ids = append(ids, fmt.Sprintf("%s +%s", b.Page, f.Occurred.Sub(w.s.Opened)))
				}
			}
		}
	}
	return ids
}

// promise: DET-13
func TestASuspicionCallsTheLeadAtOnceAndAgainUntilSomebodyAcknowledgesIt(t *testing.T) {
	viewer := Actor{Principal: "person:vera", Access: Viewer}
	w := newWorld(t)
	w.must(viewer, Open{Reach: true, Title: "Suspected: a stranger in the orders"}, ReasonOpened)
	if got := w.owed(EffectPage); len(got) != 1 || w.s.Class != Unclassified {
		t.Fatalf("at once: %v, class %s", got, w.s.Class)
	}
	at := w.s.Opened
	w.tickTo(at.Add(31 * time.Minute))
	if got, want := w.calls(), []string{"reach/0 +0s", "reach/1 +15m0s", "reach/2 +30m0s"}; !slices.Equal(got, want) {
		t.Fatalf("called %v, not %v", got, want)
	}
	// After a standstill the newest call alone is made.
	w.now = at.Add(4*time.Hour + time.Minute)
	w.must(ticker, Tick{}, ReasonClockDue)
	if got := w.calls(); len(got) != 4 || got[3] != "reach/10 +4h0m0s" {
		t.Fatalf("called %v", got)
	}
	if next, _ := NextWake(w.p, w.s); next.After(at.Add(5 * time.Hour)) {
		t.Fatalf("the next call would be late: %s", next)
	}
	w.must(lena, Acknowledge{}, ReasonAcknowledged)
	w.tickTo(at.Add(72 * time.Hour))
	if got := w.calls(); len(got) != 4 {
		t.Fatalf("called again although somebody acknowledged it: %v", got)
	}
}

// Who only looks may say what they saw, and nothing that decides something.
func TestWhoOnlyLooksMayReportASuspicionAndOpenNothingElse(t *testing.T) {
	viewer := Actor{Principal: "person:vera", Access: Viewer}
	for _, c := range []Open{
		{Title: "x"},
		{Title: "x", Reach: true, Class: "unauthorised_access"},
		{Title: "x", Reach: true, Severity: "critical"},
		{Title: "x", Reach: true, Private: true},
		{Title: "x", Reach: true, Suspect: t0.Add(-time.Hour)},
	} {
		newWorld(t).refused(viewer, c, RefusedAccess)
	}
	newWorld(t).refused(Actor{Principal: "key:app", Access: Viewer}, Open{Title: "x", Reach: true}, RefusedAccess)
}
