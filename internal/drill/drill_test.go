package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/world"
	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/scenarios"
)

// reduced is a drill over a short month, for tests that run many.
func reduced(t *testing.T) Options {
	t.Helper()
	tocsin, verify := built(t)
	return Options{Binary: tocsin, Verifier: verify, Policies: policies.FS, Seed: 7, Days: 8, People: 120, Trials: 10, Dir: filepath.Join(short(t), "drill")}
}

func play(t *testing.T, o Options) Scorecard {
	t.Helper()
	var told bytes.Buffer
	o.Out, o.Err = &told, &told
	card, err := Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("\n" + told.String())
		}
	})
	return card
}

// promise: NOT-1 CON-1 INV-1 REC-1
func TestAPlainDrillKeepsEveryExpectation(t *testing.T) {
	card := plainDrill(t).card
	if !card.OK {
		t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
	}
	if card.Events < 15000 {
		t.Errorf("%d accesses, want at least 15,000", card.Events)
	}
}

// scene is a scenario as its script sets it, over the world it asks for; stolen-token over a short
// month.
func scene(t *testing.T, name string) Options {
	t.Helper()
	o := reduced(t)
	if o.Scenario = name; name != scenarios.Default {
		o.Days, o.People = 0, 0
	}
	return o
}

func TestEveryScenarioIsPlayed(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(scripts)), scenarios.Names(); !slices.Equal(got, want) {
		t.Errorf("scripts of %v, manifests of %v", got, want)
	}
}

