package scenarios

import (
	"fmt"
	"slices"
	"testing"
)

func TestEveryManifestLoads(t *testing.T) {
	if len(Names()) == 0 {
		t.Fatal("no scenarios")
	}
	for _, name := range Names() {
		m, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if m.Scenario != name {
			t.Errorf("scenario %q stands in folder %q", m.Scenario, name)
		}
	}
}

// promise: INV-3
func TestEverySabotageBreaksAPromiseThatIsExpectedToBeKept(t *testing.T) {
	for _, name := range Names() {
		m, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for sabotage, broken := range m.Sabotage {
			for policy, promises := range m.Policies {
				for _, id := range broken {
					if promises[id].Expect != Kept {
						t.Errorf("%s: %s breaks %s, which %s does not expect to be kept", name, sabotage, id, policy)
					}
				}
			}
		}
	}
}

// mostUnreached is the length of not-reached.txt when it was last shortened. Lower it; never raise it.
const mostUnreached = 12

func TestWhatIsNotReachedIsListedAndOnlyShrinks(t *testing.T) {
	listed, err := Unreached()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range Names() {
		m, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for policy, promises := range m.Policies {
			for id, e := range promises {
				if e.Expect == NotReached {
					want = append(want, fmt.Sprintf("%s %s %s", name, policy, id))
				}
			}
		}
	}
	slices.Sort(want)
	slices.Sort(listed)
	if !slices.Equal(listed, want) {
		t.Errorf("not-reached.txt has %v, the manifests have %v", listed, want)
	}
	if len(listed) > mostUnreached {
		t.Errorf("%d promises are not reached, %d were before", len(listed), mostUnreached)
	}
}

func TestAnUnknownScenarioNamesThoseThatExist(t *testing.T) {
	if _, err := Load("no-such"); err == nil {
		t.Fatal("loaded")
	}
	if _, err := Load("../scenarios/stolen-token"); err == nil {
		t.Fatal("a path was taken for a name")
	}
}
