package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

var t0 = time.Date(2026, 11, 20, 3, 2, 0, 0, time.UTC)

var (
	lena   = Actor{Principal: "person:lena", Access: Responder, Roles: []string{"lead"}}
	mark   = Actor{Principal: "person:mark", Access: Responder, Roles: []string{"comms"}}
	nadia  = Actor{Principal: "person:nadia", Access: Responder, Roles: []string{"engineers"}}
	omar   = Actor{Principal: "person:omar", Access: Responder, Roles: []string{"engineers"}}
	boss   = Actor{Principal: "person:boss", Access: Owner}
	guest  = Actor{Principal: "person:guest", Access: Viewer}
	worker = Actor{Principal: "service:worker", Access: Service}
	ticker = Actor{Principal: Clock, Access: Service}
)

func hours(n int) *calendar.Length    { return &calendar.Length{N: n, Unit: calendar.Hour} }
func minutes(n int) calendar.Length   { return calendar.Length{N: n, Unit: calendar.Minute} }
func limit(n int) calendar.Span       { return calendar.Span{Limit: hours(n)} }
func after(name string) policy.Anchor { return policy.Anchor{Names: []string{name}} }

// factIs is the condition fact.NAME: true, false, or unknown while it is not answered.
func factIs(name string) *policy.Condition {
	return policy.NewCondition("fact."+name, strings.ReplaceAll(name, "_", " "), func(v policy.View) policy.Verdict {
		got, ok := v.Facts[name]
		if !ok {
			return policy.Verdict{Value: policy.Unknown, Missing: []string{"fact." + name}, Why: name + " is not known"}
		}
		return truth(got == true, fmt.Sprintf("%s is %v", name, got))
	})
}

func truth(yes bool, why string) policy.Verdict {
	if yes {
		return policy.Verdict{Value: policy.True, Why: why}
	}
	return policy.Verdict{Value: policy.False, Why: why}
}

func cond(source, say string, f func(policy.View) bool) *policy.Condition {
	return policy.NewCondition(source, say, func(v policy.View) policy.Verdict { return truth(f(v), say) })
}

func severityIs(level string) *policy.Condition {
	return policy.NewCondition("severity == '"+level+"'", "the severity is "+level, func(v policy.View) policy.Verdict {
		if v.Severity == "" {
			return policy.Verdict{Value: policy.Unknown, Missing: []string{"severity"}}
		}
		return truth(v.Severity == level, "the severity is "+v.Severity)
	})
}

