package sigma

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pipeline changes rules before they are compiled: it renames fields, replaces values, supplies
// placeholders, adds conditions. Its form is that of pySigma's processing pipelines, as far as it
// is about matching rather than about writing queries.
type Pipeline struct {
	Name     string
	priority int
	vars     map[string][]string
	steps    []transformation
}

// transformation is one step of a pipeline.
type transformation struct {
	at      Position
	kind    string
	rules   conditions
	fields  conditions
	mapping map[string][]string
	text    string // prefix, suffix, replacement, message, value of set_value
	from    *regexp.Regexp
	value   *value
	include []string
	exclude []string
	source  Logsource
	add     []*item
	negated bool
}

// conditions say what a transformation applies to.
type conditions struct {
	any, negated bool
	list         []condition
}

type condition struct {
	kind    string
	source  Logsource
	name    string // field, tag or attribute
	value   string
	fields  []string
	pattern []*regexp.Regexp
}

// ParsePipeline reads a pipeline.
func ParsePipeline(file string, src []byte) (*Pipeline, []*Problem) {
	r := &reader{file: file}
	if len(src) > maxFile {
		return nil, []*Problem{{At: Position{File: file}, Text: "the file is too large", Hint: "split it"}}
	}
	var n yaml.Node
	if err := decodeNode(yaml.NewDecoder(bytes.NewReader(src)), &n); err != nil {
		line, text := yamlError(err)
		return nil, []*Problem{{At: Position{file, line, min(line, 1)}, Text: "this is no YAML: " + text, Hint: "mend it"}}
	}
	left := maxNodes
	if err := measure(&n, 0, &left, map[*yaml.Node]bool{}); err != nil || len(n.Content) == 0 {
		return nil, []*Problem{{At: Position{File: file}, Text: "the pipeline is empty or too large", Hint: "write name, priority and transformations"}}
	}
	p := &Pipeline{vars: map[string][]string{}}
	for _, kv := range r.pairs(n.Content[0], "a pipeline") {
		switch kv.key.Value {
		case "name":
			p.Name = r.text(kv.value, "name")
		case "priority":
			f, ok := r.number(kv.value)
			if !ok {
				r.fail(kv.value, "write a number", "the priority is no number")
			}
			p.priority = int(f)
		case "vars":
			for _, v := range r.pairs(kv.value, "vars") {
				p.vars[v.key.Value] = r.texts(v.value, "the values of "+quote(v.key.Value))
			}
		case "transformations":
			if kv.value.Kind != yaml.SequenceNode {
				r.fail(kv.value, "write a list", "transformations have to be a list")
				break
			}
			for _, t := range kv.value.Content {
				p.steps = append(p.steps, r.transformation(resolve(t)))
			}
		case "allowed_backends", "postprocessing", "finalizers":
			// about writing queries
		default:
			r.fail(kv.key, "there are name, priority, vars and transformations", "a pipeline has no %s", quote(kv.key.Value))
		}
	}
	if r.failed() {
		return nil, r.problems
	}
	return p, r.problems
}

var transformationKinds = []string{
	"field_name_mapping", "field_name_prefix_mapping", "field_name_prefix", "field_name_suffix", "add_condition", "change_logsource",
	"replace_string", "map_string", "set_value", "drop_detection_item", "value_placeholders", "wildcard_placeholders", "rule_failure", "detection_item_failure",
}

