//go:build !race

package console_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/played"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
)

// given is one thing that the console gave to what is behind it.
type given struct{ what, all string }

// listening is a desk that keeps everything it is given, refuses it while it is told to, and changes nothing
// but what the next page needs.
type listening struct {
	*desktest.Desk

	mu      sync.Mutex
	refuses bool
	got     []given
}

// take keeps a call. A command is named by its type.
func (l *listening) take(what string, all ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses {
		return &incident.Refusal{Reason: "gate_closed", Message: "It is refused for the test."}
	}
	l.got = append(l.got, given{what, fmt.Sprintf("%+v", all)})
	return nil
}

// heard gives what came since it was last asked.
func (l *listening) heard() []given {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := l.got
	l.got = nil
	return got
}

func (l *listening) refuse(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuses = on
}

func (l *listening) Submit(ctx context.Context, r desk.Request) (desk.Outcome, error) {
	if err := l.take(fmt.Sprintf("%T", r.Command), r.Incident, r.Command); err != nil {
		return desk.Outcome{}, err
	}
	return l.Desk.Submit(ctx, r)
}

func (l *listening) SubmitProgramme(ctx context.Context, id string, by desk.Caller, c incident.Command) (desk.Outcome, error) {
	return desk.Outcome{}, l.take(fmt.Sprintf("%T", c), "programme", c)
}

// SubmitOrg lets somebody join, because the page after it needs them, and makes no other change.
func (l *listening) SubmitOrg(ctx context.Context, id string, by desk.Caller, c org.Command) (org.Outcome, error) {
	all := []any{c}
	if in, ok := c.(org.Invite); ok {
		all = append(all, string(in.Email)) // which does not print itself
	}
	if err := l.take(fmt.Sprintf("%T", c), all...); err != nil {
		return org.Outcome{}, err
	}
	if _, joins := c.(org.Join); joins {
		return l.Desk.SubmitOrg(ctx, id, by, c)
	}
	return org.Outcome{}, nil
}

func (l *listening) OpenIncident(ctx context.Context, id string, by desk.Caller, open incident.Open) (desk.Outcome, error) {
	return desk.Outcome{Incident: "INC-1"}, l.take("OpenIncident", open)
}

func (l *listening) Signal(_ context.Context, sig incident.Signal) (desk.Outcome, error) {
	return desk.Outcome{Incident: "INC-1"}, l.take("Signal", sig)
}

func (l *listening) Plan(_ context.Context, id string, by desk.Caller, inc, action string, target map[string]string, secret, reason string) (desk.Outcome, error) {
	return desk.Outcome{}, l.take("Plan", inc, action, target, secret, reason)
}

func (l *listening) Snapshot(_ context.Context, id string, by desk.Caller, inc string) (desk.Outcome, error) {
	return desk.Outcome{}, l.take("Snapshot", inc)
}

func (l *listening) Foresee(ctx context.Context, r desk.Request) (desk.Foreseen, error) {
	if err := l.take("Foresee", r.Command); err != nil {
		return desk.Foreseen{}, err
	}
	return l.Desk.Foresee(ctx, r)
}

func (l *listening) Attach(_ context.Context, id string, by desk.Caller, inc, name, note string, body io.Reader) (desk.Outcome, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return desk.Outcome{}, err
	}
	return desk.Outcome{}, l.take("Attach", inc, name, note, string(raw))
}

func planOr(dry bool, what string) string {
	if dry {
		return what + "Plan"
	}
	return what
}

func (l *listening) Merge(ctx context.Context, id string, by desk.Caller, ask desk.MergeAsk) (desk.Outcome, error) {
	if err := l.take(planOr(ask.Dry, "Merge"), ask); err != nil || !ask.Dry {
		return desk.Outcome{Incident: ask.Into}, err
	}
	return l.Desk.Merge(ctx, id, by, ask)
}

func (l *listening) Split(ctx context.Context, id string, by desk.Caller, ask desk.SplitAsk) (desk.Outcome, error) {
	if err := l.take(planOr(ask.Dry, "Split"), ask); err != nil || !ask.Dry {
		return desk.Outcome{Incident: ask.Of}, err
	}
	return l.Desk.Split(ctx, id, by, ask)
}

