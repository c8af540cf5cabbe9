package incident

import (
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
)

func gated(t *testing.T, gates ...policy.Gate) *world {
	w := newWorld(t)
	w.p.Gates = gates
	w.p.Duties = []policy.Duty{{ID: "back", Do: policy.Restore, Due: []policy.Clock{clock("8h after confirmed", 8, "confirmed")}}}
	return w
}

func TestAGateStandsOnlyWhileItsConditionIsNotRuledOut(t *testing.T) {
	w := gated(t, policy.Gate{ID: "g", Guards: "dismiss", When: factIs("personal_data"), Need: []*policy.Condition{cond("evidence.snapshot", "a snapshot", func(v policy.View) bool { return v.Snapshot })}})
	w.open()
	w.refused(lena, Dismiss{Reason: "x"}, RefusedGate) // unknown: it stands
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "x"}, ReasonAnswered)
	w.must(lena, Dismiss{Reason: "x"}, ReasonDismissed)
}

func TestADeclarationIsAskedOfWhoeverGivesTheCommandAndUsedUp(t *testing.T) {
	w := gated(t, policy.Gate{ID: "careful", Guards: "confirm", Attest: "two sources agree"})
	w.open()
	r := w.refused(lena, Confirm{Reason: "x"}, RefusedGate)
	if !strings.Contains(r.Missing[0].What, "two sources agree") || !strings.Contains(r.Missing[0].Do, "attest INC-1 careful") {
		t.Fatal(r)
	}
	w.must(mark, Attest{Gate: "careful"}, ReasonAttested)
	w.refused(lena, Confirm{Reason: "x"}, RefusedGate) // mark's word is not lena's
	w.must(lena, Attest{Gate: "careful"}, ReasonAttested)
	w.must(lena, Attest{Gate: "careful"}, ReasonAlreadyAttested)
	w.must(lena, Confirm{Reason: "x"}, ReasonConfirmed)
	if len(w.s.Attested["careful"]) != 0 {
		t.Fatal("a declaration serves once")
	}
}

func TestAnOverrideTakesItsSignaturesAndStaysOnRecord(t *testing.T) {
	w := gated(t, policy.Gate{ID: "proof", Guards: "restore", Need: []*policy.Condition{cond("fix.verified", "the fix is verified", func(v policy.View) bool { return v.FixProven })},
		Override: &policy.Override{Sign: []policy.Signature{{N: 2, Role: "engineers"}}, Record: "reason"}},
		policy.Gate{ID: "strict", Guards: "close", Need: []*policy.Condition{factIs("personal_data")}})
	w.confirmed()
	w.refused(lena, RestoreService{Reason: "x"}, RefusedGate)
	w.refused(lena, Override{Gate: "proof", Reason: "x"}, RefusedRole)
	w.refused(nadia, Override{Gate: "strict", Reason: "x"}, RefusedGate) // the policy lets nobody
	w.must(nadia, Override{Gate: "proof", Reason: "shops cannot sell"}, ReasonSigned)
	w.must(nadia, Override{Gate: "proof", Reason: "again"}, ReasonAlreadySigned)
	w.refused(lena, RestoreService{Reason: "x"}, RefusedGate) // two distinct people
	w.must(omar, Override{Gate: "proof", Reason: "agreed"}, ReasonOverridden)
	w.must(lena, RestoreService{Reason: "overridden"}, ReasonRestored)
	if len(w.s.Overrides) != 1 || len(w.s.Overrides[0].By) != 2 || len(w.s.Overrides[0].Missing) == 0 || w.s.Overrides[0].By[0].Text != "shops cannot sell" {
		t.Fatalf("%+v", w.s.Overrides)
	}
	if len(w.s.Waivers["proof"]) != 0 {
		t.Fatal("an override serves once")
	}
}

