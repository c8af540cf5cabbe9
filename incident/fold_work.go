package incident

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dutyKey names an instance: the duty, the duty and a recipient, or one of them in a later round.
func dutyKey(duty, recipient string, round int) string {
	key := duty
	if recipient != "" {
		key += "/" + recipient
	}
	if round > 1 {
		key += "#" + strconv.Itoa(round)
	}
	return key
}

// recipients calls fn for each recipient a fact speaks for, with the part that is about it: its
// merchants, else the party (or the incident itself, ""), whose details stand in the header's own
// part.
func recipients(f Fact, party string, fn func(string, Part)) {
	merchants := false
	var own Part
	for _, p := range f.Parts {
		if p.Merchant != "" {
			merchants = true
			fn(p.Merchant, p)
		} else {
			own = p
		}
	}
	if !merchants {
		fn(party, own)
	}
}

func foldDuty(s *State, f Fact) error {
	var b DutyBody
	var t DutyText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	var failed error
	why := "" // thousands of recipients have one reason, each in a part of its own: it is kept once
	changed := make([]change, 0, len(f.Parts)+1)
	duties := s.writableDuties()
	// What the fact, with which reason, made of which standing for the recipient before.
	var from, to *Standing
	with := ""
	recipients(f, b.Recipient, func(recipient string, p Part) {
		t := t
		if p.Merchant != "" && len(p.Body) > len(emptyBody) {
			if err := decodePart(f, p, &t); err != nil {
				failed = err
				return
			}
			if t.Why != why {
				why = t.Why
			}
			t.Why = why
		}
		key := carriedKey(dutyKey(b.Duty, recipient, b.Round), b.From)
		old := duties[key]
		d := &DutyInstance{Key: key, Recipient: s.nameOf(recipient)}
		var was *Standing
		if old != nil {
			*d, was = *old, old.Standing
		}
		if to == nil || from != was || with != t.Why {
			next, err := was.next(f, key, b, t)
			if err != nil {
				failed = err
				return
			}
			from, to, with = was, next, t.Why
		}
		d.Standing = to
		switch {
		case f.Kind == KindDutyMet:
			d.Proof = s.proof(b.Proof, recipient)
		case !d.met():
			d.Proof = "" // what met it was taken back
		}
		duties[key] = d
		changed = append(changed, change{old, d})
	})
	if failed != nil {
		return failed
	}
	s.sum(f.Kind, b.Duty, changed)
	return nil
}

// nameOf is the recipient in the words that the scope has kept it in, so that a merchant's name is in
// memory once and not once for each duty.
func (s *State) nameOf(recipient string) string {
	if e := s.Exposures[recipient]; e != nil {
		return e.Merchant
	}
	return recipient
}

// next is the standing after the fact; of a nil one, the first. The earliest due and the first miss
// never go away.
func (old *Standing) next(f Fact, key string, b DutyBody, t DutyText) (*Standing, error) {
	d := Standing{Duty: b.Duty, Round: b.Round}
	if old != nil {
		d = *old
	}
	if err := dutyMachine.check(f, key, string(d.State), string(b.State)); err != nil {
		return nil, err
	}
	d.State, d.Fact, d.From, d.Carried = b.State, f.ID, b.From, b.Carried
	if t.Why != "" {
		d.Why = t.Why
	}
	switch f.Kind {
	case KindDutyCarried:
		d.Anchor, d.Started, d.Target, d.Due, d.Unknown, d.Cause = b.Anchor, b.Started, b.Target, b.Due, b.Unknown, "carried"
		d.Floor, d.Cell, d.Law, d.Again, d.Applies, d.AtOnce = b.Floor, b.Cell, b.Law, b.Again, b.Applies, b.AtOnce
		d.Earliest, d.Missed, d.Late, d.Escalated = b.Earliest, b.Missed, b.Late, b.Called
	case KindDutyStarted, KindDutyMoved, KindDutyResumed, KindDutyRuledOut:
		d.Anchor, d.Started, d.Target, d.Due, d.Unknown, d.Cause = b.Anchor, b.Started, b.Target, b.Due, b.Unknown, b.Cause
		d.Floor, d.Cell, d.Law = b.Floor, b.Cell, b.Law
		if d.Applies.IsZero() {
			d.Applies = b.Applies
		}
		if b.Again.After(d.Again) {
			d.Again, d.Met, d.Trigger = b.Again, time.Time{}, ""
		}
		if d.AtOnce.IsZero() {
			d.AtOnce = b.AtOnce
		}
		if f.Kind != KindDutyRuledOut && !d.Due.IsZero() && (d.Earliest.IsZero() || d.Due.Before(d.Earliest)) {
			d.Earliest = d.Due
		}
		if f.Kind == KindDutyMoved && d.State == DutyMetLate && d.Missed.IsZero() {
			d.Missed = d.Due
			d.Late = earliest(d.Late, d.Missed)
		}
	case KindDutyMet:
		d.Met, d.Trigger = b.At, b.Trigger
		if d.State == DutyMetLate && d.Missed.IsZero() {
			d.Missed = d.Due
			d.Late = earliest(d.Late, d.Missed)
		}
	case KindDutyMissed:
		if d.Missed.IsZero() {
			d.Missed = b.At
		}
		d.Late = earliest(d.Late, d.Missed)
	case KindDutyAtRisk:
		if d.Due.IsZero() {
			d.Late = earliest(d.Late, b.At)
		}
	case KindDutyWaived:
		d.Cause, d.Waived = b.Cause, b.At
	case KindDutyStopped:
		d.Cause = b.Cause
	}
	return &d, nil
}

