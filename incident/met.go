package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// tells reports whether a duty is met by a notice.
func tells(d *policy.Duty) bool { return d.Do == policy.Notify || d.Do == policy.Announce }

// metBy says what meets the duty for a recipient, if anything has. An act before a floor does not.
// prev is the round before, cur the one that is owed.
func (r *ruling) metBy(recipient string, prev, cur *DutyInstance) (at time.Time, proof Proof, trigger string, ok bool) {
	var floor time.Time
	if len(r.d.Floor) > 0 {
		var pending bool
		sub := r.subject(recipient, cur)
		if floor, pending, _ = r.w.timer.floor(r.s, sub); pending {
			return at, proof, trigger, false
		}
	}
	var since time.Time // an act has to come after it
	if prev != nil {
		since = laterOf(prev.Met, prev.Waived)
		if r.d.Every.Period != "" && cur != nil {
			// Anything in the period counts, and one act may make up for the ones before it.
			since = cur.Started.Add(-time.Nanosecond)
		}
	}
	take := func(t time.Time, p Proof, who string) {
		if t.IsZero() || t.Before(floor) || !since.IsZero() && !t.After(since) {
			return
		}
		if !ok || t.Before(at) {
			at, proof, trigger, ok = t, p, who, true
		}
	}
	if r.byHand() {
		for i := range r.s.Done {
			if d := &r.s.Done[i]; d.Duty == r.d.ID && d.From == "" && (d.Recipient == recipient || d.Recipient == "" && !r.s.Programme) {
				take(d.At, Proof{Done: i + 1}, triggerOf(d.By))
			}
		}
	}
	switch {
	case r.s.Programme:
	case tells(r.d):
		if recipient == "" {
			break
		}
		for _, n := range r.s.Notices {
			if got := n.Deliveries[recipient]; got != nil && got.State == DeliveryAccepted && r.coveredBy(n) {
				take(got.At, Proof{Notice: n.ID}, triggerOf(n.SentBy))
			}
		}
		if r.merchants {
			r.toldBefore(recipient, take)
		}
	case r.d.Do == policy.Answer:
		for _, name := range r.d.Of {
			if a := r.s.Answers[name]; a != nil {
				take(a.At, Proof{Answer: name}, triggerOf(a.By))
			}
		}
	case r.d.Do == policy.Reach:
		// All of them: the last makes it so.
		var last time.Time
		var name string
		for _, m := range r.d.Of {
			got := r.s.Milestones[m]
			if got == nil {
				return at, proof, trigger, ok
			}
			if name == "" || got.At.After(last) {
				last, name = got.At, m
			}
		}
		if name != "" {
			take(last, Proof{Milestone: name}, triggerOf(r.s.Milestones[name].By))
		}
	default:
		for _, name := range metNames(r.d) {
			if m := r.s.Milestones[name]; m != nil {
				who := triggerOf(m.By)
				if name == "contained" && m.Auto {
					who = r.s.containedBy()
				}
				take(m.At, Proof{Milestone: name}, who)
			}
		}
	}
	return at, proof, trigger, ok
}

// byHand reports whether somebody's word that it is done meets the duty: of acts that leave no
// other trace, and of everything the programme asks for.
func (r *ruling) byHand() bool { return byHand(r.s, r.d) }

func byHand(s *State, d *policy.Duty) bool {
	return s.Programme || d.Do == policy.Perform || d.Do == policy.ReRead
}

// metNames are the milestones that meet a duty of a verb.
func metNames(d *policy.Duty) []string {
	switch d.Do {
	case policy.Contain:
		return []string{"contained"}
	case policy.Decide:
		if len(d.Of) == 0 {
			return []string{"confirmed", "dismissed"}
		}
		return d.Of
	case policy.Assess:
		return []string{"determined"}
	case policy.Scope:
		return []string{"scoped"}
	case policy.Verify:
		return []string{"verified"}
	case policy.Restore:
		return []string{"restored"}
	case policy.Review:
		return []string{"reviewed"}
	case policy.Reach:
		return d.Of
	}
	return nil
}

// coveredBy reports whether a notice says everything the duty asks for. One act meets every open
// duty of the same verb and recipient whose content it covers.
func (r *ruling) coveredBy(n *Notice) bool {
	if got, known := r.covers[n.ID]; known {
		return got
	}
	if r.covers == nil {
		r.covers = map[string]bool{}
	}
	ok := covers(r.w.p, r.d, n)
	r.covers[n.ID] = ok
	return ok
}

// covers: an item that the notice says is not known yet counts for the duty the notice is of, and
// for no other.
func covers(p *policy.Program, d *policy.Duty, n *Notice) bool {
	of := dutyOf(p, n.Duty)
	if of == nil || of.Do != d.Do {
		return false
	}
	for _, item := range d.Content {
		if strings.TrimSpace(n.Content[item]) == "" && !(n.Duty == d.ID && slices.Contains(n.OpenItems, item)) {
			return false
		}
	}
	return true
}
