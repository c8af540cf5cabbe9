package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strings"
	"testing"
)

// symbolText is inline code that names something exported of a package: package.Name, with an
// optional field or method, and an optional call.
var symbolText = regexp.MustCompile(`^([a-z][a-z0-9]*)\.([A-Z][A-Za-z0-9]*)(?:\.([A-Z][A-Za-z0-9]*))?(?:\(.*\)|\{.*\})?$`)

// exported lists what each package of the module offers, by the package's name: types, functions,
// variables and constants, and as Type.Name their fields and methods.
func exported(t *testing.T) map[string]map[string]bool {
	t.Helper()
	out := map[string]map[string]bool{}
	for _, f := range tree(t) {
		if path.Ext(f.name) != ".go" || strings.HasSuffix(f.name, "_test.go") || strings.Contains(f.name, "testdata/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.name, f.text, parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler says so better
		}
		pkg := parsed.Name.Name
		if out[pkg] == nil {
			out[pkg] = map[string]bool{}
		}
		for _, d := range parsed.Decls {
			collect(out[pkg], d)
		}
	}
	return out
}

func collect(names map[string]bool, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names[d.Name.Name] = true
			return
		}
		if recv := typeName(d.Recv.List[0].Type); recv != "" {
			names[recv+"."+d.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names[n.Name] = true
				}
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				members(names, s.Name.Name, s.Type)
			}
		}
	}
}

func members(names map[string]bool, of string, e ast.Expr) {
	var list *ast.FieldList
	switch e := e.(type) {
	case *ast.StructType:
		list = e.Fields
	case *ast.InterfaceType:
		list = e.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			names[of+"."+n.Name] = true
		}
		if len(f.Names) == 0 {
			if n := typeName(f.Type); n != "" {
				names[of+"."+n] = true
			}
		}
	}
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// method says whether a type of the package has a method or field of this name.
func method(names map[string]bool, name string) bool {
	for n := range names {
		if strings.HasSuffix(n, "."+name) {
			return true
		}
	}
	return false
}

func TestEverySymbolADocumentNamesExists(t *testing.T) {
	all := exported(t)
	named := 0
	for _, p := range parsePages(t) {
		for _, s := range p.spans {
			m := symbolText.FindStringSubmatch(s.text)
			if m == nil || all[m[1]] == nil {
				continue // not ours: time.Now, for one
			}
			if strings.ToUpper(m[2]) == m[2] {
				continue // stands for a name of the reader's own: people.ROLE is a check of the doctor
			}
			named++
			name := m[2]
			if m[3] != "" {
				name += "." + m[3]
			}
			// A method is often named by its package alone: desk.Submit, where there is one desk.
			if !all[m[1]][name] && !method(all[m[1]], name) {
				t.Errorf("%s:%d: package %s has no %s", p.name, s.line, m[1], name)
			}
		}
	}
	if named == 0 {
		t.Fatal("no symbol found in any document: the test looks for the wrong thing")
	}
}
