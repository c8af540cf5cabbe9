package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

const h = time.Hour

// promise: CON-6
func TestADutyRunsFromItsAnchorAndIsMetAtOrBeforeItsLimit(t *testing.T) {
	w := newWorld(t)
	w.open()
	d := w.wantDuty("judge", DutyRunning)
	wantTime(t, "due", d.Due, t0.Add(8*h))
	if w.s.Duties["contain"] != nil {
		t.Fatal("contain runs although nothing is confirmed")
	}
	w.now = t0.Add(8 * h)
	w.must(lena, Confirm{Reason: "seen"}, ReasonConfirmed)
	d = w.wantDuty("judge", DutyMet)
	if d.Proof == "" || d.Trigger != "person" || !d.Missed.IsZero() {
		t.Fatalf("met at the limit: %+v", d)
	}
	if f := slices.IndexFunc(w.facts, func(f Fact) bool { return f.ID == d.Proof }); f < 0 || w.facts[f].Kind != KindMilestone {
		t.Fatalf("the proof %s is not the milestone's fact", d.Proof)
	}
}

func TestALimitThatPassedIsAMissForEver(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.tickTo(t0.Add(8 * h))
	w.wantDuty("judge", DutyAtRisk)
	w.tickTo(t0.Add(9 * h))
	d := w.wantDuty("judge", DutyMissed)
	wantTime(t, "missed", d.Missed, t0.Add(8*h))
	w.must(lena, Confirm{Reason: "seen"}, ReasonConfirmed)
	d = w.wantDuty("judge", DutyMetLate)
	wantTime(t, "missed", d.Missed, t0.Add(8*h))
	// A correction that moves detection later, so that it would have been in time, keeps the miss.
	w.must(lena, Correct{Milestone: "detected", At: t0.Add(3 * h), Reason: "the log was misread"}, ReasonCorrected)
	d = w.wantDuty("judge", DutyMetLate)
	wantTime(t, "due", d.Due, t0.Add(11*h))
	wantTime(t, "earliest", d.Earliest, t0.Add(8*h))
	wantTime(t, "missed", d.Missed, t0.Add(8*h))
}

// promise: CLS-2
func TestSeverityMovesKeepTheAnchorAndChangeTheSpan(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	d := w.duty("contain")
	wantTime(t, "due", d.Due, t0.Add(2*h)) // severity unknown: the earliest clock that may count
	if d.State != DutyProvisional || !slices.Contains(d.Unknown, "severity") {
		t.Fatalf("unknown severity: %+v", d)
	}
	w.must(lena, SetSeverity{Severity: "high", Reason: "small"}, ReasonSeveritySet)
	d = w.wantDuty("contain", DutyRunning)
	wantTime(t, "due", d.Due, t0.Add(24*h))
	wantTime(t, "earliest", d.Earliest, t0.Add(2*h))
	w.after(h)
	w.must(mark, SetSeverity{Severity: "critical", Reason: "large"}, ReasonSeveritySet)
	d = w.duty("contain")
	wantTime(t, "due", d.Due, t0.Add(2*h))
	wantTime(t, "started", d.Started, t0)
	w.refused(mark, SetSeverity{Severity: "low", Reason: "calm"}, RefusedLead)
	w.must(boss, SetSeverity{Severity: "low", Reason: "calm"}, ReasonSeveritySet)
}

func TestAProvedLevelSetsTheSeverityUntilAPersonDoes(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "orders"}, ReasonAnswered)
	if w.s.Severity != "critical" {
		t.Fatalf("severity %q", w.s.Severity)
	}
	w.must(lena, SetSeverity{Severity: "high", Reason: "one record"}, ReasonSeveritySet)
	w.must(ticker, Tick{}, ReasonNothingChanged)
	if w.s.Severity != "high" {
		t.Fatalf("severity %q was raised against a person's word", w.s.Severity)
	}
}

