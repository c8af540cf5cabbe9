package incident

import (
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// promise: REC-1
func TestRestoreIsRefusedUntilEverythingIsProvenAndListsAllOfIt(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	r := w.refused(lena, RestoreService{Reason: "customers wait"}, RefusedGate)
	want := []string{"check checkout has not run", "check webhooks has not run", "no fix is recorded", "no fix is verified", "fact.personal_data is not known", "role engineers"}
	for _, what := range want {
		if !strings.Contains(r.Error(), what) {
			t.Errorf("the refusal does not say %q: %v", what, r)
		}
	}
	if len(r.Missing) != len(want) {
		t.Errorf("%d things missing, want %d: %v", len(r.Missing), len(want), r)
	}
	if last := w.facts[len(w.facts)-1]; last.Kind != KindGateRefused || len(w.s.Refusals) != 1 {
		t.Fatalf("the refusal is not a fact: %s", last.Kind)
	}
	w.must(nadia, RecordFix{What: "scoped tokens"}, ReasonFixRecorded)
	w.refused(nadia, VerifyFix{How: "looked"}, RefusedOwnWork)
	w.must(omar, VerifyFix{How: "replayed the attack"}, ReasonFixVerified)
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "orders"}, ReasonAnswered)
	w.must(lena, RunChecks{}, ReasonChecksAsked)
	w.must(lena, RunChecks{}, ReasonChecksRunning)
	for _, e := range w.owed(EffectCheck) {
		w.do(e, ReportResult{Outcome: Done, Proof: "200"})
	}
	r = w.refused(lena, RestoreService{Reason: "now"}, RefusedGate)
	if len(r.Missing) != 1 {
		t.Fatalf("missing: %v", r)
	}
	w.refused(mark, Sign{Gate: "may_restore"}, RefusedRole)
	w.must(omar, Sign{Gate: "may_restore"}, ReasonSigned)
	w.must(omar, Sign{Gate: "may_restore"}, ReasonAlreadySigned)
	w.must(lena, RestoreService{Reason: "proven"}, ReasonRestored)
	w.must(lena, RestoreService{Reason: "proven"}, ReasonAlreadyRestored)
	w.wantDuty("review", DutyRunning)
	if len(w.s.Signatures["may_restore"]) != 0 {
		t.Fatal("signatures are not used up")
	}
}

func TestOnePersonWithTwoRolesSignsOnce(t *testing.T) {
	w := newWorld(t)
	both := Actor{Principal: "person:both", Access: Responder, Roles: []string{"lead", "engineers"}}
	w.confirmed()
	r := w.refused(both, RestoreService{Reason: "x"}, RefusedGate)
	if !strings.Contains(r.Error(), "role engineers") && !strings.Contains(r.Error(), "role lead") {
		t.Fatalf("one person filled both signatures: %v", r)
	}
	need := []string{"lead", "engineers"}
	signed := []Signed{{By: "person:both", Roles: []string{"engineers", "lead"}}, {By: "person:omar", Roles: []string{"engineers"}}}
	if got := unsigned(need, signed); len(got) != 0 {
		t.Fatalf("two people cover lead and engineers, got %v missing", got)
	}
}

func TestAPassedCheckIsStaleAfterAFixOrAnAction(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, RunChecks{Checks: []string{"checkout"}}, ReasonChecksAsked)
	w.do(w.one(EffectCheck), ReportResult{Outcome: Done})
	w.must(nadia, RecordFix{What: "x"}, ReasonFixRecorded)
	if c := w.s.Checks["checkout"]; c.State != CheckStale {
		t.Fatalf("check is %s", c.State)
	}
	w.must(lena, RunChecks{Checks: []string{"checkout"}}, ReasonChecksAsked)
	if c := w.s.Checks["checkout"]; c.Run != 2 {
		t.Fatalf("run %d", c.Run)
	}
}

func TestAnUncertainCheckRunsAgainButNotForEver(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, RunChecks{Checks: []string{"checkout"}}, ReasonChecksAsked)
	n := 0
	for len(w.owed(EffectCheck)) > 0 {
		if n++; n > 10 {
			t.Fatal("for ever")
		}
		w.do(w.one(EffectCheck), ReportResult{Outcome: Uncertain})
	}
	if w.s.Checks["checkout"].State != CheckFailed || n != maxUnsureCheck {
		t.Fatalf("%+v after %d", w.s.Checks["checkout"], n)
	}
}

func TestAPolicyWithoutARestoreGateStillWantsAFixAndTheChecks(t *testing.T) {
	w := newWorld(t)
	w.p.Gates = nil
	w.confirmed()
	if r := w.refused(lena, RestoreService{Reason: "x"}, RefusedGate); len(r.Missing) != 4 {
		t.Fatalf("missing: %v", r)
	}
}

