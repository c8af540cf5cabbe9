package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/calendar"
)

// aim writes the target of a span behind its limit: " (we aim for 4 hours)".
func aim(s calendar.Span) string {
	if s.Target == nil {
		return ""
	}
	return " (we aim for " + s.Target.Words() + ")"
}

// phrase writes a clock for a page: "within 72 hours of confirming it". d is the duty it belongs to.
func (p *Program) phrase(k Clock, d *Duty) string {
	if k.None {
		return "not at all"
	}
	m := p.moment(k.Anchor, d)
	target, limit := k.Span.Target, k.Span.Limit
	switch k.Kind {
	case "open":
		if len(k.Anchor.Names) == 0 || slices.Equal(k.Anchor.Names, []string{p.Starts}) {
			return "as soon as we can, without a fixed limit"
		}
		return "as soon as we can after " + m.at() + ", without a fixed limit"
	case "law":
		return "within the time that the applicable law sets" + p.otherwisePromptly(k, "where it sets none")
	case "contract":
		return "within the time that the recipient's contract sets" + p.otherwisePromptly(k, "where it sets none")
	case "by":
		if k.Anchor.End != "" {
			return "by " + m.at()
		}
		return "no later than " + m.at()
	case "before":
		if limit == nil {
			return "before " + m.at() + aim(k.Span)
		}
		return "at least " + limit.Words() + " before " + m.at() + aim(k.Span)
	}
	switch {
	case k.Prompt && limit != nil:
		return fmt.Sprintf("promptly, and within %s %s%s", limit.Words(), m.of(), aim(k.Span))
	case k.Prompt:
		return "promptly after " + m.at() + aim(k.Span)
	case target != nil && limit == nil:
		return "as soon as possible after " + m.at() + aim(k.Span)
	case limit == nil:
		return "as soon as we can"
	case limit.N == 0:
		return "at once after " + m.at()
	}
	return fmt.Sprintf("within %s %s%s", limit.Words(), m.of(), aim(k.Span))
}

// otherwisePromptly says what stands behind an imported clock that nobody knows.
func (p *Program) otherwisePromptly(k Clock, where string) string {
	if k.Beside {
		return ""
	}
	m := p.moment(k.Anchor, nil)
	after := ""
	if m.at() != "" {
		after = " after " + m.at()
	}
	switch target, limit := k.Span.Target, k.Span.Limit; {
	case limit != nil && limit.N > 0:
		if after == "" {
			return ", and within " + limit.Words() + " " + where + aim(k.Span)
		}
		return ", and within " + limit.Words() + " " + m.of() + " " + where + aim(k.Span)
	case target != nil:
		return ", and promptly" + after + " " + where + aim(k.Span)
	}
	return ", and promptly" + after + " " + where
}