// The last level is for everything else: it needs no condition of its own, and stands once all
// others are ruled out, and not before.
func TestTheLastLevelStandsOnceEveryOtherIsRuledOut(t *testing.T) {
	is := func(fact string) *policy.Condition {
		return policy.NewCondition(fact, fact, func(v policy.View) policy.Verdict {
			if answer, known := v.Facts[fact].(bool); known {
				return truth(answer, fact)
			}
			return policy.Verdict{Value: policy.Unknown}
		})
	}
	levels := []policy.Level{{ID: "critical", When: is("a")}, {ID: "high", When: is("b")}, {ID: "rest"}}
	for _, c := range []struct {
		facts     map[string]any
		now, want string
	}{
		{map[string]any{}, "", ""},
		{map[string]any{"a": false}, "", ""},
		{map[string]any{"a": false, "b": false}, "", "rest"},
		{map[string]any{"a": false, "b": false}, "high", ""}, // lowering takes a signature
		{map[string]any{"b": true}, "rest", "high"},
		{map[string]any{"a": true, "b": true}, "", "critical"},
	} {
		if got, why := raised(levels, c.now, &policy.View{Facts: c.facts}); got != c.want || (got == "") != (why == "") {
			t.Errorf("with %v, now %q: %q because %q, want %q", c.facts, c.now, got, why, c.want)
		}
	}
	if got, _ := raised([]policy.Level{{ID: "only"}}, "", &policy.View{}); got != "" {
		t.Errorf("a level of its own, without a condition, was set to %q", got)
	}
	if got, _ := raised([]policy.Level{{ID: "high"}, {ID: "low"}}, "", &policy.View{}); got != "" {
		t.Errorf("levels without conditions are people's to set, not %q", got)
	}
}

func TestAnUnknownConditionRunsProvisionallyAndOnlyARecordedNoStopsIt(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, scopeOf("d1", "m_1", "m_2"), ReasonScopeRecorded)
	d := w.wantDuty("tell_merchants/m_1", DutyProvisional)
	if !slices.Contains(d.Unknown, "fact.personal_data") || !strings.Contains(d.Why, "fact.personal_data") {
		t.Fatalf("%+v", d)
	}
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "only product data"}, ReasonAnswered)
	d = w.wantDuty("tell_merchants/m_1", DutyNot)
	if !strings.Contains(d.Why, "personal_data is false") {
		t.Fatalf("why: %s", d.Why)
	}
	w.after(h)
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "names after all"}, ReasonAnswered)
	d = w.wantDuty("tell_merchants/m_2", DutyRunning)
	wantTime(t, "due", d.Due, t0.Add(72*h))
	w.wantDuty("tell_merchants/m_1", DutyRunning)
}

func TestAClockForMerchantsRunsBeforeAnybodyKnowsWhoTheyAre(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "orders"}, ReasonAnswered)
	d := w.wantDuty("tell_merchants", DutyProvisional)
	if !slices.Contains(d.Unknown, "scope") {
		t.Fatalf("unknown: %v", d.Unknown)
	}
	w.after(h)
	w.must(lena, scopeOf("d1", "m_1"), ReasonScopeRecorded)
	w.wantDuty("tell_merchants", DutyNot)
	d = w.wantDuty("tell_merchants/m_1", DutyRunning)
	wantTime(t, "due", d.Due, t0.Add(72*h))
}

// promise: INV-1
func TestAScopeWithMoreMerchantsStartsTheirDutiesAndKeepsTheFirst(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "orders"}, ReasonAnswered)
	w.must(lena, scopeOf("d1", "m_1", "m_2"), ReasonScopeRecorded)
	first := *w.duty("tell_merchants/m_1")
	w.now = t0.Add(80 * h)
	w.must(ticker, Tick{}, ReasonClockDue)
	w.must(lena, scopeOf("d2", "m_1", "m_3"), ReasonScopeRecorded)
	if got := w.duty("tell_merchants/m_1"); !got.Due.Equal(first.Due) || got.Missed.IsZero() {
		t.Fatalf("the first instance changed: %+v", got)
	}
	gone := w.wantDuty("tell_merchants/m_2", DutyNot)
	if gone.Missed.IsZero() || gone.Cause != "left_scope" {
		t.Fatalf("a merchant that left the scope: %+v", gone)
	}
	late := w.wantDuty("tell_merchants/m_3", DutyMissed)
	wantTime(t, "due", late.Due, t0.Add(72*h))
	wantTime(t, "at once", late.AtOnce, t0.Add(80*h))
	if !strings.Contains(late.Why, "late by discovery") || !strings.Contains(late.Why, late.Due.Format(time.RFC3339)) {
		t.Fatalf("why: %s", late.Why)
	}
	if sc := w.s.Scopes[1]; sc.Added != 1 || sc.Removed != 1 || len(w.s.Scopes) != 2 {
		t.Fatalf("scope: %+v", sc)
	}
}

