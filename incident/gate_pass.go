package incident

import (
	"fmt"
	"slices"

	"github.com/tocsin-ir/tocsin/policy"
)

// ownGates are the commands that look at their gates themselves, each where it knows best what is
// missing. Every other command that a gate guards is stopped by guard.
var ownGates = []string{"restore", "close", "send", "publish", "approve", "tick", "sign", "attest", "override"}

// guards reports whether a gate of the policy guards a command under its own name.
func (w *work) guards(name string) bool {
	return !slices.Contains(ownGates, name) && w.base.isOpened() && slices.ContainsFunc(w.p.Gates, func(g policy.Gate) bool { return g.Guards == name })
}

// guard refuses a command that a gate of the policy guards under its own name.
func (w *work) guard(c Command) (Reason, error) {
	name := c.Name()
	if !w.guards(name) {
		return "", nil
	}
	v := w.view(w.base)
	if shut, missing := gateMissing(w.p, w.base, &v, w.ctx.Actor, name); len(missing) > 0 {
		return w.refuseGate(name, "", RefusedGate, name+" is not allowed yet", shut, missing...)
	}
	return "", nil
}

// passed uses up what guard let a command through with, once the command has done something: one that
// found nothing to do needs no signature.
func (w *work) passed(c Command) {
	if name := c.Name(); len(w.facts) > 0 && w.guards(name) {
		v := w.view(w.base)
		w.through(name, "", &v, name)
	}
}

// mayLower says whether the caller may lower the severity: the lead may, and whoever the policy's
// gate on it lets through with the signatures it asks for.
func (w *work) mayLower() (Reason, error) {
	v := w.view(w.base)
	signed := false
	for i := range w.p.Gates {
		signed = signed || w.p.Gates[i].Guards == "lower" && len(w.p.Gates[i].Sign) > 0
	}
	if !signed && !w.leads() {
		return "", w.refuseLead("lowering the severity")
	}
	if shut, missing := gateMissing(w.p, w.base, &v, w.ctx.Actor, "lower"); len(missing) > 0 {
		return w.refuseGate("severity", "", RefusedGate, "the severity may not be lowered yet", shut, missing...)
	}
	w.through("severity", "", &v, "lower")
	return "", nil
}

// through records what a command that is let through uses up: signatures, overrides, each with what was
// missing, and declarations. They were given for this act, and the next one needs its own.
func (w *work) through(command, subject string, v *policy.View, guards ...string) {
	for i := range w.p.Gates {
		g := &w.p.Gates[i]
		if !guarded(g, guards) || g.When != nil && g.When.Eval(*v).Value == policy.False {
			continue
		}
		used := overridden(w.base, g)
		if !used && len(w.base.Attested[g.ID]) == 0 && len(w.base.Signatures[g.ID]) == 0 {
			continue
		}
		var missing []Missing
		if used {
			missing = lacks(w.p, w.base, v, w.ctx.Actor, g)
		}
		w.fact(KindOverridden, OverriddenBody{Gate: g.ID, Command: command, Subject: subject, N: len(missing)}, own(RefusedText{Missing: missing}))
	}
}

// foldOverridden uses up what was given to the gate. A gate that was shut stays on record.
func foldOverridden(s *State, f Fact) error {
	var b OverriddenBody
	var t RefusedText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	if b.N > 0 {
		s.Overrides = append(s.Overrides, OverrideOf{Gate: b.Gate, Command: b.Command, By: s.Waivers[b.Gate], Missing: t.Missing, At: f.Recorded, Fact: f.ID})
	}
	if len(s.Signatures[b.Gate]) > 0 {
		delete(writable(s, inSignatures, &s.Signatures), b.Gate)
	}
	if len(s.Attested[b.Gate]) > 0 {
		delete(writable(s, inAttested, &s.Attested), b.Gate)
	}
	if len(s.Waivers[b.Gate]) > 0 {
		delete(writable(s, inWaivers, &s.Waivers), b.Gate)
	}
	return nil
}

// overridden reports whether enough people have signed for passing the gate although it is shut.
func overridden(s *State, g *policy.Gate) bool {
	return g.Override != nil && len(s.Waivers[g.ID]) > 0 && len(unsigned(slotsOf(g.Override.Sign), s.Waivers[g.ID])) == 0
}

func (w *work) gate(id string) *policy.Gate {
	for i := range w.p.Gates {
		if w.p.Gates[i].ID == id {
			return &w.p.Gates[i]
		}
	}
	return nil
}

func (w *work) attest(c Attest) (Reason, error) {
	g := w.gate(c.Gate)
	if g == nil {
		return "", invalid("gate", "the policy has no such gate")
	}
	if g.Attest == "" {
		return "", invalid("gate", "asks for no declaration")
	}
	if hasSigned(w.base.Attested[g.ID], w.ctx.Actor.Principal) {
		return ReasonAlreadyAttested, nil
	}
	w.fact(KindAttested, GateSignedBody{Gate: g.ID})
	return ReasonAttested, nil
}

func foldAttested(s *State, f Fact) error {
	var b GateSignedBody
	if err := header(f, &b); err != nil {
		return err
	}
	attested := writable(s, inAttested, &s.Attested)
	if !hasSigned(attested[b.Gate], f.Principal) {
		attested[b.Gate] = append(slices.Clone(attested[b.Gate]), signature(f, nil))
	}
	return nil
}

