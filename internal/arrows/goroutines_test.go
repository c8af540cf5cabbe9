package arrows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goroutines are the places of a file at which more than one goroutine may begin.
func goroutines(file *ast.File) (found []token.Pos) {
	for _, imp := range file.Imports {
		switch strings.Trim(imp.Path.Value, `"`) {
		case "sync", "sync/atomic", "context", "net/http/httptest":
			found = append(found, imp.Pos())
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, n.Pos())
		case *ast.SelectorExpr:
			if n.Sel.Name == "Parallel" || n.Sel.Name == "Go" {
				found = append(found, n.Pos())
			}
		}
		return true
	})
	return found
}

// The Makefile leaves out of the race what one goroutine does: that it is one, in the package and in its
// tests, is held here.
func TestWhatIsLeftOutOfTheRaceIsOneGoroutine(t *testing.T) {
	raw, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(raw), "\nALONE :=")
	list, _, _ = strings.Cut(list, "\n")
	if !ok || len(strings.Fields(list)) == 0 {
		t.Fatal("the Makefile has no list ALONE")
	}
	files := token.NewFileSet()
	for _, dir := range strings.Fields(list) {
		names, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s holds no package: %v", dir, err)
		}
		for _, name := range names {
			file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range goroutines(file) {
				t.Errorf("%s: more than one goroutine may begin here: take %s out of ALONE in the Makefile", files.Position(at), dir)
			}
		}
	}
	file, err := parser.ParseFile(files, "two.go", `package two
import "sync"
func f() { go f(); var g sync.WaitGroup; g.Go(f) }`, 0)
	if err != nil || len(goroutines(file)) != 3 {
		t.Errorf("a file that begins goroutines is not told from one that does not: %v", err)
	}
}
