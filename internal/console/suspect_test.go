package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
)

// Whoever has an account is asked one question, without JavaScript, and lands where the answer will stand.
//
// promise: DET-13
func TestEverybodySignedInMaySayWhatTheySaw(t *testing.T) {
	b, _ := open(t, console.Options{})
	token := b.desk.Join("vera", "Vera", incident.Viewer)
	if got := b.post("/signin", url.Values{"token": {token}, "next": {"/"}}); got.status != http.StatusSeeOther {
		t.Fatalf("sign-in: %d", got.status)
	}
	for _, page := range []string{"/", "/report", "/find?q=breach"} {
		if !strings.Contains(b.get(page).body, `href="/suspect"`) {
			t.Errorf("%s does not lead to the question", page)
		}
	}
	if got := b.submit("/suspect", "/suspect", url.Values{"saw": {"  "}, "key": {"key-0"}}); got.status != http.StatusUnprocessableEntity && got.status != http.StatusBadRequest {
		t.Errorf("nothing was seen: %d", got.status)
	}
	saw := "An invoice of another shop lay in my mailbox.\nIt came at noon."
	got := b.submit("/suspect", "/suspect", url.Values{"saw": {saw}, "key": {"key-1"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/incidents/INC-9" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	asked := b.desk.Asked()
	c, ok := asked[len(asked)-1].Command.(incident.Open)
	if !ok || !c.Reach || c.Class != "" || c.Title != "Suspected: An invoice of another shop lay in my mailbox." || c.Summary != saw || asked[len(asked)-1].Caller.Principal != "person:vera" {
		t.Fatalf("asked %+v", asked[len(asked)-1])
	}
}

// The room says who waits for an answer, who was called, and when they are called again, until somebody answers.
func TestTheRoomSaysWhoIsCalledAboutASuspicion(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Join("vera", "Vera", incident.Viewer)
	s := b.desk.States["INC-1"]
	s.Summary, s.Reach = "An invoice of another shop", &incident.Reach{By: "person:vera", Last: 3}
	s.Pages = map[string]*incident.Page{"reach/3": {ID: "reach/3", State: incident.PageSent, To: []incident.Principal{"person:lena"}}}
	for _, name := range []string{"acknowledged", "confirmed", "contained"} {
		delete(s.Milestones, name)
	}
	room := b.get("/incidents/INC-1").body
	for _, want := range []string{"Somebody of the staff suspects a breach", "Vera", "Called by mail: \u2068Lena\u2069", "Sun 22 Nov 05:02", `href="/incidents/INC-1/do/acknowledge"`} {
		if !strings.Contains(room, want) {
			t.Errorf("the room lacks %q", want)
		}
	}
	s.Milestones["acknowledged"] = &incident.Milestone{At: now, By: "person:lena"}
	if strings.Contains(b.get("/incidents/INC-1").body, "suspects a breach") {
		t.Error("it was acknowledged, and the room still says that somebody is called")
	}
}
