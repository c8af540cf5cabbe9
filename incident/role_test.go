package incident

import "testing"

// Whoever may not decide something does not get to by naming themselves in the place of those who may.
func TestARoleThatIsHeldIsNotTakenAway(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.must(omar, Assign{Role: "lead", Person: omar.Principal}, ReasonAssigned)
	r := w.refused(mark, Assign{Role: "lead", Person: mark.Principal}, RefusedLead)
	if len(r.Missing) == 0 {
		t.Error("nothing says what to do about it")
	}
	w.refused(mark, Waive{Duty: "tell_merchants", Reason: "late"}, RefusedLead)
	w.must(omar, Assign{Role: "lead", Person: mark.Principal}, ReasonAssigned) // handed over
	w.refused(omar, Assign{Role: "lead", Person: omar.Principal}, RefusedLead)
	w.must(boss, Assign{Role: "lead", Person: omar.Principal}, ReasonAssigned) // the owner decides
}
