package docs

import (
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
	"testing"
)

const dependenciesFile = "docs/design/dependencies.md"

// What we import has a line that says what for, and no line speaks of what we no longer import.
func TestEveryDependencyHasItsReason(t *testing.T) {
	listed := map[string]bool{} // module to whether something imports it
	for _, p := range parsePages(t) {
		if p.name != dependenciesFile {
			continue
		}
		for _, s := range p.spans {
			if first, _, ok := strings.Cut(s.text, "/"); ok && strings.Contains(first, ".") {
				listed[s.text] = false
			}
		}
	}
	missing := map[string]string{}
	for _, f := range tree(t) {
		if path.Ext(f.name) != ".go" || strings.Contains(f.name, "testdata/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.name, f.text, parser.ImportsOnly)
		if err != nil {
			continue // the compiler says so better
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(name, "/")
			if err != nil || !strings.Contains(first, ".") || strings.HasPrefix(name, "github.com/tocsin-ir/tocsin") {
				continue
			}
			found := false
			for module := range listed {
				if name == module || strings.HasPrefix(name, module+"/") {
					listed[module], found = true, true
				}
			}
			if !found {
				missing[name] = f.name
			}
		}
	}
	for name, where := range missing {
		t.Errorf("%s imports %s, and %s does not say what for", where, name, dependenciesFile)
	}
	for module, used := range listed {
		if !used {
			t.Errorf("%s lists %s, and nothing imports it", dependenciesFile, module)
		}
	}
}
