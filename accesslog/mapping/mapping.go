// Package mapping turns the entries of any log into access events by a file that says how: YAML
// that names where each field comes from, as CEL over the entry. It is pure.
package mapping

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tocsin-ir/tocsin/accesslog/format"
)

// Mapping says how to read the entries of one log.
type Mapping struct {
	Name string

	record  string // json, csv or text
	columns []string
	pattern *regexp.Regexp
	skip    cel.Program
	fields  []field
}

type field struct {
	name string // of the native form, dotted
	eval cel.Program
}

// Limits of a mapping file and of one evaluation.
const (
	maxFile    = 64 << 10
	maxCost    = 100_000
	maxColumns = 500
)

// names are the fields a mapping may set, and whether one takes a value other than text.
var names = map[string]bool{
	"id": false, "time": false, "kind": false, "env": false, "actor.type": false, "actor.id": false, "credential": false, "session": false,
	"action": false, "endpoint": false, "purpose": false, "merchant": false, "store": false, "outcome": false, "source.ip": false,
	"source.user_agent": false, "subjects": true, "data_types": true, "records": true, "bytes": true, "attributes": true, "app": false,
}

// Parse reads a mapping file. An error names the file, the line and the column, and what to do.
func Parse(file string, text []byte) (*Mapping, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d KiB", file, maxFile>>10)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:1:1: a mapping file begins with name, record and fields", file)
	}
	m := &Mapping{record: "json"}
	env, err := cel.NewEnv(cel.Variable("r", cel.DynType), ext.Strings(), ext.Encoders(), cel.OptionalTypes())
	if err != nil {
		return nil, err
	}
	c := compiler{file: file, env: env}
	root := doc.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch key.Value {
		case "name":
			m.Name = value.Value
		case "record":
			if m.record = value.Value; !slices.Contains([]string{"json", "csv", "text"}, m.record) {
				return nil, c.at(value, "record is json (one object a line), csv or text")
			}
		case "columns":
			if value.Decode(&m.columns) != nil || len(m.columns) == 0 || len(m.columns) > maxColumns {
				return nil, c.at(value, "columns is the list of the names of a row's values")
			}
		case "pattern":
			if m.pattern, err = regexp.Compile(value.Value); err != nil {
				return nil, c.at(value, "pattern is not a regular expression: "+err.Error())
			}
		case "skip":
			if m.skip, err = c.compile(value); err != nil {
				return nil, err
			}
		case "fields":
			if m.fields, err = c.fields(value); err != nil {
				return nil, err
			}
		default:
			return nil, c.at(key, fmt.Sprintf("there is no %q here: it is name, record, columns, pattern, skip or fields", key.Value))
		}
	}
	switch {
	case m.record == "text" && m.pattern == nil:
		return nil, fmt.Errorf("%s: record text needs a pattern with named groups, such as (?P<user>\\S+)", file)
	case m.record == "csv" && m.columns == nil:
		return nil, fmt.Errorf("%s: record csv needs columns, the names of a row's values", file)
	case len(m.fields) == 0:
		return nil, fmt.Errorf("%s: fields is missing: it needs at least time and kind", file)
	}
	return m, nil
}

type compiler struct {
	file string
	env  *cel.Env
}

func (c *compiler) at(n *yaml.Node, text string) error {
	return fmt.Errorf("%s:%d:%d: %s", c.file, n.Line, n.Column, text)
}

func (c *compiler) fields(n *yaml.Node) ([]field, error) {
	if n.Kind != yaml.MappingNode {
		return nil, c.at(n, "fields is a list of the form field: expression")
	}
	var out []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, ok := names[key.Value]; !ok {
			return nil, c.at(key, fmt.Sprintf("no event has a field %q", key.Value))
		}
		if slices.ContainsFunc(out, func(f field) bool { return f.name == key.Value }) {
			return nil, c.at(key, key.Value+" is there twice")
		}
		p, err := c.compile(value)
		if err != nil {
			return nil, err
		}
		out = append(out, field{key.Value, p})
	}
	for _, needed := range []string{"time", "kind"} {
		if !slices.ContainsFunc(out, func(f field) bool { return f.name == needed }) {
			return nil, c.at(n, "fields has no "+needed+", which every event needs")
		}
	}
	return out, nil
}

func (c *compiler) compile(n *yaml.Node) (cel.Program, error) {
	if n.Kind != yaml.ScalarNode {
		return nil, c.at(n, "an expression is one text, such as r.user")
	}
	ast, issues := c.env.Compile(n.Value)
	if issues.Err() != nil {
		e := issues.Errors()[0]
		column := n.Column + e.Location.Column()
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			column++
		}
		return nil, fmt.Errorf("%s:%d:%d: %s", c.file, n.Line, column, e.Message)
	}
	p, err := c.env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, c.at(n, err.Error())
	}
	return p, nil
}

