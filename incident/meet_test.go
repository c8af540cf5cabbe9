package incident

import (
	"strings"
	"testing"
)

// A duty that stands in the way of closing says first how it is met, where it stands, and then how it is let go of.
func TestWhatIsOwedAtTheEndSaysHowItIsMet(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "it was read"}, ReasonAnswered)
	w.must(lena, scopeOf("d1", "m_1"), ReasonScopeRecorded)
	says := func() map[string]string {
		out := map[string]string{}
		for _, m := range w.refused(lena, Close{Reason: "over"}, RefusedOwed).Missing {
			out[m.Rule] = m.Do
		}
		return out
	}
	first := says()
	for rule, want := range map[string]string{
		"contain":        "contain it: tocsin incident contain INC-1 ACTION --reason … (or waive it: tocsin incident waive INC-1 contain --reason …)",
		"assess":         "assess it: tocsin incident assess INC-1 (or waive it: tocsin incident waive INC-1 assess --reason …)",
		"tell_merchants": "write it: tocsin incident draft INC-1 tell_merchants (or waive it: tocsin incident waive INC-1 tell_merchants --reason …)",
	} {
		if first[rule] != want {
			t.Errorf("%s: %q, not %q", rule, first[rule], want)
		}
	}
	w.must(mark, DraftNotice{Duty: "tell_merchants", Subject: "S", Content: map[string]string{"what_happened": "x", "your_actions": "y"}}, ReasonDrafted)
	if got := says()["tell_merchants"]; !strings.HasPrefix(got, "finish NTC-1: tocsin incident draft INC-1 tell_merchants --notice NTC-1 (or waive it: ") {
		t.Errorf("with a draft: %q", got)
	}
}

func TestAnActionThatWasNeverPlannedLeadsToThePlan(t *testing.T) {
	w := newWorld(t)
	w.open()
	r := w.refused(lena, ApproveAction{}, RefusedUnknown)
	if len(r.Missing) != 1 || r.Missing[0].Do != "plan one: tocsin incident contain INC-1 ACTION --reason …" || strings.Contains(r.Error(), `""`) {
		t.Fatalf("%v, %+v", r, r.Missing)
	}
}
