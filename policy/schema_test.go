package policy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/policy"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain reads YAML as an editor does: what is neither a truth nor a number is a text.
func plain(t *testing.T, src []byte) (any, bool) {
	t.Helper()
	var n yaml.Node
	if yaml.Unmarshal(src, &n) != nil || len(n.Content) == 0 {
		return nil, false
	}
	return value(n.Content[0], 0)
}

func value(n *yaml.Node, depth int) (any, bool) {
	if depth > 40 {
		return nil, false
	}
	switch n.Kind {
	case yaml.AliasNode:
		return value(n.Alias, depth+1)
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, ok := value(n.Content[i+1], depth+1)
			if !ok {
				return nil, false
			}
			out[n.Content[i].Value] = v
		}
		return out, true
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, ok := value(item, depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, true
	}
	switch {
	case n.Value == "true" || n.Value == "false":
		return n.Value == "true", true
	case n.Tag == "!!int" && regexp.MustCompile(`^\d+$`).MatchString(n.Value):
		return json.Number(n.Value), true
	}
	return n.Value, true
}

// What compiles passes the schema: an editor never marks what is right.
func TestTheSchemaAcceptsWhatCompiles(t *testing.T) {
	s := schema(t)
	files, _ := filepath.Glob("../policies/*.yaml")
	for _, file := range append(files, "testdata/core.yaml") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := plain(t, src)
		if err := s.Validate(v); err != nil && file != "testdata/core.yaml" {
			t.Errorf("%s: %v", file, err)
		} else if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	bad, _ := filepath.Glob("testdata/bad/*.txtar")
	for _, file := range bad {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		src := completed(string(a.Files[0].Data))
		if p, _ := policy.Compile("p.yaml", []byte(src)); p == nil {
			continue
		}
		if v, ok := plain(t, []byte(src)); ok {
			if err := s.Validate(v); err != nil {
				t.Errorf("%s compiles with warnings, and the schema refuses it: %v", file, err)
			}
		}
	}
}

// Where the form alone shows a mistake, the schema shows it as well.
func TestTheSchemaRefusesWhatItCanTell(t *testing.T) {
	s := schema(t)
	told := map[string]bool{"unknown-key": true, "wrong-type": true}
	refused := 0
	bad, _ := filepath.Glob("testdata/bad/*.txtar")
	for _, file := range bad {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		src := completed(string(a.Files[0].Data))
		v, ok := plain(t, []byte(src))
		if !ok {
			continue
		}
		_, diags := policy.Compile("p.yaml", []byte(src))
		can := false
		for _, d := range diags {
			// Keys that depend on the verb or the type beside them are the compiler's to judge.
			can = can || told[d.Code] && strings.Contains(d.Message, "has no key") && d.Severity == policy.Error
		}
		if !can {
			continue
		}
		refused++
		if s.Validate(v) == nil {
			t.Errorf("%s: the schema says nothing:\n%s", file, src)
		}
	}
	if refused < 3 {
		t.Errorf("the schema refused %d bad policies, want at least 3", refused)
	}
}

func TestEveryKeyOfTheSchemaIsDescribed(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(policy.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	keys := 0
	walk := func(where string, v map[string]any) {
		props, _ := v["properties"].(map[string]any)
		for name, p := range props {
			keys++
			if d, _ := p.(map[string]any)["description"].(string); len(d) < 8 {
				t.Errorf("%s.%s has no description", where, name)
			}
		}
	}
	walk("policy", root)
	for name, d := range root["$defs"].(map[string]any) {
		walk(name, d.(map[string]any))
	}
	if keys < 80 {
		t.Errorf("the schema has %d keys, want all of the language", keys)
	}
}

// Each key stands in an example of the book, which a test compiles.
func TestEveryKeyHasAnExample(t *testing.T) {
	pages, err := filepath.Glob("../docs/policy/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := ""
	for _, file := range pages {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples += strings.Join(regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllString(string(page), -1), "\n") + "\n"
	}
	var root map[string]any
	if err := json.Unmarshal(policy.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	look := func(where string, v any) {
		m, _ := v.(map[string]any)
		props, _ := m["properties"].(map[string]any)
		for name := range props {
			if name != "not-before" && !regexp.MustCompile(`(?m)(^|[{, -])`+regexp.QuoteMeta(name)+`:`).MatchString(examples) {
				t.Errorf("%s: %s stands in no example of docs/policy", where, name)
			}
		}
	}
	look("the policy", root)
	for name, d := range root["$defs"].(map[string]any) {
		look(name, d)
	}
}
