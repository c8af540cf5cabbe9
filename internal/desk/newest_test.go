package desk

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/incident"
)

// Pages of the timeline read backwards, put together, are every note once and in order, whatever
// the size of a page and however often a line is said again.
func TestNewestPagesAreTheWholeRecord(t *testing.T) {
	s := newSite(t, nil).start()
	id := s.open()
	var said []string
	for i := range 30 {
		text := fmt.Sprint("note ", i/2*2) // each is said twice, and shown once
		s.give(lena, id, incident.Note{Text: text})
		said = append(said, text)
	}
	slices.Reverse(said)
	whole, next, err := s.Newest(t.Context(), id, "", 1000, []string{SourceFact})
	if err != nil || next != "" {
		t.Fatal(err, next)
	}
	for _, limit := range []int{1, 2, 7, 1000} {
		var all []LogLine
		for from := ""; ; {
			lines, next, err := s.Newest(t.Context(), id, from, limit, []string{SourceFact})
			if err != nil || len(lines) > limit || len(all) > len(whole) {
				t.Fatal(err, len(lines), len(all))
			}
			all = append(all, lines...)
			if from = next; from == "" {
				break
			}
		}
		if !slices.EqualFunc(all, whole, func(a, b LogLine) bool { return a.ID == b.ID && a.Count == b.Count }) {
			t.Errorf("pages of %d are not the whole", limit)
		}
	}
	var notes int
	for _, l := range whole {
		if l.Kind == string(incident.KindNote) {
			notes += l.Count
		}
		from, _, err := s.Newest(t.Context(), id, l.From, 1, []string{SourceFact})
		if err != nil || len(from) != 1 || from[0].ID != l.ID {
			t.Errorf("the link of %s leads to %v, %v", l.ID, from, err)
		}
	}
	if notes != len(said) || whole[0].Text != "Note: "+said[0] && whole[0].Count != 2 {
		t.Errorf("%d notes, the newest is %q", notes, whole[0].Text)
	}
	if _, _, err := s.Newest(t.Context(), id, "nonsense", 1, nil); err == nil {
		t.Error("a place that is none is taken")
	}
}

// Facts and accesses merge into one list, and each page goes on where the last one ended.
func TestTailMergesWithoutLossOrRepeat(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var facts []factLine
		n := rapid.IntRange(0, 12).Draw(t, "facts")
		for i := n; i > 0; i-- {
			facts = append(facts, factLine{n: i, count: 1, TimelineLine: TimelineLine{ID: fmt.Sprint("f", i), Recorded: at.Add(time.Duration(3*i) * time.Second)}})
		}
		var events []TimelineLine
		for i := rapid.IntRange(0, 12).Draw(t, "events"); i > 0; i-- {
			second := rapid.IntRange(0, 40).Draw(t, "second")
			events = append(events, TimelineLine{ID: fmt.Sprintf("e%02d", i), At: at.Add(time.Duration(second) * time.Second)})
		}
		slices.SortFunc(events, func(a, b TimelineLine) int {
			if c := b.At.Compare(a.At); c != 0 {
				return c
			}
			return -1 * compareText(a.ID, b.ID)
		})
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		seen := map[string]bool{}
		var last time.Time
		here := place{n: n}
		for rounds := 0; ; rounds++ {
			page := tail{limit: limit, since: at.Add(-time.Minute)}
			for _, f := range facts {
				if f.n <= here.n {
					page.facts = append(page.facts, f)
				}
			}
			for _, e := range events {
				if !here.before(e) {
					page.events = append(page.events, e)
				}
			}
			lines, next := page.merge(here)
			for _, l := range lines {
				when := l.At
				if l.Recorded != (time.Time{}) {
					when = l.Recorded
				}
				if seen[l.ID] || !last.IsZero() && when.After(last) {
					t.Fatalf("%s again or out of order", l.ID)
				}
				seen[l.ID], last = true, when
			}
			if next == "" {
				break
			}
			var err error
			if here, err = parsePlace(next, &incident.State{Version: n}); err != nil || rounds > 40 {
				t.Fatal(err, rounds)
			}
		}
		if len(seen) != len(facts)+len(events) {
			t.Fatalf("%d of %d lines", len(seen), len(facts)+len(events))
		}
	})
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// promise: NOT-1
func TestADutyWithoutAScopeSaysSo(t *testing.T) {
	s := newSite(t, nil).start()
	id := s.open()
	s.give(lena, id, incident.Confirm{Reason: "seen"})
	page, err := s.OpenBoard(t.Context(), 0, 100)
	if err != nil || len(page.Rows) != 1 || page.Open != 1 || page.Running == 0 {
		t.Fatalf("%+v %v", page, err)
	}
	clocks, err := s.Clocks(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clocks {
		if c.Say == "Tell 0 merchants" {
			t.Errorf("%+v", c)
		}
	}
}
