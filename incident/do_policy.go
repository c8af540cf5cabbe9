package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

func (w *work) setScale(c SetScale) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	for i := range w.p.Scales {
		scale := &w.p.Scales[i]
		if scale.ID != c.Scale {
			continue
		}
		rank := func(id string) int {
			return slices.IndexFunc(scale.Levels, func(l policy.Level) bool { return l.ID == id })
		}
		to := rank(c.Level)
		if to < 0 {
			names := make([]string, len(scale.Levels))
			for i, l := range scale.Levels {
				names[i] = l.ID
			}
			return "", invalid("level", "must be one of %s", strings.Join(names, ", "))
		}
		from := ""
		if old := w.base.Scales[c.Scale]; old != nil {
			from = old.Level
		}
		if from == c.Level {
			return ReasonNothingChanged, nil
		}
		if from != "" && to > rank(from) && !w.leads() {
			return "", w.refuseLead("lowering " + c.Scale)
		}
		w.fact(KindScale, ScaleBody{Scale: c.Scale, From: from, Level: c.Level}, own(Reasoned{c.Reason}))
		return ReasonScaleSet, nil
	}
	return "", invalid("scale", "the policy has no scale of that name")
}

func foldScale(s *State, f Fact) error {
	var b ScaleBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	writable(s, inScales, &s.Scales)[b.Scale] = &LevelOf{Level: b.Level, By: f.Principal, At: f.Recorded, Why: t.Reason}
	return nil
}

// deriveScales sets the levels of the policy's own scales by what is known, unless a person has set
// them.
func (w *work) deriveScales(s *State, v *policy.View) {
	for i := range w.p.Scales {
		scale := &w.p.Scales[i]
		now := s.Scales[scale.ID]
		if now != nil && triggerOf(now.By) == "person" {
			continue
		}
		from := ""
		if now != nil {
			from = now.Level
		}
		if level, why := raised(scale.Levels, from, v); level != "" {
			w.rule(KindScale, w.now, ScaleBody{Scale: scale.ID, From: from, Level: level}, own(Reasoned{why}))
		}
	}
}

// readDirectory records what the directory says of merchants where it says something new. A
// merchant the directory does not know is not recorded: what is not known of it stays unknown.
func (w *work) readDirectory(list []Recipient) bool {
	s := w.state()
	var parts []Part
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b Recipient) int { return strings.Compare(a.Merchant, b.Merchant) })
	for _, r := range sorted {
		old := s.Directory[r.Merchant]
		if old != nil && *old == r || !s.inScope(r.Merchant) {
			continue
		}
		parts = append(parts, part(r.Merchant, r))
	}
	if len(parts) == 0 {
		return false
	}
	w.fact(KindDirectory, DirectoryBody{N: len(parts)}, parts...)
	return true
}

func (w *work) recordDirectory(c RecordDirectory) (Reason, error) {
	if len(c.Merchants) > maxMerchants {
		return "", invalid("merchants", "has more than %d entries", maxMerchants)
	}
	for i := range c.Merchants {
		if err := needMerchant("merchants.merchant", c.Merchants[i].Merchant); err != nil {
			return "", err
		}
	}
	if !w.readDirectory(c.Merchants) {
		return ReasonNothingChanged, nil
	}
	return ReasonDirectoryRead, nil
}

func foldDirectory(s *State, f Fact) error {
	directory := writable(s, inDirectory, &s.Directory)
	for _, p := range f.Parts {
		if p.Merchant == "" {
			continue
		}
		r := &Recipient{}
		if err := decodePart(f, p, r); err != nil {
			return err
		}
		r.Merchant = p.Merchant
		directory[p.Merchant] = r
	}
	return nil
}