func (r *reader) transformation(n *yaml.Node) (t transformation) {
	t.at = r.at(n)
	var conds *yaml.Node
	for _, kv := range r.pairs(n, "a transformation") {
		v := kv.value
		switch kv.key.Value {
		case "id":
		case "type":
			if t.kind = r.text(v, "type"); !slices.Contains(transformationKinds, t.kind) {
				r.fail(v, "there are "+strings.Join(transformationKinds, ", "), "the transformation %s is not known", quote(t.kind))
			}
		case "mapping":
			t.mapping = map[string][]string{}
			for _, m := range r.pairs(v, "mapping") {
				t.mapping[m.key.Value] = r.texts(m.value, "the mapping")
			}
		case "prefix", "suffix", "replacement", "message":
			t.text = r.text(v, kv.key.Value)
		case "value":
			if val, ok := r.value(v); ok {
				t.value = &val
			}
		case "regex":
			src := r.text(v, "regex")
			re, err := regexp.Compile(src)
			if err != nil || len(src) > maxRegexp {
				r.fail(v, "the syntax is that of RE2", "the regular expression cannot be read")
				break
			}
			t.from = re
		case "include":
			t.include = r.texts(v, "include")
		case "exclude":
			t.exclude = r.texts(v, "exclude")
		case "category":
			t.source.Category = r.text(v, "category")
		case "product":
			t.source.Product = r.text(v, "product")
		case "service":
			t.source.Service = r.text(v, "service")
		case "conditions":
			conds = v
		case "negated":
			t.negated = r.boolean(v, "negated")
		case "rule_conditions":
			t.rules.list = r.pipelineConditions(v, []string{"logsource", "contains_field", "contains_detection_item", "tag", "rule_attribute"})
		case "rule_cond_op":
			t.rules.any = strings.EqualFold(r.text(v, "rule_cond_op"), "or")
		case "rule_cond_not":
			t.rules.negated = r.boolean(v, "rule_cond_not")
		case "field_name_conditions":
			t.fields.list = r.pipelineConditions(v, []string{"include_fields", "exclude_fields"})
		case "field_name_cond_op":
			t.fields.any = strings.EqualFold(r.text(v, "field_name_cond_op"), "or")
		case "field_name_cond_not":
			t.fields.negated = r.boolean(v, "field_name_cond_not")
		default:
			r.fail(kv.key, "take it out", "a transformation has no %s here", quote(kv.key.Value))
		}
	}
	if t.kind == "" && !r.failed() {
		r.fail(n, "add type:", "the transformation has no type")
	}
	if strings.Contains(t.kind, "mapping") && t.mapping == nil || t.kind == "map_string" && t.mapping == nil {
		r.fail(n, "add mapping:", "%s has no mapping", t.kind)
	}
	if t.kind == "replace_string" && t.from == nil {
		r.fail(n, "add regex: and replacement:", "replace_string has no regex")
	}
	if t.kind == "set_value" && t.value == nil {
		r.fail(n, "add value:", "set_value has no value")
	}
	if t.kind == "add_condition" {
		if conds == nil {
			r.fail(n, "add conditions: with fields and values", "add_condition has no conditions")
			return t
		}
		for _, c := range r.pairs(conds, "conditions") {
			if it := r.item(c.key, c.value); it != nil {
				t.add = append(t.add, it)
			}
		}
	}
	return t
}

func (r *reader) pipelineConditions(n *yaml.Node, kinds []string) (out []condition) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "write a list", "conditions have to be a list")
		return nil
	}
	for _, c := range n.Content {
		c = resolve(c)
		var d condition
		mode := ""
		for _, kv := range r.pairs(c, "a condition") {
			switch kv.key.Value {
			case "type":
				if d.kind = r.text(kv.value, "type"); !slices.Contains(kinds, d.kind) {
					r.fail(kv.value, "there are "+strings.Join(kinds, ", "), "the condition %s is not known", quote(d.kind))
				}
			case "category":
				d.source.Category = r.text(kv.value, "category")
			case "product":
				d.source.Product = r.text(kv.value, "product")
			case "service":
				d.source.Service = r.text(kv.value, "service")
			case "field", "tag", "attribute":
				d.name = r.text(kv.value, kv.key.Value)
			case "value":
				d.value = r.text(kv.value, "value")
			case "fields":
				d.fields = r.texts(kv.value, "fields")
			case "mode":
				mode = r.text(kv.value, "mode")
			default:
				r.fail(kv.key, "take it out", "a condition has no %s here", quote(kv.key.Value))
			}
		}
		if mode == "re" {
			for _, f := range d.fields {
				re, err := regexp.Compile(f)
				if err != nil {
					r.fail(c, "the syntax is that of RE2", "the regular expression %s cannot be read", quote(f))
					continue
				}
				d.pattern = append(d.pattern, re)
			}
		}
		out = append(out, d)
	}
	return out
}

