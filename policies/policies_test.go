package policies_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
)

var update = flag.Bool("update", false, "write the pages to testdata")

func pickandpack(t testing.TB) *policy.Program {
	t.Helper()
	src, err := policies.FS.ReadFile("pickandpack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, diags := policy.Compile("pickandpack.yaml", src)
	if p == nil {
		t.Fatal(policy.Format(diags, src))
	}
	return p
}

func duty(t testing.TB, p *policy.Program, id string) policy.Duty {
	t.Helper()
	i := slices.IndexFunc(p.Duties, func(d policy.Duty) bool { return d.ID == id })
	if i < 0 {
		t.Fatalf("there is no duty %s", id)
	}
	return p.Duties[i]
}

func gate(t testing.TB, p *policy.Program, guards string) policy.Gate {
	t.Helper()
	i := slices.IndexFunc(p.Gates, func(g policy.Gate) bool { return g.Guards == guards })
	if i < 0 {
		t.Fatalf("nothing guards %s", guards)
	}
	return p.Gates[i]
}

// Shipped policies compile, and what they are warned about is only that their roles are open.
func TestShippedPoliciesCompile(t *testing.T) {
	files, err := policies.FS.ReadDir(".")
	if err != nil || len(files) == 0 {
		t.Fatalf("no policy is shipped: %v", err)
	}
	for _, f := range files {
		src, err := policies.FS.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		p, diags := policy.Compile(f.Name(), src)
		for _, d := range diags {
			if d.Code != "open-role" && d.Code != "not-connected" { // a channel that nobody has connected is a person's to use
				t.Errorf("%s", d)
			}
		}
		if p != nil && strings.ReplaceAll(p.ID, "_", "-")+".yaml" != f.Name() && p.ID+".yaml" != f.Name() {
			t.Errorf("%s holds the policy %s", f.Name(), p.ID)
		}
		if p != nil && !bytes.Equal(p.Source, src) {
			t.Errorf("%s: the program does not keep its source", f.Name())
		}
	}
}

// The pages are golden: a change of a rule shows as a change of a sentence.
// promise: PUB-1
func TestPagesAreWhatReadersSee(t *testing.T) {
	pages := map[string][]byte{"testdata/pickandpack.html": pickandpack(t).HTML()}
	for _, name := range shipped(t) {
		pages["testdata/"+name+".md"] = compiled(t, name).Markdown()
	}
	for file, got := range pages {
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the policy renders; run the test with -update and read the difference", file)
		}
	}
}

// Every promise of the vendor is a rule or a sentence of the page, under its id.
// promise: CLS-1
func TestEveryPromiseOfPickAndPackIsOnThePage(t *testing.T) {
	shown := map[string]bool{}
	for _, line := range pickandpack(t).Page {
		for _, id := range line.Promise {
			shown[id] = true
		}
		if len(line.Promise) > 0 && len(line.Tags) == 0 {
			t.Errorf("a sentence promises %v and names no rule: %s", line.Promise, line.Text)
		}
	}
	for _, id := range []string{"CLS-1", "CLS-3", "CON-1", "CON-3", "CON-5", "DET-7", "DET-9", "DET-11", "INV-1", "INV-4", "NOT-1", "NOT-2", "NOT-3",
		"PRO-1", "PRO-2", "PRO-7", "PRO-8", "PRO-11", "PRO-12", "PUB-1", "PUB-2", "REC-1", "REC-3", "REV-1", "REV-4"} {
		if !shown[id] {
			t.Errorf("no sentence promises %s", id)
		}
	}
}

