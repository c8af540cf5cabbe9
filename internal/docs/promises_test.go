package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/scenarios"
)

var update = flag.Bool("update", false, "write the test column of docs/promises.md anew")

const promisesFile = "docs/promises.md"

// families are the promises there are: a name and how many of it, numbered from 1.
var families = []struct {
	name  string
	count int
}{
	{"DET", 13}, {"CLS", 3}, {"CON", 7}, {"INV", 4}, {"NOT", 9}, {"REC", 6}, {"REV", 4}, {"PRO", 12}, {"PUB", 3},
}

// The states of a promise.
const (
	keptInDrill = "kept in drill"
	partly      = "partly"
	notYet      = "not yet"
)

// columns of the table, after the id.
const (
	colPromise = iota
	colCommand
	colScreen
	colTest
	colState
	colCount
)

func ids() []string {
	var out []string
	for _, f := range families {
		for i := range f.count {
			out = append(out, fmt.Sprintf("%s-%d", f.name, i+1))
		}
	}
	return out
}

// row is one promise of the table.
type row struct {
	id    string
	line  int // counts from 1
	cells []string
}

// state is the state without what is said after it.
func (r row) state() string {
	s, _, _ := strings.Cut(r.cells[colState], ":")
	return strings.TrimSpace(s)
}

// missing is what the row says is not there.
func (r row) missing() string {
	_, s, _ := strings.Cut(r.cells[colState], ":")
	return strings.TrimSpace(s)
}

var rowStart = regexp.MustCompile(`^\| ?([A-Z]{3}-[0-9]+) ?\|(.*)\|\s*$`)

func readRows(t *testing.T) ([]row, []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, promisesFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	var rows []row
	for i, line := range lines {
		m := rowStart.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		cells := splitCells(m[2])
		if len(cells) != colCount {
			t.Fatalf("%s:%d: %s has %d cells after its id, not %d", promisesFile, i+1, m[1], len(cells), colCount)
		}
		rows = append(rows, row{id: m[1], line: i + 1, cells: cells})
	}
	return rows, lines
}

// splitCells splits at bars that are not escaped.
func splitCells(s string) []string {
	const escaped = "\x00"
	cells := strings.Split(strings.ReplaceAll(s, `\|`, escaped), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(c, escaped, `\|`))
	}
	return cells
}

func TestEveryPromiseHasExactlyOneRow(t *testing.T) {
	rows, _ := readRows(t)
	seen := map[string]int{}
	for _, r := range rows {
		seen[r.id]++
		if !slices.Contains(ids(), r.id) {
			t.Errorf("%s:%d: %s is no promise", promisesFile, r.line, r.id)
		}
		if r.cells[colPromise] == "" {
			t.Errorf("%s:%d: %s does not say what is promised", promisesFile, r.line, r.id)
		}
	}
	for _, id := range ids() {
		if seen[id] != 1 {
			t.Errorf("%s: %s has %d rows, not one", promisesFile, id, seen[id])
		}
	}
}

func TestEveryStateSaysWhatItsRowCanShow(t *testing.T) {
	rows, _ := readRows(t)
	for _, r := range rows {
		where := fmt.Sprintf("%s:%d: %s", promisesFile, r.line, r.id)
		switch r.state() {
		case keptInDrill:
			if r.cells[colCommand] == "" {
				t.Errorf("%s is kept in drill and names no command that shows it", where)
			}
			if r.cells[colTest] == "" {
				t.Errorf("%s is kept in drill and no test shows it: mark one with // promise: %s", where, r.id)
			}
		case partly, notYet:
			if r.missing() == "" {
				t.Errorf("%s is %s and does not say what is missing: write %q", where, r.state(), r.state()+": what is missing")
			}
		default:
			t.Errorf("%s: state %q is not %s, %s or %s", where, r.state(), keptInDrill, partly, notYet)
		}
	}
}

// The table may not claim more than the drill expects, nor less.
func TestStatesAgreeWithWhatTheDrillExpects(t *testing.T) {
	rows, _ := readRows(t)
	expected := map[string][]string{} // promise to what the policies of all scenarios expect of it
	for _, name := range scenarios.Names() {
		m, err := scenarios.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, promises := range m.Policies {
			for id, e := range promises {
				expected[id] = append(expected[id], e.Expect)
			}
		}
	}
	if len(expected) == 0 {
		t.Fatal("the scenarios expect nothing")
	}
	for id := range expected {
		if !slices.Contains(ids(), id) {
			t.Errorf("a scenario's manifest names %s, which is no promise", id)
		}
	}
	for _, r := range rows {
		kept := slices.Contains(expected[r.id], scenarios.Kept)
		if kept != (r.state() == keptInDrill) {
			t.Errorf("%s:%d: %s is %q, and the manifests expect %v", promisesFile, r.line, r.id, r.state(), expected[r.id])
		}
	}
}

