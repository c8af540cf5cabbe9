package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tocsin-ir/tocsin/policy"
)

// Whatever it is given, Compile ends soon, without a panic, and with either a program or an error
// that has a place in the text.
func FuzzCompile(f *testing.F) {
	if src, err := os.ReadFile("../policies/pickandpack.yaml"); err == nil {
		f.Add(src)
	}
	files, _ := filepath.Glob("testdata/bad/*.txtar")
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			f.Add([]byte(completed(string(a.Files[0].Data))))
		}
	}
	for _, s := range []string{
		"a: &a [*a, *a]", "? {x: y} : z", "policy: !!map {}", "duties: { a: ~ }", "page: [[{}], {text: [x]}]", "gates: [~, [], {need: ['', '&&', 'a &&']}]",
		"roles: {a: {does: x, backup: [b], holder: z}, b: {does: y, backup: [a]}}\ngates: [{guards: restore, sign: [2 of a]}]",
		"duties: { a: { who: lead, do: update, due: promptly..2h after detected, every: 2h..4h, until: contained, say: '{due} {every}' } }\ntables: [ { by: severity, high: { a: 3h } }, { by: class, x: { a: none } } ]",
		"%YAML 1.2\n---\npolicy: a\n...\n", "\ufeffpolicy: a\n", "policy: |\n  a\n b\n", "phases: [a: , b: {until: or}]", "late: {{}: x}",
		"duties: { a: { who: lead, do: contain, due: after, when: \"'\\n' == \" } }",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		start := time.Now()
		p, diags := policy.Compile("p.yaml", src)
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("it took %s", took)
		}
		if (p == nil) != policy.HasErrors(diags) {
			t.Fatalf("a program: %v, errors: %v", p != nil, diags)
		}
		lines := strings.Count(string(src), "\n") + 1
		for _, d := range diags {
			if d.Pos.Line < 1 || d.Pos.Line > lines || d.Pos.Col < 1 || d.Message == "" || d.Code == "" || strings.ContainsAny(d.String(), "\n\r\x1b") {
				t.Fatalf("%#v is not a finding about a text of %d lines", d, lines)
			}
		}
		policy.Format(diags, src)
		if p == nil {
			return
		}
		if len(p.Markdown()) == 0 || len(p.HTML()) == 0 || p.Version() == "" {
			t.Fatal("the program has no page")
		}
		for _, d := range p.Duties {
			if v := d.When.Eval(policy.View{}); v.Why == "" {
				t.Fatalf("%s: no reason", d.ID)
			}
		}
	})
}

// Texts made to cost much: each is refused or compiled in little time. That is less than a second;
// the limit leaves room for the race detector on a busy machine, and none for work that explodes.
func TestCompileIsBounded(t *testing.T) {
	laughs := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		prev := string(c - 1)
		laughs += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+", ", 9) + "*" + prev + "]\n"
	}
	for name, src := range map[string]string{
		"a billion laughs":    laughs,
		"deep nesting":        strings.Repeat("[", 20_000),
		"deep mappings":       "policy: " + strings.Repeat("{a: ", 5_000) + strings.Repeat("}", 5_000),
		"many keys":           strings.Repeat("k: 1\n", 150_000),
		"a long text":         "policy: " + strings.Repeat("a", 1<<20),
		"a long condition":    completed("duties: { a: { who: lead, do: contain, due: 1h after detected, when: \"" + strings.Repeat("(", 3000) + "\" } }"),
		"many conjuncts":      completed("gates: [ { guards: restore, need: \"" + strings.Repeat("fix.verified && ", 3000) + "fix.verified\" } ]"),
		"a very long name":    completed(strings.Repeat("x", 100_000) + ": 1"),
		"many roles to match": completed("roles: { lead: { does: x, holder: a } }\ngates: [ { guards: restore, sign: [" + strings.Repeat("100 of lead, ", 500) + "lead] } ]"),
		"a page of brackets":  completed("page: [\"" + strings.Repeat("{", 50_000) + "\", \"" + strings.Repeat("{a}", 2_000) + "\"]"),
		"a page of sentences": completed("page: [\"" + strings.Repeat("A b 5 days. C {owner}. ", 20_000) + "\"]"),
		"many anchors":        completed("duties: { a: { who: lead, do: contain, due: 1h after " + strings.Repeat("detected or ", 5_000) + "detected } }"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			p, diags := policy.Compile("p.yaml", []byte(src))
			if p != nil {
				p.HTML()
				p.Markdown()
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %s (%d findings)", took, len(diags))
			}
		})
	}
}