func TestAdjustingTheScopeByHandMovesItsDuties(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "orders"}, ReasonAnswered)
	w.must(lena, scopeOf("d1", "m_1", "m_2"), ReasonScopeRecorded)
	w.must(lena, AdjustScope{Merchant: "m_2", Include: false, Reason: "a test shop"}, ReasonScopeAdjusted)
	w.must(lena, AdjustScope{Merchant: "m_9", Include: true, Reason: "it told us"}, ReasonScopeAdjusted)
	w.must(lena, AdjustScope{Merchant: "m_9", Include: true, Reason: "again"}, ReasonNothingChanged)
	w.wantDuty("tell_merchants/m_2", DutyNot)
	w.wantDuty("tell_merchants/m_9", DutyRunning)
	if got := Affected(w.s); !slices.Equal(got, []string{"m_1", "m_9"}) {
		t.Fatalf("affected: %v", got)
	}
}

func TestAwareIsTheEarlierOfAcknowledgedAndConfirmedUntilAPersonSaysOtherwise(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.after(h)
	w.must(lena, Acknowledge{}, ReasonAcknowledged)
	w.must(lena, Acknowledge{}, ReasonAlreadyAck)
	m := w.s.Milestones["aware"]
	wantTime(t, "aware", m.At, t0.Add(h))
	if !m.Auto || m.Why == "" {
		t.Fatalf("%+v", m)
	}
	w.after(h)
	w.must(lena, Confirm{Reason: "seen"}, ReasonConfirmed)
	wantTime(t, "aware", w.s.Milestones["aware"].At, t0.Add(h))
	w.must(lena, Correct{Milestone: "confirmed", At: t0.Add(h / 2), Reason: "the call came earlier"}, ReasonCorrected)
	wantTime(t, "aware", w.s.Milestones["aware"].At, t0.Add(h/2))
	d := w.duty("tell_shopify/shopify")
	wantTime(t, "due", d.Due, t0.Add(24*h+h/2))
	w.must(lena, Correct{Milestone: "aware", At: t0, Reason: "the mail was read at once"}, ReasonCorrected)
	w.must(lena, Correct{Milestone: "confirmed", At: t0.Add(h / 3), Reason: "again"}, ReasonCorrected)
	m = w.s.Milestones["aware"]
	wantTime(t, "aware", m.At, t0)
	if len(m.Before) != 2 {
		t.Fatalf("earlier times of aware: %+v", m.Before)
	}
}

func TestAnAnchorMovesLaterOnlyByTheLead(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.after(2 * h)
	later := Correct{Milestone: "confirmed", At: t0.Add(h), Reason: "the first call was about something else"}
	w.refused(mark, later, RefusedLead)
	w.must(boss, later, ReasonCorrected)
	if m := w.s.Milestones["confirmed"]; len(m.Before) != 1 || !m.Before[0].At.Equal(t0) {
		t.Fatalf("the earlier time is gone: %+v", m)
	}
	w.must(mark, Correct{Milestone: "confirmed", At: t0, Reason: "no, it was not"}, ReasonCorrected)
}

