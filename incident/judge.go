package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// duty finds a duty of the policy by its id.
func (w *work) duty(id string) *policy.Duty {
	if w.byID == nil {
		w.byID = make(map[string]*policy.Duty, len(w.p.Duties))
		for i := range w.p.Duties {
			w.byID[w.p.Duties[i].ID] = &w.p.Duties[i]
		}
	}
	return w.byID[id]
}

// runsIn reports whether a duty is one of the programme, as s is, or of an incident.
func runsIn(s *State, d *policy.Duty) bool {
	return s.Programme == (d.For == "programme" || d.For == "each")
}

// merchantsOf reports whether a duty has an instance for each merchant in scope.
func merchantsOf(p *policy.Program, s *State, d *policy.Duty) bool {
	return !s.Programme && toMerchants(p, d)
}

// judgeAll looks at every duty of the policy. Milestones that follow from others come first: the
// duties are looked at again once they are recorded.
func (w *work) judgeAll() {
	s := w.state()
	if !s.isOpened() || s.Into != nil {
		return // a part of another incident: its clocks run there
	}
	w.pass(s)
	if s.Status == StatusOpen && !s.Programme {
		n := len(w.facts)
		v := w.view(s)
		w.deriveMilestones(s)
		w.deriveSeverity(s, &v)
		w.deriveScales(s, &v)
		if len(w.facts) > n {
			return
		}
	}
	v := w.view(s)
	var j judgement
	affected := Affected(s)
	known := len(s.Scopes) > 0 || len(affected) > 0
	rulings := make([]*ruling, len(w.p.Duties))
	plans := map[string]*ruling{}
	for i := range w.p.Duties {
		if d := &w.p.Duties[i]; runsIn(s, d) && (s.Status != StatusClosed || outlives(d)) {
			rulings[i] = w.ruling(s, d, &v)
			if known && rulings[i].merchants {
				plans[d.ID] = rulings[i]
				rulings[i].prepare()
			}
		}
	}
	strays := w.sweep(s, plans)
	for _, r := range rulings {
		switch {
		case r == nil:
		case r.d.For == "each":
			for i := range s.Events {
				if e := &s.Events[i]; e.Event == r.d.Each {
					r.judge(&j, e.ID, false)
				}
			}
		case !r.merchants:
			r.judge(&j, partyOf(r.d), false)
		case !known:
			// Nobody has worked out who is affected. The clock runs all the same, for nobody in
			// particular, so that it cannot be lost.
			r.noScope = true
			r.judge(&j, "", false)
		default:
			j.private = !r.alike()
			for _, m := range r.todo(affected) {
				r.judge(&j, m, true)
			}
			j.private = false
		}
	}
	w.judgeStrays(s, &j, strays, len(affected))
	w.judgeCarried(s, &j)
	j.emit(w)
	w.judgeGates(s, &v)
	w.judgeTime()
}

// sweep looks once at every instance: it finds those that are owed to nobody the policy or the
// scope knows any more, and of duties whose recipients are all alike those that have a step to
// take. Thousands of others cost one look each.
func (w *work) sweep(s *State, plans map[string]*ruling) (strays []*DutyInstance) {
	open := s.Status == StatusOpen
	for _, d := range s.Duties {
		if d.From != "" {
			continue // judgeCarried has them
		}
		r := plans[d.Duty]
		if r == nil {
			if open && d.owing() {
				if of := w.duty(d.Duty); of == nil || !runsIn(s, of) {
					strays = append(strays, d)
				}
			}
			continue
		}
		if d.Recipient == "" || !s.inScope(d.Recipient) {
			if open && d.owing() {
				strays = append(strays, d)
			}
			continue
		}
		if r.uniform && d.Round <= 1 {
			r.seen++
			if !r.quiet(d) {
				r.list = append(r.list, d.Recipient)
			}
		}
	}
	slices.SortFunc(strays, func(a, b *DutyInstance) int { return strings.Compare(a.Key, b.Key) })
	return strays
}

// todo lists the recipients that may have a step to take.
func (r *ruling) todo(affected []string) []string {
	if !r.uniform {
		return affected
	}
	if r.seen < len(affected) {
		for _, m := range affected {
			if r.s.Duties[dutyKey(r.d.ID, m, 0)] == nil {
				r.list = append(r.list, m)
			}
		}
	}
	slices.Sort(r.list)
	return r.list
}

// judgeStrays rules out what is owed to merchants that have left the scope, and the clock for
// nobody in particular once the scope names them. What the policy does not ask for any more, after
// it was changed, is stopped by name.
func (w *work) judgeStrays(s *State, j *judgement, strays []*DutyInstance, affected int) {
	for _, d := range strays {
		if of := w.duty(d.Duty); of == nil || !runsIn(s, of) {
			b := d.body(DutyStopped)
			b.Cause = "not_in_policy"
			name := ""
			if d.Recipient != "" && s.inScope(d.Recipient) {
				b.Recipient, name = "", d.Recipient
			}
			j.add(KindDutyStopped, b, "the policy this runs under now has no duty of this name", name, w.now)
			continue
		}
		why, cause := "no longer in scope", "left_scope"
		if d.Recipient == "" {
			why, cause = fmt.Sprintf("the scope is known: it is owed to each of %d merchants", affected), "scope_known"
		}
		b := d.body(DutyNot)
		b.Cause = cause
		j.add(KindDutyRuledOut, b, why, d.Recipient, w.now)
	}
}

