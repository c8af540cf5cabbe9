package policies_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
)

// compiled is a shipped policy by the name of its file.
func compiled(t testing.TB, name string) *policy.Program {
	t.Helper()
	src, err := policies.FS.ReadFile(name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, diags := policy.Compile(name+".yaml", src)
	if p == nil {
		t.Fatal(policy.Format(diags, src))
	}
	return p
}

func shipped(t testing.TB) []string {
	t.Helper()
	files, err := policies.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// vendors promise these on their public pages, by the ids of docs/promises.md.
var vendors = map[string]string{
	"pickandpack": "DET-7 DET-9 DET-11 CLS-1 CLS-3 CON-1 CON-3 CON-5 INV-1 INV-4 NOT-1 NOT-2 NOT-3 REC-1 REC-3 REV-1 REV-4 PRO-1 PRO-2 PRO-7 PRO-8 PRO-11 PRO-12 PUB-1 PUB-2",
	"mynty":       "DET-1 DET-2 DET-11 DET-13 CLS-3 CON-1 CON-2 CON-4 INV-1 INV-2 INV-3 INV-4 NOT-1 NOT-2 NOT-3 NOT-4 REC-1 REV-1 REV-3 PRO-1 PRO-6 PUB-1 PUB-2",
	"smartque":    "DET-9 DET-10 DET-11 CLS-1 CON-1 CON-2 CON-5 INV-1 INV-4 NOT-2 NOT-3 NOT-6 REC-3 REC-5 REV-1 PRO-1 PRO-2 PRO-4 PRO-7 PRO-8 PRO-11 PUB-1",
	"shopstars":   "DET-6 DET-7 DET-8 DET-11 DET-12 CLS-2 CON-1 CON-5 CON-6 CON-7 INV-2 NOT-7 NOT-8 REC-2 REC-4 REC-6 REV-1 REV-2 PRO-1 PUB-1 PUB-3",
	"palup":       "DET-1 DET-2 DET-3 DET-4 DET-5 CON-1 CON-3 NOT-4 NOT-5 NOT-9 REC-1 REV-1 REV-3 PRO-1 PRO-2 PRO-3 PRO-4 PRO-5 PRO-6 PRO-9 PRO-10 PRO-11 PUB-1 PUB-2",
	"shopify-app": "PCD-1-1 PCD-1-2 PCD-1-3 PCD-1-4 PCD-1-5 PCD-1-6 PCD-1-7 PCD-1-8 PCD-1-9 PCD-2-1 PCD-2-2 PCD-2-3 PCD-2-4 PCD-2-5 PCD-2-6 PCD-2-7",
}

func TestEveryPromiseOfEachVendorIsOnItsPage(t *testing.T) {
	for _, name := range shipped(t) {
		shown := map[string]bool{}
		for _, l := range compiled(t, name).Page {
			for _, id := range l.Promise {
				shown[id] = true
			}
		}
		if vendors[name] == "" {
			t.Errorf("nothing is known of what %s promises", name)
		}
		for _, id := range strings.Fields(vendors[name]) {
			if !shown[id] {
				t.Errorf("%s: no sentence promises %s", name, id)
			}
		}
	}
}

// What is planned under one policy and what another calls it share their connectors, so that each
// can be drilled.
func TestEveryPolicyNamesARevocationAndASwitch(t *testing.T) {
	for _, name := range shipped(t) {
		var uses []string
		for _, a := range compiled(t, name).Actions {
			uses = append(uses, a.Uses)
		}
		for _, want := range []string{"app_tokens", "shop_switch"} {
			if !slices.Contains(uses, want) {
				t.Errorf("%s has no action with %s", name, want)
			}
		}
	}
}

var row = regexp.MustCompile("^\\| (.+) \\| ((?:`[A-Za-z0-9_-]+` ?)+) \\| (.*) ?\\|$")

// A reviewer's table says what the page says, of rules that exist, and leaves no rule of the page out.
func TestTheReviewersTablesAreTrue(t *testing.T) {
	for _, name := range shipped(t) {
		p := compiled(t, name)
		file := filepath.Join("..", "docs", "policies", name+".md")
		src, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s has no reviewer's table: %v", name, err)
			continue
		}
		named := map[string]bool{}
		var out bytes.Buffer
		for line := range strings.Lines(string(src)) {
			m := row.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil {
				out.WriteString(line)
				continue
			}
			var keys []string
			for _, k := range strings.Fields(m[2]) {
				k = strings.Trim(k, "`")
				keys, named[k] = append(keys, k), true
				if !slices.ContainsFunc(p.Page, func(l policy.PageLine) bool { return about(l, k) }) {
					t.Errorf("%s: no sentence of the page is about %s", file, k)
				}
			}
			out.WriteString("| " + m[1] + " | " + strings.TrimSpace(m[2]) + " | " + sentences(p, keys) + " |\n")
		}
		for _, l := range p.Page {
			for _, tag := range l.Tags {
				if tag.Rule != "" && !named[tag.Rule] && !strings.Contains(string(src), tag.Rule) {
					t.Errorf("%s: the rule %s is on the page and not in the table", file, tag.Rule)
				}
			}
		}
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if out.String() != string(src) {
			t.Errorf("%s is not what the page says; run go test ./policies -update and read the difference", file)
		}
	}
}

// about says whether a sentence came from a rule, or makes a promise itself.
func about(l policy.PageLine, key string) bool {
	return slices.ContainsFunc(l.Tags, func(t policy.Tag) bool {
		return t.Rule == key || t.Rule == "" && slices.Contains(t.Promise, key)
	})
}

func sentences(p *policy.Program, keys []string) string {
	var out []string
	for _, l := range p.Page {
		if !slices.ContainsFunc(keys, func(k string) bool { return about(l, k) }) {
			continue
		}
		s := strings.ReplaceAll(strings.Join(strings.Fields(strings.TrimPrefix(l.Text, "- ")), " "), "|", `\|`)
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, "<br>")
}
