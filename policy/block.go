package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// blocks are the references that stand for several lines, alone on a line of the page.
var blocks = []string{"classes", "severities", "scales", "events", "facts", "tables", "roles", "phases", "checks", "laws", "terms"}

// nobody marks a role that nobody is named for.
const nobody = "[nobody is named yet]"

// item adds one item of a list.
func (w *pageWriter) item(at prose, text, rule string, promise []string) {
	line := PageLine{Text: "- " + text, Pos: w.pos(at.text.pos)}
	if len(promise) > 0 {
		tag(&line, rule, promise)
	}
	w.out = append(w.out, line)
}

// block adds the lines a whole section stands for; ok is false when ref is no block.
func (w *pageWriter) block(ref string, at prose) bool {
	p := w.p
	section, id, one := strings.Cut(ref, ".")
	switch {
	case !one:
	case section == "scales" && id == "severity":
		section, one = "severities", false
	case section == "scales":
		s, ok := find(p.Scales, id, func(s Scale) string { return s.ID })
		if ok {
			w.scale(s, at)
		}
		return ok
	case section == "tables":
		return w.tables(id, at)
	default:
		return false
	}
	switch section {
	case "classes":
		for _, k := range p.Classes {
			w.shown["class "+k.ID] = true
			w.item(at, k.Means, k.ID, k.Promise)
		}
	case "severities":
		w.levels(p.Severities, "An incident is at least %s when %s.", at)
	case "scales":
		for _, s := range p.Scales {
			w.scale(s, at)
		}
	case "events":
		for _, e := range p.Events {
			w.shown["event "+e.ID] = true
			w.item(at, e.Means, e.ID, e.Promise)
		}
	case "facts":
		w.facts(at)
	case "tables":
		return w.tables("", at)
	case "roles":
		w.roles(at)
	case "checks":
		for _, k := range p.Checks {
			w.item(at, k.Means, "", nil)
		}
	case "phases":
		for i, ph := range p.Phases {
			w.phase(i, ph, at)
		}
	case "laws":
		w.out = append(w.out, PageLine{Block: "laws", Pos: w.pos(at.text.pos)})
	case "terms":
		w.terms(at)
	default:
		return false
	}
	return true
}

func (w *pageWriter) levels(levels []Level, when string, at prose) {
	for _, l := range levels {
		says := "**" + upperFirst(spaced(l.ID)) + "**: " + l.Means
		if l.When != nil {
			says = strings.TrimSuffix(says, ".") + ". " + fmt.Sprintf(when, spaced(l.ID), l.When.Say)
		}
		w.item(at, says, "", nil)
	}
}

func (w *pageWriter) scale(s Scale, at prose) {
	if s.Means != "" {
		w.out = append(w.out, PageLine{Text: strings.TrimSuffix(s.Means, ".") + ":", Pos: w.pos(at.text.pos)})
	}
	w.levels(s.Levels, "It is at least %s when %s.", at)
}

// roles says who does what, who stands in, and which role nobody is named for. It names no person:
// the page is public.
func (w *pageWriter) roles(at prose) {
	for _, r := range w.p.Roles {
		says := "**" + upperFirst(spaced(r.ID)) + "**: " + r.Does
		if len(r.Backup) > 0 {
			says += "; where the " + spaced(r.ID) + " cannot be reached, " + theRoles(r.Backup)
		}
		if len(r.Holders) == 0 {
			says += " " + nobody
		}
		w.item(at, says, "", nil)
	}
}

// facts says what is decided by whom until when, and what holds until then.
func (w *pageWriter) facts(at prose) {
	for _, f := range w.p.Facts {
		says := "The " + spaced(f.By) + " answers: " + f.Ask
		if f.Type == "choice" && len(f.Values) > 0 {
			says += " The answer is " + list(spacedAll(f.Values), "or") + "."
		}
		due := f.Due
		rule, promise := "", []string(nil)
		for _, d := range w.p.Duties {
			if d.Do == Answer && slices.Contains(d.Of, f.ID) {
				due, rule, promise = d.Due, d.ID, d.Promise
				w.shown["duty "+d.ID] = true
			}
		}
		if len(due) > 0 {
			says += " This is due " + w.p.earliest(due, nil) + "."
		}
		switch {
		case f.Presume == nil:
			says += " Until then the clocks that depend on it run."
		case *f.Presume:
			says += " Until then we presume that " + f.Say + "."
		default:
			says += " Until then we presume the contrary, and the clocks that depend on it run."
		}
		line := PageLine{Text: "- " + says, Pos: w.pos(at.text.pos)}
		if rule != "" {
			tag(&line, rule, promise)
		}
		w.out = append(w.out, line)
	}
}