// complete records that a duty is done. A duty to reach milestones has them marked, as if each had
// been marked by hand.
func (w *work) complete(c Complete) (Reason, error) {
	if err := needText("note", c.Note, maxText); err != nil {
		return "", err
	}
	if err := notLater("at", c.At, w.now); err != nil {
		return "", err
	}
	if x := w.base.carriedIn(c.Duty); x != nil {
		return w.completeCarried(x, c)
	}
	d := w.duty(c.Duty)
	if d == nil || !runsIn(w.base, d) {
		return "", invalid("duty", "the policy has no such duty here")
	}
	at := c.At.UTC()
	if c.At.IsZero() {
		at = w.now
	}
	if d.Do == policy.Reach && !w.base.Programme {
		return w.reachAll(d, at, c.Note)
	}
	if !byHand(w.base, d) {
		return "", refuse(RefusedUseCommand, fmt.Sprintf("the duty %s is met by what it asks for, not by somebody's word", d.ID),
			Missing{What: "the act itself: " + string(d.Do), Do: "see what meets it: tocsin clocks " + w.base.ID, Rule: d.ID})
	}
	recipient := c.Recipient
	if w.base.Programme {
		if err := w.occurrence(d, &recipient); err != nil {
			return "", err
		}
	} else if recipient != "" {
		return "", invalid("recipient", "is for duties that exist for each event")
	}
	if missing := w.floorMissing(d, recipient, at); len(missing) > 0 {
		return w.refuseGate("done", d.ID, RefusedTooEarly, fmt.Sprintf("it is too early for %s", d.ID), nil, missing...)
	}
	for _, x := range w.base.Done {
		if x.Duty == d.ID && x.Recipient == recipient && x.At.Equal(at) && x.By == w.ctx.Actor.Principal {
			return ReasonNothingChanged, nil
		}
	}
	w.add(KindDone, w.ctx.Actor.Principal, at, DoneBody{Duty: d.ID, Recipient: recipient, At: at}, own(PlainText{c.Note}))
	return ReasonCompleted, nil
}

// occurrence finds which event a duty for each event was done for: the one that is named, or the
// only one that is still owed.
func (w *work) occurrence(d *policy.Duty, recipient *string) error {
	if d.For != "each" {
		if *recipient != "" && *recipient != partyOf(d) {
			return invalid("recipient", "is for duties that exist for each event")
		}
		*recipient = partyOf(d)
		return nil
	}
	if *recipient != "" {
		if e := w.base.event(*recipient); e == nil || e.Event != d.Each {
			return invalid("recipient", "is no recorded event of the kind this duty is for")
		}
		return nil
	}
	var open []string
	for _, e := range w.base.Events {
		if x := w.base.Duties[dutyKey(d.ID, e.ID, 0)]; x != nil && x.owing() {
			open = append(open, e.ID)
		}
	}
	switch len(open) {
	case 0:
		return invalid("duty", "is owed for no event now")
	case 1:
		*recipient = open[0]
		return nil
	}
	return invalid("recipient", "must say for which event: %s", strings.Join(open, ", "))
}

func (w *work) reachAll(d *policy.Duty, at time.Time, note string) (Reason, error) {
	if missing := w.floorMissing(d, "", at); len(missing) > 0 {
		return w.refuseGate("done", d.ID, RefusedTooEarly, fmt.Sprintf("it is too early for %s", d.ID), nil, missing...)
	}
	marked := false
	for _, name := range d.Of {
		if w.base.has(name) {
			continue
		}
		if cmd, ok := ownCommand[name]; ok {
			return "", refuse(RefusedUseCommand, fmt.Sprintf("milestone %s has a command of its own", name),
				Missing{What: "the command " + cmd, Do: w.do("use it", cmd, ""), Rule: d.ID})
		}
		w.add(KindMilestone, w.ctx.Actor.Principal, at, MilestoneBody{Milestone: name, At: at}, own(Reasoned{note}))
		marked = true
	}
	if !marked {
		return ReasonNothingChanged, nil
	}
	return ReasonCompleted, nil
}

func foldDone(s *State, f Fact) error {
	var b DoneBody
	var t PlainText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	for _, p := range f.Parts {
		if p.Merchant != "" {
			b.Recipient = p.Merchant
		}
	}
	s.Done = append(s.Done, DoneOf{Duty: b.Duty, From: b.From, Recipient: b.Recipient, At: b.At, By: f.Principal, Note: t.Text, Fact: f.ID})
	return nil
}