func (c conditions) hold(one func(condition) bool) bool {
	if len(c.list) == 0 {
		return true
	}
	ok := !c.any
	for _, d := range c.list {
		if c.any {
			ok = ok || one(d)
		} else {
			ok = ok && one(d)
		}
	}
	return ok != c.negated
}

func (d condition) ofField(name string) bool {
	in := slices.Contains(d.fields, name)
	for _, re := range d.pattern {
		in = in || re.MatchString(name)
	}
	return in == (d.kind == "include_fields")
}

func (d condition) ofRule(rule *Rule) bool {
	found := false
	switch d.kind {
	case "logsource":
		return d.source.holds(rule.Logsource)
	case "tag":
		return slices.Contains(rule.Tags, d.name)
	case "rule_attribute":
		switch d.name {
		case "level":
			return rule.Level == d.value
		case "status":
			return rule.Status == d.value
		case "id":
			return rule.ID == d.value
		case "name":
			return rule.Name == d.value
		case "title":
			return rule.Title == d.value
		}
		return false
	}
	for _, s := range rule.search {
		s.body.eachItem(func(it *item) {
			if it.field != d.name {
				return
			}
			found = found || d.kind == "contains_field" || slices.ContainsFunc(it.values, func(v value) bool { return strings.EqualFold(v.text, d.value) })
		})
	}
	return found
}

// transform sends a rule through the pipelines and makes its expression.
func transform(pipelines []*Pipeline, rule *Rule) (*expr, []*Problem) {
	r := &reader{file: rule.At.File, title: rule.Title}
	vars := map[string][]string{}
	var extra []*expr
	bind := func(it *item) *expr {
		return r.build(it, func(name string) ([]string, bool) { v, ok := vars[name]; return v, ok })
	}
	for _, p := range pipelines {
		for i := range p.steps {
			t := &p.steps[i]
			if t.rules.hold(func(d condition) bool { return d.ofRule(rule) }) {
				r.apply(p, t, rule, vars, &extra, bind)
			}
		}
	}
	var any []*expr
	for _, c := range rule.condition {
		if x := condense(c, rule.search, bind); x != nil {
			any = append(any, x)
		}
	}
	if len(any) == 0 && !r.failed() {
		r.problems = append(r.problems, &Problem{At: rule.At, Rule: rule.Title, Text: "the pipelines took everything out of the rule", Hint: "leave it out, or the pipeline"})
	}
	if r.failed() {
		return nil, r.problems
	}
	return allOf(append([]*expr{oneOf(any)}, extra...)), r.problems
}

