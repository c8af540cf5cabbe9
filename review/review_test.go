package review_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/review"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

func at(h, m int) time.Time { return time.Date(2026, 11, 22, h, m, 0, 0, time.UTC) }

func input() review.Input {
	s := &incident.State{
		ID: "INC-42", Title: "Stolen token | <b>tok_9f</b>", Summary: "Somebody used a stolen token.", Class: "credential_exposure", Severity: "critical",
		Status: incident.StatusOpen, Opened: at(3, 2), Env: "drill", Apps: []string{"pickandpack"}, Policy: "sha256:abc",
		Milestones: map[string]*incident.Milestone{
			"confirmed": {At: at(3, 19), By: "person:lena", Why: "the token was used from abroad", Before: []incident.Correction{{At: at(3, 25), By: "person:tom"}}},
			"detected":  {At: at(3, 2), By: "service:detect"},
		},
		Duties: map[string]*incident.DutyInstance{
			"tell_merchants/m_1": {Key: "tell_merchants/m_1", Standing: &incident.Standing{Duty: "tell_merchants", State: incident.DutyMet, Started: at(3, 19), Due: at(3, 19).Add(72 * time.Hour), Met: at(9, 19), Why: "72 hours after confirmed"}},
			"tell_merchants/m_2": {Key: "tell_merchants/m_2", Standing: &incident.Standing{Duty: "tell_merchants", State: incident.DutyMetLate, Started: at(3, 19), Due: at(3, 19).Add(72 * time.Hour), Met: at(4, 19).Add(72 * time.Hour), Missed: at(3, 19).Add(72 * time.Hour)}},
			"judge":              {Key: "judge", Standing: &incident.Standing{Duty: "judge", State: incident.DutyRunning, Started: at(3, 2), Due: at(11, 2), Earliest: at(10, 2)}},
		},
		Scopes: []incident.ScopeVersion{{N: 2, Merchants: 214, Customers: 18211, Records: 40000, Events: 900, AtLeast: true, DataTypes: []string{"customer.email"}, First: at(1, 0), Last: at(3, 30), At: at(3, 40), By: "person:lena", Digest: "sha256:d1", Log: "acme/events", Size: 77,
			Gaps: []incident.Gap{{Source: "web", From: at(1, 0), To: at(2, 0)}}}},
		Adjusted:   map[string]*incident.Adjusted{"m_secret_shop": {Include: true}},
		Actions:    []*incident.Action{{ID: "ACT-1", Decl: "revoke_token", State: incident.ActionProven, PlannedAt: at(3, 20), Approvals: []incident.Signed{{By: "person:tom", At: at(3, 25)}}, AppliedAt: at(3, 30), ProvenAt: at(3, 31), Proof: "GET /orders with the old credential was refused with http 401"}},
		Notices:    []*incident.Notice{{ID: "NTC-1", Duty: "tell_merchants", SentAt: at(9, 0), SentBy: "person:mia", Deliveries: map[string]*incident.Delivery{"m_1": {State: incident.DeliveryAccepted}, "m_2": {State: incident.DeliveryBounced}}}},
		Checks:     map[string]*incident.Check{"checkout": {ID: "checkout", State: "passed", At: at(5, 0), Observe: "GET answered HTTP 200"}},
		Assessment: &incident.Assessment{Vector: "a token in a public repository", RootCause: "no secret scanning", Risk: "phishing", By: "person:lena", At: at(6, 0)},
		Fix:        &incident.Signed{By: "person:tom", At: at(7, 0), Text: "scanner installed"},
		Snapshots:  []incident.SnapshotOf{{Log: "acme/events", Size: 77, At: at(3, 22)}},
		Review:     incident.ReviewState{Parts: map[string]*incident.Signed{"root_cause": {Text: "Nobody looked.\n\n# not a heading\n<script>alert(1)</script> متجر", By: "person:lena", At: at(8, 0)}}},
		Refusals:   []incident.RefusalOf{{Command: "restore", By: "person:tom", At: at(4, 0), Missing: []incident.Missing{{What: "check checkout has not passed"}}}},
	}
	p := &policy.Program{Title: "Security Incident Response Policy", Zone: time.FixedZone("CET", 3600), Review: []string{"timeline", "root_cause", "impact", "response", "prevention", "lessons_learned"},
		Duties: []policy.Duty{{ID: "tell_merchants", Do: policy.Notify, Due: []policy.Clock{{Text: "72h after confirmed"}}}, {ID: "judge", Do: policy.Decide}}}
	return review.Input{State: s, Program: p, Org: "PickAndPack", Now: at(12, 0), Checkpoint: "acme/facts\n9\nabc=\n\n— acme/facts sig\n",
		Lines: []incident.Line{{At: at(3, 2), Principal: "service:detect", Text: "credential tok_9f: 412 customer accounts of 96 merchants"}}}
}

