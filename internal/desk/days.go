package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/scope"
)

// Keep is how long the days of the access log are kept.
type Keep struct{ Months, Days int }

// DefaultKeep is how long days are kept when nothing else is configured.
var DefaultKeep = Keep{Months: 13}

// String is the length in words.
func (k Keep) String() string {
	n, unit := k.Days, "day"
	if k.Months > 0 {
		n, unit = k.Months, "month"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// Until is when a day that began at an instant may go: so long after its end.
func (k Keep) Until(day time.Time) time.Time { return day.AddDate(0, k.Months, k.Days+1) }

// afterMidnight is how long a day is waited for that is over: batches that came in its last second
// are on their way into the log.
const afterMidnight = 5 * time.Minute

// keepDays does once a day, in domain time, and at the start, what is due to the days of the access
// log: it closes those that are over, and removes those whose time is over and that nothing holds. A
// crash at any point leaves facts of days that are not removed yet; the next start removes them.
func (d *Desk) keepDays(ctx context.Context) error {
	for {
		if !d.o.ReadOnly {
			if err := errors.Join(d.o.Events.Tidy(ctx), d.closeDays(ctx), d.pruneDays(ctx)); err != nil {
				return err
			}
		}
		now := d.o.Clock.Now().UTC()
		next := now.Add(-afterMidnight).Truncate(24 * time.Hour).Add(24*time.Hour + afterMidnight)
		due, cancel := d.o.Clock.Until(next)
		select {
		case <-ctx.Done():
			cancel()
			return nil
		case <-due:
		}
	}
}

var keeper = Caller{Principal: "service:tocsin", Name: "tocsin", Access: incident.Service}

// closeDays records of each day that is over where it stands in the events log.
func (d *Desk) closeDays(ctx context.Context) error {
	s, err := d.Org(ctx)
	if err != nil || s == nil {
		return err
	}
	now := d.o.Clock.Now()
	list, err := d.o.Events.Days(ctx)
	if err != nil {
		return err
	}
	due := func(day string) bool {
		at, err := time.Parse(time.DateOnly, day)
		return err == nil && s.Epochs[day] == nil && !now.Before(at.AddDate(0, 0, 1).Add(afterMidnight))
	}
	// A day of which nothing is in the log yet is not on the list, and would be asked for tomorrow only.
	if !d.o.Events.Unsealed() && !slices.ContainsFunc(list, func(x accesslog.Day) bool { return due(x.Day) }) {
		return nil
	}
	note, _, err := d.o.Events.Sealed(ctx)
	if err != nil {
		return err
	}
	if list, err = d.o.Events.Days(ctx); err != nil {
		return err
	}
	for _, x := range list {
		if !due(x.Day) {
			continue
		}
		if _, err := d.SubmitOrg(ctx, "", keeper, org.CloseEpoch{Day: x.Day, Stretches: stretches(x), Checkpoint: string(note)}); err != nil {
			return err
		}
	}
	return nil
}

func stretches(x accesslog.Day) (out []org.Stretch) {
	for _, r := range x.Stretches {
		out = append(out, org.Stretch{Leaf: r.Leaf, Leaves: r.Leaves, First: r.First, Last: r.Last})
	}
	return out
}

// pruneDays removes days: first the fact, then what it says.
func (d *Desk) pruneDays(ctx context.Context) error {
	s, err := d.Org(ctx)
	if err != nil || s == nil {
		return err
	}
	list, err := d.o.Events.Days(ctx)
	if err != nil {
		return err
	}
	have := map[string]accesslog.Day{}
	for _, x := range list {
		have[x.Day] = x
	}
	now := d.o.Clock.Now()
	var held []holding
	asked := false
	var gone []string
	for _, e := range s.Days() {
		if e.Pruned != nil && have[e.Day].Gone {
			gone = append(gone, e.Day)
			continue
		}
		day, err := time.Parse(time.DateOnly, e.Day)
		if err != nil {
			return fmt.Errorf("desk: the day %q: %w", e.Day, err)
		}
		fact := ""
		switch {
		case e.Pruned != nil:
			fact = e.Pruned.Fact
		case now.Before(d.o.Keep.Until(day)):
			continue
		default:
			if !asked { // reading all incidents is for the day on which something is due
				if held, err = d.daysHeld(ctx, now); err != nil {
					return err
				}
				asked = true
			}
			if slices.ContainsFunc(held, func(h holding) bool { return h.covers(day) }) {
				continue
			}
			note, _, err := d.o.EventLog.Checkpoint(ctx)
			if err != nil {
				return err
			}
			x, ok := have[e.Day]
			if !ok {
				return fmt.Errorf("desk: the day %s was closed and the access log does not know it", e.Day)
			}
			// A crash after this: the fact is there and the day too; the next start removes it.
			out, err := d.SubmitOrg(ctx, "", keeper, org.PruneEpoch{Day: e.Day, Stretches: stretches(x), Checkpoint: string(note), Keep: d.o.Keep.String(),
				Basis: "the time for which access events are kept is over, and no hold and no open incident covers the day"})
			if err != nil {
				return err
			}
			fact = out.Fact
		}
		if have[e.Day].Gone {
			continue
		}
		if err := d.o.Events.Prune(ctx, e.Day, fact); err != nil {
			return err
		}
		d.o.Log.InfoContext(ctx, "a day of the access log was removed", "day", e.Day, "fact", fact)
	}
	return d.o.Events.KeepNoKeys(gone)
}

// Held is why a day is kept longer than days are.
type Held struct {
	Incident string    `json:"incident"`
	Hold     string    `json:"hold,omitempty" doc:"id of the hold; absent: the incident is not settled"`
	Basis    string    `json:"basis,omitempty" doc:"legal basis of the hold"`
	Until    time.Time `json:"until,omitzero" doc:"when the hold ends; absent: when it is released"`
}

// holding is what keeps days.
type holding struct {
	Held
	from, to time.Time // days between, both inclusive
}

func (h holding) covers(day time.Time) bool { return !day.Before(h.from) && !day.After(h.to) }

// daysHeld lists what keeps days at an instant: every incident that is not settled, and every hold
// that stands, each from the day before the earliest access it is about. An incident keeps what comes
// until it is settled, and its hold what came until then.
func (d *Desk) daysHeld(ctx context.Context, now time.Time) ([]holding, error) {
	ids, err := d.openIncidents(ctx)
	if err != nil {
		return nil, err
	}
	var out []holding
	for _, id := range ids {
		s, err := d.Incident(ctx, id)
		if errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err // what cannot be read may hold everything
		}
		out = append(out, holdingOf(s, now)...)
	}
	return out, nil
}

func holdingOf(s *incident.State, now time.Time) (out []holding) {
	settled := s.Status == incident.StatusClosed || s.Status == incident.StatusDismissed
	from, to := about(s), now
	if settled {
		to = s.Updated
	} else {
		out = append(out, holding{Held{Incident: s.ID}, from, to})
	}
	for _, h := range s.Holds {
		if h.Stands(now) {
			end := to
			if h.At.After(end) {
				end = h.At
			}
			out = append(out, holding{Held{Incident: s.ID, Hold: h.ID, Basis: h.Basis, Until: h.Until}, from, end})
		}
	}
	return out
}

// about is the day before the earliest access that an incident is about, as far as it says: its
// scopes, its milestones and its signals.
func about(s *incident.State) time.Time {
	from := s.Opened
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(from) {
			from = t
		}
	}
	for _, m := range s.Milestones {
		earlier(m.At)
	}
	for i := range s.Signals {
		earlier(s.Signals[i].At)
		earlier(s.Signals[i].From)
	}
	for _, m := range s.Merged { // of incidents that are a part of it
		earlier(m.Opened)
		for _, at := range m.Milestones {
			earlier(at)
		}
		for i := range m.Signals {
			earlier(m.Signals[i].From)
		}
		for _, x := range m.Exposures {
			earlier(x.First)
		}
	}
	for _, v := range s.Scopes {
		var q scope.Query
		if json.Unmarshal(v.Query, &q) != nil || q.From.IsZero() {
			return time.Time{} // about everything
		}
		earlier(q.From)
	}
	return from.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
}