func TestWhatOnlyFitsTheFirstScenarioIsRefusedElsewhere(t *testing.T) {
	for _, o := range []Options{
		{Scenario: "false-alarm", Interactive: true, In: strings.NewReader("")},
		{Scenario: "false-alarm", Events: "log", Merchants: "csv"},
		{Scenario: "no-such"},
	} {
		if _, err := o.withDefaults(); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// elsewhere is the policy under which a scenario's own drill is played here, so that together they
// meet more than one; the long runs play all of them.
var elsewhere = map[string]string{"false-alarm": "smartque", "nobody-acts": "shopify_app", "supplier": "mynty", "late-scope": "shopify_app", "insider": "palup", "tocsin-down": "smartque", "template-tamper": "shopstars", "storefront-outage": "shopstars", "outside-report": "smartque", "other-alarms": "palup"}

func TestEveryScenarioKeepsItsExpectations(t *testing.T) {
	for _, name := range scenarios.Names() {
		if name == scenarios.Default {
			continue // TestAPlainDrillKeepsEveryExpectation
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := scene(t, name)
			o.Policy = elsewhere[name]
			if card := play(t, o); !card.OK {
				t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
			}
		})
	}
}

// shownElsewhere are the sabotages whose organ is broken in another drill of every day too, under a policy of
// one's own or where the logs are in MySQL. The long runs play them under the policy that the scenario names.
var shownElsewhere = []string{"stolen-token/clock-late", "stolen-token/revoke-noop", "stolen-token/evidence-fork", "storefront-outage/update-skipped"}

func TestEverySabotageIsNamedByExactlyItsPromises(t *testing.T) {
	sabotages(t, func(name string) bool { return !slices.Contains(shownElsewhere, name) })
}

// sabotages plays those that are wanted, each beside the others.
func sabotages(t *testing.T, wanted func(name string) bool) {
	t.Helper()
	for _, name := range scenarios.Names() {
		m, err := scenarios.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		o := scene(t, name)
		for _, sabotage := range slices.Sorted(maps.Keys(m.Sabotage)) {
			if !wanted(name + "/" + sabotage) {
				continue
			}
			t.Run(name+"/"+sabotage, func(t *testing.T) {
				t.Parallel()
				o := o
				o.Policy, o.Sabotage, o.Dir = m.SabotagePolicy(), sabotage, filepath.Join(short(t), "drill")
				card := play(t, o)
				want := slices.Sorted(slices.Values(m.Sabotage[sabotage]))
				if got := slices.Sorted(slices.Values(card.Broken)); !slices.Equal(got, want) || card.OK {
					t.Errorf("broken %v, want %v; ok %v", got, want, card.OK)
				}
			})
		}
	}
}

// The outcome of a drill whose server is killed three times is the one of the drill nobody
// disturbed: the same milestones, duties, recipients, actions and verdicts. The policy is palup, whose own
// promises it keeps both times; the long runs kill under every policy.
func TestKillsChangeNothingThatCounts(t *testing.T) {
	t.Parallel()
	o := reduced(t)
	o.Policy = "palup"
	calm := play(t, o)
	if !calm.OK {
		t.Errorf("undisturbed: broken %v, findings %v", calm.Broken, calm.Findings)
	}
	o.Kills, o.Dir = 3, filepath.Join(t.TempDir(), "killed")
	card := play(t, o)
	if !card.OK || card.Crash.Kills != 3 || card.Crash.Missed != 0 || card.Crash.Duplicated != 0 {
		t.Errorf("ok %v, crash %+v, broken %v, findings %v", card.OK, card.Crash, card.Broken, card.Findings)
	}
	if a, b := string(calm.Canonical), string(card.Canonical); a != b {
		t.Errorf("the outcome differs:\n%s\n%s", a, b)
	}
}

// TestRealCloudRecordsStandInTheTimeline needs a folder of CloudTrail files, named by
// TOCSIN_TEST_CLOUDTRAIL.
func TestRealCloudRecordsStandInTheTimeline(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("TOCSIN_TEST_CLOUDTRAIL")
	if folder == "" {
		t.Skip("TOCSIN_TEST_CLOUDTRAIL names no folder of CloudTrail files")
	}
	o := reduced(t)
	o.Background = folder
	if card := play(t, o); !card.OK {
		t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
	}
}

func TestAUsersOwnLogIsReplayed(t *testing.T) {
	t.Parallel()
	o := reduced(t)
	dir := t.TempDir()
	o.Events, o.Merchants, o.Truth = filepath.Join(dir, "log.ndjson"), filepath.Join(dir, "merchants.csv"), filepath.Join(dir, "truth.ndjson")
	w := world.New(world.Options{Seed: 3, Merchants: 60, Start: firstDay, Days: 8})
	var merchants, log, truth bytes.Buffer
	if err := w.WriteCSV(&merchants); err != nil {
		t.Fatal(err)
	}
	n := 0
	event := func(a world.Access, attack bool) {
		n++
		m, _ := w.Find(a.Merchant)
		var subjects []map[string]string
		for _, order := range m.Page(a.Page) {
			subjects = append(subjects, map[string]string{"kind": "account", "id": order.Customer.ID})
		}
		id := fmt.Sprintf("mine-%d", n)
		line, _ := json.Marshal(map[string]any{
			"id": id, "time": a.At, "kind": "pii_access", "actor": map[string]string{"type": "service", "id": a.Actor}, "action": "read", "merchant": a.Merchant,
			"credential": "tok_" + a.Credential, "subjects": subjects, "data_types": []string{"customer.email"}, "outcome": "ok", "source": map[string]string{"ip": a.IP, "user_agent": a.Agent},
		})
		log.Write(append(line, '\n'))
		if attack {
			fmt.Fprintf(&truth, `{"event":%q,"attack":"scan"}`+"\n", id)
		}
	}
	for _, a := range w.Traffic(firstDay, firstDay.AddDate(0, 0, 8)) {
		event(a, false)
	}
	for i := range 300 {
		m := w.Merchants[i%60]
		event(world.Access{At: firstDay.AddDate(0, 0, 8).Add(3*time.Hour + time.Duration(i)*time.Second), Credential: world.BackOffice, Actor: "nobody", IP: "203.0.113.200", Agent: "curl", Merchant: m.ID, Page: 1 + i/60%2}, true)
	}
	for name, b := range map[string]*bytes.Buffer{o.Events: &log, o.Merchants: &merchants, o.Truth: &truth} {
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	card := play(t, o)
	if !card.OK || card.Scope.Recall != 1 || card.Scope.Precision != 1 {
		t.Errorf("broken %v, findings %v, scope %+v", card.Broken, card.Findings, card.Scope)
	}
	for _, p := range card.Promises {
		if strings.HasPrefix(p.ID, "CON-1") && p.Got != scenarios.NotReached {
			t.Errorf("%s is %s, and there is no application", p.ID, p.Got)
		}
	}
}

// Nothing begins where one of its servers would have no room for its socket.
func TestAFolderTooLongForASocketIsRefusedBeforeADrillBegins(t *testing.T) {
	for _, name := range scenarios.Names() {
		script, err := scriptOf(name)
		if err != nil {
			t.Fatal(err)
		}
		most := 103 - len("/tocsin.sock")
		if second := script.setting().second; second != "" {
			most -= len("/" + second)
		}
		full := "/" + strings.Repeat("d", most-1)
		if _, err := (Options{Scenario: name, Dir: full}).withDefaults(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := (Options{Scenario: name, Dir: full + "d"}).withDefaults(); err == nil || !strings.Contains(err.Error(), "by 1: ") || !strings.HasSuffix(err.Error(), "choose a shorter data folder with --keep DIR") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// short is a folder whose path leaves room for that of a socket two folders below, of at most 103 bytes.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "drill")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
