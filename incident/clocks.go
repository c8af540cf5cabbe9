package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// Clocks lists every duty instance of an incident: those the facts have started, and for the
// duties that have none yet, what they are waiting for. Those still owed come first, the most
// urgent at the top.
func Clocks(p *policy.Program, s *State) []DutyInstance {
	if !s.isOpened() {
		return nil
	}
	list := make([]DutyInstance, 0, len(s.Duties)+len(p.Duties))
	begun := map[string]bool{}
	for _, d := range s.Duties {
		list = append(list, *d)
		begun[d.Duty] = true
	}
	t := newTimer(p)
	v := viewAt(p, s, t, s.Updated)
	for i := range p.Duties {
		d := &p.Duties[i]
		if !runsIn(s, d) || begun[d.ID] {
			continue
		}
		list = append(list, waiting(t, s, d, &v))
	}
	slices.SortFunc(list, func(a, b DutyInstance) int {
		if a.owing() != b.owing() {
			if a.owing() {
				return -1
			}
			return 1
		}
		if c := urgency(&a).Compare(urgency(&b)); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	return list
}

// waiting is a duty that has not begun, with the reason why not.
func waiting(t *timer, s *State, d *policy.Duty, v *policy.View) DutyInstance {
	w := DutyInstance{Key: d.ID, Standing: &Standing{Duty: d.ID, State: DutyWaiting}}
	clk := t.clocks(s, subject{d: d}, v)
	cond := newCondition(t.p, d.When, v, s.Updated)
	verdict := cond.eval(s, "")
	if d.Unless != nil && verdict.Value != policy.False {
		if u := d.Unless.Eval(*v); u.Value == policy.True {
			verdict = policy.Verdict{Value: policy.False, Why: stoodDown + u.Why}
		}
	}
	switch {
	case d.For == "each":
		w.Why = "for each " + d.Each + ", and none is recorded"
	case verdict.Value == policy.False || clk.none:
		w.State, w.Why = DutyNot, whyNot(clk, verdict)
	case clk.anchored:
		w.Why = "nobody is owed it: the scope names no merchant"
	default:
		w.Why = clk.text + ", which has not happened"
		w.Unknown = unknowns(verdict, clk)
	}
	if s.Status != StatusOpen && w.State == DutyWaiting && !(s.Status == StatusClosed && outlives(d)) {
		w.State, w.Why = DutyStopped, "the incident is "+string(s.Status)
	}
	return w
}

// urgency is the instant a clock is read by.
func urgency(d *DutyInstance) time.Time {
	switch {
	case !d.Due.IsZero():
		return d.Due
	case !d.Target.IsZero():
		return d.Target
	}
	return time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC)
}