func TestAGatePagesItsSignersWhenNothingElseIsMissingAndAClockWaits(t *testing.T) {
	w := gated(t, policy.Gate{ID: "proof", Guards: "restore", Need: []*policy.Condition{cond("fix.verified", "the fix is verified", func(v policy.View) bool { return v.FixProven })},
		Sign: []policy.Signature{{N: 1, Role: "lead"}, {N: 2, Role: "engineers"}}})
	w.confirmed()
	if len(w.s.Pages) != 0 {
		t.Fatal("the fix is missing: nobody can sign it away")
	}
	w.must(nadia, RecordFix{What: "x"}, ReasonFixRecorded)
	w.must(omar, VerifyFix{How: "y"}, ReasonFixVerified)
	for _, role := range []string{"lead", "engineers"} {
		if p := w.s.Pages["gate/proof/"+role]; p == nil || p.Duty != "back" {
			t.Fatalf("%s is not called: %v", role, sortedKeys(w.s.Pages))
		}
	}
	// A gate never stops a clock.
	w.tickTo(t0.Add(9 * h))
	w.wantDuty("back", DutyMissed)
	// Two of the engineers are two people.
	w.must(lena, Sign{Gate: "proof"}, ReasonSigned)
	w.must(nadia, Sign{Gate: "proof"}, ReasonSigned)
	w.must(nadia, Sign{Gate: "proof"}, ReasonAlreadySigned)
	w.refused(lena, RestoreService{Reason: "x"}, RefusedGate)
	w.must(omar, Sign{Gate: "proof"}, ReasonSigned)
	w.must(lena, RestoreService{Reason: "x"}, ReasonRestored)
}

// The decision not to do what is owed, signed by two: each decision needs both of them anew.
func TestADutyIsLetGoOfWithTheSignaturesAGateAsksFor(t *testing.T) {
	w := gated(t, policy.Gate{ID: "waive", Guards: "waive", Sign: []policy.Signature{{N: 1, Role: "lead"}, {N: 1, Role: "engineers"}}})
	w.confirmed()
	w.refused(lena, Waive{Duty: "back", Reason: "nobody is at risk"}, RefusedGate)
	w.must(nadia, Sign{Gate: "waive"}, ReasonSigned)
	w.must(lena, Waive{Duty: "back", Reason: "nobody is at risk"}, ReasonWaived)
	w.wantDuty("back", DutyWaived)
	if len(w.s.Signatures["waive"]) != 0 {
		t.Fatal("the signatures for one decision serve for another")
	}
}

// A signature is given for one act: whatever a gate guards, the next one asks for it anew.
// promise: REC-1
func TestSignaturesServeOneActWhateverTheGateGuards(t *testing.T) {
	two := []policy.Signature{{N: 1, Role: "lead"}, {N: 1, Role: "engineers"}}
	for guards, tt := range map[string]struct {
		before func(w *world)
		act    Command
		done   Reason
		undo   func(w *world) // what has to happen before the act can be given again; nil: it cannot
	}{
		"dismiss": {act: Dismiss{Reason: "a false alarm"}, done: ReasonDismissed, undo: func(w *world) { w.must(lena, Reopen{Reason: "it was none"}, ReasonReopened) }},
		"lower": {
			before: func(w *world) { w.must(lena, SetSeverity{Severity: "critical", Reason: "x"}, ReasonSeveritySet) },
			act:    SetSeverity{Severity: "low", Reason: "less than feared"}, done: ReasonSeveritySet,
			undo: func(w *world) {
				w.must(lena, SetSeverity{Severity: "critical", Reason: "as feared"}, ReasonSeveritySet)
			},
		},
		"confirm": {act: Confirm{Reason: "seen it"}, done: ReasonConfirmed},
		"restore": {before: func(w *world) { w.must(lena, Confirm{Reason: "seen it"}, ReasonConfirmed) }, act: RestoreService{Reason: "proven"}, done: ReasonRestored},
	} {
		t.Run(guards, func(t *testing.T) {
			w := gated(t, policy.Gate{ID: "both", Guards: guards, Sign: two})
			w.open()
			if tt.before != nil {
				tt.before(w)
			}
			w.refused(lena, tt.act, RefusedGate)
			w.must(nadia, Sign{Gate: "both"}, ReasonSigned)
			w.must(lena, tt.act, tt.done)
			if len(w.s.Signatures["both"]) != 0 {
				t.Fatalf("the signature for one %s serves for another: %+v", guards, w.s.Signatures["both"])
			}
			if tt.undo == nil {
				return
			}
			tt.undo(w)
			w.refused(lena, tt.act, RefusedGate)
			w.must(nadia, Sign{Gate: "both"}, ReasonSigned)
			w.must(lena, tt.act, tt.done)
		})
	}
}

