package incident

import (
	"fmt"
	"slices"

	"github.com/tocsin-ir/tocsin/policy"
)

// checksOf are the checks of an incident: those of its policy, and the probes that raised it.
func checksOf(p *policy.Program, s *State) []string {
	var ids []string
	for _, c := range p.Checks {
		ids = append(ids, c.ID)
	}
	for i := range s.Signals {
		if id := s.Signals[i].Facets[Probed]; id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *work) runChecks(c RunChecks) (Reason, error) {
	ids := c.Checks
	declared := checksOf(w.p, w.base)
	if len(ids) == 0 {
		ids = declared
	}
	if len(ids) == 0 {
		return "", invalid("checks", "the policy declares no checks")
	}
	asked := 0
	seen := map[string]bool{}
	for _, id := range ids {
		if !slices.Contains(declared, id) {
			return "", invalid("checks", "the policy declares no check of one of these names, and no probe of that name raised the incident")
		}
		run := 1
		if old := w.base.Checks[id]; old != nil {
			run = old.Run + 1
			if !checkMachine.leads(old.State, KindCheckAsked) {
				continue // it is under way
			}
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		asked++
		w.fact(KindCheckAsked, CheckBody{Check: id, State: CheckOwed, Run: run})
	}
	if asked == 0 {
		return ReasonChecksRunning, nil
	}
	return ReasonChecksAsked, nil
}

func (w *work) recordFix(c RecordFix) (Reason, error) {
	if err := needText("what", c.What, maxText); err != nil {
		return "", err
	}
	w.fact(KindFix, nil, own(PlainText{c.What}))
	if !w.base.has("remediated") {
		w.setMilestone("remediated", w.now, "a fix was recorded")
	}
	return ReasonFixRecorded, nil
}

// verifyFix wants a second pair of eyes: who recorded the fix cannot prove it.
func (w *work) verifyFix(c VerifyFix) (Reason, error) {
	if err := needText("how", c.How, maxText); err != nil {
		return "", err
	}
	if w.base.Fix == nil {
		return w.refuseGate("verify-fix", "", RefusedFix, "there is no fix to verify", nil,
			Missing{What: "no fix is recorded", Do: w.do("record it", "fix", "--what …")})
	}
	if w.base.Fix.By == w.ctx.Actor.Principal {
		return w.refuseGate("verify-fix", "", RefusedOwnWork, fmt.Sprintf("%s recorded the fix and cannot verify it", w.ctx.Actor.Principal), nil,
			Missing{What: "the word of somebody else", Do: w.do("ask another responder", "verify-fix", "--how …")})
	}
	if w.base.FixProof != nil {
		return ReasonNothingChanged, nil
	}
	w.fact(KindFixProof, nil, own(PlainText{c.How}))
	if !w.base.has("verified") {
		w.setMilestone("verified", w.now, "the fix was verified")
	}
	return ReasonFixVerified, nil
}

// restore lets service return. Whatever the gate still misses is listed, and the attempt recorded.
func (w *work) restore(c RestoreService) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if w.base.has("restored") {
		return ReasonAlreadyRestored, nil
	}
	v := w.view(w.base)
	if g := restoreGate(w.p, w.base, &v, w.ctx.Actor); len(g.Missing) > 0 {
		return w.refuseGate("restore", "", RefusedGate, "service may not return yet", g.Gates, g.Missing...)
	}
	if missing := w.tooEarlyFor("restored", w.now); len(missing) > 0 {
		return w.refuseGate("restore", "", RefusedTooEarly, "it is too early to return to service", nil, missing...)
	}
	w.through("restore", "", &v, "restore")
	w.fact(KindRestored, nil, own(Reasoned{c.Reason}))
	w.setMilestone("restored", w.now, c.Reason)
	return ReasonRestored, nil
}

func (w *work) assess(c Assess) (Reason, error) {
	for _, f := range []struct{ field, value string }{{"vector", c.Vector}, {"root_cause", c.RootCause}, {"risk", c.Risk}} {
		if err := needText(f.field, f.value, maxText); err != nil {
			return "", err
		}
	}
	if a := w.base.Assessment; a != nil && a.Vector == c.Vector && a.RootCause == c.RootCause && a.Risk == c.Risk {
		return ReasonNothingChanged, nil
	}
	w.fact(KindAssessed, nil, own(AssessedText(c)))
	if !w.base.has("determined") {
		w.setMilestone("determined", w.now, "the assessment was recorded")
	}
	return ReasonAssessed, nil
}

func (w *work) close(c Close) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if w.base.Status == StatusClosed {
		return ReasonAlreadyClosed, nil
	}
	v := w.view(w.base)
	if g := closeGate(w.p, w.base, &v, w.ctx.Actor); len(g.Missing) > 0 {
		reason := RefusedOwed
		if len(g.Gates) > 0 {
			reason = RefusedGate
		}
		return w.refuseGate("close", "", reason, w.base.ID+" cannot be closed yet", g.Gates, g.Missing...)
	}
	w.through("close", "", &v, "close")
	if w.base.Status == StatusOpen && !w.base.has("resolved") {
		w.setMilestone("resolved", w.now, "closed, so it is resolved")
	}
	w.setMilestone("closed", w.now, c.Reason)
	w.fact(KindClosed, nil, own(Reasoned{c.Reason}))
	return ReasonClosed, nil
}

func (w *work) recordExport(c RecordExport) (Reason, error) {
	if err := needID("digest", c.Digest); err != nil {
		return "", err
	}
	if err := needText("recipient", c.Recipient, maxTitle); err != nil {
		return "", err
	}
	if c.Bytes < 0 {
		return "", invalid("bytes", "must not be negative")
	}
	w.fact(KindExported, ExportedBody{Digest: c.Digest, Bytes: c.Bytes}, own(ExportedText{Recipient: c.Recipient}))
	return ReasonExportRecorded, nil
}

func (w *work) snapshot(c Snapshot) (Reason, error) {
	if err := needID("log", c.Log); err != nil {
		return "", err
	}
	if err := needText("checkpoint", c.Checkpoint, maxText); err != nil {
		return "", err
	}
	w.fact(KindSnapshot, SnapshotBody(c))
	return ReasonSnapshot, nil
}
