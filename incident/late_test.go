package incident

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What has happened may be learnt in any order, hours after it happened: the clocks count from the same
// instants to the same limits, and what met them met them when it was done. What differs, by design, is
// what was seen in between: a limit that passed unmet stays on record as missed, and so does a round of
// a repeated duty; an answer happens when it is given.
func TestTheOrderInWhichThePastIsLearntDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ago := func(name string) time.Duration { return time.Duration(rapid.IntRange(0, 9).Draw(r, name)) * h }
		mark := func(milestone string) func(w *world) {
			at := t0.Add(ago(milestone))
			return func(w *world) { w.give(lena, Mark{Milestone: milestone, At: at, Reason: "learnt from the logs"}) }
		}
		steps := []func(*world){
			mark("aware"), mark("contained"), mark("acknowledged"), mark("discovered"), mark("remediated"),
		}
		run := func(name string, order []func(*world)) *world {
			w := newWorld(t)
			w.p = richPolicy()
			w.open()
			w.tickTo(t0.Add(10 * h))
			w.give(lena, Answer{Fact: "personal_data", Value: true, Reason: "x"}) // an answer happens when it is given
			w.give(lena, Answer{Fact: "kind", Value: "b", Reason: "x"})
			for _, step := range order {
				w.tickTo(w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(r, "wait "+name)) * h))
				step(w)
			}
			w.tickTo(t0.Add(200 * h))
			return w
		}
		a := run("first", steps)
		b := run("second", rapid.Permutation(steps).Draw(r, "order"))
		if x, y := counts(a.s), counts(b.s); x != y {
			r.Fatalf("one order:\n%s\nanother:\n%s", x, y)
		}
	})
}

// counts is from when to when the clocks of an incident count, and when they were met: what no order of
// learning may change. Later rounds of a duty follow from when the one before was met or missed.
func counts(s *State) string {
	var b strings.Builder
	for _, key := range sortedKeys(s.Duties) {
		d := s.Duties[key]
		if d.Round > 1 {
			continue
		}
		b.WriteString(strings.Join([]string{key, utc(d.Started), utc(d.Target), utc(d.Due), utc(d.Met), utc(d.Floor)}, " "))
		b.WriteByte('\n')
	}
	return b.String()
}
