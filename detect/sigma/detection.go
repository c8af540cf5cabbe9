package sigma

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// valueKind is what YAML says a value is.
type valueKind uint8

const (
	stringValue valueKind = iota
	numberValue
	boolValue
	nullValue
)

// value is one value of a rule, as it is written.
type value struct {
	kind valueKind
	text string
	node *yaml.Node
}

// item asks one field, or with an empty field the whole event, for one of its values. Items stay
// as they are written until the pipelines have had their turn; build makes tests of them.
type item struct {
	field     string
	modifiers []string
	values    []value
	node      *yaml.Node // the key
	node2     *yaml.Node // the values
	dropped   bool       // by a pipeline: it holds no longer
}

// group is what a selection holds: items and groups, all of which hold or one of which does.
type group struct {
	any   bool
	items []*item
	kids  []*group
}

// selection is a named part of a detection.
type selection struct {
	name string
	body *group
}

// eachItem visits the items of a group.
func (g *group) eachItem(f func(*item)) {
	for _, it := range g.items {
		f(it)
	}
	for _, k := range g.kids {
		k.eachItem(f)
	}
}

// detection reads the selections of a detection or a filter. own takes keys that are none.
func (r *reader) detection(n *yaml.Node, what string, own func(k, v *yaml.Node) bool) (search []*selection, condition *yaml.Node) {
	for _, p := range r.pairs(n, what) {
		switch {
		case p.key.Value == "condition":
			condition = p.value
		case own != nil && own(p.key, p.value):
		case p.key.Value == "timeframe":
			r.fail(p.key, "write a correlation rule in its place", "timeframe is no longer Sigma")
		default:
			if g := r.body(p.key, p.value, 0); g != nil {
				search = append(search, &selection{p.key.Value, g})
			}
		}
	}
	if len(search) == 0 && !r.failed() {
		r.fail(n, "add a selection", "the %s has no selection", what)
	}
	return search, condition
}

func (r *reader) body(key, n *yaml.Node, depth int) *group {
	switch n.Kind {
	case yaml.ScalarNode:
		return r.single(key, &item{node: key, node2: n}, n)
	case yaml.MappingNode:
		g := &group{}
		for _, p := range r.pairs(n, quote(key.Value)) {
			if it := r.item(p.key, p.value); it != nil {
				g.items = append(g.items, it)
			}
		}
		if len(g.items) == 0 {
			r.fail(n, "write field: value", "%s asks nothing", quote(key.Value))
			return nil
		}
		return g
	case yaml.SequenceNode:
		g := &group{any: true}
		keywords := &item{node: key, node2: n}
		for _, c := range n.Content {
			switch c = resolve(c); {
			case c.Kind == yaml.ScalarNode:
				if v, ok := r.value(c); ok {
					keywords.values = append(keywords.values, v)
				}
			case depth > 0 && c.Kind == yaml.SequenceNode:
				r.fail(c, "one list is enough", "a list in a list in a selection")
			default:
				if k := r.body(key, c, depth+1); k != nil {
					g.kids = append(g.kids, k)
				}
			}
		}
		if len(keywords.values) > 0 {
			g.items = append(g.items, keywords)
			r.build(keywords, nil)
		}
		if len(g.items)+len(g.kids) == 0 {
			r.fail(n, "write values or maps", "%s asks nothing", quote(key.Value))
			return nil
		}
		return g
	}
	r.fail(n, "write a map of fields or a list", "%s is no selection", quote(key.Value))
	return nil
}

func (r *reader) single(key *yaml.Node, it *item, n *yaml.Node) *group {
	v, ok := r.value(n)
	if !ok {
		return nil
	}
	it.values = []value{v}
	r.build(it, nil)
	return &group{items: []*item{it}}
}

// item reads field|modifier|…: value.
func (r *reader) item(key, n *yaml.Node) *item {
	parts := strings.Split(key.Value, "|")
	it := &item{field: strings.TrimSpace(parts[0]), modifiers: parts[1:], node: key, node2: n}
	list := []*yaml.Node{n}
	switch n.Kind {
	case yaml.SequenceNode:
		list = n.Content
		if len(list) == 0 {
			r.fail(n, "write values", "the list of %s is empty", quote(key.Value))
			return nil
		}
	case yaml.MappingNode:
		r.fail(n, "name the inner field with dots: a.b: value", "%s has a map for a value", quote(key.Value))
		return nil
	}
	for _, c := range list {
		v, ok := r.value(resolve(c))
		if !ok {
			return nil
		}
		it.values = append(it.values, v)
	}
	if len(it.values) > 1 {
		for _, v := range it.values {
			if v.kind == nullValue {
				r.warn(v.node, "make it a selection of its own", "null in a list of values is not Sigma")
			}
		}
	}
	r.build(it, nil)
	return it
}

func (r *reader) value(n *yaml.Node) (value, bool) {
	if n.Kind != yaml.ScalarNode {
		r.fail(n, "write text, a number, true, false or null", "this is no value")
		return value{}, false
	}
	if r.values++; r.values > maxValues {
		if r.values == maxValues+1 {
			r.fail(n, "split it", "the rule has more than %d values", maxValues)
		}
		return value{}, false
	}
	v := value{text: n.Value, node: n}
	switch n.ShortTag() {
	case "!!null":
		v.kind = nullValue
	case "!!bool":
		v.kind, v.text = boolValue, strings.ToLower(n.Value)
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err == nil {
			v.kind, v.text = numberValue, canonical(n.Value, f)
		}
	}
	return v, true
}

// condense makes the expression of a detection: its conditions with the selections in the place of
// their names. bind gives the expression of an item.
func condense(e *expr, search []*selection, bind func(*item) *expr) *expr {
	if e.op == opName {
		i := slices.IndexFunc(search, func(s *selection) bool { return s.name == e.name })
		return search[i].body.expr(bind)
	}
	var kids []*expr
	for _, k := range e.kids {
		if c := condense(k, search, bind); c != nil {
			kids = append(kids, c)
		}
	}
	switch {
	case len(kids) == 0:
		return nil // everything in it was dropped by a pipeline
	case e.op == opNot:
		return not(kids[0])
	case e.op == opAnd:
		return allOf(kids)
	}
	return oneOf(kids)
}

func (g *group) expr(bind func(*item) *expr) *expr {
	var kids []*expr
	for _, it := range g.items {
		if it.dropped {
			continue
		}
		if e := bind(it); e != nil {
			kids = append(kids, e)
		}
	}
	for _, k := range g.kids {
		if e := k.expr(bind); e != nil {
			kids = append(kids, e)
		}
	}
	switch {
	case len(kids) == 0:
		return nil
	case g.any:
		return oneOf(kids)
	}
	return allOf(kids)
}
