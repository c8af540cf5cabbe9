package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/calendar"
)

// ChangeKind says what a change means for those whom the policy promises something.
type ChangeKind string

// The kinds of change.
const (
	Added    ChangeKind = "added"
	Removed  ChangeKind = "removed"
	Stricter ChangeKind = "stricter" // more is promised, or sooner
	Laxer    ChangeKind = "laxer"    // less is promised, or later
	Reworded ChangeKind = "reworded" // what runs is the same
	Changed  ChangeKind = "changed"  // neither more nor less, or nobody can say
)

// Change is one difference between two policies, in words.
type Change struct {
	Kind    ChangeKind `json:"kind"`
	Rule    string     `json:"rule"` // what it is about: "duty tell_merchants", "time", "page"
	Text    string     `json:"text"` // a sentence without its full stop
	Promise []string   `json:"promise,omitempty"`
	Pos     Pos        `json:"pos"` // in the newer policy, or in the older one for what was removed
}

// Diff says in words how b differs from a, in the order of the policy. Two policies that differ in
// their layout or comments only have no changes.
func Diff(a, b *Program) []Change {
	x := &differ{a: a, b: b}
	for _, w := range programWords {
		w.say(x, "policy", a, b)
	}
	return x.out
}

// differ collects changes. rule, promise and pos are of the rule that is being compared.
type differ struct {
	a, b    *Program
	out     []Change
	promise []string
	pos     Pos
}

func (x *differ) add(kind ChangeKind, rule, format string, args ...any) {
	x.out = append(x.out, Change{kind, rule, fmt.Sprintf(format, args...), x.promise, x.pos})
}

// worded is one field of a struct and how a difference in it is said. A test holds these tables to
// the fields that exist.
type worded[T any] struct {
	field string
	say   func(x *differ, rule string, a, b T)
}

// valued is a field that is said by its value: "the title is now X instead of Y".
func valued[T any](field, what string, kind ChangeKind, of func(p *Program, t T) string) worded[T] {
	return worded[T]{field, func(x *differ, rule string, a, b T) {
		old, now := of(x.a, a), of(x.b, b)
		switch subject := x.subject(rule, what); {
		case old == now:
		case old == "":
			x.add(kind, rule, "%s is now %s", subject, now)
		case now == "":
			x.add(kind, rule, "%s is no longer %s", subject, old)
		default:
			x.add(kind, rule, "%s is now %s instead of %s", subject, now, old)
		}
	}}
}

// subject is "the title", or "the name of the party merchants".
func (x *differ) subject(rule, what string) string {
	section, id, ok := strings.Cut(rule, " ")
	if !ok {
		return "the " + what
	}
	return "the " + what + " of the " + section + " " + spaced(id)
}

// quoted puts a text of the policy into a sentence.
func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "“" + oneLine(s) + "”"
}

// several compares declarations by their ids: those that are new, those that are gone, and what
// differs in those that stay. title is what one is called, describe a sentence about one.
func several[T any](field, title string, all func(p *Program) []T, id func(T) string, describe func(p *Program, t T) string, promise func(T) []string, pos func(T) Pos, fields []worded[T]) worded[*Program] {
	return worded[*Program]{field, func(x *differ, _ string, a, b *Program) {
		old, now := all(a), all(b)
		at := func(t T) { x.promise, x.pos = promise(t), pos(t) }
		for _, o := range old {
			if _, kept := find(now, id(o), id); !kept {
				at(o)
				x.add(Removed, title+" "+id(o), "no longer: %s", describe(a, o))
			}
		}
		for _, n := range now {
			at(n)
			o, had := find(old, id(n), id)
			if !had {
				x.add(Added, title+" "+id(n), "new: %s", describe(b, n))
				continue
			}
			for _, w := range fields {
				w.say(x, title+" "+id(n), o, n)
			}
		}
		x.promise, x.pos = nil, Pos{}
	}}
}

