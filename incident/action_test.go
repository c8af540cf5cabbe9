package incident

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func (w *world) planned(action string, target map[string]string) string {
	w.t.Helper()
	w.must(mark, PlanAction{Action: action, Target: target, Steps: []string{"one"}, Blast: "one client", Undo: "cannot", Reason: "stolen"}, ReasonPlanned)
	return w.s.Actions[len(w.s.Actions)-1].ID
}

func (w *world) one(kind EffectKind) Effect {
	w.t.Helper()
	list := w.owed(kind)
	if len(list) != 1 {
		w.t.Fatalf("owed %s: %+v, want one", kind, Owed(w.s))
	}
	return list[0]
}

func (w *world) wantAction(id string, want ActionState) *Action {
	w.t.Helper()
	a := w.s.action(id)
	if a.State != want {
		w.t.Fatalf("%s is %s, want %s", id, a.State, want)
	}
	return a
}

// promise: CON-1
func TestAnActionIsPlannedSignedAppliedAndProven(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.planned("revoke_token", map[string]string{"credential": "tok"})
	if len(Owed(w.s)) != 0 {
		t.Fatal("a plan is owed")
	}
	r := w.refused(mark, ApproveAction{Action: id}, RefusedOwnWork)
	if !strings.Contains(r.Missing[0].Do, "tocsin incident approve INC-1 ACT-1") {
		t.Fatalf("what to do: %+v", r.Missing)
	}
	w.refused(nadia, ApproveAction{Action: id}, RefusedRole)
	w.must(lena, ApproveAction{Action: id}, ReasonApproved)
	w.must(lena, ApproveAction{Action: id}, ReasonAlreadySigned)
	e := w.one(EffectApply)
	if e.ID != "apply/INC-1/ACT-1/1" {
		t.Fatalf("effect id %s", e.ID)
	}
	w.must(worker, ReportAttempt{Effect: e}, ReasonAttempt)
	w.must(worker, ReportAttempt{Effect: e}, ReasonAlreadyAttempt)
	if len(Owed(w.s)) != 0 || len(InFlight(w.s)) != 1 {
		t.Fatalf("owed %v, in flight %v", Owed(w.s), InFlight(w.s))
	}
	w.must(worker, ReportResult{Effect: e, Outcome: Done}, ReasonResult)
	w.must(worker, ReportResult{Effect: e, Outcome: Done}, ReasonAlreadyReported)
	w.must(worker, ReportResult{Effect: e, Outcome: Failed}, ReasonAlreadyReported)
	w.must(worker, ReportAttempt{Effect: e}, ReasonNotOwed)
	if w.s.has("contained") {
		t.Fatal("contained without proof")
	}
	w.after(time.Minute)
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Done, Proof: "the old token got 401"})
	a := w.wantAction(id, ActionProven)
	wantTime(t, "contained", w.s.Milestones["contained"].At, a.ProvenAt)
	d := w.wantDuty("contain", DutyMet)
	if d.Trigger != "person" {
		t.Fatalf("trigger %s", d.Trigger)
	}
}

func TestContainmentWaitsForEverythingThatIsOutstanding(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	one := w.planned("revoke_token", map[string]string{"credential": "tok"})
	two := w.planned("revoke_token", map[string]string{"credential": "other"})
	w.must(lena, ApproveAction{Action: one}, ReasonApproved)
	w.do(w.one(EffectApply), ReportResult{Outcome: Done})
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Done})
	if w.s.has("contained") {
		t.Fatal("contained with a plan outstanding")
	}
	w.must(lena, ApproveAction{Action: two}, ReasonApproved)
	w.do(w.one(EffectApply), ReportResult{Outcome: Done})
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Failed, Proof: "the old token still got 200"})
	w.wantAction(two, ActionUnproven)
	if w.s.has("contained") {
		t.Fatal("contained although a probe got through")
	}
	again := w.planned("revoke_token", map[string]string{"credential": "other"})
	w.must(lena, ApproveAction{Action: again}, ReasonApproved)
	w.do(w.one(EffectApply), ReportResult{Outcome: Done})
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Done})
	if !w.s.has("contained") {
		t.Fatal("a later proof of the same action on the same target does not count")
	}
}

// promise: CON-1
func TestAnUncertainApplyReadsTheRemoteStateBeforeItIsRepeated(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.planned("revoke_token", map[string]string{"credential": "tok"})
	w.must(lena, ApproveAction{Action: id}, ReasonApproved)
	w.must(worker, ReportAttempt{Effect: w.one(EffectApply)}, ReasonAttempt)
	e := InFlight(w.s)[0]
	if e.Kind != EffectApply || e.ID != "apply/INC-1/ACT-1/1" {
		t.Fatalf("in flight: %+v", e)
	}
	w.must(worker, ReportResult{Effect: e, Outcome: Uncertain, Code: "restart"}, ReasonResult)
	w.wantAction(id, ActionUncertain)
	if len(w.owed(EffectApply)) != 0 {
		t.Fatal("an uncertain action is applied again unread")
	}
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Failed})
	w.wantAction(id, ActionApproved)
	if e := w.one(EffectApply); e.ID != "apply/INC-1/ACT-1/3" {
		t.Fatalf("second apply: %s", e.ID)
	}
	w.do(w.one(EffectApply), ReportResult{Outcome: Uncertain})
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Done})
	w.wantAction(id, ActionProven)
}

