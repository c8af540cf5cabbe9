package policy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tocsin-ir/tocsin/policy"
)

// Every limit is counted, not timed: what is at the limit is read, and one more is refused.
func TestLimitsAreCounted(t *testing.T) {
	head := completed("")
	nested := func(depth int) string {
		return head + "page: " + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "\n"
	}
	aliases := func(n int) string {
		return head + "review: &a timeline\npage: [" + strings.TrimSuffix(strings.Repeat("*a, ", n), ", ") + "]\n"
	}
	padded := func(size int) string {
		return head + strings.Repeat("#\n", (size-len(head))/2) + strings.Repeat("#", (size-len(head))%2)
	}
	values := func(n int) string { return head + "page: [" + strings.TrimSuffix(strings.Repeat("a,", n), ",") + "]\n" }
	condition := func(n int) string {
		c := "fix.verified"
		return head + "gates: [ { guards: restore, need: \"" + c + strings.Repeat(" ", n-len(c)) + "\" } ]\n"
	}
	parens := func(n int) string {
		return head + "gates: [ { guards: restore, need: \"" + strings.Repeat("!(", n) + "fix.verified" + strings.Repeat(")", n) + "\" } ]\n"
	}
	instants := func(n int) string {
		return head + "duties: { a: { who: lead, do: contain, due: 1h after " + strings.TrimSuffix(strings.Repeat("detected or ", n), " or ") + " } }\n"
	}
	for _, tt := range []struct {
		name, within, beyond, code string
	}{
		{"bytes", strings.Repeat("#", 1<<20-len(head)-1) + "\n" + head, strings.Repeat("#", 1<<20-len(head)) + "\n" + head, "too-large"},
		{"bytes of one text", head + "page: [" + strings.Repeat("a", 16<<10) + "]\n", head + "page: [" + strings.Repeat("a", 16<<10+1) + "]\n", "too-large"},
		{"depth", nested(31 - 1), nested(32 + 1), "too-large"},
		{"aliases", aliases(100), aliases(101), "too-large"},
		{"values", values(19_900), values(20_001), "too-large"},
		{"lines and commas", padded(70_000), padded(90_000), "too-large"},
		{"bytes of a condition", condition(4_000), condition(4_001), "bad-condition"},
		{"nesting of a condition", parens(15), parens(60), "bad-condition"},
		{"instants of a clock", instants(16), instants(17), "bad-clock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, diags := policy.Compile("p.yaml", []byte(tt.within)); slices.Contains(codes(diags), tt.code) {
				t.Errorf("at the limit: %v", diags[0])
			}
			if p, diags := policy.Compile("p.yaml", []byte(tt.beyond)); p != nil || !slices.Contains(codes(diags), tt.code) {
				t.Errorf("beyond the limit %s is not among %v", tt.code, codes(diags))
			}
		})
	}
}

// A condition that costs too much is unknown, with the reason, and never false.
func TestTheCostOfAConditionIsBounded(t *testing.T) {
	p := compiled(t, "duties: { a: { who: lead, do: contain, when: \"actions.all(a, actions.all(b, actions.all(c, a.id != b.id || b.id != c.id || true)))\", due: 1h after detected } }")
	v := policy.View{}
	for range 400 {
		v.Actions = append(v.Actions, policy.ActionView{ID: "a", State: "planned"})
	}
	if got := p.Duties[0].When.Eval(v); got.Value != policy.Unknown || !strings.Contains(got.Why, "cost") {
		t.Errorf("64 million steps: %+v, want unknown because of the cost", got)
	}
	v.Actions = v.Actions[:3]
	if got := p.Duties[0].When.Eval(v); got.Value != policy.True {
		t.Errorf("27 steps: %+v", got)
	}
}

// Laid out, a text reads as it did: parse, print, parse.
func FuzzReformat(f *testing.F) {
	for _, file := range []string{"../policies/pickandpack.yaml", "testdata/core.yaml"} {
		if src, err := os.ReadFile(file); err == nil {
			f.Add(src)
		}
	}
	files, _ := filepath.Glob("testdata/bad/*.txtar")
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			f.Add([]byte(completed(string(a.Files[0].Data))))
		}
	}
	for _, s := range []string{"a: |\n  x\n\n\n  y\nb: >+\n  z\n\n", "- a\n-  - b\n", "a: {b: [c: d, e]} # f\n# g\n", "&x a: *x\n", "? a\n: b\n", "a: 'b\n  c'\n", "a:\n- b\n# c\n\n- d\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		out, diags := policy.Reformat("p.yaml", src)
		if (out == nil) != policy.HasErrors(diags) {
			t.Fatalf("a text: %v, findings: %v", out != nil, diags)
		}
		if out == nil {
			return
		}
		if again, diags := policy.Reformat("p.yaml", out); !bytes.Equal(again, out) {
			t.Fatalf("laid out twice it differs (%v):\n%q\n%q", diags, out, again)
		}
		if got, want := meaning("p.yaml", out), meaning("p.yaml", src); got != want {
			t.Fatalf("it means\n%s\nwant\n%s", got, want)
		}
	})
}