func (l *listening) LinkSignal(_ context.Context, id string, by desk.Caller, inc, signal, from, reason string) (desk.Outcome, error) {
	return desk.Outcome{}, l.take("LinkSignal", inc, signal, from, reason)
}

func (l *listening) StartScope(ctx context.Context, id string, by desk.Caller, q scope.Query, inc, reason string) (desk.ScopeRun, error) {
	if err := l.take("StartScope", inc, q, reason); err != nil {
		return desk.ScopeRun{}, err
	}
	return l.Desk.StartScope(ctx, id, by, q, "", reason)
}

func (l *listening) CompareScope(ctx context.Context, q scope.Query) (scope.Comparison, error) {
	if err := l.take("CompareScope", q); err != nil {
		return scope.Comparison{}, err
	}
	return l.Desk.CompareScope(ctx, q)
}

func (l *listening) MatchLines(ctx context.Context, inc string, version int, list io.Reader, out io.Writer) (scope.Matched, error) {
	raw, err := io.ReadAll(list)
	if err != nil {
		return scope.Matched{}, err
	}
	if err := l.take("MatchLines", inc, version, string(raw)); err != nil {
		return scope.Matched{}, err
	}
	return l.Desk.MatchLines(ctx, inc, version, bytes.NewReader(raw), out)
}

func (l *listening) CancelScope(_ context.Context, by desk.Caller, id string) error {
	return l.take("CancelScope", id)
}

func (l *listening) FlipSwitch(_ context.Context, id string, by desk.Caller, merchant, state, reason, inc string) error {
	return l.take("FlipSwitch", merchant, state, reason, inc)
}

func (l *listening) ImportMerchants(ctx context.Context, by desk.Caller, file io.Reader) (int, []desk.Reject, error) {
	raw, err := io.ReadAll(file)
	if err != nil {
		return 0, nil, err
	}
	return 1, nil, l.take("ImportMerchants", string(raw))
}

func (l *listening) Export(_ context.Context, id string, by desk.Caller, inc, recipient string) (string, error) {
	return l.ExportFile, l.take("Export", inc, recipient)
}

func (l *listening) PlanErasure(ctx context.Context, by desk.Caller, e desk.Erasure) (desk.ErasurePlan, error) {
	if err := l.take("PlanErasure", e); err != nil {
		return desk.ErasurePlan{}, err
	}
	return l.Desk.PlanErasure(ctx, by, e)
}

func (l *listening) Erase(_ context.Context, _ string, by desk.Caller, e desk.Erasure) (desk.ErasureTaken, error) {
	return desk.ErasureTaken{Erasure: "ERS-1"}, l.take("Erase", e)
}

func (l *listening) RunProbe(_ context.Context, name string) (desk.ProbeRow, error) {
	return desk.ProbeRow{}, l.take("RunProbe", name)
}

func (l *listening) CheckSource(ctx context.Context, name string) (desk.SourceState, error) {
	if err := l.take("CheckSource", name); err != nil {
		return desk.SourceState{}, err
	}
	return l.Desk.CheckSource(ctx, name)
}

func (l *listening) Approve(_ context.Context, id string, by desk.Caller, name, found, reason string) (desk.SourceState, error) {
	return desk.SourceState{}, l.take("Approve", name, found, reason)
}

func (l *listening) RestoreSource(_ context.Context, id string, by desk.Caller, name, inc, reason string) (desk.Outcome, error) {
	return desk.Outcome{}, l.take("RestoreSource", name, inc, reason)
}

// hearing is the data folder, which hears as the desk does.
type hearing struct {
	firstHour
	l *listening
}

func (h hearing) ChangePolicy(src []byte) error { return h.l.take("ChangePolicy", string(src)) }
func (h hearing) ChangeMail(m console.Relay) error {
	return h.l.take("ChangeMail", m)
}
func (h hearing) TestMail(_ context.Context, to string) error { return h.l.take("TestMail", to) }
func (h hearing) ChangeAway(a console.Away) error             { return h.l.take("ChangeAway", a) }
func (h hearing) SkipStep(id string, again bool) error        { return h.l.take("SkipStep", id, again) }
func (h hearing) StartDrill(scenario, by string) error        { return h.l.take("StartDrill", scenario) }
func (h hearing) Drills() ([]played.Run, error)               { return drilled{}.Drills() }
func (h hearing) Restart()                                    {}

