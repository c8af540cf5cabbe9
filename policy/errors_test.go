package policy_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// emitted is a message that the source of the checker holds.
type emitted struct {
	severity, code, format string
	form                   *regexp.Regexp
	where                  string
}

// relayed are calls whose message is made elsewhere, by the function they stand in: there, the
// messages are those of the calendar, of the two walks over a text, or of the callers of cycle.
var relayed = map[string]bool{"%s": true, "%v": true}

// internalOnly are messages no policy can cause.
var internalOnly = map[string]bool{"internal": true}

var verb = regexp.MustCompile(`%[a-z]`)

// emissions reads from the source what errorf and warnf are called with.
func emissions(t *testing.T) []emitted {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []emitted
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		walking := false // what the walk over a text says is reported as it is
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok {
				walking = f.Name.Name == "walk" && name == "yaml.go"
			}
			call, ok := n.(*ast.CallExpr)
			if ok && walking && len(call.Args) == 2 {
				if why := literal(call.Args[0]); why != "" {
					out = append(out, emitted{"error", "too-large", why, formOf(why), set.Position(call.Pos()).String()})
				}
			}
			if !ok || len(call.Args) < 4 {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			severity, code, at := "", "", 3
			switch s.Sel.Name {
			case "errorf":
				severity, code = "error", literal(call.Args[1])
			case "warnf":
				severity, code = "warning", literal(call.Args[1])
			case "cycle": // it reports what its callers say
				severity, code = "error", "cycle"
			default:
				return true
			}
			format := literal(call.Args[at])
			where := set.Position(call.Pos()).String()
			if format == "" && code == "cycle" || relayed[format] {
				return true // read at the caller, or listed below
			}
			if format == "" || code == "" {
				t.Errorf("%s: the message or its code is not a literal, so that the index of errors cannot list it", where)
				return true
			}
			out = append(out, emitted{severity, code, format, formOf(format), where})
			return true
		})
	}
	return out
}

func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	return ""
}

func formOf(format string) *regexp.Regexp {
	parts := verb.Split(format, -1)
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile("^" + strings.Join(parts, "(.*)") + "$")
}

// example is a file of testdata/bad.
type example struct {
	name, src string
	diags     []policy.Diagnostic
	whole     string
}

func examples(t *testing.T) []example {
	t.Helper()
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var out []example
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e := example{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), src: string(a.Files[0].Data)}
		e.whole = e.src
		if a.Files[0].Name == "policy.yaml" {
			e.whole = completed(e.src)
		}
		_, e.diags = policy.Compile("policy.yaml", []byte(e.whole), badOptions(a)...)
		out = append(out, e)
	}
	// What is too large to keep as a file.
	for _, src := range []string{
		strings.Repeat("# a comment\n", 100_000), "review: [" + strings.Repeat("a,", 21_000) + "]\n", "title: \"" + strings.Repeat("a", 70_000) + "\"\n",
		"title: &t Policy\nreview: [" + strings.Repeat("*t,", 101) + "]\n",
	} {
		e := example{src: src, whole: src}
		_, e.diags = policy.Compile("policy.yaml", []byte(src))
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b example) int { return cmp.Compare(len(a.src), len(b.src)) })
	return out
}

// badOptions are what the comment of a bad policy asks for.
func badOptions(a *txtar.Archive) []policy.Option {
	var options []policy.Option
	if strings.Contains(string(a.Comment), "expecting") {
		options = append(options, policy.Expecting())
	}
	if strings.Contains(string(a.Comment), "laws") {
		options = append(options, policy.WithLaws(regimes.Catalogue()))
	}
	return options
}

// Every message the checker can print stands in the index of errors, with an example that prints
// just that.
func TestEveryMessageIsInTheIndexOfErrors(t *testing.T) {
	all, bad := emissions(t), examples(t)
	if len(all) < 150 {
		t.Fatalf("%d messages were read from the source", len(all))
	}
	codes := map[string][]string{}
	var missing []string
	for _, m := range all {
		if internalOnly[m.code] {
			continue
		}
		i := slices.IndexFunc(bad, func(e example) bool {
			return len(e.diags) > 0 && !slices.ContainsFunc(e.diags, func(d policy.Diagnostic) bool {
				return d.Code != m.code || string(d.Severity) != m.severity || best(all, d) != m.form.String()
			})
		})
		if i < 0 {
			missing = append(missing, fmt.Sprintf("%s: %s #%s: %s", m.where, m.severity, m.code, m.format))
			continue
		}
		entry := entryOf(m, bad[i])
		if !slices.Contains(codes[m.code], entry) {
			codes[m.code] = append(codes[m.code], entry)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no file of testdata/bad causes just this:\n%s", strings.Join(missing, "\n"))
	}
	// What the calendar cannot read is reported in its own words.
	for _, e := range bad {
		if len(e.diags) == 1 && best(all, e.diags[0]) == "" && len(e.src) < 400 {
			codes[e.diags[0].Code] = append(codes[e.diags[0].Code], entryOf(emitted{format: e.diags[0].Message}, e))
		}
	}
	const index = "../docs/policy/errors.md"
	old, _ := os.ReadFile(index)
	page, ok := indexOf(string(old), codes)
	for _, code := range ok {
		t.Errorf("docs/policy/errors.md does not say what %s means: write it below its heading", code)
	}
	if *update {
		if err := os.WriteFile(index, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if page != string(old) {
		t.Errorf("docs/policy/errors.md is not what the checker says; go test ./policy -run TestEveryMessage -update writes it, and the difference wants to be looked at")
	}
}

// best is the form that says most of a message; "" for one that is made elsewhere.
func best(all []emitted, d policy.Diagnostic) string {
	found, most := "", -1
	for _, m := range all {
		if m.code == d.Code && m.form.MatchString(d.Message) && len(verb.ReplaceAllString(m.format, "")) > most {
			found, most = m.form.String(), len(verb.ReplaceAllString(m.format, ""))
		}
	}
	return found
}

// entryOf is what the index shows of a message: the policy that causes it and what is printed.
func entryOf(m emitted, e example) string {
	src := e.src
	if len(src) > 1500 {
		src = "" // too long to show; the place says where it is too much
	}
	heading := verb.ReplaceAllString(m.format, "…")
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", strings.NewReplacer("<", "&lt;", "_", `\_`, "*", `\*`).Replace(heading))
	if src != "" {
		fmt.Fprintf(&b, "```yaml bad\n%s```\n\n", strings.TrimRight(strings.ReplaceAll(strings.ToValidUTF8(src, "�"), "\r", "␍"), "\n")+"\n")
	}
	fmt.Fprintf(&b, "```text\n%s\n```\n", e.diags[0])
	return b.String()
}

// indexOf lays the entries out by code. What stands below the heading of a code is kept; it gives the
// codes below which nothing stands.
func indexOf(old string, codes map[string][]string) (page string, unsaid []string) {
	head, rest, _ := strings.Cut(old, "\n## ")
	said := map[string]string{}
	for section := range strings.SplitSeq("\n## "+rest, "\n## ") {
		code, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n### ")
		said[code] = strings.TrimSpace(text)
	}
	var b strings.Builder
	b.WriteString(strings.TrimRight(head, "\n") + "\n")
	names := make([]string, 0, len(codes))
	for code := range codes {
		names = append(names, code)
	}
	slices.Sort(names)
	for _, code := range names {
		if said[code] == "" {
			unsaid = append(unsaid, code)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s", code, said[code], strings.Join(codes[code], "\n"))
	}
	return b.String(), unsaid
}
