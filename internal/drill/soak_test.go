package drill

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/mysqltest"
	"github.com/tocsin-ir/tocsin/internal/pgtest"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
	"github.com/tocsin-ir/tocsin/scenarios"
)

// whole is the drill of make drill.
func whole(t *testing.T) Options {
	t.Helper()
	o := reduced(t)
	o.Days, o.People = 31, 300
	return o
}

// TestADrillOnPostgreSQLKeepsEveryExpectation runs the drill with facts, jobs and projections in a
// real PostgreSQL server, in a database of its own, under the policy that is least like pickandpack: it is
// judged against its own promises.
func TestADrillOnPostgreSQLKeepsEveryExpectation(t *testing.T) {
	t.Parallel()
	o := reduced(t)
	o.Store, o.Policy = pgtest.Database(t), "mynty"
	if card := play(t, o); !card.OK {
		t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
	}
}

// Both logs are in a real MySQL server, in databases of their own: what is exported from them verifies,
// every alteration is found, and a log that is rewritten with the real key is caught. Nothing of a log
// is in the drill's folder. The first is under smartque, which is judged against its own promises.
//
// promise: INV-3
func TestADrillWhoseLogsAreInMySQLKeepsEveryExpectation(t *testing.T) {
	t.Parallel()
	o := reduced(t)
	o.Policy = "smartque"
	o.Logs = Logs{Facts: "mysql://" + mysqltest.Database(t), Events: "mysql://" + mysqltest.Database(t)}
	card := play(t, o)
	if e := card.Evidence; !card.OK || !e.Verified || e.TamperTrials == 0 || e.TamperFound != e.TamperTrials {
		t.Errorf("broken %v, findings %v, evidence %+v", card.Broken, card.Findings, e)
	}
	for _, name := range []string{"facts", "events"} {
		if _, err := os.Stat(filepath.Join(o.Dir, "log", name)); !os.IsNotExist(err) {
			t.Errorf("log/%s: %v", name, err)
		}
	}
	o.Dir, o.Policy, o.Sabotage = filepath.Join(t.TempDir(), "forked"), "", "evidence-fork"
	o.Logs = Logs{Facts: "mysql://" + mysqltest.Database(t), Events: "mysql://" + mysqltest.Database(t)}
	if card := play(t, o); card.OK || !slices.Contains(card.Broken, "INV-3") {
		t.Errorf("a forked log: ok %v, broken %v", card.OK, card.Broken)
	}
}

// Fifty kills at random instants, over as many drills as they take: nothing that was acknowledged is
// lost, nothing owed is missed, nothing is done twice outside the uncertain. How many kills fall into
// one drill depends on how fast the machine is.
func TestSoakKills(t *testing.T) {
	s := soaktest.Start(t)
	calm := play(t, whole(t))
	const most = 10
	drills := s.Rounds(t, "tens of kills", 5, 20)
	want, total := drills*most, 0
	for i := 0; total < want && !t.Failed(); i++ {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			o := whole(t)
			o.Kills, o.Dir = min(most, want-total), filepath.Join(t.TempDir(), "killed")
			card := play(t, o)
			total += card.Crash.Kills
			if !card.OK || card.Crash.Missed != 0 || card.Crash.Duplicated != 0 {
				t.Errorf("ok %v, crash %+v, broken %v, findings %v", card.OK, card.Crash, card.Broken, card.Findings)
			}
			if card.Crash.Kills == 0 {
				t.Error("the server was not killed once")
			}
			if string(calm.Canonical) != string(card.Canonical) {
				t.Errorf("the outcome differs:\n%s\n%s", calm.Canonical, card.Canonical)
			}
		})
	}
}

// Kills so close that a server lives hardly longer than it takes to start: the switch is obeyed all the
// same within its two seconds, because the application looks for the server again at once.
//
// promise: CON-3
func TestSoakKillsAtTheDistanceOfAStart(t *testing.T) {
	soaktest.Start(t)
	o := whole(t)
	o.Kills, o.KillEvery = 40, 150*time.Millisecond
	card := play(t, o)
	if !card.OK || card.Crash.Kills < 20 || card.Crash.Missed != 0 || card.Crash.Duplicated != 0 {
		t.Errorf("ok %v, crash %+v, broken %v, findings %v", card.OK, card.Crash, card.Broken, card.Findings)
	}
}

func TestSoakSeeds(t *testing.T) {
	s := soaktest.Start(t)
	n := 10
	if s.Full() {
		n = 50
	}
	others := slices.DeleteFunc(scenarios.Names(), func(name string) bool { return name == scenarios.Default })
	for i, seed := range s.Seeds(t, n) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			o := whole(t)
			if i%2 == 1 { // every second seed goes to another story, in turn
				o = scene(t, others[seed%uint64(len(others))])
			}
			o.Seed = seed
			if card := play(t, o); !card.OK {
				t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
			}
		})
	}
}

func TestSoakEveryPolicyOverTheWholeMonth(t *testing.T) {
	soaktest.Start(t)
	m, err := scenarios.Load("stolen-token")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range slices.Sorted(maps.Keys(m.Policies)) {
		t.Run(id, func(t *testing.T) {
			o := whole(t)
			o.Policy, o.Kills = id, 2
			if card := play(t, o); !card.OK {
				t.Errorf("broken %v, findings %v", card.Broken, card.Findings)
			}
		})
	}
}

func TestSoakSabotagesOfTheWholeMonth(t *testing.T) {
	s := soaktest.Start(t)
	m, err := scenarios.Load("stolen-token")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range s.Pick(t, "sabotages", 4, slices.Sorted(maps.Keys(m.Sabotage))) {
		t.Run(name, func(t *testing.T) {
			o := whole(t)
			o.Sabotage = name
			card := play(t, o)
			want := slices.Sorted(slices.Values(m.Sabotage[name]))
			if got := slices.Sorted(slices.Values(card.Broken)); !slices.Equal(got, want) || card.OK {
				t.Errorf("broken %v, want %v; ok %v", got, want, card.OK)
			}
		})
	}
}

// What is left out every day because another drill breaks the same organ.
func TestSoakSabotagesThatAreShownElsewhere(t *testing.T) {
	soaktest.Start(t)
	sabotages(t, func(name string) bool { return slices.Contains(shownElsewhere, name) })
}

func TestSoakPostgreSQLKilled(t *testing.T) {
	s := soaktest.Start(t)
	for i := range s.Rounds(t, "drills on PostgreSQL with five kills", 2, 10) {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			o := whole(t)
			o.Store, o.Kills = pgtest.Database(t), 5
			card := play(t, o)
			if !card.OK || card.Crash.Missed != 0 || card.Crash.Duplicated != 0 {
				t.Errorf("ok %v, crash %+v, broken %v, findings %v", card.OK, card.Crash, card.Broken, card.Findings)
			}
		})
	}
}
