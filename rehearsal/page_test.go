package rehearsal_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/rehearsal"
)

// The engine counts what the page says: the sentences and the table of a page are read back by a
// reader that knows no more than English, and every number in them is compared with the instants at
// which the engine holds the duties due.
func TestAPageAndItsEngineNeverDisagreeAboutANumber(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		detected := time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(r, "month")), rapid.IntRange(1, 31).Draw(r, "day"), rapid.IntRange(0, 23).Draw(r, "hour"), rapid.IntRange(0, 59).Draw(r, "minute"), 0, 0, time.UTC)
		confirmed := detected.Add(time.Duration(rapid.IntRange(0, 600).Draw(r, "until confirmed")) * time.Minute)
		done := confirmed.Add(time.Duration(rapid.IntRange(1, 300).Draw(r, "until done")) * time.Minute)
		level := rapid.SampledFrom([]string{"critical", "high", "low"}).Draw(r, "level")
		src, duties := clockwork(r)
		p, diags := policy.Compile("drawn.yaml", []byte(src))
		if p == nil {
			r.Fatalf("%v\n%s", diags, src)
		}
		page := string(p.Markdown())
		facts := fmt.Sprintf("severity: %s\nmilestones: { detected: %s, confirmed: %s }\nthen: [", level, detected.Format(time.RFC3339), confirmed.Format(time.RFC3339))
		for i := range duties {
			facts += fmt.Sprintf("{ at: %s, done: act_%d }, ", done.Format(time.RFC3339), i)
		}
		facts += "]\n"
		before, after := explained(r, p, facts, confirmed), explained(r, p, facts, done)
		words := reader{page: page, level: level, instants: map[string]time.Time{"detecting it": detected, "confirming it": confirmed}}
		words.hours(r)
		for i := range duties {
			id := fmt.Sprintf("act_%d", i)
			says := words.duty(r, id)
			got := find(before, id)
			fail := func(what string, is, want any) {
				r.Fatalf("%s: %s is %v, and the page says %v:\n%s\n%s\n%s", id, what, is, want, says.text, src, facts)
			}
			switch {
			case got == nil:
				fail("the duty", "not there", says.due)
			case says.none && got.State != "not_applicable":
				fail("the state", got.State, "that it is not due")
			case says.none:
				continue
			case !got.Due.Equal(says.due):
				fail("due", got.Due, says.due)
			case !says.target.IsZero() && !got.Target.Equal(says.target):
				fail("the target", got.Target, says.target)
			}
			if says.every == "" {
				continue
			}
			target, due := words.every(r, says.every, done)
			if again := find(after, id+"#2"); again == nil {
				fail("the next round", "not there", due)
			} else if !again.Due.Equal(due) || !again.Target.Equal(target) {
				fail("the next round", []time.Time{again.Target, again.Due}, []time.Time{target, due})
			}
		}
	})
}

func explained(r *rapid.T, p *policy.Program, facts string, at time.Time) *rehearsal.Answer {
	a, err := explain(p, []byte(facts), at)
	if err != nil {
		r.Fatalf("%v\n%s", err, facts)
	}
	return a
}

