package starter_test

import (
	"flag"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/policy/starter"
)

var today = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

func acme() starter.Answers {
	return starter.Answers{Name: "Acme Labels", Owner: "Acme Ltd", Contact: "security@acme.example", Lead: "lena", Comms: "omar", Engineer: "ida"}
}

// What new writes is clean, whatever is answered; only roles nobody is named for are warned about.
func TestWhatIsWrittenIsClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(label string, of ...string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 1, len(of), rapid.ID[string]).Draw(t, label)
		}
		who := func(label, name string) string { return rapid.SampledFrom([]string{"?", name}).Draw(t, label) }
		a := starter.Answers{
			Name:       rapid.SampledFrom([]string{"Acme", "9 lives: the “app”", `Say "hi" # now`, "Überall {x}"}).Draw(t, "name"),
			Owner:      rapid.SampledFrom([]string{"Acme Ltd", `O'Hara & "Sons" {owner}: yes #1`, "Ümlaut GmbH"}).Draw(t, "owner"),
			Contact:    "security@acme.example",
			Zone:       rapid.SampledFrom([]string{"Europe/Berlin", "UTC", "America/New_York"}).Draw(t, "zone"),
			Business:   rapid.SampledFrom([]string{"Mon-Fri 09:00-17:30", "Mon-Thu 09:00-17:00; Fri 09:00-14:00"}).Draw(t, "business"),
			Platform:   rapid.SampledFrom([]string{"shopify", "none", "Wix <security@wix.example>"}).Draw(t, "platform"),
			Deadline:   rapid.SampledFrom([]string{"24h", "72h", "3d", "2 business d"}).Draw(t, "deadline"),
			Severities: some("severities", "p0", "p1", "p2", "p3", "p4"),
			Lead:       who("lead", "Lena Weiss"), Comms: who("comms", "omar"), Engineer: who("engineer", "ida"),
			Jurisdictions: rapid.SampledFrom([][]string{{"none"}, {"eu"}, {"us", "uk"}}).Draw(t, "jurisdictions"),
			Holds:         some("holds", "personal_data", "credentials", "payment_data"),
		}
		if len(a.Severities) < 2 {
			a.Severities = []string{"high", "low"}
		}
		src, err := starter.Write(a, today)
		if err != nil {
			if strings.Contains(a.Owner, "{owner}") {
				return // braces are references; the error says so
			}
			t.Fatal(err)
		}
		p, diags := policy.Compile("policy.yaml", src)
		for _, d := range diags {
			if d.Code != "open-role" {
				t.Fatalf("%s\n%s", policy.Format(diags, src), src)
			}
		}
		if len(p.Sheet(nil).HTML()) == 0 {
			t.Fatal("there is no page")
		}
	})
}

func TestEverySeverityOfANewPolicyIsBroughtAboutBySomething(t *testing.T) {
	all := []string{"worst", "worse", "bad", "low", "least"}
	for n := 2; n <= len(all); n++ {
		a := acme()
		a.Severities = all[:n]
		src, err := starter.Write(a, today)
		if err != nil {
			t.Fatal(err)
		}
		if _, diags := policy.Compile("policy.yaml", src); len(diags) > 0 {
			t.Errorf("%d severities:\n%s", n, policy.Format(diags, src))
		}
	}
}

func TestTheAnswersStandInThePolicy(t *testing.T) {
	a := acme()
	a.Deadline = "36h"
	src, err := starter.Write(a, today)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := policy.Compile("policy.yaml", src)
	page := string(p.Markdown())
	for _, want := range []string{"Acme Ltd", "security@acme.example", "within 36 hours of confirming it", "the recipient's contract", "the applicable law", "26 November 2026", "Shopify"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestAWrongAnswerSaysWhatToDo(t *testing.T) {
	for _, tt := range []struct{ key, answer, want string }{
		{"contact", "nobody", `contact: "nobody" is not an e-mail address`},
		{"zone", "Mars/Olympus", `zone: there is no time zone "Mars/Olympus"; write a name such as Europe/Berlin`},
		{"business", "always", `business: "always" is not opening hours (write days and times, such as Mon-Fri 09:00-17:30)`},
		{"deadline", "soon", `deadline: "soon" is not a length of time (write a number and a unit, such as 72h, 15min, 5d or 1 business d)`},
		{"severities", "one", "severities: name two to five, worst first"},
		{"platform", "my shop", "platform: write shopify, none, or NAME <security@example.com>"},
		{"jurisdictions", "mars", `jurisdictions: "mars" is none of eu, uk, us, other, none`},
		{"name", "", "name: an answer is needed"},
		{"comms", "Lena", "comms: who writes a notice cannot approve it; name somebody else than the lead, or ?"},
	} {
		a := acme()
		if err := a.Set(tt.key, tt.answer); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %q gives %v, want %s", tt.key, tt.answer, err, tt.want)
		}
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("rapid.checks", "20") // each compiles a whole policy twice
	m.Run()
}
