package sigma

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// atom is a distinct part of the conditions of all rules: an alternative of literals that is found
// while the event is read through, or one test that is computed when a condition asks for it.
type atom struct {
	lazy *test
	// field and other are those of lazy.
	field, other int32
	// search has the literals of an atom that no rule begins with: they are looked for when a
	// condition asks.
	search []*automaton
	glob   glob
	inside map[string]bool // literals, while they are all that the atom has and of one field
	cost   int             // expected, for the order of conditions
	uses   int             // rules that have it
	rules  []int32
}

// node is a part of a compiled condition.
type node struct {
	op   op
	atom int32
	kids []int32
}

// compiledRule is a rule in a matcher.
type compiledRule struct {
	rule   int32 // in the engine
	root   int32
	always bool // evaluated for every event: nothing in it is necessary
}

// literalIndex finds literals that stand at one end of a text, by their lengths.
type literalIndex struct {
	length int
	atoms  map[string][]int32
}

type numberAtom struct {
	test *test
	atom int32
}

// fieldMatcher holds the tests of one field that are found rather than computed.
type fieldMatcher struct {
	exact, exactCased map[string][]int32
	prefix, suffix    []literalIndex
	search            []*automaton
	numbers           []numberAtom
	networks          []numberAtom
	any               []int32 // true with any value but null
	there             []int32 // true when the field is there at all

	contains              map[string][]int32 // while it is built
	prefixMap, suffixMap  map[string][]int32
	folds, reads, numeric bool
	parts                 bool // prefix, suffix or search
	longest               int  // of exact
}

// matcher is the rules of one log source, compiled together.
type matcher struct {
	engine   *Engine
	atoms    []atom
	nodes    []node
	rules    []compiledRule
	always   []int32 // rules
	fields   []*fieldMatcher
	keywords *fieldMatcher

	// What is known of the present event; a stamp that is not gen is of an earlier one.
	gen       uint32
	stamp     []uint32 // of atoms that are true, or of lazy ones that are known
	truth     []bool   // of lazy atoms
	asked     []uint32 // of rules that are candidates
	candidate []int32
	headOf    []slot
	folded    []byte
	folded2   []byte
	matched   []int32
	work      int
}

// builder makes a matcher.
type builder struct {
	m     *matcher
	index map[string]int32 // atoms by what they are
	// needed counts how many tests need a text in a field.
	needed map[string]int
}

// newMatcher compiles rules, given by their numbers in the engine.
func (e *Engine) newMatcher(rules []int32) *matcher {
	m := &matcher{engine: e, fields: make([]*fieldMatcher, len(e.fields)), headOf: make([]slot, len(e.fields))}
	b := &builder{m: m, index: map[string]int32{}, needed: map[string]int{}}
	roots := make([]int32, len(rules))
	for i, r := range rules {
		roots[i] = b.node(e.rules[r].expr)
	}
	for i, r := range rules {
		seen := map[int32]bool{}
		b.count(roots[i], seen)
		for a := range seen {
			m.atoms[a].uses++
		}
		m.rules = append(m.rules, compiledRule{rule: r, root: roots[i]})
	}
	for i := range m.rules {
		cover, ok := b.cover(m.rules[i].root)
		if !ok {
			m.rules[i].always = true
			m.always = append(m.always, int32(i))
			continue
		}
		for _, a := range cover {
			if !slices.Contains(m.atoms[a].rules, int32(i)) {
				m.atoms[a].rules = append(m.atoms[a].rules, int32(i))
			}
		}
	}
	b.place()
	for _, f := range append(slices.Clone(m.fields), m.keywords) {
		if f != nil {
			f.close()
		}
	}
	m.stamp, m.truth, m.asked = make([]uint32, len(m.atoms)), make([]bool, len(m.atoms)), make([]uint32, len(m.rules))
	return m
}

func (b *builder) field(name string) *fieldMatcher {
	p := &b.m.keywords
	if name != "" {
		p = &b.m.fields[b.m.engine.fieldIDs[name]]
	}
	if *p == nil {
		*p = &fieldMatcher{exact: map[string][]int32{}, exactCased: map[string][]int32{}, contains: map[string][]int32{}, prefixMap: map[string][]int32{}, suffixMap: map[string][]int32{}}
	}
	return *p
}

// eager reports whether a test is found while the event is read through.
func (t *test) eager() bool {
	switch t.kind {
	case textTest:
		_, _, ok := t.shape()
		return ok
	case numberTest, cidrTest:
		return true
	case existsTest:
		return t.want
	}
	return false
}

// shape sorts a text test: exact, prefix, suffix, contains or any, with its literal.
func (t *test) shape() (shape, text string, ok bool) {
	p := t.pattern
	if text, ok = p.plain(); ok {
		return "exact", text, true
	}
	if t.cased && len(p) > 1 {
		return "", "", false
	}
	switch {
	case len(p) == 1 && p[0].part == anyRun:
		return "any", "", true
	case len(p) == 2 && p[0].part == literal && p.ends():
		return "prefix", p[0].text, true
	case len(p) == 2 && p.starts() && p[1].part == literal:
		return "suffix", p[1].text, true
	case len(p) == 3 && p.starts() && p.ends() && p[1].part == literal:
		return "contains", p[1].text, true
	}
	return "", "", false
}