// promise: NOT-1
// promise: NOT-2
func TestMerchantsAreToldWithin72HoursOfConfirmation(t *testing.T) {
	p := pickandpack(t)
	d := duty(t, p, "tell_merchants")
	if len(d.Due) != 1 || d.Due[0].Span.Limit == nil || *d.Due[0].Span.Limit != (calendar.Length{N: 72, Unit: calendar.Hour}) || !slices.Equal(d.Due[0].Anchor.Names, []string{"confirmed"}) {
		t.Errorf("the clock is %+v", d.Due)
	}
	if want := []string{"what_happened", "data_involved", "our_measures", "your_actions"}; !slices.Equal(d.Content, want) {
		t.Errorf("the content is %v, want %v", d.Content, want)
	}
	confirmed := time.Date(2026, 11, 20, 3, 2, 0, 0, time.UTC)
	if got, want := calendar.Add(confirmed, *d.Due[0].Span.Limit, p.Zone, p.Hours), confirmed.Add(72*time.Hour); !got.Equal(want) {
		t.Errorf("due at %s, want %s", got, want)
	}
	// Nothing answered: it may be due. Only a recorded no to both makes it not due.
	for _, tt := range []struct {
		facts map[string]any
		want  policy.Tri
	}{
		{nil, policy.Unknown},
		{map[string]any{"personal_data": true}, policy.True},
		{map[string]any{"personal_data": false}, policy.Unknown},
		{map[string]any{"personal_data": false, "shopify_data": false}, policy.False},
	} {
		if got := d.When.Eval(policy.View{Facts: tt.facts}); got.Value != tt.want {
			t.Errorf("with %v it is due: %v (%s), want %v", tt.facts, got.Value, got.Why, tt.want)
		}
	}
	if !strings.Contains(string(p.Markdown()), "within 72 hours of confirming it") {
		t.Error("the page does not say within 72 hours of confirming it")
	}
}

// promise: NOT-3
func TestThePlatformsSecurityTeamIsToldFirst(t *testing.T) {
	p := pickandpack(t)
	i := slices.IndexFunc(p.Parties, func(q policy.Party) bool { return q.ID == "shopify" })
	if i < 0 || len(p.Parties[i].Address) != 2 || p.Parties[i].Address[0] != "security@shopify.com" {
		t.Errorf("the platform is %+v", p.Parties)
	}
	if d := duty(t, p, "tell_platform"); d.To != "shopify" || !d.Due[0].Prompt || d.Due[0].Span.Limit != nil || d.Due[0].Span.Target.N != 4 {
		t.Errorf("the duty is %+v", d)
	}
}

// promise: REC-1
func TestServiceReturnsOnlyWhenProven(t *testing.T) {
	g := gate(t, pickandpack(t), "restore")
	proven := policy.View{FixProven: true, Checks: []policy.CheckView{{ID: "orders_api", Passed: true}}, Actions: []policy.ActionView{{ID: "ACT-1", State: "proven"}}}
	open := func(v policy.View) (says []string) {
		for _, n := range g.Need {
			if n.Eval(v).Value != policy.True {
				says = append(says, n.Say)
			}
		}
		return says
	}
	if left := open(proven); len(left) != 0 {
		t.Errorf("all is proven, and the gate still asks for %v", left)
	}
	for name, change := range map[string]func(v *policy.View){
		"every check has passed":                      func(v *policy.View) { v.Checks = nil },
		"the fix is verified":                         func(v *policy.View) { v.FixProven = false },
		"every action is proven, undone or cancelled": func(v *policy.View) { v.Actions = []policy.ActionView{{ID: "ACT-1", State: "unproven"}} },
	} {
		v := proven
		change(&v)
		if left := open(v); !slices.Equal(left, []string{name}) {
			t.Errorf("the gate asks for %v, want %s", left, name)
		}
	}
	if left := open(policy.View{}); len(left) != 2 {
		t.Errorf("with nothing done the gate asks for %v", left)
	}
}

// promise: REV-4
func TestThePolicyItselfIsReadEveryYear(t *testing.T) {
	d := duty(t, pickandpack(t), "reread_policy")
	if d.For != "programme" || d.Do != policy.ReRead || d.Every == nil || *d.Every.Span.Limit != (calendar.Length{N: 1, Unit: calendar.Year}) {
		t.Errorf("the duty is %+v", d)
	}
}

func TestTheSameTextGivesTheSameProgram(t *testing.T) {
	a, b := pickandpack(t), pickandpack(t)
	if a.Hash != b.Hash || !bytes.Equal(a.HTML(), b.HTML()) || !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(a.Hash) {
		t.Errorf("compiled twice: %s and %s", a.Hash, b.Hash)
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	page := string(pickandpack(t).HTML())
	for _, bad := range []string{"<script", "<link", "<img", "@import", "url(", "src=", "onload"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	src, _ := policies.FS.ReadFile("pickandpack.yaml")
	for b.Loop() {
		policy.Compile("pickandpack.yaml", src)
	}
}