// promise: CLS-3
func TestDismissalStopsClocksByNameAndReopeningResumesThemFromTheOldAnchors(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.after(h)
	w.must(lena, Dismiss{Reason: "a load test"}, ReasonDismissed)
	w.wantDuty("contain", DutyStopped)
	w.wantDuty("judge", DutyMet)
	for _, d := range w.s.Duties {
		if d.owing() {
			t.Fatalf("%s runs on after the dismissal", d.Key)
		}
	}
	if at, _ := NextWake(w.p, w.s); !at.IsZero() {
		t.Fatalf("a dismissed incident wakes at %s", at)
	}
	w.refused(lena, Confirm{Reason: "x"}, RefusedNotOpen)
	w.after(h / 2)
	w.must(lena, Reopen{Reason: "it was none"}, ReasonReopened)
	d := w.duty("contain")
	wantTime(t, "due", d.Due, t0.Add(2*h))
	if !d.owing() {
		t.Fatalf("%+v", d)
	}
	if w.s.has("dismissed") {
		t.Fatal("still dismissed")
	}
}

func TestADutyIsAnchoredOnAnotherDutyOfTheSameRecipient(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "orders"}, ReasonAnswered)
	w.must(lena, scopeOf("d1", "m_1", "m_2"), ReasonScopeRecorded)
	w.noticeSent("tell_merchants")
	w.after(h)
	w.do(w.owed(EffectSend)[0], ReportResult{Outcome: Done})
	wantTime(t, "due", w.wantDuty("follow_up/m_1", DutyRunning).Due, t0.Add(121*h))
	if w.s.Duties["follow_up/m_2"] != nil {
		t.Fatal("follow_up to m_2 runs although m_2 has not been told")
	}
}

func TestEscalationPagesOnceAndOnlyForWhatIsProved(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.tickTo(t0.Add(3 * h))
	if pages := w.owed(EffectPage); len(pages) != 0 {
		t.Fatalf("a provisional clock paged: %v", pages)
	}
	w.must(lena, SetSeverity{Severity: "critical", Reason: "large"}, ReasonSeveritySet)
	pages := w.owed(EffectPage)
	if len(pages) != 1 || pages[0].Role != "lead" || pages[0].Duty != "contain" {
		t.Fatalf("pages: %+v", pages)
	}
	w.do(pages[0], ReportResult{Outcome: Done})
	w.tickTo(t0.Add(20 * h))
	if len(w.owed(EffectPage)) != 0 || len(w.s.Pages) != 1 {
		t.Fatalf("paged again: %v", w.s.Pages)
	}
}

func TestWaivingNeedsTheLeadAndEndsEveryInstance(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, scopeOf("d1", "m_1", "m_2"), ReasonScopeRecorded)
	w.refused(mark, Waive{Duty: "tell_merchants", Reason: "x"}, RefusedLead)
	w.must(lena, Waive{Duty: "tell_merchants/m_1", Reason: "a test shop"}, ReasonWaived)
	w.wantDuty("tell_merchants/m_1", DutyWaived)
	w.wantDuty("tell_merchants/m_2", DutyProvisional)
	w.must(lena, Waive{Duty: "tell_merchants", Reason: "all test shops"}, ReasonWaived)
	w.wantDuty("tell_merchants/m_2", DutyWaived)
	w.must(lena, Waive{Duty: "tell_merchants", Reason: "again"}, ReasonNothingChanged)
}

// promise: NOT-6
func TestAnOpenClockRunsAndIsNeverMissed(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.tickTo(t0.Add(5000 * h))
	d := w.wantDuty("assess", DutyRunning)
	if !d.Due.IsZero() || !d.Missed.IsZero() {
		t.Fatalf("%+v", d)
	}
	w.must(lena, Assess{Vector: "a", RootCause: "b", Risk: "c"}, ReasonAssessed)
	w.wantDuty("assess", DutyMet)
}

func TestClocksShowWhatADutyWaitsFor(t *testing.T) {
	w := newWorld(t)
	w.open()
	i := slices.IndexFunc(Clocks(w.p, w.s), func(d DutyInstance) bool { return d.Duty == "contain" })
	d := Clocks(w.p, w.s)[i]
	if d.State != DutyWaiting || !strings.Contains(d.Why, "confirmed") {
		t.Fatalf("%+v", d)
	}
}
