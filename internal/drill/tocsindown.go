package drill

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/drill/victim"
	"github.com/tocsin-ir/tocsin/internal/judge"
)

// tocsinDown is a breach in which the responder's own machine is lost. A backup was taken in the
// night; the notices to the merchants left after it; then the machine is gone with its disk. The
// server goes on in another folder and on another port, from the backup and from the copy of the log
// and the facts that is kept elsewhere: the clocks run as before, and nobody is told twice.
type tocsinDown struct{}

func (tocsinDown) setting() setting {
	return setting{days: 8, people: 60, copies: true, second: newMachine}
}

// restoreOld is the sabotage of this story: the machine goes on from the backup alone, and nobody says
// that it is old.
const restoreOld = "restore-old"

// backupPlain is another: the backups are taken as anybody could read them.
const backupPlain = "backup-plain"

func (tocsinDown) play(ctx context.Context, r *run) error {
	if r.o.Store != "" {
		return fmt.Errorf("a machine is lost with the embedded store: leave out --store")
	}
	if r.o.Logs != (Logs{}) {
		return fmt.Errorf("a machine is lost with its logs: leave out --facts-log and --events-log")
	}
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	if err := r.backUp(ctx); err != nil {
		return fmt.Errorf("the backup of the evening: %w", err)
	}
	if err := r.threeParts(ctx); err != nil {
		return fmt.Errorf("the night: %w", err)
	}
	lead := r.lead()
	err := r.steps(ctx,
		step{3, 11, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		step{3, 17, r.judgements},
		step{3, 19, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The back office's token reads merchants at night from an address nobody knows."}, "confirms the incident")
			return err
		}},
		step{4, 0, r.backUp},
		step{4, 30, r.rightScope},
		step{5, 0, r.tellOthers},
		step{6, 0, r.prepareNotice},
	)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	if err := r.sendNotice(ctx); err != nil {
		return fmt.Errorf("the notices: %w", err)
	}
	if err := r.advance(ctx, r.server.clock().Add(time.Hour)); err != nil {
		return err
	}
	if err := r.loseTheMachine(ctx); err != nil {
		return fmt.Errorf("the move: %w", err)
	}
	r.startKiller(ctx)
	if err := r.goOn(ctx); err != nil {
		return fmt.Errorf("the response on the new machine: %w", err)
	}
	r.stopKiller()
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}

// offBox is the folder that stands for another place: the copy, the backup and who can read them.
func offBox(dir string) string { return dir + ".offbox" }

func copyOf(dir string) string { return filepath.Join(offBox(dir), "copy") }