// terms says what the page's own words mean: promptly, business time, the policy's milestones.
func (w *pageWriter) terms(at prose) {
	p := w.p
	for _, d := range p.Duties {
		if slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Prompt }) {
			w.item(at, "**Promptly** sets no limit. It means that we aim for "+p.Promptly.Words()+", and that the time we took is recorded.", "", nil)
			break
		}
	}
	if slices.ContainsFunc(p.Duties, settledByDismissal) {
		w.item(at, "**Reopened**: an incident that was dismissed and is taken up again has to be decided again; that clock counts from the reopening.", "", nil)
	}
	if h := p.businessHours(); h != "" {
		w.item(at, "**Business time** is "+h+". A business day ends when we close.", "", nil)
	}
	if p.Zone != nil && p.Zone != time.UTC {
		w.item(at, "**Dates** are those of the time zone "+p.Zone.String()+" where nothing else is said.", "", nil)
	}
	for _, m := range p.Milestones {
		says := "**" + upperFirst(spaced(m.ID)) + "**: " + m.Means
		if len(m.Implies) > 0 {
			says = strings.TrimSuffix(says, ".") + ". What is " + spaced(m.ID) + " is also " + list(spacedAll(m.Implies), "and") + "."
		}
		w.item(at, says, "", nil)
	}
}

// settledByDismissal is of a decision that a dismissal may be, and that has a clock: reopening takes it back.
func settledByDismissal(d Duty) bool {
	return d.Do == Decide && len(d.Due) > 0 && (len(d.Of) == 0 || slices.Contains(d.Of, "dismissed"))
}

// businessHours writes opening hours: "Monday to Friday from 09:00 to 17:30 (Europe/Berlin)".
func (p *Program) businessHours() string {
	if p.Hours.Never() {
		return ""
	}
	hours := func(day int) string {
		var parts []string
		for _, i := range p.Hours.Week[day] {
			parts = append(parts, fmt.Sprintf("from %02d:%02d to %02d:%02d", i.Open/60, i.Open%60, i.Close/60, i.Close%60))
		}
		return list(parts, "and")
	}
	var parts []string
	for first := 1; first <= 7; {
		at := hours(first % 7)
		last := first
		for last < 7 && hours((last+1)%7) == at {
			last++
		}
		if at != "" {
			days := time.Weekday(first % 7).String()
			if last > first {
				days += " to " + time.Weekday(last%7).String()
			}
			parts = append(parts, days+" "+at)
		}
		first = last + 1
	}
	s := list(parts, "and")
	if p.Zone != nil {
		s += " (" + p.Zone.String() + ")"
	}
	if days := p.holidays(); days != "" {
		s += ", except on " + days
	}
	return s
}

// holidays says on which days business time stands still: the same that the clocks leave out.
func (p *Program) holidays() string {
	var days []string
	if len(p.Hours.Regions) > 0 {
		days = append(days, "the public holidays of "+list(placeNames(p.Hours.Regions), "and"))
	}
	for _, day := range sortedKeys(p.Hours.Holidays) {
		if at, err := time.Parse(time.DateOnly, day); err == nil {
			days = append(days, at.Format("2 January 2006"))
		}
	}
	return list(days, "and")
}

// phase adds one step of the procedure.
func (w *pageWriter) phase(i int, ph Phase, at prose) {
	w.shown["phase "+ph.ID] = true
	w.out = append(w.out, PageLine{Text: "### " + itoa(i+1) + ". " + ph.Title, Pos: ph.Pos})
	first := len(w.out)
	for _, p := range w.phaseSays[ph.ID] {
		w.line(p)
	}
	if len(ph.Tasks) > 0 {
		w.line(prose{text: text{s: "Tasks: " + list(spacedAll(ph.Tasks), "and") + ".", pos: at.text.pos}})
	}
	if len(ph.Promise) == 0 {
		return
	}
	if len(w.out) == first {
		first-- // a phase that says nothing promises by its title
	}
	tag(&w.out[first], ph.ID, ph.Promise)
}

