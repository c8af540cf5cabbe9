package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// judgement collects the duty facts of one round, one fact for all recipients that share it.
type judgement struct {
	groups  []*dutyGroup
	byKey   map[dutyGroupKey]*dutyGroup
	private bool // the reasons speak of one recipient each: they stand in that recipient's part
}

type dutyGroup struct {
	kind      Kind
	body      DutyBody
	why       string
	occurred  time.Time
	merchants []Part
}

type dutyGroupKey struct {
	kind                         Kind
	duty, party, state, anchor   string
	started, target, due, atOnce int64
	unknown, cause, why, trigger string
	milestone, notice            string
	at                           int64
	round                        int
}

func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// add records one step of one instance. A merchant joins the merchants that take the same step.
func (j *judgement) add(kind Kind, b DutyBody, why, merchant string, occurred time.Time) {
	mine := Part{Merchant: merchant, Body: emptyBody}
	if merchant != "" {
		b.Recipient = "" // a header never names a merchant
		if j.private && why != "" {
			mine, why = part(merchant, DutyText{Why: why}), ""
		}
	}
	k := dutyGroupKey{
		kind: kind, duty: b.Duty, party: b.Recipient, state: string(b.State), anchor: b.Anchor,
		started: nano(b.Started), target: nano(b.Target), due: nano(b.Due), atOnce: nano(b.AtOnce),
		unknown: strings.Join(b.Unknown, " "), cause: b.Cause, why: why, trigger: b.Trigger, at: nano(b.At), round: b.Round,
	}
	if b.Proof != nil {
		k.milestone, k.notice = b.Proof.Milestone, b.Proof.Notice
	}
	g := j.byKey[k]
	if g == nil {
		g = &dutyGroup{kind: kind, body: b, why: why, occurred: occurred}
		if j.byKey == nil {
			j.byKey = map[dutyGroupKey]*dutyGroup{}
		}
		j.byKey[k] = g
		j.groups = append(j.groups, g)
	}
	g.body.N++
	if merchant != "" {
		g.merchants = append(g.merchants, mine)
	}
}

func (j *judgement) emit(w *work) {
	for _, g := range j.groups {
		parts := make([]Part, 0, len(g.merchants)+1)
		if g.why != "" {
			parts = append(parts, own(DutyText{Why: g.why}))
		}
		parts = append(parts, g.merchants...)
		switch g.kind {
		case KindDutyMissed, KindDutyAtRisk:
			w.tick(g.kind, g.occurred, g.body, parts...)
		default:
			w.rule(g.kind, g.occurred, g.body, parts...)
		}
	}
}

// judgeAll looks at every duty of the policy. Milestones that follow from others come first: the
// duties are looked at again once they are recorded.
func (w *work) judgeAll() {
	s := w.state()
	if s.Status == StatusClosed || !s.isOpened() {
		return
	}
	if s.Status == StatusOpen {
		n := len(w.facts)
		v := view(w.p, s)
		w.deriveMilestones(s)
		w.deriveSeverity(s, &v)
		if len(w.facts) > n {
			return
		}
	}
	v := view(w.p, s)
	var j judgement
	affected := Affected(s)
	merchantDuties := map[string]bool{}
	for i := range w.p.Duties {
		d := &w.p.Duties[i]
		if d.For == "programme" {
			continue
		}
		r := ruling{w: w, s: s, d: d, v: &v, cond: newCondition(d.When, &v), shared: !perRecipient(d)}
		switch {
		case !toMerchants(w.p, d):
			r.judge(&j, partyOf(d), false)
		case len(s.Scopes) == 0 && len(affected) == 0:
			// Nobody has worked out who is affected. The clock runs all the same, for nobody in
			// particular, so that it cannot be lost.
			merchantDuties[d.ID] = true
			r.noScope = true
			r.judge(&j, "", false)
		default:
			merchantDuties[d.ID] = true
			j.private = r.cond.common == nil
			for _, m := range affected {
				r.judge(&j, m, true)
			}
			j.private = false
		}
	}
	w.judgeStrays(s, &j, merchantDuties, affected)
	j.emit(w)
	w.judgeTime()
}

