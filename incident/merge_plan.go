package incident

import (
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// MergePlan says what taking b into a did, in sentences for whoever is asked to confirm it.
func MergePlan(p *policy.Program, a, b, after *State) []string {
	out := []string{fmt.Sprintf("%s ends as a part of %s, and its address leads there. What was recorded in it stays in it.", b.ID, a.ID)}
	if n := len(Affected(after)) - len(Affected(a)); n > 0 {
		out = append(out, fmt.Sprintf("%s of %s come into the scope of %s", count(n, "merchant", "merchants"), b.ID, a.ID))
	}
	if a.Severity != after.Severity {
		out = append(out, fmt.Sprintf("The severity of %s becomes %s", a.ID, after.Severity))
	}
	for _, name := range append([]string{"suspected"}, lawAnchors...) {
		if was, is := a.Milestones[name], after.Milestones[name]; was != nil && is != nil && !was.At.Equal(is.At) {
			out = append(out, fmt.Sprintf("The milestone %s moves from %s to %s; both times stay", name, inZone(p, was.At), inZone(p, is.At)))
		}
	}
	for _, m := range Moves(p, a, after) {
		out = append(out, m.Says(p.Zone))
	}
	for _, x := range b.Actions {
		if x.State == ActionPlanned {
			out = append(out, fmt.Sprintf("%s of %s is withdrawn: plan it again in %s", x.ID, b.ID, a.ID))
		}
	}
	for _, n := range b.Notices {
		if n.State == NoticeDraft || n.State == NoticeApproved {
			out = append(out, fmt.Sprintf("%s of %s will not be sent: write what it says in a notice of %s", n.ID, b.ID, a.ID))
		}
	}
	return out
}

// SplitPlan says what splitting signals off s into a new incident did.
func SplitPlan(p *policy.Program, s, fresh *State) []string {
	left := len(s.Signals) - len(fresh.Signals)
	out := []string{
		fmt.Sprintf("A new incident opens with %s, detected %s", count(len(fresh.Signals), "signal", "signals"), inZone(p, fresh.Milestones["detected"].At)),
		fmt.Sprintf("%s keeps its clocks and %s", s.ID, count(left, "signal", "signals")),
	}
	if m := fresh.Milestones["confirmed"]; m != nil {
		out = append(out, "It is confirmed since "+inZone(p, m.At)+", as "+s.ID+" is")
	}
	for _, a := range fresh.SplitOf.Actions {
		out = append(out, fmt.Sprintf("%s stays in %s, and is shown in the new one", a.ID, s.ID))
	}
	for _, m := range Moves(p, NewState(fresh.ID), fresh) {
		out = append(out, m.Says(p.Zone))
	}
	return out
}

func inZone(p *policy.Program, t time.Time) string {
	zone := p.Zone
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("Mon 2 Jan 2006 15:04 MST")
}