// id names what a test is: equal tests have equal ids.
func (t *test) id() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %d %v %s %v %s %v %q %v %v %v ", t.field, t.kind, t.cased, t.compare, t.number, t.part, t.want, t.other, t.before, t.after, t.network)
	if t.re != nil {
		fmt.Fprintf(&b, "%q", t.re.String())
	}
	for _, p := range t.pattern {
		text := p.text
		if !t.cased {
			text = folded(text)
		}
		fmt.Fprintf(&b, "%d%q", p.part, text)
	}
	return b.String()
}

// intern gives the atom of an id, making it when it is new.
func (b *builder) intern(id string, make func() atom) (int32, bool) {
	if a, ok := b.index[id]; ok {
		return a, false
	}
	n := int32(len(b.m.atoms))
	b.m.atoms = append(b.m.atoms, make())
	b.index[id] = n
	return n, true
}

// found gives the atom of an alternative of eager tests.
func (b *builder) found(tests []*test) int32 {
	ids := map[string]*test{}
	for _, t := range tests {
		ids[t.id()] = t
	}
	keys := sortedKeys(ids)
	inside := true
	for _, t := range ids {
		shape, _, _ := t.shape()
		inside = inside && t.kind == textTest && shape == "contains" && t.field != "" && t.field == tests[0].field
	}
	a, isNew := b.intern("one of "+strings.Join(keys, "\x00"), func() atom { return atom{field: -1, other: -1} })
	if isNew {
		if inside {
			at := &b.m.atoms[a]
			at.inside, at.field = map[string]bool{}, b.m.engine.fieldIDs[tests[0].field]
			for _, t := range ids {
				_, text, _ := t.shape()
				at.inside[folded(text)] = true
			}
			at.cost = 100
			return a
		}
		for _, k := range keys {
			b.file(ids[k], a)
		}
	}
	return a
}

// file puts an eager test where its field finds it.
func (b *builder) file(t *test, a int32) {
	f := b.field(t.field)
	cost := 1
	switch t.kind {
	case numberTest:
		f.numbers = append(f.numbers, numberAtom{t, a})
		cost = 4
	case cidrTest:
		f.networks = append(f.networks, numberAtom{t, a})
		cost = 4
	case existsTest:
		f.there = append(f.there, a)
		cost = 200
	default:
		shape, text, _ := t.shape()
		into := f.exact
		switch {
		case shape == "any":
			f.any = append(f.any, a)
			b.m.atoms[a].cost += 200
			return
		case shape == "exact" && t.cased:
			into = f.exactCased
		case shape == "prefix":
			into, cost = f.prefixMap, 2
		case shape == "suffix":
			into, cost = f.suffixMap, 2
		case shape == "contains":
			into, cost = f.contains, 100
		}
		if !t.cased {
			text = folded(text)
		}
		into[text] = append(into[text], a)
	}
	b.m.atoms[a].cost += cost
}

// required gives texts without which a computed test cannot be true.
func (t *test) required() []string {
	if t.kind == textTest {
		return t.pattern.needs()
	}
	return t.needs
}

// computed gives the atom of a lazy test.
func (b *builder) computed(t *test) int32 {
	a, _ := b.intern(t.id(), func() atom {
		for _, n := range t.required() {
			b.needed[t.field+"\x00"+n]++
		}
		at := atom{lazy: t, field: -1, other: -1, cost: 20}
		if t.field != "" {
			at.field = b.m.engine.fieldIDs[t.field]
		}
		switch t.kind {
		case textTest:
			at.glob = t.pattern.glob(t.cased)
		case refTest:
			at.other = b.m.engine.fieldIDs[t.other]
		case reTest:
			at.cost = 40
		}
		return at
	})
	return a
}

// node compiles a condition. The tests of an alternative that are found become one atom.
func (b *builder) node(e *expr) int32 {
	n := node{op: e.op, atom: -1}
	switch e.op {
	case opTest:
		n.atom = b.test(e.test)
	case opOr:
		var found []*test
		var rest []*expr
		for _, k := range flatten(e, nil) {
			if k.op == opTest && k.test.eager() {
				found = append(found, k.test)
			} else {
				rest = append(rest, k)
			}
		}
		if len(found) > 0 {
			b.m.nodes = append(b.m.nodes, node{op: opTest, atom: b.found(found)})
			n.kids = append(n.kids, int32(len(b.m.nodes)-1))
		}
		for _, k := range rest {
			n.kids = append(n.kids, b.node(k))
		}
		if len(n.kids) == 1 {
			return n.kids[0]
		}
	default:
		for _, k := range e.kids {
			n.kids = append(n.kids, b.node(k))
		}
	}
	if n.op == opAnd || n.op == opOr {
		slices.SortStableFunc(n.kids, func(x, y int32) int { return cmp.Compare(b.dear(x), b.dear(y)) })
	}
	b.m.nodes = append(b.m.nodes, n)
	return int32(len(b.m.nodes) - 1)
}

