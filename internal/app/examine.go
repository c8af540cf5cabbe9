package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
)

// Examine says which preconditions of the policy's promises hold on a folder that nobody serves. It
// changes nothing there that a start would not: a folder that was never served is not opened.
func Examine(ctx context.Context, o Options) (doctor.Report, error) {
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
		return refuse(err, "tocsin policy check "+cfg.path(cfg.Policy))
	}
	seen.Policy = programs[len(programs)-1]
	if _, err := os.Stat(filepath.Join(o.Dir, "keys")); errors.Is(err, fs.ErrNotExist) && in.Env != "drill" {
		return refuse(errors.New("nothing was ever served from it"), "tocsin serve --data "+o.Dir)
	}
	a, err := New(ctx, o)
	if errors.Is(err, ledger.ErrLocked) {
		return refuse(errors.New("another process holds it and does not answer on its socket"), "look whether tocsin serve still runs")
	}
	if err != nil {
		return refuse(err, "look at the line above it in the server's log")
	}
	report, err := a.examine(ctx, false)
	return report, errors.Join(err, a.Stop())
}

// Checkup is what a running server says of itself. Looking costs about what reading all facts costs,
// so there is one look at a time: whoever asks often waits for themselves.
func (a *App) Checkup(ctx context.Context) (doctor.Report, error) {
	a.looking.Lock()
	defer a.looking.Unlock()
	if err := ctx.Err(); err != nil {
		return doctor.Report{}, err
	}
	return a.examine(ctx, true)
}

func (a *App) examine(ctx context.Context, served bool) (doctor.Report, error) {
	seen := doctor.Seen{Now: a.desk.Now(), Served: served, Dir: a.o.Dir, Drill: a.in.Env == "drill", Machine: machine(a.o.Dir), Policy: a.policy, Rehearsed: map[string]time.Time{}}
	a.cfg.settings(&seen)
	seen.Machine.Behind = a.access.Behind()
	if a.cfg.Mail.Relay != "" && a.in.Env != "drill" {
		seen.Mail.Domain = a.cfg.lookUp(ctx)
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
		seen.Files = append(seen.Files, fileSource(f))
	}
	if err := a.countMerchants(ctx, &seen.Directory); err != nil {
		return doctor.Report{}, err
	}
	chains, err := a.recompute(ctx, &seen.Logs)
	if err != nil {
		return doctor.Report{}, err
	}
	a.seeCopy(&seen.Logs, served)
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
	seen.Logs.Heartbeat = a.beat.seen(a.cfg.Heartbeat.URL != "")
	if run, ok := a.lastDrill(); ok {
		seen.LastDrill = doctor.Drill{At: run.At, Kept: run.Card.OK}
	}
	return doctor.Examine(seen), nil
}

// settings are what the configuration says.
func (c *Config) settings(seen *doctor.Seen) {
	seen.PublicURL, seen.PolicyFile = c.PublicURL, c.path(c.Policy)
	seen.Mail.Relay, seen.Mail.From = c.Mail.Relay, c.Mail.From
	seen.Logs.Witnesses = len(c.Evidence.Witnesses)
	seen.Connectors, seen.Checks = map[string]string{}, map[string]bool{}
	for name, node := range c.Connectors {
		if kind, err := kindOf(&node, name); err == nil {
			seen.Connectors[name] = kind
		}
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

// recompute hashes the facts again, chain by chain, and compares them with the leaves of their log.
// It gives the newest incidents' ids.
func (a *App) recompute(ctx context.Context, l *doctor.Logs) (incidents []string, err error) {
	l.Looked = true
	leaves := map[uint64][]byte{}
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
				if err := recomputeChain(r, h, l, leaves); err != nil || l.Altered != "" {
					return err
				}
			}
			if len(heads) < 500 {
				return nil
			}
			after = heads[len(heads)-1].Chain
		}
	})
	if err != nil || l.Altered != "" {
		return nil, err
	}
	if len(incidents) > maxRehearsals {
		incidents = incidents[len(incidents)-maxRehearsals:]
	}
	size, err := a.facts.Size(ctx)
	if err != nil {
		return nil, err
	}
	if len(leaves) > 0 {
		last := slices.Max(slices.Collect(maps.Keys(leaves)))
		if last >= size {
			l.Altered = fmt.Sprintf("the facts log has %d leaves, and a fact says that it is leaf %d", size, last)
			return incidents, nil
		}
		err = a.facts.Leaves(ctx, 0, last+1, func(i uint64, data []byte) error {
			if want, ok := leaves[i]; ok && string(want) != string(data) && l.Altered == "" {
				l.Altered = fmt.Sprintf("leaf %d of the facts log is another one than the fact it stands for", i)
			}
			return ctx.Err()
		})
		if err != nil {
			l.Altered = fmt.Sprintf("the facts log cannot be read: %v", err)
		}
	}
	if _, err := a.desk.Checkpoints(ctx); err != nil {
		l.Unsealed = oneSentence(err)
		return incidents, nil
	}
	return incidents, a.recomputeEvents(ctx, l)
}