// promise: REV-1, INV-4
func TestAReviewIsPublishedWholeAndAnIncidentIsClosedOwingNothing(t *testing.T) {
	w := newWorld(t)
	soon := policy.Clock{Kind: "after", Prompt: true, Span: calendar.Span{Target: hours(900)}, Anchor: after("detected")}
	w.p.Duties = append(w.p.Duties,
		policy.Duty{ID: "ask_soon", Do: policy.Answer, Of: []string{"exposed"}, Asked: true, Due: []policy.Clock{soon}},
		policy.Duty{ID: "ask_by", Do: policy.Answer, Of: []string{"personal_data"}, Asked: true, Due: []policy.Clock{clock("900h after detected", 900, "detected")}})
	w.confirmed()
	w.must(lena, SetSeverity{Severity: "low", Reason: "one record"}, ReasonSeveritySet)
	r := w.refused(lena, PublishReview{}, RefusedReview)
	if len(r.Missing) != 3 {
		t.Fatalf("missing: %v", r)
	}
	w.must(lena, Assess{Vector: "a", RootCause: "b", Risk: "c"}, ReasonAssessed)
	w.must(lena, EditReview{Part: "timeline", Text: "then"}, ReasonEdited)
	w.must(lena, EditReview{Part: "prevention", Text: "never"}, ReasonEdited)
	w.must(lena, AddCorrective{Text: "shorter tokens", Owner: "person:omar", Due: t0.Add(1000 * h)}, ReasonCorrectiveAdded)
	w.must(lena, PublishReview{}, ReasonPublished)
	r = w.refused(lena, Close{Reason: "done"}, RefusedOwed)
	for _, duty := range []string{"contain", "tell_shopify", "tell_merchants"} {
		if !strings.Contains(r.Error(), "the duty "+duty) {
			t.Errorf("%s is not listed: %v", duty, r)
		}
	}
	if strings.Contains(r.Error(), "ask_soon") || !strings.Contains(r.Error(), "the duty ask_by") {
		t.Errorf("a question keeps an incident open if it has a limit, and only then: %v", r)
	}
	w.wantDuty("ask_soon", DutyRunning)
	for _, duty := range []string{"contain", "tell_shopify", "tell_merchants", "ask_by"} {
		w.must(lena, Waive{Duty: duty, Reason: "x"}, ReasonWaived)
	}
	w.must(lena, Close{Reason: "done"}, ReasonClosed)
	w.must(lena, Close{Reason: "done"}, ReasonAlreadyClosed)
	w.must(lena, Note{Text: "afterthought"}, ReasonNoted)
	w.refused(lena, Acknowledge{}, RefusedNotOpen)
	w.must(lena, Reopen{Reason: "it is back"}, ReasonReopened)
}

func TestAccessSaysWhoMayGiveWhat(t *testing.T) {
	w := newWorld(t)
	w.refused(lena, Acknowledge{}, RefusedNoIncident)
	w.refused(guest, Open{Title: "x"}, RefusedAccess)
	w.must(worker, Open{Title: "x", Class: "credential_exposure", Signal: &Signal{ID: "S1", Class: "v", At: t0.Add(-h), From: t0.Add(-2 * h)}}, ReasonOpened)
	wantTime(t, "detected", w.s.Milestones["detected"].At, t0.Add(-h))
	wantTime(t, "suspected", w.s.Milestones["suspected"].At, t0.Add(-2*h))
	w.must(lena, Open{Title: "x"}, ReasonAlreadyOpen)
	for _, c := range []Command{Note{Text: "x"}, Acknowledge{}, Confirm{Reason: "x"}, SendNotice{}} {
		r := w.refused(guest, c, RefusedAccess)
		if len(r.Missing) != 1 {
			t.Errorf("%s: nothing to do about it", c.Name())
		}
	}
	w.refused(lena, Tick{}, RefusedAccess)
	w.refused(boss, ReportResult{}, RefusedAccess)
	w.refused(worker, Confirm{Reason: "x"}, RefusedAccess)
	w.must(worker, AddSignal{Signal: Signal{ID: "S1", Class: "v"}}, ReasonAlreadyLinked)
	w.must(worker, AddSignal{Signal: Signal{ID: "S2", Class: "v"}}, ReasonSignalLinked)
}

func TestAMilestoneWithACommandOfItsOwnIsNotMarkedByHand(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.refused(lena, Mark{Milestone: "restored", Reason: "x"}, RefusedUseCommand)
	w.must(lena, Mark{Milestone: "assessed", Reason: "x", At: t0.Add(-h)}, ReasonMarked)
	wantTime(t, "discovered, implied", w.s.Milestones["discovered"].At, t0.Add(-h))
	w.must(lena, Mark{Milestone: "assessed", Reason: "x"}, ReasonAlreadyMarked)
	w.refused(lena, Mark{Milestone: "assessed", Reason: "x", At: t0}, RefusedState)
}