// ordered compares the order of what both have.
func ordered[T any](field, what string, all func(p *Program) []T, id func(T) string) worded[*Program] {
	return worded[*Program]{field, func(x *differ, _ string, a, b *Program) {
		order := func(in, other []T) (out []string) {
			for _, t := range in {
				if _, both := find(other, id(t), id); both {
					out = append(out, spaced(id(t)))
				}
			}
			return out
		}
		if old, now := order(all(a), all(b)), order(all(b), all(a)); !slices.Equal(old, now) {
			x.add(Changed, what, "the order of the %s is now %s instead of %s", what, list(now, "and"), list(old, "and"))
		}
	}}
}

// set compares two lists in which the order says nothing: what was added, what was taken out.
func (x *differ) set(rule string, old, now []string, more, less ChangeKind, gained, lost string) {
	var in, out []string
	for _, n := range now {
		if !slices.Contains(old, n) {
			in = append(in, n)
		}
	}
	for _, o := range old {
		if !slices.Contains(now, o) {
			out = append(out, o)
		}
	}
	if len(in) > 0 {
		x.add(more, rule, gained, list(in, "and"))
	}
	if len(out) > 0 {
		x.add(less, rule, lost, list(out, "and"))
	}
}

// setOf is a field that holds such a list.
func setOf[T any](field string, of func(T) []string, more, less ChangeKind, gained, lost string) worded[T] {
	return worded[T]{field, func(x *differ, rule string, a, b T) {
		name := strings.ReplaceAll(rule, "_", " ")
		x.set(rule, of(a), of(b), more, less, "the "+name+" "+gained, "the "+name+" "+lost)
	}}
}

func promises[T any](of func(T) []string) worded[T] {
	return setOf("Promise", of, Changed, Changed, "now carries the promise %s", "no longer carries the promise %s")
}

// condition compares two conditions by how they were written. gained and lost say what it means
// that there is one.
func (x *differ) condition(rule string, a, b *Condition, gained, lost ChangeKind, word, subject string) {
	switch {
	case a == nil && b == nil, a != nil && b != nil && a.Source == b.Source && a.Say == b.Say:
	case a == nil:
		x.add(gained, rule, "%s now %s %s", subject, word, b.Say)
	case b == nil:
		x.add(lost, rule, "%s no longer only %s %s", subject, word, a.Say)
	case a.Say == b.Say:
		x.add(Changed, rule, "%s now %s %s, written as %s instead of %s", subject, word, b.Say, oneLine(b.Source), oneLine(a.Source))
	case a.Source == b.Source:
		x.add(Reworded, rule, "%s %s %s, which was worded: %s", subject, word, b.Say, a.Say)
	default:
		x.add(Changed, rule, "%s now %s %s instead of %s %s", subject, word, b.Say, word, a.Say)
	}
}

// whenOf is a condition under which something holds: with one, less is promised.
func whenOf[T any](of func(T) *Condition, subject func(x *differ, rule string) string) worded[T] {
	return worded[T]{"When", func(x *differ, rule string, a, b T) {
		x.condition(rule, of(a), of(b), Laxer, Stricter, "if", subject(x, rule))
	}}
}

func ruleHolds(_ *differ, rule string) string {
	return "the " + strings.ReplaceAll(rule, "_", " ") + " holds"
}

// compareSpans says whether the length of b is stricter than that of a.
func compareSpans(a, b calendar.Span) ChangeKind {
	if kind := compareLengths(a.Limit, b.Limit); kind != Reworded {
		return kind
	}
	return compareLengths(a.Target, b.Target)
}

// compareLengths: a limit where there was none is stricter. Reworded means that they are equal.
func compareLengths(a, b *calendar.Length) ChangeKind {
	switch {
	case a == nil && b == nil, a != nil && b != nil && *a == *b:
		return Reworded
	case a == nil:
		return Stricter
	case b == nil:
		return Laxer
	case a.Business != b.Business:
		return Changed
	}
	switch cmp.Compare(minutes(*b), minutes(*a)) {
	case -1:
		return Stricter
	case 1:
		return Laxer
	}
	return Changed // 24h and 1d differ on two days of the year
}

// minutes orders lengths of different units; no instant is computed from it.
func minutes(l calendar.Length) int {
	day := 24 * 60
	if l.Business {
		day = 8 * 60
	}
	return l.N * map[calendar.Unit]int{calendar.Minute: 1, calendar.Hour: 60, calendar.Day: day, calendar.Week: 7 * day, calendar.Month: 30 * day, calendar.Year: 365 * day}[l.Unit]
}

