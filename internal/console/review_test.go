package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

const reviewAt = "/incidents/INC-1/review"

// promise: REV-1
func TestAPartIsSavedOverTheTextThatWasSeenAndARefusedOneIsKept(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Answer = func(r desk.Request) (desk.Outcome, error) { return desk.Outcome{}, nil }
	got := b.submit(reviewAt, reviewAt, url.Values{"do": {"write"}, "part": {"timeline"}, "text": {"a\r\n\r\n- b"}, "was": {"01REVIEW"}, "version": {"internal"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != reviewAt+"?version=internal#p-timeline" {
		t.Fatalf("%d %s", got.status, got.header.Get("Location"))
	}
	asked := b.desk.Asked()
	if c, ok := asked[len(asked)-1].Command.(incident.EditReview); !ok || c != (incident.EditReview{Part: "timeline", Version: "internal", Text: "a\n\n- b", Was: "01REVIEW"}) {
		t.Errorf("asked for %+v", asked[len(asked)-1].Command)
	}
	b.desk.Answer = func(r desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: incident.RefusedStale, Message: "the part timeline was written by person:omar in the meantime: nothing was overwritten"}
	}
	mine := "my own text <b>"
	got = b.submit(reviewAt, reviewAt, url.Values{"do": {"write"}, "part": {"timeline"}, "text": {mine}, "was": {"01OLD"}, "version": {"internal"}})
	for _, want := range []string{"nothing was overwritten", "my own text &lt;b&gt;</textarea>", "What omar wrote there meanwhile", "Then **this** happened.", `name="was" value="01REVIEW"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the refused page lacks %q", want)
		}
	}
	if got.status != http.StatusConflict {
		t.Errorf("status %d", got.status)
	}
}

// promise: REV-1, REV-3
func TestTheReviewSaysWhatIsMissingAndWhatIsOverdue(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := b.get(reviewAt).body
	for _, want := range []string{"The part &#34;Root cause&#34; is not written.", "The assessment (way in, cause, risk) is not recorded.", "Shorter tokens", "overdue", "opened again 1 time", "Publication 2",
		"What changed since", "sha256:efef", "In the log", "/incidents/INC-1/timeline?from=2026-11-22T03%3A05%3A00Z#l-01J00001", "<strong>this</strong>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	client := b.get(reviewAt + "?version=client").body
	for _, want := range []string{"not in this version", "What we recommend you do", "the part recommendations of the client version is empty", `href="/incidents/INC-1/review?version=client#p-recommendations"`} {
		if !strings.Contains(client, want) {
			t.Errorf("the client version lacks %q", want)
		}
	}
	plan := b.get(reviewAt + "/plan?version=client").body
	if strings.Contains(plan, "anna@example.com") || strings.Contains(plan, "Omar wrote") || !strings.Contains(plan, "E-mail address, 1 time, in What it means for you") {
		t.Errorf("the plan shows what was to be left out, or does not say that it was: %s", plan[strings.Index(plan, "<h1>"):])
	}
	year := b.get("/programme").body
	if !strings.Contains(year, "Shorter tokens") || !strings.Contains(year, `href="/incidents/INC-1/review#CA-1"`) {
		t.Error("the programme does not list the corrective actions of all incidents")
	}
	file := b.get("/correctives.csv")
	if !strings.HasPrefix(file.body, "incident,action,what,owner,due,state") || strings.Count(file.body, "INC-1,CA-") != 2 {
		t.Errorf("the file: %s", file.body)
	}
	for form, kind := range map[string]string{"md": "text/markdown", "html": "text/html", "pdf": "application/pdf"} {
		got := b.get(reviewAt + "/file?version=client&form=" + form)
		if !strings.HasPrefix(got.header.Get("Content-Type"), kind) || got.header.Get("Content-Disposition") != `attachment; filename="review-client.`+form+`"` || strings.Contains(got.body, "anna@") {
			t.Errorf("%s: %v", form, got.header)
		}
	}
	if got := b.get(reviewAt + "/file?form=exe"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown form: %d", got.status)
	}
}

// Who only reads finds the document open, and is not told to publish it; a publication has an address.
func TestWhoOnlyReadsTheReviewFindsItOpen(t *testing.T) {
	b := looking(t, console.Options{})
	got := b.get(reviewAt).body
	if strings.Contains(got, "then publish it") || !strings.Contains(got, "Read the very text") || strings.Count(got, "<details open>") < 2 {
		t.Errorf("the review of a reader:\n%s", got)
	}
	if !strings.Contains(got, `<li id="internal-2">`) || !strings.Contains(got, `version=internal#internal-2"`) {
		t.Error("a publication has no address")
	}
}
