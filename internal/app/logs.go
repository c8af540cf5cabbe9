package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/internal/translog/driver"
)

// logNames are the two transparency logs, in the order in which they are opened.
var logNames = []string{"facts", "events"}

// defaultLog is the folder of a log that the configuration does not place.
func defaultLog(dir, name string) string { return filepath.Join(dir, "log", name) }

// place is where a log is kept.
func (c *Config) place(name string) (driver.Place, error) {
	at := c.Logs.Facts
	if name == "events" {
		at = c.Logs.Events
	}
	if at == (driver.Config{}) {
		at.URL = "posix:log/" + name
	}
	return driver.Parse(at, c.dir)
}

// checkLogs names the mistakes of logs.
func (c *Config) checkLogs(add func(field, format string, args ...any)) {
	var places []driver.Place
	for _, name := range logNames {
		p, err := c.place(name)
		if err != nil {
			field, why, _ := strings.Cut(err.Error(), ": ")
			add("logs."+name+"."+field, "%s", why)
			continue
		}
		places = append(places, p)
	}
	if len(places) == 2 && places[0].Overlaps(places[1]) {
		add("logs.events.url", "is where the facts log is: give each log a place of its own")
	}
}

// openLog opens one of the two transparency logs and returns the key that verifies it.
func (a *App) openLog(ctx context.Context, keys *keyring.Ring, name string, out *egress.Client) (*translog.Log, string, error) {
	origin := a.cfg.Organisation.ID + "/" + name
	if file, ok := keys.HasSigner(origin); !ok {
		// Another key would sign another log: whoever kept a checkpoint would call all of it rewritten.
		used, err := usedPlace(a.o.Dir, name)
		if err != nil {
			return nil, "", err
		}
		if used == "" {
			used = "log/" + name
			_, err = os.Stat(filepath.Join(defaultLog(a.o.Dir, name), "checkpoint"))
		}
		if err == nil {
			return nil, "", fmt.Errorf("keys/%s is missing, and %s is signed with it: bring keys/ back from where you keep a copy", file, used)
		}
	}
	_, vkey, err := keys.Verifier(origin)
	if err != nil {
		return nil, "", err
	}
	at, err := a.cfg.place(name)
	if err != nil {
		return nil, "", located(a.cfg.file, &a.cfg.root, err)
	}
	if err := knownPlace(a.o.Dir, name, at); err != nil {
		return nil, "", err
	}
	var l *translog.Log
	if a.readOnly() {
		l, err = at.OpenReader(ctx, origin, out.HTTP())
	} else {
		signer, serr := keys.Signer(origin)
		if serr != nil {
			return nil, "", serr
		}
		o := translog.Options{HTTP: out.HTTP()}
		for _, w := range a.cfg.Evidence.Witnesses {
			o.Witnesses = append(o.Witnesses, translog.Witness{Key: w.Key, URL: w.URL})
		}
		l, err = at.Open(ctx, signer, o)
	}
	if err != nil {
		return nil, "", err
	}
	a.onClose(l.Close)
	if !a.readOnly() {
		if err := notePlace(a.o.Dir, name, at); err != nil {
			return nil, "", err
		}
	}
	return l, vkey, nil
}

// placeFile remembers where a log is that is not in the data folder, so that a later start with another
// configuration does not begin an empty log beside it. There is no password in it.
func placeFile(dir, name string) string { return defaultLog(dir, name) + ".at" }

