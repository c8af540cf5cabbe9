package app

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
)

// running is what the test compares of an incident: the policy it runs under and one clock of it.
type running struct {
	policy string
	due    time.Duration // after confirmed
}

func clockOf(t *testing.T, c *client.Client, id, duty string) running {
	t.Helper()
	raw, err := c.Incident(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Policy     string
		Milestones map[string]struct{ At time.Time }
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	clocks, err := c.Clocks(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range clocks {
		if row.Duty == duty {
			return running{s.Policy, row.Target.Sub(s.Milestones["confirmed"].At)} // promptly is a target
		}
	}
	t.Fatalf("%s has no clock %s: %+v", id, duty, clocks)
	return running{}
}

func confirmed(t *testing.T, c *client.Client, title string) string {
	t.Helper()
	out, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": title})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"lead", "comms", "engineer", "owner"} {
		if _, err := c.Command(t.Context(), out.Incident, "assign", map[string]any{"role": id, "person": "person:lena"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Command(t.Context(), out.Incident, "confirm", map[string]any{"reason": "orders were read"}); err != nil {
		t.Fatal(err)
	}
	return out.Incident
}

func published(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, got.StatusCode, err)
	}
	return string(b)
}

// An open incident goes on under the policy it started with, whatever became of the file.
func TestAnOpenIncidentKeepsItsPolicy(t *testing.T) { // promise: NOT-1
	dir := folder(t, "production", configuration)
	file := filepath.Join(dir, "policies", "policy.yaml")
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	source = append([]byte("# Ours, and not the example that came with the program.\n"), source...)
	write(t, dir, "policies/policy.yaml", string(source))
	a, stop := start(t, Options{Dir: dir})
	lena, token := member(t, a, "lena", "owner")
	old := confirmed(t, lena, "old")
	before := clockOf(t, lena, old, "assess")
	if before.due != 4*time.Hour {
		t.Fatalf("the clock is due %v after confirmed, want 4 h", before.due)
	}
	stop()

	write(t, dir, "policies/policy.yaml", strings.Replace(string(source), "promptly: 4h", "promptly: 1h", 1))

	reconnect := func(a *App) *client.Client {
		c, err := client.New(a.URL(), client.WithToken(token), client.WithTries(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range 2 { // the second start finds both versions kept
		a, stop = start(t, Options{Dir: dir})
		lena = reconnect(a)
		if _, err := lena.Command(t.Context(), old, "note", map[string]any{"text": "another fact under the old policy"}); err != nil {
			t.Fatal(err)
		}
		if after := clockOf(t, lena, old, "assess"); after != before {
			t.Errorf("after the file changed the incident runs under %+v, before %+v", after, before)
		}
		young := confirmed(t, lena, "new")
		if got := clockOf(t, lena, young, "assess"); got.policy == before.policy || got.due != time.Hour {
			t.Errorf("a new incident runs under %+v", got)
		}
		if page := published(t, a.URL()+"/policy.md"); !strings.Contains(page, "1 hour instead of 4 hours") {
			t.Errorf("the published page does not say what has changed:\n%s", page)
		}
		stop()
	}
	kept, err := filepath.Glob(filepath.Join(dir, "policies", "kept", "*"))
	if err != nil || len(kept) != 2 {
		t.Errorf("kept %v: %v", kept, err)
	}
}

func TestADamagedKeptPolicyIsSaidAndDoesNotStopTheStart(t *testing.T) {
	dir := folder(t, "production", configuration)
	_, stop := start(t, Options{Dir: dir})
	stop()
	kept, err := filepath.Glob(filepath.Join(dir, "policies", "kept", "*.yaml"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v: %v", kept, err)
	}
	source, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]string{
		"altered":      strings.Replace(string(source), "promptly: 4h", "promptly: 9h", 1),
		"not a policy": "policy: [",
	} {
		write(t, dir, "policies/kept/"+strings.Repeat("0", 64)+".yaml", damage)
		var log bytes.Buffer
		cfg, err := LoadConfig(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		programs, err := cfg.programs(slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || len(programs) != 1 {
			t.Errorf("%s: %d programs, %v", name, len(programs), err)
		}
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), strings.Repeat("0", 64)) {
			t.Errorf("%s: the log says %q", name, log.String())
		}
	}
	// The copy of the policy in force is written again when it was damaged.
	if err := os.WriteFile(kept[0], []byte("policy: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop = start(t, Options{Dir: dir})
	stop()
	if again, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(again, source) {
		t.Errorf("the kept copy was not repaired: %v", err)
	}
}
