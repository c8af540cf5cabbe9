package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// This file holds the programme: the duties a policy has without an incident. It is a state like
// that of an incident, with the same clocks, pages and wake-ups, whose facts stand in the chain of
// the organisation.

// programmeKinds are the kinds of facts a programme is made of.
var programmeKinds = []Kind{KindProgramme, KindEvent, KindDone, KindPassed}

// OfProgramme reports whether a fact of the organisation's chain belongs to the programme.
func OfProgramme(k Kind) bool {
	return slices.Contains(programmeKinds, k) || strings.HasPrefix(string(k), "duty.") || strings.HasPrefix(string(k), "page.")
}

// beginProgramme puts the programme under the policy of the decision. Duties that were there before
// keep their clocks; those that are gone stop by name; new ones begin.
func (w *work) beginProgramme() (Reason, error) {
	if w.base.isOpened() && w.base.Policy == w.p.Hash {
		return ReasonNothingChanged, nil
	}
	w.fact(KindProgramme, ProgrammeBody{Policy: w.p.Hash})
	return ReasonProgrammeBegun, nil
}

func foldProgramme(s *State, f Fact) error {
	var b ProgrammeBody
	if err := header(f, &b); err != nil {
		return err
	}
	if !s.isOpened() {
		s.Programme, s.Opened, s.Status, s.Env = true, f.Recorded, StatusOpen, f.Env
	}
	s.Policy = b.Policy
	return nil
}

// maxAhead bounds how far in the future an event may be announced.
const maxAhead = 10 * 366 * 24 * time.Hour

func (w *work) recordEvent(c RecordEvent) (Reason, error) {
	if err := needText("note", c.Note, maxText); err != nil {
		return "", err
	}
	known := false
	names := make([]string, len(w.p.Events))
	for i, e := range w.p.Events {
		names[i] = e.ID
		known = known || e.ID == c.Event
	}
	switch {
	case len(names) == 0:
		return "", invalid("event", "the policy names no events")
	case !known:
		return "", invalid("event", "must be one of %s", strings.Join(names, ", "))
	}
	at := c.At.UTC()
	switch {
	case c.At.IsZero():
		at = w.now
	case at.Year() < 1970:
		return "", invalid("at", "lies before 1970")
	case at.After(w.now.Add(maxAhead)):
		return "", invalid("at", "lies more than ten years ahead")
	}
	n := 1
	for _, e := range w.base.Events {
		if e.Event == c.Event {
			n++
		}
	}
	w.fact(KindEvent, EventBody{ID: fmt.Sprintf("%s-%d", c.Event, n), Event: c.Event, At: at}, own(PlainText{c.Note}))
	return ReasonEventRecorded, nil
}

func foldEvent(s *State, f Fact) error {
	var b EventBody
	var t PlainText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Events = append(s.Events, EventOf{ID: b.ID, Event: b.Event, At: b.At, Recorded: f.Recorded, By: f.Principal, Note: t.Text, Fact: f.ID})
	return nil
}

func (s *State) event(id string) *EventOf {
	for i := range s.Events {
		if s.Events[i].ID == id {
			return &s.Events[i]
		}
	}
	return nil
}