// judgeStrays rules out what is owed to merchants that have left the scope, and the clock for
// nobody in particular once the scope names them.
func (w *work) judgeStrays(s *State, j *judgement, merchantDuties map[string]bool, affected []string) {
	if s.Status != StatusOpen || len(s.Scopes) == 0 && len(affected) == 0 {
		return
	}
	var strays []*DutyInstance
	for _, d := range s.Duties {
		if d.owing() && merchantDuties[d.Duty] && (d.Recipient == "" || !s.inScope(d.Recipient)) {
			strays = append(strays, d)
		}
	}
	slices.SortFunc(strays, func(a, b *DutyInstance) int { return strings.Compare(a.Key, b.Key) })
	for _, d := range strays {
		why, cause := "no longer in scope", "left_scope"
		if d.Recipient == "" {
			why, cause = fmt.Sprintf("the scope is known: it is owed to each of %d merchants", len(affected)), "scope_known"
		}
		b := d.body(DutyNot)
		b.Cause = cause
		j.add(KindDutyRuledOut, b, why, d.Recipient, w.now)
	}
}

// ruling judges the instances of one duty.
type ruling struct {
	w       *work
	s       *State
	d       *policy.Duty
	v       *policy.View
	cond    condition
	shared  bool     // every recipient has the same clocks
	clock   *clockAt // of all, once computed
	noScope bool
	covers  map[string]bool // notice id → its content covers the duty
}

// judge takes one step for one recipient, if there is one to take.
func (r *ruling) judge(j *judgement, recipient string, merchant bool) {
	s, d, now := r.s, r.d, r.w.now
	round, prev, cur := r.round(recipient)
	if cur == nil && s.Status != StatusOpen || cur != nil && cur.State == DutyWaived {
		return
	}
	var until bool
	if d.Until != nil {
		name, _ := anchor(s, d.Until.Names, d.Until.All, recipient)
		until = name != ""
	}
	clk := r.clocks(recipient, prev)
	verdict := r.verdict(recipient, merchant)
	body := DutyBody{Duty: d.ID, Anchor: clk.anchor, Started: clk.started, Target: clk.target, Due: clk.due}
	if round > 1 {
		body.Round = round
	}
	name := recipient
	if !merchant {
		body.Recipient, name = recipient, ""
	}
	body.Unknown = unknowns(verdict, clk)
	body.State = DutyRunning
	if len(body.Unknown) > 0 {
		body.State = DutyProvisional
	}
	no := verdict.Value == policy.False || clk.none
	switch {
	case cur == nil:
		if !clk.anchored && !clk.none || round > 1 && until {
			return
		}
		if no {
			body.State, body.Unknown, body.Cause = DutyNot, nil, "condition"
			j.add(KindDutyRuledOut, body, whyNot(clk, verdict), name, now)
			return
		}
		if !body.Due.IsZero() && now.After(body.Due) {
			body.AtOnce, body.Cause = now, "late_by_discovery"
		}
		j.add(KindDutyStarted, body, why(clk, verdict, body), name, laterOf(clk.started, s.Opened))
	case cur.owing():
		r.step(j, cur, prev, body, clk, verdict, no, until, recipient, name)
	case cur.met():
		if !clk.anchored {
			return
		}
		if at, proof, trigger, ok := r.metBy(recipient, prev); ok && proof.Milestone != "" && !at.Equal(cur.Met) {
			j.add(KindDutyMet, cur.metBody(body, at, proof, trigger), "", name, at)
			return
		}
		if cur.moved(body) {
			body.State, body.Unknown, body.Cause = cur.metState(cur.Met, body.Due), nil, "corrected"
			j.add(KindDutyMoved, body, why(clk, verdict, body), name, now)
		}
	case cur.State == DutyStopped && no && s.Status == StatusOpen && cur.Cause != "until":
		body.State, body.Unknown, body.Cause = DutyNot, nil, "condition"
		j.add(KindDutyRuledOut, body, whyNot(clk, verdict), name, now)
	case (cur.State == DutyStopped && !(cur.Cause == "until" && until) || cur.State == DutyNot) && !no && clk.anchored && s.Status == StatusOpen:
		body.Cause = "reopened"
		if cur.State == DutyNot {
			body.Cause = "no_longer_ruled_out"
		}
		j.add(KindDutyResumed, body, why(clk, verdict, body), name, now)
	}
}