// everything is the filled desk with what else a form can be about: a policy that asks for all there is, an
// incident nobody has confirmed, a private one, one that is closed, a key, a count that goes on.
func everything(t *testing.T) (*listening, string) {
	t.Helper()
	d, token := desktest.New(now)
	fill(d)
	p := d.Program
	p.Scales = []policy.Scale{{ID: "reach", Means: "how far it goes", Levels: []policy.Level{{ID: "one", Means: "one merchant"}, {ID: "all", Means: "everybody"}}}}
	p.Duties = append(slices.Clone(p.Duties), policy.Duty{ID: "call_insurer", Do: policy.Perform, For: "incident"})
	p.Facts = append(slices.Clone(p.Facts), policy.FactDecl{ID: "source_of_it", Type: "choice", Values: []string{"inside", "outside"}, Ask: "Where did it come from?"},
		policy.FactDecl{ID: "how_many", Type: "int", Ask: "How many were there?"})
	gate := policy.Gate{ID: "g_close", Guards: "close", Sign: []policy.Signature{{}}, Attest: "All is over.", Override: &policy.Override{}}
	p.Gates = append(slices.Clone(p.Gates), gate)
	state := func(id string, from string, change func(*incident.State)) {
		s := *d.States[from]
		s.ID = id
		change(&s)
		d.States[id] = &s
		d.Rows = append(d.Rows, desk.BoardRow{ID: id, Title: id, Status: s.Status, Opened: now})
	}
	state("INC-7", "INC-1", func(s *incident.State) {
		s.Private = &incident.Privacy{Readers: []incident.Reader{{Person: "person:lena"}, {Person: "person:omar"}}}
	})
	state("INC-8", "INC-1", func(s *incident.State) {
		s.Milestones = map[string]*incident.Milestone{"suspected": s.Milestones["suspected"], "detected": s.Milestones["detected"]}
	})
	state("INC-9", "INC-1", func(s *incident.State) {
		s.Assessment = &incident.Assessment{}
		s.Review.Parts = map[string]*incident.Signed{"root_cause": {By: "person:lena", At: now, Fact: "01CAUSE", Text: "A token without an end."}}
		for part, signed := range d.States["INC-1"].Review.Parts {
			s.Review.Parts[part] = signed
		}
	})
	d.Join("omar", "Omar", incident.Responder, "lead")
	d.Join("nadia", "Nadia", incident.Responder)
	d.MachineKey(org.PurposeIngest, "shop", "pickandpack")
	d.ExportFile = filepath.Join(t.TempDir(), "INC-1.tocsin")
	if err := os.WriteFile(d.ExportFile, []byte("evidence"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Run = counting()
	return &listening{Desk: d}, token
}

// counting is a count that goes on.
func counting() *desk.ScopeRun {
	return &desk.ScopeRun{ID: "run-0", State: desk.RunRunning, By: "person:lena", Incident: "INC-1", Progress: ask.Progress{What: "reading", Unit: "days", Of: 4, Done: 1}, Took: 3}
}

// morePages are those that no page of the list leads to, because of what the incident is or is not.
var morePages = []string{"/incidents/INC-1/scope?run=run-0", "/incidents/INC-8", "/incidents/INC-9/review/plan", "/incidents/INC-7", "/incidents/INC-7/do/grant", "/incidents/INC-7/do/revoke-access",
	"/incidents/INC-8/do/acknowledge", "/incidents/INC-1/do/scale", "/incidents/INC-1/do/done", "/incidents/INC-1/do/told", "/incidents/INC-1/do/attest",
	"/incidents/INC-1/do/override", "/incidents/INC-1/do/move-policy", "/incidents/INC-1/do/review", "/incidents/INC-1/do/unpick"}
