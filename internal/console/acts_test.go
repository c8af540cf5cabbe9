package console_test

import (
	"bytes"
	"html"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
)

var plannedField = regexp.MustCompile(`name="planned" value="([^"]+)"`)

// A correction is done at the second submission, of the fields whose plan was shown.
func TestACorrectionShowsWhichDeadlinesMoveBeforeItIsDone(t *testing.T) {
	b := signedIn(t, console.Options{})
	const page = "/incidents/INC-1/do/correct"
	form := url.Values{"milestone": {"confirmed"}, "at": {"2026-11-22T03:02"}, "reason": {"the phone call came first"}}
	got := b.submit(page, page, form)
	if got.status != http.StatusOK || len(b.desk.Asked()) != 0 {
		t.Fatalf("%d, asked %v", got.status, b.desk.Asked())
	}
	for _, want := range []string{"moves from Tue 24 Nov 2026 20:19 CET to Tue 24 Nov 2026 20:02 CET", "the phone call came first", "Correct the milestone of INC-1"} {
		if !strings.Contains(html.UnescapeString(got.body), want) {
			t.Errorf("the plan lacks %q", want)
		}
	}
	planned := plannedField.FindStringSubmatch(got.body)
	if planned == nil {
		t.Fatal("the plan cannot be agreed to")
	}
	form.Set("planned", planned[1])
	form.Set("at", "2026-11-22T03:01")
	if got := b.submit(page, page, form); got.status != http.StatusOK || len(b.desk.Asked()) != 0 {
		t.Fatalf("another time than the plan's was recorded: %d", got.status)
	}
	form.Set("at", "2026-11-22T03:02")
	if got := b.submit(page, page, form); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if c, ok := b.desk.Asked()[0].Command.(incident.Correct); !ok || c.Milestone != "confirmed" || c.Reason != "the phone call came first" {
		t.Fatalf("%+v", b.desk.Asked())
	}
}

func TestAFormThatTheIncidentLeftBehindSaysSoAndKeepsTheText(t *testing.T) {
	b := signedIn(t, console.Options{})
	const page = "/incidents/INC-1/do/dismiss"
	b.desk.States["INC-1"].Version = 8
	b.desk.Others = []incident.Line{{Principal: "person:omar", Text: "Milestone confirmed " + hostile, Recorded: now}}
	got := b.submit(page, page, url.Values{"seen": {"7"}, "reason": {"it was our own backup"}})
	if got.status != http.StatusConflict || len(b.desk.Asked()) != 0 {
		t.Fatalf("%d, asked %v", got.status, b.desk.Asked())
	}
	for _, want := range []string{"the incident moved on", "Milestone confirmed &lt;script&gt;", "it was our own backup", `name="seen" value="8"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := b.submit(page, page, url.Values{"seen": {"8"}, "reason": {"it was our own backup"}}); got.status != http.StatusSeeOther {
		t.Fatalf("%d", got.status)
	}
	// A note only adds: it is never late.
	if got := b.submit("/incidents/INC-1/do/note", "/incidents/INC-1/do/note", url.Values{"seen": {"1"}, "text": {"seen"}}); got.status != http.StatusSeeOther {
		t.Fatalf("%d", got.status)
	}
}

func (b *browser) upload(path string, fields [][2]string, file string) shown {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, f := range fields {
		if err := form.WriteField(f[0], f[1]); err != nil {
			b.t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("file", "dump.html")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := part.Write([]byte(file)); err != nil {
		b.t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), "POST", b.url+path, &body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	got, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer got.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(got.Body); err != nil {
		b.t.Fatal(err)
	}
	return shown{got.StatusCode, got.Header, text.String()}
}

// promise: INV-3
func TestAnAttachedFileIsSavedAndNeverShown(t *testing.T) {
	b := signedIn(t, console.Options{})
	const page = "/incidents/INC-1/do/attach"
	if got := b.upload(page, [][2]string{{"note", "from the proxy"}}, "x"); got.status != http.StatusForbidden || len(b.desk.Asked()) != 0 {
		t.Fatalf("a form of no session was taken: %d", got.status)
	}
	csrf := csrfField.FindStringSubmatch(b.get(page).body)[1]
	if got := b.upload(page, [][2]string{{"csrf", csrf}, {"key", "k1"}, {"note", "from the proxy"}}, "<script>"); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if c, ok := b.desk.Asked()[0].Command.(incident.Attach); !ok || c.File != "dump.html" || c.Note != "from the proxy" || c.Bytes != 8 {
		t.Fatalf("%+v", b.desk.Asked())
	}
	got := b.get("/incidents/INC-1/attachments/ATT-1")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/octet-stream" || got.header.Get("X-Content-Type-Options") != "nosniff" ||
		got.header.Get("Content-Disposition") != `attachment; filename="INC-1-ATT-1.bin"` || !strings.HasPrefix(got.header.Get("Content-Security-Policy"), "sandbox;") {
		t.Fatalf("%d %v", got.status, got.header)
	}
	if got := b.get("/incidents/INC-1/attachments/ATT-9"); got.status != http.StatusNotFound {
		t.Fatalf("%d", got.status)
	}
	room := b.get("/incidents/INC-1").body
	for _, want := range []string{"ATT-1", "sha256:abcd", "HLD-1", "offered to", "take it out"} {
		if !strings.Contains(room, want) {
			t.Errorf("the room lacks %q", want)
		}
	}
}

func TestAMergingIsNotDoneAfterAPlanThatTheOtherIncidentLeftBehind(t *testing.T) {
	b := signedIn(t, console.Options{})
	const page = "/incidents/INC-1/do/merge"
	form := url.Values{"from": {"INC-3"}, "reason": {"one thief"}}
	planned := regexp.MustCompile(`name="planned" value="([^"]+)"`)
	plan := func(want int) {
		t.Helper()
		got := b.submit(page, page, form)
		shown := planned.FindStringSubmatch(got.body)
		if got.status != want || shown == nil || len(b.desk.Asked()) != 0 {
			t.Fatalf("%d, asked %v", got.status, b.desk.Asked())
		}
		form.Set("planned", shown[1])
	}
	plan(http.StatusOK)
	b.desk.Moved("INC-3", func(*incident.State) {})
	b.desk.Others = []incident.Line{{Principal: "person:omar", Text: "Milestone confirmed", Recorded: now}}
	plan(http.StatusConflict)
	if got := b.submit(page, page, form); got.status != http.StatusSeeOther || len(b.desk.Asked()) != 1 {
		t.Fatalf("%d, asked %v", got.status, b.desk.Asked())
	}
}
