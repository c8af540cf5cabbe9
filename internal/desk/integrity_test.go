package desk

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/contain/knowngood"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/integrity/folder"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

// guarded is a site that looks after a folder of templates.
func watchful(t *testing.T) (s *site, root string, again func() *site) {
	t.Helper()
	root = t.TempDir()
	put(t, root, "slip.liquid", "<h1>Slip</h1>\n")
	put(t, root, "mail.liquid", "Hello\n")
	var first *site
	organ := func(o *Options) {
		k := &integrity.Keeper{Sources: map[string]integrity.Source{"templates": folder.New(folder.Config{Root: root})}}
		k.Store = evidence.Files{Dir: filepath.Join(filepath.Dir(o.Attachments), "baselines"), Keys: o.Keys, Key: "baselines"}
		o.Integrity = &Integrity{Keeper: k, Every: map[string]time.Duration{"templates": time.Hour}, Restores: map[string]bool{"known_good": true}}
		o.Connectors = map[string]contain.Connector{"known_good": knowngood.New(k)}
		p := *o.Programs[0]
		p.Actions = append(slices.Clone(p.Actions), policy.ActionDecl{ID: "put_back", Uses: "known_good", Means: "put files back"})
		o.Programs = []*policy.Program{&p}
	}
	first = newSite(t, organ)
	_, err := first.Found(t.Context())
	first.must(err)
	first.must(os.MkdirAll(first.o.Attachments, 0o700))
	again = func() *site {
		first.Stop()
		first.must(first.store.Close())
		store, err := sqlite.Open(filepath.Join(first.dir, "tocsin.db"), sqlite.Options{StopGrace: time.Second})
		first.must(err)
		t.Cleanup(func() { store.Close() })
		o := first.o
		o.Integrity, o.Store, o.Anchor = nil, store, nil
		organ(&o)
		d, err := New(o)
		first.must(err)
		next := *first
		next.Desk, next.store = d, store
		t.Cleanup(d.Stop)
		return next.start()
	}
	return first.start(), root, again
}

func put(t *testing.T, root, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *site) pass(d time.Duration) {
	s.t.Helper()
	to := s.clock.Now().Add(d)
	for {
		s.quiet()
		next, ok, err := s.NextDomainWake(s.t.Context())
		s.must(err)
		if !ok || next.After(to) {
			break
		}
		s.clock.Set(next)
	}
	s.clock.Set(to)
	s.quiet()
}

func (s *site) incidents() []string {
	s.t.Helper()
	rows, err := s.Board(s.t.Context())
	s.must(err)
	var out []string
	for _, r := range rows {
		out = append(out, r.ID)
	}
	return out
}

