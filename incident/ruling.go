package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// ruling judges the instances of one duty.
type ruling struct {
	w         *work
	s         *State
	d         *policy.Duty
	v         *policy.View
	cond      condition
	unless    condition
	merchants bool     // an instance for each merchant in scope
	shared    bool     // every recipient has the same clocks
	clock     *clockAt // of all, once computed
	noScope   bool
	covers    map[string]bool // notice id → its content covers the duty

	// Of duties whose recipients are all alike: what every instance comes to, and who is to be
	// looked at.
	uniform   bool
	body      DutyBody
	no, until bool
	seen      int
	list      []string
}

func (w *work) ruling(s *State, d *policy.Duty, v *policy.View) *ruling {
	r := &ruling{w: w, s: s, d: d, v: v, merchants: merchantsOf(w.p, s, d), shared: !perRecipient(w.p, d)}
	r.cond = newCondition(w.p, d.When, v, w.now)
	if d.Unless != nil {
		r.unless = newCondition(w.p, d.Unless, v, w.now)
	}
	return r
}

// alike reports whether the reasons of the duty are the same for every recipient.
func (r *ruling) alike() bool {
	return r.cond.common != nil && (r.d.Unless == nil || r.unless.common != nil) && !r.personal()
}

// personal reports whether a clock's text speaks of the recipient: of its contract, its law.
func (r *ruling) personal() bool {
	return slices.ContainsFunc(r.d.Due, func(c policy.Clock) bool {
		return c.Kind == "contract" || c.Kind == "law" && r.w.p.Laws != nil
	})
}

// prepare works out what every instance comes to, where the recipients are all alike.
func (r *ruling) prepare() {
	if !r.merchants || !r.shared || !r.alike() || r.d.Every != nil || !tells(r.d) {
		return
	}
	r.uniform = true
	clk := r.clocks("", nil, subject{d: r.d})
	verdict := r.verdict("", true)
	r.no = verdict.Value == policy.False || clk.none
	r.until = r.reached(subject{d: r.d})
	r.body = r.bodyOf(clk, verdict, subject{d: r.d}, 1)
	if !clk.anchored {
		r.body.Started = time.Time{}
	}
}

// quiet reports whether an instance of a duty whose recipients are all alike has no step to take.
func (r *ruling) quiet(d *DutyInstance) bool {
	open, anchored := r.live(), !r.body.Started.IsZero()
	switch {
	case d.State == DutyWaived:
		return true
	case d.owing():
		if !open || r.until || r.no {
			return false
		}
		if len(r.s.Notices)+len(r.s.Merged) > 0 {
			if _, _, _, ok := r.metBy(d.Recipient, nil, d); ok {
				return false
			}
		}
		return !anchored || !d.moved(r.body)
	case d.met():
		return !anchored || !d.moved(r.body)
	case d.State == DutyStopped:
		return !open || d.Cause == "until" && r.until
	}
	return !open || r.no || !anchored
}

// subject is whose clock is judged: the recipient, and when the duty first applied to it.
func (r *ruling) subject(recipient string, cur *DutyInstance) subject {
	sub := subject{d: r.d, recipient: recipient}
	if cur != nil {
		sub.again = cur.Again
		if cur.met() && r.takenBack(cur) {
			sub.again = r.s.Reopened
		}
	}
	if r.s.Programme && r.d.For == "each" {
		if e := r.s.event(recipient); e != nil {
			sub.applies = e.At
			return sub
		}
	}
	if first := r.s.Duties[dutyKey(r.d.ID, recipient, 0)]; first != nil {
		cur = first
	}
	switch {
	case cur != nil && !cur.Applies.IsZero():
		sub.applies = cur.Applies
	case cur != nil && cur.owing():
		sub.applies = cur.Started // recorded by an engine that did not note it
	default:
		sub.applies = r.w.now
	}
	return sub
}

// judge takes one step for one recipient, if there is one to take.
func (r *ruling) judge(j *judgement, recipient string, merchant bool) {
	round, prev, cur := r.round(recipient)
	if r.d.Every != nil && r.d.Every.Period != "" {
		r.judgeEarlier(j, recipient, merchant, round)
	}
	r.judgeRound(j, recipient, merchant, round, prev, cur)
}

