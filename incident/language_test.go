package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

func clock(text string, n int, name string) policy.Clock {
	return policy.Clock{Kind: "after", Span: limit(n), Anchor: after(name), Text: text}
}

func days(n int) *calendar.Length { return &calendar.Length{N: n, Unit: calendar.Day} }

func TestUnlessStandsADutyDownWhileItIsProved(t *testing.T) {
	w := withDuty(t, policy.Duty{ID: "d", Do: policy.Contain, Unless: factIs("personal_data"), Due: []policy.Clock{clock("4h after detected", 4, "detected")}})
	w.open()
	d := w.wantDuty("d", DutyRunning) // unknown does not stand it down, and does not make it provisional
	if len(d.Unknown) > 0 {
		t.Fatalf("%v", d.Unknown)
	}
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "x"}, ReasonAnswered)
	if d := w.wantDuty("d", DutyNot); d.Cause != "unless" || !strings.Contains(d.Why, "stood down") {
		t.Fatalf("%s: %s", d.Cause, d.Why)
	}
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "x"}, ReasonAnswered)
	d = w.wantDuty("d", DutyRunning)
	wantTime(t, "due", d.Due, t0.Add(4*h))
}

func TestAnActBeforeAFloorDoesNotMeetTheDutyAndTheRefusalNamesTheInstant(t *testing.T) {
	w := withDuty(t, policy.Duty{ID: "watch", Do: policy.Reach, Of: []string{"watched"},
		Floor: []policy.Clock{clock("24h after contained", 24, "contained"), clock("2h after detected", 2, "detected")},
		Due:   []policy.Clock{clock("72h after detected", 72, "detected")}})
	w.open()
	r := w.refused(lena, Mark{Milestone: "watched", Reason: "quiet"}, RefusedTooEarly)
	if !strings.Contains(r.Missing[0].What, "24h after contained, which has not happened") {
		t.Fatal(r)
	}
	w.must(lena, Mark{Milestone: "contained", Reason: "x"}, ReasonMarked)
	wantTime(t, "floor", w.wantDuty("watch", DutyRunning).Floor, t0.Add(24*h)) // the last of the floors counts
	w.after(23 * h)
	r = w.refused(lena, Complete{Duty: "watch", Note: "quiet"}, RefusedTooEarly)
	if !strings.Contains(r.Missing[0].What, "2026-11-21T03:02:00Z") {
		t.Fatal(r)
	}
	w.after(h)
	w.must(lena, Complete{Duty: "watch", Note: "quiet for a day"}, ReasonCompleted)
	wantTime(t, "met", w.wantDuty("watch", DutyMet).Met, t0.Add(24*h))
}

func TestACellOfATableCountsAtItsLevelAndIsNamed(t *testing.T) {
	cell := func(level string, n int) policy.Clock {
		c := clock("", n, "detected")
		c.When, c.Cell, c.Text = severityIs(level), policy.Cell{By: "severity", Level: level}, "after detected"
		return c
	}
	none := policy.Clock{Kind: "after", Anchor: after("detected"), When: severityIs("low"), None: true, Cell: policy.Cell{By: "severity", Level: "low"}}
	w := withDuty(t, policy.Duty{ID: "d", Do: policy.Contain, Due: []policy.Clock{cell("critical", 1), cell("high", 8), none}})
	w.open()
	d := w.wantDuty("d", DutyProvisional) // no severity: the earliest runs, provisionally
	wantTime(t, "due", d.Due, t0.Add(h))
	if !slices.Contains(d.Unknown, "severity") {
		t.Fatal(d.Unknown)
	}
	w.must(mark, SetSeverity{Severity: "high", Reason: "x"}, ReasonSeveritySet)
	d = w.wantDuty("d", DutyRunning)
	wantTime(t, "due", d.Due, t0.Add(8*h))
	wantTime(t, "earliest", d.Earliest, t0.Add(h)) // the earliest ever shown stays
	if d.Cell != "severity high" || !strings.Contains(d.Why, "severity high") {
		t.Fatalf("%q: %s", d.Cell, d.Why)
	}
	// Same anchor, new span: anyone raises, a signature lowers.
	w.must(mark, SetSeverity{Severity: "critical", Reason: "x"}, ReasonSeveritySet)
	d = w.duty("d")
	wantTime(t, "started", d.Started, t0)
	wantTime(t, "due", d.Due, t0.Add(h))
	w.refused(mark, SetSeverity{Severity: "low", Reason: "x"}, RefusedLead)
	w.must(lena, SetSeverity{Severity: "low", Reason: "x"}, ReasonSeveritySet)
	d = w.wantDuty("d", DutyNot)
	if !strings.Contains(d.Why, "severity low") {
		t.Fatal(d.Why)
	}
}