// tables adds the tables of clocks: a row for each duty, a column for each level. by is "" for all.
func (w *pageWriter) tables(by string, at prose) bool {
	found := false
	var done []string
	for _, t := range w.p.Tables {
		if by != "" && t.By != by || slices.Contains(done, t.By) {
			continue
		}
		found = true
		done = append(done, t.By)
		w.table(t.By, at)
	}
	return found
}

func (w *pageWriter) table(by string, at prose) {
	p := w.p
	levels := p.levelsOf(by)
	out := &PageTable{Head: []string{"What we do"}}
	for _, l := range levels {
		out.Head = append(out.Head, upperFirst(p.levelName(by, l)))
	}
	line := PageLine{Text: upperFirst("clocks by " + p.axisName(by)), Table: out, Pos: w.pos(at.text.pos)}
	for _, d := range p.Duties {
		if !p.inTable(by, d) {
			continue
		}
		w.shown["duty "+d.ID] = true
		row := PageRow{Name: upperFirst(p.infinitive(d))}
		var l PageLine
		tag(&l, d.ID, d.Promise)
		row.Tags = l.Tags
		tag(&line, d.ID, d.Promise)
		for _, level := range levels {
			row.Cells = append(row.Cells, p.cellSays(by, level, d))
		}
		out.Rows = append(out.Rows, row)
	}
	w.out = append(w.out, line)
}

// inTable reports whether a table fills a clock or the cadence of a duty.
func (p *Program) inTable(by string, d Duty) bool {
	if d.Every != nil && slices.ContainsFunc(d.Every.Cells, func(c CadenceCell) bool { return c.Cell.By == by }) {
		return true
	}
	return slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Cell.By == by && k.Cell.Level != "" })
}

// cellSays is what a duty's clock is at one level.
func (p *Program) cellSays(by, level string, d Duty) string {
	own, cells := p.parted(d)
	var here []Clock
	for _, k := range cells {
		if k.Cell.By == by && k.Cell.Level == level {
			here = append(here, k)
		}
	}
	if len(here) == 0 {
		here = own
	}
	says := ""
	if len(here) > 0 {
		says = p.earliest(here, &d)
	}
	if slices.ContainsFunc(here, func(k Clock) bool { return k.None }) {
		return "not due"
	}
	if d.Every == nil {
		return says
	}
	every := d.Every.words()
	for _, c := range d.Every.Cells {
		if c.Cell.By == by && c.Cell.Level == level {
			every = c.words()
		}
	}
	if says == "" {
		return every
	}
	return says + ", then " + every
}

// levelsOf lists the levels of what a table goes by, worst first.
func (p *Program) levelsOf(by string) []string {
	var out []string
	fact, isFact := find(p.Facts, strings.TrimPrefix(by, "fact."), func(f FactDecl) string { return f.ID })
	switch {
	case by == "severity":
		for _, l := range p.Severities {
			out = append(out, l.ID)
		}
	case by == "class":
		for _, k := range p.Classes {
			out = append(out, k.ID)
		}
	case isFact:
		out = slices.Clone(fact.Values)
	default:
		for _, s := range p.Scales {
			if s.ID == strings.TrimPrefix(by, "scale.") {
				for _, l := range s.Levels {
					out = append(out, l.ID)
				}
			}
		}
	}
	for _, t := range p.Tables { // what the policy writes and no declaration lists, such as true and false
		for _, r := range t.Rows {
			if t.By == by && !slices.Contains(out, r.Level) {
				out = append(out, r.Level)
			}
		}
	}
	return out
}

func (p *Program) axisName(by string) string {
	if by == "class" {
		return "kind of incident"
	}
	f, ok := find(p.Facts, strings.TrimPrefix(by, "fact."), func(f FactDecl) string { return f.ID })
	switch {
	case by == "severity" || !ok:
		return spaced(strings.TrimPrefix(by, "scale."))
	case f.Type == "bool" || f.Type == "":
		return "whether " + f.Say
	}
	return f.Say
}

func (p *Program) levelName(by, level string) string {
	switch level {
	case "true", "yes":
		return "yes"
	case "false", "no":
		return "no"
	}
	return spaced(level)
}
