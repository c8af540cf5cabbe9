package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/console"
)

// promise: DET-7
func TestThePagesOfApprovedFilesShowWhatChangedAndTakeADecision(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := b.get("/integrity").body
	for _, want := range []string{"1 file changed", "nothing approved", "Approved by Lena", `href="/integrity/theme"`, "Look at theme now"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	diff := b.get("/incidents/INC-1/files").body
	for _, want := range []string{"+&lt;script src=&#34;https://evil.example&#34;&gt;", "It is no text: compare the digests.", "232 bytes", `href="/integrity/theme?incident=INC-1"`} {
		if !strings.Contains(diff, want) {
			t.Errorf("the incident's files do not show %q", want)
		}
	}
	if now := b.get("/integrity/theme?incident=INC-1").body; !strings.Contains(now, `value="INC-1"`) || !strings.Contains(now, "Approve this state") || !strings.Contains(now, "Plan to put it back") {
		t.Error("the source's page offers no decision")
	}

	got := b.submit("/integrity/theme", "/integrity/theme", url.Values{"do": {"restore"}, "incident": {"INC-1"}, "because": {"a script was put in"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/incidents/INC-1#actions" {
		t.Errorf("the plan: %d %s", got.status, got.header.Get("Location"))
	}
	got = b.submit("/integrity/theme", "/integrity/theme", url.Values{"do": {"restore"}, "incident": {"INC-404"}, "because": {"what I wrote"}})
	if got.status != http.StatusNotFound || !strings.Contains(got.body, "what I wrote") {
		t.Errorf("an incident that is not there: %d", got.status)
	}
	got = b.submit("/integrity", "/integrity", url.Values{"source": {"theme"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/integrity#theme" {
		t.Errorf("a look: %d %s", got.status, got.header.Get("Location"))
	}
	got = b.submit("/integrity/theme", "/integrity/theme", url.Values{"do": {"approve"}, "found": {"sha256:" + strings.Repeat("b", 64)}, "why": {"release 42"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/integrity#theme" {
		t.Fatalf("the approval: %d %s", got.status, got.header.Get("Location"))
	}
	if page := b.get("/integrity").body; !strings.Contains(page, "release 42") || !strings.Contains(page, "as approved") {
		t.Error("the page does not say who approved it and why")
	}
	if got := b.get("/integrity/another"); got.status != http.StatusNotFound {
		t.Errorf("a source that is not there: %d", got.status)
	}
}

// Where two people approve, the pages say whose approval waits and what the reader's would do.
func TestThePagesOfApprovedFilesSayWhatWaitsForAnotherPerson(t *testing.T) {
	b := signedIn(t, console.Options{})
	s := &b.desk.Guarded[0]
	s.Two = true
	if got := b.get("/integrity/theme").body; !strings.Contains(got, "waits for another person&#39;s") {
		t.Error("it does not say that two approve")
	}
	s.Signed = &integrity.Approval{Digest: s.Found, By: "person:omar", At: now, Reason: "release 42"}
	if got := b.get("/integrity").body; !strings.Contains(got, "waits for another person") || !strings.Contains(got, "omar approved") {
		t.Error("the list does not say what waits")
	}
	got := b.get("/integrity/theme").body
	if !strings.Contains(got, "omar has approved this state") || !strings.Contains(got, "With your approval it is in force") {
		t.Error("the page does not say what the second approval does")
	}
	valid(t, "/integrity/theme", got)
	s.Signed.By = "person:lena"
	if got := b.get("/integrity/theme").body; !strings.Contains(got, "You have approved this state") {
		t.Error("who approved is not told to wait")
	}
}
