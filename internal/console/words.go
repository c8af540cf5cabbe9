package console

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// absolute writes an instant with its zone, and the year only when it is another one.
func absolute(f frame, t time.Time) string {
	t = t.In(f.Zone)
	layout := "Mon 2 Jan 15:04"
	if t.Year() != f.Now.In(f.Zone).Year() {
		layout = "Mon 2 Jan 2006 15:04"
	}
	return t.Format(layout) + " " + zoneName(f.Zone)
}

func zoneName(z *time.Location) string {
	if z == nil || z == time.UTC {
		return "UTC"
	}
	return z.String()
}

// machine writes an instant for programs.
func machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span writes a length of time with its two largest units.
func span(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	if d < time.Minute {
		return "less than 1 min"
	}
	d = d.Round(time.Minute)
	hours, minutes := int(d/time.Hour), int(d/time.Minute)%60
	switch {
	case hours >= 96:
		return fmt.Sprintf("%d d %d h", hours/24, hours%24)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	}
	return fmt.Sprintf("%d min", minutes)
}

// ago writes how far an instant is from now.
func ago(f frame, t time.Time) string {
	d := f.Now.Sub(t)
	if d < 0 {
		return "in " + span(d)
	}
	return span(d) + " ago"
}

// left writes what is left of a clock as its largest line.
func left(f frame, c desk.ClockRow) string {
	due := dueOf(c)
	switch {
	case due.IsZero():
		return span(f.Now.Sub(c.Started)) + " so far"
	case f.Now.After(due):
		return span(f.Now.Sub(due)) + " over"
	}
	return span(due.Sub(f.Now))
}

// dueOf is the instant a clock is shown against: its limit, or its target where no limit is set.
func dueOf(c desk.ClockRow) time.Time {
	if !c.Due.IsZero() {
		return c.Due
	}
	return c.Target
}

// look is how a state looks: a word, a shape and a colour class, always together.
type look struct{ Word, Shape, Class string }

func dutyLook(s incident.DutyState) look {
	switch s {
	case incident.DutyRunning:
		return look{"running", "●", "running"}
	case incident.DutyProvisional:
		return look{"running, unless ruled out", "●", "running"}
	case incident.DutyAtRisk:
		return look{"at risk", "◐", "risk"}
	case incident.DutyMissed:
		return look{"missed", "✕", "missed"}
	case incident.DutyMet:
		return look{"met", "✓", "met"}
	case incident.DutyMetLate:
		return look{"met late", "✕", "missed"}
	case incident.DutyWaived:
		return look{"waived", "–", "waiting"}
	case incident.DutyStopped:
		return look{"stopped", "–", "waiting"}
	case incident.DutyNot:
		return look{"not due", "–", "waiting"}
	}
	return look{"waiting", "○", "waiting"}
}

func actionLook(s incident.ActionState) look {
	switch s {
	case incident.ActionProven:
		return look{"proven", "✓", "met"}
	case incident.ActionUnproven, incident.ActionFailed:
		return look{word(string(s)), "✕", "missed"}
	case incident.ActionUncertain:
		return look{"uncertain", "◐", "risk"}
	case incident.ActionUndone, incident.ActionCancelled:
		return look{word(string(s)), "–", "waiting"}
	case incident.ActionPlanned:
		return look{"planned", "○", "waiting"}
	}
	return look{word(string(s)), "●", "running"}
}

func deliveryLook(s incident.DeliveryState) look {
	switch s {
	case incident.DeliveryAccepted:
		return look{"accepted", "✓", "met"}
	case incident.DeliveryBounced, incident.DeliveryNoAddress:
		return look{word(string(s)), "✕", "missed"}
	case incident.DeliveryUncertain:
		return look{"uncertain", "◐", "risk"}
	case incident.DeliveryOwed:
		return look{"owed", "○", "waiting"}
	}
	return look{word(string(s)), "●", "running"}
}

