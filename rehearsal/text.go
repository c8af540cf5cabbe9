package rehearsal

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// stamp writes an instant in a zone, with the zone.
func stamp(t time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("Mon 2 Jan 2006 15:04 MST")
}

// Write puts an answer in plain words. Instances of one duty that say the same are one line.
func (a *Answer) Write(w io.Writer, zone *time.Location) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s: %s, class %s", a.Policy, stamp(a.At, zone), a.Status, a.Class)
	if a.Severity != "" {
		fmt.Fprintf(&b, ", severity %s", a.Severity)
	}
	b.WriteString("\n")
	for _, m := range a.Milestones {
		fmt.Fprintf(&b, "  %-14s %s\n", m.Milestone, stamp(m.At, zone))
	}
	if len(a.Refused) > 0 {
		b.WriteString("\nOf the file, not taken\n")
		for _, step := range a.Refused {
			fmt.Fprintf(&b, "  %s  %s: refused: %s\n", stamp(step.At, zone), step.What, step.Refused)
		}
	}
	a.section(&b, "\nDue, or done\n", a.Duties, zone)
	a.section(&b, "\nNot due, and why\n", a.Excluded, zone)
	a.section(&b, "\nOf the programme, without an incident\n", a.Programme, zone)
	open := slices.DeleteFunc(slices.Clone(a.Questions), func(q Question) bool { return q.Decides == 0 })
	if len(open) > 0 {
		b.WriteString("\nWhat is not known yet; the first decides most\n")
		for _, q := range open {
			fmt.Fprintf(&b, "  %s (%s, asked of %s): decides %d, of %s\n", q.Ask, q.Fact, q.By, q.Decides, strings.Join(q.Duties, ", "))
		}
	}
	if len(a.Shut) > 0 {
		fmt.Fprintf(&b, "\nRefused now: %s\n", strings.Join(a.Shut, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *Answer) section(b *strings.Builder, title string, list []Duty, zone *time.Location) {
	if len(list) == 0 {
		return
	}
	b.WriteString(title)
	for _, d := range list {
		fmt.Fprintf(b, "  %-14s %s%s", d.State, d.Duty, whom(d))
		switch {
		case !d.Met.IsZero():
			fmt.Fprintf(b, ", met %s", d.Met.UTC().Format(time.RFC3339))
		case d.DueThere != "":
			fmt.Fprintf(b, ", due %s", d.DueThere)
		case !d.Target.IsZero():
			fmt.Fprintf(b, ", aimed for %s", d.Target.UTC().Format(time.RFC3339))
		}
		if !d.Missed.IsZero() {
			fmt.Fprintf(b, ", limit passed %s", d.Missed.UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(b, "\n                 %s\n", d.Why)
		if begins := Begins(d, a.At, zone); begins != "" {
			fmt.Fprintf(b, "                 %s\n", begins)
		}
		for _, c := range d.Cells {
			fmt.Fprintf(b, "                 table by %s\n", c)
		}
		clocks(b, d.Clocks)
	}
}

// Begins says from when on a duty may be done, and why: of several instants the last counts, and one whose
// start has not happened holds until it has. It is empty for a duty that may be done at any time.
func Begins(d Duty, now time.Time, zone *time.Location) string {
	if len(d.Floors) == 0 || !d.Met.IsZero() {
		return ""
	}
	var counts, others, open []string
	var at time.Time
	for _, f := range d.Floors {
		switch {
		case f.At.IsZero():
			open = append(open, f.Text+", and "+f.Anchor+" has not happened")
		case f.Last:
			at, counts = f.At, append(counts, f.Text)
		default:
			others = append(others, f.Text+" is "+stamp(f.At, zone))
		}
	}
	s := ""
	switch {
	case len(open) > 0:
		s = "may not be done yet: not before " + strings.Join(open, "; not before ")
	case at.After(now):
		s = "may be done from " + stamp(at, zone) + " on: not before " + strings.Join(counts, ", ")
	default:
		s = "may be done since " + stamp(at, zone) + ": " + strings.Join(counts, ", ") + " is past"
	}
	if len(others) > 0 {
		s += "; " + strings.Join(others, ", ")
	}
	return s
}

// maxClocks is how many clocks of one duty a person is shown; JSON has all of them.
const maxClocks = 5

// clocks lists the clocks of a duty that has several: what runs first, then what is ruled out by a
// word each. A catalogue of laws may hold fifty.
func clocks(b *strings.Builder, list []incident.ExplainedClock) {
	if len(list) < 2 {
		return
	}
	list = slices.Clone(list)
	rank := map[string]int{incident.ClockCounts: 0, incident.ClockLater: 1, incident.ClockNone: 2, incident.ClockWaiting: 3, incident.ClockRuledOut: 4}
	slices.SortStableFunc(list, func(x, y incident.ExplainedClock) int { return rank[x.State] - rank[y.State] })
	for i, c := range list {
		if i == maxClocks {
			fmt.Fprintf(b, "                 and %d more clocks: --json lists them\n", len(list)-i)
			return
		}
		line := strings.ReplaceAll(c.State, "_", " ")
		if c.Why != "" {
			line += ", " + c.Why
		}
		if len(c.Unknown) > 0 {
			line += ", unless ruled out: " + strings.Join(c.Unknown, ", ")
		}
		fmt.Fprintf(b, "                 clock %s: %s\n", c.Text, line)
	}
}

// whom names the recipients of a line: one by name, more by number.
func whom(d Duty) string {
	s := ""
	switch n := len(d.Recipients); {
	case n == 1:
		s = " to " + d.Recipients[0]
	case n > 1:
		s = fmt.Sprintf(" to %d recipients", n)
	}
	if d.Round > 1 {
		s += fmt.Sprintf(", time %d", d.Round)
	}
	return s
}

// WriteStory puts the whole life of a rehearsed incident in plain words, one line for each thing
// that happened or that the clocks decided.
func (r *Run) WriteStory(w io.Writer) error {
	var b strings.Builder
	zone := r.p.Zone
	for _, step := range r.steps {
		at := stamp(step.At, zone)
		if step.What != "" {
			fmt.Fprintf(&b, "%s  %s\n", at, step.What)
		}
		if step.Refused != "" {
			fmt.Fprintf(&b, "%s    refused: %s\n", at, step.Refused)
		}
		for _, l := range step.Lines {
			if l.Principal == author && step.What != "" {
				continue // it is what the line above says
			}
			fmt.Fprintf(&b, "%s    %s\n", at, l.Text)
		}
	}
	var met, late, missed, owed int
	for _, d := range incident.Clocks(r.p, r.inc.s) {
		switch d.State {
		case incident.DutyMet:
			met++
		case incident.DutyMetLate:
			late++
		case incident.DutyMissed:
			missed++
		case incident.DutyRunning, incident.DutyProvisional, incident.DutyAtRisk:
			owed++
		}
	}
	fmt.Fprintf(&b, "\nat the end: %d met, %d met late, %d missed, %d still owed\n", met, late, missed, owed)
	_, err := io.WriteString(w, b.String())
	return err
}
