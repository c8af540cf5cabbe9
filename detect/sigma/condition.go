package sigma

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// op is what an expression does with its parts.
type op uint8

const (
	opTest op = iota
	opAnd
	opOr
	opNot
	opName // of a selection, or of a rule in a correlation
)

// expr is a condition: of selections while a rule is read, of tests when it is compiled.
type expr struct {
	op   op
	kids []*expr
	name string
	test *test
}

func allOf(kids []*expr) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{op: opAnd, kids: kids}
}

func oneOf(kids []*expr) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{op: opOr, kids: kids}
}

func not(e *expr) *expr { return &expr{op: opNot, kids: []*expr{e}} }

// conditions reads the condition of a detection, or the list of them.
func (r *reader) conditions(n *yaml.Node, search []*selection) []*expr {
	var names []string
	for _, s := range search {
		names = append(names, s.name)
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	if len(nodes) == 0 {
		r.fail(n, "write at least one", "the list of conditions is empty")
	}
	var out []*expr
	for _, c := range nodes {
		c = resolve(c)
		text := r.text(c, "condition")
		if text == "" {
			continue
		}
		p := parser{r: r, node: c, names: names, words: words(text), selectors: true}
		if e := p.whole(); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// word is a token of a condition with its place in the text.
type word struct {
	text string
	at   int
}

func words(s string) (out []word) {
	from := -1
	end := func(i int) {
		if from >= 0 {
			out = append(out, word{s[from:i], from})
			from = -1
		}
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\n', '\r':
			end(i)
		case '(', ')', '|':
			end(i)
			out = append(out, word{s[i : i+1], i})
		default:
			if from < 0 {
				from = i
			}
		}
	}
	end(len(s))
	return out
}

// parser reads a condition: or binds least, then and, then not, then "x of".
type parser struct {
	r         *reader
	node      *yaml.Node
	names     []string
	words     []word
	next      int
	depth     int
	selectors bool // "1 of", "all of" and them
	broken    bool
}

func (p *parser) fail(at int, hint, format string, args ...any) *expr {
	if !p.broken {
		n := *p.node
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && !strings.Contains(n.Value, "\n") {
			n.Column += at
			if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
				n.Column++
			}
		}
		p.r.fail(&n, hint, format, args...)
	}
	p.broken = true
	return nil
}

func (p *parser) peek() string {
	if p.next < len(p.words) {
		return p.words[p.next].text
	}
	return ""
}

func (p *parser) at() int {
	if p.next < len(p.words) {
		return p.words[p.next].at
	}
	if len(p.words) == 0 {
		return 0
	}
	last := p.words[len(p.words)-1]
	return last.at + len(last.text)
}

func (p *parser) take(keyword string) bool {
	if strings.EqualFold(p.peek(), keyword) && p.next < len(p.words) {
		p.next++
		return true
	}
	return false
}

func (p *parser) whole() *expr {
	e := p.or()
	if e != nil && p.next < len(p.words) {
		if p.peek() == "|" {
			return p.fail(p.at(), "write a correlation rule in its place", "aggregations in a condition are no longer Sigma")
		}
		return p.fail(p.at(), "join them with and or or", "after this condition comes %s", quote(p.peek()))
	}
	return e
}

func (p *parser) or() *expr {
	if p.depth++; p.depth > maxDepth {
		return p.fail(p.at(), "use fewer brackets", "the condition is nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	return p.chain("or", p.and, oneOf)
}

func (p *parser) and() *expr { return p.chain("and", p.not, allOf) }

func (p *parser) chain(keyword string, part func() *expr, join func([]*expr) *expr) *expr {
	var kids []*expr
	for {
		e := part()
		if e == nil {
			return nil
		}
		kids = append(kids, e)
		if !p.take(keyword) {
			return join(kids)
		}
	}
}

func (p *parser) not() *expr {
	negative := false
	for p.take("not") {
		negative = !negative
	}
	e := p.operand()
	if e != nil && negative {
		return not(e)
	}
	return e
}

func (p *parser) operand() *expr {
	at, w := p.at(), p.peek()
	switch {
	case p.next >= len(p.words):
		return p.fail(at, "name a selection", "the condition ends where a selection is expected")
	case w == "(":
		p.next++
		e := p.or()
		if e != nil && !p.take(")") {
			return p.fail(p.at(), "close it", "a bracket is open")
		}
		return e
	case w == ")" || w == "|" || strings.EqualFold(w, "and") || strings.EqualFold(w, "or"):
		return p.fail(at, "name a selection", "here a selection is expected, not %s", quote(w))
	}
	p.next++
	if p.selectors && strings.EqualFold(p.peek(), "of") && !slices.Contains(p.names, w) {
		return p.selector(at, w)
	}
	if p.selectors && strings.EqualFold(w, "them") {
		return p.fail(at, "write 1 of them or all of them", "them stands alone")
	}
	if !slices.Contains(p.names, w) {
		return p.fail(at, "there are "+strings.Join(p.names, ", "), "there is no %s", quote(w))
	}
	return &expr{op: opName, name: w}
}

func (p *parser) selector(at int, count string) *expr {
	all := strings.EqualFold(count, "all")
	if !all && count != "1" && !strings.EqualFold(count, "any") {
		return p.fail(at, "write 1 of, any of or all of", "%s of is not known", quote(count))
	}
	p.next++
	at, what := p.at(), p.peek()
	if p.next >= len(p.words) || what == "(" || what == ")" || what == "|" {
		return p.fail(at, "name a pattern such as selection_*, or them", "of what?")
	}
	p.next++
	var kids []*expr
	for _, n := range p.names {
		// What begins with an underscore takes part only when it is named.
		if strings.HasPrefix(n, "_") && !strings.HasPrefix(what, "_") {
			continue
		}
		if strings.EqualFold(what, "them") || namePattern(what, n) {
			kids = append(kids, &expr{op: opName, name: n})
		}
	}
	if len(kids) == 0 {
		return p.fail(at, "there are "+strings.Join(p.names, ", "), "no selection is called %s", quote(what))
	}
	if all {
		return allOf(kids)
	}
	return oneOf(kids)
}

// namePattern matches the name of a selection; * is any run of characters.
func namePattern(pattern, name string) bool {
	ok, _ := parsePattern(strings.ReplaceAll(pattern, "?", `\?`)).glob(true).match([]byte(name))
	return ok
}
