package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/policy"
)

// GateView is one guarded command: it would be let through now when nothing is missing.
type GateView struct {
	Command string    `json:"command"` // restore, close, send, publish, or an action's id
	Gates   []string  `json:"gates,omitempty"`
	Missing []Missing `json:"missing,omitempty"`
}

// Gates says for each guarded command what stands in its way now, whoever gives it. Signatures
// that the caller's own act would count for are listed as missing.
func Gates(p *policy.Program, s *State) []GateView {
	if !s.isOpened() {
		return nil
	}
	v := view(p, s)
	list := []GateView{restoreGate(p, s, &v, Actor{}), closeGate(p, s, &v, Actor{}), publishGate(p, s, &v, Actor{}, VersionInternal)}
	for _, g := range p.Gates {
		known := slices.ContainsFunc(list, func(x GateView) bool { return guardNames(x.Command, g.Guards) })
		if known {
			continue
		}
		shut, missing := gateMissing(p, s, &v, Actor{}, g.Guards)
		command := g.Guards
		if command == "notify" {
			command = "send"
		}
		list = append(list, GateView{Command: command, Gates: shut, Missing: missing})
	}
	return list
}

// Shut names the guarded commands that would be refused now: those that Gates lists with something
// missing, in its order. What is missing is not worked out where one look shows that something is,
// because a board asks this with every fact.
func Shut(p *policy.Program, s *State) []string {
	if !s.isOpened() {
		return nil
	}
	guarded := func(command string) bool {
		return slices.ContainsFunc(p.Gates, func(g policy.Gate) bool { return guardNames(command, g.Guards) })
	}
	var v policy.View
	if len(p.Gates) > 0 { // nobody else reads it
		v = view(p, s)
	}
	var shut []string
	note := func(command string, closed bool) {
		if closed {
			shut = append(shut, command)
		}
	}
	note("restore", !guarded("restore") && (s.Fix == nil || s.FixProof == nil) || len(restoreGate(p, s, &v, Actor{}).Missing) > 0)
	note("close", s.Status != StatusDismissed && s.Review.PublishedAt.IsZero() || len(closeGate(p, s, &v, Actor{}).Missing) > 0)
	note("publish", s.Assessment == nil || len(publishGate(p, s, &v, Actor{}, VersionInternal).Missing) > 0)
	seen := []string{"restore", "close", "publish"}
	for _, g := range p.Gates {
		command := g.Guards
		if command == "notify" {
			command = "send"
		}
		if slices.ContainsFunc(seen, func(x string) bool { return guardNames(x, g.Guards) }) {
			continue
		}
		seen = append(seen, command)
		_, missing := gateMissing(p, s, &v, Actor{}, g.Guards)
		note(command, len(missing) > 0)
	}
	return shut
}

// guardNames reports whether a gate guards a command: policies say notify, the command is send.
func guardNames(command, guards string) bool {
	return command == guards || command == "send" && guards == "notify"
}

func restoreGate(p *policy.Program, s *State, v *policy.View, who Actor) GateView {
	g := GateView{Command: "restore"}
	g.Gates, g.Missing = gateMissing(p, s, v, who, "restore")
	if slices.ContainsFunc(p.Gates, func(g policy.Gate) bool { return g.Guards == "restore" }) {
		return g
	}
	// A policy without a restore gate gets the least there has to be: a proven fix and every check.
	g.Missing = append(g.Missing, fixMissing(s, "")...)
	g.Missing = append(g.Missing, checksMissing(p, s, "")...)
	return g
}

// closeGate: nothing may still be owed, and the review has to be out unless it was a false alarm.
func closeGate(p *policy.Program, s *State, v *policy.View, who Actor) GateView {
	g := GateView{Command: "close"}
	g.Gates, g.Missing = gateMissing(p, s, v, who, "close")
	if s.Status == StatusDismissed {
		return g
	}
	for i := range p.Duties {
		d := &p.Duties[i]
		if d.Asked && !d.Limited() {
			continue // a question without a limit may stay open: what hangs on it runs, and is owed itself
		}
		if onClosing(d) {
			continue
		}
		if t := s.Tally[d.ID]; t != nil && t.Open > 0 {
			what := "the duty " + d.ID + " is still owed"
			if t.Open > 1 {
				what = fmt.Sprintf("the duty %s is still owed to %d recipients", d.ID, t.Open)
			}
			g.Missing = append(g.Missing, Missing{What: what, Do: meetLine(s, d), Rule: d.ID})
		}
	}
	for _, a := range s.Actions {
		if _, owed := owedAction(s, a); owed || a.Attempted != "" {
			g.Missing = append(g.Missing, Missing{What: fmt.Sprintf("%s is %s", a.ID, a.State), Do: doLine(s, "wait for it, or cancel it", "cancel", a.ID)})
		}
	}
	for _, n := range s.Notices {
		if n.Open > 0 {
			g.Missing = append(g.Missing, Missing{What: fmt.Sprintf("%s is still being sent to %d recipients", n.ID, n.Open), Do: "wait for it: tocsin incident show " + s.ID})
		}
	}
	if s.Review.PublishedAt.IsZero() {
		g.Missing = append(g.Missing, Missing{What: "the review is not published", Do: doLine(s, "publish it", "publish", "")})
	}
	return g
}

