package incident

import (
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// dutyEvents are the instants of a duty that clocks and conditions may name.
var dutyEvents = []string{"applies", "started", "met", "late", "missed", "waived"}

// instant is when something named in a policy happened; zero: it has not. A duty's instant is that
// of the same recipient where there is one, else that of the duty as a whole.
func instant(s *State, name string, sub subject) time.Time {
	duty, event, ok := strings.Cut(strings.TrimPrefix(name, "duty."), ".")
	if !ok {
		switch name {
		case "opened", "published":
			return s.Opened
		case "applies":
			return sub.applies
		}
		if m := s.Milestones[strings.TrimPrefix(name, "milestone.")]; m != nil {
			return m.At
		}
		return time.Time{}
	}
	if duty == "milestone" {
		return instant(s, event, sub)
	}
	if d := s.newest(duty, sub.recipient, event); d != nil {
		return d.instant(event)
	}
	if t := s.Tally[duty]; t != nil {
		return t.instant(event)
	}
	return time.Time{}
}

// newest is the instance of a recipient that an instant is read from: of a duty that recurs the
// last one to which the event happened. It is nil when the recipient has none, and for nobody in
// particular when the duty has recipients.
func (s *State) newest(duty, recipient, event string) *DutyInstance {
	d := s.Duties[dutyKey(duty, recipient, 0)]
	if d == nil || recipient == "" && d.Cause == "scope_known" {
		return nil
	}
	for n := 2; ; n++ {
		next := s.Duties[dutyKey(duty, recipient, n)]
		if next == nil {
			return d
		}
		if !next.instant(event).IsZero() || d.instant(event).IsZero() {
			d = next
		}
	}
}

func (d *DutyInstance) instant(event string) time.Time {
	switch event {
	case "applies":
		if d.State != DutyNot {
			return d.Applies
		}
	case "started":
		if d.State != DutyNot {
			return d.Started
		}
	case "met":
		if d.met() {
			return d.Met
		}
	case "missed":
		return d.Missed
	case "late":
		return d.Late
	case "waived":
		return d.Waived
	}
	return time.Time{}
}

// instant is when the duty as a whole began, was late, missed or waived, or was met: met and waived
// mean that nobody is owed it any more.
func (t *Tally) instant(event string) time.Time {
	switch event {
	case "applies":
		return t.FirstApplies
	case "started":
		return t.FirstStarted
	case "missed":
		return t.FirstMissed
	case "late":
		return t.FirstLate
	case "met":
		if t.Open == 0 {
			return t.LastMet
		}
	case "waived":
		if t.Open == 0 {
			return t.LastWaived
		}
	}
	return time.Time{}
}

// perRecipient reports whether the clocks of a duty may differ between recipients: they do when
// one is anchored on another duty or on the duty's own beginning, and when a contract or a law
// that asks about the recipient sets them.
func perRecipient(p *policy.Program, d *policy.Duty) bool {
	own := func(a *policy.Anchor) bool {
		if a == nil {
			return false
		}
		for _, n := range a.Names {
			if n == "applies" || strings.Contains(n, ".") && !strings.HasPrefix(n, "milestone.") {
				return true
			}
		}
		return false
	}
	for i := range d.Due {
		c := &d.Due[i]
		if own(&c.Anchor) || c.Kind == "contract" || c.Kind == "law" && p.Laws != nil {
			return true
		}
	}
	for i := range d.Floor {
		if own(&d.Floor[i].Anchor) {
			return true
		}
	}
	return own(d.Until) || len(d.Due) == 0 && d.Every != nil
}