func checkLook(state string) look {
	switch state {
	case "passed":
		return look{"passed", "✓", "met"}
	case "failed":
		return look{"failed", "✕", "missed"}
	case "owed", "":
		return look{"not run", "○", "waiting"}
	}
	return look{word(state), "●", "running"}
}

func severityClass(s string) string {
	switch s {
	case "critical", "high":
		return "missed"
	case "medium":
		return "risk"
	}
	return "running"
}

// running reports whether a clock still runs.
func running(s incident.DutyState) bool {
	switch s {
	case incident.DutyRunning, incident.DutyProvisional, incident.DutyAtRisk, incident.DutyMissed:
		return true
	}
	return false
}

// word writes an id as words.
func word(id string) string { return strings.ReplaceAll(strings.ReplaceAll(id, "_", " "), "-", " ") }

// title writes an id as words that begin a line.
func title(id string) string {
	return incident.Capital(word(id))
}

// who writes a principal as people say it: a person by the name that the account has, and by the id when two have
// the same name or none is known.
func (f frame) who(p incident.Principal) string {
	kind, id, ok := strings.Cut(string(p), ":")
	switch {
	case !ok:
		return string(p)
	case kind != "person":
		return id + " (" + kind + ")"
	case f.names != nil && f.names()[id] != "":
		return f.names()[id]
	}
	return id
}

// named writes a text of the engine with people by their names.
func (f frame) named(text string) string {
	return principal.ReplaceAllStringFunc(text, func(p string) string { return f.who(incident.Principal(p)) })
}

var principal = regexp.MustCompile(`\bperson:[a-z0-9][a-z0-9._-]*[a-z0-9]|\bperson:[a-z0-9]`)

// lead is who leads an incident of the board, by name.
func (f frame) lead(row desk.BoardRow) string { return f.who(incident.Principal("person:" + row.Lead)) }

// called says who was called about a clock, by name.
func (f frame) called(c desk.ClockRow) string {
	how, _, _ := strings.Cut(c.Called, ": ")
	if len(c.CalledTo) == 0 {
		return c.Called
	}
	names := make([]string, len(c.CalledTo))
	for i, p := range c.CalledTo {
		names[i] = f.who(p)
	}
	return how + ": " + strings.Join(names, ", ")
}

// number groups digits.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// milestoneOrder is how milestones stand in the line when their times do not tell.
var milestoneOrder = []string{"suspected", "detected", "acknowledged", "aware", "discovered", "confirmed", "determined", "contained",
	"scoped", "notified", "remediated", "verified", "restored", "watched", "resolved", "reviewed", "closed"}

// step is one milestone of the line.
type step struct {
	Name string
	At   time.Time // zero: has not happened
	Main bool
}

// mainSteps are the milestones that stand in the line before they have happened, and the only ones
// in it on a phone.
var mainSteps = []string{"confirmed", "contained", "scoped", "notified", "verified", "restored", "reviewed", "closed"}

// steps lists the milestones to show: those that happened by time, then, while the incident is
// open, the main ones that did not.
func steps(happened map[string]time.Time, open bool) []step {
	var out []step
	for name, at := range happened {
		out = append(out, step{Name: name, At: at, Main: slices.Contains(mainSteps, name) || name == "dismissed"})
	}
	slices.SortFunc(out, func(a, b step) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return slices.Index(milestoneOrder, a.Name) - slices.Index(milestoneOrder, b.Name)
	})
	if _, over := happened["dismissed"]; over || !open {
		return out
	}
	for _, name := range mainSteps {
		if _, ok := happened[name]; !ok {
			out = append(out, step{Name: name, Main: true})
		}
	}
	return out
}

// shortest is the shortest honest list of what is missing: two things and how many more.
func shortest(missing []incident.Missing) string {
	switch len(missing) {
	case 0:
		return ""
	case 1:
		return missing[0].What
	case 2:
		return missing[0].What + "; " + missing[1].What
	}
	return fmt.Sprintf("%s; %s; and %d more", missing[0].What, missing[1].What, len(missing)-2)
}