// PublishMissing lists what a version of the review cannot be published without.
func PublishMissing(p *policy.Program, s *State, version string) []Missing {
	v := view(p, s)
	return publishGate(p, s, &v, Actor{}, version).Missing
}

// publishGate: every part that the version of the review cannot be without, and the assessment.
func publishGate(p *policy.Program, s *State, v *policy.View, who Actor, version string) GateView {
	g := GateView{Command: "publish"}
	g.Gates, g.Missing = gateMissing(p, s, v, who, "publish")
	if version == VersionInternal {
		g.Missing = append(g.Missing, partsMissing(p, s, "review")...)
	} else {
		for _, part := range reviewMissing(p, s, version) {
			g.Missing = append(g.Missing, Missing{What: "the part " + part + " of the " + version + " version is empty",
				Do: "write it: tocsin review write " + s.ID + " " + part + " --version " + version})
		}
	}
	if s.Assessment == nil {
		g.Missing = append(g.Missing, Missing{What: "the assessment of vector, root cause and risk is not recorded", Do: doLine(s, "record it", "assess", "")})
	}
	return g
}

// gateMissing collects what the policy's gates on any of these guards are waiting for: every
// conjunct that is not true, unknown included, the caller's declaration, and every signature that
// is not given. The caller's own act counts as a signature where a role of theirs is asked for. A
// gate that is overridden waits for nothing.
func gateMissing(p *policy.Program, s *State, v *policy.View, who Actor, guards ...string) (shut []string, missing []Missing) {
	for i := range p.Gates {
		g := &p.Gates[i]
		if !guarded(g, guards) || overridden(s, g) {
			continue
		}
		if m := lacks(p, s, v, who, g); len(m) > 0 {
			shut = append(shut, g.ID)
			missing = append(missing, m...)
		}
	}
	return shut, missing
}

func guarded(g *policy.Gate, guards []string) bool {
	return slices.ContainsFunc(guards, func(name string) bool { return guardNames(name, g.Guards) || name == g.Guards })
}

// lacks is what one gate is waiting for; nothing when it stands open, or does not stand at all.
func lacks(p *policy.Program, s *State, v *policy.View, who Actor, g *policy.Gate) (missing []Missing) {
	if g.When != nil && g.When.Eval(*v).Value == policy.False {
		return nil
	}
	for _, need := range g.Need {
		if verdict := need.Eval(*v); verdict.Value != policy.True {
			missing = append(missing, conditionMissing(p, s, g, need, verdict)...)
		}
	}
	if g.Attest != "" && !guardNames("send", g.Guards) { // a notice is attested when it is signed
		given := s.Attested[g.ID]
		if len(given) == 0 || who.Principal != "" && !hasSigned(given, who.Principal) {
			missing = append(missing, Missing{What: "the word of whoever gives the command: " + g.Attest, Do: doLine(s, "give it", "attest", g.ID), Rule: g.ID})
		}
	}
	if need := slotsOf(g.Sign); len(need) > 0 {
		signed := slices.Clone(s.Signatures[g.ID])
		if who.Principal != "" && !hasSigned(signed, who.Principal) {
			signed = append(signed, Signed{By: who.Principal, Roles: rolesOf(s, who, need)})
		}
		missing = append(missing, signaturesMissing(s, unsigned(need, signed), "sign "+g.ID, g.ID)...)
	}
	if len(missing) > 0 && g.Otherwise != "" {
		missing[0].Do += " (" + g.Otherwise + ")"
	}
	return missing
}

// slotsOf writes out one role for each signature that is asked for.
func slotsOf(sign []policy.Signature) (need []string) {
	for _, s := range sign {
		for range max(1, s.N) {
			need = append(need, s.Role)
		}
	}
	return need
}

func rolesOf(s *State, who Actor, need []string) []string {
	var mine []string
	for _, r := range need {
		if slices.Contains(who.Roles, r) || s.Roles[r] == who.Principal {
			mine = append(mine, r)
		}
	}
	return mine
}