func TestAnchorsOnInstantsOfDuties(t *testing.T) {
	for _, c := range []struct {
		event string
		do    func(w *world)
		want  time.Duration // of the anchor after t0; negative: it does not happen
	}{
		{"applies", func(*world) {}, 0},
		{"started", func(*world) {}, 0},
		{"met", func(w *world) { w.after(h); w.must(lena, Mark{Milestone: "contained", Reason: "x"}, ReasonMarked) }, h},
		{"met", func(w *world) { w.tickTo(t0.Add(9 * h)) }, -1},
		{"missed", func(w *world) { w.tickTo(t0.Add(9 * h)) }, 4 * h},
		{"late", func(w *world) { w.tickTo(t0.Add(9 * h)) }, 4 * h},
		{"missed", func(w *world) { w.tickTo(t0.Add(3 * h)) }, -1},
		{"waived", func(w *world) { w.after(2 * h); w.must(lena, Waive{Duty: "a", Reason: "x"}, ReasonWaived) }, 2 * h},
	} {
		w := newWorld(t)
		w.p.Duties = []policy.Duty{
			{ID: "a", Do: policy.Contain, Due: []policy.Clock{clock("4h after detected", 4, "detected")}},
			{ID: "b", Do: policy.Verify, Due: []policy.Clock{clock("10h after a", 10, "a."+c.event)}},
		}
		w.open()
		c.do(w)
		if c.want < 0 {
			if w.s.Duties["b"] != nil {
				t.Errorf("a.%s started b: %+v", c.event, w.duty("b"))
			}
			continue
		}
		wantTime(t, "due after a."+c.event, w.duty("b").Due, t0.Add(c.want+10*h))
	}
}

func TestATargetThatIsPassedIsLateAndNotMissed(t *testing.T) {
	w := newWorld(t)
	w.p.Duties = []policy.Duty{
		{ID: "a", Do: policy.Contain, Due: []policy.Clock{{Kind: "after", Prompt: true, Anchor: after("detected"), Text: "promptly"}}},
		{ID: "tell", Do: policy.Verify, Due: []policy.Clock{clock("1h after a.late", 1, "a.late")}},
		{ID: "never", Do: policy.Restore, Due: []policy.Clock{clock("1h after a.missed", 1, "a.missed")}},
	}
	w.open()
	w.tickTo(t0.Add(4*h + time.Minute))
	w.wantDuty("a", DutyAtRisk)
	wantTime(t, "due", w.wantDuty("tell", DutyRunning).Due, t0.Add(5*h))
	if w.s.Duties["never"] != nil {
		t.Fatal("promptly has no limit to miss")
	}
}