// Event is the native form of one entry, a line of JSON. Nothing and nil: the mapping skips it. A
// refusal names the field and the reason, never the value.
func (m *Mapping) Event(raw []byte) ([]byte, *format.Invalid) {
	r, bad := m.read(raw)
	if bad != nil {
		return nil, bad
	}
	vars := map[string]any{"r": r}
	if m.skip != nil {
		v, _, err := m.skip.Eval(vars)
		if err != nil {
			return nil, &format.Invalid{Field: "skip", Reason: reason(err)}
		}
		if v == types.True {
			return nil, nil
		}
	}
	out := map[string]any{}
	for _, f := range m.fields {
		v, _, err := f.eval.Eval(vars)
		if err != nil {
			return nil, &format.Invalid{Field: f.name, Reason: reason(err)}
		}
		value, ok := native(v, names[f.name])
		if !ok {
			return nil, &format.Invalid{Field: f.name, Reason: "comes out as a value that the field cannot take"}
		}
		if value == nil {
			continue
		}
		if group, name, nested := strings.Cut(f.name, "."); nested {
			inner, _ := out[group].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
				out[group] = inner
			}
			inner[name] = value
		} else {
			out[f.name] = value
		}
	}
	line, err := json.Marshal(out)
	if err != nil {
		return nil, &format.Invalid{Field: "event", Reason: "comes out as something JSON cannot hold"}
	}
	return line, nil
}

// read makes the variable r of an entry.
func (m *Mapping) read(raw []byte) (map[string]any, *format.Invalid) {
	if !utf8.Valid(raw) {
		return nil, &format.Invalid{Field: "event", Reason: "is not valid UTF-8"}
	}
	if len(raw) > format.MaxRaw {
		return nil, &format.Invalid{Field: "event", Reason: fmt.Sprintf("is larger than %d KiB as sent", format.MaxRaw>>10)}
	}
	switch m.record {
	case "text":
		match := m.pattern.FindSubmatch(raw)
		if match == nil {
			return nil, &format.Invalid{Field: "event", Reason: "does not match the pattern"}
		}
		out := map[string]any{}
		for i, name := range m.pattern.SubexpNames() {
			if name != "" {
				out[name] = string(match[i])
			}
		}
		return out, nil
	case "csv":
		r := csv.NewReader(bytes.NewReader(raw))
		r.FieldsPerRecord, r.LazyQuotes = -1, true
		row, err := r.Read()
		if err != nil {
			return nil, &format.Invalid{Field: "event", Reason: "is not a row of CSV"}
		}
		out := map[string]any{}
		for i, v := range row {
			if i < len(m.columns) {
				out[m.columns[i]] = v
			}
		}
		return out, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	var out map[string]any
	if dec.Decode(&out) != nil || out == nil {
		return nil, &format.Invalid{Field: "event", Reason: "is not a JSON object"}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &format.Invalid{Field: "event", Reason: "has something after its JSON object"}
	}
	return out, nil
}

// reason is an evaluation's error without what the entry held: CEL quotes keys and values.
func reason(err error) string {
	text := err.Error()
	for _, known := range []string{"no such key", "no such overload", "no such attribute", "cost limit exceeded", "divide by zero", "index out of bounds", "type conversion error"} {
		if strings.Contains(text, known) {
			return "cannot be worked out: " + known
		}
	}
	return "cannot be worked out from this entry"
}

// native is a value of CEL as JSON has it. Times are written as RFC 3339, whole numbers without a
// fraction. A field of text takes text, numbers and times.
func native(v ref.Val, rich bool) (value any, ok bool) {
	switch x := v.(type) {
	case types.String:
		return string(x), true
	case types.Null:
		return nil, true
	case types.Timestamp:
		return x.UTC().Format(time.RFC3339Nano), true
	case types.Int:
		if !rich {
			return fmt.Sprint(int64(x)), true
		}
		return int64(x), true
	case types.Uint:
		if !rich {
			return fmt.Sprint(uint64(x)), true
		}
		return uint64(x), true
	case types.Double:
		if f := float64(x); f == float64(int64(f)) { // JSON's numbers are doubles to CEL
			if !rich {
				return fmt.Sprint(int64(f)), true
			}
			return int64(f), true
		}
		return float64(x), rich
	case *types.Optional:
		if !x.HasValue() {
			return nil, true
		}
		return native(x.GetValue(), rich)
	}
	if !rich {
		return nil, false
	}
	plain, err := v.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err != nil {
		return nil, false
	}
	return plain.(*structpb.Value).AsInterface(), true
}