// step is judge for a duty that is still owed. Being met comes before everything else: a duty met
// in the same instant in which the incident is dismissed was met.
func (r *ruling) step(j *judgement, cur, prev *DutyInstance, body DutyBody, clk clockAt, verdict policy.Verdict, no, until bool, recipient, name string) {
	now := r.w.now
	if at, proof, trigger, ok := r.metBy(recipient, prev); ok {
		j.add(KindDutyMet, cur.metBody(body, at, proof, trigger), "", name, at)
		return
	}
	switch {
	case r.s.Status == StatusDismissed:
		b := cur.body(DutyStopped)
		b.Cause, b.Recipient = "dismissed", body.Recipient
		j.add(KindDutyStopped, b, "the incident was dismissed", name, now)
	case until:
		b := cur.body(DutyStopped)
		b.Cause, b.Recipient = "until", body.Recipient
		j.add(KindDutyStopped, b, "until "+strings.Join(r.d.Until.Names, " or ")+", which has happened", name, now)
	case no:
		body.State, body.Unknown, body.Cause = DutyNot, nil, "condition"
		body.Anchor, body.Started, body.Target, body.Due = cur.Anchor, cur.Started, cur.Target, cur.Due
		j.add(KindDutyRuledOut, body, whyNot(clk, verdict), name, now)
	case clk.anchored && cur.moved(body):
		if cur.State == DutyMissed && !body.Due.IsZero() && now.After(body.Due) {
			body.State = DutyMissed
		}
		body.Cause = cur.moveCause(body)
		j.add(KindDutyMoved, body, why(clk, verdict, body), name, now)
	}
}

// round finds the newest instance of a recipient: a duty with a cadence begins again each time it
// was met.
func (r *ruling) round(recipient string) (n int, prev, cur *DutyInstance) {
	cur = r.s.Duties[dutyKey(r.d.ID, recipient, 0)]
	if r.d.Every == nil {
		return 1, nil, cur
	}
	n = 1
	for {
		next := r.s.Duties[dutyKey(r.d.ID, recipient, n+1)]
		if next == nil {
			break
		}
		n, prev, cur = n+1, cur, next
	}
	if cur != nil && cur.met() && r.s.Status == StatusOpen {
		return n + 1, cur, nil
	}
	return n, prev, cur
}

func (r *ruling) clocks(recipient string, prev *DutyInstance) clockAt {
	if prev != nil {
		c := clockAt{anchor: r.d.ID + ".met", started: prev.Met, anchored: true, text: "every " + r.d.Every.Span.String() + " after the last"}
		if r.d.Every.Span.Target != nil {
			c.target = r.w.timer.add(prev.Met, *r.d.Every.Span.Target)
		}
		if r.d.Every.Span.Limit != nil {
			c.due = r.w.timer.add(prev.Met, *r.d.Every.Span.Limit)
		}
		return c
	}
	if !r.shared {
		return r.w.timer.clocks(r.s, r.d, r.v, recipient)
	}
	if r.clock == nil {
		c := r.w.timer.clocks(r.s, r.d, r.v, recipient)
		r.clock = &c
	}
	return *r.clock
}