// programWords are the fields of a Program. Hash, Source and the compiled page follow from the rest.
var programWords = []worded[*Program]{
	valued("ID", "id", Changed, func(_ *Program, p *Program) string { return p.ID }),
	valued("Title", "title", Reworded, func(_ *Program, p *Program) string { return quoted(p.Title) }),
	valued("Owner", "owner", Changed, func(_ *Program, p *Program) string { return quoted(p.Owner) }),
	valued("Updated", "date of the last change", Reworded, func(_ *Program, p *Program) string { return p.Updated }),
	valued("Zone", "time zone", Changed, func(_ *Program, p *Program) string {
		if p.Zone == nil {
			return ""
		}
		return p.Zone.String()
	}),
	valued("Hours", "business time", Changed, func(_ *Program, p *Program) string { return p.openTimes() }),
	valued("Places", "list of places whose laws may apply", Changed, func(_ *Program, p *Program) string {
		return list(p.Places, "and")
	}),
	{"Promptly", func(x *differ, _ string, a, b *Program) {
		if a.Promptly != b.Promptly {
			x.add(compareLengths(&a.Promptly, &b.Promptly), "time", "where this policy says promptly, we now aim for %s instead of %s", b.Promptly.Words(), a.Promptly.Words())
		}
	}},
	{"Starts", func(x *differ, _ string, a, b *Program) {
		if a.Starts != b.Starts {
			x.add(Changed, "time", "a clock that names no start now counts from %s instead of %s", b.instant(b.Starts, nil).at(), a.instant(a.Starts, nil).at())
		}
	}},
	ordered("Severities", "severities", func(p *Program) []Level { return p.Severities }, levelID),
	several("Severities", "severity", func(p *Program) []Level { return p.Severities }, levelID, describeLevel, nothing[Level], func(l Level) Pos { return l.Pos }, levelWords),
	scaleOrder,
	several("Scales", "scale", func(p *Program) []Scale { return p.Scales }, func(s Scale) string { return s.ID }, describeScale, nothing[Scale], func(s Scale) Pos { return s.Pos }, scaleWords),
	several("Classes", "class", func(p *Program) []Class { return p.Classes }, func(c Class) string { return c.ID },
		func(_ *Program, c Class) string { return "an incident is also: " + clauseOf(c.Means) }, func(c Class) []string { return c.Promise }, func(c Class) Pos { return c.Pos }, classWords),
	several("Events", "event", func(p *Program) []EventDecl { return p.Events }, func(e EventDecl) string { return e.ID },
		func(_ *Program, e EventDecl) string { return "we record when " + clauseOf(e.Means) }, func(e EventDecl) []string { return e.Promise }, func(e EventDecl) Pos { return e.Pos }, eventWords),
	several("Facts", "fact", func(p *Program) []FactDecl { return p.Facts }, func(f FactDecl) string { return f.ID },
		func(_ *Program, f FactDecl) string { return "the " + spaced(f.By) + " answers: " + f.Ask }, nothing[FactDecl], func(f FactDecl) Pos { return f.Pos }, factWords),
	several("Milestones", "milestone", func(p *Program) []MilestoneDecl { return p.Milestones }, func(m MilestoneDecl) string { return m.ID },
		func(_ *Program, m MilestoneDecl) string {
			return "an incident is " + spaced(m.ID) + ": " + clauseOf(m.Means)
		}, nothing[MilestoneDecl], func(m MilestoneDecl) Pos { return m.Pos }, milestoneWords),
	several("Parties", "party", func(p *Program) []Party { return p.Parties }, func(q Party) string { return q.ID },
		func(p *Program, q Party) string { return q.Name + " can be told " + p.via(Duty{To: q.ID}) }, nothing[Party], func(q Party) Pos { return q.Pos }, partyWords),
	several("Roles", "role", func(p *Program) []Role { return p.Roles }, func(r Role) string { return r.ID },
		func(_ *Program, r Role) string { return "the " + spaced(r.ID) + " " + clauseOf(r.Does) }, nothing[Role], func(r Role) Pos { return r.Pos }, roleWords),
	several("Duties", "duty", (*Program).worded, func(d Duty) string { return d.ID },
		func(_ *Program, d Duty) string { return strings.TrimSuffix(d.Say, ".") }, func(d Duty) []string { return d.Promise }, func(d Duty) Pos { return d.Pos }, dutyWords),
	several("Gates", "gate", func(p *Program) []Gate { return p.Gates }, func(g Gate) string { return g.ID },
		func(p *Program, g Gate) string { return p.refusal(g) }, func(g Gate) []string { return g.Promise }, func(g Gate) Pos { return g.Pos }, gateWords),
	several("Actions", "action", func(p *Program) []ActionDecl { return p.Actions }, func(a ActionDecl) string { return a.ID },
		func(_ *Program, a ActionDecl) string { return "we can " + clauseOf(a.Means) }, func(a ActionDecl) []string { return a.Promise }, func(a ActionDecl) Pos { return a.Pos }, actionWords),
	several("Checks", "check", func(p *Program) []CheckDecl { return p.Checks }, checkID, describeCheck, nothing[CheckDecl], func(c CheckDecl) Pos { return c.Pos }, checkWords),
	several("Proofs", "proof", func(p *Program) []CheckDecl { return p.Proofs }, checkID, describeCheck, nothing[CheckDecl], func(c CheckDecl) Pos { return c.Pos }, checkWords),
	ordered("Phases", "phases", func(p *Program) []Phase { return p.Phases }, func(ph Phase) string { return ph.ID }),
	several("Phases", "phase", func(p *Program) []Phase { return p.Phases }, func(ph Phase) string { return ph.ID },
		func(_ *Program, ph Phase) string { return "a phase of the procedure: " + clauseOf(ph.Title) }, func(ph Phase) []string { return ph.Promise }, func(ph Phase) Pos { return ph.Pos }, phaseWords),
	{"Review", func(x *differ, _ string, a, b *Program) {
		x.set("review", spacedAll(a.Review), spacedAll(b.Review), Stricter, Laxer, "a review now also has %s", "a review no longer has %s")
	}},
	{"Contact", func(x *differ, _ string, a, b *Program) {
		for _, w := range contactWords {
			w.say(x, "contact", a.Contact, b.Contact)
		}
	}},
	{"Page", sentences},
	{"Open", func(x *differ, _ string, a, b *Program) {
		open := func(p *Program) (out []string) {
			for _, o := range p.Open {
				if !slices.Contains(out, o.Text) {
					out = append(out, o.Text)
				}
			}
			return out
		}
		x.set("placeholder", open(a), open(b), Changed, Changed, "still to be filled in: %s", "filled in: %s")
	}},
}