// What found nothing to do used nothing up, and a gate that does not stand takes no signature.
func TestASignatureIsKeptWhereNothingWasDone(t *testing.T) {
	w := gated(t, policy.Gate{ID: "both", Guards: "assign", Sign: []policy.Signature{{N: 1, Role: "lead"}, {N: 1, Role: "engineers"}}})
	w.open()
	w.must(nadia, Sign{Gate: "both"}, ReasonSigned)
	w.must(lena, Assign{Role: "comms", Person: mark.Principal}, ReasonAssigned)
	w.must(nadia, Sign{Gate: "both"}, ReasonSigned)
	w.must(lena, Assign{Role: "comms", Person: mark.Principal}, ReasonNothingChanged)
	if len(w.s.Signatures["both"]) != 1 {
		t.Fatal("an assignment that changed nothing took a signature")
	}

	w = gated(t, policy.Gate{ID: "both", Guards: "dismiss", When: factIs("personal_data"), Sign: []policy.Signature{{N: 1, Role: "lead"}, {N: 1, Role: "engineers"}}})
	w.open()
	w.must(nadia, Sign{Gate: "both"}, ReasonSigned)
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "x"}, ReasonAnswered)
	w.must(lena, Dismiss{Reason: "a false alarm"}, ReasonDismissed)
	if len(w.s.Signatures["both"]) != 1 {
		t.Fatal("a gate that does not stand took a signature")
	}
}

func TestASignatureLowersTheSeverityWhereAGateSaysWhose(t *testing.T) {
	w := gated(t, policy.Gate{ID: "down", Guards: "lower", Sign: []policy.Signature{{N: 1, Role: "engineers"}}})
	w.open()
	w.must(mark, SetSeverity{Severity: "critical", Reason: "x"}, ReasonSeveritySet)
	w.refused(mark, SetSeverity{Severity: "low", Reason: "x"}, RefusedGate)
	w.must(nadia, SetSeverity{Severity: "low", Reason: "x"}, ReasonSeveritySet)
	w.must(mark, SetSeverity{Severity: "critical", Reason: "x"}, ReasonSeveritySet) // anyone raises
}

func TestAnIncidentMovesToAnotherPolicyUnderANameAndItsClocksFollow(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	next := *w.p
	next.Hash = "sha256:next"
	next.Duties = []policy.Duty{{ID: "contain", Do: policy.Contain, Due: []policy.Clock{clock("6h after confirmed", 6, "confirmed")}}}
	old := w.p
	w.p = &next
	w.refused(mark, MovePolicy{Reason: "x"}, RefusedLead)
	if _, err := w.give(lena, MovePolicy{Policy: "sha256:nothing", Reason: "x"}); err == nil {
		t.Fatal("a policy that is not there")
	}
	w.must(lena, MovePolicy{Policy: "sha256:next", Reason: "the new terms hold"}, ReasonPolicyMoved)
	wantTime(t, "due", w.duty("contain").Due, t0.Add(6*h))
	if d := w.wantDuty("assess", DutyStopped); d.Cause != "not_in_policy" {
		t.Fatalf("%+v", d)
	}
	if w.s.Policy != "sha256:next" || len(w.s.Moves) != 1 || w.s.Moves[0].By != lena.Principal {
		t.Fatalf("%+v", w.s.Moves)
	}
	w.p = old
	w.must(lena, MovePolicy{Reason: "back"}, ReasonPolicyMoved)
	w.wantDuty("assess", DutyRunning)
}
