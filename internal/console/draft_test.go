package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// changing is an installation whose policy can be changed.
type changing struct {
	firstHour
	put       []string
	restarted int
}

func (c *changing) ChangePolicy(src []byte) error { c.put = append(c.put, string(src)); return nil }
func (c *changing) Restart()                      { c.restarted++ }
func (c *changing) Checkup(context.Context) (doctor.Report, error) {
	return doctor.Report{Findings: []doctor.Finding{{ID: "mail.relay", State: doctor.Fail, Promises: []string{"PUB-1"}}, {ID: "mail.away", State: doctor.OK, Promises: []string{"PUB-1"}}},
		Beyond: []doctor.Beyond{{Promises: []string{"CLS-1"}, Say: "people look"}}}, nil
}

const draftAt = "/policy/draft"

// A draft is compared with the policy in force in words, with both pages side by side, and an owner puts the
// text that was compared in force, unless another version came meanwhile.
func TestADraftOfThePolicyIsComparedAndPutInForce(t *testing.T) { // promise: PUB-1
	hour := &changing{}
	b := signedIn(t, console.Options{Hour: hour})
	publish(t, b.desk)
	source := string(b.desk.Program.Source)
	laxer := strings.Replace(source, "72h", "96h", 1)
	if laxer == source {
		t.Fatal("the policy of the test has no clock of 72 hours")
	}
	page := b.get(draftAt)
	if page.status != http.StatusOK || !strings.Contains(page.body, "<textarea") || strings.Contains(page.body, "danger") {
		t.Fatalf("the page: %d", page.status)
	}
	got := b.submit(draftAt, draftAt, url.Values{"text": {strings.ReplaceAll(laxer, "\n", "\r\n")}, "key": {"k1"}})
	for _, want := range []string{"<span aria-hidden=\"true\">◐</span> laxer", "<code>duty", "Published: version " + b.desk.Program.Version(), "looks for in the draft", `value="` + b.desk.Program.Hash + `"`, "in force in place of " + b.desk.Program.Version() + ": 1 laxer"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the comparison lacks %q", want)
		}
	}
	valid(t, draftAt, got.body)
	if len(hour.put) != 0 {
		t.Fatal("comparing put it in force")
	}
	wrong := b.submit(draftAt, draftAt, url.Values{"text": {source + "\nnonsense: [\n"}, "key": {"k2"}})
	if wrong.status != http.StatusUnprocessableEntity || !strings.Contains(wrong.body, "It does not compile") || !strings.Contains(wrong.body, "Line ") || strings.Contains(wrong.body, `value="publish"`) {
		t.Errorf("a draft that does not compile: %d", wrong.status)
	}
	stale := b.submit(draftAt, draftAt, url.Values{"do": {"publish"}, "of": {"sha256:other"}, "text": {laxer}, "key": {"k3"}})
	if stale.status != http.StatusUnprocessableEntity || !strings.Contains(stale.body, "nother version came in force") || len(hour.put) != 0 {
		t.Errorf("over another version: %d", stale.status)
	}
	done := b.submit(draftAt, draftAt, url.Values{"do": {"publish"}, "of": {b.desk.Program.Hash}, "text": {laxer}, "key": {"k4"}})
	if done.status != http.StatusSeeOther || len(hour.put) != 1 || hour.put[0] != laxer || hour.restarted != 1 {
		t.Errorf("put in force: %d, %d times, restarted %d", done.status, len(hour.put), hour.restarted)
	}
}

// A responder compares; only an owner puts a policy in force, and nobody does on an installation without its disk.
func TestOnlyOwnersPutAPolicyInForce(t *testing.T) {
	hour := &changing{}
	b, _ := open(t, console.Options{Hour: hour})
	publish(t, b.desk)
	b.post("/signin", url.Values{"token": {b.desk.Join("rosa", "Rosa", "responder")}})
	laxer := strings.Replace(string(b.desk.Program.Source), "72h", "96h", 1)
	if got := b.submit(draftAt, draftAt, url.Values{"text": {laxer}, "key": {"k1"}}); got.status != http.StatusOK || !strings.Contains(got.body, "laxer") || strings.Contains(got.body, `value="publish"`) {
		t.Errorf("a responder compares: %d", got.status)
	}
	got := b.submit(draftAt, draftAt, url.Values{"do": {"publish"}, "of": {b.desk.Program.Hash}, "text": {laxer}, "key": {"k2"}})
	if got.status != http.StatusForbidden || len(hour.put) != 0 {
		t.Errorf("a responder puts it in force: %d", got.status)
	}
}

// The rules say of each promise how it stood in the last drill; what a look at the installation finds is
// for those who are signed in.
func TestEachPromiseHasItsRuleItsLastDrillAndItsControl(t *testing.T) { // promise: PUB-1
	hour := &changing{}
	took, due := 60.0, 600.0
	run := played.Run{Hash: "sha256:abc"}
	run.Card.Promises = []played.Promise{{ID: "NOT-1", Got: "kept", Took: &took, Due: &due}, {ID: "ZZZ-1", Got: "missed"}}
	b := signedIn(t, console.Options{Hour: hour, LastDrill: func() (played.Run, bool) { return run, true }})
	b.desk.Program.Duties[0].Promise = []string{"NOT-1", "PUB-1"}
	b.desk.Program.Classes[0].Promise = []string{"CLS-1"}
	mine := b.get("/policy/rules").body
	for _, want := range []string{"Last drill", "</span> kept", "9 min left", `href="/settings#mail.relay"`, "✕</span> fails", "cannot be checked from here", `<code id="ZZZ-1">`, "✕</span> missed"} {
		if !strings.Contains(mine, want) {
			t.Errorf("the rules lack %q", want)
		}
	}
	valid(t, "/policy/rules", mine)
	b.http.Jar = nil
	if visitors := b.get("/policy/rules").body; strings.Contains(visitors, "/settings#") || strings.Contains(visitors, "Control</th>") || !strings.Contains(visitors, "9 min left") {
		t.Error("visitors see what a look at the installation finds, or no drill")
	}
	if mine := b.get("/policy").body; strings.Contains(mine, "reviewer looks for") {
		t.Error("visitors see the checklist")
	}
}
