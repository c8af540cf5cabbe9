package incident

import (
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// deriveMilestones records the milestones that follow from what is known: what a policy's own
// milestone implies, awareness, containment, and that everybody has been told.
func (w *work) deriveMilestones(s *State) {
	for _, decl := range w.p.Milestones {
		m := s.Milestones[decl.ID]
		if m == nil {
			continue
		}
		for _, implied := range decl.Implies {
			if !s.has(implied) {
				w.ruleMilestone(implied, m.At, "implied by "+decl.ID)
			}
		}
	}
	w.deriveAware(s)
	if at, ok := contained(s); ok && !s.has("contained") {
		w.ruleMilestone("contained", at, "at least one containment action is proven and none is outstanding")
	}
	if at, ok := w.allTold(s); ok && !s.has("notified") {
		w.ruleMilestone("notified", at, "every duty to tell a merchant is settled")
	}
}

// deriveAware keeps awareness at the earlier of acknowledged and confirmed, until a person says
// otherwise.
func (w *work) deriveAware(s *State) {
	var at time.Time
	for _, name := range []string{"acknowledged", "confirmed"} {
		if m := s.Milestones[name]; m != nil && (at.IsZero() || m.At.Before(at)) {
			at = m.At
		}
	}
	aware := s.Milestones["aware"]
	const reason = "by default the earlier of acknowledged and confirmed"
	switch {
	case at.IsZero():
	case aware == nil:
		w.ruleMilestone("aware", at, reason)
	case aware.Auto && !aware.At.Equal(at):
		w.rule(KindCorrected, at, MilestoneBody{Milestone: "aware", At: at, Before: aware.At, Auto: true}, own(Reasoned{reason}))
	}
}

func (w *work) ruleMilestone(name string, at time.Time, reason string) {
	w.rule(KindMilestone, at, MilestoneBody{Milestone: name, At: at, Auto: true}, own(Reasoned{reason}))
}

// contained is the instant of the last proof, once nothing is outstanding. A failed or unproven
// action is outstanding until it is given up or a later one of the same kind on the same target is
// proven.
func contained(s *State) (at time.Time, ok bool) {
	for i, a := range s.Actions {
		switch a.State {
		case ActionProven:
			ok = true
			at = laterOf(at, a.ProvenAt)
		case ActionCancelled, ActionUndone:
		case ActionFailed, ActionUnproven:
			if !superseded(s.Actions[i+1:], a) {
				return time.Time{}, false
			}
		default:
			return time.Time{}, false
		}
	}
	return at, ok
}

func superseded(later []*Action, a *Action) bool {
	return slices.ContainsFunc(later, func(b *Action) bool {
		if b.State != ActionProven || b.Decl != a.Decl || len(b.Target) != len(a.Target) {
			return false
		}
		for k, v := range a.Target {
			if b.Target[k] != v {
				return false
			}
		}
		return true
	})
}

// allTold is when the last merchant was told, once nobody is owed a notice any more.
func (w *work) allTold(s *State) (at time.Time, ok bool) {
	for i := range w.p.Duties {
		d := &w.p.Duties[i]
		if d.Do != policy.Notify || !toMerchants(w.p, d) {
			continue
		}
		t := s.Tally[d.ID]
		if t == nil {
			continue
		}
		if t.Open > 0 {
			return time.Time{}, false
		}
		if t.Met > 0 {
			ok = true
			at = laterOf(at, t.LastMet)
		}
	}
	return at, ok
}

// deriveSeverity sets the severity by what is known, unless a person has set it: people raise
// freely, and lower with a signature.
func (w *work) deriveSeverity(s *State, v *policy.View) {
	if s.SeverityBy != "" && triggerOf(s.SeverityBy) == "person" {
		return
	}
	if level, why := raised(w.p.Severities, s.Severity, v); level != "" {
		w.rule(KindSeverity, w.now, SeverityBody{From: s.Severity, Severity: level}, own(Reasoned{why}))
	}
}

// raised is the worst level above now whose condition is proved; or the last one, when it has no
// condition and that of every other is ruled out, because it is for everything else. Levels stand
// worst first; none is "".
func raised(levels []policy.Level, now string, v *policy.View) (level, why string) {
	ruledOut := 0
	for i, l := range levels {
		if l.ID == now {
			return "", ""
		}
		if l.When == nil {
			if i > 0 && i == len(levels)-1 && ruledOut == i {
				return l.ID, "every other level is ruled out"
			}
			continue
		}
		switch verdict := l.When.Eval(*v); verdict.Value {
		case policy.True:
			return l.ID, "proved: " + verdict.Why
		case policy.False:
			ruledOut++
		}
	}
	return "", ""
}