// openTimes are the opening hours with each holiday, to be compared.
func (p *Program) openTimes() string {
	s := p.businessHours()
	if days := sortedKeys(p.Hours.Holidays); s != "" && len(days) > 0 {
		s += ": " + list(days, "and")
	}
	return s
}

// sentences are what only the page says: those that a changed rule brings are said of the rule.
func sentences(x *differ, _ string, a, b *Program) {
	changed := map[string]bool{}
	for _, c := range x.out {
		_, id, _ := strings.Cut(c.Rule, " ")
		changed[id] = true
	}
	said := func(p *Program) (out []string) {
		for _, l := range p.Page {
			text := strings.TrimSpace(l.Text[len(marker(l.Text)):])
			if text == "" || l.Table != nil || slices.ContainsFunc(l.Tags, func(t Tag) bool { return changed[t.Rule] }) {
				continue
			}
			var ids []string
			for _, t := range l.Tags {
				if t.Rule == "" {
					ids = append(ids, t.Promise...)
				}
			}
			if text = quoted(text); len(ids) > 0 {
				text += " (" + strings.Join(ids, ", ") + ")"
			}
			out = append(out, text)
		}
		return out
	}
	old, now := said(a), said(b)
	for _, s := range old {
		if !slices.Contains(now, s) {
			x.add(Reworded, "page", "the page no longer says: %s", s)
		}
	}
	for _, s := range now {
		if !slices.Contains(old, s) {
			x.add(Reworded, "page", "the page now says: %s", s)
		}
	}
}