// override takes one signature for passing a gate that is shut, with its reason.
func (w *work) override(c Override) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	g := w.gate(c.Gate)
	if g == nil {
		return "", invalid("gate", "the policy has no such gate")
	}
	if g.Override == nil {
		return "", refuse(RefusedGate, fmt.Sprintf("the policy lets nobody override gate %s", g.ID),
			Missing{What: "an override in the policy", Do: "open the gate instead: tocsin incident show " + w.base.ID, Rule: g.ID})
	}
	signed := w.base.Waivers[g.ID]
	if hasSigned(signed, w.ctx.Actor.Principal) {
		return ReasonAlreadySigned, nil
	}
	v := w.view(w.base)
	if len(lacks(w.p, w.base, &v, Actor{}, g)) == 0 {
		return ReasonNothingChanged, nil // it is open: there is nothing to override
	}
	need := slotsOf(g.Override.Sign)
	if len(need) == 0 {
		need = []string{""}
	}
	mine := w.slots(need)
	if len(mine) == 0 {
		return w.refuseGate("override", g.ID, RefusedRole, fmt.Sprintf("%s holds no role that may override gate %s", w.ctx.Actor.Principal, g.ID), []string{g.ID},
			signaturesMissing(w.base, unsigned(need, signed), "override "+g.ID+" --reason …", g.ID)...)
	}
	w.fact(KindWaiver, GateSignedBody{Gate: g.ID, Roles: mine}, own(Reasoned{c.Reason}))
	if len(unsigned(need, append(slices.Clone(signed), Signed{By: w.ctx.Actor.Principal, Roles: mine}))) > 0 {
		return ReasonSigned, nil
	}
	return ReasonOverridden, nil
}

func foldWaiver(s *State, f Fact) error {
	var b GateSignedBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	waivers := writable(s, inWaivers, &s.Waivers)
	if hasSigned(waivers[b.Gate], f.Principal) {
		return fmt.Errorf("incident: fact %s: %s has signed to override gate %s already", f.ID, f.Principal, b.Gate)
	}
	signed := signature(f, b.Roles)
	signed.Text = t.Reason
	waivers[b.Gate] = append(slices.Clone(waivers[b.Gate]), signed)
	return nil
}

// judgeGates pages the signers of a gate when nothing but their signatures is missing and a clock
// waits behind it. A gate never stops a clock: it is people who have to hurry.
func (w *work) judgeGates(s *State, v *policy.View) {
	if s.Status != StatusOpen || s.Programme {
		return
	}
	for i := range w.p.Gates {
		g := &w.p.Gates[i]
		need := slotsOf(g.Sign)
		if len(need) == 0 || overridden(s, g) || g.When != nil && g.When.Eval(*v).Value == policy.False ||
			slices.ContainsFunc(g.Need, func(c *policy.Condition) bool { return c.Eval(*v).Value != policy.True }) {
			continue
		}
		roles := unsigned(need, s.Signatures[g.ID])
		if len(roles) == 0 {
			continue
		}
		d := w.behind(s, g)
		if d == nil {
			continue
		}
		slices.Sort(roles)
		for _, role := range slices.Compact(roles) {
			id := "gate/" + g.ID + "/" + role
			if s.Pages[id] == nil {
				w.tick(KindPageOwed, w.now, PageBody{Page: id, State: PageOwed, Duty: d.Duty, Role: role, Due: d.Due, Round: d.Round, N: 1})
			}
		}
	}
}

// behind is the most urgent clock that waits behind a gate: of a duty that the guarded command
// would meet, and that is proved.
func (w *work) behind(s *State, g *policy.Gate) *DutyInstance {
	verbs := w.meets(s, g)
	var first *DutyInstance
	for i := range w.p.Duties {
		d := &w.p.Duties[i]
		if t := s.Tally[d.ID]; t == nil || t.Open == 0 || !slices.Contains(verbs, d.Do) {
			continue
		}
		for _, x := range s.Duties {
			if x.Duty == d.ID && x.owing() && len(x.Unknown) == 0 && (first == nil || moreUrgent(x, first)) {
				first = x
			}
		}
	}
	return first
}

func moreUrgent(a, b *DutyInstance) bool {
	if c := urgency(a).Compare(urgency(b)); c != 0 {
		return c < 0
	}
	return a.Key < b.Key
}

// meets lists the verbs of the duties that wait for the command a gate guards, where it is at that:
// a notice is ready to be sent, an action is planned.
func (w *work) meets(s *State, g *policy.Gate) []policy.Verb {
	switch {
	case g.Guards == "restore":
		return []policy.Verb{policy.Restore}
	case g.Guards == "publish":
		if s.Assessment != nil && len(reviewMissing(w.p, s, VersionInternal)) == 0 {
			return []policy.Verb{policy.Review}
		}
	case guardNames("send", g.Guards):
		if slices.ContainsFunc(s.Notices, func(n *Notice) bool { return n.State == NoticeApproved }) {
			return []policy.Verb{policy.Notify, policy.Announce}
		}
	default:
		if slices.ContainsFunc(s.Actions, func(a *Action) bool {
			return a.State == ActionPlanned && slices.Contains(actionGuards(a), g.Guards)
		}) {
			return []policy.Verb{policy.Contain}
		}
	}
	return nil
}
