package incident

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// The policy that is shipped runs from the first event to a closed incident, errors of people
// included, and no promise is missed on the way.
// promise: CON-1 CON-2 INV-1 NOT-1 NOT-2 NOT-3 REC-1 REV-1
func TestTheShippedPolicyRunsFromOpenToClosed(t *testing.T) {
	const file = "../policies/pickandpack.yaml"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, diags := policy.Compile(file, src)
	if p == nil {
		t.Fatalf("%s does not compile: %v", file, diags)
	}
	w := newWorld(t)
	w.p = p
	engineer := Actor{Principal: "person:nadia", Access: Responder, Roles: []string{"engineer"}}
	w.must(worker, Open{Title: "Unusual volume", Class: "unauthorized_access",
		Signal: &Signal{ID: "SIG-1", Class: "unusual_volume", At: t0.Add(-time.Minute), From: t0.Add(-h), Sentence: "40 times its normal"}}, ReasonOpened)
	w.must(lena, Acknowledge{}, ReasonAcknowledged)
	w.must(lena, Confirm{Reason: "the token reads every shop"}, ReasonConfirmed)
	for _, fact := range []string{"personal_data", "shopify_data", "exposed"} {
		w.must(lena, Answer{Fact: fact, Value: true, Reason: "orders"}, ReasonAnswered)
	}
	if w.s.Severity != "critical" {
		t.Errorf("severity %q, the policy proves critical", w.s.Severity)
	}
	r := w.refused(lena, RestoreService{Reason: "quick"}, RefusedGate)
	for _, m := range r.Missing {
		t.Logf("missing: %s -> %s", m.What, m.Do)
	}

	w.must(mark, PlanAction{Action: "rotate_secret", Reason: "leaked"}, ReasonPlanned)
	if r := w.refused(lena, ApproveAction{Action: "ACT-1"}, RefusedGate); !strings.Contains(r.Error(), "snapshot") {
		t.Errorf("rotation is refused for another reason: %v", r)
	}
	w.must(worker, Snapshot{Log: "o/events", Size: 1, Checkpoint: "note"}, ReasonSnapshot)
	w.must(lena, ApproveAction{Action: "ACT-1"}, ReasonApproved)
	w.must(engineer, PlanAction{Action: "revoke_token", Target: map[string]string{"credential": "tok"}, Reason: "stolen"}, ReasonPlanned)
	w.refused(engineer, ApproveAction{Action: "ACT-2"}, RefusedOwnWork)
	w.must(lena, ApproveAction{Action: "ACT-2"}, ReasonApproved)
	for range 2 {
		for _, e := range Owed(w.s) {
			w.do(e, ReportResult{Outcome: Done, Proof: "401"})
		}
	}
	w.wantDuty("start_containment", DutyMet)

	w.must(lena, scopeOf("d1", "m_1", "m_2", "m_3"), ReasonScopeRecorded)
	w.must(lena, scopeOf("d2", "m_1", "m_2"), ReasonScopeRecorded)
	full := map[string]string{"what_happened": "a", "data_involved": "b", "our_measures": "c", "your_actions": "d"}
	for _, duty := range []string{"tell_merchants", "tell_platform"} {
		w.must(mark, DraftNotice{Duty: duty, Subject: "Incident", Content: full}, ReasonDrafted)
		id := w.s.Notices[len(w.s.Notices)-1].ID
		w.must(lena, ApproveNotice{Notice: id, Attest: true}, ReasonApproved)
		w.must(mark, SendNotice{Notice: id}, ReasonSending)
	}
	for _, e := range Owed(w.s) {
		w.do(e, ReportResult{Outcome: Done, Code: "250"})
	}
	if !w.s.has("notified") {
		t.Error("not notified")
	}
	w.must(engineer, RecordFix{What: "scoped tokens"}, ReasonFixRecorded)
	w.must(lena, VerifyFix{How: "the probe was refused"}, ReasonFixVerified)
	w.must(engineer, RunChecks{}, ReasonChecksAsked)
	for _, e := range Owed(w.s) {
		w.do(e, ReportResult{Outcome: Done, Proof: "200"})
	}
	w.must(lena, RestoreService{Reason: "proven"}, ReasonRestored)
	w.must(lena, Assess{Vector: "a", RootCause: "b", Risk: "c"}, ReasonAssessed)
	for _, part := range p.Review {
		w.must(lena, EditReview{Part: part, Text: "x"}, ReasonEdited)
	}
	w.must(lena, PublishReview{}, ReasonPublished)
	w.must(lena, Close{Reason: "done"}, ReasonClosed)
	for key, d := range w.s.Duties {
		if !d.Missed.IsZero() || !d.met() && d.State != DutyNot {
			t.Errorf("%s ended %s, missed %s", key, d.State, d.Missed)
		}
	}
}
