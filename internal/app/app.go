// Package app wires the program: it reads the configuration, opens what the desk stands on, and
// starts and stops it all in order. New, Start and Stop are what tests and the command line use.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/contain/vault"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/internal/fsync"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify/email"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
)

// Options are what the command line may say about a server.
type Options struct {
	Dir    string // data folder
	Config string // default Dir/tocsin.yaml
	Listen string // overrides the configuration
	Store  string // "" for SQLite in the data folder, or a postgres:// URL
	Log    *slog.Logger
}

// App is one running server.
type App struct {
	o      Options
	cfg    *Config
	in     Installation
	drill  *Drill
	desk   *desk.Desk
	access *accesslog.Store
	policy *policy.Program // the one in force
	store  ledger.Store
	keys   *keyring.Ring
	facts  *translog.Log
	out    *egress.Client
	files  *integrity.Keeper // what is compared with what was approved
	events *translog.Log
	faces  []*http.Server // on the address and on the socket
	ending chan struct{}  // closed when streams have to end
	once   sync.Once      // for ending
	copier *backup.Copier // nil when no copy is kept
	domain desk.Clock
	addr   net.Addr
	door   *Door
	again  atomic.Bool // the server stops to be started again behind the same door
	link   string
	socks  string

	closers []func() error // in the order in which things were opened
	failed  chan error
	stop    context.CancelFunc
	life    context.Context // of what runs until Stop
	running sync.WaitGroup
	lookups lookups

	beat    heart
	playing sync.Mutex // held while what is known of the drill in play changes
	play    play
	looking sync.Mutex                      // held while the doctor looks
	looked  atomic.Pointer[doctor.Progress] // how far that is
	api     atomic.Pointer[httpapi.API]     // nil until it is served
	copying sync.WaitGroup
}

// New opens everything and starts nothing. What it opened before a failure is closed again.
func New(ctx context.Context, o Options) (*App, error) {
	a, err := newApp(ctx, o)
	return a, explained(o.Dir, err)
}

func newApp(ctx context.Context, o Options) (*App, error) {
	in, err := ReadFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	cfg, err := LoadConfig(o.Dir, o.Config)
	if err != nil {
		return nil, err
	}
	if o.Listen != "" {
		cfg.Listen = o.Listen
		if err := cfg.check(); err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
	}
	drill, err := openDrill(in)
	if err != nil {
		return nil, err
	}
	return assemble(ctx, o, in, cfg, drill)
}

// assemble opens what a server stands on; drill is nil but for a server that a drill greeted.
func assemble(ctx context.Context, o Options, in Installation, cfg *Config, drill *Drill) (*App, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{o: o, in: in, cfg: cfg, drill: drill, failed: make(chan error, 4), ending: make(chan struct{})}
	if !a.readOnly() {
		if err := usable(o.Dir); err != nil {
			return nil, err
		}
	}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	if !a.readOnly() {
		// What was opened may be new: its folders are there after a loss of power before anything in them is
		// answered for.
		if err := fsync.Dir(o.Dir); err != nil {
			return nil, errors.Join(fmt.Errorf("%s cannot be made durable: %w", o.Dir, err), a.close())
		}
	}
	return a, nil
}

// Env is the environment of the data folder: production, staging or drill.
func (a *App) Env() string { return a.in.Env }

// readOnly says that this is the folder of a finished drill, opened to be looked at.
func (a *App) readOnly() bool { return a.in.Env == "drill" && a.drill == nil }

func (a *App) onClose(f func() error) { a.closers = append(a.closers, f) }

