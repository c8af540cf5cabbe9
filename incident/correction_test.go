package incident

import (
	"slices"
	"testing"
)

func counted(digest string, customers map[string]int64) RecordScope {
	var names []string
	for m := range customers {
		names = append(names, m)
	}
	slices.Sort(names)
	c := scopeOf(digest, names...)
	for i := range c.Merchants {
		c.Merchants[i].Customers = customers[c.Merchants[i].Merchant]
	}
	return c
}

func (w *world) sendAll() (to []string) {
	w.t.Helper()
	for _, e := range w.owed(EffectSend) {
		to = append(to, e.Party)
		w.do(e, ReportResult{Outcome: Done, Code: "250"})
	}
	return to
}

// promise: NOT-2
func TestACorrectionGoesToThoseWhoWereToldSomethingElseAndToNobodyTwice(t *testing.T) {
	w := newWorld(t)
	w.scoped()
	w.must(lena, counted("d2", map[string]int64{"m_1": 3, "m_2": 4, "m_3": 5}), ReasonScopeRecorded)
	first := w.noticeSent("tell_merchants")
	w.sendAll()
	if got := Outdated(w.p, w.s, "tell_merchants"); got != nil {
		t.Fatalf("nothing changed, and %v are outdated", got)
	}
	w.after(h)
	// m_1 has more customers, m_2 is as it was, m_3 is not affected after all, and m_4 is new.
	w.must(lena, counted("d3", map[string]int64{"m_1": 9, "m_2": 4, "m_4": 1}), ReasonScopeRecorded)
	if got := Outdated(w.p, w.s, "tell_merchants"); !slices.Equal(got, []string{"m_1", "m_3"}) {
		t.Fatalf("outdated: %v", got)
	}
	w.must(mark, SendNotice{Notice: first}, ReasonSending)
	if to := w.sendAll(); !slices.Equal(to, []string{"m_4"}) {
		t.Fatalf("the first notice went to %v", to)
	}
	text := map[string]string{"what_happened": "a", "your_actions": "b"}
	if _, err := w.give(mark, DraftNotice{Duty: "tell_shopify", Subject: "x", Content: text, Corrects: first}); err == nil {
		t.Fatal("a notice of another duty was corrected")
	}
	w.must(mark, DraftNotice{Duty: "tell_merchants", Subject: "News", Content: text, Corrects: first}, ReasonDrafted)
	w.refused(mark, DraftNotice{Duty: "tell_merchants", Subject: "News", Content: text, Corrects: "NTC-2"}, RefusedState)
	w.must(lena, ApproveNotice{Notice: "NTC-2", Attest: true}, ReasonApproved)
	w.must(mark, SendNotice{Notice: "NTC-2"}, ReasonSending)
	w.after(h)
	if to := w.sendAll(); !slices.Equal(to, []string{"m_1", "m_3"}) {
		t.Fatalf("the correction went to %v", to)
	}
	if got := Outdated(w.p, w.s, "tell_merchants"); got != nil {
		t.Fatalf("all are corrected, and %v are outdated", got)
	}
	w.must(mark, SendNotice{Notice: first}, ReasonNobodyLeft)
	w.must(mark, SendNotice{Notice: "NTC-2"}, ReasonNobodyLeft)
}

// A letter that was written from a scope that is not the newest any more does not leave.
func TestALetterOfAnOlderScopeIsNotSent(t *testing.T) {
	w := newWorld(t)
	w.scoped()
	w.must(lena, counted("d2", map[string]int64{"m_1": 3}), ReasonScopeRecorded)
	w.noticeSent("tell_merchants")
	e := w.one(EffectSend)
	w.must(worker, ReportAttempt{Effect: e, Scopes: len(w.s.Scopes) - 1}, ReasonScopeMoved)
	w.must(worker, ReportAttempt{Effect: e, Scopes: len(w.s.Scopes)}, ReasonAttempt)
}
