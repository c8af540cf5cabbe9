package policy

import (
	"reflect"
	"slices"
	"strings"
)

// now begins a sentence about what a duty has become: "affected merchants are now told", "we now
// contain the incident".
func (p *Program) now(d Duty) string {
	if d.Do != Notify {
		return "we now " + p.infinitive(d)
	}
	q := p.party(d.To)
	if q == nil {
		return "we now " + p.infinitive(d)
	}
	are := " is now told"
	if q.Affected || q.All || strings.HasSuffix(q.Name, "s") && !q.Broadcast {
		are = " are now told"
	}
	if strings.HasSuffix(d.To, ".affected") {
		return "affected " + q.Name + are
	}
	return q.Name + are
}

// worded lists the duties that the page has words for. A question that does not say when it is due
// is asked promptly, and no sentence says so.
func (p *Program) worded() []Duty {
	return slices.DeleteFunc(slices.Clone(p.Duties), func(d Duty) bool {
		return d.Asked && slices.ContainsFunc(p.Facts, func(f FactDecl) bool { return "ask_"+f.ID == d.ID && len(f.Due) == 0 })
	})
}

// same reports whether two clocks run alike, whatever they are written as and wherever.
func (k Clock) same(o Clock) bool {
	return k.alike(o) && reflect.DeepEqual(k.Span, o.Span) && k.Prompt == o.Prompt && k.None == o.None
}

// alike reports whether two clocks differ in their length only.
func (k Clock) alike(o Clock) bool {
	source := func(c *Condition) string {
		if c == nil {
			return ""
		}
		return c.Source
	}
	return k.Kind == o.Kind && slices.Equal(k.Anchor.Names, o.Anchor.Names) && k.Anchor.All == o.Anchor.All && k.Anchor.End == o.Anchor.End &&
		source(k.When) == source(o.When) && k.Cell.By == o.Cell.By && k.Cell.Level == o.Cell.Level && k.From == o.From && k.Beside == o.Beside
}

// clocks compares two lists of limits. subject begins the sentence: "affected merchants are now told".
func (x *differ) clocks(rule, subject string, a, b []Clock, da, db Duty) {
	if slices.EqualFunc(a, b, Clock.same) {
		return
	}
	if len(a) == len(b) && slices.EqualFunc(a, b, Clock.alike) {
		for i := range a {
			if !a[i].same(b[i]) {
				x.lengths(rule, subject, a[i], b[i], db)
			}
		}
		return
	}
	kind := Changed
	within := func(some, all []Clock) bool {
		return !slices.ContainsFunc(some, func(k Clock) bool { return !slices.ContainsFunc(all, k.same) })
	}
	plain := !slices.ContainsFunc(slices.Concat(a, b), func(k Clock) bool { return k.When != nil })
	switch {
	case plain && len(a) > 0 && len(b) > len(a) && within(a, b):
		kind = Stricter // of several clocks the earliest runs
	case plain && len(b) > 0 && len(a) > len(b) && within(b, a):
		kind = Laxer
	}
	old, now := x.a.wholly(a, &da), x.b.wholly(b, &db)
	switch {
	case old == now:
		x.add(Changed, rule, "%s %s, written as %s instead of %s", subject, now, clockTexts(b), clockTexts(a))
	case len(a) == 0:
		x.add(Changed, rule, "%s %s", subject, now)
	case len(b) == 0:
		x.add(Changed, rule, "%s without a clock of its own instead of %s", subject, old)
	default:
		x.add(kind, rule, "%s %s instead of %s", subject, now, old)
	}
}

// wholly writes clocks with the levels they hold at.
func (p *Program) wholly(clocks []Clock, d *Duty) string {
	with := *d
	with.Due = clocks
	if len(clocks) == 0 {
		return ""
	}
	return p.dues(with)
}

func clockTexts(clocks []Clock) string {
	out := make([]string, len(clocks))
	for i, k := range clocks {
		out[i] = oneLine(k.Text)
	}
	return list(out, "or")
}