func (b *builder) test(t *test) int32 {
	if t.eager() {
		return b.found([]*test{t})
	}
	return b.computed(t)
}

// flatten lists the alternatives of an or in an or.
func flatten(e *expr, out []*expr) []*expr {
	for _, k := range e.kids {
		if k.op == opOr {
			out = flatten(k, out)
		} else {
			out = append(out, k)
		}
	}
	return out
}

// dear estimates what it costs to evaluate a node: what is known already comes first.
func (b *builder) dear(i int32) int {
	n := &b.m.nodes[i]
	if n.op == opTest {
		if a := &b.m.atoms[n.atom]; a.lazy != nil || a.inside != nil {
			return min(a.cost, 10)
		}
		return 0
	}
	sum := 1
	for _, k := range n.kids {
		sum += b.dear(k)
	}
	return sum
}

func (b *builder) count(i int32, seen map[int32]bool) {
	n := &b.m.nodes[i]
	if n.op == opTest {
		seen[n.atom] = true
	}
	for _, k := range n.kids {
		b.count(k, seen)
	}
}

// cover gives atoms of which one has to be true before the node can be: the rarest there are.
// false means that there are none, as for what is negated.
func (b *builder) cover(i int32) ([]int32, bool) {
	switch n := b.m.nodes[i]; n.op {
	case opTest:
		return b.trigger(n.atom)
	case opAnd:
		var best []int32
		ok, rarest := false, 0
		for _, k := range n.kids {
			c, has := b.cover(k)
			if !has {
				continue
			}
			weight := 0
			for _, a := range c {
				weight += b.m.atoms[a].cost + 3*b.m.atoms[a].uses
			}
			if !ok || weight < rarest {
				best, ok, rarest = c, true, weight
			}
		}
		return best, ok
	case opOr:
		var all []int32
		for _, k := range n.kids {
			c, ok := b.cover(k)
			if !ok {
				return nil, false
			}
			all = append(all, c...)
		}
		return all, true
	}
	return nil, false
}

// trigger gives the atom without which another cannot be true: itself when it is found, else that
// a text it needs is in the field, or that the field is there.
func (b *builder) trigger(a int32) ([]int32, bool) {
	t := b.m.atoms[a].lazy
	if t == nil {
		return []int32{a}, true
	}
	if t.kind == nullTest || t.kind == existsTest {
		return nil, false
	}
	// Of the texts that it needs, the one that the fewest others need tells most.
	need := ""
	for _, n := range t.required() {
		if uses, best := b.needed[t.field+"\x00"+n], b.needed[t.field+"\x00"+need]; need == "" || uses < best || uses == best && len(n) > len(need) {
			need = n
		}
	}
	if need != "" {
		return []int32{b.found([]*test{{field: t.field, pattern: pattern{{part: anyRun}, {literal, need}, {part: anyRun}}}})}, true
	}
	if t.field == "" {
		return []int32{b.found([]*test{{pattern: pattern{{part: anyRun}}}})}, true
	}
	return []int32{b.found([]*test{{field: t.field, kind: existsTest, want: true}})}, true
}

// place files the literals that rules begin with where their field finds them, and leaves the
// others to be looked for when a condition asks.
func (b *builder) place() {
	for i := range b.m.atoms {
		a := &b.m.atoms[i]
		switch {
		case a.inside == nil:
		case len(a.rules) > 0:
			f := b.field(b.m.engine.fields[a.field])
			for text := range a.inside {
				f.contains[text] = append(f.contains[text], int32(i))
			}
		default:
			own := map[string][]int32{}
			for text := range a.inside {
				own[text] = []int32{0}
			}
			a.search = newAutomatons(own)
		}
		a.inside = nil
	}
}

// close turns what was collected into what is searched.
func (f *fieldMatcher) close() {
	index := func(m map[string][]int32) (out []literalIndex) {
		byLength := map[int]map[string][]int32{}
		for k, v := range m {
			if byLength[len(k)] == nil {
				byLength[len(k)] = map[string][]int32{}
			}
			byLength[len(k)][k] = v
		}
		for _, n := range slices.Sorted(maps.Keys(byLength)) {
			out = append(out, literalIndex{n, byLength[n]})
		}
		return out
	}
	f.prefix, f.suffix, f.search = index(f.prefixMap), index(f.suffixMap), newAutomatons(f.contains)
	f.parts = len(f.prefix)+len(f.suffix)+len(f.search) > 0
	f.folds = len(f.exact)+len(f.prefix)+len(f.suffix)+len(f.search) > 0
	f.numeric = len(f.numbers) > 0
	for k := range f.exact {
		f.longest = max(f.longest, len(k))
	}
	f.reads = f.folds || len(f.exactCased) > 0 || f.numeric || len(f.networks) > 0
	f.contains, f.prefixMap, f.suffixMap = nil, nil, nil
}
