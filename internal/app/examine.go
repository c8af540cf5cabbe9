package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
)

// Examine says which preconditions of the policy's promises hold on a folder that nobody serves. It
// changes nothing there that a start would not: a folder that was never served is not opened.
func Examine(ctx context.Context, o Options, d Depth) (doctor.Report, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	seen := doctor.Seen{Now: time.Now(), Dir: o.Dir, Machine: machine(o.Dir)}
	refuse := func(err error, do string) (doctor.Report, error) {
		seen.Trouble, seen.TroubleDo = oneSentence(err), do
		return doctor.Examine(seen), nil
	}
	in, err := ReadFolder(o.Dir)
	if err != nil {
		return refuse(err, "tocsin serve begins with an empty folder")
	}
	cfg, err := LoadConfig(o.Dir, o.Config)
	if err != nil {
		return refuse(err, "correct the line, then: tocsin doctor")
	}
	cfg.settings(&seen)
	programs, err := cfg.programs(o.Log)
	if err != nil {
		seen.TroubleOf = []string{"CLS-1", "CLS-2", "PUB-1"} // what an incident is stands in the policy
		return refuse(fmt.Errorf("%s: %w", filepath.Base(cfg.file), err), "tocsin policy check "+cfg.path(cfg.Policy))
	}
	seen.Policy = programs[len(programs)-1]
	if _, err := os.Stat(filepath.Join(o.Dir, "keys")); errors.Is(err, fs.ErrNotExist) && in.Env != "drill" {
		return refuse(errors.New("nothing was ever served from it"), "tocsin serve --data "+o.Dir)
	}
	seen.Altered = cfg.aside(ctx, o.Dir, d)
	a, err := New(ctx, o)
	if errors.Is(err, ledger.ErrLocked) {
		seen.Altered = nil // somebody is writing to them
		return refuse(errors.New("another process holds it and does not answer on its socket"), "look whether tocsin serve still runs")
	}
	if err != nil {
		return refuse(err, "look at the line above it in the server's log")
	}
	report, err := a.examine(ctx, false, d, seen.Altered)
	return report, errors.Join(err, a.Stop())
}

// Checkup is what a running server says of itself. Looking costs about what reading all facts costs,
// so there is one look at a time: whoever asks often waits for themselves.
func (a *App) Checkup(ctx context.Context, full bool) (doctor.Report, error) {
	return a.checkup(ctx, Depth{Full: full})
}

func (a *App) checkup(ctx context.Context, d Depth) (doctor.Report, error) {
	a.looking.Lock()
	defer a.looking.Unlock()
	defer a.looked.Store(nil)
	d.Progress = func(p doctor.Progress) { a.looked.Store(&p) }
	if err := ctx.Err(); err != nil {
		return doctor.Report{}, err
	}
	return a.examine(ctx, true, d, nil)
}

// Looking says how far the look is that is under way.
func (a *App) Looking() doctor.Progress {
	if p := a.looked.Load(); p != nil {
		return *p
	}
	return doctor.Progress{}
}

