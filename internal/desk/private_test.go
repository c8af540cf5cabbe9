package desk

import (
	"slices"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/sink"
)

// Calls of a private incident go to the people on its list: the holder of a role who is not on it, or
// whom it is about, is passed over, and the next that the escalation names is asked, in the end the
// whole list.
func TestWhoIsNotOnTheListIsNotCalled(t *testing.T) {
	s, _, _ := callingSite(t, sink.Config{})
	o, err := s.Org(t.Context())
	s.must(err)
	page := &incident.Page{ID: "judge/0", Duty: "judge", Role: "lead"}
	on := func(readers []incident.Principal, about ...incident.Principal) *incident.State {
		p := &incident.Privacy{About: about}
		for _, who := range readers {
			p.Readers = append(p.Readers, incident.Reader{Person: who})
		}
		return &incident.State{ID: "INC-1", Private: p}
	}
	for _, c := range []struct {
		what string
		of   *incident.State
		want []string
	}{
		{"not private", &incident.State{ID: "INC-1"}, []string{"lena", "nora"}},
		{"one lead on the list", on([]incident.Principal{"person:nora", "person:carl"}), []string{"nora"}},
		{"the lead is the actor", on([]incident.Principal{"person:lena", "person:carl"}, "person:lena"), []string{"carl"}},
		{"nobody of the escalation is on it", on([]incident.Principal{"person:boss"}), nil},
	} {
		var got []string
		for _, p := range s.holders(c.of, o, page) {
			got = append(got, p.ID)
		}
		if c.want == nil { // the list alone
			if slices.Contains(got, "lena") || slices.Contains(got, "carl") {
				t.Errorf("%s: %v are called", c.what, got)
			}
			continue
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v are called, want %v", c.what, got, c.want)
		}
	}
}