// floor writes the instants before which a duty may not be done: the last of them counts.
func (p *Program) floor(d Duty) string {
	parts := make([]string, len(d.Floor))
	for i, k := range d.Floor {
		m := p.moment(k.Anchor, &d)
		l := k.Span.Limit
		if l == nil {
			l = k.Span.Target
		}
		switch {
		case k.Kind == "before" && l != nil:
			parts[i] = l.Words() + " before " + m.at()
		case k.Kind == "law":
			parts[i] = "the applicable law allows it"
		case k.Kind == "contract":
			parts[i] = "the recipient's contract allows it"
		case k.Kind == "by" || l == nil || l.N == 0:
			parts[i] = m.at()
		default:
			parts[i] = l.Words() + " after " + m.at()
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "not before " + list(parts, "or") + whicheverIs("late", len(parts))
}

// dues writes all clocks of a duty: the earliest runs.
func (p *Program) dues(d Duty) string {
	own, cells := p.parted(d)
	switch {
	case len(d.Due) == 0 && d.Every != nil:
		if s := p.cadence(d); strings.HasPrefix(s, "every ") && d.Every.Span.Target == nil {
			return "at least " + s
		}
		return p.cadence(d)
	case len(cells) > 0 && p.tabulated:
		s := "within the time that the table of clocks sets"
		if len(own) > 0 && !p.everyLevel(cells) {
			s += ", and otherwise " + p.earliest(own, &d)
		}
		return s
	case len(cells) > 0:
		return p.tabled(d)
	}
	return p.earliest(d.Due, &d)
}

func (p *Program) earliest(clocks []Clock, d *Duty) string {
	parts := make([]string, len(clocks))
	for i, k := range clocks {
		parts[i] = p.phrase(k, d)
	}
	return list(parts, "or") + whicheverIs("earli", len(parts))
}

// whicheverIs says of several instants which counts: the earlier of two, the earliest of more.
func whicheverIs(stem string, n int) string {
	switch {
	case n < 2:
		return ""
	case stem == "late" && n == 2:
		return ", whichever is later"
	case stem == "late":
		return ", whichever is latest"
	case n == 2:
		return ", whichever is " + stem + "er"
	}
	return ", whichever is " + stem + "est"
}

// parted divides the clocks of a duty into its own and those that cells of a table give it.
func (p *Program) parted(d Duty) (own, cells []Clock) {
	for _, k := range d.Due {
		if k.Cell.Level != "" || k.When != nil && !strings.HasPrefix(k.When.Source, "!(") {
			cells = append(cells, k)
		} else {
			own = append(own, k)
		}
	}
	return own, cells
}

// tabled writes the clocks of a duty that a table fills: "within 1 hour of detecting it where the
// severity is critical, not at all where the severity is low, and otherwise within …".
func (p *Program) tabled(d Duty) string {
	own, cells := p.parted(d)
	var says, where []string
	for _, same := range byLevel(cells) {
		says, where = append(says, p.earliest(same, &d)), append(where, p.at(same[0]))
	}
	otherwise := ""
	if len(own) > 0 && !p.everyLevel(cells) {
		otherwise = p.earliest(own, &d)
	}
	return byCase(says, where, otherwise)
}

// everyLevel reports whether the cells of a duty name each level there is, so that nothing is left for
// a clock of its own.
func (p *Program) everyLevel(cells []Clock) bool {
	if len(cells) == 0 || cells[0].Cell.Level == "" {
		return false
	}
	by := cells[0].Cell.By
	for _, level := range p.levelsOf(by) {
		if !slices.ContainsFunc(cells, func(k Clock) bool { return k.Cell.By == by && k.Cell.Level == level }) {
			return false
		}
	}
	return by == "severity" || slices.ContainsFunc(p.Scales, func(s Scale) bool { return s.ID == by })
}

// byCase writes what holds in which case: "A where X, B where Y, and otherwise C".
func byCase(says, where []string, otherwise string) string {
	parts := make([]string, 0, len(says)+1)
	for i := range says {
		if slices.Contains(says[:i], says[i]) {
			continue
		}
		at := []string{where[i]}
		for j := i + 1; j < len(says); j++ {
			switch is := strings.LastIndex(where[i], " is "); {
			case says[j] != says[i]:
			case is > 0 && strings.HasPrefix(where[j], where[i][:is+len(" is ")]):
				at = append(at, where[j][is+len(" is "):]) // the severity is high or standard
			default:
				at = append(at, where[j])
			}
		}
		parts = append(parts, says[i]+" where "+list(at, "or"))
	}
	if otherwise != "" {
		parts = append(parts, "otherwise "+otherwise)
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + ", and " + parts[len(parts)-1]
}

// byLevel groups the clocks of one level.
func byLevel(cells []Clock) [][]Clock {
	var out [][]Clock
	for _, k := range cells {
		i := slices.IndexFunc(out, func(o []Clock) bool {
			return o[0].Cell.By == k.Cell.By && o[0].Cell.Level == k.Cell.Level && (k.Cell.Level != "" || o[0].When.Source == k.When.Source)
		})
		if i < 0 {
			out = append(out, []Clock{k})
		} else {
			out[i] = append(out[i], k)
		}
	}
	return out
}

// at names the level of a cell: "the severity is critical".
func (p *Program) at(k Clock) string {
	if k.Cell.Level == "" {
		return k.When.Say
	}
	return p.levelIs(k.Cell.By, k.Cell.Level)
}

// levelIs says that an axis has a level: "the severity is critical", "personal data is involved".
func (p *Program) levelIs(by, level string) string {
	f, isFact := find(p.Facts, strings.TrimPrefix(by, "fact."), func(f FactDecl) string { return f.ID })
	switch {
	case by == "class":
		return "the class of the incident is " + spaced(level)
	case by == "severity" || !isFact:
		return "the " + spaced(strings.TrimPrefix(by, "scale.")) + " is " + spaced(level)
	}
	say := f.Say
	switch level {
	case "true", "yes":
		return say
	case "false", "no":
		return "we have ruled out that " + say
	}
	return say + " is " + spaced(level)
}

// cadence writes how often a duty recurs: "every 2 to 4 hours", "at least once in each calendar
// year".
func (p *Program) cadence(d Duty) string {
	e := d.Every
	base := e.words()
	if len(e.Cells) == 0 {
		return base
	}
	cells := make([]Clock, len(e.Cells))
	for i, c := range e.Cells {
		cells[i] = Clock{Cell: c.Cell}
	}
	if p.everyLevel(cells) {
		base = ""
	}
	if p.tabulated {
		if base == "" {
			return "as often as the table of clocks says"
		}
		return "as often as the table of clocks says, and otherwise " + base
	}
	var says, where []string
	for _, c := range e.Cells {
		says, where = append(says, c.words()), append(where, p.cellWords(c))
	}
	return byCase(says, where, base)
}

func (p *Program) cellWords(c CadenceCell) string {
	if c.Cell.Level != "" {
		return p.levelIs(c.Cell.By, c.Cell.Level)
	}
	if c.When != nil {
		return c.When.Say
	}
	return "always"
}

func (c CadenceCell) words() string {
	if c.None {
		return "not repeated"
	}
	return everyWords(c.Span)
}

func (e *Cadence) words() string {
	if e.Period != "" {
		return "at least once in each calendar " + e.Period
	}
	return everyWords(e.Span)
}

// everyWords writes "every year" or "every 2 to 4 hours".
func everyWords(s calendar.Span) string {
	one := func(l calendar.Length) string {
		if l.N == 1 {
			return strings.TrimPrefix(l.Words(), "1 ")
		}
		return l.Words()
	}
	switch {
	case s.Target != nil && s.Limit != nil:
		if s.Target.Unit == s.Limit.Unit && s.Target.Business == s.Limit.Business {
			return fmt.Sprintf("every %d to %s", s.Target.N, s.Limit.Words())
		}
		return "every " + s.Target.Words() + " to " + s.Limit.Words()
	case s.Target != nil:
		return "about every " + one(*s.Target)
	case s.Limit != nil:
		return "every " + one(*s.Limit)
	}
	return "regularly"
}
