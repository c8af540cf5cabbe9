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

// What is owed without an incident stands on the board with its clock, and is recorded as done from a form.
func TestTheProgrammeIsOnTheBoardAndIsRecordedAsDone(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.States[desk.OrgChain] = b.desk.Yearly
	board := b.get("/").body
	for _, want := range []string{"All the year round", "Run a drill", "lead called by mail: Lena", `href="/programme"`} {
		if !strings.Contains(board, want) {
			t.Errorf("the board lacks %q", want)
		}
	}
	shown := b.get("/programme").body
	for _, want := range []string{"Read the policy again", "10 d 0 h over", "What was done", "Lena", `<option value="drill"`} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	form := url.Values{"duty": {"drill"}, "note": {"played stolen-token, all kept"}, "at": {""}, "key": {"key-1"}}
	if got := b.submit("/programme", "/programme", form); got.status != http.StatusSeeOther || got.header.Get("Location") != "/programme" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	asked := b.desk.Asked()
	last := asked[len(asked)-1]
	if want := (incident.Complete{Duty: "drill", Note: "played stolen-token, all kept"}); last.Command != incident.Command(want) || last.Incident != desk.OrgChain || last.Caller.Principal != "person:lena" {
		t.Errorf("asked %+v", last)
	}
	b.desk.Answer = func(desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: "x", Message: "it is not owed"}
	}
	if got := b.submit("/programme", "/programme", form); got.status != http.StatusConflict || !strings.Contains(got.body, "it is not owed") || !strings.Contains(got.body, ">played stolen-token, all kept</textarea>") {
		t.Errorf("a refusal: %d", got.status)
	}
}
