package scenarios

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

// The table of docs/promises.md is written by the drills, and only when every expectation held: so it
// is what the manifests say, and an older one is found here.
// update writes what the manifests expect without playing the drills, for a change whose drills were
// played one by one; make drill-all writes what was found.
var update = flag.Bool("update", false, "write the table of docs/promises.md from the manifests")

func TestTheTableOfThePageIsWhatTheManifestsExpect(t *testing.T) {
	page, err := os.ReadFile("../docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Manifest{}
	for _, name := range Names() {
		if all[name], err = Load(name); err != nil {
			t.Fatal(err)
		}
	}
	table, err := Table(func(scenario, policy, promise string) string { return all[scenario].Policies[policy][promise].Expect })
	if err != nil {
		t.Fatal(err)
	}
	want, err := PutTable(page, table)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("../docs/promises.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, want) {
		t.Errorf("docs/promises.md has another table of what the drills show: make drill-all")
	}
	if _, err := PutTable([]byte("no marks"), table); err == nil {
		t.Error("a page without marks was taken")
	}
}
