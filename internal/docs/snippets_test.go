package docs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scenarios"
)

// A block marked "yaml policy" is a whole policy and compiles; one marked "yaml policy-broken" is
// refused, as its text says.
func TestEverySnippetDoesWhatTheDocumentSays(t *testing.T) {
	for _, p := range parsePages(t) {
		for _, b := range p.blocks {
			where := fmt.Sprintf("%s:%d", p.name, b.line)
			switch kindOf(b) {
			case "policy", "policy-minimal":
				if _, diags := policy.Compile(where, []byte(b.text)); policy.HasErrors(diags) {
					t.Errorf("%s: this policy does not compile:\n%s", where, policy.Format(diags, []byte(b.text)))
				}
			case "policy-broken":
				if _, diags := policy.Compile(where, []byte(b.text)); !policy.HasErrors(diags) {
					t.Errorf("%s: this policy compiles, and the document says that it does not", where)
				}
			}
		}
	}
}

// kindOf says what a YAML block is: what it is marked as, else what it begins with. A block with an
// ellipsis shows a part.
func kindOf(b block) string {
	language, mark, _ := strings.Cut(b.info, " ")
	if language != "yaml" || mark != "" || strings.Contains(b.text, "…") {
		return mark
	}
	for line := range strings.Lines(b.text) {
		switch key, _, _ := strings.Cut(line, ":"); {
		case strings.HasPrefix(key, "#") || strings.TrimSpace(key) == "":
			continue
		case key == "policy" && strings.Contains(b.text, "\ntitle:"):
			return "policy"
		case key == "organisation":
			return "config"
		}
		break
	}
	return ""
}

// What a shipped policy promises, a drill of it may not call out of place.
func TestNoManifestDeniesWhatItsPolicyPromises(t *testing.T) {
	for _, name := range scenarios.Names() {
		m, err := scenarios.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for id, expected := range m.Policies {
			file := strings.ReplaceAll(id, "_", "-") + ".yaml"
			src, err := policies.FS.ReadFile(file)
			if err != nil {
				t.Errorf("scenario %s: policy %s is not shipped: %v", name, id, err)
				continue
			}
			p, diags := policy.Compile(file, src)
			if p == nil {
				t.Errorf("policies/%s does not compile:\n%s", file, policy.Format(diags, src))
				continue
			}
			for _, promise := range promised(p) {
				if strings.HasPrefix(promise, "PCD-") {
					continue // a requirement for protected customer data, which the starter policy answers
				}
				if !slices.Contains(ids(), promise) {
					t.Errorf("policies/%s names %s, which is no promise", file, promise)
				} else if e := expected[promise]; e.Expect == scenarios.NotApplicable && e.Reason == scenarios.NotPromised {
					t.Errorf("policies/%s promises %s, and scenarios/%s/manifest.yaml says that it does not", file, promise, name)
				}
			}
		}
	}
}

// promised lists every promise that a rule or a sentence of a policy carries.
func promised(p *policy.Program) []string {
	var all []string
	for _, c := range p.Classes {
		all = append(all, c.Promise...)
	}
	for _, d := range p.Duties {
		all = append(all, d.Promise...)
	}
	for _, g := range p.Gates {
		all = append(all, g.Promise...)
	}
	for _, a := range p.Actions {
		all = append(all, a.Promise...)
	}
	for _, ph := range p.Phases {
		all = append(all, ph.Promise...)
	}
	for _, l := range p.Page {
		all = append(all, l.Promise...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
