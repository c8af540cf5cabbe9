package incident

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/policy"
)

func (w *work) planAction(c PlanAction) (Reason, error) {
	decl := actionDecl(w.p, c.Action)
	if decl == nil {
		return "", invalid("action", "the policy has no such action")
	}
	if err := checkMap("target", c.Target, maxReason); err != nil {
		return "", err
	}
	if len(c.Steps) > maxItems {
		return "", invalid("steps", "has more than %d entries", maxItems)
	}
	for _, s := range c.Steps {
		if err := checkText("steps", s, maxReason); err != nil {
			return "", err
		}
	}
	for _, f := range []struct{ field, value string }{{"blast", c.Blast}, {"undo", c.Undo}, {"secret", c.Secret}} {
		if err := checkText(f.field, f.value, maxReason); err != nil {
			return "", err
		}
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if !c.Expires.IsZero() && !c.Expires.After(w.now) {
		return "", invalid("expires", "lies in the past")
	}
	id := fmt.Sprintf("ACT-%d", len(w.base.Actions)+1)
	merchant := c.Target["merchant"]
	if merchant == "*" {
		merchant = ""
	}
	body := ActionBody{Action: id, State: ActionPlanned, Decl: decl.ID, Uses: decl.Uses, Secret: c.Secret}
	if !c.Expires.IsZero() {
		body.Expires = c.Expires.UTC()
	}
	w.fact(KindActionPlanned, body, part(merchant, PlannedText{Target: c.Target, Steps: c.Steps, Blast: c.Blast, Undo: c.Undo, Reason: c.Reason}))
	return ReasonPlanned, nil
}

func (w *work) findAction(id string) (*Action, error) {
	if a := w.base.action(id); a != nil {
		return a, nil
	}
	if len(w.base.Actions) == 0 {
		return nil, refuse(RefusedUnknown, "no action is planned in "+w.base.ID,
			Missing{What: "a planned action", Do: w.do("plan one", "contain", "ACTION --reason …")})
	}
	if id == "" {
		return nil, refuse(RefusedUnknown, "no action is named",
			Missing{What: "the id of an action of " + w.base.ID, Do: "see which there are: tocsin incident show " + w.base.ID})
	}
	return nil, refuse(RefusedUnknown, fmt.Sprintf("there is no action %q in %s", id, w.base.ID),
		Missing{What: "a planned action of that id", Do: "see which there are: tocsin incident show " + w.base.ID})
}

// approveAction takes one signature. The planner never counts, nobody counts twice, and the last
// signature is what makes the action owed: whatever a gate or the policy's order asks for first is
// asked here.
func (w *work) approveAction(c ApproveAction) (Reason, error) {
	a, err := w.findAction(c.Action)
	if err != nil {
		return "", err
	}
	me := w.ctx.Actor.Principal
	if hasSigned(a.Approvals, me) {
		return ReasonAlreadySigned, nil
	}
	switch a.State {
	case ActionPlanned:
	case ActionApproved, ActionApplied, ActionProven:
		return ReasonAlreadyApproved, nil
	default:
		return "", refuse(RefusedState, fmt.Sprintf("%s is %s and cannot be approved", a.ID, a.State),
			Missing{What: "an action that is planned", Do: w.do("plan it again", "plan", a.Decl)})
	}
	if a.PlannedBy == me {
		return w.refuseGate("approve", a.ID, RefusedOwnWork, fmt.Sprintf("%s planned %s and cannot approve it", me, a.ID), nil,
			Missing{What: "the approval of somebody else", Do: w.do("ask another responder", "approve", a.ID), Rule: a.Decl})
	}
	decl := actionDecl(w.p, a.Decl)
	var need []string
	if decl != nil {
		need = slices.Clone(decl.Approve)
	}
	if len(need) == 0 {
		need = []string{""}
	}
	signed := append(slices.Clone(a.Approvals), Signed{By: me, Roles: w.slots(need)})
	before, after := unsigned(need, a.Approvals), unsigned(need, signed)
	if len(after) == len(before) {
		return w.refuseGate("approve", a.ID, RefusedRole, fmt.Sprintf("%s holds no role whose signature %s still needs", me, a.ID), nil,
			w.signatures(before, "approve "+a.ID, a.Decl)...)
	}
	v := w.view(w.base)
	shut, missing := gateMissing(w.p, w.base, &v, w.ctx.Actor, actionGuards(a)...)
	missing = append(missing, w.firstThings(decl)...)
	if len(missing) > 0 {
		return w.refuseGate("approve", a.ID, RefusedGate, a.ID+" cannot be approved yet", shut, missing...)
	}
	body := ActionBody{Action: a.ID, State: ActionPlanned, Roles: w.slots(need)}
	if len(after) > 0 {
		w.fact(KindActionApproved, body) // what the gate asked for is used up when the last one signs
		return ReasonSigned, nil
	}
	w.through("approve", a.ID, &v, actionGuards(a)...)
	body.State = ActionApproved
	w.fact(KindActionApproved, body)
	return ReasonApproved, nil
}

// actionGuards are the names under which a gate may guard an action: approve guards them all; else
// the action's id, the verb its id begins with (rotate guards rotate_secret), its connector, or the
// connector's verb (rotate guards envfile.rotate).
func actionGuards(a *Action) []string {
	verb, _, _ := strings.Cut(a.Decl, "_")
	return []string{"approve", a.Decl, verb, a.Uses, a.Uses[strings.LastIndexByte(a.Uses, '.')+1:]}
}

// firstThings lists what the policy wants done before an action: a snapshot of the evidence, a
// milestone, or another action that is proven.
func (w *work) firstThings(decl *policy.ActionDecl) []Missing {
	if decl == nil {
		return nil
	}
	var missing []Missing
	for _, first := range decl.After {
		switch {
		case first == "snapshot" || first == "evidence.snapshot":
			if len(w.base.Snapshots) == 0 {
				missing = append(missing, Missing{What: "a snapshot of the evidence", Do: w.do("take it", "snapshot", ""), Rule: decl.ID})
			}
		case actionDecl(w.p, first) != nil:
			if !slices.ContainsFunc(w.base.Actions, func(a *Action) bool { return a.Decl == first && a.State == ActionProven }) {
				missing = append(missing, Missing{What: "the action " + first + ", proven", Do: w.do("plan it", "plan", first), Rule: decl.ID})
			}
		case !w.base.has(first):
			missing = append(missing, Missing{What: "the milestone " + first, Do: "see what sets it: tocsin incident show " + w.base.ID, Rule: decl.ID})
		}
	}
	return missing
}

// signatures words the roles that still have to sign.
func (w *work) signatures(roles []string, command, rule string) []Missing {
	return signaturesMissing(w.base, roles, command, rule)
}

func signaturesMissing(s *State, roles []string, command, rule string) []Missing {
	var missing []Missing
	name, rest, _ := strings.Cut(command, " ")
	for _, r := range roles {
		what, do := "the signature of a person with the role "+r, "as a person with the role "+r
		if r == "" {
			what, do = "the signature of another responder", "as another responder"
		}
		missing = append(missing, Missing{What: what, Do: doLine(s, do, name, rest), Rule: rule})
	}
	return missing
}

func (w *work) cancelAction(c CancelAction) (Reason, error) {
	a, err := w.findAction(c.Action)
	if err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if a.State == ActionCancelled {
		return ReasonAlreadyCancel, nil
	}
	if !actionMachine.leads(string(a.State), KindActionCancelled) || a.Attempted != "" {
		return "", refuse(RefusedState, fmt.Sprintf("%s is %s: what may have taken effect is undone, not cancelled", a.ID, a.State),
			Missing{What: "an action that was not applied", Do: w.do("undo it", "undo", a.ID)})
	}
	w.fact(KindActionCancelled, ActionBody{Action: a.ID, State: ActionCancelled}, own(ResultText{Reason: c.Reason}))
	return ReasonCancelled, nil
}

func (w *work) undoAction(c UndoActionCmd) (Reason, error) {
	a, err := w.findAction(c.Action)
	if err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if a.State == ActionUndoing || a.State == ActionUndone {
		return ReasonAlreadyUndone, nil
	}
	if !actionMachine.leads(string(a.State), KindActionUndo) || a.Attempted != "" {
		do := w.do("cancel it", "cancel", a.ID)
		if a.Attempted != "" {
			do = "wait for the result: tocsin incident show " + w.base.ID
		}
		return "", refuse(RefusedState, fmt.Sprintf("%s is %s and cannot be undone now", a.ID, a.State), Missing{What: "an applied action with nothing under way", Do: do})
	}
	w.fact(KindActionUndo, ActionBody{Action: a.ID, State: ActionUndoing}, own(ResultText{Reason: c.Reason}))
	return ReasonUndoAsked, nil
}