// promise: DET-7
func TestAChangeOfFilesIsASignalOnce(t *testing.T) {
	s, root, again := watchful(t)
	ctx := t.Context()
	s.pass(2 * time.Hour)
	if list, err := s.Sources(ctx); err != nil || list[0].State != SourceNoBaseline {
		t.Fatalf("before anything was approved: %+v, %v", list, err)
	}
	if _, err := s.Approve(ctx, "", lena, "templates", "", ""); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "reason: is missing") {
		t.Errorf("an approval without a reason: %v", err)
	}
	st, err := s.Approve(ctx, "", lena, "templates", "", "release 1")
	s.must(err)
	if st.State != SourceAsApproved || st.Approval.By != "person:lena" || st.Approval.Files != 2 {
		t.Errorf("approved: %+v", st)
	}
	s.pass(3 * time.Hour)
	if got := s.incidents(); len(got) != 0 {
		t.Fatalf("nothing has changed and there is %v", got)
	}

	put(t, root, "slip.liquid", "<h1>Slip</h1>\n<script src=//evil.example></script>\n")
	put(t, root, "added.js", "steal()\n")
	s.pass(time.Hour)
	inc := s.incidents()
	if len(inc) != 1 {
		t.Fatalf("incidents: %v", inc)
	}
	state := s.state(inc[0])
	if state.Class != "malicious_code" || len(state.Signals) != 1 || !strings.Contains(state.Signals[0].Sentence, "is not as person:lena approved it: 1 file added, 1 changed: added.js (added), slip.liquid (changed).") {
		t.Errorf("the signal: %s, %+v", state.Class, state.Signals)
	}
	var kept []string
	for _, a := range state.Attachments {
		_, raw, err := s.Attachment(ctx, inc[0], a.ID)
		s.must(err)
		kept = append(kept, a.Name+"="+string(raw[:5]))
	}
	if want := []string{"templates: added.js=steal", "templates: slip.liquid=<h1>S"}; !slices.Equal(kept, want) {
		t.Errorf("kept as found: %q, want %q", kept, want)
	}
	shown, err := s.IncidentChanges(ctx, inc[0])
	s.must(err)
	if len(shown) != 1 || len(shown[0].Changes) != 2 || !strings.Contains(shown[0].Changes[1].Diff, "+<script src=//evil.example>") {
		t.Errorf("shown: %+v", shown)
	}

	// The same change is not signalled again: not by the next looks, not after a restart, not when the
	// fact that it is known was lost with the crash.
	s.pass(5 * time.Hour)
	s = again()
	s.pass(2 * time.Hour)
	if st, err := s.CheckSource(ctx, "templates"); err != nil || st.State != SourceChanged {
		t.Errorf("%+v, %v", st, err)
	}
	if n := len(s.state(inc[0]).Signals); n != 1 || len(s.incidents()) != 1 {
		t.Errorf("%d signals, incidents %v", n, s.incidents())
	}
	// What changes further is a further signal of the same incident.
	put(t, root, "added.js", "steal(more)\n")
	s.pass(time.Hour)
	if n := len(s.state(inc[0]).Signals); n != 2 || len(s.incidents()) != 1 {
		t.Errorf("%d signals, incidents %v", n, s.incidents())
	}
}

// Clocks that count from the suspicion begin with the newest look that found every file as approved, not with
// the approval, which may be months ago; also when the server was killed since, and after a rebuild.
//
// promise: DET-7
func TestAChangeIsSuspectedSinceTheNewestLookThatFoundNone(t *testing.T) {
	for name, between := range map[string]func(s *site, again func() *site) *site{
		"the server runs on":      func(s *site, _ func() *site) *site { return s },
		"it was started again":    func(_ *site, again func() *site) *site { return again() },
		"its tables were rebuilt": func(s *site, _ func() *site) *site { s.must(s.Rebuild(s.t.Context())); return s },
	} {
		t.Run(name, func(t *testing.T) {
			s, root, again := watchful(t)
			_, err := s.Approve(t.Context(), "", lena, "templates", "", "release 1")
			s.must(err)
			s.pass(72 * time.Hour)
			good := s.clock.Now()
			put(t, root, "slip.liquid", "<script>")
			s = between(s, again)
			s.pass(time.Hour)
			got := s.state(s.incidents()[0])
			if from := got.Signals[0].From; from.Before(good.Add(-time.Hour)) || from.After(good) {
				t.Errorf("the window begins at %s, the last good look was within the hour before %s", from, good)
			}
			if m := got.Milestones["suspected"]; m == nil || m.At.Before(good.Add(-time.Hour)) {
				t.Errorf("suspected: %+v", m)
			}
		})
	}
}