func TestClocksOfTheCalendar(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		got, err := time.ParseInLocation("2006-01-02 15:04", s, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	span := func(n int, u calendar.Unit) calendar.Span {
		return calendar.Span{Limit: &calendar.Length{N: n, Unit: u}}
	}
	for _, c := range []struct {
		name, from string
		clock      policy.Clock
		want       string
	}{
		{"a day keeps the wall clock over the end of summer time", "2026-10-24 12:00", policy.Clock{Kind: "after", Span: span(1, calendar.Day)}, "2026-10-25 12:00"},
		{"24 hours do not", "2026-10-24 12:00", policy.Clock{Kind: "after", Span: span(24, calendar.Hour)}, "2026-10-25 11:00"},
		{"a day over the beginning of summer time", "2026-03-28 12:00", policy.Clock{Kind: "after", Span: span(1, calendar.Day)}, "2026-03-29 12:00"},
		{"24 hours over it", "2026-03-28 12:00", policy.Clock{Kind: "after", Span: span(24, calendar.Hour)}, "2026-03-29 13:00"},
		{"in a gap the first instant after it", "2026-03-28 02:30", policy.Clock{Kind: "after", Span: span(1, calendar.Day)}, "2026-03-29 03:00"},
		{"no such day is the last of the month", "2026-01-31 10:00", policy.Clock{Kind: "after", Span: span(1, calendar.Month)}, "2026-02-28 10:00"},
		{"a year after a leap day", "2024-02-29 10:00", policy.Clock{Kind: "after", Span: span(1, calendar.Year)}, "2025-02-28 10:00"},
		{"the end of the day", "2026-10-25 12:00", policy.Clock{Kind: "by", Anchor: policy.Anchor{End: "day"}}, "2026-10-26 00:00"},
		{"the end of the week", "2026-11-25 12:00", policy.Clock{Kind: "by", Anchor: policy.Anchor{End: "week"}}, "2026-11-30 00:00"},
		{"the end of the month", "2024-02-10 12:00", policy.Clock{Kind: "by", Anchor: policy.Anchor{End: "month"}}, "2024-03-01 00:00"},
		{"the end of the quarter", "2026-11-25 12:00", policy.Clock{Kind: "by", Anchor: policy.Anchor{End: "quarter"}}, "2027-01-01 00:00"},
		{"two days after the end of the year", "2026-11-25 12:00", policy.Clock{Kind: "after", Span: span(2, calendar.Day), Anchor: policy.Anchor{End: "year"}}, "2027-01-03 00:00"},
	} {
		w := newWorld(t)
		w.now = at(c.from).UTC()
		c.clock.Anchor.Names = []string{"detected"}
		w.p.Zone, w.p.Duties = berlin, []policy.Duty{{ID: "d", Do: policy.Contain, Due: []policy.Clock{c.clock}}}
		w.open()
		got, want := w.duty("d").Due, at(c.want)
		if c.clock.Anchor.End != "" {
			// The end of a period is its last instant, a millisecond before the next begins.
			got = got.Add(time.Millisecond)
		}
		if !got.Equal(want) {
			t.Errorf("%s: due %s, want %s", c.name, got.In(berlin), want)
		}
	}
}

// shown is the clock that the tests of reasons look for.
func explainedOf(t *testing.T, w *world, duty string) Explained {
	t.Helper()
	for _, e := range Explain(w.p, w.s) {
		if e.Duty == duty {
			return e
		}
	}
	t.Fatalf("nothing is said about %s", duty)
	return Explained{}
}

func TestExplainSaysOfEveryDutyAndEveryClockWhyAndWhyNot(t *testing.T) {
	w := newWorld(t)
	w.open()
	list := Explain(w.p, w.s)
	seen := map[string]bool{}
	for _, e := range list {
		seen[e.Duty] = true
		if e.Why == "" {
			t.Errorf("%s is %s without a reason", e.Duty, e.State)
		}
	}
	for _, d := range w.p.Duties {
		if want := d.For != "programme"; seen[d.ID] != want {
			t.Errorf("%s is explained: %v, want %v", d.ID, seen[d.ID], want)
		}
	}
	e := explainedOf(t, w, "contain")
	if e.State != DutyWaiting || !strings.Contains(e.Why, "after confirmed, which has not happened") {
		t.Errorf("%s: %s", e.State, e.Why)
	}
	w.must(lena, Confirm{Reason: "x"}, ReasonConfirmed)
	w.must(lena, SetSeverity{Severity: "high", Reason: "x"}, ReasonSeveritySet)
	e = explainedOf(t, w, "contain")
	states := []string{e.Clocks[0].State, e.Clocks[1].State}
	if !slices.Equal(states, []string{ClockRuledOut, ClockCounts}) {
		t.Errorf("the clocks are %v", states)
	}
	w.scopedMore("m_1", "m_2", "m_3")
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "none"}, ReasonAnswered)
	e = explainedOf(t, w, "tell_merchants")
	for _, e := range Explain(w.p, w.s) {
		if e.Duty == "tell_merchants" && (!e.Excluded || !strings.Contains(e.Why, "personal data") && !strings.Contains(e.Why, "personal_data") && !strings.Contains(e.Why, "scope is known")) {
			t.Errorf("%v %s: %s", e.Recipients, e.State, e.Why)
		}
	}
}

func (w *world) scopedMore(merchants ...string) {
	w.t.Helper()
	w.must(lena, scopeOf("d9", merchants...), ReasonScopeRecorded)
}