// floorMissing says that an act at an instant comes before a floor of the duty, and until when.
func (w *work) floorMissing(d *policy.Duty, recipient string, at time.Time) []Missing {
	if len(d.Floor) == 0 {
		return nil
	}
	sub := subject{d: d, recipient: recipient, applies: w.now}
	if cur := w.base.Duties[dutyKey(d.ID, recipient, 0)]; cur != nil && !cur.Applies.IsZero() {
		sub.applies = cur.Applies
	}
	floor, pending, text := w.timer.floor(w.base, sub)
	switch {
	case pending:
		return []Missing{{What: "not before " + text + ", which has not happened", Do: "see what sets it: tocsin incident show " + w.base.ID, Rule: d.ID}}
	case at.Before(floor):
		return []Missing{{What: fmt.Sprintf("not before %s (%s)", floor.UTC().Format(time.RFC3339), text), Do: "wait until then: tocsin clocks " + w.base.ID, Rule: d.ID}}
	}
	return nil
}

// tooEarlyFor is what keeps a milestone from being set: the floors of duties that are owed, that it
// would meet and whose act it is.
func (w *work) tooEarlyFor(milestone string, at time.Time) (missing []Missing) {
	for i := range w.p.Duties {
		d := &w.p.Duties[i]
		if len(d.Floor) == 0 || !runsIn(w.base, d) || !slices.Contains(metNames(d), milestone) {
			continue
		}
		if cur := w.base.Duties[dutyKey(d.ID, partyOf(d), 0)]; cur == nil || cur.owing() {
			missing = append(missing, w.floorMissing(d, partyOf(d), at)...)
		}
	}
	return missing
}

// movePolicy puts the incident under the policy that the decision is taken by.
func (w *work) movePolicy(c MovePolicy) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if c.Policy != "" && c.Policy != w.p.Hash {
		return "", invalid("policy", "is not the digest of a policy this server has")
	}
	if w.base.Policy == w.p.Hash {
		return ReasonNothingChanged, nil
	}
	if !w.leads() {
		return "", w.refuseLead("moving " + w.base.ID + " to another policy")
	}
	w.fact(KindPolicyMoved, PolicyMovedBody{From: w.base.Policy, To: w.p.Hash}, own(Reasoned{c.Reason}))
	return ReasonPolicyMoved, nil
}

func foldPolicyMoved(s *State, f Fact) error {
	var b PolicyMovedBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Moves = append(s.Moves, PolicyMove{From: b.From, To: b.To, By: f.Principal, At: f.Recorded, Why: t.Reason})
	s.Policy = b.To
	return nil
}

// toldOtherwise takes a person's word that a recipient was reached by another channel: the mail
// could not be delivered, so that nothing else says that it was told.
func (w *work) toldOtherwise(c Told) (Reason, error) {
	n, err := w.findNotice(c.Notice)
	if err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if err := needID("channel", c.Channel); err != nil {
		return "", err
	}
	d := n.Deliveries[c.Party]
	if d == nil {
		return "", invalid("party", "is no recipient of this notice")
	}
	if d.State == DeliveryAccepted {
		return ReasonNothingChanged, nil
	}
	if !deliveryMachine.leads(string(d.State), KindNoticeTold) || d.unsettled() > 0 {
		return "", refuse(RefusedState, fmt.Sprintf("the delivery is %s: the mail may still arrive", d.State),
			Missing{What: "a delivery that bounced, had no address or stayed uncertain", Do: "see the ledger: tocsin incident show " + w.base.ID})
	}
	body, merchant := w.deliveryBody(n, c.Party, DeliveryAccepted)
	body.Via = c.Channel
	w.fact(KindNoticeTold, body, part(merchant, DeliveryPart{Reason: c.Reason}))
	return ReasonTold, nil
}