// promise: REV-1
func TestTheDraftSaysWhatTheFactsSayInEveryForm(t *testing.T) {
	d := review.Draft(input())
	md := string(d.Markdown())
	for _, want := range []string{
		"## Timeline", "## Root cause", "## Impact", "## Response", "## Prevention", "## Lessons learned", "## Evidence",
		"22 Nov 2026 04:02:00 +01:00", "first recorded as 22 Nov 2026 04:25:00 +01:00 by tom",
		"412 customer accounts of 96 merchants", "no secret scanning", "scanner installed",
		"at least 214", "at least 18211", "web was silent", "1 merchants included, 0 excluded",
		"72h after confirmed", "at most 73 h 0 min, 1 h 0 min after the limit", "Met 1, Met late 1; the limit passed for 1", "once shown as 22 Nov 2026 11:02:00 +01:00",
		"refused with http 401", "Accepted 1, Bounced 1", "check checkout has not passed", "sha256:d1", "    acme/facts\n",
	} {
		if !strings.Contains(strings.ReplaceAll(md, `\`, ""), want) {
			t.Errorf("the Markdown lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(md)
	}
	if strings.Contains(md, "m_1") || strings.Contains(md, "secret_shop") || strings.Contains(md, `m\_1`) {
		t.Error("the review names a merchant")
	}
	file, err := d.PDF()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := review.Draft(input()).PDF()
	if !bytes.Equal(file, again) || !bytes.HasPrefix(file, []byte("%PDF-1.7")) {
		t.Error("the same facts give another PDF")
	}
	text := pdfText(t, file)
	for _, want := range []string{"Review of incident INC-42", "Root cause", "Nobody looked.", "no secret scanning", "at least 18211", "متجر", "page 1 of"} {
		if !strings.Contains(text, want) {
			t.Errorf("the PDF lacks %q", want)
		}
	}
	page := string(d.HTML())
	if !strings.Contains(page, "at least 18211") || strings.Contains(page, "<script>") || strings.Contains(page, "<b>tok") {
		t.Error("the HTML lacks a number, or what a person wrote acts as markup")
	}
}

func pdfText(t *testing.T, file []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pdftotext is not installed: install poppler-utils")
		}
		t.Skip("pdftotext is not installed")
	}
	name := filepath.Join(t.TempDir(), "review.pdf")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if keep := os.Getenv("TOCSIN_KEEP_PDF"); keep != "" {
		_ = os.WriteFile(filepath.Join(keep, "review.pdf"), file, 0o600)
	}
	out, err := exec.Command(tool, "-enc", "UTF-8", name, "-").CombinedOutput()
	if err != nil {
		t.Fatalf("pdftotext: %v %s", err, out)
	}
	return string(out)
}

// promise: REV-1
func TestTheDraftListsWhatIsMissing(t *testing.T) {
	d := review.Draft(input())
	got := strings.Join(d.Missing, "\n")
	for _, want := range []string{`"Timeline" is not written`, `"Impact" is not written`, `"Lessons learned" is not written`, "No corrective action", `"Judge" is still owed (1 of 1)`} {
		if !strings.Contains(got, want) {
			t.Errorf("missing lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Root cause") || strings.Contains(got, "assessment") {
		t.Errorf("what is there is called missing:\n%s", got)
	}
	empty := review.Draft(review.Input{State: &incident.State{ID: "INC-1"}})
	if len(empty.Missing) < 8 {
		t.Errorf("an empty incident lacks only %v", empty.Missing)
	}
	if _, err := empty.PDF(); err != nil {
		t.Error(err)
	}
}

// What the facts hold is text in the rendered Markdown too.
func TestTextDoesNotActInMarkdown(t *testing.T) {
	in := input()
	hostile := "# h\n- l\n1. n\n[x](javascript:1) ![i](http://e) <img src=x onerror=1> `c` *b* | | ~~s~~ &lt; a\\b"
	in.State.Title = hostile
	in.Lines[0].Text = hostile
	out := rendered(t, review.Draft(in).Markdown())
	for _, bad := range []string{"<img", "<a ", "<h1>h", "<li>l", "<ol", "<strong>b", "<em>b", "<del", "<code>c"} {
		if strings.Contains(out, bad) {
			t.Errorf("the text acts: %s in\n%s", bad, out)
		}
	}
	if n := strings.Count(out, "a\\b"); n != 2 {
		t.Errorf("the text is found %d times, want 2", n)
	}
}

func rendered(t *testing.T, md []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(md, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestALongTimelineIsCut(t *testing.T) {
	in := input()
	for i := range review.MaxLines + 5 {
		in.Lines = append(in.Lines, incident.Line{At: at(4, 0), Text: fmt.Sprint("line ", i)})
	}
	d := review.Draft(in)
	if !strings.Contains(string(d.Markdown()), "6 more lines are in the evidence export") {
		t.Error("the cut is not said")
	}
	begin := time.Now()
	if _, err := d.PDF(); err != nil {
		t.Fatal(err)
	}
	t.Logf("a PDF of %d lines took %v", review.MaxLines, time.Since(begin))
}