// prepareCopies makes the other place, and the identity that keys are encrypted to there.
func prepareCopies(dir string) (recipient string, err error) {
	if err := os.RemoveAll(offBox(dir)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(offBox(dir), 0o700); err != nil {
		return "", err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), os.WriteFile(filepath.Join(offBox(dir), "identity"), []byte(id.String()+"\n"), 0o600)
}

// tocsin runs the program as an operator does.
func (r *run) tocsin(ctx context.Context, args ...string) error {
	said, err := exec.CommandContext(ctx, r.o.Binary, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("tocsin %s: %w: %s", args[0], err, bytes.TrimSpace(said))
	}
	return nil
}

// backUp takes a backup, as a timer of the operating system does every evening and every night.
func (r *run) backUp(ctx context.Context) error {
	name := fmt.Sprintf("backup-%d.tar.age", len(r.backups)+1)
	if r.o.Sabotage == backupPlain {
		name = strings.TrimSuffix(name, ".age")
	}
	to := filepath.Join(offBox(r.o.Dir), name)
	err := r.tocsin(ctx, "backup", "--data", r.data(), "--to", to, "--recipient", r.recipient)
	r.backups = append(r.backups, judge.Backup{File: to, At: r.server.clock()})
	r.tell.say("person", "a backup is taken beside the running server, encrypted")
	return err
}

// newMachine is the folder in which it goes on. Its name is short, as is that of production.
const newMachine = "new"

// data is the server's data folder: the drill's own until the machine is lost.
func (r *run) data() string {
	if r.moved.IsZero() {
		return r.o.Dir
	}
	return filepath.Join(r.o.Dir, newMachine)
}

// loseTheMachine waits until the copy has everything that was acknowledged, kills the server, deletes
// its folder, and restores what is left to another folder and port.
func (r *run) loseTheMachine(ctx context.Context) error {
	if err := r.copied(ctx); err != nil {
		return err
	}
	var args []string
	err := r.server.relocate(ctx, func() (string, error) {
		r.tell.say("kill", "the machine is lost: kill -9, and its disk with it")
		entries, err := os.ReadDir(r.o.Dir)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			if name := e.Name(); name != "drill" && name != "server.log" && name != "installation.json" { // the other processes', the judge's, and what makes it a drill's folder
				if err := os.RemoveAll(filepath.Join(r.o.Dir, name)); err != nil {
					return "", err
				}
			}
		}
		r.moved = r.server.now
		to := r.data()
		args = []string{"restore", "--data", to, "--identity", filepath.Join(offBox(r.o.Dir), "identity"), "--from", r.backups[len(r.backups)-1].File}
		if r.o.Sabotage != restoreOld {
			args = append(args, "--copy", copyOf(r.o.Dir))
		}
		if err := r.tocsin(ctx, args...); err != nil {
			return "", err
		}
		if r.o.Sabotage == restoreOld { // silently: the folder says nothing of having been restored
			if err := os.Remove(filepath.Join(to, backup.MarkName)); err != nil {
				return "", err
			}
		}
		// The new machine keeps a copy of its own; the old one stays as it is.
		file := filepath.Join(to, "tocsin.yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		return to, os.WriteFile(file, bytes.ReplaceAll(text, []byte(copyOf(r.o.Dir)), []byte(copyOf(r.o.Dir)+"-2")), 0o600)
	})
	if err != nil {
		return err
	}
	r.tell.say("serve", "tocsin serve goes on in another folder, on %s, from the backup of the night and the copy elsewhere", r.server.Base())
	// The application is told where to send from now on, as whoever moves a machine does.
	return r.tellApp(ctx, "/drill/connect", victim.Connection{URL: r.server.Base(), IngestKey: victim.Secret(r.ingest["app"]), SwitchKey: victim.Secret(r.switchKey), App: appID}, nil)
}

// copied waits until the copy elsewhere has every fact and every leaf that there is.
func (r *run) copied(ctx context.Context) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	var want struct {
		Facts  uint64 `json:"facts_size"`
		Events uint64 `json:"events_size"`
	}
	if err := r.lead().Call(ctx, http.MethodGet, "/v1/checkpoints", nil, &want); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		s, err := backup.ReadStatus(r.data())
		if err == nil && s.Failing == "" && s.Behind == 0 && uint64(s.Facts) >= want.Facts && s.Events >= want.Events {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the copy elsewhere does not come up to %d facts and %d leaves: %+v, %v", want.Facts, want.Events, s, err)
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// goOn is what people do on the new machine: whatever is not done there yet.
func (r *run) goOn(ctx context.Context) error {
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	if n := sentOf(s, r.duty(true)); n != nil {
		if _, err := r.do(ctx, r.writer(), "send", map[string]string{"notice": n.ID}, "sends %s once more, to whoever has not had it", n.ID); err != nil {
			return err
		}
	} else {
		r.tell.say("person", "nothing says that the merchants were told")
		for _, again := range []func(context.Context) error{r.rightScope, r.tellOthers, r.prepareNotice, r.sendNotice} {
			if err := again(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.server.quiet(ctx); err != nil {
		return err
	}
	return r.steps(ctx, step{hour: int(r.server.clock().Sub(r.night)/time.Hour) + 1, do: r.assess})
}
