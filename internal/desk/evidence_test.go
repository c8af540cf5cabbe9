package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/rules"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/verify"
)

// onDisk is a site on a facts log and an access log of its own, on disk.
func onDisk(t *testing.T) (*site, *accesslog.Store) {
	t.Helper()
	g := theGround(t)
	dir := t.TempDir()
	log, events, err := openEvents(dir, g.keys, noon)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := translog.Open(t.Context(), filepath.Join(dir, "log", "facts"), g.signer, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		events.Close()
		log.Close()
		facts.Close()
	})
	s := newSite(t, func(o *Options) {
		o.Events, o.EventLog, o.FactLog, o.Disclosed = events, log, facts, events
		o.Logs = Logs{Facts: facts, Events: log}
		o.Detection = shipped(t)
		o.Anchor = ledger.NewAnchorer(o.Store, facts).Pass
		o.Scope = func(ctx context.Context, q scope.Query, so scope.Options) (scope.Result, error) {
			return scope.Compute(ctx, events, q, so)
		}
	})
	return s, events
}

// shipped are the rules that come with the program.
func shipped(t *testing.T) (o detect.Options) {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		o.Rules = append(o.Rules, sigma.File{Name: name, Data: files[name]})
	}
	return o
}

// attack is what the app's log says when one token reads the orders of many merchants.
func attack(merchants int) string {
	var b strings.Builder
	for i := range merchants {
		fmt.Fprintf(&b, `{"id":"ev-%d","time":%q,"actor":{"type":"service","id":"worker"},"credential":"tok_9f","action":"read","merchant":"m_%d","records":2,"data_types":["customer.email"],"subjects":[{"kind":"account","id":"c%d"}],"source":{"ip":"203.0.113.9","user_agent":"curl/8"}}`+"\n",
			i, noon.Add(time.Duration(i-200)*time.Second).Format(time.RFC3339), i+1, i)
	}
	return b.String()
}

func (s *site) ingest(batch, body string) Receipt {
	s.t.Helper()
	r, err := s.Ingest(s.t.Context(), Key{Purpose: "ingest", Source: "app", App: "pickandpack"}, Delivery{Batch: batch, Format: "auto"}, strings.NewReader(body))
	s.must(err)
	return r
}

// promise: DET-3
func TestAnAttackInTheEventsOpensOneIncident(t *testing.T) {
	s, _ := onDisk(t)
	s.start()
	if r := s.ingest("b1", attack(150)); r.Accepted != 150 {
		t.Fatalf("receipt %+v", r)
	}
	s.quiet()
	rows, err := s.Board(t.Context())
	s.must(err)
	if len(rows) != 1 {
		t.Fatalf("%d incidents, want 1", len(rows))
	}
	if sig := s.state("INC-1").Signals; len(sig) == 0 || sig[0].Subject != "credential:tok_9f" {
		t.Errorf("signals %+v", sig)
	}
	// A restart observes everything again, and a rebuild drops what it may: no alarm is raised twice.
	s.Stop()
	for _, what := range []string{"restart", "rebuild"} {
		again, err := New(s.o)
		s.must(err)
		if what == "rebuild" {
			s.must(again.Rebuild(t.Context()))
		}
		if err := again.startDetection(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "detection after a "+what, func() bool { busy, err := again.detecting(t.Context()); return err == nil && !busy })
		if rows, err := again.Board(t.Context()); err != nil || len(rows) != 1 || len(s.state("INC-1").Signals) != 1 {
			t.Errorf("after a %s: %d incidents, %v", what, len(rows), err)
		}
	}
}

// A rule that is not in use says what it would have found in the stored log, in the order of the
// events, and raises nothing.
//
// promise: DET-2
func TestABacktestSaysWhatRulesWouldHaveFound(t *testing.T) {
	s, _ := onDisk(t)
	s.start()
	s.ingest("b1", attack(30))
	s.quiet()
	board := func() int {
		rows, err := s.Board(t.Context())
		s.must(err)
		return len(rows)
	}
	before := board()
	q := BacktestQuery{From: noon.Add(-time.Hour), To: noon.Add(-190 * time.Second), Rules: []RuleText{{Name: "r.yml", Text: `title: Three merchants
id: 5b1f1e3a-5b55-4b0c-9a3e-0d6d4a1f0fff
correlation: {type: value_count, rules: [reads], group-by: [credential], timespan: 1m, condition: {field: merchant, gte: 3}}
---
title: Reads
id: 5b1f1e3a-5b55-4b0c-9a3e-0d6d4a1f0ffe
name: reads
logsource: {product: tocsin}
detection: {read: {action: read, source.user_agent|startswith: curl}, condition: read}
---
title: Broken
logsource: {product: tocsin}
`}}}
	got, err := s.Backtest(t.Context(), q)
	s.must(err)
	if got.Events != 10 || got.Rules != 2 || got.Total != 1 || got.Unread != 0 || len(got.Problems) == 0 {
		t.Errorf("%+v", got)
	}
	if len(got.Found) != 1 || got.Found[0].Event != "ev-2" || got.Found[0].Group["credential"] != "tok_9f" || len(got.Found[0].Events) != 3 {
		t.Errorf("found %+v", got.Found)
	}
	q.From, q.To = noon.Add(24*time.Hour), noon.Add(25*time.Hour)
	if got, err := s.Backtest(t.Context(), q); err != nil || got.Events != 0 {
		t.Errorf("a time without events: %+v, %v", got, err)
	}
	q.Rules[0].Text = "title: Broken"
	if _, err := s.Backtest(t.Context(), q); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "r.yml:1") {
		t.Errorf("no rule can be used: %v", err)
	}
	if after := board(); after != before {
		t.Errorf("%d incidents, %d before", after, before)
	}
}