func (a *App) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *App) open(ctx context.Context) error {
	// Nothing in the folder is opened before the lock is held, whichever store the facts are in: the
	// keys, both logs and the access events are in the folder in any case.
	var lock *sqlite.FolderLock
	if !a.readOnly() {
		var err error
		if lock, err = sqlite.LockFolder(a.o.Dir); err != nil {
			return err
		}
		a.onClose(lock.Close)
	}
	programs, err := a.cfg.programs(a.o.Log)
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	a.policy = programs[len(programs)-1]
	keys, err := keyring.Open(filepath.Join(a.o.Dir, "keys"))
	if err != nil {
		return err
	}
	a.onClose(keys.Close)
	a.keys = keys
	store, err := a.openStore(ctx, lock)
	if err != nil {
		return err
	}
	a.onClose(store.Close)
	a.store = store
	if err := checkEnv(ctx, store, keys, desk.OrgChain, a.in); err != nil {
		return err
	}
	out := egress.New(egress.Options{Allow: prefixes(a.cfg.Network.Allow), Agent: "tocsin/" + desk.EngineVersion})
	facts, factsKey, err := a.openLog(ctx, keys, "facts", out)
	if err != nil {
		return err
	}
	a.facts, a.out = facts, out
	events, eventsKey, err := a.openLog(ctx, keys, "events", out)
	if err != nil {
		return err
	}
	a.events = events
	var domain desk.Clock = clock.Real{}
	if a.drill != nil {
		domain = a.drill.clock
	}
	a.domain = domain
	var scrub []accesslog.Pattern
	for _, x := range a.cfg.Intake.Scrub {
		scrub = append(scrub, accesslog.Pattern{Name: x.Name, Regexp: x.Pattern})
	}
	erased, ended, removed, err := desk.Forgotten(ctx, store, keys)
	if err != nil {
		return err
	}
	for _, k := range ended { // a crash may have come between the fact and the key, or older keys were put here
		if a.readOnly() {
			break
		}
		if err := accesslog.DestroyKey(keys, k.Merchant, k.Name); err != nil {
			return err
		}
	}
	columns := table.Options{Erased: erased, Cache: a.cfg.Table.CacheMB << 20}
	if columns.Bucket, err = a.cfg.bucket(out.HTTP().Transport); err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	engine := a.engine()
	a.onClose(engine.Close)
	access, err := accesslog.Open(ctx, accesslog.Options{Removed: removed, Engine: engine, Table: columns, Scrub: scrub, Dir: a.o.Dir, Keys: keys, Log: events, Now: domain.Now, Env: a.in.Env, ReadOnly: a.readOnly(), Logger: a.o.Log})
	if err != nil {
		return err
	}
	a.onClose(access.Close)
	a.access = access
	secrets, err := vault.Open(filepath.Join(a.o.Dir, "secrets"))
	if err != nil {
		return err
	}
	files, err := a.cfg.files(a.o.Dir, keys, secrets)
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	a.files = files.Keeper
	connectors, switches, err := a.cfg.connectors(out, secrets, files)
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	checks, err := a.cfg.checks(out, secrets, files.Keeper)
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	probes, err := a.cfg.probes(out, secrets)
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	for _, p := range probes {
		checks[p.Name] = p.Check
	}
	channels, err := a.cfg.channels(out, secrets)
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	sender, err := a.cfg.sender()
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	signer, err := keys.Signer(facts.Origin())
	if err != nil {
		return err
	}
	watch, err := a.cfg.detection()
	if err != nil {
		return located(a.cfg.file, &a.cfg.root, err)
	}
	keep, err := parseKeep(a.cfg.Evidence.Keep)
	if err != nil {
		return err
	}
	o := desk.Options{
		Keep: keep, Detection: watch,
		Signer: signer, Logs: desk.Logs{Facts: facts, Events: events}, Disclosed: access, Prover: events, FactTiles: facts, EventTiles: events, Digest: email.Digest,
		Scope: func(ctx context.Context, q scope.Query, so scope.Options) (scope.Result, error) {
			if whole, erased := access.Whole(); erased && so.Size > 0 {
				return scope.Compute(ctx, whole, q, so) // an earlier one stays what it was
			}
			return scope.Compute(ctx, access, q, so)
		},
		Match: func(ctx context.Context, q scope.Query, size uint64, next func() (scope.Person, error), hit func() error) (scope.Matched, error) {
			return scope.Match(ctx, access, access, q, size, next, hit)
		},
		Compare: func(ctx context.Context, q scope.Query) (scope.Comparison, error) {
			return scope.Compare(ctx, access, q)
		},
		Store: store, Keys: keys, Clock: domain, Events: access, EventLog: events, FactLog: facts,
		Programs: programs, Connectors: connectors, Switches: switches, Checks: checks, Probes: probes, Integrity: files, Channels: channels,
		MailRetry: a.cfg.Mail.Retry, Vault: secrets, From: a.cfg.Mail.From,
		PublicURL: strings.TrimSuffix(a.cfg.PublicURL, "/"), Org: a.cfg.Organisation.ID, OrgName: a.cfg.Organisation.Name, FirstOwner: a.cfg.FirstOwner, Unpromised: unpromised(programs, a.cfg.Organisation.Name),
		Env: a.in.Env, Installation: a.in.ID, Verifiers: []string{factsKey, eventsKey}, ReadOnly: a.readOnly(),
		Exports: filepath.Join(a.o.Dir, "exports"), Attachments: filepath.Join(a.o.Dir, "attachments"), Log: a.o.Log,
	}
	if sender != nil {
		o.Mail = sender
		a.onClose(func() error { sender.Close(); return nil })
	}
	for _, app := range a.cfg.Apps {
		o.Apps = append(o.Apps, app.ID)
	}
	if !a.readOnly() {
		for _, lack := range unready(a.policy, connectors, switches, checks, o.Mail) {
			a.o.Log.Warn("the policy promises what this configuration cannot do", "missing", lack)
		}
		o.Anchor = ledger.NewAnchorer(store, facts).Pass
		if err := a.openCopy(store, keys); err != nil {
			return err
		}
		if a.copier != nil {
			o.Safe = a.copier.Sync
		}
	}
	if a.drill != nil {
		if err := a.drill.apply(&o, a, access); err != nil {
			return err
		}
	}
	a.desk, err = desk.New(o)
	return err
}

