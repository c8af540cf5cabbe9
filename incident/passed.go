package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// passed answers passed('4h after confirmed') for conditions, with the arithmetic of the clocks. An
// anchor that has not happened has passed nothing: instants are closed-world.
func (t *timer) passed(s *State, now time.Time, sub subject) func(policy.Clock) (bool, bool) {
	return func(c policy.Clock) (passed, known bool) {
		at := t.turn(s, &c, sub)
		return !at.IsZero() && !now.Before(at), true
	}
}

// turn is the instant at which a clock in a condition is passed; zero: its anchor has not happened.
func (t *timer) turn(s *State, c *policy.Clock, sub subject) time.Time {
	at := t.counted(s, c, t.names(c.Anchor), sub, c.Span, "")
	switch {
	case !at.anchored:
		return time.Time{}
	case !at.due.IsZero():
		return at.due
	case !at.target.IsZero():
		return at.target
	case c.Kind == "by":
		return time.Time{}
	}
	return at.started
}

// turning is one turning point of a condition.
type turning struct {
	clock string
	at    time.Time
}

// readsTime reports whether any condition asks whether an instant has been reached.
func readsTime(p *policy.Program) bool {
	return anyCondition(p, func(c *policy.Condition) bool { return strings.Contains(c.Source, "passed(") })
}

// turnings lists the turning points that conditions depend on as things stand and that no fact says
// were passed, in order of time. Conditions are asked with a view that takes note of the question.
func turnings(p *policy.Program, s *State, t *timer) []turning {
	if !readsTime(p) {
		return nil
	}
	var list []turning
	v := viewAt(p, s, t, s.Updated)
	ask := func(c *policy.Condition, recipient string) {
		if c == nil || !strings.Contains(c.Source, "passed(") {
			return
		}
		sub := subject{recipient: recipient}
		w := v
		if recipient != "" {
			w.Recipient = recipientView(s, recipient)
		}
		answer := t.passed(s, s.Updated, sub)
		w.Passed = func(c policy.Clock) (bool, bool) {
			if at := t.turn(s, &c, sub); !at.IsZero() {
				name := clockText(&c, nil)
				if at.After(s.Passed[name]) {
					list = append(list, turning{name, at})
				}
			}
			return answer(c)
		}
		c.Eval(w)
	}
	affected := []string(nil)
	for i := range p.Duties {
		d := &p.Duties[i]
		if !runsIn(s, d) {
			continue
		}
		for _, c := range []*policy.Condition{d.When, d.Unless} {
			ask(c, "")
			if c != nil && strings.Contains(c.Source, "passed(") && merchantsOf(p, s, d) && len(spokenOf(p, c.Source)) > 0 {
				if affected == nil {
					affected = Affected(s)
				}
				for _, m := range affected {
					ask(c, m)
				}
			}
		}
		for j := range d.Due {
			ask(d.Due[j].When, "")
		}
		if d.Every != nil {
			for j := range d.Every.Cells {
				ask(d.Every.Cells[j].When, "")
			}
		}
	}
	for i := range p.Severities {
		ask(p.Severities[i].When, "")
	}
	for i := range p.Scales {
		for j := range p.Scales[i].Levels {
			ask(p.Scales[i].Levels[j].When, "")
		}
	}
	for i := range p.Gates {
		ask(p.Gates[i].When, "")
		for _, c := range p.Gates[i].Need {
			ask(c, "")
		}
	}
	slices.SortFunc(list, func(a, b turning) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return strings.Compare(a.clock, b.clock)
	})
	return slices.Compact(list)
}

// pass records the turning points that were passed: why a condition turned is a fact like any
// other, and the next wake-up is the next turning point.
func (w *work) pass(s *State) {
	if s.Status != StatusOpen || !s.isOpened() {
		return
	}
	for _, t := range turnings(w.p, s, w.timer) {
		if !w.now.Before(t.at) {
			w.tick(KindPassed, t.at, PassedBody{Clock: t.clock, At: t.at})
		}
	}
}

func foldPassed(s *State, f Fact) error {
	var b PassedBody
	if err := header(f, &b); err != nil {
		return err
	}
	passed := writable(s, inPassed, &s.Passed)
	if b.At.After(passed[b.Clock]) {
		passed[b.Clock] = b.At
	}
	return nil
}