func TestADeferredEffectWaitsForProtocolTime(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.planned("revoke_token", map[string]string{"credential": "tok"})
	w.must(lena, ApproveAction{Action: id}, ReasonApproved)
	retry := t0.Add(1000 * h)
	w.do(w.one(EffectApply), ReportResult{Outcome: Deferred, Code: "503", Retry: retry})
	e := w.one(EffectApply)
	wantTime(t, "not before", e.NotBefore, retry)
	_, protocol := NextWake(w.p, w.s)
	wantTime(t, "protocol wake", protocol, retry)
	w.do(e, ReportResult{Outcome: Done})
	if _, protocol = NextWake(w.p, w.s); !protocol.IsZero() {
		t.Fatalf("wakes at %s for nothing", protocol)
	}
}

// promise: CON-2
func TestRotationIsRefusedUntilTheEvidenceIsSnapshotAndTheTokenRevoked(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.planned("rotate_secret", nil)
	r := w.refused(lena, ApproveAction{Action: id}, RefusedGate)
	if len(r.Missing) != 2 {
		t.Fatalf("missing: %+v", r.Missing)
	}
	if got := w.s.Refusals[len(w.s.Refusals)-1]; got.Command != "approve" || len(got.Missing) != 2 || got.By != lena.Principal {
		t.Fatalf("the refusal is not kept: %+v", got)
	}
	w.must(worker, Snapshot{Log: "o/events", Size: 1, Checkpoint: "note"}, ReasonSnapshot)
	rev := w.planned("revoke_token", nil)
	w.must(lena, ApproveAction{Action: rev}, ReasonApproved)
	w.do(w.one(EffectApply), ReportResult{Outcome: Done})
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Done})
	w.must(lena, ApproveAction{Action: id}, ReasonApproved)
}

func TestAnActionWithoutApproversNeedsAnybodyElse(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.planned("switch_off", map[string]string{"merchant": "m_1"})
	w.refused(mark, ApproveAction{Action: id}, RefusedOwnWork)
	w.must(nadia, ApproveAction{Action: id}, ReasonApproved)
}

// promise: CON-3
func TestAnActionIsUndoneByAPersonOrWhenItExpires(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(mark, PlanAction{Action: "switch_off", Reason: "stop it", Expires: t0.Add(10 * h)}, ReasonPlanned)
	w.must(nadia, ApproveAction{Action: "ACT-1"}, ReasonApproved)
	w.do(w.one(EffectApply), ReportResult{Outcome: Done})
	w.do(w.one(EffectConfirm), ReportResult{Outcome: Done})
	w.tickTo(t0.Add(11 * h))
	w.wantAction("ACT-1", ActionUndoing)
	w.do(w.one(EffectUndo), ReportResult{Outcome: Failed})
	w.wantAction("ACT-1", ActionProven)
	w.must(lena, UndoActionCmd{Action: "ACT-1", Reason: "over"}, ReasonUndoAsked)
	w.must(lena, UndoActionCmd{Action: "ACT-1", Reason: "over"}, ReasonAlreadyUndone)
	w.do(w.one(EffectUndo), ReportResult{Outcome: Done})
	w.wantAction("ACT-1", ActionUndone)
}

func TestWhatMayHaveTakenEffectIsNotCancelled(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.planned("revoke_token", nil)
	w.must(lena, CancelAction{Action: id, Reason: "wrong one"}, ReasonCancelled)
	w.must(lena, CancelAction{Action: id, Reason: "wrong one"}, ReasonAlreadyCancel)
	id = w.planned("revoke_token", nil)
	w.must(lena, ApproveAction{Action: id}, ReasonApproved)
	w.must(worker, ReportAttempt{Effect: w.one(EffectApply)}, ReasonAttempt)
	w.refused(lena, CancelAction{Action: id, Reason: "stop"}, RefusedState)
}

func TestOnlyAPersonSigns(t *testing.T) {
	for _, name := range signing {
		w := &work{base: &State{ID: "INC-1", Version: 1, Status: StatusOpen}, ctx: Context{Actor: Actor{Principal: "service:local", Access: Owner, Roles: []string{"lead"}}}}
		err := w.admitAccess(name)
		var ref *Refusal
		if !errors.As(err, &ref) || ref.Reason != RefusedAccess {
			t.Errorf("%s by service:local: got %v, want a refusal", name, err)
		}
		w.ctx.Actor.Principal = "person:lena"
		if err := w.admitAccess(name); err != nil {
			t.Errorf("%s by a person: %v", name, err)
		}
	}
}
