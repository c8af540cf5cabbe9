package sigma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Meta is what a rule, a correlation or a filter says about itself.
type Meta struct {
	At          Position
	Title       string
	ID          string
	Name        string
	Status      string
	Description string
	Author      string
	Level       string // "", informational, low, medium, high or critical
	Tags        []string
	Fields      []string // worth showing of an event
	References  []string
	FalseAlarms []string // falsepositives
	// Class, Signal and Says are ours, below the custom key tocsin: the class of incident that the rule
	// opens, the name of its signal where a policy lists that for a class of its own, and its
	// sentence, in which {field} stands for the value of a field.
	Class, Signal, Says string
}

// Label names the rule for people: its title, or what it has instead.
func (m *Meta) Label() string {
	for _, s := range []string{m.Title, m.Name, m.ID} {
		if s != "" {
			return s
		}
	}
	return m.At.String()
}

// Logsource says which events a rule is about. An empty part is any.
type Logsource struct {
	Category string `json:"category,omitempty"`
	Product  string `json:"product,omitempty"`
	Service  string `json:"service,omitempty"`
}

// String gives the parts that are set.
func (l Logsource) String() string {
	var parts []string
	for _, p := range [][2]string{{"category", l.Category}, {"product", l.Product}, {"service", l.Service}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if len(parts) == 0 {
		return "any"
	}
	return strings.Join(parts, ", ")
}

// holds reports whether a rule with log source l is about an event of source e.
func (l Logsource) holds(e Logsource) bool {
	return (l.Category == "" || l.Category == e.Category) && (l.Product == "" || l.Product == e.Product) && (l.Service == "" || l.Service == e.Service)
}

// Rule is a detection rule.
type Rule struct {
	Meta
	Logsource Logsource
	search    []*selection
	condition []*expr               // one of them is enough
	renames   []func(string) string // of fields, by pipelines
}

// Filter is a document that narrows rules.
type Filter struct {
	Meta
	Logsource Logsource
	Rules     []string // ids or names; nil is every rule
	search    []*selection
	condition *expr
}

// document is one document of a rule file, one of the three.
type document struct {
	rule        *Rule
	correlation *Correlation
	filter      *Filter
}

var (
	dateForm = regexp.MustCompile(`^\d{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])$`)
	levels   = []string{"informational", "low", "medium", "high", "critical"}
	statuses = []string{"stable", "test", "experimental", "deprecated", "unsupported"}
)

// parseFile reads all documents of a file. A document with an error gives none.
func parseFile(file string, src []byte) (docs []document, problems []*Problem) {
	whole := func(line int, text, hint string) []*Problem {
		return append(problems, &Problem{At: Position{file, line, min(line, 1)}, Text: text, Hint: hint})
	}
	if len(src) > maxFile {
		return nil, whole(0, fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "split it")
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var global []pair
	for {
		var n yaml.Node
		err := decodeNode(dec, &n)
		if errors.Is(err, io.EOF) {
			return docs, problems
		}
		if err != nil {
			line, text := yamlError(err)
			return docs, whole(line, "this is no YAML: "+text, "mend it; nothing below is read")
		}
		left := maxNodes
		if err := measure(&n, 0, &left, map[*yaml.Node]bool{}); err != nil {
			return docs, whole(n.Line, err.Error(), "split it")
		}
		if len(n.Content) == 0 || n.Content[0].ShortTag() == "!!null" {
			continue
		}
		r := &reader{file: file}
		d := r.document(n.Content[0], &global)
		if !r.failed() {
			docs = append(docs, d...)
		}
		problems = append(problems, r.problems...)
	}
}

// decodeNode turns a panic of the YAML library into an error: rules come from anywhere.
func decodeNode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	return dec.Decode(n)
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func yamlError(err error) (line int, text string) {
	text = err.Error()
	m := yamlLine.FindStringSubmatch(text)
	if line, _ = strconv.Atoi(m[1]); line == 0 {
		line = 1 // the library leaves out the first
	}
	return line, strings.TrimPrefix(text, m[0])
}

// document reads one document. An action document of the older collections sets what the ones
// after it have in common.
func (r *reader) document(n *yaml.Node, global *[]pair) []document {
	all := r.pairs(n, "a rule")
	if len(all) == 0 {
		if !r.failed() {
			r.fail(n, "it needs a title and a detection, a correlation or a filter", "this document is empty")
		}
		return nil
	}
	if i := slices.IndexFunc(all, func(p pair) bool { return p.key.Value == "action" }); i >= 0 {
		action := all[i].value
		all = slices.Delete(all, i, i+1)
		switch action.Value {
		case "global":
			*global = all
		case "reset":
			*global = nil
		case "repeat":
			r.fail(action, "write the rule out", "the action repeat is not known")
		default:
			r.fail(action, "global and reset are", "the action %s is not known", quote(action.Value))
		}
		return nil
	}
	for _, g := range *global {
		if !slices.ContainsFunc(all, func(p pair) bool { return p.key.Value == g.key.Value }) {
			all = append(all, g)
		}
	}
	keys := map[string]*yaml.Node{}
	for _, p := range all {
		keys[p.key.Value] = p.value
	}
	m := r.meta(n, keys)
	kinds := 0
	for _, k := range []string{"detection", "correlation", "filter"} {
		if keys[k] != nil {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		r.fail(n, "make them documents of their own, with --- between them", "a document is a rule, a correlation or a filter, and this is more than one")
	case keys["correlation"] != nil:
		if c := r.correlation(m, keys["correlation"]); c != nil {
			if g := keys["generate"]; g != nil { // the schema has it here, the reference implementation inside
				c.Generate = r.boolean(g, "generate")
			}
			return []document{{correlation: c}}
		}
	case keys["filter"] != nil:
		if f := r.filter(m, n, keys); f != nil {
			return []document{{filter: f}}
		}
	case keys["detection"] != nil:
		rule := &Rule{Meta: m, Logsource: r.logsource(n, keys)}
		var cond *yaml.Node
		rule.search, cond = r.detection(keys["detection"], "detection", nil)
		if cond == nil {
			if !r.failed() {
				r.fail(keys["detection"], "add condition: with the names of the selections", "the detection has no condition")
			}
			return nil
		}
		rule.condition = r.conditions(cond, rule.search)
		return []document{{rule: rule}}
	default:
		r.fail(n, "add detection:, correlation: or filter:", "the document detects nothing")
	}
	return nil
}

func (r *reader) meta(n *yaml.Node, keys map[string]*yaml.Node) Meta {
	m := Meta{At: r.at(n)}
	get := func(key string) string {
		if v := keys[key]; v != nil && v.ShortTag() != "!!null" {
			return r.text(v, key)
		}
		return ""
	}
	list := func(key string) []string {
		if v := keys[key]; v != nil && v.ShortTag() != "!!null" {
			return r.texts(v, key)
		}
		return nil
	}
	m.Title = get("title")
	r.title = m.Title
	switch {
	case m.Title == "":
		r.fail(n, "add title: in a few words, what it detects", "the rule has no title")
	case len([]rune(m.Title)) > 256:
		r.fail(keys["title"], "say it in fewer words", "the title is longer than 256 characters")
	}
	m.ID, m.Name, m.Description, m.Author = get("id"), get("name"), get("description"), get("author")
	if m.Level = get("level"); m.Level != "" && !slices.Contains(levels, m.Level) {
		r.fail(keys["level"], "it is one of "+strings.Join(levels, ", "), "the level %s is not known", quote(m.Level))
	}
	if m.Status = get("status"); m.Status != "" && !slices.Contains(statuses, m.Status) {
		r.fail(keys["status"], "it is one of "+strings.Join(statuses, ", "), "the status %s is not known", quote(m.Status))
	}
	if m.Status == "unsupported" {
		r.warn(keys["status"], "it may not find what it says", "the rule is marked unsupported")
	}
	for _, k := range []string{"date", "modified"} {
		if s := get(k); s != "" && !dateForm.MatchString(s) {
			r.warn(keys[k], "write YYYY-MM-DD", "%s is no date", k)
		}
	}
	m.Tags, m.Fields, m.References, m.FalseAlarms = list("tags"), list("fields"), list("references"), list("falsepositives")
	if ours := keys["tocsin"]; ours != nil {
		for _, p := range r.pairs(ours, "tocsin") {
			switch p.key.Value {
			case "class":
				m.Class = r.text(p.value, "class")
			case "signal":
				m.Signal = r.text(p.value, "signal")
			case "says":
				m.Says = r.text(p.value, "says")
			default:
				r.fail(p.key, "there are class, signal and says", "tocsin has no %s", quote(p.key.Value))
			}
		}
	}
	return m
}

func (r *reader) logsource(n *yaml.Node, keys map[string]*yaml.Node) (l Logsource) {
	v := keys["logsource"]
	if v == nil {
		r.fail(n, "add logsource: with category, product or service", "the rule does not say which log it is about")
		return l
	}
	for _, p := range r.pairs(v, "logsource") {
		if p.value.ShortTag() == "!!null" {
			continue
		}
		switch p.key.Value {
		case "category":
			l.Category = strings.ToLower(r.text(p.value, "category"))
		case "product":
			l.Product = strings.ToLower(r.text(p.value, "product"))
		case "service":
			l.Service = strings.ToLower(r.text(p.value, "service"))
		}
	}
	for _, name := range []string{l.Category, l.Service} {
		// Such a rule would be asked of nothing, and nothing would say so.
		if l.Product == "" && slices.Contains(Kinds, name) {
			r.warn(v, "write product: tocsin, service: "+name, "no log has this source: %s is a kind of our own access events", name)
			break
		}
	}
	return l
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		return strings.EqualFold(n.Value, "true")
	}
	r.fail(n, "write true or false", "%s is neither true nor false", what)
	return false
}

func (r *reader) filter(m Meta, n *yaml.Node, keys map[string]*yaml.Node) *Filter {
	f := &Filter{Meta: m, Logsource: r.logsource(n, keys)}
	var cond *yaml.Node
	f.search, cond = r.detection(keys["filter"], "filter", func(k, v *yaml.Node) bool {
		if k.Value != "rules" {
			return false
		}
		if v.Kind == yaml.ScalarNode && strings.EqualFold(v.Value, "any") || v.Kind == yaml.SequenceNode && len(v.Content) == 0 {
			return true
		}
		f.Rules = r.texts(v, "rules")
		return true
	})
	if cond == nil {
		if !r.failed() {
			r.fail(keys["filter"], "add condition:, such as not selection", "the filter has no condition")
		}
		return nil
	}
	f.condition = oneOf(r.conditions(cond, f.search))
	return f
}
