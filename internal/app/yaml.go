package app

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A mistake is one thing that is wrong with the configuration: where, and what to do about it. It
// never repeats a value, because the value may be a secret in the wrong place.
type mistake struct {
	Line  int    // 0 when the field is not in the file
	Field string // such as mail.relay; "" when the file as a whole is meant
	Say   string
}

func (m *mistake) Error() string {
	var b strings.Builder
	if m.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", m.Line)
	}
	if m.Field != "" {
		b.WriteString(m.Field + ": ")
	}
	return b.String() + m.Say
}

// located puts mistakes at their place in a file, one a line, as FILE:LINE: FIELD: what to do.
func located(file string, root *yaml.Node, err error) error {
	var all []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	} else {
		all = []error{err}
	}
	lines := make([]error, len(all))
	for i, err := range all {
		var m *mistake
		if !errors.As(err, &m) {
			field, _, _ := strings.Cut(err.Error(), ": ")
			m = &mistake{Say: err.Error(), Line: lineOf(root, field)}
		}
		if m.Line == 0 {
			m.Line = lineOf(root, m.Field)
		}
		place := file
		if m.Line > 0 {
			place += ":" + strconv.Itoa(m.Line)
		}
		say := &mistake{Field: m.Field, Say: m.Say}
		lines[i] = fmt.Errorf("%s: %w", place, say)
	}
	return errors.Join(lines...)
}

var index = regexp.MustCompile(`\[(\d+)\]`)

// lineOf finds the line of a field such as connectors.app_tokens.probe.url, or of the nearest
// thing around it that is in the file; 0 when nothing of it is.
func lineOf(root *yaml.Node, field string) int {
	if root == nil || field == "" {
		return 0
	}
	node, line := root, 0
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for step := range strings.SplitSeq(index.ReplaceAllString(field, ".$1"), ".") {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		next := (*yaml.Node)(nil)
		switch node.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == step {
					next, line = node.Content[i+1], node.Content[i].Line
				}
			}
		case yaml.SequenceNode:
			if n, err := strconv.Atoi(step); err == nil && n < len(node.Content) {
				next = node.Content[n]
				line = next.Line
			}
		}
		if next == nil {
			return line
		}
		node = next
	}
	return line
}

// decode fills into from a node, and refuses keys that it does not have, keys given twice and
// values of another shape; each is named by line and field. The library's own strict decoder works
// on whole documents only and repeats values in its errors.
func decode(node *yaml.Node, field string, into any) error {
	if err := shape(node, field, reflect.TypeOf(into).Elem(), 0); err != nil {
		return err
	}
	if err := node.Decode(into); err != nil {
		return &mistake{Line: node.Line, Field: field, Say: "cannot be read: compare it with the example in docs/operator.md"}
	}
	return nil
}

var (
	nodeType     = reflect.TypeFor[yaml.Node]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	yamlType     = reflect.TypeFor[yaml.Unmarshaler]()
)

// maxDepth bounds the nesting of a configuration, and with it a chain of aliases.
const maxDepth = 32

func shape(node *yaml.Node, field string, t reflect.Type, depth int) error {
	wrong := func(format string, args ...any) error {
		return &mistake{Line: node.Line, Field: field, Say: fmt.Sprintf(format, args...)}
	}
	if depth > maxDepth {
		return wrong("is nested too deeply")
	}
	if node.Kind == yaml.AliasNode {
		return shape(node.Alias, field, t, depth+1)
	}
	if t == nodeType || node.Tag == "!!null" {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		return shape(node, field, t.Elem(), depth+1)
	}
	if p := reflect.PointerTo(t); p.Implements(yamlType) || p.Implements(textType) || t == durationType {
		if node.Kind != yaml.ScalarNode || node.Decode(reflect.New(t).Interface()) != nil {
			return wrong("has to be %s", expected(t))
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		if node.Kind != yaml.MappingNode {
			return wrong("has to be a mapping of fields")
		}
		fields := map[string]reflect.Type{}
		fieldsOf(t, fields)
		return entries(node, field, func(name string, at int, value *yaml.Node) error {
			of, ok := fields[name]
			if !ok {
				return &mistake{Line: at, Field: join(field, name), Say: "there is no such field: there are " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")}
			}
			return shape(value, join(field, name), of, depth+1)
		})
	case reflect.Map:
		if node.Kind != yaml.MappingNode {
			return wrong("has to be a mapping of names")
		}
		return entries(node, field, func(name string, _ int, value *yaml.Node) error {
			return shape(value, join(field, name), t.Elem(), depth+1)
		})
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			return wrong("has to be a list")
		}
		for i, item := range node.Content {
			if err := shape(item, fmt.Sprintf("%s[%d]", field, i), t.Elem(), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if node.Kind != yaml.ScalarNode || node.Decode(reflect.New(t).Interface()) != nil {
		return wrong("has to be %s", expected(t))
	}
	return nil
}

// entries walks a mapping. A key that stands twice is a mistake: one of the two would be lost.
func entries(node *yaml.Node, field string, each func(name string, line int, value *yaml.Node) error) error {
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if seen[key.Value] {
			return &mistake{Line: key.Line, Field: join(field, key.Value), Say: "stands there twice: remove one"}
		}
		seen[key.Value] = true
		if err := each(key.Value, key.Line, value); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf collects the keys that a struct reads, those of inlined structs among them.
func fieldsOf(t reflect.Type, into map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case strings.Contains(options, "inline"):
			fieldsOf(f.Type, into)
		case name == "":
			into[strings.ToLower(f.Name)] = f.Type
		default:
			into[name] = f.Type
		}
	}
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func expected(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a length of time such as 30s or 5m"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64:
		return "a number"
	}
	return "text"
}

// syntax is a YAML syntax error on one line; it names lines and never values.
func syntax(err error) *mistake {
	text := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
	m := &mistake{Say: "is no YAML: " + text}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, say, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			m.Line, m.Say = n, "is no YAML: "+say
		}
	}
	return m
}
