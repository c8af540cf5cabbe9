package incident

import (
	"os"
	"path/filepath"
	"slices"
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

// Whatever the shipped policies ask for before an act, a refusal says what is missing, and not the
// opposite of what is so.
func TestAGateSaysWhatIsMissing(t *testing.T) {
	says := map[string][]string{
		"evidence.snapshot":         {"no snapshot of the evidence has been taken"},
		"fix.verified":              {"no fix is recorded", "no fix is verified"},
		"size(review.missing) == 0": {"the part root_cause of the review is empty"},
	}
	files, err := filepath.Glob("../policies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, diags := policy.Compile(file, src)
		if p == nil {
			t.Fatalf("%s does not compile: %v", file, diags)
		}
		s := NewState("INC-1")
		s.Actions = []*Action{{ID: "ACT-1", Decl: "rotate_secret", State: ActionPlanned}}
		v := view(p, s)
		seen := map[string]bool{}
		for i := range p.Gates {
			for _, need := range p.Gates[i].Need {
				verdict := need.Eval(v)
				if verdict.Value == policy.True {
					continue // no check is declared for this incident
				}
				var whats []string
				for _, m := range conditionMissing(p, s, &p.Gates[i], need, verdict) {
					whats = append(whats, m.What)
					if strings.HasPrefix(m.What, "this has to be so first") || strings.HasPrefix(m.Do, "see the incident") {
						t.Errorf("%s: %s: %s -> %s", file, need.Source, m.What, m.Do)
					}
				}
				seen[need.Source] = true
				for _, want := range says[need.Source] {
					if !slices.Contains(whats, want) {
						t.Errorf("%s: %s is refused with %q, want %q", file, need.Source, whats, want)
					}
				}
			}
		}
		for source := range says {
			if !seen[source] {
				t.Errorf("%s: no gate asks for %s", file, source)
			}
		}
	}
	// What a policy of somebody's own asks for is said as what has to be so.
	p := &policy.Program{Gates: []policy.Gate{{ID: "g"}}}
	got := conditionMissing(p, NewState("INC-1"), &p.Gates[0], &policy.Condition{Source: "severity != 'critical'", Say: "the severity is not critical"}, policy.Verdict{})
	if len(got) != 1 || got[0].What != "this has to be so first: the severity is not critical" {
		t.Errorf("%+v", got)
	}
}