// clockwork draws a policy of duties with clocks of every kind that carries a number, and a table
// that gives some of them others.
func clockwork(r *rapid.T) (src string, duties []string) {
	n := func(least, most int, what string) int { return rapid.IntRange(least, most).Draw(r, what) }
	unit := func() string {
		return rapid.SampledFrom([]string{"%dmin", "%dh", "%dd", "%dw", "%dmo", "%dy", "%dh business", "%d business d"}).Draw(r, "unit")
	}
	length := func() string { return fmt.Sprintf(unit(), n(1, 40, "length")) }
	span := func() string { // a limit, a target and a limit, or promptly with a ceiling
		u, a := unit(), n(1, 20, "target")
		switch n(0, 3, "span") {
		case 0:
			target := strings.TrimSuffix(fmt.Sprintf(u, a), " business") // 1h..2h business
			return target + ".." + fmt.Sprintf(u, a+n(1, 20, "more"))
		case 1:
			return "promptly.." + fmt.Sprintf(rapid.SampledFrom([]string{"%dh", "%dd"}).Draw(r, "ceiling"), n(6, 60, "ceiling"))
		default:
			return length()
		}
	}
	anchor := func() string { return rapid.SampledFrom([]string{"detected", "confirmed"}).Draw(r, "anchor") }
	open, most := n(0, 12, "open"), 0
	shut := n(open+1, 24, "shut")
	var b strings.Builder
	fmt.Fprintf(&b, "policy: drawn\ntitle: Security Incident Response Policy\nowner: Acme Ltd\ntime: { zone: %s, business: \"Mon-Fri %02d:00-%02d:00\", promptly: %dh }\n",
		rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"}).Draw(r, "zone"), open, shut, n(1, 5, "promptly"))
	b.WriteString("scales: { severity: { critical: { means: Worst. }, high: { means: Bad. }, low: { means: The rest. } } }\nroles: { lead: { does: decides, holder: lena } }\n")
	b.WriteString("duties:\n  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 8h after detected }\n")
	every := map[int]bool{}
	for i := range n(1, 6, "duties") {
		due := ""
		switch n(0, 3, "due") {
		case 0:
			due = fmt.Sprintf("[%s after %s, %s after %s]", length(), anchor(), length(), anchor())
		case 1:
			due = "promptly after " + anchor()
		case 2:
			due = length() + ".. after " + anchor()
			if strings.Contains(due, "business") { // an open end takes no business time behind it
				due = fmt.Sprintf("%dh.. after %s", n(1, 40, "length"), anchor())
			}
		default:
			due = span() + " after " + anchor()
		}
		if every[i] = rapid.Bool().Draw(r, "again"); every[i] {
			due += ", every: " + cadence(r, n)
		}
		fmt.Fprintf(&b, "  act_%d: { who: lead, do: perform, task: do thing %d, due: %s }\n", i, i, due)
		duties, most = append(duties, due), i+1
	}
	b.WriteString("tables:\n  - by: severity\n")
	for _, level := range []string{"critical", "high", "low"} {
		fmt.Fprintf(&b, "    %s: { ", level)
		cells := 0
		for i := range most {
			switch n(0, 5, "cell") {
			case 0:
				fmt.Fprintf(&b, "act_%d: none, ", i)
			case 1:
				form := "act_%d: %s after %s, "
				if every[i] {
					form = "act_%d: { due: %s after %s }, " // a bare cell would say how often
				}
				fmt.Fprintf(&b, form, i, length(), anchor())
			case 2:
				if every[i] {
					fmt.Fprintf(&b, "act_%d: { due: %s after %s, every: %s }, ", i, length(), anchor(), cadence(r, n))
				} else {
					fmt.Fprintf(&b, "act_%d: %s, ", i, span())
				}
			case 3:
				if every[i] {
					fmt.Fprintf(&b, "act_%d: %s, ", i, cadence(r, n))
				}
			default:
				continue
			}
			cells++
		}
		if cells == 0 {
			b.WriteString("act_0: 1h")
		}
		b.WriteString(" }\n")
	}
	return b.String(), duties
}

// cadence draws how often something is repeated.
func cadence(r *rapid.T, n func(int, int, string) int) string {
	unit := rapid.SampledFrom([]string{"min", "h", "d", "w"}).Draw(r, "every")
	a := n(1, 20, "every")
	if rapid.Bool().Draw(r, "range") {
		return fmt.Sprintf("%d%s..%d%s", a, unit, a+n(1, 20, "more"), unit)
	}
	return fmt.Sprintf("%d%s", a, unit)
}

// reader reads a page as a person would: it knows the words for lengths and instants, and nothing
// of how a policy is written.
type reader struct {
	page     string
	level    string
	instants map[string]time.Time
	zone     *time.Location
	open     calendar.Hours
}

// said is what a page says of one duty.
type said struct {
	text   string
	none   bool
	due    time.Time // the earliest limit; zero: none
	target time.Time // of a single clock; zero: none
	every  string
}

var opening = regexp.MustCompile(`\*\*Business time\*\* is (\w+) to (\w+) from (\d\d):(\d\d) to (\d\d):(\d\d) \(([A-Za-z_/]+)\)`)

// hours reads when it is open, and the zone.
func (w *reader) hours(r *rapid.T) {
	m := opening.FindStringSubmatch(w.page)
	if m == nil || m[1] != "Monday" || m[2] != "Friday" {
		// A page explains only the words it uses.
		if strings.Contains(w.page, "business hour") || strings.Contains(w.page, "business day") {
			r.Fatalf("the page does not say when it is open:\n%s", w.page)
		}
		m = regexp.MustCompile(`\*\*Dates\*\* are those of the time zone ()()()()()()([A-Za-z_/]+) `).FindStringSubmatch(w.page)
		if m == nil {
			r.Fatalf("the page names no zone:\n%s", w.page)
		}
	}
	var err error
	if w.zone, err = time.LoadLocation(m[7]); err != nil {
		r.Fatal(err)
	}
	w.open = calendar.Hours{Zone: w.zone}
	if m[3] != "" {
		for day := time.Monday; day <= time.Friday; day++ {
			w.open.Week[day] = []calendar.Interval{{Open: whole(m[3])*60 + whole(m[4]), Close: whole(m[5])*60 + whole(m[6])}}
		}
	}
}

// duty reads the sentence of a duty, and its row of the table where the sentence points there.
func (w *reader) duty(r *rapid.T, id string) said {
	sentence, row := "", ""
	var head []string
	for line := range strings.Lines(w.page) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "| What we do |"):
			head = columns(line)
		case strings.HasPrefix(line, "| ") && strings.Contains(line, "["+id+"]"):
			for i, cell := range columns(line) {
				if strings.EqualFold(head[i], w.level) {
					row = cell
				}
			}
		case strings.HasPrefix(line, "- ") && strings.Contains(line, "["+id+"]"):
			sentence = line
		}
	}
	text := row
	if row == "" {
		_, clock, ok := strings.Cut(sentence, "We do thing "+strings.TrimPrefix(id, "act_")+" ")
		if !ok {
			r.Fatalf("no sentence speaks of %s:\n%s", id, w.page)
		}
		text, _, _ = strings.Cut(clock, ". [")
	} else if !strings.Contains(sentence, "the table of clocks") {
		r.Fatalf("%s is in the table, and its sentence does not say so: %s", id, sentence)
	}
	s := said{text: text, none: text == "not due"}
	if s.none {
		return s
	}
	first := text
	if i := strings.Index(text, ", then every "); i >= 0 {
		first, s.every = text[:i], text[i+len(", then "):]
	} else if i := strings.Index(text, ", and then every "); i >= 0 {
		first, s.every = text[:i], text[i+len(", and then "):]
	}
	first, several := strings.CutSuffix(first, ", whichever is earlier")
	clocks := []string{first}
	if several {
		clocks = strings.Split(first, " or ")
	}
	for _, c := range clocks {
		target, due := w.clock(r, c)
		if s.due.IsZero() || !due.IsZero() && due.Before(s.due) {
			s.due = due
		}
		if !several {
			s.target = target
		}
	}
	return s
}