func (a *App) examine(ctx context.Context, served bool, d Depth, altered []doctor.File) (doctor.Report, error) {
	seen := doctor.Seen{Altered: altered, Now: a.desk.Now(), Served: served, Dir: a.o.Dir, Drill: a.in.Env == "drill", Machine: machine(a.o.Dir), Policy: a.policy, Rehearsed: map[string]time.Time{}}
	a.cfg.settings(&seen)
	seen.Machine.Behind = a.access.Behind()
	if err := a.access.TableTrouble(); err != nil {
		seen.Machine.Table = strings.TrimPrefix(err.Error(), "table: the object store of the table does not answer: ")
	}
	if a.cfg.Mail.Relay != "" && a.in.Env != "drill" {
		seen.Mail.Domain = a.published(ctx, d.Page)
	}
	var err error
	if seen.Org, err = a.desk.Org(ctx); err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return doctor.Report{}, err
	}
	heard, err := a.access.Heard(ctx)
	if err != nil {
		return doctor.Report{}, err
	}
	for _, h := range heard {
		seen.Sources = append(seen.Sources, doctor.Source(h))
	}
	refused, err := a.access.Refused(ctx, seen.Now.Add(-24*time.Hour))
	if err != nil {
		return doctor.Report{}, err
	}
	for _, r := range refused {
		seen.Refused = append(seen.Refused, doctor.Refusal(r))
	}
	if api := a.api.Load(); api != nil {
		seen.Quotas = api.OverQuota(time.Now().Add(-24 * time.Hour))
	}
	if served {
		stand, err := a.desk.Probes(ctx)
		if err != nil {
			return doctor.Report{}, err
		}
		for i, p := range stand { // both are in the order of their names
			x := &seen.Probes[i]
			x.Ran, x.Failing, x.Code, x.Saw = p.Ran, p.Failures > 0, p.Code, p.Saw
		}
	}
	files, err := a.desk.Sources(ctx)
	if err != nil {
		return doctor.Report{}, err
	}
	for _, f := range files {
		x := fileSource(f)
		if f.Approval != nil {
			if err := a.files.Whole(f.Approval.Digest); err != nil {
				x.Damage = err.Error()
			}
		}
		seen.Files = append(seen.Files, x)
	}
	if err := a.countMerchants(ctx, &seen.Directory); err != nil {
		return doctor.Report{}, err
	}
	chains, err := a.recompute(ctx, &seen, d)
	if err != nil {
		return doctor.Report{}, err
	}
	// A table that is not as the log says is no news where the log itself is not as it was.
	compare := d.Full && seen.Logs.Altered == ""
	beside, err := a.inspect(ctx, chains, served, compare, d)
	if err != nil {
		return doctor.Report{}, err
	}
	seen.Altered = append(seen.Altered, beside...)
	seen.Logs.Table = compare && len(beside) == 0
	a.seeCopy(&seen.Logs, served)
	seen.Logs.Backups = a.seeBackups(seen.Org)
	for _, id := range chains {
		s, err := a.desk.Incident(ctx, id)
		if err != nil {
			continue // an altered chain is named by recompute
		}
		for _, x := range s.Actions {
			if x.ProvenAt.After(seen.Rehearsed[x.Uses]) {
				seen.Rehearsed[x.Uses] = x.ProvenAt
			}
		}
	}
	if err := a.owed(ctx, &seen); err != nil {
		return doctor.Report{}, err
	}
	seen.Logs.Heartbeat = a.beat.seen(a.cfg.Heartbeat.URL != "")
	if run, ok := a.lastDrill(); ok {
		seen.LastDrill = doctor.Drill{At: run.At, Kept: run.Card.OK}
	}
	return doctor.Examine(seen), nil
}

// owed adds what is owed without an incident, and after one.
func (a *App) owed(ctx context.Context, seen *doctor.Seen) error {
	rows, err := a.desk.ProgrammeClocks(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		missed := r.State == incident.DutyMissed
		if !missed && r.State != incident.DutyRunning && r.State != incident.DutyAtRisk {
			continue
		}
		say := r.Say
		if !r.Due.IsZero() {
			say += ", due " + r.Due.UTC().Format(time.DateOnly)
		}
		seen.Programme = append(seen.Programme, doctor.Owed{Duty: r.Duty, Say: say, Missed: missed, AtRisk: r.State == incident.DutyAtRisk})
	}
	actions, err := a.desk.Correctives(ctx)
	if err != nil {
		return err
	}
	seen.Corrective.Looked = true
	for _, x := range actions {
		if x.State != incident.CorrectiveOpen {
			continue
		}
		seen.Corrective.Open++
		if x.Overdue {
			seen.Corrective.Overdue++
		}
		owner, person := strings.CutPrefix(string(x.Owner), "person:")
		if p := seen.Org.People[owner]; !person || p == nil || !p.Active() {
			seen.Corrective.NoOwner++
		}
	}
	return nil
}

// settings are what the configuration says.
func (c *Config) settings(seen *doctor.Seen) {
	seen.Budgets = len(c.Detection.Budgets)
	seen.PublicURL, seen.PolicyFile = c.PublicURL, c.path(c.Policy)
	seen.Mail.Relay, seen.Mail.From = c.Mail.Relay, c.Mail.From
	seen.Logs.Witnesses = len(c.Evidence.Witnesses)
	seen.Connectors, seen.Checks = map[string]string{}, map[string]bool{}
	for name, node := range c.Connectors {
		if kind, err := kindOf(&node, name); err == nil {
			seen.Connectors[name] = kind
		}
	}
	seen.Channels = map[string]bool{}
	for name := range c.Channels {
		seen.Channels[name] = true
	}
	for name := range c.Checks {
		seen.Checks[name] = true
	}
	probes, _ := c.probes(nil, nil) // the configuration was checked, and nothing is run here
	for _, p := range probes {
		seen.Checks[p.Name] = true
		seen.Probes = append(seen.Probes, doctor.Probe{Name: p.Name, Signal: p.Schedule.Signal, Every: p.Schedule.Every})
	}
	if p, err := readProgress(c.dir); err == nil {
		seen.Mail.Tested, seen.Mail.TestFailed = p.MailTested, p.MailFailed
	}
}