// proof is the id of the fact that met a duty.
func (s *State) proof(p *Proof, recipient string) string {
	if p == nil {
		return ""
	}
	if m := s.Milestones[p.Milestone]; p.Milestone != "" && m != nil {
		return m.Fact
	}
	if a := s.Answers[p.Answer]; p.Answer != "" && a != nil {
		return a.Fact
	}
	if p.Done > 0 && p.Done <= len(s.Done) {
		return s.Done[p.Done-1].Fact
	}
	if from, _, other := strings.Cut(p.Notice, "/"); other { // of an incident that was merged in
		for _, m := range s.Merged {
			if m.Incident == from || slices.Contains(m.Also, from) {
				return m.Fact
			}
		}
	}
	if n := s.notice(p.Notice); n != nil {
		if d := n.Deliveries[recipient]; d != nil {
			return d.Fact
		}
	}
	return ""
}

// owing reports whether the duty is still to be done.
func (d *DutyInstance) owing() bool {
	switch d.State {
	case DutyRunning, DutyProvisional, DutyAtRisk, DutyMissed:
		return true
	}
	return false
}

func (d *DutyInstance) met() bool { return d.State == DutyMet || d.State == DutyMetLate }

// change is one instance before and after a fact.
type change struct{ before, after *DutyInstance }

// sum brings the sums of a duty up to date. Most steps only add to them; what may take an instant
// away from the first or last that the sums hold has them counted again.
func (s *State) sum(kind Kind, duty string, changed []change) {
	t := Tally{}
	if old := s.Tally[duty]; old != nil {
		t = *old
	}
	for _, c := range changed {
		adds := kind == KindDutyStarted || kind == KindDutyMissed || kind == KindDutyAtRisk ||
			c.before != nil && c.before.owing() && (kind == KindDutyMet || kind == KindDutyWaived)
		if !adds {
			s.retally(duty)
			return
		}
		if c.before != nil {
			t.count(c.before, -1)
		}
		t.count(c.after, +1)
	}
	writable(s, inTally, &s.Tally)[duty] = &t
}

// retally counts a duty again from its instances: an instant may have moved away from the first
// or last that the sums hold.
func (s *State) retally(duty string) {
	t := &Tally{}
	for _, d := range s.Duties {
		if d.Duty == duty {
			t.count(d, +1)
		}
	}
	writable(s, inTally, &s.Tally)[duty] = t
}

func (t *Tally) count(d *DutyInstance, by int) {
	if d.owing() {
		t.Open += by
	}
	if d.met() {
		t.Met += by
	}
	if by < 0 {
		return
	}
	if d.State != DutyNot && !d.Started.IsZero() && (t.FirstStarted.IsZero() || d.Started.Before(t.FirstStarted)) {
		t.FirstStarted = d.Started
	}
	if !d.Missed.IsZero() && (t.FirstMissed.IsZero() || d.Missed.Before(t.FirstMissed)) {
		t.FirstMissed = d.Missed
	}
	if d.State != DutyNot && !d.Applies.IsZero() && (t.FirstApplies.IsZero() || d.Applies.Before(t.FirstApplies)) {
		t.FirstApplies = d.Applies
	}
	if !d.Late.IsZero() && (t.FirstLate.IsZero() || d.Late.Before(t.FirstLate)) {
		t.FirstLate = d.Late
	}
	if d.met() && d.Met.After(t.LastMet) {
		t.LastMet = d.Met
	}
	if d.State == DutyWaived && d.Waived.After(t.LastWaived) {
		t.LastWaived = d.Waived
	}
}

