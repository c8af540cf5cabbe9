package doctor

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
)

var update = flag.Bool("update", false, "write the table of docs/doctor.md")

// coverPage maps each promise to what looks after it.
const (
	coverPage  = "../../docs/doctor.md"
	coverBegin = "<!-- promise to check: begin (go test ./internal/doctor -update) -->\n"
	coverEnd   = "<!-- promise to check: end -->\n"
)

// fresh is a copy of a policy that a test may take things from.
func fresh(p *policy.Program) *policy.Program {
	own := *p
	own.Roles = slices.Clone(p.Roles)
	own.Duties, own.Classes, own.Page = slices.Clip(p.Duties), slices.Clip(p.Classes), slices.Clip(p.Page)
	return &own
}

// shipped are the policies that ship.
func shipped(t *testing.T) map[string]*policy.Program {
	t.Helper()
	files, err := policies.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*policy.Program{}
	for _, f := range files {
		src, err := policies.FS.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		p, diags := policy.Compile(f.Name(), src)
		if p == nil {
			t.Fatalf("%s: %v", f.Name(), diags)
		}
		all[f.Name()] = p
	}
	if len(all) < 6 {
		t.Fatalf("only %d policies ship", len(all))
	}
	return all
}

// placed is a finding's id with what an installation names left out.
func placed(id string) string {
	if id == "folder.open" || id == "folder.keys" || id == "folder.permissions" {
		return id
	}
	for prefix, of := range map[string]string{"people.": "ROLE", "backup.": "ROLE", "action.": "ACTION", "check.": "CHECK", "watch.": "CLASS", "probe.": "PROBE", "channel.": "CHANNEL", "events.source.": "SOURCE", "events.refused.": "SOURCE", "events.quota.": "SOURCE", "programme.": "DUTY", "folder.": "FILE"} {
		if strings.HasPrefix(id, prefix) {
			return prefix + of
		}
	}
	if name, ok := strings.CutPrefix(id, "files."); ok && name != "sources" && name != "restore" {
		if strings.HasSuffix(name, ".approvals") {
			return "files.SOURCE.approvals"
		}
		return "files.SOURCE"
	}
	return id
}

// failing are, for each promise, the checks that were seen to say that it may not be kept: of an
// installation from which one thing at a time is taken, under each shipped policy.
func failing(t *testing.T) (checks map[string][]string, beyond map[string]string) {
	checks, beyond = map[string][]string{}, map[string]string{}
	look := func(s Seen) Report {
		r := Examine(s)
		for _, f := range r.Findings {
			if f.State == OK {
				continue
			}
			for _, p := range f.Promises {
				if id := placed(f.ID); !slices.Contains(checks[p], id) {
					checks[p] = append(checks[p], id)
				}
			}
		}
		return r
	}
	for _, p := range shipped(t) {
		for _, c := range amiss {
			s := sound()
			s.Policy = fresh(p)
			s.Connectors, s.Checks = map[string]string{}, map[string]bool{}
			c.take(&s)
			look(s)
		}
		s := sound()
		s.Policy = fresh(p)
		for _, d := range s.Policy.Duties {
			if d.For != "programme" {
				continue
			}
			s.Programme = append(s.Programme, Owed{Duty: d.ID, Say: d.ID, Missed: true})
		}
		for _, b := range look(s).Beyond {
			for _, p := range b.Promises {
				beyond[p] = b.Say
			}
		}
	}
	for _, all := range checks {
		slices.Sort(all)
	}
	return checks, beyond
}

// Each promise that vendors make is looked after by a check that can fail, or it is said why it cannot be
// looked at from here; the table of both is the one that stands in the page.
func TestEveryPromiseHasACheckOrALineThatSaysWhyNot(t *testing.T) {
	rows, err := os.ReadFile("../../docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`(?m)^\| ([A-Z]{3}-\d+) \|`).FindAllStringSubmatch(string(rows), -1)
	if len(ids) < 61 {
		t.Fatalf("only %d promises", len(ids))
	}
	checks, beyond := failing(t)
	var b strings.Builder
	b.WriteString("| promise | checks that fail or warn | cannot be checked from here |\n|---|---|---|\n")
	for _, id := range ids {
		p := id[1]
		if len(checks[p]) == 0 && beyond[p] == "" {
			t.Errorf("%s: no check names it, and nothing says why not", p)
		}
		if beyond[p] == ownSystems {
			t.Errorf("%s: it is said only that it is about the vendor's own systems", p)
		}
		var names []string
		for _, c := range checks[p] {
			names = append(names, "`"+c+"`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p, strings.Join(names, ", "), beyond[p])
	}
	page, err := os.ReadFile(coverPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), coverBegin)
	was, after, ok2 := strings.Cut(rest, coverEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", coverPage)
	}
	if *update {
		if err := os.WriteFile(coverPage, []byte(before+coverBegin+b.String()+coverEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was != b.String() {
		t.Errorf("the table of docs/doctor.md is not what the checks do: go test ./internal/doctor -update")
	}
}

// Whatever a policy promises is in a finding or in the list of what cannot be checked, also when all is
// in order and also when its id is nobody else's.
func TestNoPromiseOfAPolicyIsPassedOver(t *testing.T) {
	for name, p := range shipped(t) {
		s := sound()
		s.Policy = fresh(p)
		s.Policy.Page = append(s.Policy.Page, policy.PageLine{Text: "We bake.", Promise: []string{"OWN-1"}})
		s.Now = s.Now.Add(time.Second)
		r := Examine(s)
		named := map[string]bool{}
		for _, f := range r.Findings {
			for _, p := range f.Promises {
				named[p] = true
			}
		}
		for _, b := range r.Beyond {
			for _, p := range b.Promises {
				named[p] = true
			}
		}
		for _, p := range promised(s.Policy) {
			if !named[p] {
				t.Errorf("%s: %s is in no finding and in no line of what cannot be checked", name, p)
			}
		}
		if !slices.ContainsFunc(r.Beyond, func(b Beyond) bool { return b.Say == ownSystems && slices.Contains(b.Promises, "OWN-1") }) {
			t.Errorf("%s: a promise without a rule is passed over", name)
		}
	}
}