// promise: DET-7
func TestACrashBeforeTheFactRaisesNothingTwice(t *testing.T) {
	s, root, _ := watchful(t)
	_, err := s.Approve(t.Context(), "", lena, "templates", "", "release 1")
	s.must(err)
	put(t, root, "mail.liquid", "Bye\n")
	f, changed, err := s.o.Integrity.Keeper.Evidence(t.Context(), "templates")
	s.must(err)
	// The signal was taken in and the files kept, and then the process died: the turn was not recorded.
	s.o.Decided = nil
	now := s.clock.Now()
	sig := func() {
		s.must(s.tampered(asDesk(t.Context()), "templates", now, f, changed))
	}
	sig()
	inc := s.incidents()
	o, err := s.Org(t.Context())
	s.must(err)
	if r, ok := o.Reported(org.ProbeTurned, "integrity/templates"); !ok || r.State != "changed" {
		t.Fatalf("the turn: %+v", r)
	}
	_, err = s.SubmitOrg(t.Context(), "", worker("integrity"), org.Report{Kind: org.ProbeTurned, Subject: "integrity/templates", State: "unreadable"})
	s.must(err) // as if it had never been said that this change is known
	sig()
	if n := len(s.state(inc[0]).Signals); n != 1 || len(s.incidents()) != 1 || len(s.state(inc[0]).Attachments) != 1 {
		t.Errorf("%d signals, %d files, incidents %v", n, len(s.state(inc[0]).Attachments), s.incidents())
	}
}

func TestOnlyWhatWasSeenIsApproved(t *testing.T) {
	s, root, _ := watchful(t)
	ctx := t.Context()
	_, err := s.Approve(ctx, "", lena, "templates", "", "release 1")
	s.must(err)
	s.pass(time.Minute) // the look of the start is over, and found every file as approved
	put(t, root, "mail.liquid", "Good day\n")
	d, err := s.Diff(ctx, "templates")
	s.must(err)
	if len(d.Changes) != 1 || !strings.Contains(d.Changes[0].Diff, "-Hello\n+Good day\n") {
		t.Fatalf("the diff: %+v", d)
	}
	if _, err := s.Approve(ctx, "", lena, "templates", "", "release 2"); err == nil || !strings.Contains(err.Error(), "look at what changed first") {
		t.Errorf("a later state without a look: %v", err)
	}
	put(t, root, "slip.liquid", "<script>")
	if _, err := s.Approve(ctx, "", lena, "templates", d.Found, "release 2"); err == nil || !strings.Contains(err.Error(), "the files changed since you looked") {
		t.Errorf("a state that changed meanwhile: %v", err)
	}
	put(t, root, "slip.liquid", "<h1>Slip</h1>\n")
	st, err := s.Approve(ctx, "", lena, "templates", d.Found, "release 2")
	s.must(err)
	if st.State != SourceAsApproved || st.Approval.Reason != "release 2" {
		t.Errorf("%+v", st)
	}
	s.pass(2 * time.Hour)
	if got := s.incidents(); len(got) != 0 {
		t.Errorf("what was approved raised %v", got)
	}
}

// promise: REC-3
func TestFilesArePutBackAndThatIsProven(t *testing.T) {
	s, root, _ := watchful(t)
	ctx := t.Context()
	_, err := s.Approve(ctx, "", lena, "templates", "", "release 1")
	s.must(err)
	put(t, root, "slip.liquid", "<script>")
	s.pass(time.Hour)
	inc := s.incidents()[0]
	put(t, root, "late.js", "after the look")
	_, err = s.RestoreSource(ctx, "", nadia, "templates", inc, "a script was put in")
	s.must(err)
	a := s.state(inc).Actions[0]
	plan := strings.Join(a.Steps, "\n")
	if !strings.Contains(plan, "remove late.js from "+root) || !strings.Contains(plan, "write slip.liquid into "+root+" as approved") {
		t.Errorf("the plan:\n%s", plan)
	}
	if _, err := os.Stat(filepath.Join(root, "late.js")); err != nil {
		t.Errorf("a plan changes nothing: %v", err)
	}
	s.give(lena, inc, incident.ApproveAction{Action: a.ID})
	s.quiet()
	st := s.state(inc)
	if a = st.Actions[0]; a.State != incident.ActionProven || !strings.Contains(a.Proof, "all 2 files of templates are as approved") {
		t.Errorf("the action is %s: %s", a.State, a.Proof)
	}
	if b, _ := os.ReadFile(filepath.Join(root, "slip.liquid")); string(b) != "<h1>Slip</h1>\n" {
		t.Errorf("the template is %q", b)
	}
	if !slices.ContainsFunc(st.Attachments, func(x incident.Attachment) bool { return x.Digest == integrity.Digest([]byte("after the look")) }) {
		t.Error("a file that no look had seen was removed and not kept")
	}
	s.pass(time.Hour)
	if len(s.state(inc).Signals) != 1 {
		t.Error("what was put back raised another signal")
	}
	// The same change once more is a new one.
	put(t, root, "slip.liquid", "<script>")
	s.pass(time.Hour)
	if n := len(s.state(inc).Signals); n != 2 {
		t.Errorf("%d signals after it came back", n)
	}
}