// judgeTold meets the duties of recipients whose mail was accepted by this decision, without
// looking at anyone else.
func (w *work) judgeTold() {
	s := w.base
	var j judgement
	for _, t := range w.told {
		n := s.notice(t.notice)
		if n == nil || s.Status == StatusClosed {
			continue
		}
		for i := range w.p.Duties {
			d := &w.p.Duties[i]
			if !tells(d) || !covers(w.p, d, n) {
				continue
			}
			r := ruling{w: w, s: s, d: d}
			round, _, cur := r.round(t.recipient)
			if cur == nil || !cur.owing() || w.tooEarly(s, d, cur) {
				continue
			}
			body := cur.body(cur.State)
			if round > 1 {
				body.Round = round
			}
			name := t.recipient
			if !toMerchants(w.p, d) {
				name = ""
			}
			j.add(KindDutyMet, cur.metBody(body, w.now, Proof{Notice: n.ID}, triggerOf(n.SentBy)), "", name, w.now)
		}
	}
	j.emit(w)
}

// tooEarly reports whether an act now comes before a floor of the duty.
func (w *work) tooEarly(s *State, d *policy.Duty, cur *DutyInstance) bool {
	if len(d.Floor) == 0 {
		return false
	}
	at, pending, _ := w.timer.floor(s, subject{d: d, recipient: cur.Recipient, applies: cur.Applies})
	return pending || w.now.Before(at)
}

// judgeRecipients looks at every duty of the recipients that were told, and at nobody else's.
func (w *work) judgeRecipients() {
	s := w.state()
	v := w.view(s)
	var j judgement
	for i := range w.p.Duties {
		d := &w.p.Duties[i]
		if !runsIn(s, d) || d.To == "" {
			continue
		}
		r := w.ruling(s, d, &v)
		r.prepare()
		j.private = r.merchants && !r.alike()
		for _, t := range w.told {
			if r.merchants && s.inScope(t.recipient) || !r.merchants && partyOf(d) == t.recipient {
				r.judge(&j, t.recipient, r.merchants)
			}
		}
	}
	j.emit(w)
}

// judgeTime looks only at what the passing of time alone can have changed.
func (w *work) judgeTime() {
	s := w.s
	if s.Status == StatusDismissed || s.Into != nil || w.folded != len(w.facts) && w.reach == byAll {
		return
	}
	var risk, missed []*DutyInstance
	pages := map[string]*pageDue{}
	look := func(d *DutyInstance) {
		switch {
		case d.State != DutyMissed && !d.Due.IsZero() && w.now.After(d.Due):
			missed = append(missed, d)
		case d.State == DutyRunning || d.State == DutyProvisional:
			if at := riskAt(d); !at.IsZero() && !w.now.Before(at) {
				risk = append(risk, d)
			}
		}
		if d.certain() {
			w.escalate(s, d, pages)
		}
	}
	moves := map[*Standing]bool{} // what has come to its time, for whomever it stands so
	for _, o := range s.Owing() {
		if s.Status == StatusClosed {
			if of := w.duty(o.Of.Duty); of == nil || !outlives(of) {
				continue
			}
		}
		if look(o.Of); len(risk)+len(missed)+len(pages) > 0 {
			moves[o.Of.Standing] = true
			risk, missed = nil, nil
			clear(pages)
		}
	}
	if len(moves) == 0 {
		return
	}
	for _, d := range s.Duties {
		if moves[d.Standing] && !(len(w.told) > 0 && w.metNow(d)) {
			look(d)
		}
	}
	if len(risk)+len(missed) > 0 {
		var j judgement
		for _, d := range sortDuties(w.p, missed) {
			w.timeStep(&j, KindDutyMissed, DutyMissed, d, d.Due)
		}
		for _, d := range sortDuties(w.p, risk) {
			w.timeStep(&j, KindDutyAtRisk, DutyAtRisk, d, riskAt(d))
		}
		j.emit(w)
	}
	w.owePages(pages)
}

// metNow reports whether this decision meets the instance: its fact is on its way.
func (w *work) metNow(d *DutyInstance) bool {
	for _, t := range w.told {
		if d.Recipient == t.recipient && t.recipient != "" {
			if of := w.duty(d.Duty); of != nil && covers(w.p, of, w.base.notice(t.notice)) && !w.tooEarly(w.base, of, d) {
				return true
			}
		}
	}
	return false
}

func (w *work) timeStep(j *judgement, kind Kind, to DutyState, d *DutyInstance, at time.Time) {
	b := d.body(to)
	b.At = at
	merchant := ""
	if of := w.duty(d.Duty); of != nil && merchantsOf(w.p, w.s, of) {
		merchant = d.Recipient
	}
	j.add(kind, b, "", merchant, at)
}

// sortDuties puts instances in the policy's order, then by key: decisions never depend on the
// order of a map.
func sortDuties(p *policy.Program, list []*DutyInstance) []*DutyInstance {
	if len(list) < 2 {
		return list
	}
	rank := make(map[string]int, len(p.Duties))
	for i := range p.Duties {
		rank[p.Duties[i].ID] = i
	}
	slices.SortFunc(list, func(a, b *DutyInstance) int {
		if d := rank[a.Duty] - rank[b.Duty]; d != 0 {
			return d
		}
		return strings.Compare(a.Key, b.Key)
	})
	return list
}
