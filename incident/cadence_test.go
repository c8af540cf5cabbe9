package incident

import (
	"time"

	"testing"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

func withDuty(t *testing.T, d policy.Duty) *world {
	w := newWorld(t)
	w.p.Duties = []policy.Duty{d}
	w.p.Gates = nil
	return w
}

// promise: NOT-7
func TestACadenceBeginsAgainEachTimeItWasMetUntilItsEnd(t *testing.T) {
	w := withDuty(t, policy.Duty{ID: "keep_informed", Do: policy.Announce, To: "merchants.affected",
		Due:   []policy.Clock{{Kind: "after", Span: limit(1), Anchor: after("confirmed")}},
		Every: &policy.Cadence{Span: calendar.Span{Target: hours(2), Limit: hours(4)}}, Until: &policy.Anchor{Names: []string{"resolved"}}, Content: []string{"what_happened"}, Approve: []string{"lead"}})
	w.confirmed()
	w.must(lena, scopeOf("d1", "m_1"), ReasonScopeRecorded)
	w.noticeSent("keep_informed")
	w.after(h / 2)
	w.do(w.one(EffectSend), ReportResult{Outcome: Done})
	w.wantDuty("keep_informed/m_1", DutyMet)
	second := w.wantDuty("keep_informed/m_1#2", DutyRunning)
	wantTime(t, "target", second.Target, t0.Add(h/2+2*h))
	wantTime(t, "due", second.Due, t0.Add(h/2+4*h))
	w.tickTo(t0.Add(5 * h))
	w.wantDuty("keep_informed/m_1#2", DutyMissed)
	w.noticeSent("keep_informed")
	w.do(w.one(EffectSend), ReportResult{Outcome: Done})
	w.wantDuty("keep_informed/m_1#2", DutyMetLate)
	w.wantDuty("keep_informed/m_1#3", DutyRunning)
	w.must(lena, Mark{Milestone: "resolved", Reason: "over"}, ReasonMarked)
	w.wantDuty("keep_informed/m_1#3", DutyStopped)
	if w.s.Duties["keep_informed/m_1#4"] != nil {
		t.Fatal("it goes on after its end")
	}
	w.must(ticker, Tick{}, ReasonNothingChanged)
}

func TestSeveralClocksRunAndTheEarliestCounts(t *testing.T) {
	w := withDuty(t, policy.Duty{ID: "d", Do: policy.Verify, Due: []policy.Clock{
		{Kind: "after", Span: limit(72), Anchor: after("detected"), Text: "72h after detected"},
		{Kind: "after", Span: limit(10), Anchor: after("confirmed"), Text: "10h after confirmed"},
		{Kind: "law"},
	}})
	w.open()
	wantTime(t, "due", w.duty("d").Due, t0.Add(72*h))
	wantTime(t, "target, promptly for the law nobody has named", w.duty("d").Target, t0.Add(4*h))
	w.after(h)
	w.must(lena, Confirm{Reason: "x"}, ReasonConfirmed)
	d := w.duty("d")
	wantTime(t, "due", d.Due, t0.Add(11*h))
	if d.Anchor != "confirmed" || d.Cause != "anchor_moved" {
		t.Fatalf("%+v", d)
	}
}

func TestADutyDueByAnInstantRunsBeforeItAndIsMissedByIt(t *testing.T) {
	w := withDuty(t, policy.Duty{ID: "d", Do: policy.Contain, Due: []policy.Clock{{Kind: "by", Anchor: after("watched"), Text: "by watched"}}})
	w.open()
	if d := w.wantDuty("d", DutyRunning); !d.Due.IsZero() {
		t.Fatalf("%+v", d)
	}
	w.after(h)
	w.must(lena, Mark{Milestone: "watched", Reason: "x"}, ReasonMarked)
	w.wantDuty("d", DutyAtRisk) // at the instant itself it is still in time
	w.tickTo(t0.Add(2 * h))
	w.wantDuty("d", DutyMissed)
}

func TestAnAnchorOfSeveralNamesTakesTheFirstOrWithAllTheLast(t *testing.T) {
	s := NewState("INC-1")
	s.Milestones["confirmed"] = &Milestone{At: t0.Add(h)}
	resolve := func(all bool) (string, time.Time) {
		name, at, _ := newTimer(testPolicy()).anchor(s, policy.Anchor{Names: []string{"confirmed", "contained"}, All: all}, subject{})
		return name, at
	}
	if name, at := resolve(false); name != "confirmed" || !at.Equal(t0.Add(h)) {
		t.Fatal(name, at)
	}
	if name, _ := resolve(true); name != "" {
		t.Fatalf("all of them have not happened: %s", name)
	}
	s.Milestones["contained"] = &Milestone{At: t0}
	if name, _ := resolve(false); name != "contained" {
		t.Fatal(name)
	}
	if name, at := resolve(true); name != "confirmed" || !at.Equal(t0.Add(h)) {
		t.Fatal(name, at)
	}
}

func TestAProvisionalDutyIsMetAndMissedLikeAnyOther(t *testing.T) {
	w := withDuty(t, policy.Duty{ID: "d", Do: policy.Contain, When: factIs("personal_data"), Due: []policy.Clock{{Kind: "after", Span: limit(1), Anchor: after("detected")}}})
	w.open()
	w.wantDuty("d", DutyProvisional)
	w.tickTo(t0.Add(2 * h))
	d := w.wantDuty("d", DutyMissed)
	if len(d.Unknown) != 1 {
		t.Fatalf("%+v", d)
	}
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "none"}, ReasonAnswered)
	d = w.wantDuty("d", DutyNot)
	wantTime(t, "missed", d.Missed, t0.Add(h))
}

func TestTwoDutiesThatWaitForEachOtherDoNotRun(t *testing.T) {
	w := newWorld(t)
	w.p.Duties = []policy.Duty{
		{ID: "a", Do: policy.Contain, Due: []policy.Clock{{Kind: "after", Span: limit(1), Anchor: after("b.started")}}},
		{ID: "b", Do: policy.Verify, Due: []policy.Clock{{Kind: "after", Span: limit(1), Anchor: after("a.started")}}},
	}
	w.open()
	if len(w.s.Duties) != 0 {
		t.Fatalf("%v", sortedKeys(w.s.Duties))
	}
}
