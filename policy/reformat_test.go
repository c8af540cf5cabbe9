package policy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/policy"
)

func TestReformatLaysOut(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"spaces and blank lines", "policy:   a\n\n\n\ntitle: \"T\"   \nroles:\n    lead: {does: x,holder: y}\n", "policy: a\n\ntitle: \"T\"\nroles:\n  lead: { does: x, holder: y }\n"},
		{"comments stay", "# head\npolicy: a # of it\n\n# about roles\nroles:\n   # the lead\n   lead: { does: x } # here\n", "# head\npolicy: a # of it\n\n# about roles\nroles:\n  # the lead\n  lead: { does: x } # here\n"},
		{"lists", "review: [ a,b ]\ngates:\n- guards: restore\n  need: a\n-   { guards: close }\n", "review: [a, b]\ngates:\n  - guards: restore\n    need: a\n  - { guards: close }\n"},
		{"texts keep their quotes", "a: 'it''s'\nb: \"x\\ty\"\nc: >-\n    folded\n    text\nd: |\n   one\n     two\n", "a: 'it''s'\nb: \"x\\ty\"\nc: >-\n  folded\n  text\nd: |\n  one\n    two\n"},
		{"phases", "phases: [ one: { until: a }, two: {} ]\n", "phases: [one: { until: a }, two: {}]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, diags := policy.Reformat("p.yaml", []byte(tt.in))
			if len(diags) > 0 || string(got) != tt.want {
				t.Errorf("laid out as\n%s(%v)\nwant\n%s", got, diags, tt.want)
			}
		})
	}
}

// What is laid out means the same, and laying it out again changes nothing.
func TestReformatChangesNoMeaning(t *testing.T) {
	changed := 0
	check := func(name string, src []byte) {
		out, diags := policy.Reformat(name, src)
		if out == nil {
			if len(diags) == 0 {
				t.Errorf("%s: neither a text nor an error", name)
			}
			return
		}
		if !bytes.Equal(out, src) {
			changed++
		}
		again, _ := policy.Reformat(name, out)
		if !bytes.Equal(again, out) {
			t.Errorf("%s: laid out twice it differs:\n%s\n---\n%s", name, out, again)
		}
		if got, want := meaning(name, out), meaning(name, src); got != want {
			t.Errorf("%s: laid out it means\n%s\nwant\n%s", name, got, want)
		}
		for line := range strings.Lines(string(src)) {
			if _, c, ok := strings.Cut(line, " # "); ok && !strings.Contains(line, "\"") && !bytes.Contains(out, []byte(strings.TrimSpace(c))) {
				t.Errorf("%s: the comment %q is lost", name, c)
			}
		}
	}
	files, _ := filepath.Glob("../policies/*.yaml")
	for _, file := range append(files, "testdata/core.yaml") {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		check(file, src)
	}
	bad, _ := filepath.Glob("testdata/bad/*.txtar")
	for _, file := range bad {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		check(file, []byte(completed(string(a.Files[0].Data))))
	}
	if changed < 12 {
		t.Errorf("%d texts were laid out anew: the test compares nothing", changed)
	}
}

// meaning is what a policy says without its places: the program's page and rules, or the findings.
func meaning(name string, src []byte) string {
	p, diags := policy.Compile(name, src)
	var b strings.Builder
	for _, d := range diags {
		fmt.Fprintf(&b, "%s %s\n", d.Code, strings.Split(d.Message, "; the first is on line")[0])
	}
	if p == nil {
		return ""
	}
	for _, l := range p.Page {
		fmt.Fprintln(&b, l.Text, l.Tags)
	}
	for _, d := range p.Duties {
		fmt.Fprintln(&b, d.ID, d.Who, d.Do, d.For, d.Of, d.To, d.Content, d.Approve, d.Promise, d.Say)
		for _, k := range d.Due {
			fmt.Fprintln(&b, k.Text, k.When.Reads())
		}
	}
	return b.String()
}

// Policies of any layout: keys in random styles, with comments and blank lines between them.
func TestReformatOfAnyLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		indent := rapid.IntRange(1, 6).Draw(t, "indent")
		noise := func(depth int) {
			for range rapid.IntRange(0, 2).Draw(t, "blank") {
				b.WriteString("\n")
			}
			if rapid.Bool().Draw(t, "comment") {
				b.WriteString(strings.Repeat(" ", depth*indent) + "# note " + rapid.StringMatching(`[a-z]{3,6}`).Draw(t, "note") + "\n")
			}
		}
		text := func() string {
			s := rapid.StringMatching(`[A-Za-z][A-Za-z ']{0,20}[a-z]`).Draw(t, "text")
			switch rapid.IntRange(0, 2).Draw(t, "style") {
			case 0:
				return "'" + strings.ReplaceAll(s, "'", "''") + "'"
			case 1:
				return "\"" + s + "\""
			}
			return s
		}
		b.WriteString("policy: p\n")
		noise(0)
		b.WriteString("title:  " + text() + "\nowner: " + text() + "\nroles:\n")
		for i := range rapid.IntRange(1, 4).Draw(t, "roles") {
			noise(1)
			id := fmt.Sprintf("role_%d", i)
			if rapid.Bool().Draw(t, "flow") {
				fmt.Fprintf(&b, "%s%s: {does:  %q , holder: h%d}\n", strings.Repeat(" ", indent), id, "x", i)
			} else {
				fmt.Fprintf(&b, "%s%s:\n%sdoes: %s\n", strings.Repeat(" ", indent), id, strings.Repeat(" ", 2*indent), text())
			}
		}
		noise(0)
		b.WriteString("duties:\n" + strings.Repeat(" ", indent) + "a: { who: role_0, do: contain, due: [1h after detected,2h after confirmed] }\n")
		src := []byte(b.String())
		out, diags := policy.Reformat("p.yaml", src)
		if len(diags) > 0 {
			t.Fatalf("%v\n%s", diags, src)
		}
		if again, _ := policy.Reformat("p.yaml", out); !bytes.Equal(again, out) {
			t.Fatalf("laid out twice it differs:\n%s\n---\n%s", out, again)
		}
		if got, want := meaning("p.yaml", out), meaning("p.yaml", src); got != want || want == "" {
			t.Fatalf("laid out it means\n%s\nwant\n%s\nof\n%s", got, want, src)
		}
		if bytes.Count(out, []byte("# note")) != bytes.Count(src, []byte("# note")) {
			t.Fatalf("comments are lost:\n%s\n---\n%s", src, out)
		}
		if bytes.Contains(out, []byte("\n\n\n")) || bytes.Contains(out, []byte(" \n")) {
			t.Fatalf("not laid out:\n%q", out)
		}
	})
}
