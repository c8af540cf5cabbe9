package desk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/sink"
)

// Somebody who only looks says what they saw, and the lead's mail is there at once, from a real relay; nobody
// answers, and it comes again, to the lead and then to everybody who can act, until somebody acknowledges it.
//
// promise: DET-13
func TestStaffWhoSuspectABreachReachTheLeadAtOnceAndAgainUntilItIsAcknowledged(t *testing.T) {
	s, mails, read := callingSite(t, sink.Config{})
	s.hire("omar", "omar@staff.example")
	viewer := Caller{Principal: "person:vera", Access: incident.Viewer}
	out, err := s.OpenIncident(t.Context(), "key-1", viewer, incident.Suspicion("an invoice of a stranger lay in my mailbox"))
	s.must(err)
	again, err := s.OpenIncident(t.Context(), "key-1", viewer, incident.Suspicion("an invoice of a stranger lay in my mailbox"))
	if s.must(err); again.Incident != out.Incident {
		t.Fatalf("sent again under its key it opened %s too", again.Incident)
	}
	sent := func(n int) func() bool {
		return func() bool {
			p := s.pagesOf(out.Incident)[fmt.Sprint("reach/", n)]
			return p != nil && p.State == incident.PageSent
		}
	}
	s.until("the lead is called at once", sent(0))
	text := strings.Join(strings.Fields(strings.ReplaceAll(read(mails()[0]), "=\r\n", "")), " ")
	for _, want := range []string{"[" + out.Incident + "] Somebody of the staff suspects a breach", "until somebody acknowledges it", "https://tocsin.example/incidents/" + out.Incident, "the role lead"} {
		if !strings.Contains(text, want) {
			t.Errorf("the mail lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "invoice") {
		t.Errorf("the mail says what was seen:\n%s", text)
	}
	s.clock.Set(noon.Add(15*time.Minute + time.Second))
	s.until("the lead is called again", sent(1))
	s.clock.Set(noon.Add(30*time.Minute + time.Second))
	s.until("everybody who can act is called", sent(2))
	to := map[string]int{}
	for _, m := range mails() {
		to[m.Rcpt[0]]++
	}
	if to["lena@staff.example"] != 3 || to["omar@staff.example"] != 1 || len(to) != 2 {
		t.Fatalf("called %v", to)
	}
	s.give(Caller{Principal: "person:omar", Access: incident.Responder}, out.Incident, incident.Acknowledge{})
	s.clock.Set(noon.Add(3 * time.Hour))
	s.quiet()
	for id := range s.pagesOf(out.Incident) {
		if id == "reach/3" || strings.HasPrefix(id, "reach/") && id > "reach/2" {
			t.Errorf("called again after it was acknowledged: %s", id)
		}
	}
	if got := len(mails()); got != 4 {
		t.Errorf("%d mails", got)
	}
}
