package sigma

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sentence says why in one sentence: the rule's own, with the values of the event in it, or its
// title with the values that it asked for.
func (d *Detection) Sentence(ev *Event) string {
	m := d.Meta()
	if m.Says != "" {
		s := m.Says
		for _, f := range placeholdersOf(m.Says) {
			s = strings.ReplaceAll(s, "{"+f+"}", d.filled(f, ev))
		}
		return s
	}
	if d.Correlation != nil {
		return d.window()
	}
	why := d.Why(ev)
	if len(why) == 0 {
		return m.Label()
	}
	return m.Label() + ": " + strings.Join(why, ", ")
}

func (d *Detection) filled(field string, ev *Event) string {
	if v, ok := d.Group[field]; ok {
		return v
	}
	if field == "count" && d.Correlation != nil {
		return formatNumber(d.Count)
	}
	if field == "timespan" && d.Correlation != nil {
		return span(d.Correlation.Timespan)
	}
	if v := shown(ev.Get(field)); v != "" {
		return v
	}
	return "(no " + field + ")"
}

func formatNumber(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprint(int64(v))
	}
	return fmt.Sprintf("%.2f", v)
}

func span(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d >= u.of && d%u.of == 0 {
			if n := d / u.of; n != 1 {
				return fmt.Sprintf("%d %ss", n, u.name)
			}
			return "1 " + u.name
		}
	}
	return d.String()
}

func (d *Detection) window() string {
	c := d.Correlation
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", c.Label())
	n := formatNumber(d.Count)
	field := strings.Join(c.Values, " and ")
	switch c.Type {
	case "event_count":
		fmt.Fprintf(&b, "%s events", n)
	case "value_count":
		fmt.Fprintf(&b, "%s different values of %s", n, field)
	case "value_sum":
		fmt.Fprintf(&b, "a sum of %s over %s", n, field)
	case "value_avg":
		fmt.Fprintf(&b, "an average of %s over %s", n, field)
	case "value_median":
		fmt.Fprintf(&b, "a median of %s over %s", n, field)
	case "value_percentile":
		if c.percentile < 0 {
			fmt.Fprintf(&b, "a value of %s that makes %s %% of all", field, n)
		} else {
			fmt.Fprintf(&b, "a percentile %s of %s over %s", formatNumber(c.percentile), n, field)
		}
	case "temporal":
		fmt.Fprintf(&b, "%s of %s", n, strings.Join(c.Rules, ", "))
	default:
		fmt.Fprintf(&b, "%s in this order", strings.Join(c.Rules, ", "))
	}
	fmt.Fprintf(&b, " within %s", span(c.Timespan))
	for i, f := range c.GroupBy {
		word := " and"
		if i == 0 {
			word = " for"
		}
		fmt.Fprintf(&b, "%s %s %s", word, f, cutText(d.Group[f]))
	}
	return b.String()
}

// Why lists the fields that the rule asked for and the event has, with their values.
func (d *Detection) Why(ev *Event) (out []string) {
	if d.Rule == nil {
		return nil
	}
	i := slices.IndexFunc(ev.engine.rules, func(l loaded) bool { return l.rule == d.Rule })
	if i < 0 {
		return nil
	}
	var visit func(x *expr)
	visit = func(x *expr) {
		switch {
		case x.op == opNot:
		case x.op == opTest && x.test.field != "" && (x.test.kind != nullTest && !(x.test.kind == existsTest && !x.test.want)):
			if v := shown(ev.Get(x.test.field)); v != "" && x.holds(ev) {
				if s := x.test.field + " is " + v; !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
		case x.op == opTest && x.test.field == "" && x.holds(ev):
			if s := "it says " + cutText(strings.Trim(x.test.words(), "*")); len(out) < 8 {
				out = append(out, s)
			}
		case x.op == opOr:
			for _, k := range x.kids {
				if k.holds(ev) {
					visit(k)
					return
				}
			}
		default:
			for _, k := range x.kids {
				visit(k)
			}
		}
	}
	visit(ev.engine.rules[i].expr)
	return out
}

func shown(values []string) string {
	if len(values) == 0 {
		return ""
	}
	more := ""
	if len(values) > 3 {
		values, more = values[:3], ", …"
	}
	out := make([]string, len(values))
	for i, v := range values {
		if out[i] = cutText(v); v == "" {
			out[i] = "empty"
		}
	}
	return strings.Join(out, ", ") + more
}

func cutText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "…"
	}
	return s
}