// What a cloud's audit log says reaches the rules about it through the door, and opens the class that
// the rule names where the policy lists no such signal.
//
// promise: DET-10
func TestAnAuditLogOpensAnIncident(t *testing.T) {
	s, _ := onDisk(t)
	s.start()
	record := func(id, source, name, identity, more string) string {
		return fmt.Sprintf(`{"eventVersion":"1.08","eventID":%q,"eventTime":%q,"eventSource":%q,"eventName":%q,"awsRegion":"us-east-1","recipientAccountId":"1","sourceIPAddress":"203.0.113.9","userAgent":"aws-cli","userIdentity":{"type":%q,"arn":"arn:aws:iam::1:user/eve","userName":"eve"}%s}`+"\n",
			id, noon.Add(-time.Minute).Format(time.RFC3339), source, name, identity, more)
	}
	s.ingest("b1", record("e-1", "s3.amazonaws.com", "GetObject", "IAMUser", "")+
		record("e-2", "iam.amazonaws.com", "CreateAccessKey", "IAMUser", `,"requestParameters":{"userName":"eve"}`)+
		record("e-3", "iam.amazonaws.com", "CreateAccessKey", "IAMUser", `,"requestParameters":{"userName":"bob"}`))
	s.quiet()
	s.ingest("b2", fmt.Sprintf(`{"@timestamp":%d,"_document_id":"gh-1","action":"repo.access","actor":"octo","actor_ip":"203.0.113.9","org":"acme","repo":"acme/shop","visibility":"public"}`, noon.Add(-time.Minute).UnixMilli()))
	s.quiet()
	s.ingest("b3", `{"uuid":"ok-1","published":"`+noon.Add(-time.Minute).Format(time.RFC3339)+`","eventType":"user.account.privilege.grant","actor":{"id":"00u1","type":"User","alternateId":"jo@acme.example"},"target":[{"id":"00u2","type":"User","alternateId":"mallory@acme.example"}],"client":{"ipAddress":"198.51.100.1"},"outcome":{"result":"SUCCESS"}}`)
	s.quiet()
	rows, err := s.Board(t.Context())
	s.must(err)
	if len(rows) != 3 {
		t.Fatalf("%d incidents, want 3", len(rows))
	}
	for incident, want := range map[string]string{"INC-2": "octo made acme/shop public", "INC-3": "jo@acme.example made [email] (00u2) an administrator"} {
		if sig := s.state(incident).Signals[0]; sig.Sentence != want {
			t.Errorf("%s: %+v", incident, sig)
		}
	}
	sig := s.state("INC-1").Signals[0]
	if sig.Class != "cloud_alert" || sig.Sentence != "arn:aws:iam::1:user/eve made an access key for bob" || !slices.Equal(sig.Events, []string{"e-3"}) {
		t.Errorf("%+v", sig)
	}
}

func TestARebuildKeepsWhatDetectionHasLearned(t *testing.T) {
	s, _ := onDisk(t)
	s.open()
	learned := func(body string) {
		s.must(s.store.Update(t.Context(), func(tx ledger.Tx) error {
			return tx.PutRow(detectorProjection, ledger.Row{Key: detectorKey, Body: []byte(body)})
		}))
	}
	fresh, _, err := detect.New(detect.Options{})
	s.must(err)
	state, err := fresh.Snapshot()
	s.must(err)
	body, err := json.Marshal(detectorState{Seq: 7, State: state})
	s.must(err)
	learned(string(body))
	s.must(s.Rebuild(t.Context()))
	row, err := s.learned(t.Context())
	if err != nil || row.Body == nil {
		t.Fatalf("it is gone: %v", err)
	}
	learned(`{"seq":"x"}`)
	s.must(s.Rebuild(t.Context()))
	if row, err := s.learned(t.Context()); err != nil || row.Body != nil {
		t.Errorf("a snapshot nobody can read survived a rebuild: %v", err)
	}
}