// earliest is the earlier of two instants; a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func foldPlanned(s *State, f Fact) error {
	var b ActionBody
	var t PlannedText
	if err := header(f, &b); err != nil {
		return err
	}
	for _, p := range f.Parts {
		if err := decodePart(f, p, &t); err != nil {
			return err
		}
	}
	if s.action(b.Action) != nil {
		return fmt.Errorf("incident: fact %s plans %s, which there is already", f.ID, b.Action)
	}
	if err := actionMachine.check(f, b.Action, "", string(b.State)); err != nil {
		return err
	}
	s.setAction(&Action{
		ID: b.Action, Decl: b.Decl, Uses: b.Uses, Secret: b.Secret, Expires: b.Expires, State: b.State,
		Target: t.Target, Steps: t.Steps, Blast: t.Blast, UndoText: t.Undo, Reason: t.Reason,
		PlannedBy: f.Principal, PlannedAt: f.Recorded,
	})
	return nil
}

func foldAction(s *State, f Fact) error {
	var b ActionBody
	var t ResultText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	old := s.action(b.Action)
	if old == nil {
		return fmt.Errorf("incident: fact %s: there is no action %s", f.ID, b.Action)
	}
	if err := actionMachine.check(f, b.Action, string(old.State), string(b.State)); err != nil {
		return err
	}
	a := *old
	a.State = b.State
	switch f.Kind {
	case KindActionApproved:
		if hasSigned(a.Approvals, f.Principal) {
			return fmt.Errorf("incident: fact %s: %s has signed %s already", f.ID, f.Principal, a.ID)
		}
		a.Approvals = append(append([]Signed(nil), a.Approvals...), signature(f, b.Roles))
	case KindActionCancelled:
		a.Code, a.NextTry = "cancelled", b.Retry
	case KindActionAttempted:
		a.Attempts++
		if old.State == ActionApproved {
			a.Applies++
		}
		a.Attempted, a.NextTry = b.Effect, b.Retry
	case KindActionUndo:
		a.Prior, a.UndoWhy, a.Attempted, a.NextTry, a.Unsure = old.State, t.Reason, "", b.Retry, 0
	default: // a result
		a.Attempted, a.NextTry, a.Code = "", b.Retry, b.Code
		if f.Kind == KindActionUncertain {
			a.Unsure++
		} else {
			a.Unsure = 0
		}
		if f.Kind == KindActionFailed && old.State == ActionUndoing {
			a.Expires = time.Time{} // an undo that failed is a person's to decide, not the clock's to repeat
		}
	}
	switch f.Kind {
	case KindActionApplied:
		a.AppliedAt = f.Recorded
	case KindActionProven:
		a.ProvenAt, a.Proof = f.Recorded, t.Proof
		if a.AppliedAt.IsZero() {
			a.AppliedAt = f.Recorded
		}
	case KindActionUnproven:
		a.Proof = t.Proof
	}
	s.setAction(&a)
	if f.Kind == KindActionApplied || f.Kind == KindActionUndone {
		return s.staleChecks(f)
	}
	return nil
}

func foldDrafted(s *State, f Fact) error {
	var b NoticeBody
	var t NoticeText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	n := Notice{ID: b.Notice, Duty: b.Duty, Corrects: b.Corrects}
	if old := s.notice(b.Notice); old != nil {
		n = *old
	}
	if err := noticeMachine.check(f, b.Notice, string(n.State), string(b.State)); err != nil {
		return err
	}
	n.State, n.Subject, n.Content, n.Approvals, n.OpenItems = b.State, t.Subject, t.Content, nil, b.Open
	if n.DraftedBy == "" {
		n.DraftedBy, n.DraftedAt = f.Principal, f.Recorded
	}
	n.Authors = append([]Principal(nil), n.Authors...)
	for _, who := range n.Authors {
		if who == f.Principal {
			s.setNotice(&n)
			return nil
		}
	}
	n.Authors = append(n.Authors, f.Principal)
	s.setNotice(&n)
	return nil
}

func foldNoticeApproved(s *State, f Fact) error {
	var b NoticeBody
	if err := header(f, &b); err != nil {
		return err
	}
	old := s.notice(b.Notice)
	if old == nil {
		return fmt.Errorf("incident: fact %s: there is no notice %s", f.ID, b.Notice)
	}
	if err := noticeMachine.check(f, b.Notice, string(old.State), string(b.State)); err != nil {
		return err
	}
	if hasSigned(old.Approvals, f.Principal) {
		return fmt.Errorf("incident: fact %s: %s has signed %s already", f.ID, f.Principal, b.Notice)
	}
	n := *old
	n.State = b.State
	n.Approvals = append(append([]Signed(nil), n.Approvals...), signature(f, b.Roles))
	s.setNotice(&n)
	return nil
}