// words spells a test out.
func (t *test) words() string {
	switch t.kind {
	case reTest:
		return "/" + t.re.String() + "/"
	case cidrTest:
		return t.network.String()
	case refTest:
		return "the value of " + t.other
	}
	return t.pattern.String()
}

// sentence says what a test asks.
func (t *test) sentence() string {
	field := t.field
	if field == "" {
		field = "some value"
	}
	with := ""
	if t.cased {
		with = ", in this case"
	}
	switch t.kind {
	case nullTest:
		return field + " is not there, or null"
	case existsTest:
		if t.want {
			return field + " is there"
		}
		return field + " is not there"
	case reTest:
		return field + " matches " + t.words()
	case cidrTest:
		return field + " is an address in " + t.words()
	case numberTest:
		return fmt.Sprintf("%s is %s %v", field, t.compare, t.number)
	case timeTest:
		return fmt.Sprintf("the %s of %s is %s %v", t.part, field, t.compare, t.number)
	case refTest:
		verb := map[[2]bool]string{{false, false}: "is", {true, false}: "starts with", {false, true}: "ends with", {true, true}: "contains"}[[2]bool{t.before, t.after}]
		return field + " " + verb + " " + t.words() + with
	}
	shape, text, _ := t.shape()
	switch shape {
	case "any":
		return field + " has a value"
	case "exact":
		if text == "" {
			return field + " is empty"
		}
		return field + " is " + cutText(text) + with
	case "prefix":
		return field + " starts with " + cutText(text)
	case "suffix":
		return field + " ends with " + cutText(text)
	case "contains":
		return field + " contains " + cutText(text)
	}
	return field + " matches " + cutText(t.pattern.String()) + with
}

// Explain says in prose what a rule or a correlation asks, found by its id, its name or its title.
// "" means that there is none.
func (e *Engine) Explain(name string) string {
	is := func(m *Meta) bool {
		return m.ID == name || m.Name == name || strings.EqualFold(m.Title, name)
	}
	var b strings.Builder
	head := func(m *Meta) {
		b.WriteString(m.Label())
		if m.Level != "" {
			b.WriteString(" (" + m.Level + ")")
		}
		b.WriteString("\n")
		if m.Description != "" {
			b.WriteString("  " + strings.Join(strings.Fields(m.Description), " ") + "\n")
		}
		if m.Class != "" {
			b.WriteString("  opens: " + m.Class + "\n")
		}
	}
	for i := range e.rules {
		l := &e.rules[i]
		if !is(&l.rule.Meta) {
			continue
		}
		head(&l.rule.Meta)
		fmt.Fprintf(&b, "  log source: %s\n  fires when\n", l.rule.Logsource)
		l.expr.explain(&b, "    ", "")
		if !l.report {
			b.WriteString("  it is part of a correlation and is not reported by itself\n")
		}
		return b.String()
	}
	for _, l := range e.links {
		if !is(&l.c.Meta) {
			continue
		}
		c := l.c
		head(&c.Meta)
		fmt.Fprintf(&b, "  %s over %s within %s\n", c.Type, strings.Join(c.Rules, ", "), span(c.Timespan))
		if len(c.GroupBy) > 0 {
			fmt.Fprintf(&b, "  for each %s\n", strings.Join(c.GroupBy, " and "))
		}
		if len(c.Values) > 0 {
			fmt.Fprintf(&b, "  of %s\n", strings.Join(c.Values, " and "))
		}
		if c.condition == nil {
			for _, x := range c.limits {
				fmt.Fprintf(&b, "  %s %s\n", x.op, formatNumber(x.number))
			}
		}
		return b.String()
	}
	return ""
}

func (x *expr) explain(b *strings.Builder, in, lead string) {
	switch x.op {
	case opTest:
		fmt.Fprintf(b, "%s%s%s\n", in, lead, x.test.sentence())
		return
	case opNot:
		fmt.Fprintf(b, "%s%snot\n", in, lead)
	case opAnd:
		fmt.Fprintf(b, "%s%sall of\n", in, lead)
	default:
		fmt.Fprintf(b, "%s%sone of\n", in, lead)
	}
	const most = 12
	for i, k := range x.kids {
		if i == most {
			fmt.Fprintf(b, "%s  … and %d more\n", in, len(x.kids)-most)
			break
		}
		k.explain(b, in+"  ", "")
	}
}
