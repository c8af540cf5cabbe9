package sigma

import (
	"fmt"
	"slices"
	"strings"
)

// notThere ends what is said of a rule that a correlation names and nobody loaded.
const notThere = " is not there"

// assemble makes rules, filters and correlations of documents: pipelines first, then filters, then
// what refers to what.
func (e *Engine) assemble(docs []document) (problems []*Problem) {
	fail := func(m *Meta, hint, format string, args ...any) {
		problems = append(problems, &Problem{At: m.At, Rule: m.Title, Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	warn := func(m *Meta, hint, format string, args ...any) {
		fail(m, hint, format, args...)
		problems[len(problems)-1].Warning = true
	}
	pipelines := slices.Clone(e.o.Pipelines)
	slices.SortStableFunc(pipelines, func(a, b *Pipeline) int { return a.priority - b.priority })

	names := map[string]*Meta{} // ids and names
	unique := func(m *Meta) bool {
		for _, n := range []string{m.ID, m.Name} {
			if n == "" {
				continue
			}
			if other := names[n]; other != nil {
				fail(m, "give it another, or leave one of the two out", "%s is also the id or the name of the rule at %s", quote(n), other.At)
				return false
			}
		}
		for _, n := range []string{m.ID, m.Name} {
			if n != "" {
				names[n] = m
			}
		}
		return true
	}
	var filters []*Filter
	var correlations []*Correlation
	index := map[*Meta]int{} // of rules
	for i := range docs {
		switch d := &docs[i]; {
		case d.rule != nil:
			if !unique(&d.rule.Meta) {
				continue
			}
			x, p := transform(pipelines, d.rule)
			problems = append(problems, p...)
			if x == nil {
				continue
			}
			index[&d.rule.Meta] = len(e.rules)
			e.rules = append(e.rules, loaded{rule: d.rule, expr: x, report: true})
		case d.filter != nil:
			filters = append(filters, d.filter)
		default:
			if unique(&d.correlation.Meta) {
				correlations = append(correlations, d.correlation)
			}
		}
	}
	for _, f := range filters {
		as := &Rule{Meta: f.Meta, Logsource: f.Logsource, search: f.search, condition: []*expr{f.condition}}
		x, p := transform(pipelines, as)
		problems = append(problems, p...)
		if x == nil {
			continue
		}
		for _, n := range f.Rules {
			if names[n] == nil {
				warn(&f.Meta, "name a rule that is loaded by its id or its name", "the filter names %s, which is no rule here", quote(n))
			}
		}
		for i := range e.rules {
			l := &e.rules[i]
			named := f.Rules == nil || slices.Contains(f.Rules, l.rule.ID) && l.rule.ID != "" || slices.Contains(f.Rules, l.rule.Name) && l.rule.Name != ""
			if !named {
				continue
			}
			if !f.Logsource.holds(l.rule.Logsource) {
				if f.Rules != nil {
					warn(&f.Meta, "give both the same log source", "the filter is about %s and its rule %s about %s", f.Logsource, quote(l.rule.Label()), l.rule.Logsource)
				}
				continue
			}
			l.expr = allOf([]*expr{l.expr, x})
		}
	}
	from := len(problems)
	e.connect(correlations, names, index, fail)
	for _, p := range problems[from:] {
		p.Missing = strings.HasSuffix(p.Text, notThere)
	}
	return problems
}

// connect resolves what correlations refer to. One that refers to nothing, or to itself in the
// end, is not used, and neither is what builds on it.
func (e *Engine) connect(correlations []*Correlation, names map[string]*Meta, index map[*Meta]int, fail func(*Meta, string, string, ...any)) {
	place := map[*Meta]int{} // in e.links
	byMeta := map[*Meta]*Correlation{}
	for _, c := range correlations {
		byMeta[&c.Meta] = c
	}
	const (
		fresh = iota
		open
		done
		broken
	)
	states := map[*Correlation]int{}
	var visit func(c *Correlation) bool
	visit = func(c *Correlation) bool {
		switch states[c] {
		case open:
			fail(&c.Meta, "break the circle", "the correlation refers to itself")
			return false
		case done:
			return true
		case broken:
			return false
		}
		states[c] = open
		ok := true
		for _, n := range c.Rules {
			m := names[n]
			if m == nil {
				fail(&c.Meta, "load it too, or name another by its id or its name", "the rule %s"+notThere, quote(n))
				ok = false
			} else if child := byMeta[m]; child != nil {
				if !visit(child) {
					if states[child] == broken {
						fail(&c.Meta, "mend that one first", "it builds on %s, which cannot be used", quote(n))
					}
					ok = false
				}
			} else if _, is := index[m]; !is {
				fail(&c.Meta, "mend that one first", "it builds on %s, which cannot be used", quote(n))
				ok = false
			}
		}
		if !ok {
			states[c] = broken
			return false
		}
		states[c] = done
		place[&c.Meta] = len(e.links)
		e.links = append(e.links, newLink(c))
		return true
	}
	for _, c := range correlations {
		visit(c)
	}
	// What a correlation is made of is reported by itself only when the correlation says so.
	generated := map[*Meta]bool{}
	for i, l := range e.links {
		for step, n := range l.c.Rules {
			m := names[n]
			generated[m] = generated[m] || l.c.Generate
			if child, ok := place[m]; ok {
				e.links[child].feeds = append(e.links[child].feeds, feed{i, step})
			} else {
				r := &e.rules[index[m]]
				r.feeds = append(r.feeds, feed{i, step})
			}
			l.resolve(e, step, m, index)
		}
	}
	for m, own := range generated {
		if child, ok := place[m]; ok {
			e.links[child].report = own
		} else {
			e.rules[index[m]].report = own
		}
	}
}
