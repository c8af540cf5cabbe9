package incident

import (
	"slices"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// programme is a world whose policy owes these duties without an incident.
func programme(t *testing.T, duties ...policy.Duty) *world {
	w := newWorld(t)
	w.s = NewState("org")
	w.p.Duties, w.p.Gates = duties, nil
	w.p.Events = []policy.EventDecl{{ID: "subprocessor_added"}}
	w.must(worker, BeginProgramme{}, ReasonProgrammeBegun)
	return w
}

func eachPeriod(period string) *policy.Cadence { return &policy.Cadence{Period: period, Text: period} }

// promise: REV-4
func TestAProgrammeDutyOfACalendarPeriodIsOwedOnceInEach(t *testing.T) {
	w := programme(t, policy.Duty{ID: "reread", For: "programme", Who: "lead", Do: policy.ReRead, Every: eachPeriod("year"),
		Late: []policy.Escalation{{After: calendar.Length{N: 1, Unit: calendar.Day}, Role: "lead"}}})
	at := func(y int) time.Time { return time.Date(y+1, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Millisecond) }
	d := w.wantDuty("reread", DutyRunning)
	wantTime(t, "due", d.Due, at(2026))
	w.after(24 * h)
	w.must(mark, Complete{Duty: "reread", Note: "read, nothing changed"}, ReasonCompleted)
	w.wantDuty("reread", DutyMet)
	d = w.duty("reread#2")
	wantTime(t, "started", d.Started, at(2026).Add(time.Millisecond))
	wantTime(t, "due", d.Due, at(2027))
	// A second reading in the same year does not do for the next.
	w.after(24 * h)
	w.must(mark, Complete{Duty: "reread", Note: "again"}, ReasonCompleted)
	if d := w.duty("reread#2"); !d.owing() {
		t.Fatalf("%+v", d)
	}
	// A year without: it is missed, paged by the late rule, and the next year begins all the same.
	w.tickTo(at(2027).Add(48 * h))
	d = w.wantDuty("reread#2", DutyMissed)
	if len(d.Escalated) != 1 {
		t.Fatalf("paged %v", d.Escalated)
	}
	wantTime(t, "due", w.duty("reread#3").Due, at(2028))
	// One act makes up for the year before, late, and does for this one.
	w.must(mark, Complete{Duty: "reread", Note: "at last"}, ReasonCompleted)
	w.wantDuty("reread#2", DutyMetLate)
	w.wantDuty("reread#3", DutyMet)
	wantTime(t, "due", w.duty("reread#4").Due, at(2029))
}

func TestAProgrammeDutyOfALengthCountsFromTheLastOneDone(t *testing.T) {
	span := calendar.Span{Limit: days(90)}
	w := programme(t, policy.Duty{ID: "drill", For: "programme", Do: policy.Perform, Task: "run a drill", Every: &policy.Cadence{Span: span, Text: "90d"}})
	wantTime(t, "due", w.wantDuty("drill", DutyRunning).Due, t0.AddDate(0, 0, 90))
	w.tickTo(t0.AddDate(0, 0, 100))
	w.wantDuty("drill", DutyMissed)
	w.must(mark, Complete{Duty: "drill", Note: "done", At: t0.AddDate(0, 0, 99)}, ReasonCompleted)
	w.wantDuty("drill", DutyMetLate)
	wantTime(t, "due", w.duty("drill#2").Due, t0.AddDate(0, 0, 189))
	w.must(lena, Waive{Duty: "drill", Reason: "the office moves"}, ReasonWaived)
	w.wantDuty("drill#2", DutyWaived)
	wantTime(t, "due after a waiver", w.duty("drill#3").Due, t0.AddDate(0, 0, 190))
}

func TestADutyForEachEventCountsBackFromOneThatLiesAhead(t *testing.T) {
	w := programme(t, policy.Duty{ID: "announce", For: "each", Each: "subprocessor_added", Do: policy.Notify, To: "merchants.all",
		Due: []policy.Clock{{Kind: "before", Span: calendar.Span{Limit: days(30)}, Anchor: after("applies"), Text: "30d before applies"}}})
	if len(w.s.Duties) != 0 {
		t.Fatal("nothing has happened yet")
	}
	w.must(mark, RecordEvent{Event: "subprocessor_added", At: t0.AddDate(0, 0, 50), Note: "a mailer"}, ReasonEventRecorded)
	w.must(mark, RecordEvent{Event: "subprocessor_added", At: t0.AddDate(0, 0, 10), Note: "a host"}, ReasonEventRecorded)
	wantTime(t, "due", w.wantDuty("announce/subprocessor_added-1", DutyRunning).Due, t0.AddDate(0, 0, 20))
	late := w.duty("announce/subprocessor_added-2")
	if late.AtOnce.IsZero() {
		t.Fatalf("thirty days before an event in ten days is late by discovery: %+v", late)
	}
	_, err := w.give(mark, Complete{Duty: "announce", Note: "mailed everybody"})
	if err == nil {
		t.Fatal("two are owed: which was done has to be said")
	}
	w.must(mark, Complete{Duty: "announce", Recipient: "subprocessor_added-1", Note: "mailed everybody"}, ReasonCompleted)
	w.wantDuty("announce/subprocessor_added-1", DutyMet)
	w.must(mark, Complete{Duty: "announce", Note: "the other"}, ReasonCompleted)
	w.wantDuty("announce/subprocessor_added-2", DutyMetLate)
}

func TestThePolicyOfTheProgrammeChangesAndClocksStay(t *testing.T) {
	drill := policy.Duty{ID: "drill", For: "programme", Do: policy.Perform, Task: "x", Every: eachPeriod("quarter")}
	w := programme(t, drill, policy.Duty{ID: "report", For: "programme", Do: policy.Perform, Task: "x", Every: eachPeriod("month")})
	before := *w.duty("drill")
	w.after(time.Hour)
	next := *w.p
	next.Hash, next.Duties = "sha256:next", []policy.Duty{drill, {ID: "train", For: "programme", Do: policy.Perform, Task: "x", Every: eachPeriod("year")}}
	w.p = &next
	w.must(worker, BeginProgramme{}, ReasonProgrammeBegun)
	if d := w.duty("drill"); !d.Due.Equal(before.Due) || !d.Started.Equal(before.Started) || !d.owing() {
		t.Fatalf("%+v", d)
	}
	if d := w.wantDuty("report", DutyStopped); d.Cause != "not_in_policy" {
		t.Fatalf("%+v", d)
	}
	w.wantDuty("train", DutyRunning)
	w.must(worker, BeginProgramme{}, ReasonNothingChanged)
}

func TestTheProgrammeTakesNoCommandOfAnIncidentNorAnIncidentOneOfTheProgramme(t *testing.T) {
	w := programme(t)
	w.refused(lena, Confirm{Reason: "x"}, RefusedUnknown)
	w.refused(lena, Note{Text: "x"}, RefusedUnknown)
	i := newWorld(t)
	i.open()
	i.refused(lena, RecordEvent{Event: "subprocessor_added", Note: "x"}, RefusedUnknown)
	i.refused(worker, BeginProgramme{}, RefusedUnknown)
	fresh := newWorld(t)
	fresh.refused(lena, RecordEvent{Event: "subprocessor_added", Note: "x"}, RefusedNoIncident)
	for _, k := range []Kind{KindDutyMissed, KindPageOwed, KindDone, KindEvent, KindProgramme, KindPassed} {
		if !OfProgramme(k) {
			t.Errorf("%s stands in no chain of the organisation", k)
		}
	}
	if OfProgramme(KindOpened) || OfProgramme(KindSwitch) || slices.Contains(programmeCommands, "open") {
		t.Error("an incident is not of the programme")
	}
}
