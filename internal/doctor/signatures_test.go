package doctor

import (
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

// Of an installation in which one person could act, the doctor says what waits for a second one; of one
// whose policy asks for two roles, whether two people are there for them beside the one who wrote it.
func TestTheDoctorSaysWhatOnePersonAloneCannotSign(t *testing.T) {
	var verified *policy.Condition // as the compiler makes it
	for _, p := range shipped(t) {
		for _, g := range p.Gates {
			for _, c := range g.Need {
				if slices.Contains(c.Reads(), "fix.verified") {
					verified = c
				}
			}
		}
	}
	look := func(change func(*Seen)) map[string]Finding {
		s := sound()
		s.Policy.Gates[0].Need = []*policy.Condition{verified}
		s.Files = []FileSource{{Name: "theme", State: "as_approved", Approved: now, Two: true}}
		change(&s)
		found := map[string]Finding{}
		for _, f := range Examine(s).Findings {
			if strings.HasPrefix(f.ID, "signatures.") || strings.HasSuffix(f.ID, ".approvals") {
				found[f.ID] = f
			}
		}
		return found
	}
	all := []string{"signatures.notices", "signatures.actions", "signatures.fix", "files.theme.approvals"}
	two := look(func(*Seen) {})
	for _, id := range all {
		if two[id].State != OK || two[id].Say == "" {
			t.Errorf("two people, %s: %+v", id, two[id])
		}
	}
	for name, change := range map[string]func(*Seen){
		"one account":              func(s *Seen) { delete(s.Org.People, "omar") },
		"the second only looks":    func(s *Seen) { s.Org.People["omar"].Access = incident.Viewer },
		"the second's has ended":   func(s *Seen) { s.Org.People["omar"].Revoked = now },
		"the second never came in": func(s *Seen) { s.Org.People["omar"] = &org.Person{ID: "omar", Access: incident.Responder} },
	} {
		one := look(change)
		for _, id := range all {
			if f := one[id]; f.State != Warn || !strings.Contains(f.Do, "tocsin people invite NAME --access responder") {
				t.Errorf("%s, %s: %+v", name, id, f)
			}
		}
		if !slices.Contains(one["signatures.notices"].Promises, "NOT-1") || !slices.Contains(one["signatures.actions"].Promises, "CON-1") || !strings.Contains(one["signatures.notices"].Say, "tell") {
			t.Errorf("%s: no promise, or not what waits: %+v", name, one)
		}
	}
	asked := look(func(s *Seen) { s.Policy.Duties[0].Approve = []string{"legal", "lead"} })
	if f := asked["signatures.notices"]; f.State != Warn || !strings.Contains(f.Say, "the role legal") || !strings.Contains(f.Do, "--role legal") {
		t.Errorf("nobody holds legal: %+v", f)
	}
	enough := look(func(s *Seen) {
		s.Policy.Duties[0].Approve = []string{"lead", "legal"}
		s.Org.People["lena"].Roles = []string{"lead", "legal"} // who signs for one of both, and is needed for the other's
		s.Org.People["abel"] = &org.Person{ID: "abel", Access: incident.Responder, Roles: []string{"lead"}, Joined: now}
		s.Org.People["omar"].Roles = nil
	})
	if f := enough["signatures.notices"]; f.State != OK {
		t.Errorf("omar writes, lena signs for legal and abel for lead: %+v", f)
	}
	single := look(func(s *Seen) {
		s.Policy.Duties[0].Approve = []string{"lead"}
		s.Policy.Roles[0].Backup = nil
	})
	if f := single["signatures.notices"]; f.State != OK {
		t.Errorf("omar writes and lena signs: %+v", f)
	}
	if f := look(func(s *Seen) { s.Files[0].Two = false })["files.theme.approvals"]; f.ID != "" {
		t.Errorf("one approval is enough: %+v", f)
	}
}