// LogDay is a day of the access log, and how long it is kept.
type LogDay struct {
	Day    string    `json:"day" doc:"UTC"`
	State  string    `json:"state" enum:"open,kept,held,removed" doc:"open: not over yet; held: its time is over, and something keeps it"`
	Leaves uint64    `json:"leaves"`
	Events int64     `json:"events"`
	Until  time.Time `json:"until" doc:"when its time is over"`
	Held   []Held    `json:"held,omitempty" nullable:"false" doc:"what keeps it, whether or not its time is over"`
	Closed string    `json:"closed,omitempty" doc:"the fact that says where it stands in the log"`
	Fact   string    `json:"fact,omitempty" doc:"the fact that says that it was removed"`
	At     time.Time `json:"at,omitzero" doc:"when that was decided"`
	Basis  string    `json:"basis,omitempty" doc:"why"`
	Left   bool      `json:"left,omitempty" doc:"some of it is still there; the next start removes it"`
	Why    string    `json:"why" doc:"all of that in words"`
}

// why says in words why a day is kept, or that it is not.
func (l LogDay) why() string {
	if l.State == "removed" {
		text := "on " + l.At.UTC().Format(time.DateOnly) + ", fact " + l.Fact
		if l.Left {
			text += "; some of it is still there"
		}
		return text
	}
	words := []string{"until " + l.Until.UTC().Format(time.DateOnly)}
	for _, h := range l.Held {
		switch {
		case h.Hold == "":
			words = append(words, h.Incident+" is not settled")
		case h.Until.IsZero():
			words = append(words, fmt.Sprintf("%s of %s: %s", h.Hold, h.Incident, h.Basis))
		default:
			words = append(words, fmt.Sprintf("%s of %s until %s: %s", h.Hold, h.Incident, h.Until.UTC().Format(time.DateOnly), h.Basis))
		}
	}
	return strings.Join(words, "; ")
}