// lengths says how the length of one clock has changed: "within 48 hours of confirming it instead
// of 72 hours".
func (x *differ) lengths(rule, subject string, a, b Clock, d Duty) {
	kind := compareSpans(a.Span, b.Span)
	switch {
	case a.None != b.None && b.None:
		kind = Laxer
	case a.None != b.None:
		kind = Stricter
	case kind == Reworded:
		kind = Changed
	}
	now, old := x.b.phrase(b, &d), x.a.phrase(a, &d)
	sameTarget := reflect.DeepEqual(a.Span.Target, b.Span.Target)
	if a.Kind == b.Kind && a.Span.Limit != nil && b.Span.Limit != nil && a.Prompt == b.Prompt && sameTarget && !a.None && !b.None {
		old = a.Span.Limit.Words()
	}
	if now == old {
		now += ", written as " + oneLine(b.Text)
		old += ", written as " + oneLine(a.Text)
	}
	where := ""
	if b.When != nil && b.Cell.Level != "" {
		where = " where " + x.b.at(b)
	}
	x.add(kind, rule, "%s %s instead of %s%s", subject, now, old, where)
}

// said is a field of a duty that is told as "we now …, X instead of Y".
func said(field string, kind ChangeKind, of func(p *Program, d Duty) string, none string) worded[Duty] {
	return worded[Duty]{field, func(x *differ, rule string, a, b Duty) {
		old, now := of(x.a, a), of(x.b, b)
		if old == now {
			return
		}
		if old == "" {
			old = none
		}
		if now == "" {
			now = none
		}
		x.add(kind, rule, "%s %s instead of %s", x.b.now(b), now, old)
	}}
}

// member is a field of a duty that is a list of which more is stricter.
func member(field string, of func(d Duty) []string, gained, lost string) worded[Duty] {
	return worded[Duty]{field, func(x *differ, rule string, a, b Duty) {
		name := "the duty to " + x.b.infinitive(b)
		x.set(rule, of(a), of(b), Stricter, Laxer, name+" "+gained, name+" "+lost)
	}}
}