// testPolicy is a small policy with one of everything the engine has to hold.
func testPolicy() *policy.Program {
	return &policy.Program{
		ID: "testapp", Hash: "sha256:test", Starts: "detected", Zone: time.UTC, Hours: calendar.Always(time.UTC),
		Promptly:   calendar.Length{N: 4, Unit: calendar.Hour},
		Severities: []policy.Level{{ID: "critical", When: factIs("personal_data")}, {ID: "high"}, {ID: "low"}},
		Classes:    []policy.Class{{ID: "credential_exposure"}},
		Facts:      []policy.FactDecl{{ID: "personal_data", Type: "bool"}, {ID: "people", Type: "int"}, {ID: "origin", Type: "string"}},
		Milestones: []policy.MilestoneDecl{{ID: "assessed", Implies: []string{"discovered"}}},
		Parties:    []policy.Party{{ID: "merchants", Affected: true}, {ID: "shopify", Address: []string{"security@example.com"}}},
		Roles:      []policy.Role{{ID: "lead"}, {ID: "comms"}, {ID: "engineers"}},
		Duties: []policy.Duty{
			{ID: "judge", Who: "lead", Do: policy.Decide, Of: []string{"confirmed", "dismissed"}, Due: []policy.Clock{{Kind: "after", Span: limit(8), Anchor: after("detected"), Text: "8h after detected"}}},
			{ID: "contain", Who: "lead", Do: policy.Contain, Due: []policy.Clock{
				{Kind: "after", Span: calendar.Span{Target: hours(1), Limit: hours(2)}, Anchor: after("confirmed"), Text: "1h..2h after confirmed", When: severityIs("critical")},
				{Kind: "after", Span: limit(24), Anchor: after("confirmed"), Text: "24h after confirmed", When: policy.NewCondition("severity != 'critical'", "", func(v policy.View) policy.Verdict { return truth(v.Severity != "critical", "") })},
			}, Late: []policy.Escalation{{After: minutes(15), Role: "lead"}}},
			{ID: "assess", Who: "lead", Do: policy.Assess, Due: []policy.Clock{{Kind: "open", Anchor: after("confirmed"), Text: "no deadline"}}},
			{ID: "tell_merchants", Who: "comms", Do: policy.Notify, To: "merchants.affected", When: factIs("personal_data"),
				Due:     []policy.Clock{{Kind: "after", Span: limit(72), Anchor: after("confirmed"), Text: "72h after confirmed"}},
				Content: []string{"what_happened", "your_actions"}, Approve: []string{"lead"},
				Late: []policy.Escalation{{After: calendar.Length{N: -4, Unit: calendar.Hour}, Role: "comms"}}},
			{ID: "tell_shopify", Who: "comms", Do: policy.Notify, To: "shopify",
				Due: []policy.Clock{{Kind: "after", Span: limit(24), Anchor: after("aware")}}, Content: []string{"what_happened"}, Approve: []string{"lead"}},
			{ID: "follow_up", Who: "comms", Do: policy.Announce, To: "merchants.affected",
				Due: []policy.Clock{{Kind: "after", Span: limit(120), Anchor: after("tell_merchants.met")}}, Content: []string{"what_happened"}, Approve: []string{"lead"}},
			{ID: "review", Who: "lead", Do: policy.Review, Due: []policy.Clock{{Kind: "after", Span: limit(336), Anchor: after("restored")}}},
			{ID: "reread", For: "programme", Do: policy.ReRead},
		},
		Gates: []policy.Gate{
			{ID: "may_restore", Guards: "restore", Otherwise: "prove it first", Need: []*policy.Condition{
				cond("checks.all(c, c.passed)", "every check has passed", func(v policy.View) bool {
					return len(v.Checks) > 0 && !slices.ContainsFunc(v.Checks, func(c policy.CheckView) bool { return !c.Passed })
				}),
				cond("fix.verified", "the fix is verified", func(v policy.View) bool { return v.FixProven }),
				factIs("personal_data"),
			}, Sign: []policy.Signature{{N: 1, Role: "lead"}, {N: 1, Role: "engineers"}}},
			{ID: "before_rotating", Guards: "rotate", Need: []*policy.Condition{cond("evidence.snapshot", "a snapshot of the evidence", func(v policy.View) bool { return v.Snapshot })}},
			{ID: "careful", Guards: "notify", Attest: "it says only what is known"},
		},
		Actions: []policy.ActionDecl{
			{ID: "revoke_token", Uses: "app_tokens", Approve: []string{"lead"}, Confirm: "old_token_refused"},
			{ID: "rotate_secret", Uses: "envfile.rotate", Approve: []string{"lead"}, After: []string{"revoke_token"}},
			{ID: "switch_off", Uses: "switch"},
		},
		Checks: []policy.CheckDecl{{ID: "checkout"}, {ID: "webhooks"}},
		Review: []string{"timeline", "prevention"},
	}
}

// world drives one incident the way the desk does: decide, record, fold. Facts go through JSON,
// because that is what a database gives back.
type world struct {
	t     testing.TB
	p     *policy.Program
	s     *State
	now   time.Time
	facts []Fact

	directory map[string]Recipient
}

func newWorld(t testing.TB) *world {
	return &world{t: t, p: testPolicy(), s: NewState("INC-1"), now: t0}
}

func (w *world) ctx(a Actor) Context {
	return Context{Now: w.now, Actor: a, Env: "production", Versions: Versions{Engine: "test"}, Directory: w.directory}
}

// give decides and records. It fails the test when a decision has no reason.
func (w *world) give(a Actor, c Command) (Decision, error) {
	w.t.Helper()
	d, err := Decide(w.p, w.s, c, w.ctx(a))
	var refused *Refusal
	switch {
	case err == nil && d.Reason == "":
		w.t.Fatalf("%s was decided without a reason", c.Name())
	case errors.As(err, &refused) && (refused.Reason == "" || refused.Message == ""):
		w.t.Fatalf("%s was refused without a reason: %v", c.Name(), err)
	}
	for _, f := range d.Facts {
		w.record(f)
	}
	return d, err
}

func (w *world) record(f Fact) {
	w.t.Helper()
	f.ID = fmt.Sprintf("F%d", len(w.facts)+1)
	f = viaJSON(w.t, f)
	w.facts = append(w.facts, f)
	s, err := Fold(w.s, f)
	if err != nil {
		w.t.Fatalf("a fact of our own does not fold: %v", err)
	}
	w.s = s
}