func (r *ruling) judgeRound(j *judgement, recipient string, merchant bool, round int, prev, cur *DutyInstance) {
	s, now := r.s, r.w.now
	if cur == nil && !r.live() || cur != nil && cur.State == DutyWaived {
		return
	}
	sub := r.subject(recipient, cur)
	until := r.reached(sub)
	clk := r.clocks(recipient, prev, sub)
	verdict := r.verdict(recipient, merchant)
	body := r.bodyOf(clk, verdict, sub, round)
	name := recipient
	if !merchant {
		body.Recipient, name = recipient, ""
	}
	no := verdict.Value == policy.False || clk.none
	cause := "condition"
	switch {
	case verdict.Value == policy.False && strings.HasPrefix(verdict.Why, stoodDown):
		cause = "unless"
	case clk.none && verdict.Value != policy.False:
		cause = "level"
	}
	switch {
	case cur == nil:
		if !clk.anchored && !clk.none || round > 1 && (until || no) {
			return
		}
		if no {
			body.State, body.Unknown, body.Cause = DutyNot, nil, cause
			j.add(KindDutyRuledOut, body, whyNot(clk, verdict), name, now)
			return
		}
		body.Applies = sub.applies
		if !body.Due.IsZero() && now.After(body.Due) {
			body.AtOnce, body.Cause = now, "late_by_discovery"
		}
		occurred := laterOf(clk.started, s.Opened)
		if occurred.After(now) {
			occurred = now // a period, or an event, that is still to come
		}
		j.add(KindDutyStarted, body, why(clk, verdict, body), name, occurred)
	case cur.owing():
		r.step(j, cur, prev, body, clk, verdict, no, until, recipient, name, cause)
	case cur.met():
		if !clk.anchored {
			return
		}
		if at, proof, trigger, ok := r.metBy(recipient, prev, cur); ok && proof.Milestone != "" && !at.Equal(cur.Met) {
			j.add(KindDutyMet, cur.metBody(body, at, proof, trigger), "", name, at)
			return
		}
		if r.takenBack(cur) {
			if no {
				body.State, body.Unknown, body.Cause = DutyNot, nil, cause
				j.add(KindDutyRuledOut, body, whyNot(clk, verdict), name, now)
				return
			}
			body.Cause = "dismissal_taken_back"
			j.add(KindDutyResumed, body, why(clk, verdict, body), name, now)
			return
		}
		if cur.moved(body) {
			body.State, body.Unknown, body.Cause = cur.metState(cur.Met, body.Due), nil, "corrected"
			j.add(KindDutyMoved, body, why(clk, verdict, body), name, now)
		}
	case cur.State == DutyStopped && no && r.live() && cur.Cause != "until":
		body.State, body.Unknown, body.Cause = DutyNot, nil, cause
		j.add(KindDutyRuledOut, body, whyNot(clk, verdict), name, now)
	case (cur.State == DutyStopped && !(cur.Cause == "until" && until) || cur.State == DutyNot) && !no && clk.anchored && r.live():
		body.Cause = "reopened"
		if body.Due.Equal(cur.Due) {
			body.AtOnce = cur.AtOnce // it was late by discovery, and the reason keeps saying so
		}
		past := r.movedPast(cur, body)
		if cur.State == DutyNot {
			body.Cause = "no_longer_ruled_out"
			if cur.Applies.IsZero() {
				body.Applies = sub.applies
				if !body.Due.IsZero() && now.After(body.Due) {
					body.AtOnce, past = now, ""
				}
			}
		}
		j.add(KindDutyResumed, body, why(clk, verdict, body)+past, name, now)
	}
}

// bodyOf is the body of a fact about an instance as its clocks and conditions stand.
func (r *ruling) bodyOf(clk clockAt, verdict policy.Verdict, sub subject, round int) DutyBody {
	body := DutyBody{Duty: r.d.ID, Anchor: clk.anchor, Started: clk.started, Target: clk.target, Due: clk.due, Cell: cellName(clk.cell), Law: clk.law, Again: sub.again}
	if round > 1 {
		body.Round = round
	}
	if len(r.d.Floor) > 0 {
		body.Floor, _, _ = r.w.timer.floor(r.s, sub)
	}
	body.Unknown = unknowns(verdict, clk)
	body.State = DutyRunning
	if len(body.Unknown) > 0 {
		body.State = DutyProvisional
	}
	return body
}

// step is judge for a duty that is still owed. Being met comes before everything else: a duty met
// in the same instant in which the incident is dismissed was met.
func (r *ruling) step(j *judgement, cur, prev *DutyInstance, body DutyBody, clk clockAt, verdict policy.Verdict, no, until bool, recipient, name, cause string) {
	now := r.w.now
	if at, proof, trigger, ok := r.metBy(recipient, prev, cur); ok {
		j.add(KindDutyMet, cur.metBody(body, at, proof, trigger), "", name, at)
		return
	}
	switch {
	case r.s.Status == StatusDismissed:
		b := cur.body(DutyStopped)
		b.Cause, b.Recipient = "dismissed", body.Recipient
		j.add(KindDutyStopped, b, "the incident was dismissed", name, now)
	case r.s.Status == StatusOpen && cur.Anchor == "closed" && !clk.anchored:
		b := cur.body(DutyStopped)
		b.Cause, b.Recipient = "reopened", body.Recipient
		j.add(KindDutyStopped, b, "counts from the closing, and the incident was reopened", name, now)
	case until:
		b := cur.body(DutyStopped)
		b.Cause, b.Recipient = "until", body.Recipient
		j.add(KindDutyStopped, b, "until "+anchorText(r.d.Until)+", which has happened", name, now)
	case no:
		body.State, body.Unknown, body.Cause = DutyNot, nil, cause
		body.Anchor, body.Started, body.Target, body.Due = cur.Anchor, cur.Started, cur.Target, cur.Due
		j.add(KindDutyRuledOut, body, whyNot(clk, verdict), name, now)
	case clk.anchored && cur.moved(body):
		if cur.State == DutyMissed && !body.Due.IsZero() && now.After(body.Due) {
			body.State = DutyMissed
		}
		body.Cause = cur.moveCause(body)
		if body.Due.Equal(cur.Due) {
			body.AtOnce = cur.AtOnce
		}
		j.add(KindDutyMoved, body, why(clk, verdict, body)+r.movedPast(cur, body), name, now)
	}
}