// However it was planned, what was signed is the state that was approved then.
func TestAStateThatWasApprovedLaterIsNotPutBack(t *testing.T) { // promise: REC-3
	s, root, _ := watchful(t)
	ctx := t.Context()
	_, err := s.Approve(ctx, "", lena, "templates", "", "release 1")
	s.must(err)
	put(t, root, "slip.liquid", "<script>")
	s.pass(time.Hour)
	inc := s.incidents()[0]
	_, err = s.Plan(ctx, "", nadia, inc, "put_back", map[string]string{"source": "templates"}, "", "a script was put in")
	s.must(err)
	d, err := s.Diff(ctx, "templates")
	s.must(err)
	_, err = s.Approve(ctx, "", lena, "templates", d.Found, "release 2")
	s.must(err)
	put(t, root, "slip.liquid", "<h1>release 3</h1>")
	s.give(lena, inc, incident.ApproveAction{Action: "ACT-1"})
	s.quiet()
	if a := s.state(inc).Actions[0]; a.State != incident.ActionFailed {
		t.Errorf("the action is %s, %s: %s", a.State, a.Code, a.Proof)
	}
	if b, _ := os.ReadFile(filepath.Join(root, "slip.liquid")); string(b) != "<h1>release 3</h1>" {
		t.Errorf("a state that nobody signed was put back: %q", b)
	}
}

func TestNothingIsPutBackThatCannotBeKeptFirst(t *testing.T) { // promise: INV-3
	s, root, _ := watchful(t)
	_, err := s.Approve(t.Context(), "", lena, "templates", "", "release 1")
	s.must(err)
	put(t, root, "slip.liquid", "<script>")
	s.pass(time.Hour)
	inc := s.incidents()[0]
	_, err = s.RestoreSource(t.Context(), "", nadia, "templates", inc, "a script was put in")
	s.must(err)
	put(t, root, "slip.liquid", "<script>2")
	// The folder of attachments is a file: nothing can be kept.
	s.must(errors.Join(os.Rename(s.o.Attachments, s.o.Attachments+".away"), os.WriteFile(s.o.Attachments, nil, 0o600)))
	s.give(lena, inc, incident.ApproveAction{Action: "ACT-1"})
	s.quiet()
	if a := s.state(inc).Actions[0]; a.State != incident.ActionFailed || a.Code != "evidence not kept" {
		t.Errorf("the action is %s, %s", a.State, a.Code)
	}
	if b, _ := os.ReadFile(filepath.Join(root, "slip.liquid")); string(b) != "<script>2" {
		t.Errorf("it was overwritten: %q", b)
	}
}

func TestASourceThatNobodyCanLookAtIsSaidAloud(t *testing.T) { // promise: DET-7
	s, root, _ := watchful(t)
	_, err := s.Approve(t.Context(), "", lena, "templates", "", "release 1")
	s.must(err)
	s.must(os.Rename(root, root+".away"))
	s.pass(2 * time.Hour)
	if got := s.incidents(); len(got) != 0 {
		t.Errorf("after two looks that failed there is %v", got)
	}
	s.pass(4 * time.Hour)
	inc := s.incidents()
	if len(inc) != 1 || len(s.state(inc[0]).Signals) != 1 || !strings.Contains(s.state(inc[0]).Signals[0].Sentence, "cannot be compared with what person:lena approved") {
		t.Fatalf("after six: %v", inc)
	}
	s.must(os.Rename(root+".away", root))
	s.pass(time.Hour)
	if list, err := s.Sources(t.Context()); err != nil || list[0].State != SourceAsApproved {
		t.Errorf("it is back: %+v, %v", list, err)
	}
}