// countMerchants counts those in the directory, and those without an address.
func (a *App) countMerchants(ctx context.Context, d *doctor.Directory) error {
	for after := ""; ; {
		page, err := a.desk.Merchants(ctx, after, 1000)
		if err != nil {
			return err
		}
		for _, m := range page {
			d.Merchants++
			if strings.TrimSpace(strings.Join(m.Emails, "")) == "" {
				d.NoMail++
			}
			for name := range m.Channels {
				if d.In == nil {
					d.In = map[string]int{}
				}
				d.In[name]++
			}
		}
		if len(page) < 1000 {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

const (
	maxRecomputed = 200_000 // facts of one look
	maxRehearsals = 200     // incidents that are searched for proven actions, the newest
)

// recompute hashes the facts again, chain by chain, opens what is sealed in them, and compares them with
// the leaves of their log; then it recomputes both logs. It gives the newest incidents' ids, all of them
// where all is asked for.
func (a *App) recompute(ctx context.Context, seen *doctor.Seen, d Depth) (incidents []string, err error) {
	l := &seen.Logs
	l.Looked = true
	_, logged, err := a.facts.Checkpoint(ctx) // before the facts are counted: both only grow
	if err != nil {
		logged = 0 // the log's own check names it
	}
	c := chains{app: a, seen: seen, full: d.Full, leaves: map[uint64][]byte{}, tell: d.tell("facts", "facts"), logged: logged}
	err = a.store.View(ctx, func(r ledger.Reader) error {
		for after := ""; ; {
			heads, err := r.Heads(after, 500)
			if err != nil {
				return err
			}
			for _, h := range heads {
				if h.Chain != desk.OrgChain {
					incidents = append(incidents, h.Chain)
				}
				if err := c.recompute(ctx, r, h); err != nil || l.Altered != "" {
					return err
				}
			}
			if len(heads) < 500 {
				return nil
			}
			after = heads[len(heads)-1].Chain
		}
	})
	if err != nil {
		return nil, err
	}
	if c.facts < logged && l.Altered == "" {
		l.Altered = fmt.Sprintf("%s: the log holds %d facts and the database %d: facts were deleted, or an older database was put back", a.factsFile(), logged, c.facts)
	}
	if len(incidents) > maxRehearsals && !d.Full {
		incidents = incidents[len(incidents)-maxRehearsals:]
	}
	if err := a.recomputeLog(ctx, seen, "facts", d); err != nil {
		return nil, err
	}
	if err := a.compareLeaves(ctx, l, c.leaves); err != nil {
		return nil, err
	}
	return incidents, a.recomputeLog(ctx, seen, "events", d)
}

// factsFile is what the facts stand in, for a sentence.
func (a *App) factsFile() string {
	if a.o.Store == "" {
		return "tocsin.db"
	}
	return "the database"
}

// compareLeaves compares facts with the leaves that stand for them.
func (a *App) compareLeaves(ctx context.Context, l *doctor.Logs, leaves map[uint64][]byte) error {
	if len(leaves) == 0 || l.Altered != "" {
		return nil
	}
	size, err := a.facts.Size(ctx)
	if err != nil {
		return err
	}
	last := slices.Max(slices.Collect(maps.Keys(leaves)))
	if last >= size {
		l.Altered = fmt.Sprintf("log/facts: the facts log has %d leaves, and a fact says that it is leaf %d", size, last)
		return nil
	}
	err = a.facts.Leaves(ctx, 0, last+1, func(i uint64, data []byte) error {
		if want, ok := leaves[i]; ok && string(want) != string(data) && l.Altered == "" {
			l.Altered = fmt.Sprintf("leaf %d of the facts log is another one than the fact in %s it stands for", i, a.factsFile())
		}
		return ctx.Err()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		l.Altered = fmt.Sprintf("the facts log cannot be read: %v", err)
	}
	return nil
}

// recomputeLog reads one of the two logs and compares it with its signed checkpoint. Leaves that are
// missing have to be of days that a fact says were removed.
func (a *App) recomputeLog(ctx context.Context, seen *doctor.Seen, name string, d Depth) error {
	l, log, what := &seen.Logs, a.facts, "leaves of the facts log"
	if name == "events" {
		log, what = a.events, "leaves of access events"
	}
	key, _, err := a.keys.Verifier(a.cfg.Organisation.ID + "/" + name)
	if err != nil {
		return err
	}
	where := "log/" + name
	if used, err := usedPlace(a.o.Dir, name); err != nil {
		return err
	} else if used != "" {
		where = used
	}
	depth := translog.Depth{Progress: d.tell(what, "bundles")}
	depth.Newest, depth.Sample = d.bundles()
	for removed := -1; ; {
		days := 0
		if name == "events" {
			state, err := a.desk.Org(ctx)
			if err != nil {
				return err
			}
			depth.Gone = nil
			for _, e := range state.Days() {
				if e.Pruned == nil {
					continue
				}
				days++
				for _, x := range e.Pruned.Stretches {
					depth.Gone = append(depth.Gone, translog.Range{First: x.Leaf, N: x.Leaves})
				}
			}
			l.Removed = days
		}
		done, err := translog.Inspect(ctx, log, key, depth)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if name == "events" {
			l.Leaves, l.Of, l.Sampled = done.Leaves, done.Size, 0
		}
		if !done.All && name == "events" {
			l.Sampled = depth.Sample * 256
		}
		var bad *translog.AlteredError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &bad):
			l.Altered = where + ": " + oneSentence(err)
			return nil
		case days == removed || name == "facts" || removed < 0 && !strings.Contains(bad.What, "is missing"):
			seen.Altered = append(seen.Altered, doctor.File{Name: where + "/" + bad.File, What: bad.What})
			if l.Altered == "" {
				l.Altered = where + "/" + bad.File + " " + bad.What
			}
			return nil
		}
		removed = days // a day may have been removed meanwhile: it is looked at once more
	}
}

// chains recomputes facts.
type chains struct {
	app    *App
	seen   *doctor.Seen
	full   bool
	leaves map[uint64][]byte
	tell   func(done, total uint64)
	logged uint64 // facts that the log has, to say how far it is
	facts  uint64 // that the database says it has
	sealed bool   // a fact that cannot be opened was named
}

func (c *chains) recompute(ctx context.Context, r ledger.Reader, h ledger.Head) error {
	l := &c.seen.Logs
	c.facts += uint64(h.N)
	if !c.full && l.Facts >= maxRecomputed {
		l.Chains++
		return nil
	}
	for n := 0; n < h.N; {
		records, err := r.Records(h.Chain, n, 1000)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			l.Altered = fmt.Sprintf("%s: the chain %s ends at fact %d, and its head is fact %d", c.app.factsFile(), h.Chain, n, h.N)
			return nil
		}
		var bad *ledger.ChainError
		if err := ledger.VerifyChain(records); errors.As(err, &bad) {
			l.Altered = c.app.factsFile() + ": " + strings.TrimPrefix(bad.Error(), "ledger: ")
			return nil
		} else if err != nil {
			return err
		}
		for i := range records {
			if at := records[i].Anchor; at >= 0 {
				c.leaves[uint64(at)] = ledger.LeafData(records[i].ID, records[i].Hash)
			}
			c.open(records[i])
		}
		l.Facts += len(records)
		if c.tell != nil {
			c.tell(uint64(l.Facts), max(c.logged, uint64(l.Facts)))
		}
		n = records[len(records)-1].N
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// open opens what is sealed in a fact. Its commitment is in the chain, so what was altered does not open;
// and where the key is gone nobody destroyed it on purpose, because no command does.
func (c *chains) open(rec ledger.Record) {
	if c.sealed || c.seen.Logs.Altered != "" {
		return
	}
	parts, err := ledger.Disclose(rec, c.app.keys)
	if err != nil {
		c.sealed = true
		c.seen.Logs.Altered = c.app.factsFile() + " or keys/keys.db: " + oneSentence(err)
		return
	}
	for _, p := range parts {
		if p.Withheld {
			c.sealed = true
			c.seen.Altered = append(c.seen.Altered, doctor.File{Name: "keys/keys.db", Do: "bring keys/ back from where you keep a copy",
				What: fmt.Sprintf("does not hold the key under which parts of the fact %s are sealed", rec.ID)})
			return
		}
	}
}

// machine is what the system says of the folder, the disk and the clock.
func machine(dir string) doctor.Machine {
	m := doctor.Machine{Clock: clockState()}
	m.Free, m.Disk = space(dir)
	for _, name := range []string{"", "tocsin.yaml", "tocsin.db", "events.db", "keys", "secrets", "token", "policies", "spool", "log"} {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		// What lies in a folder that nobody may enter is private whatever its own mode.
		if err == nil && info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 && (name == "" || len(m.Open) > 0) {
			m.Open = append(m.Open, doctor.Mode{Name: path, Mode: fmt.Sprintf("%04o", info.Mode().Perm())})
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "keys")); err == nil {
		keys, err := keyring.Open(filepath.Join(dir, "keys"))
		if err != nil {
			m.NoKeys = oneSentence(err)
		} else {
			keys.Close()
		}
	}
	return m
}

// oneSentence is the first line of an error without the name of the package that says it.
func oneSentence(err error) string {
	line := firstLine(err)
	for _, p := range []string{"keyring: ", "ledger: ", "translog: ", "desk: ", "accesslog: ", "sqlite: "} {
		line = strings.TrimPrefix(line, p)
	}
	return line
}