// promise: INV-3
func TestAnExportIsCompleteAndVerifies(t *testing.T) {
	s, _ := onDisk(t)
	s.start()
	s.ingest("b1", attack(150))
	s.quiet()
	const inc = "INC-1"
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	_, res, err := s.RecordScope(t.Context(), "", nadia, inc, stolen, "the token")
	s.must(err)
	if len(res.Rows) != 150 {
		t.Fatalf("the scope has %d merchants", len(res.Rows))
	}
	if _, err := s.Snapshot(t.Context(), "", nadia, inc); err != nil {
		t.Fatal(err)
	}
	s.give(lena, inc, incident.Note{Text: "a note"})
	path, err := s.Export(t.Context(), "x1", boss, inc, "the authority")
	s.must(err)
	report, err := verify.File(path, verify.Options{Keys: s.g.verifiers})
	if err != nil || !report.OK {
		t.Fatalf("the export does not verify: %v %+v", err, report.Findings)
	}
	facts := len(s.records(inc)) - 1 // all but the one that says the export was made
	if report.Facts != facts || report.Pending != 0 || report.Events != 150 || report.Scopes != 1 || report.Checkpoints == 0 {
		t.Errorf("report %+v, want %d facts", report, facts)
	}
	first := s.state(inc).Exports

	// The same request gives the same file and no second handing over.
	again, err := s.Export(t.Context(), "x1", boss, inc, "the authority")
	if err != nil || again != path || len(s.state(inc).Exports) != len(first) {
		t.Errorf("repeated: %s, %v, %d exports", again, err, len(s.state(inc).Exports))
	}
	if _, err := s.Export(t.Context(), "x1", boss, inc, "somebody else"); !errors.Is(err, ErrInvalid) {
		t.Errorf("the same key for another recipient: %v", err)
	}
	// Another export at the same instant of the drill does not replace the first.
	other, err := s.Export(t.Context(), "x2", boss, inc, "somebody else")
	s.must(err)
	if other == path {
		t.Error("two exports share a file")
	}
	if r, err := verify.File(path, verify.Options{Keys: s.g.verifiers}); err != nil || !r.OK {
		t.Errorf("the first export is not what it was: %v", err)
	}
	s.must(os.Remove(path))
	if _, err := s.Export(t.Context(), "x1", boss, inc, "the authority"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the file is gone: %v", err)
	}
	if _, err := s.Export(t.Context(), "", boss, "INC-9", "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an incident that is not there: %v", err)
	}
	if _, err := s.Export(t.Context(), "", boss, inc, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("no recipient: %v", err)
	}
}

func TestAFailedCommitLeavesAnExportNobodyWasGiven(t *testing.T) {
	s, _ := onDisk(t)
	s.start()
	inc := s.open()
	if _, err := s.Export(t.Context(), "", guest, inc, "x"); err == nil {
		t.Error("a viewer took evidence out")
	}
	if len(s.state(inc).Exports) != 0 {
		t.Error("a refused export is on record")
	}
}