func (r *ruling) verdict(recipient string, merchant bool) policy.Verdict {
	if !merchant {
		recipient = ""
	}
	v := r.cond.eval(r.s, recipient)
	if r.noScope && v.Value != policy.False {
		v.Value = policy.Unknown
		v.Missing = append(slices.Clone(v.Missing), "scope")
	}
	return v
}

// metBy says what meets the duty for a recipient, if anything has.
func (r *ruling) metBy(recipient string, prev *DutyInstance) (at time.Time, proof Proof, trigger string, ok bool) {
	switch r.d.Do {
	case policy.Notify, policy.Announce:
		var since time.Time
		if prev != nil {
			since = prev.Met
		}
		for _, n := range r.s.Notices {
			if !r.coveredBy(n) {
				continue
			}
			got := n.Deliveries[recipient]
			if got == nil || got.State != DeliveryAccepted || recipient == "" || prev != nil && !got.At.After(since) {
				continue
			}
			if !ok || got.At.Before(at) {
				at, proof, trigger, ok = got.At, Proof{Notice: n.ID}, triggerOf(n.SentBy), true
			}
		}
		return at, proof, trigger, ok
	}
	for _, name := range metNames(r.d) {
		m := r.s.Milestones[name]
		if m != nil && (!ok || m.At.Before(at)) {
			at, proof, ok = m.At, Proof{Milestone: name}, true
			trigger = triggerOf(m.By)
			if name == "contained" && m.Auto {
				trigger = r.s.containedBy()
			}
		}
	}
	return at, proof, trigger, ok
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

func covers(p *policy.Program, d *policy.Duty, n *Notice) bool {
	if of := dutyOf(p, n.Duty); of == nil || of.Do != d.Do {
		return false
	}
	for _, item := range d.Content {
		if strings.TrimSpace(n.Content[item]) == "" {
			return false
		}
	}
	return true
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
			if d.Do != policy.Notify && d.Do != policy.Announce || !covers(w.p, d, n) {
				continue
			}
			r := ruling{w: w, s: s, d: d}
			round, _, cur := r.round(t.recipient)
			if cur == nil || !cur.owing() {
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

// judgeRecipients looks at every duty of the recipients that were told, and at nobody else's.
func (w *work) judgeRecipients() {
	s := w.state()
	v := view(w.p, s)
	var j judgement
	for i := range w.p.Duties {
		d := &w.p.Duties[i]
		if d.For == "programme" || d.To == "" {
			continue
		}
		r := ruling{w: w, s: s, d: d, v: &v, cond: newCondition(d.When, &v), shared: !perRecipient(d)}
		merchants := toMerchants(w.p, d)
		j.private = merchants && r.cond.common == nil
		for _, t := range w.told {
			if merchants && s.inScope(t.recipient) || !merchants && partyOf(d) == t.recipient {
				r.judge(&j, t.recipient, merchants)
			}
		}
	}
	j.emit(w)
}

// judgeTime looks only at what the passing of time alone can have changed.
func (w *work) judgeTime() {
	s := w.s
	if s.Status != StatusOpen || w.folded != len(w.facts) && w.reach == byAll {
		return
	}
	var risk, missed []*DutyInstance
	pages := map[string]*pageDue{}
	for _, d := range s.Duties {
		if !d.owing() || w.metNow(d) {
			continue
		}
		switch {
		case d.State != DutyMissed && !d.Due.IsZero() && w.now.After(d.Due):
			missed = append(missed, d)
		case d.State == DutyRunning || d.State == DutyProvisional:
			if at := riskAt(d); !at.IsZero() && !w.now.Before(at) {
				risk = append(risk, d)
			}
		}
		w.escalate(s, d, pages)
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
			if of := dutyOf(w.p, d.Duty); of != nil && covers(w.p, of, w.base.notice(t.notice)) {
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
	if of := dutyOf(w.p, d.Duty); of != nil && toMerchants(w.p, of) {
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