// takenBack reports whether it was the dismissal or the closing that met an instance, of an incident
// that was reopened since: what was decided by it is owed again.
func (r *ruling) takenBack(cur *DutyInstance) bool {
	if r.d.Do != policy.Decide && r.d.Do != policy.Reach || r.s.Status != StatusOpen || !r.s.Reopened.After(cur.Met) {
		return false
	}
	if r.ending() == "" {
		return false
	}
	others := 0
	for _, name := range metNames(r.d) {
		if r.s.has(name) {
			others++
		}
	}
	// Of a decision any other outcome would have met it as well; of what has to be reached, all the
	// others are still there.
	return r.d.Do == policy.Decide && others == 0 || r.d.Do == policy.Reach && others == len(r.d.Of)-1
}

// ending is the end of an incident that meets the duty, and that a reopening takes back; "" for none.
func (r *ruling) ending() string {
	for _, end := range []string{"dismissed", "closed"} {
		if slices.Contains(metNames(r.d), end) {
			return map[string]string{"dismissed": "dismissal", "closed": "closing"}[end]
		}
	}
	return ""
}

// live reports whether instances of the duty may begin: of an open incident, or of a closed one where
// the duty belongs to the time after it.
func (r *ruling) live() bool {
	return r.s.Status == StatusOpen || r.s.Status == StatusClosed && outlives(r.d)
}

// outlives reports whether a duty is looked at once the incident is closed: the closing meets it, or
// its clock or its floor counts from the closing.
func outlives(d *policy.Duty) bool {
	return onClosing(d) || slices.ContainsFunc(d.Due, func(c policy.Clock) bool { return slices.Contains(c.Anchor.Names, "closed") })
}

// onClosing reports whether nothing before the closing can meet a duty, so that it cannot keep an
// incident from being closed.
func onClosing(d *policy.Duty) bool {
	if (d.Do == policy.Reach || d.Do == policy.Decide && len(d.Of) == 1) && slices.Contains(d.Of, "closed") {
		return true
	}
	return slices.ContainsFunc(d.Floor, func(c policy.Clock) bool {
		return slices.Contains(c.Anchor.Names, "closed") && (c.Anchor.All || len(c.Anchor.Names) == 1)
	})
}

// reached reports whether what ends the duty has happened.
func (r *ruling) reached(sub subject) bool {
	if r.d.Until == nil {
		return false
	}
	name, at, _ := r.w.timer.anchor(r.s, *r.d.Until, sub)
	return name != "" && (r.d.Until.End == "" || r.w.now.After(at))
}

func anchorText(a *policy.Anchor) string {
	between := " or "
	if a.All {
		between = " and "
	}
	text := strings.Join(a.Names, between)
	if a.End != "" {
		text = "the end of the " + a.End + " of " + text
	}
	return text
}

// stoodDown begins the reason of a duty whose unless is proved.
const stoodDown = "it is stood down: "

// verdict says whether the duty is due for a recipient. Only a proved unless stands it down: an
// unknown one does not.
func (r *ruling) verdict(recipient string, merchant bool) policy.Verdict {
	if !merchant {
		recipient = ""
	}
	v := r.cond.eval(r.s, recipient)
	if r.d.Unless != nil && v.Value != policy.False {
		if u := r.unless.eval(r.s, recipient); u.Value == policy.True {
			return policy.Verdict{Value: policy.False, Why: stoodDown + u.Why}
		}
	}
	if r.noScope && v.Value != policy.False {
		v.Value = policy.Unknown
		v.Missing = append(slices.Clone(v.Missing), "scope")
	}
	return v
}

func (r *ruling) clocks(recipient string, prev *DutyInstance, sub subject) clockAt {
	if prev != nil || len(r.d.Due) == 0 && r.d.Every != nil {
		return r.recurs(prev, sub)
	}
	if !r.shared || !sub.again.IsZero() {
		clk := r.w.timer.clocks(r.s, sub, r.v)
		clk.ending = r.ending()
		return clk
	}
	if r.clock == nil {
		c := r.w.timer.clocks(r.s, sub, r.v)
		r.clock = &c
	}
	return *r.clock
}