// Desk is the running desk, for tests and for the commands that work on a stopped server.
func (a *App) Desk() *desk.Desk { return a.desk }

// engine returns what counts scopes: the program beside this one, or nil when there is none.
func (a *App) engine() *ask.Engine {
	program := ask.Beside()
	if program == "" {
		a.o.Log.Warn("tocsin-query is not beside the program: scopes are counted event by event, which is slow on millions of events; make build makes it where cgo is there")
		return nil
	}
	return ask.New(ask.Options{Program: program, Dir: filepath.Join(a.o.Dir, "table"), Logger: a.o.Log})
}

// Access is the access log, for the commands that work on a stopped server.
func (a *App) Access() *accesslog.Store { return a.access }

// Addr is where the server listens, once started.
func (a *App) Addr() string { return a.addr.String() }

// storeName says where the facts are, without an address that may name hosts and accounts.
func (a *App) storeName() string {
	if a.o.Store == "" {
		return "sqlite"
	}
	return "postgres"
}

// Link is the one-time sign-in link of the first start, or of a reader of a finished drill; ""
// when there is none.
func (a *App) Link() string { return a.link }

// ReadOnly says that the server only shows a finished drill.
func (a *App) ReadOnly() bool { return a.readOnly() }

// Start starts the desk and listens. It returns when requests are answered.
func (a *App) Start(ctx context.Context) error {
	ctx, a.stop = context.WithCancel(ctx)
	a.life = ctx
	if err := a.start(ctx); err != nil {
		return errors.Join(err, a.Stop())
	}
	return nil
}

func (a *App) start(ctx context.Context) error {
	code := ""
	var err error
	if a.readOnly() {
		if code, err = desk.NewSecret(); err != nil {
			return err
		}
		a.desk.Admit(code, desk.Caller{Principal: "person:reader", Name: "Reader", Access: incident.Viewer, Token: "reader"})
	} else {
		// Before the policy is published: no fact names a policy that is not kept.
		if err := errors.Join(a.cfg.keep(a.policy), a.resumeDrill()); err != nil {
			return err
		}
		if code, err = a.desk.Found(ctx); err != nil {
			return err
		}
		if err := a.desk.PublishPolicy(ctx); err != nil {
			return err
		}
		if err := a.takeUp(ctx); err != nil {
			return err
		}
		if a.copier != nil {
			a.copying.Go(func() { a.copier.Run(ctx) })
		}
		if err := a.desk.Start(ctx); err != nil {
			return err
		}
		if err := a.startBackups(ctx); err != nil {
			return err
		}
	}
	if err := a.listen(); err != nil {
		return err
	}
	if a.cfg.Heartbeat.URL != "" && a.drill == nil && !a.readOnly() {
		a.copying.Go(func() { a.beats(ctx) })
	}
	if code != "" {
		base := strings.TrimSuffix(a.cfg.PublicURL, "/")
		if base == "" || a.readOnly() || a.drill != nil {
			base = a.URL()
		}
		a.link = base + "/join?code=" + code
	}
	a.o.Log.Info("serving", "address", a.URL(), "env", a.in.Env, "read_only", a.readOnly(), "store", a.storeName(), "policy", a.policy.ID, "hash", a.policy.Hash)
	if a.drill == nil {
		return nil
	}
	if err := a.drill.say(drillAnswer{Ready: true, Addr: a.Addr(), Link: a.link}); err != nil {
		return err
	}
	a.running.Go(func() { a.failed <- a.drill.serve(ctx, a.desk) })
	return nil
}

// Wait returns when ctx ends or a part of the server has failed, with its error.
func (a *App) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.failed:
		return err
	}
}

// ErrAgain is what Wait returns when the configuration has changed: Stop this server and start
// another one with its Door.
var ErrAgain = errors.New("the configuration has changed")

// restart asks for another server in this one's place.
func (a *App) restart() {
	if a.again.CompareAndSwap(false, true) {
		a.failed <- ErrAgain
	}
}

// Behind lets the server that is about to start answer at a door that is open already.
func (a *App) Behind(d *Door) { a.door = d }

// Door is the open address of this server, for the one that takes its place.
func (a *App) Door() *Door { return a.door }

// Stop ends streams and then requests, then the desk, then closes what New opened. Requests in
// flight have five seconds; what the workers had not finished is owed at the next start.
func (a *App) Stop() error {
	a.o.Log.Info("stopping")
	a.shut()
	if a.stop != nil {
		a.stop()
	}
	if a.desk != nil {
		a.desk.Stop()
	}
	a.copying.Wait()
	if a.copier != nil && a.addr != nil {
		a.copier.Last()
	}
	err := a.close()
	if a.door != nil && !a.again.Load() {
		err = errors.Join(err, a.door.shut())
	}
	if err != nil {
		a.o.Log.Error("stopped, and not everything closed in order", "error", err)
	} else {
		a.o.Log.Info("stopped")
	}
	return err
}