func viaJSON[T any](t testing.TB, v T) (out T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w *world) must(a Actor, c Command, want Reason) Decision {
	w.t.Helper()
	d, err := w.give(a, c)
	if err != nil {
		w.t.Fatalf("%s by %s: %v", c.Name(), a.Principal, err)
	}
	if d.Reason != want {
		w.t.Fatalf("%s by %s: reason %s, want %s", c.Name(), a.Principal, d.Reason, want)
	}
	return d
}

func (w *world) refused(a Actor, c Command, want Reason) *Refusal {
	w.t.Helper()
	_, err := w.give(a, c)
	var r *Refusal
	if !errors.As(err, &r) {
		w.t.Fatalf("%s by %s: got %v, want a refusal", c.Name(), a.Principal, err)
	}
	if r.Reason != want {
		w.t.Fatalf("%s by %s: refused for %s, want %s: %v", c.Name(), a.Principal, r.Reason, want, r)
	}
	for _, m := range r.Missing {
		if m.What == "" || m.Do == "" {
			w.t.Errorf("%s: a missing thing without what or do: %+v", c.Name(), m)
		}
	}
	return r
}

func (w *world) after(d time.Duration) { w.now = w.now.Add(d) }

// tickTo moves domain time the way the desk does, stopping at every wake-up.
func (w *world) tickTo(at time.Time) {
	w.t.Helper()
	for range 1000 {
		next, _ := NextWake(w.p, w.s)
		if next.IsZero() || next.After(at) {
			w.now = at
			return
		}
		if next.After(w.now) {
			w.now = next
		}
		if d := w.must(ticker, Tick{}, ReasonClockDue); len(d.Facts) == 0 {
			w.t.Fatalf("woken at %s for nothing", next)
		}
	}
	w.t.Fatal("the clocks never stop asking to be woken")
}

func (w *world) open() {
	w.must(lena, Open{Title: "Token abused", Class: "credential_exposure", Apps: []string{"app"}}, ReasonOpened)
}

func (w *world) confirmed() {
	w.open()
	w.must(lena, Confirm{Reason: "seen it"}, ReasonConfirmed)
}

func scopeOf(digest string, merchants ...string) RecordScope {
	c := RecordScope{Query: json.RawMessage(`{"from":"x"}`), Log: "o/events", Size: 7, Checkpoint: "note", Digest: digest, Events: 9, Records: 9, Customers: 9}
	for _, m := range merchants {
		c.Merchants = append(c.Merchants, Exposure{Merchant: m, Customers: 3, Records: 3, DataTypes: []string{"customer.email"}})
	}
	return c
}

// do carries out an effect: attempt, then result.
func (w *world) do(e Effect, r ReportResult) {
	w.t.Helper()
	w.must(worker, ReportAttempt{Effect: e, Message: "<id@x>"}, ReasonAttempt)
	r.Effect = e
	w.must(worker, r, ReasonResult)
}

func (w *world) owed(kind EffectKind) []Effect {
	var list []Effect
	for _, e := range Owed(w.s) {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

func (w *world) duty(key string) *DutyInstance {
	w.t.Helper()
	d := w.s.Duties[key]
	if d == nil {
		w.t.Fatalf("there is no duty %s: %v", key, sortedKeys(w.s.Duties))
	}
	return d
}

func (w *world) wantDuty(key string, want DutyState) *DutyInstance {
	w.t.Helper()
	d := w.duty(key)
	if d.State != want {
		w.t.Fatalf("duty %s is %s, want %s", key, d.State, want)
	}
	return d
}

func wantTime(t testing.TB, what string, got, want time.Time) {
	t.Helper()
	if !got.Equal(want) {
		t.Fatalf("%s is %s, want %s", what, got, want)
	}
}

// noticeSent drafts, approves and sends a notice of a duty.
func (w *world) noticeSent(duty string) string {
	w.t.Helper()
	w.must(mark, DraftNotice{Duty: duty, Subject: "A security incident", Content: map[string]string{"what_happened": "x", "your_actions": "y"}}, ReasonDrafted)
	id := w.s.Notices[len(w.s.Notices)-1].ID
	w.must(lena, ApproveNotice{Notice: id, Attest: true}, ReasonApproved)
	w.must(mark, SendNotice{Notice: id}, ReasonSending)
	return id
}