// conditionMissing says in words what one conjunct is waiting for, and how to get it.
func conditionMissing(p *policy.Program, s *State, g *policy.Gate, c *policy.Condition, verdict policy.Verdict) []Missing {
	var missing []Missing
	for _, name := range verdict.Missing {
		missing = append(missing, Missing{What: name + " is not known", Do: knowHow(s, name), Rule: g.ID})
	}
	if strings.Contains(c.Source, "checks") {
		missing = append(missing, checksMissing(p, s, g.ID)...)
	}
	if strings.Contains(c.Source, "fix.") {
		missing = append(missing, fixMissing(s, g.ID)...)
	}
	if strings.Contains(c.Source, "actions") {
		missing = append(missing, actionsMissing(s, g.ID)...)
	}
	if strings.Contains(c.Source, "review.missing") {
		missing = append(missing, partsMissing(p, s, g.ID)...)
	}
	if strings.Contains(c.Source, "evidence.snapshot") && len(s.Snapshots) == 0 {
		missing = append(missing, Missing{What: "no snapshot of the evidence has been taken", Do: doLine(s, "take one", "snapshot", ""), Rule: g.ID})
	}
	if len(missing) > 0 {
		return missing
	}
	return []Missing{{What: "this has to be so first: " + cmp.Or(c.Say, c.Source), Do: "see the incident: tocsin incident show " + s.ID, Rule: g.ID}}
}

// partsMissing lists the parts of the review that have no text.
func partsMissing(p *policy.Program, s *State, rule string) []Missing {
	var missing []Missing
	for _, part := range reviewMissing(p, s, VersionInternal) {
		missing = append(missing, Missing{What: "the part " + part + " of the review is empty", Do: doLine(s, "write it", "review", part), Rule: rule})
	}
	return missing
}

func knowHow(s *State, name string) string {
	if fact, ok := strings.CutPrefix(name, "fact."); ok {
		return doLine(s, "answer it", "answer", fact+" yes|no --reason …")
	}
	switch {
	case name == "severity":
		return doLine(s, "set it", "severity", "LEVEL --reason …")
	case strings.HasPrefix(name, "scope"):
		return "compute the scope: tocsin scope --incident " + s.ID
	}
	return "see the incident: tocsin incident show " + s.ID
}

func checksMissing(p *policy.Program, s *State, rule string) []Missing {
	var missing []Missing
	for _, id := range checksOf(p, s) {
		state := "has not run"
		if got := s.Checks[id]; got != nil {
			switch got.State {
			case CheckPassed:
				continue
			case CheckFailed:
				state = "failed"
			case CheckStale:
				state = "passed before something changed"
			default:
				state = "is under way"
			}
		}
		missing = append(missing, Missing{What: "check " + id + " " + state, Do: doLine(s, "run it", "check", id), Rule: rule})
	}
	return missing
}

// actionsMissing lists the actions that are not at an end.
func actionsMissing(s *State, rule string) []Missing {
	var missing []Missing
	for _, a := range s.Actions {
		switch a.State {
		case ActionProven, ActionUndone, ActionCancelled:
			continue
		case ActionPlanned:
			missing = append(missing, Missing{What: fmt.Sprintf("the action %s (%s) is planned and not approved", a.ID, a.Decl), Do: doLine(s, "have it approved, or cancel it", "approve", a.ID), Rule: rule})
		default:
			missing = append(missing, Missing{What: fmt.Sprintf("the action %s (%s) is %s", a.ID, a.Decl, a.State), Do: doLine(s, "wait for its proof, or cancel it", "cancel", a.ID), Rule: rule})
		}
	}
	return missing
}

func fixMissing(s *State, rule string) []Missing {
	switch {
	case s.Fix == nil:
		return []Missing{
			{What: "no fix is recorded", Do: doLine(s, "record it", "fix", "--what …"), Rule: rule},
			{What: "no fix is verified", Do: doLine(s, "have somebody else verify it", "verify-fix", "--how …"), Rule: rule},
		}
	case s.FixProof == nil:
		return []Missing{{What: "the fix is not verified", Do: doLine(s, "have somebody else verify it", "verify-fix", "--how …"), Rule: rule}}
	}
	return nil
}

// sign takes a signature for a gate. Nobody signs one gate twice.
func (w *work) sign(c Sign) (Reason, error) {
	for i := range w.p.Gates {
		g := &w.p.Gates[i]
		if g.ID != c.Gate {
			continue
		}
		need := slotsOf(g.Sign)
		if len(need) == 0 {
			return "", invalid("gate", "asks for no signatures")
		}
		if hasSigned(w.base.Signatures[g.ID], w.ctx.Actor.Principal) {
			return ReasonAlreadySigned, nil
		}
		mine := w.slots(need)
		if len(mine) == 0 {
			return w.refuseGate("sign", "", RefusedRole, fmt.Sprintf("%s holds no role that gate %s asks for", w.ctx.Actor.Principal, g.ID), []string{g.ID},
				signaturesMissing(w.base, need, "sign "+g.ID, g.ID)...)
		}
		w.fact(KindGateSigned, GateSignedBody{Gate: g.ID, Roles: mine})
		return ReasonSigned, nil
	}
	return "", invalid("gate", "the policy has no such gate")
}