// usedPlace is where a log of a folder was opened last; "" is the data folder.
func usedPlace(dir, name string) (string, error) {
	raw, err := os.ReadFile(placeFile(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// knownPlace refuses a place that is not where the log of this folder is.
func knownPlace(dir, name string, at driver.Place) error {
	used, err := usedPlace(dir, name)
	if err != nil {
		return err
	}
	home := defaultLog(dir, name)
	here := sameFolder(at.Folder(), home)
	switch {
	case used == "" && here, used == at.String():
		return nil
	case used != "":
		return fmt.Errorf("logs.%s: the log of this folder is in %s: say so in tocsin.yaml, or if that place has a new address write it into %s", name, used, placeFile(dir, name))
	}
	if _, err := os.Stat(filepath.Join(home, "checkpoint")); err == nil {
		return fmt.Errorf("logs.%s: the log of this folder is in %s: put it where tocsin.yaml says with tocsin move-logs, or take logs.%s out", name, home, name)
	}
	return nil
}

func sameFolder(a, b string) bool {
	x, errA := filepath.Abs(a)
	y, errB := filepath.Abs(b)
	return a != "" && errA == nil && errB == nil && x == y
}

// notePlace writes down where a log is, when that is not in the data folder. A crash before: the next
// start opens the same place by the same configuration.
func notePlace(dir, name string, at driver.Place) error {
	used, err := usedPlace(dir, name)
	if err != nil || used == at.String() || used == "" && sameFolder(at.Folder(), defaultLog(dir, name)) {
		return err
	}
	return backup.Folder(dir).Write(context.Background(), "log/"+name+".at", []byte(at.String()+"\n"))
}

// Sources opens the logs of a data folder that are kept elsewhere for reading, by their names; of those
// in the folder there is none. What was opened is closed by the function.
func (c *Config) Sources(ctx context.Context) (map[string]translog.Source, func() error, error) {
	out := map[string]translog.Source{}
	var opened []*translog.Log
	done := func() error {
		var errs []error
		for _, l := range opened {
			errs = append(errs, l.Close())
		}
		return errors.Join(errs...)
	}
	client := egress.New(egress.Options{Allow: prefixes(c.Network.Allow), Agent: "tocsin"}).HTTP()
	for _, name := range logNames {
		at, err := c.place(name)
		if err != nil {
			return nil, nil, errors.Join(located(c.file, &c.root, err), done())
		}
		if sameFolder(at.Folder(), defaultLog(c.dir, name)) {
			continue
		}
		l, err := at.OpenReader(ctx, c.Organisation.ID+"/"+name, client)
		if errors.Is(err, fs.ErrNotExist) {
			continue // nobody has made it yet
		}
		if err != nil {
			return nil, nil, errors.Join(err, done())
		}
		opened, out[name] = append(opened, l), l
	}
	return out, done, nil
}

// Moved is what became of one log.
type Moved struct {
	Log    string `json:"log"`
	From   string `json:"from"`
	To     string `json:"to"`
	Leaves uint64 `json:"leaves"`
	Kept   string `json:"kept"` // where the folder is now
}

// MoveLogs puts the logs that are in the data folder where its configuration says. The server must not
// run. What was copied is checked before anything is called moved, and the folders are kept under
// another name. A crash leaves a log where it was, or moved; the same command goes on.
func MoveLogs(ctx context.Context, dir string) (moved []Moved, err error) {
	cfg, err := LoadConfig(dir, "")
	if err != nil {
		return nil, err
	}
	lock, err := sqlite.LockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	client := egress.New(egress.Options{Allow: prefixes(cfg.Network.Allow), Agent: "tocsin"}).HTTP()
	for _, name := range logNames {
		m, err := cfg.moveLog(ctx, keys, name, client)
		if err != nil {
			return moved, err
		}
		if m.Log != "" {
			moved = append(moved, m)
		}
	}
	return moved, nil
}

func (c *Config) moveLog(ctx context.Context, keys *keyring.Ring, name string, client *http.Client) (Moved, error) {
	home := defaultLog(c.dir, name)
	at, err := c.place(name)
	if err != nil {
		return Moved{}, located(c.file, &c.root, err)
	}
	if _, err := os.Stat(filepath.Join(home, "checkpoint")); sameFolder(at.Folder(), home) || errors.Is(err, fs.ErrNotExist) {
		return Moved{}, nil
	}
	origin := c.Organisation.ID + "/" + name
	key, _, err := keys.Verifier(origin)
	if err != nil {
		return Moved{}, err
	}
	signer, err := keys.Signer(origin)
	if err != nil {
		return Moved{}, err
	}
	// The newest checkpoint may be behind the leaves of a server that was killed: opening signs it.
	l, err := translog.Open(ctx, home, signer, translog.Options{})
	if err != nil {
		return Moved{}, err
	}
	if _, _, err := l.CheckpointNow(ctx); err != nil {
		return Moved{}, errors.Join(err, l.Close())
	}
	if err := l.Close(); err != nil {
		return Moved{}, err
	}
	var gone []translog.Range
	if name == "events" {
		list, err := accesslog.Pruned(ctx, c.dir)
		if err != nil {
			return Moved{}, err
		}
		for _, x := range list {
			gone = append(gone, translog.Range{First: x.Leaf, N: x.Leaves})
		}
	}
	done, err := at.Import(ctx, backup.Folder(home), signer, key, client, gone...)
	if err != nil {
		return Moved{}, fmt.Errorf("move the %s log to %s: %w", name, at, err)
	}
	// A crash between these two: the place is known, and the folder is moved aside by the next call.
	if err := notePlace(c.dir, name, at); err != nil {
		return Moved{}, err
	}
	kept := home + ".moved"
	if err := os.Rename(home, kept); err != nil {
		return Moved{}, err
	}
	return Moved{Log: name, From: home, To: at.String(), Leaves: done.Size, Kept: kept}, nil
}

// LogsElsewhere says whether a log is kept outside the data folder.
func (c *Config) LogsElsewhere() bool {
	for _, name := range logNames {
		if at, err := c.place(name); err == nil && !sameFolder(at.Folder(), defaultLog(c.dir, name)) {
			return true
		}
	}
	return false
}
