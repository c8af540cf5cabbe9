package console_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/console"
)

// The access log is read newest first, page by page; each event has an address of its own, and what
// was supplied later says so.
func TestTheAccessLogIsReadByPages(t *testing.T) {
	b := signedIn(t, console.Options{})
	first := b.get("/accesses?credential=tok_9f").body
	if n := strings.Count(first, `class="at"`); n != 100 || !strings.Contains(first, `href="/accesses/evt-a230"`) || !strings.Contains(first, `href="/accesses?before=131&amp;credential=tok_9f"`) {
		t.Errorf("the first page has %d events", n)
	}
	if !strings.Contains(first, "Accesses with credential \u2068tok_9f\u2069, the newest first.") {
		t.Error("the filters are no sentence")
	}
	last := b.get("/accesses?before=31&credential=tok_9f").body
	if n := strings.Count(last, `class="at"`); n != 30 || !strings.Contains(last, "There are no older ones.") || !strings.Contains(last, `href="/accesses?credential=tok_9f"`) {
		t.Errorf("the last page has %d events", n)
	}
	if later := b.get("/accesses?outcome=denied").body; !strings.Contains(later, "supplied later") || strings.Count(later, `class="at"`) != 1 {
		t.Error("what was supplied later does not say so")
	}
	if got := b.get("/accesses?from=yesterday"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a time that is none: %d", got.status)
	}
	rows, err := csv.NewReader(strings.NewReader(b.get("/accesses.csv?credential=tok_9f").body)).ReadAll()
	if err != nil || len(rows) != 231 {
		t.Errorf("the file has %d rows: %v", len(rows), err)
	}
	if lines := strings.Count(b.get("/accesses.ndjson").body, "\n"); lines != 231 {
		t.Errorf("the file has %d lines", lines)
	}
}

// Any event is shown with its place in the sealed log, and its proof goes to who may answer for it.
func TestAnEventIsProvedToWhoMayAnswerForIt(t *testing.T) {
	b := signedIn(t, console.Options{})
	if got := b.get("/evidence?event=evt-1"); got.header.Get("Location") != "/accesses/evt-1" {
		t.Errorf("an id leads to %q", got.header.Get("Location"))
	}
	page := b.get("/accesses/evt-1").body
	if !strings.Contains(page, "In leaf 4 of the events log") || !strings.Contains(page, "tocsin-verify event.proof.json") || !strings.Contains(page, `href="/accesses/evt-1/proof"`) {
		t.Error("the event is shown without its proof")
	}
	if got := b.get("/accesses/evt-1/proof"); got.status != http.StatusOK || !strings.Contains(got.body, "tocsin-event/v1") {
		t.Errorf("the proof: %d", got.status)
	}
	if got := b.get("/accesses/nothing"); got.status != http.StatusNotFound {
		t.Errorf("an event that is not there: %d", got.status)
	}
	viewer := looking(t, console.Options{})
	if got := viewer.get("/accesses/evt-1/proof"); got.status != http.StatusForbidden {
		t.Errorf("a viewer gets the proof: %d", got.status)
	}
	if strings.Contains(viewer.get("/accesses/evt-1").body, "/proof\"") {
		t.Error("a viewer is led to a proof that is refused")
	}
}

// The state of both logs is on one page, and an export names who gets it before the file leaves.
func TestEvidenceIsTakenElsewhere(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := b.get("/evidence").body
	for _, want := range []string{"<dd>120</dd>", "witness.example.org", "less than 1 min", "javabeanai/events+00+AA", "tocsin-verify INC-1.tocsin"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	b.desk.ExportFile = filepath.Join(t.TempDir(), "x.tocsin")
	if err := os.WriteFile(b.desk.ExportFile, []byte("evidence"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := b.submit("/evidence", "/evidence/export", url.Values{"incident": {"INC-1"}, "recipient": {"the regulator"}, "key": {"k1"}})
	if got.status != http.StatusOK || got.body != "evidence" || !strings.Contains(got.header.Get("Content-Disposition"), "INC-1.tocsin") {
		t.Errorf("%d %q", got.status, got.header)
	}
}
