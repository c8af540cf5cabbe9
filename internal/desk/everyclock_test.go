package desk

import (
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
)

// The clocks of all open incidents stand together, the most urgent first, and a duty to tell
// somebody says what is missing before it can be sent.
func TestEveryClockOfEveryOpenIncident(t *testing.T) {
	s := newSite(t, nil).start()
	first, second, over := s.open(), s.open(), s.open()
	s.give(lena, first, incident.Confirm{Reason: "seen"})
	s.give(lena, over, incident.Dismiss{Reason: "a test of ours"})
	sheet, err := s.EveryClock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int{}
	for i, c := range sheet.Clocks {
		by[c.Incident]++
		if i > 0 && urgency(c.Due, c.Target).Before(urgency(sheet.Clocks[i-1].Due, sheet.Clocks[i-1].Target)) {
			t.Errorf("%s %s stands after one that is due later", c.Incident, c.Duty)
		}
	}
	if by[first] == 0 || by[second] == 0 || by[over] != 0 || sheet.Running != len(sheet.Clocks) {
		t.Errorf("clocks by incident: %v of %d", by, sheet.Running)
	}
	i := slices.IndexFunc(sheet.Clocks, func(c ClockRow) bool { return c.Incident == first && c.To != "" })
	if i < 0 {
		t.Fatal("no clock says who has to be told")
	}
	tell := sheet.Clocks[i]
	lacks := func(what string) bool {
		return slices.ContainsFunc(tell.Missing, func(m incident.Missing) bool {
			return strings.Contains(m.What, what) && strings.HasPrefix(m.Do, "write it: tocsin notify draft "+first)
		})
	}
	if !lacks("no notice is written") {
		t.Errorf("%s lacks %+v", tell.Duty, tell.Missing)
	}
}
