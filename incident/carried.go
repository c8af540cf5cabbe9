package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// A carried duty was owed in an incident that was merged into this one. It keeps the clock that it had
// there: whatever this incident learns or decides never makes it later and never rules it out. It
// stands beside the duty of this incident, and the earlier of the two clocks presses; one act after the
// merging meets both. An act before the merging, in either incident, meets the duty of the other only
// where it told the same party the same thing.

// carriedKey marks the key of a carried instance with the incident it comes from.
func carriedKey(key, from string) string {
	if from == "" {
		return key
	}
	return key + "@" + from
}

// recipientOf is the merchant of an instance, whose name may stand in a part alone. A party's goes into
// the body.
func (w *work) recipientOf(s *State, d *DutyInstance, b *DutyBody) (merchant string) {
	if of := w.duty(d.Duty); of != nil && d.Recipient != "" && merchantsOf(w.p, s, of) {
		b.Recipient = ""
		return d.Recipient
	}
	b.Recipient = d.Recipient
	return ""
}

// carry takes the clock of an instance over as it stands.
func (w *work) carry(j *judgement, s *State, d *DutyInstance, from string) {
	if d.From != "" {
		from = d.From
	}
	if w.base.Duties[carriedKey(dutyKey(d.Duty, d.Recipient, d.Round), from)] != nil {
		return // carried before: an incident is merged once, and what it carries keeps its origin
	}
	b := d.body(d.State)
	b.From, b.Carried = from, w.now
	b.Applies, b.AtOnce, b.Earliest, b.Missed, b.Late, b.Called = d.Applies, d.AtOnce, d.Earliest, d.Missed, d.Late, d.Escalated
	merchant := w.recipientOf(s, d, &b)
	why := "carried from " + from + ": " + d.Why
	if d.From != "" {
		why = d.Why
	}
	j.add(KindDutyCarried, b, why, merchant, w.now)
}

// judgeCarried takes the steps of the carried clocks: met by an act, stopped by a dismissal, resumed by
// a reopening, and certain once what was unknown is.
func (w *work) judgeCarried(s *State, j *judgement) {
	if len(s.Merged) == 0 {
		return
	}
	var list []*DutyInstance
	for _, d := range s.Duties {
		if d.From != "" && (d.owing() || d.State == DutyStopped) {
			list = append(list, d)
		}
	}
	v := w.view(s)
	for _, d := range sortDuties(w.p, list) {
		of := w.duty(d.Duty)
		if of == nil {
			continue
		}
		b := d.body(d.State)
		name := w.recipientOf(s, d, &b)
		if d.State == DutyStopped {
			if s.Status == StatusOpen && d.Cause == "dismissed" {
				b.State, b.Cause = DutyRunning, "reopened"
				if len(d.Unknown) > 0 {
					b.State = DutyProvisional
				}
				j.add(KindDutyResumed, b, d.Why, name, w.now)
			}
			continue
		}
		if at, proof, trigger, ok := w.carriedMet(s, of, d); ok {
			j.add(KindDutyMet, d.metBody(b, at, proof, trigger), "", name, at)
			continue
		}
		left := s.Adjusted[d.Recipient]
		switch {
		case s.Status == StatusDismissed:
			b.State, b.Cause = DutyStopped, "dismissed"
			j.add(KindDutyStopped, b, "the incident was dismissed", name, w.now)
		case name != "" && left != nil && !left.Include && left.At.After(d.Carried):
			b.State, b.Cause = DutyNot, "left_scope"
			j.add(KindDutyRuledOut, b, "no longer in scope", name, w.now)
		case len(d.Unknown) > 0 && name+d.Recipient != "" && !slices.Contains(d.Unknown, "scope"):
			r := w.ruling(s, of, &v)
			if r.verdict(d.Recipient, r.merchants).Value != policy.True {
				continue
			}
			b.State, b.Unknown, b.Cause = DutyRunning, nil, "condition_proved"
			if d.State == DutyMissed {
				b.State = DutyMissed
			}
			j.add(KindDutyMoved, b, d.Why, name, w.now)
		}
	}
}

