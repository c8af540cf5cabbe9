package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/played"
	"github.com/tocsin-ir/tocsin/scenarios"
)

// play is the drill that runs now, if one does.
type play struct {
	since  time.Time
	failed string // why the last one could not be played
}

// maxPlay is how long a drill may take: a little longer than it allows itself, so that it says itself why it ended.
const maxPlay = 22 * time.Minute

// playFolder is how the folders of drills that a server plays are called.
const playFolder = "tocsin-drill-"

// Drills gives the drills that were kept, newest first.
func Drills(dir string) ([]played.Run, error) { return played.Read(dir) }

func (h firstHour) Drills() ([]played.Run, error) { return Drills(h.a.o.Dir) }

func (h firstHour) Scenarios() []string { return scenarios.Names() }

func (h firstHour) Drilling() (since time.Time, failed string) {
	h.a.playing.Lock()
	defer h.a.playing.Unlock()
	return h.a.play.since, h.a.play.failed
}

func (h firstHour) StartDrill(scenario, by string) error {
	_, err := h.a.startDrill(scenario, by)
	return err
}

// startDrill plays a drill of the policy in force, in processes and a data folder of its own whose
// environment is drill, while this server goes on. It gets nothing of this installation but the text of
// the policy: no merchants, no relay, no connectors, no keys. A server that stops takes its drill with
// it, and the drill is kept as interrupted.
func (a *App) startDrill(scenario, by string) (began time.Time, err error) {
	if !slices.Contains(scenarios.Names(), scenario) {
		return began, fmt.Errorf("there is no scenario %q; there are %s", scenario, strings.Join(scenarios.Names(), ", "))
	}
	program, err := os.Executable()
	if err != nil {
		return began, err
	}
	a.playing.Lock()
	defer a.playing.Unlock()
	if !a.play.since.IsZero() {
		return began, errors.New("a drill is being played: wait for its result")
	}
	dir, err := os.MkdirTemp("", playFolder)
	if err != nil {
		return began, err
	}
	began = time.Now().UTC().Truncate(time.Millisecond)
	p := played.Play{Folder: dir, Run: played.Run{Began: began, By: by, Hash: a.policy.Hash, Card: played.Card{Policy: a.policy.ID, Scenario: scenario}}}
	policy := filepath.Join(dir, "policy.yaml")
	// The policy that this server was started with: what stands in its file by now is in force after the
	// next start, and is not what the result is kept for.
	if err := errors.Join(os.WriteFile(policy, a.policy.Source, 0o600), played.Begin(a.o.Dir, p)); err != nil {
		return began, errors.Join(err, os.RemoveAll(dir))
	}
	a.play = play{since: began}
	a.copying.Go(func() {
		run := p.Run
		run.Card, run.Failed = a.playDrill(program, policy, p)
		if run.At = time.Now(); run.Failed != "" {
			a.o.Log.Warn("a drill ended without a result", "reason", run.Failed)
		}
		if err := errors.Join(played.End(a.o.Dir, run), os.RemoveAll(dir)); err != nil {
			a.o.Log.Warn("what came of a drill was not kept", "error", err)
			run.Failed = err.Error()
		}
		a.playing.Lock()
		defer a.playing.Unlock()
		a.play = play{failed: run.Failed}
	})
	return began, nil
}

// playDrill plays one drill; it says why there is no result.
func (a *App) playDrill(program, policy string, p played.Play) (card played.Card, failed string) {
	ctx, cancel := context.WithTimeout(a.life, maxPlay)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "drill", "--policy", policy, "--scenario", p.Card.Scenario, "--keep", filepath.Join(p.Folder, "data"), "--json", "--leash")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out, said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Folder, &out, &said
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return !inherited(v) })
	leash, hold, err := os.Pipe() // the drill ends with this process, however that ends
	if err != nil {
		return p.Card, err.Error()
	}
	defer hold.Close()
	cmd.Stdin = leash
	err = cmd.Run()
	leash.Close()
	if jerr := json.Unmarshal(out.Bytes(), &card); jerr == nil && card.Scenario != "" {
		return card, ""
	} else if err == nil {
		err = jerr
	}
	if a.life.Err() != nil {
		return p.Card, played.Interrupted
	}
	if ctx.Err() != nil {
		return p.Card, fmt.Sprintf("it did not end within %s, and was stopped: this machine has too much else to do, or it waits for something", maxPlay)
	}
	text := reasonOf(said.String())
	if text == "" {
		text = fmt.Sprint(err)
	}
	return p.Card, text
}

// reasonOf is why a drill could not be played, of what it said on the way: the error stands last, after
// the lines that told the story, and has its hints below it.
func reasonOf(said string) string {
	const begins = "tocsin drill: "
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for _, line := range slices.Backward(lines) {
		if text, ok := strings.CutPrefix(line, begins); ok {
			return text
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// inherited says whether a drill gets a variable of this server's environment: where programs, temporary
// files and time zones are, and nothing that may hold a secret of the installation.
func inherited(v string) bool {
	name, _, _ := strings.Cut(v, "=")
	return slices.Contains([]string{"PATH", "HOME", "TMPDIR", "TZ", "ZONEINFO", "LANG", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "SYSTEMROOT", "TEMP", "TMP"}, strings.ToUpper(name))
}

// resumeDrill keeps the drill that an earlier process on this folder did not end as interrupted, and
// removes what is left of it.
func (a *App) resumeDrill() error {
	folder, err := played.Resume(a.o.Dir)
	if err != nil {
		return err
	}
	if strings.HasPrefix(filepath.Base(folder), playFolder) && filepath.Dir(folder) == filepath.Clean(os.TempDir()) {
		a.copying.Go(func() { a.sweep(folder) })
	}
	return nil
}

// sweep removes the folder of a drill whose server has died. The drill ends with its server and may still
// be writing while it does, so the folder counts as gone when it stayed away for a second.
func (a *App) sweep(folder string) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for range 60 {
		_, there := os.Lstat(folder)
		err := os.RemoveAll(folder)
		if errors.Is(there, fs.ErrNotExist) && err == nil {
			return
		}
		select {
		case <-a.life.Done():
			return
		case <-again.C:
		}
	}
	a.o.Log.Warn("the folder of a drill that was interrupted is still there: remove it", "folder", folder)
}

// drillsOf are the drills as the API takes them.
type drillsOf struct{ a *App }

func (d drillsOf) Drills() ([]played.Run, error) { return Drills(d.a.o.Dir) }

func (d drillsOf) Drilling() time.Time {
	since, _ := firstHour{d.a}.Drilling()
	return since
}

func (d drillsOf) StartDrill(scenario, by string) (time.Time, error) {
	return d.a.startDrill(scenario, by)
}
