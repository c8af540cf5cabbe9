package app

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
)

// verifier builds the offline verifier.
func verifier(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tocsin-verify")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/tocsin-ir/tocsin/cmd/tocsin-verify")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// exported takes an export of an incident into a file.
func exported(t *testing.T, c *client.Client, inc string) (string, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "export"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Export(t.Context(), inc, "the court", file)
	return file.Name(), errors.Join(err, file.Close())
}

// An incident is settled, and months later the days of its accesses go, one after the other. Whoever
// asks for its evidence then gets an export that the program in their hands verifies: it proves what is
// left and names what was removed, by which fact and why.
//
// promise: INV-3
func TestTheEvidenceOfAnIncidentWhoseDaysWereRemovedStillVerifies(t *testing.T) {
	program := verifier(t)
	dir := folder(t, "drill", configuration+"evidence: { keep: 30 days }\n")
	noon := time.Date(2026, 10, 20, 12, 0, 0, 0, time.UTC)
	a, clock, _ := simulated(t, dir, noon)
	c, _ := member(t, a, "omar", "responder")
	owner, _ := member(t, a, "olga", "owner")
	app := sender(t, a)
	take(t, a, app, "d0", 6)
	clock.Set(noon.AddDate(0, 0, 1))
	take(t, a, app, "d1", 4)
	opened, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "orders read at night"})
	if err != nil {
		t.Fatal(err)
	}
	inc := opened.Incident
	for _, from := range []time.Time{noon.AddDate(0, 0, -1), noon.Add(20 * time.Hour)} {
		q := client.Query{From: from, To: noon.AddDate(0, 0, 2), Any: []client.Clause{{Credential: []string{"tok_1"}}}}
		if _, _, err := c.RecordScope(t.Context(), inc, q, "all of the token"); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := c.Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	since := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(since, []byte(kept.Facts+"\n"+kept.Events), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(file string) (string, int) {
		out, err := exec.Command(program, "--since", since, file).CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if exit != nil {
			return string(out), exit.ExitCode()
		}
		return string(out), 0
	}
	whole, err := exported(t, c, inc)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := verify(whole); code != 0 || strings.Contains(out, "removed") || !strings.Contains(out, "10 events") {
		t.Fatalf("before: %d, %s", code, out)
	}
	if _, err := owner.Command(t.Context(), inc, "dismiss", map[string]any{"reason": "a test by our own staff"}); err != nil {
		t.Fatal(err)
	}
	for n, want := range [][]string{{
		"removed: 2026-10-20: 6 events in ", " by the fact FACT; kept for 30 days; the time for which access events are kept is over, and no hold and no open incident covers the day\n",
		"scope 1: 4 of its 10 events are there and were counted again; its numbers are those of its fact; the others were removed with days among 2026-10-20\n",
		"; 6 of the 10 events of scope 1 were removed with their days, as facts in the log say, and cannot be counted again\n", ", 4 events in ",
	}, {
		"removed: 2026-10-21: 4 events in ", "scope 1: 0 of its 10 events are there", "scope 2: 0 of its 4 events are there", "; nor can another scope in full", ", 0 events in 0 leaves, 2 scopes",
	}} {
		clock.Set(noon.AddDate(0, 0, 31+n))
		days := removedDays(t, c, n+1)
		file, err := exported(t, c, inc)
		if err != nil {
			t.Fatalf("%d days removed: %v", n+1, err)
		}
		out, code := verify(file)
		if code != 0 || !strings.Contains(out, "verified against example/") {
			t.Errorf("%d days removed: %d, %s", n+1, code, out)
		}
		for _, says := range want {
			if says = strings.ReplaceAll(says, "FACT", days[0].Fact); !strings.Contains(out, says) {
				t.Errorf("%d days removed: it does not say %q: %s", n+1, says, out)
			}
		}
		if n == 0 && strings.Contains(out, "scope 2: ") {
			t.Errorf("the second scope is whole: %s", out)
		}
		// What was given out before says what it said.
		if out, code := verify(whole); code != 0 || !strings.Contains(out, "10 events") {
			t.Errorf("the export of before: %d, %s", code, out)
		}
	}
	if err := c.ProveEvent(t.Context(), "d0-1", 0, os.Stderr); err == nil || !strings.Contains(err.Error(), "were removed") {
		t.Errorf("one event of a removed day: %v", err)
	}
}