// carriedMet says what meets a carried duty. Acts count that come after the merging; and a letter from
// before it where the recipient was told the very numbers that a letter would say now.
func (w *work) carriedMet(s *State, of *policy.Duty, d *DutyInstance) (at time.Time, proof Proof, trigger string, ok bool) {
	take := func(t time.Time, p Proof, who string) {
		if !t.IsZero() && !t.Before(d.Floor) && (!ok || t.Before(at)) {
			at, proof, trigger, ok = t, p, who, true
		}
	}
	since := func(t time.Time, p Proof, who string) {
		if t.After(d.Carried) {
			take(t, p, who)
		}
	}
	for i := range s.Done {
		if x := &s.Done[i]; x.Duty == d.Duty && x.From == d.From && x.Recipient == d.Recipient {
			take(x.At, Proof{Done: i + 1}, triggerOf(x.By))
		}
	}
	merchants := merchantsOf(w.p, s, of)
	switch {
	case tells(of) && merchants && d.Recipient == "":
		if last, all := w.everybodyTold(s, of, d); all {
			take(last, Proof{}, "person")
		}
	case tells(of):
		for _, n := range s.Notices {
			if got := n.Deliveries[d.Recipient]; got != nil && got.State == DeliveryAccepted && covers(w.p, of, n) &&
				(got.At.After(d.Carried) || merchants && got.Told != nil && sameNumbers(got.Told, s.Row(d.Recipient))) {
				take(got.At, Proof{Notice: n.ID}, triggerOf(n.SentBy))
			}
		}
	case of.Do == policy.Answer:
		for _, name := range of.Of {
			if a := s.Answers[name]; a != nil {
				since(a.At, Proof{Answer: name}, triggerOf(a.By))
			}
		}
	case of.Do == policy.Reach:
		last, all := "", true
		for _, name := range of.Of {
			switch m := s.Milestones[name]; {
			case m == nil:
				all = false
			case last == "" || m.At.After(s.Milestones[last].At):
				last = name
			}
		}
		if all && last != "" {
			since(s.Milestones[last].At, Proof{Milestone: last}, triggerOf(s.Milestones[last].By))
		}
	default:
		for _, name := range metNames(of) {
			if m := s.Milestones[name]; m != nil {
				since(m.At, Proof{Milestone: name}, triggerOf(m.By))
			}
		}
	}
	return at, proof, trigger, ok
}

// everybodyTold is when the last merchant was told, of a duty that was owed to nobody in particular
// because its incident had no scope: once a scope was computed after the merging, and all of its
// merchants were told.
func (w *work) everybodyTold(s *State, of *policy.Duty, d *DutyInstance) (last time.Time, all bool) {
	if n := len(s.Scopes); n == 0 || !s.Scopes[n-1].At.After(d.Carried) {
		return last, false
	}
	for _, m := range Affected(s) {
		x := s.Duties[dutyKey(of.ID, m, 0)]
		if x == nil || !x.met() {
			return last, false
		}
		last, all = laterOf(last, x.Met), true
	}
	return last, all
}

// toldBefore takes the letters of incidents that were merged in for a duty of this one: where they said
// everything the duty asks for, and the recipient's own numbers as they are now.
func (r *ruling) toldBefore(recipient string, take func(time.Time, Proof, string)) {
	for _, m := range r.s.Merged {
		for _, told := range m.Tellings[recipient] {
			i := slices.IndexFunc(m.Notices, func(n NoticeIn) bool { return n.In == told.In && n.ID == told.Notice })
			if i < 0 || told.Said == nil || !sameNumbers(told.Said, r.s.Row(recipient)) {
				continue
			}
			n := m.Notices[i]
			of := dutyOf(r.w.p, n.Duty)
			says := of != nil && of.Do == r.d.Do && !slices.ContainsFunc(r.d.Content, func(item string) bool { return !slices.Contains(n.Content, item) })
			if says {
				take(told.At, Proof{Notice: told.In + "/" + told.Notice}, triggerOf(n.SentBy))
			}
		}
	}
}

// completeCarried lets a person say what meets a carried duty: that an act of either incident covers
// both is for people to judge, under their name.
func (w *work) completeCarried(d *DutyInstance, c Complete) (Reason, error) {
	if !d.owing() {
		return ReasonNothingChanged, nil
	}
	if !w.leads() {
		return "", w.refuseLead("saying that " + d.Key + " is met")
	}
	at := c.At.UTC()
	if c.At.IsZero() {
		at = w.now
	}
	if at.Before(d.Floor) {
		return w.refuseGate("done", d.Key, RefusedTooEarly, "it is too early for "+d.Key, nil,
			Missing{What: "not before " + d.Floor.UTC().Format(time.RFC3339), Do: "wait until then: tocsin clocks " + w.base.ID, Rule: d.Duty})
	}
	b := DoneBody{Duty: d.Duty, From: d.From, At: at}
	parts := []Part{own(PlainText{c.Note})}
	if of := w.duty(d.Duty); of != nil && merchantsOf(w.p, w.base, of) && d.Recipient != "" {
		parts = append(parts, Part{Merchant: d.Recipient, Body: emptyBody})
	} else {
		b.Recipient = d.Recipient
	}
	w.add(KindDone, w.ctx.Actor.Principal, at, b, parts...)
	return ReasonCompleted, nil
}

// carriedIn finds a carried instance by its key, such as contain@INC-2.
func (s *State) carriedIn(key string) *DutyInstance {
	if !strings.Contains(key, "@") {
		return nil
	}
	if d := s.Duties[key]; d != nil && d.From != "" {
		return d
	}
	return nil
}