func (r *reader) apply(p *Pipeline, t *transformation, rule *Rule, vars map[string][]string, extra *[]*expr, bind func(*item) *expr) {
	ofField := func(name string) bool {
		return t.fields.hold(func(d condition) bool { return d.ofField(name) })
	}
	each := func(f func(*item)) {
		for _, s := range rule.search {
			s.body.eachItem(func(it *item) {
				if ofField(it.field) {
					f(it)
				}
			})
		}
	}
	texts := func(f func(string) []string) {
		each(func(it *item) {
			var out []value
			for _, v := range it.values {
				if v.kind != stringValue {
					out = append(out, v)
					continue
				}
				for _, text := range f(v.text) {
					v.text = text
					out = append(out, v)
				}
			}
			it.values = out
		})
	}
	switch t.kind {
	case "field_name_mapping", "field_name_prefix_mapping", "field_name_prefix", "field_name_suffix":
		rename := func(name string) []string {
			if name == "" || !ofField(name) {
				return []string{name}
			}
			return t.rename(name)
		}
		for _, s := range rule.search {
			s.body.rename(rename)
		}
		for i, f := range rule.Fields {
			rule.Fields[i] = rename(f)[0]
		}
		rule.renames = append(rule.renames, func(f string) string { return rename(f)[0] })
	case "add_condition":
		for _, it := range t.add {
			if x := bind(it); x != nil {
				if t.negated {
					x = not(x)
				}
				*extra = append(*extra, x)
			}
		}
	case "change_logsource":
		rule.Logsource = t.source
	case "replace_string":
		texts(func(s string) []string { return []string{t.from.ReplaceAllString(s, pythonGroups(t.text))} })
	case "map_string":
		texts(func(s string) []string {
			if to, ok := t.mapping[s]; ok {
				return to
			}
			return []string{s}
		})
	case "set_value":
		each(func(it *item) {
			v := *t.value
			v.node = it.node2
			it.values = []value{v}
		})
	case "drop_detection_item":
		each(func(it *item) { it.dropped = true })
	case "value_placeholders":
		for name, v := range p.vars {
			if t.takes(name) {
				vars[name] = v
			}
		}
	case "wildcard_placeholders":
		each(func(it *item) {
			if !slices.Contains(it.modifiers, "expand") {
				return
			}
			for _, v := range it.values {
				for _, s := range splitPlaceholders(v.text) {
					if s.name != "" && vars[s.name] == nil && t.takes(s.name) {
						vars[s.name] = []string{"*"}
					}
				}
			}
		})
	case "rule_failure":
		r.problems = append(r.problems, &Problem{At: rule.At, Rule: rule.Title, Text: "the pipeline refuses the rule: " + t.text, Hint: "see " + t.at.String()})
	case "detection_item_failure":
		each(func(it *item) { r.fail(it.node, "see "+t.at.String(), "the pipeline refuses this: %s", t.text) })
	}
}

func (t *transformation) takes(name string) bool {
	return (len(t.include) == 0 || slices.Contains(t.include, name)) && !slices.Contains(t.exclude, name)
}

func (t *transformation) rename(name string) []string {
	switch t.kind {
	case "field_name_mapping":
		if to := t.mapping[name]; len(to) > 0 {
			return to
		}
	case "field_name_prefix_mapping":
		for _, prefix := range sortedKeys(t.mapping) {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				var out []string
				for _, to := range t.mapping[prefix] {
					out = append(out, to+rest)
				}
				return out
			}
		}
	case "field_name_prefix":
		return []string{t.text + name}
	case "field_name_suffix":
		return []string{name + t.text}
	}
	return []string{name}
}

// rename gives the items of a group other fields. An item with several is an alternative of them.
func (g *group) rename(f func(string) []string) {
	for _, k := range g.kids {
		k.rename(f)
	}
	var items []*item
	for _, it := range g.items {
		names := f(it.field)
		if slices.Contains(it.modifiers, "fieldref") {
			for i, v := range it.values {
				it.values[i].text = f(v.text)[0]
			}
		}
		if it.field = names[0]; len(names) == 1 {
			items = append(items, it)
			continue
		}
		alt := &group{any: true}
		for _, n := range names {
			c := *it
			c.field = n
			c.values = slices.Clone(it.values)
			alt.items = append(alt.items, &c)
		}
		g.kids = append(g.kids, alt)
	}
	g.items = items
}

var pythonGroup = regexp.MustCompile(`\\(\d)`)

// pythonGroups writes \1 as Go does.
func pythonGroups(s string) string {
	return pythonGroup.ReplaceAllStringFunc(strings.ReplaceAll(s, "$", "$$"), func(m string) string {
		n, _ := strconv.Atoi(m[1:])
		return "${" + strconv.Itoa(n) + "}"
	})
}