func columns(row string) []string {
	cells := strings.Split(strings.Trim(row, "| "), " | ")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

const lengthForm = `(\d+) (business )?(minute|hour|day|week|month|year)s?`

var (
	withinForm  = regexp.MustCompile(`^(?:promptly, and )?within ` + lengthForm + ` of (detecting it|confirming it)(?: \(we aim for ` + lengthForm + `\))?$`)
	aimForm     = regexp.MustCompile(`^(?:promptly|as soon as possible) after (detecting it|confirming it) \(we aim for ` + lengthForm + `\)$`)
	everyForm   = regexp.MustCompile(`^every ` + `(?:(\d+) )?(minute|hour|day|week)s?$`)
	betweenForm = regexp.MustCompile(`^every (\d+) to (\d+) (minute|hour|day|week)s?$`)
)

// clock reads one clock: the instants it aims for and runs out at.
func (w *reader) clock(r *rapid.T, s string) (target, due time.Time) {
	if m := withinForm.FindStringSubmatch(s); m != nil {
		if m[5] != "" {
			target = w.add(w.instants[m[4]], m[5], m[6], m[7])
		}
		return target, w.add(w.instants[m[4]], m[1], m[2], m[3])
	}
	m := aimForm.FindStringSubmatch(s)
	if m == nil {
		r.Fatalf("a reader does not understand %q", s)
	}
	return w.add(w.instants[m[1]], m[2], m[3], m[4]), time.Time{}
}

// every reads how often, counted from the last time.
func (w *reader) every(r *rapid.T, s string, last time.Time) (target, due time.Time) {
	if m := betweenForm.FindStringSubmatch(s); m != nil {
		return w.add(last, m[1], "", m[3]), w.add(last, m[2], "", m[3])
	}
	m := everyForm.FindStringSubmatch(s)
	if m == nil {
		r.Fatalf("a reader does not understand %q", s)
	}
	if m[1] == "" {
		m[1] = "1"
	}
	return time.Time{}, w.add(last, m[1], "", m[2])
}

var units = map[string]calendar.Unit{"minute": calendar.Minute, "hour": calendar.Hour, "day": calendar.Day, "week": calendar.Week, "month": calendar.Month, "year": calendar.Year}

func (w *reader) add(from time.Time, n, business, unit string) time.Time {
	return calendar.Add(from, calendar.Length{N: whole(n), Unit: units[unit], Business: business != ""}, w.zone, w.open)
}

func whole(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
