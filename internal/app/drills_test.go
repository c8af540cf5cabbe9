package app

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The server plays a drill by running its own program, which here is this test: it says which policy it
// was given.
func init() {
	i := slices.Index(os.Args, "--policy")
	if len(os.Args) < 2 || os.Args[1] != "drill" || i < 0 {
		return
	}
	src, err := os.ReadFile(os.Args[i+1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"scenario": "stolen-token", "policy": fmt.Sprintf("%x", sha256.Sum256(src))})
	os.Exit(0)
}

// A policy that is written while the server runs is in force after the next start.
func TestADrillPlaysThePolicyThatIsInForce(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, _ := start(t, Options{Dir: dir})
	want := fmt.Sprintf("%x", sha256.Sum256(a.policy.Source))
	file := a.cfg.path(a.cfg.Policy)
	if err := os.WriteFile(filepath.Clean(file), append(slices.Clone(a.policy.Source), "\n# another policy\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	hour := firstHour{a}
	if err := hour.StartDrill("stolen-token", "person:lena"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if since, _ := hour.Drilling(); since.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the drill does not end")
		}
		time.Sleep(20 * time.Millisecond)
	}
	runs, err := hour.Drills()
	if err != nil || len(runs) != 1 || runs[0].Failed != "" {
		t.Fatalf("%+v %v", runs, err)
	}
	if runs[0].Card.Policy != want || runs[0].Hash != a.policy.Hash {
		t.Fatalf("it played %s and is kept as a drill of %s", runs[0].Card.Policy, runs[0].Hash)
	}
}