// LogDays are the days of the access log.
type LogDays struct {
	Keep string   `json:"keep" doc:"how long a day is kept, such as 13 months"`
	Days []LogDay `json:"days" nullable:"false" doc:"newest first"`
}

// LogDays says which days of the access log are kept, how long and why, and which were removed.
func (d *Desk) LogDays(ctx context.Context) (LogDays, error) {
	out := LogDays{Keep: d.o.Keep.String(), Days: []LogDay{}}
	if d.o.Events == nil {
		return out, nil
	}
	s, err := d.Org(ctx)
	if err != nil {
		return out, err
	}
	list, err := d.o.Events.Days(ctx)
	if err != nil {
		return out, err
	}
	now := d.o.Clock.Now()
	held, err := d.daysHeld(ctx, now)
	if err != nil {
		return out, err
	}
	for _, x := range list {
		day, err := time.Parse(time.DateOnly, x.Day)
		if err != nil {
			return out, fmt.Errorf("desk: the day %q: %w", x.Day, err)
		}
		l := LogDay{Day: x.Day, State: "open", Until: d.o.Keep.Until(day)}
		for _, r := range x.Stretches {
			l.Leaves += r.Leaves
			l.Events += int64(r.Last - r.First + 1)
		}
		var e *org.Epoch
		if s != nil {
			e = s.Epochs[x.Day]
		}
		if e != nil {
			l.State, l.Closed = "kept", e.Fact
		}
		if e != nil && e.Pruned != nil {
			l.State, l.Fact, l.At, l.Basis, l.Left = "removed", e.Pruned.Fact, e.Pruned.At, e.Pruned.Basis, !x.Gone
		} else {
			for _, h := range held {
				if h.covers(day) {
					l.Held = append(l.Held, h.Held)
				}
			}
			if len(l.Held) > 0 && !now.Before(l.Until) {
				l.State = "held"
			}
		}
		l.Why = l.why()
		out.Days = append(out.Days, l)
	}
	slices.Reverse(out.Days)
	return out, nil
}

// goneBefore says, for an answer about something that is not there, which days were removed; "" when none
// was.
func (d *Desk) goneBefore(ctx context.Context) string {
	s, err := d.Org(ctx)
	if err != nil {
		return ""
	}
	var first, last *org.Epoch
	for _, e := range s.Days() {
		if e.Pruned != nil {
			if first == nil {
				first = e
			}
			last = e
		}
	}
	switch {
	case first == nil:
		return ""
	case first == last:
		return fmt.Sprintf("; the events of %s were removed on %s (fact %s)", last.Day, last.Pruned.At.Format(time.DateOnly), last.Pruned.Fact)
	}
	return fmt.Sprintf("; events of %s to %s were removed, the newest of these days on %s (fact %s; all of them: tocsin evidence days)", first.Day, last.Day, last.Pruned.At.Format(time.DateOnly), last.Pruned.Fact)
}