// recomputeEvents reads the events log: every hash of its tree, and every leaf, and compares them with
// its signed checkpoint. Leaves that are missing have to be of days that a fact says were removed.
func (a *App) recomputeEvents(ctx context.Context, l *doctor.Logs) error {
	if l.Altered != "" {
		return nil
	}
	key, _, err := a.keys.Verifier(a.cfg.Organisation.ID + "/events")
	if err != nil {
		return err
	}
	for removed := -1; ; {
		state, err := a.desk.Org(ctx)
		if err != nil {
			return err
		}
		l.Removed = 0
		var gone []translog.Range
		for _, e := range state.Days() {
			if e.Pruned == nil {
				continue
			}
			l.Removed++
			for _, x := range e.Pruned.Stretches {
				gone = append(gone, translog.Range{First: x.Leaf, N: x.Leaves})
			}
		}
		done, err := translog.Verify(ctx, a.events, key, gone...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if l.Leaves = done.Size; err == nil {
			return nil
		}
		if l.Removed == removed || removed < 0 && !errors.Is(err, fs.ErrNotExist) {
			l.Altered = oneSentence(err)
			return nil
		}
		removed = l.Removed // a day may have been removed meanwhile: it is looked at once more
	}
}

func recomputeChain(r ledger.Reader, h ledger.Head, l *doctor.Logs, leaves map[uint64][]byte) error {
	for n := 0; n < h.N && l.Facts < maxRecomputed; {
		records, err := r.Records(h.Chain, n, 1000)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			l.Altered = fmt.Sprintf("the chain %s ends at fact %d, and its head is fact %d", h.Chain, n, h.N)
			return nil
		}
		var bad *ledger.ChainError
		if err := ledger.VerifyChain(records); errors.As(err, &bad) {
			l.Altered = strings.TrimPrefix(bad.Error(), "ledger: ")
			return nil
		} else if err != nil {
			return err
		}
		for i := range records {
			if at := records[i].Anchor; at >= 0 {
				leaves[uint64(at)] = ledger.LeafData(records[i].ID, records[i].Hash)
			}
		}
		l.Facts += len(records)
		n = records[len(records)-1].N
	}
	return nil
}

// lookUp asks what the domain of the sender publishes.
func (c *Config) lookUp(ctx context.Context) *doctor.Domain {
	from, err := mail.ParseAddress(c.Mail.From)
	if err != nil {
		return nil // the configuration was checked
	}
	_, name, _ := strings.Cut(from.Address, "@")
	d := &doctor.Domain{Name: name, Selector: c.Mail.DKIMSelector}
	resolver := net.DefaultResolver
	if at := c.Network.DNS; at != "" {
		resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, at)
		}}
	}
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	texts := func(name, begins string) []string {
		if d.Problem != "" {
			return nil
		}
		all, err := resolver.LookupTXT(ctx, name+".")
		var none *net.DNSError
		if err != nil && !(errors.As(err, &none) && none.IsNotFound) {
			d.Problem = "the resolver does not answer"
			if none != nil && none.Err != "" {
				d.Problem = none.Err
			}
			return nil
		}
		return slices.DeleteFunc(all, func(t string) bool { return !strings.HasPrefix(strings.ToLower(t), begins) })
	}
	d.SPF = texts(name, "v=spf1")
	d.DMARC = texts("_dmarc."+name, "v=dmarc1")
	if d.Selector != "" {
		d.DKIM = texts(d.Selector+"._domainkey."+name, "")
	}
	return d
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