// change is a signal that files of a source were changed.
func change(source string, at time.Time, facets ...string) incident.Signal {
	s := incident.Signal{ID: "integrity-" + source + at.Format("0201T1504"), Class: templateChanged, Subject: "files:" + source, At: at, From: at, To: at,
		Sentence: source + " is not as approved", Facets: map[string]string{facetSource: source, facetFound: "sha256:00"}}
	for i := 0; i+1 < len(facets); i += 2 {
		s.Facets[facets[i]] = facets[i+1]
	}
	return s
}

// promise: DET-7
func TestChangesThatAreFoundTogetherAreOneIncident(t *testing.T) {
	for name, tt := range map[string]struct {
		later   incident.Signal
		private bool
		one     bool
	}{
		"a theme and a template in one night":  {change("theme", noon.Add(40*time.Minute)), false, true},
		"two days later":                       {change("theme", noon.Add(48*time.Hour)), false, false},
		"of another service":                   {change("theme", noon.Add(40*time.Minute), facetService, "blog"), false, false},
		"a source that cannot be read":         {change("theme", noon.Add(40*time.Minute), facetFound, ""), false, false},
		"the first is private":                 {change("theme", noon.Add(40*time.Minute)), true, false},
		"the same source, though it is hidden": {change("templates", noon.Add(40*time.Minute)), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			s.clock.Set(noon.Add(72 * time.Hour))
			out, err := s.Signal(t.Context(), change("templates", noon))
			s.must(err)
			if tt.private {
				_, err := s.Submit(t.Context(), Request{Incident: out.Incident, Command: incident.Restrict{Readers: []incident.Principal{lena.Principal}, Reason: "staff"}, Caller: lena})
				s.must(err)
			}
			later, err := s.Signal(t.Context(), tt.later)
			s.must(err)
			if one := later.Incident == out.Incident; one != tt.one {
				t.Errorf("the change of %s is in %s, the other one in %s", tt.later.Subject, later.Incident, out.Incident)
			}
		})
	}
}

// Where two people approve, the first approval waits, is no baseline, and its own author cannot complete it;
// a change between the two begins anew.
func TestTwoPeopleApproveAState(t *testing.T) { // promise: DET-7
	s, root, _ := watchful(t)
	ctx := t.Context()
	s.o.Integrity.Two = map[string]bool{"templates": true}
	st, err := s.Approve(ctx, "", lena, "templates", "", "release 1")
	s.must(err)
	if st.State != SourceNoBaseline || st.Approval != nil || st.Signed == nil || st.Signed.By != "person:lena" || !st.Two {
		t.Fatalf("after one approval: %+v", st)
	}
	if _, err := s.Approve(ctx, "", lena, "templates", "", "again"); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "another person") {
		t.Errorf("the same person again: %v", err)
	}
	put(t, root, "mail.liquid", "Hello again\n")
	if st, err = s.Approve(ctx, "", mark, "templates", "", "release 2"); err != nil || st.Approval != nil || st.Signed.By != "person:mark" {
		t.Fatalf("another state: %+v %v", st, err)
	}
	st, err = s.Approve(ctx, "", lena, "templates", "", "release 2 looks right")
	s.must(err)
	if st.State != SourceAsApproved || st.Approval.By != "person:lena" || st.Signed != nil {
		t.Errorf("after both: %+v", st)
	}
	put(t, root, "mail.liquid", "Hello a third time\n")
	d, err := s.Diff(ctx, "templates")
	s.must(err)
	if st, err = s.Approve(ctx, "", lena, "templates", d.Found, "release 3"); err != nil || st.Approval.Reason != "release 2 looks right" || st.Signed == nil {
		t.Errorf("a later state is in force with one approval: %+v %v", st, err)
	}
}