func foldSending(s *State, f Fact) error {
	var b NoticeBody
	if err := header(f, &b); err != nil {
		return err
	}
	old := s.notice(b.Notice)
	if old == nil {
		return fmt.Errorf("incident: fact %s: there is no notice %s", f.ID, b.Notice)
	}
	if err := noticeMachine.check(f, b.Notice, string(old.State), string(b.State)); err != nil {
		return err
	}
	n := *old
	n.State = b.State
	if n.SentBy == "" {
		n.SentBy, n.SentAt = f.Principal, f.Recorded
	}
	rows := s.deliveries(&n)
	add := func(recipient string) error {
		d := Delivery{Recipient: recipient}
		if was := rows[recipient]; was != nil {
			d = *was
		}
		if err := deliveryMachine.check(f, b.Notice, string(d.State), string(DeliveryOwed)); err != nil {
			return err
		}
		d.State, d.At, d.Fact = DeliveryOwed, f.Recorded, f.ID
		rows[recipient] = &d
		n.Open++
		return nil
	}
	for _, p := range f.Parts {
		if p.Merchant == "" {
			continue
		}
		if err := add(p.Merchant); err != nil {
			return err
		}
	}
	for _, party := range b.Parties {
		if err := add(party); err != nil {
			return err
		}
	}
	s.setNotice(&n)
	return nil
}

func foldDelivery(s *State, f Fact) error {
	var b DeliveryBody
	if err := header(f, &b); err != nil {
		return err
	}
	old := s.notice(b.Notice)
	if old == nil {
		return fmt.Errorf("incident: fact %s: there is no notice %s", f.ID, b.Notice)
	}
	n := *old
	rows := s.deliveries(&n)
	var failed error
	recipients(f, b.Party, func(recipient string, p Part) {
		var t DeliveryPart
		if failed != nil {
			return
		}
		if failed = decodePart(f, p, &t); failed != nil {
			return
		}
		was := rows[recipient]
		if was == nil {
			failed = fmt.Errorf("incident: fact %s: notice %s has no recipient of that name", f.ID, b.Notice)
			return
		}
		if failed = deliveryMachine.check(f, b.Notice, string(was.State), string(b.State)); failed != nil {
			return
		}
		d := was.after(f, b, t)
		if f.Kind == KindNoticeAttempted || f.Kind == KindNoticeTold {
			d.Told, d.Outside = s.numbersOf(recipient), b.Party == "" && !s.inScope(recipient)
		}
		rows[recipient] = d
		n.Open += d.unsettled() - was.unsettled()
	})
	if failed != nil {
		return failed
	}
	switch {
	case n.Open > 0:
		n.State = NoticeSending
	case n.State == NoticeSending:
		n.State = NoticeSent
	}
	if n.State != old.State {
		if err := noticeMachine.check(f, n.ID, string(old.State), string(n.State)); err != nil {
			return err
		}
	}
	s.setNotice(&n)
	return nil
}

// after is the row after a delivery fact.
func (d *Delivery) after(f Fact, b DeliveryBody, t DeliveryPart) *Delivery {
	n := *d
	n.State, n.At, n.Fact, n.NextTry = b.State, f.Recorded, f.ID, b.Retry
	if b.Code != "" {
		n.Code = b.Code
	}
	switch f.Kind {
	case KindNoticeAttempted:
		n.Attempts++
		n.Attempted, n.Channel = t.Effect, b.Via
		if t.MessageID != "" {
			n.MessageID = t.MessageID
		}
		if t.Digest != "" {
			n.Digest = t.Digest
		}
	case KindNoticeUncertain:
		n.Attempted = ""
		n.Unsure++
	case KindNoticeBounced:
		n.used(d)
		n.Address = t.Index
	case KindNoticeResent:
		n.Attempted, n.Unsure, n.Address, n.Code = "", 0, 0, ""
	case KindNoticeDeferred:
		n.used(d)
	case KindNoticeTold:
		n.Attempted, n.Channel = "", b.Via
	default:
		n.Attempted = ""
	}
	return &n
}

// used ends an attempt. A result that came before its attempt uses up the attempt's number, so
// that an effect's id never stands for two.
func (d *Delivery) used(was *Delivery) {
	if was.Attempted == "" {
		d.Attempts++
	}
	d.Attempted = ""
}

// unsettled is 1 while the system still has something to do for this recipient.
func (d *Delivery) unsettled() int {
	switch d.State {
	case DeliveryOwed, DeliveryTrying, DeliveryDeferred:
		return 1
	case DeliveryUncertain:
		if d.Unsure < 2 {
			return 1
		}
	}
	return 0
}