// tag is one place in the code that says which promise it shows.
type tag struct {
	ids  []string
	file string
	line int
	test string // name of the test around it; "" outside a test
}

var tagText = regexp.MustCompile(`(?://|#) promise: *([^\r\n]*)`)
var tagID = regexp.MustCompile(`^[A-Z]{3}-[0-9]+$`)

// tags finds every tag. Go files are parsed, so that a tag belongs to the test whose comment or
// body it stands in; script tests belong to their file.
func tags(t *testing.T) []tag {
	t.Helper()
	var out []tag
	for _, f := range tree(t) {
		switch ext := path.Ext(f.name); {
		case ext == ".go" && strings.Contains(f.text, "// promise:"):
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, f.name, f.text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Logf("%s does not parse, its tags are not read: %v", f.name, err)
				continue
			}
			for _, group := range parsed.Comments {
				for _, c := range group.List {
					m := tagText.FindStringSubmatch(c.Text)
					if m == nil {
						continue
					}
					out = append(out, tag{ids: splitIDs(m[1]), file: f.name, line: fset.Position(c.Pos()).Line, test: testAround(fset, parsed, c)})
				}
			}
		case (ext == ".txt" || ext == ".txtar") && strings.Contains(f.name, "testdata/"):
			for i, line := range strings.Split(f.text, "\n") {
				if m := tagText.FindStringSubmatch(line); m != nil {
					out = append(out, tag{ids: splitIDs(m[1]), file: f.name, line: i + 1, test: path.Base(f.name)})
				}
			}
		}
	}
	return out
}

func splitIDs(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// testAround names the test function whose doc comment, line or body holds c.
func testAround(fset *token.FileSet, f *ast.File, c *ast.Comment) string {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !isTest(fn.Name.Name) {
			continue
		}
		from := fn.Pos()
		if fn.Doc != nil {
			from = fn.Doc.Pos()
		}
		if c.Pos() >= from && fset.Position(c.Pos()).Line <= fset.Position(fn.End()).Line {
			return fn.Name.Name
		}
	}
	return ""
}

func isTest(name string) bool {
	for _, p := range []string{"Test", "Fuzz", "Example", "Benchmark"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func TestEveryTagNamesAKnownPromise(t *testing.T) {
	all := tags(t)
	if len(all) == 0 {
		t.Fatal("no tag found: the tests look in the wrong place")
	}
	for _, g := range all {
		if len(g.ids) == 0 {
			t.Errorf("%s:%d: the tag names no promise", g.file, g.line)
		}
		for _, id := range g.ids {
			if !tagID.MatchString(id) || !slices.Contains(ids(), id) {
				t.Errorf("%s:%d: %q is no promise", g.file, g.line, id)
			}
		}
		if strings.HasSuffix(g.file, "_test.go") && g.test == "" {
			t.Errorf("%s:%d: the tag stands at no test: put it above the function that shows the promise", g.file, g.line)
		}
	}
}

// column is what the test column of each promise has to be, from the tags in the code.
func column(t *testing.T) map[string]string {
	t.Helper()
	type place struct{ file, test string }
	by := map[string]map[place]bool{}
	for _, g := range tags(t) {
		if g.test == "" {
			continue
		}
		for _, id := range g.ids {
			if by[id] == nil {
				by[id] = map[place]bool{}
			}
			by[id][place{g.file, g.test}] = true
		}
	}
	out := map[string]string{}
	for id, places := range by {
		files := map[string][]string{}
		for p := range places {
			files[p.file] = append(files[p.file], p.test)
		}
		var cells []string
		for _, f := range slices.Sorted(maps.Keys(files)) {
			tests := files[f]
			slices.Sort(tests)
			if len(tests) == 1 && path.Base(f) == tests[0] { // a script
				cells = append(cells, "`"+f+"`")
				continue
			}
			cells = append(cells, "`"+f+"` "+strings.Join(tests, ", "))
		}
		out[id] = strings.Join(cells, "<br>")
	}
	return out
}

// The column is written by machine, so a test that is renamed or gone cannot stay in it.
func TestEveryRowNamesTheTestsThatShowIt(t *testing.T) {
	rows, lines := readRows(t)
	want := column(t)
	changed := false
	for _, r := range rows {
		if r.cells[colTest] == want[r.id] {
			continue
		}
		if !*update {
			t.Errorf("%s:%d: the tests of %s are\n  %s\nand the table says\n  %s\nrun go test ./internal/docs -update", promisesFile, r.line, r.id, want[r.id], r.cells[colTest])
			continue
		}
		r.cells[colTest] = want[r.id]
		lines[r.line-1] = "| " + r.id + " | " + strings.Join(r.cells, " | ") + " |"
		changed = true
	}
	if changed {
		if err := os.WriteFile(filepath.Join(root, promisesFile), []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
