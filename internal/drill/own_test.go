package drill

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/soaktest"
	"github.com/tocsin-ir/tocsin/policy/starter"
	"github.com/tocsin-ir/tocsin/scenarios"
)

// started is a policy that the starter wrote, in a file.
func started(t *testing.T, answers map[string]string, change ...string) string {
	t.Helper()
	var a starter.Answers
	for _, q := range starter.Questions {
		answer := answers[q.Key]
		if answer == "" {
			answer = map[string]string{"name": "Acme Labels", "owner": "Acme GmbH", "contact": "security@acme.example"}[q.Key]
		}
		if err := a.Set(q.Key, answer); err != nil {
			t.Fatal(err)
		}
	}
	src, err := starter.Write(a, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return written(t, src, change...)
}

// written puts a policy into a file, with some of its words replaced by others.
func written(t *testing.T, src []byte, change ...string) string {
	t.Helper()
	for i := 0; i+1 < len(change); i += 2 {
		if !bytes.Contains(src, []byte(change[i])) {
			t.Fatalf("the policy does not say %q", change[i])
		}
		src = bytes.ReplaceAll(src, []byte(change[i]), []byte(change[i+1]))
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, src, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func got(card Scorecard, id string) string {
	for _, p := range card.Promises {
		if p.ID == id {
			return p.Got
		}
	}
	return ""
}

// promise: NOT-1 NOT-3 CON-1 CLS-3
func TestAPolicyOfOnesOwnIsHeldToItsOwnText(t *testing.T) {
	for name, tt := range map[string]struct {
		answers map[string]string
		due     float64 // hours within which merchants are told
		want    map[string]string
	}{
		"as the starter asks by default": {nil, 48, map[string]string{
			"NOT-1": scenarios.Kept, "NOT-3": scenarios.Kept, "NOT-4": scenarios.NotReached, "CON-1": scenarios.Kept, "CLS-2": scenarios.Kept,
			"tell_merchants": scenarios.Kept, "start_containment": scenarios.Kept, "keep_informed": scenarios.NotReached, "DET-9": scenarios.NotReached,
		}},
		"no platform, no law, no credentials": {map[string]string{
			"platform": "none", "jurisdictions": "none", "holds": "personal_data", "deadline": "24h", "zone": "Europe/Helsinki", "business": "Mon-Fri 08:00-16:00", "severities": "high, low",
		}, 24, map[string]string{
			"NOT-1": scenarios.Kept, "NOT-3": scenarios.NotApplicable, "NOT-4": scenarios.NotApplicable, "CON-1": scenarios.NotReached, "CON-2": scenarios.NotApplicable, "tell_merchants": scenarios.Kept,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := reduced(t)
			o.Policy = started(t, tt.answers)
			card := play(t, o)
			if !card.OK {
				t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
			}
			for id, want := range tt.want {
				if g := got(card, id); g != want {
					t.Errorf("%s is %s, want %s", id, g, want)
				}
			}
			for _, p := range card.Promises {
				if p.ID == "NOT-1" && (p.DueSeconds == nil || *p.DueSeconds != tt.due*3600) {
					t.Errorf("NOT-1 is measured by %v", p.DueSeconds)
				}
			}
		})
	}
}

// A policy that keeps a shipped one's id and says something else is held to what it says, and a server
// whose clocks are a day late is found out by it.
//
// promise: NOT-1
func TestASabotagedServerIsFoundOutByThePolicysText(t *testing.T) {
	for name, tt := range map[string]struct {
		policy   string
		sabotage string
		broken   []string
	}{
		"a notice that names no promise": {started(t, nil, "48h after confirmed", "30h after confirmed", "promise: [NOT-1, NOT-2]", "promise: PUB-1"), "clock-late", []string{"NOT-1", "tell_merchants"}},
		"a shipped one changed":          {shippedWith(t, "shopify-app", "48h after confirmed", "40h after confirmed"), "revoke-noop", []string{"CON-1", "CON-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := reduced(t)
			o.Policy, o.Sabotage = tt.policy, tt.sabotage
			card := play(t, o)
			if slices.Sort(card.Broken); card.OK || !slices.Equal(card.Broken, tt.broken) {
				t.Errorf("broken %v, want %v; findings %v", card.Broken, tt.broken, card.Findings)
			}
		})
	}
}

func shippedWith(t *testing.T, name string, change ...string) string {
	t.Helper()
	src, err := reduced(t).Policies.Open(name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(src); err != nil {
		t.Fatal(err)
	}
	return written(t, b.Bytes(), change...)
}

// The long runs play every story with the shipped policies; these are the ones in which a clock of one's
// own is held to its text otherwise than above.
func TestAnOwnPolicyIsPlayedInOtherStories(t *testing.T) {
	for _, name := range []string{"false-alarm", "nobody-acts", "supplier"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := scene(t, name)
			o.Policy = started(t, nil)
			card := play(t, o)
			if !card.OK {
				t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
			}
			if strings.HasPrefix(got(card, "PUB-1"), "not_") {
				t.Errorf("PUB-1 is %s", got(card, "PUB-1"))
			}
		})
	}
}

// watched is an own policy in a story in which files change or a shop fails, and what is expected of it.
type watched struct {
	story, policy string
	want          map[string]string
}

func (w watched) holds(t *testing.T) {
	t.Helper()
	o := scene(t, w.story)
	o.Policy = w.policy
	card := play(t, o)
	if !card.OK {
		t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
	}
	for id, want := range w.want {
		if g := got(card, id); g != want {
			t.Errorf("%s is %s, want %s", id, g, want)
		}
	}
}

// Files and a storefront are watched under every policy; what is expected of one's own is what its text says.
//
// promise: DET-6 DET-7 REC-3 NOT-8
func TestAnOwnPolicyIsPlayedWhereFilesChangeAndAShopFails(t *testing.T) {
	for name, w := range map[string]watched{
		"a policy of the starter, without such an action": {"template-tamper", started(t, nil), map[string]string{
			"DET-7": scenarios.NotApplicable, "NOT-1": scenarios.Kept, "NOT-3": scenarios.Kept, "tell_merchants": scenarios.Kept, "start_containment": scenarios.NotReached, "REC-1": scenarios.Kept,
		}},
		"a policy of the starter, contained within two hours": {"storefront-outage", started(t, nil), map[string]string{
			"DET-6": scenarios.NotApplicable, "NOT-7": scenarios.NotReached, "start_containment": scenarios.Kept, "tell_platform": scenarios.Kept, "keep_informed": scenarios.Kept, "establish_scope": scenarios.NotReached,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.holds(t)
		})
	}
}

// Where one's own policy is a shipped one under another name: every day the shipped one is played in these
// stories, and an own one whose updates stop.
func TestSoakAnOwnPolicyThatIsAShippedOne(t *testing.T) {
	soaktest.Start(t)
	for name, w := range map[string]watched{
		"a policy that puts files back": {"template-tamper", shippedWith(t, "shopstars", "policy: shopstars", "policy: mine"), map[string]string{
			"DET-7": scenarios.Kept, "CON-5": scenarios.Kept, "CLS-1": scenarios.Kept, "prove_fix": scenarios.Kept, "tell_clients": scenarios.Kept, "send_summary": scenarios.NotReached,
		}},
		"a policy with updates by a table": {"storefront-outage", shippedWith(t, "shopstars", "policy: shopstars", "policy: mine"), map[string]string{
			"DET-6": scenarios.Kept, "NOT-7": scenarios.Kept, "NOT-8": scenarios.Kept, "keep_informed": scenarios.Kept, "start_containment": scenarios.Kept, "REC-4": scenarios.Kept, "send_summary": scenarios.Kept,
		}},
	} {
		t.Run(name, func(t *testing.T) { w.holds(t) })
	}
}

// promise: NOT-8
func TestAnOwnPolicyFindsOutUpdatesThatStop(t *testing.T) {
	t.Parallel()
	o := scene(t, "storefront-outage")
	o.Policy, o.Sabotage = shippedWith(t, "shopstars", "policy: shopstars", "policy: mine"), "update-skipped"
	card := play(t, o)
	if slices.Sort(card.Broken); card.OK || !slices.Equal(card.Broken, []string{"NOT-7", "NOT-8", "keep_informed"}) {
		t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
	}
}
