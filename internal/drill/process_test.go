package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/sink"
)

// TestMain lets this test binary be any of the drill's processes.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "drill-process" {
		if err := Process(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func self(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAProcessAnswersAndStopsWithItsInput(t *testing.T) {
	var up ready
	c, err := spawn(t.Context(), self(t), "sink", sink.Config{Listen: "127.0.0.1:0", Dir: t.TempDir()}, &up)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		ID int
		OK bool
	}
	if err := c.ask(map[string]any{"id": 3, "now": time.Now()}, &answer); err != nil || answer.ID != 3 || !answer.OK {
		t.Fatal(err, answer)
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	if c.cmd.ProcessState == nil {
		t.Fatal("the process is still there")
	}
}

func TestAProcessThatFailsSaysWhy(t *testing.T) {
	_, err := spawn(t.Context(), self(t), "sink", map[string]string{"listen": "nowhere"}, nil)
	if err == nil || !strings.Contains(err.Error(), "sink") {
		t.Fatalf("%v", err)
	}
	if err := Process(t.Context(), "nobody", strings.NewReader(""), &bytes.Buffer{}); err == nil {
		t.Fatal("an unknown process ran")
	}
}

func TestAFolderThatIsNoDrillIsNeverEmptied(t *testing.T) {
	now := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	mine := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(mine, []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareFolder(dir, now); err == nil {
		t.Fatal("a folder with other things in it was taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "installation.json"), []byte(`{"id":"x","env":"production"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareFolder(dir, now); err == nil {
		t.Fatal("a production folder was taken")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "last")
	for range 2 { // the second drill empties the first one's folder
		if err := prepareFolder(fresh, now); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReplayedLogKeepsEverythingButItsTimes(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log.ndjson")
	text := `{"id":"b","time":"2024-02-01T10:00:00Z","kind":"pii_access","merchant":"m_1","credential":"tok"}
not an event
{"id":"a","time":"2024-02-01T09:00:00Z","kind":"pii_access","merchant":"m_2"}
`
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	events, bad, err := readLog(log)
	if err != nil || bad != 1 || len(events) != 2 || events[0].ID != "a" {
		t.Fatal(err, bad, events)
	}
	moved, err := moveTime(events[1].text, time.Date(2026, 10, 20, 10, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(moved, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"id": "b", "time": "2026-10-20T10:00:00Z", "kind": "pii_access", "merchant": "m_1", "credential": "tok", "env": "drill"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	truth := filepath.Join(dir, "truth.ndjson")
	if err := os.WriteFile(truth, []byte(`{"event":"a","attack":"scan"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	attack, err := readTruth(truth)
	if err != nil || attack["a"] != "scan" {
		t.Fatal(err, attack)
	}
	if c := suspects(events, attack); len(c) != 0 && len(c[0].Credential) != 0 {
		t.Fatalf("%+v", c)
	}
	if _, _, err := readLog(truth + ".none"); err == nil {
		t.Fatal("a log that is not there was read")
	}
}

func TestWhatPeopleNamedThingsCannotSteerTheTerminal(t *testing.T) {
	var b bytes.Buffer
	tell := newTeller(Options{Err: &b})
	tell.say("alarm", "%s", "evil\x1b[2J\r\nname \u202Etxt")
	if s := b.String(); strings.ContainsAny(s, "\x1b\r\u202E") || strings.Count(s, "\n") != 1 {
		t.Fatalf("%q", s)
	}
}

func TestTheScorecardSaysWhatWasNotAsExpected(t *testing.T) {
	var b bytes.Buffer
	took, due := 149000.0, 259200.0
	card := Scorecard{Policy: "pickandpack", Scenario: "stolen-token", Seed: 7, Sabotage: "clock-late", Broken: []string{"NOT-1"}, SabotageExpected: []string{"NOT-1"}, Promises: []Promise{
		{ID: "NOT-1", Expected: "kept", Got: "missed", Clock: "simulated", Trigger: "person", TookSeconds: &took, DueSeconds: &due, Reason: "it took too long"},
		{ID: "PRO-9", Expected: "not_applicable", Got: "not_applicable"},
	}}
	newTeller(Options{Out: &b}).scorecard(card, "bin/tocsin serve --data .drill/last")
	for _, want := range []string{"*NOT-1", "41.4 h / 72.0 h", "it took too long", "broken by clock-late: NOT-1", "bin/tocsin serve --data .drill/last"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "PRO-9") {
		t.Error("what nobody promised is listed")
	}
}

// built is the program and its verifier, built once for the tests that run whole drills.
func built(t *testing.T) (tocsin, verify string) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs whole drills; not with -short")
	}
	dir := os.Getenv("TOCSIN_TEST_BIN")
	if dir == "" {
		dir = t.TempDir()
		cmd := exec.Command("go", "build", "-o", dir, "../../cmd/tocsin", "../../cmd/tocsin-verify")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as released
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	return filepath.Join(dir, "tocsin"), filepath.Join(dir, "tocsin-verify")
}

// A drill that is stopped from outside says so, and blames no process that it took with it.
func TestADrillThatIsStoppedFromOutsideSaysSo(t *testing.T) {
	o := reduced(t)
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	r, err := prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	r.arrived = func(context.Context, time.Time) error { // its processes run by now
		stop(errors.New("terminated signal received"))
		return r.judge.ask(map[string]any{"id": 1, "now": time.Now()}, nil)
	}
	if _, err := r.whole(ctx); err == nil || !strings.Contains(err.Error(), "stopped from outside") || !strings.Contains(err.Error(), "terminated signal received") || strings.Contains(err.Error(), "EOF") {
		t.Errorf("%v", err)
	}
}

func TestAProcessThatEndsInTheMiddleSaysHow(t *testing.T) {
	var up ready
	c, err := spawn(t.Context(), self(t), "sink", sink.Config{Listen: "127.0.0.1:0", Dir: t.TempDir()}, &up)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.ask(map[string]any{"id": 1, "now": time.Now()}, nil); err == nil || err.Error() != "drill: sink: it ended in the middle (signal: killed)" {
		t.Errorf("%v", err)
	}
	var said tail
	for _, line := range []string{"2026/11/20 a warning\n", "panic: assignment to entry in nil map\n\n", strings.Repeat("goroutine 7 [running]:\n", 2000), "exit status 2\n"} {
		fmt.Fprint(&said, line)
	}
	if got := said.words(); got != ": panic: assignment to entry in nil map" {
		t.Errorf("the last words of a crash: %q", got)
	}
}