var dutyWords = []worded[Duty]{
	{"Do", func(x *differ, rule string, a, b Duty) {
		if a.Do != b.Do {
			x.add(Changed, rule, "%s, and no longer %s", x.b.now(b), x.a.infinitive(a))
		}
	}},
	{"Who", func(x *differ, rule string, a, b Duty) {
		if a.Who != b.Who {
			x.add(Changed, rule, "it is now the %s instead of the %s whose duty it is to %s", spaced(b.Who), spaced(a.Who), x.b.infinitive(b))
		}
	}},
	said("For", Changed, func(_ *Program, d Duty) string {
		return map[string]string{"incident": "in every incident", "programme": "all the year round", "each": "after an event"}[d.For]
	}, "at other times"),
	said("Each", Changed, func(p *Program, d Duty) string {
		if d.Each == "" {
			return ""
		}
		return "whenever " + p.applies(&Duty{For: "each", Each: d.Each}).when + " (" + spaced(d.Each) + ")"
	}, "without an event"),
	said("Of", Changed, func(_ *Program, d Duty) string {
		if len(d.Of) == 0 {
			return ""
		}
		return "to settle " + list(spacedAll(d.Of), "or")
	}, "to settle nothing"),
	{"Task", func(x *differ, rule string, a, b Duty) {
		if a.Task != b.Task {
			x.add(Reworded, rule, "the task is now to %s instead of to %s", clauseOf(b.Task), clauseOf(a.Task))
		}
	}},
	{"To", func(x *differ, rule string, a, b Duty) {
		if a.To != b.To {
			x.add(Changed, rule, "we now tell %s instead of %s", x.b.recipients(b.To), x.a.recipients(a.To))
		}
	}},
	said("Via", Changed, func(_ *Program, d Duty) string { return channelWords(d.Via, "or") }, "by the channel of the party"),
	{"When", func(x *differ, rule string, a, b Duty) {
		x.condition(rule, a.When, b.When, Laxer, Stricter, "if", "we "+x.b.infinitive(b))
	}},
	{"Unless", func(x *differ, rule string, a, b Duty) {
		x.condition(rule, a.Unless, b.Unless, Laxer, Stricter, "unless", "we "+x.b.infinitive(b))
	}},
	{"Due", func(x *differ, rule string, a, b Duty) { x.clocks(rule, x.b.now(b), a.Due, b.Due, a, b) }},
	{"Floor", func(x *differ, rule string, a, b Duty) {
		if slices.EqualFunc(a.Floor, b.Floor, Clock.same) {
			return
		}
		old, now := x.a.floor(a), x.b.floor(b)
		switch {
		case old == "":
			x.add(Changed, rule, "%s %s", x.b.now(b), now)
		case now == "":
			x.add(Changed, rule, "%s at any time instead of %s", x.b.now(b), old)
		case now == old:
			x.add(Changed, rule, "%s %s, written as %s instead of %s", x.b.now(b), now, clockTexts(b.Floor), clockTexts(a.Floor))
		default:
			x.add(Changed, rule, "%s %s instead of %s", x.b.now(b), now, old)
		}
	}},
	{"Every", func(x *differ, rule string, a, b Duty) { x.every(rule, a, b) }},
	said("Until", Changed, func(p *Program, d Duty) string {
		if d.Until == nil {
			return ""
		}
		return "until " + p.reached(*d.Until, &d)
	}, "without an end"),
	member("Content", func(d Duty) []string { return contentList(d.Content) }, "now also has to say %s", "no longer has to say %s"),
	member("Approve", func(d Duty) []string { return spacedAll(d.Approve) }, "is now approved by the %s", "is no longer approved by the %s"),
	member("Late", func(d Duty) []string { return lateList(d) }, "now calls %s", "no longer calls %s"),
	{"Promise", func(x *differ, rule string, a, b Duty) {
		name := "the duty to " + x.b.infinitive(b)
		x.set(rule, a.Promise, b.Promise, Changed, Changed, name+" now carries the promise %s", name+" no longer carries the promise %s")
	}},
	{"Say", func(x *differ, rule string, a, b Duty) {
		told := slices.ContainsFunc(x.out, func(c Change) bool { return c.Rule == rule })
		if a.Say != b.Say && !told {
			x.add(Reworded, rule, "the page words it as %s instead of %s", quoted(b.Say), quoted(a.Say))
		}
	}},
}

// every compares how often a duty recurs.
func (x *differ) every(rule string, a, b Duty) {
	subject := x.b.now(b)
	switch {
	case a.Every == nil && b.Every == nil:
	case a.Every == nil:
		x.add(Stricter, rule, "%s %s instead of once", subject, x.b.cadence(b))
	case b.Every == nil:
		x.add(Laxer, rule, "%s once instead of %s", subject, x.a.cadence(a))
	default:
		old, now := x.a.cadence(a), x.b.cadence(b)
		kind := compareSpans(a.Every.Span, b.Every.Span)
		same := a.Every.Period == b.Every.Period && kind == Reworded && slices.EqualFunc(a.Every.Cells, b.Every.Cells, CadenceCell.same)
		switch {
		case same:
		case old == now:
			x.add(Changed, rule, "%s %s, written as %s instead of %s", subject, now, oneLine(b.Every.Text), oneLine(a.Every.Text))
		case kind == Reworded || a.Every.Period != b.Every.Period:
			x.add(Changed, rule, "%s %s instead of %s", subject, now, old)
		default:
			x.add(kind, rule, "%s %s instead of %s", subject, now, old)
		}
	}
}

func (c CadenceCell) same(o CadenceCell) bool {
	k, n := Clock{When: c.When, Cell: c.Cell, None: c.None, Span: c.Span}, Clock{When: o.When, Cell: o.Cell, None: o.None, Span: o.Span}
	return k.same(n)
}

func contentList(items []string) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = contentWords([]string{item})
	}
	return out
}

func lateList(d Duty) []string {
	out := make([]string, len(d.Late))
	for i, e := range d.Late {
		one := d
		one.Late = []Escalation{e}
		out[i] = strings.TrimPrefix(one.escalation(), "if it is not done yet, we call ")
	}
	return out
}