// promise: INV-1
func TestWhatTheDeskWorksOutIsWorkedOutOncePerKey(t *testing.T) {
	s, _ := onDisk(t)
	s.start()
	s.ingest("b1", attack(10))
	inc := s.open()
	out, res, err := s.RecordScope(t.Context(), "k", nadia, inc, stolen, "r")
	s.must(err)
	// More of the attack arrives: the same question has another answer now.
	more := strings.ReplaceAll(attack(20), "ev-", "later-")
	s.ingest("b2", more)
	again, res2, err := s.RecordScope(t.Context(), "k", nadia, inc, stolen, "r")
	if err != nil || !again.Replayed || !slices.Equal(again.Facts, out.Facts) {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	if res2.Digest != res.Digest || res2.Size != res.Size {
		t.Errorf("repeated, the result is on %d leaves and was on %d", res2.Size, res.Size)
	}
	if _, _, err := s.RecordScope(t.Context(), "k", nadia, inc, stolen, "another reason"); !errors.Is(err, ErrInvalid) {
		t.Errorf("another question under the same key: %v", err)
	}
	_, res3, err := s.RecordScope(t.Context(), "k2", nadia, inc, stolen, "r")
	if err != nil || res3.Events != res.Events+20 {
		t.Errorf("a new question: %d events, %v", res3.Events, err)
	}

	first, err := s.Snapshot(t.Context(), "s", nadia, inc)
	s.must(err)
	s.ingest("b3", strings.ReplaceAll(attack(5), "ev-", "last-"))
	if again, err := s.Snapshot(t.Context(), "s", nadia, inc); err != nil || !again.Replayed || !slices.Equal(again.Facts, first.Facts) {
		t.Errorf("a snapshot repeated: %+v, %v", again, err)
	}
}

// moody plans something else each time.
type moody struct {
	*app
	asked int
}

func (m *moody) Plan(context.Context, contain.Target, contain.Secret) (contain.Plan, error) {
	m.asked++
	return contain.Plan{Steps: []string{fmt.Sprint("step ", m.asked)}, Blast: "some", Undo: "none"}, nil
}

func TestAPlanIsAskedForOncePerKey(t *testing.T) {
	m := &moody{app: &app{}}
	s := newSite(t, func(o *Options) { o.Connectors = map[string]contain.Connector{"app_tokens": m} })
	inc := s.open()
	plan := func(key, action, secret string) (Outcome, error) {
		return s.Plan(t.Context(), key, nadia, inc, action, map[string]string{"credential": "tok_9f"}, secret, "stolen")
	}
	first, err := plan("p", "revoke_token", "")
	s.must(err)
	again, err := plan("p", "revoke_token", "")
	if err != nil || !slices.Equal(again.Facts, first.Facts) || m.asked != 1 || len(s.state(inc).Actions) != 1 {
		t.Errorf("repeated: %+v, %v; the connector was asked %d times", again, err, m.asked)
	}
	for _, c := range [][2]string{{"no_such", ""}, {"rotate_secret", ""}, {"pause_all", ""}, {"revoke_token", "nothing_there"}} {
		if _, err := plan("", c[0], c[1]); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if m.asked != 1 {
		t.Error("the connector was asked for a plan that is refused")
	}
}

func TestATimelineIsReadPageByPage(t *testing.T) {
	s, _ := onDisk(t)
	s.ingest("b1", attack(30))
	out, err := s.Signal(t.Context(), alarm)
	s.must(err)
	inc := out.Incident
	for i := range 10 {
		s.give(lena, inc, incident.Note{Text: fmt.Sprint("note ", i)})
	}
	all, err := s.Timeline(t.Context(), inc, "", 0, nil)
	s.must(err)
	var paged []TimelineLine
	for after := ""; ; after = paged[len(paged)-1].ID {
		part, err := s.Timeline(t.Context(), inc, after, 3, nil)
		s.must(err)
		if len(part) == 0 {
			break
		}
		if paged = append(paged, part...); len(paged) > len(all) {
			t.Fatal("paging goes round")
		}
	}
	if !slices.Equal(all, paged) || len(all) < 12 {
		t.Errorf("%d lines at once, %d by pages", len(all), len(paged))
	}
	if !slices.IsSortedFunc(all, func(a, b TimelineLine) int { return a.At.Compare(b.At) }) {
		t.Error("the lines are not in the order of the story")
	}
	sources := map[string]bool{}
	for _, l := range all {
		sources[l.Source] = true
	}
	if !sources["fact"] || !sources["event"] {
		t.Errorf("sources %v", sources)
	}
	only, err := s.Timeline(t.Context(), inc, "", 0, []string{"fact"})
	if err != nil || len(only) == 0 || slices.ContainsFunc(only, func(l TimelineLine) bool { return l.Source != "fact" }) {
		t.Errorf("facts alone: %d lines, %v", len(only), err)
	}
	if _, err := s.Timeline(t.Context(), inc, "no such line", 3, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("after a line that is not there: %v", err)
	}
}

func TestAPreviewIsTheLetterThatIsSent(t *testing.T) {
	s := newSite(t, nil).start()
	inc := s.open()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	s.give(nadia, inc, incident.AdjustScope{Merchant: "m_5", Include: true, Reason: "their log"})
	s.give(mark, inc, incident.DraftNotice{Duty: "tell_merchants", Subject: "A security incident", Content: content})
	p, err := s.Preview(t.Context(), inc, "NTC-1", "")
	s.must(err)
	s.give(lena, inc, incident.ApproveNotice{Notice: "NTC-1", Attest: true})
	s.give(mark, inc, incident.SendNotice{Notice: "NTC-1"})
	s.quiet()
	i := slices.IndexFunc(s.mail.arrived, func(l notify.Letter) bool { return l.Recipient == "m_5" })
	// Only the checkpoint at its end is newer.
	words := func(text string) string { before, _, _ := strings.Cut(text, "\n"+factsOrigin+"\n"); return before }
	if i < 0 || words(s.mail.arrived[i].Text) != words(p.Text) || len(words(p.Text)) < 200 || s.mail.arrived[i].Subject != p.Subject {
		t.Errorf("the letter is not the one that was shown:\n%s", diff(p.Text, s.mail.arrived[max(i, 0)].Text))
	}
	for _, c := range [][3]string{{"INC-9", "NTC-1", ""}, {inc, "NTC-9", ""}} {
		if _, err := s.Preview(t.Context(), c[0], c[1], c[2]); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if _, err := s.Preview(t.Context(), inc, "NTC-1", "nobody"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a recipient nobody knows: %v", err)
	}
}
