// Package app wires the program: it reads the configuration, opens what the desk stands on, and
// starts and stops it all in order. New, Start and Stop are what tests and the command line use.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/contain/vault"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify/email"
	"github.com/tocsin-ir/tocsin/scope"
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
	server *http.Server
	socket *http.Server
	addr   net.Addr
	link   string
	socks  string

	closers []func() error // in the order in which things were opened
	failed  chan error
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New opens everything and starts nothing. What it opened before a failure is closed again.
func New(ctx context.Context, o Options) (_ *App, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{o: o, failed: make(chan error, 4)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.in, err = ReadFolder(o.Dir); err != nil {
		return nil, err
	}
	if a.cfg, err = LoadConfig(o.Dir, o.Config); err != nil {
		return nil, err
	}
	if o.Listen != "" {
		a.cfg.Listen = o.Listen
		if err := a.cfg.check(); err != nil {
			return nil, err
		}
	}
	if a.drill, err = openDrill(a.in); err != nil {
		return nil, err
	}
	return a, a.open(ctx)
}

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
	programs, err := a.cfg.programs()
	if err != nil {
		return err
	}
	keys, err := keyring.Open(filepath.Join(a.o.Dir, "keys"))
	if err != nil {
		return err
	}
	a.onClose(keys.Close)
	store, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	a.onClose(store.Close)
	facts, factsKey, err := a.openLog(ctx, keys, "facts")
	if err != nil {
		return err
	}
	events, eventsKey, err := a.openLog(ctx, keys, "events")
	if err != nil {
		return err
	}
	var domain desk.Clock = clock.Real{}
	if a.drill != nil {
		domain = a.drill.clock
	}
	access, err := accesslog.Open(ctx, accesslog.Options{Dir: a.o.Dir, Keys: keys, Log: events, Now: domain.Now, Env: a.in.Env, ReadOnly: a.readOnly(), Logger: a.o.Log})
	if err != nil {
		return err
	}
	a.onClose(access.Close)
	secrets, err := vault.Open(filepath.Join(a.o.Dir, "secrets"))
	if err != nil {
		return err
	}
	out := egress.New(egress.Options{Allow: prefixes(a.cfg.Network.Allow), Agent: "tocsin/" + desk.EngineVersion})
	connectors, switches, err := a.cfg.connectors(out, secrets)
	if err != nil {
		return err
	}
	checks, err := a.cfg.checks(out, secrets)
	if err != nil {
		return err
	}
	sender, err := a.cfg.sender()
	if err != nil {
		return err
	}
	signer, err := keys.Signer(facts.Origin())
	if err != nil {
		return err
	}
	o := desk.Options{
		Signer: signer, Logs: desk.Logs{Facts: facts, Events: events}, Disclosed: access, Digest: email.Digest,
		Scope: func(ctx context.Context, q scope.Query, so scope.Options) (scope.Result, error) {
			return scope.Compute(ctx, access, q, so)
		},
		Store: store, Keys: keys, Clock: domain, Events: access, EventLog: events, FactLog: facts,
		Programs: programs, Connectors: connectors, Switches: switches, Checks: checks,
		MailRetry: a.cfg.Mail.Retry, Vault: secrets, From: a.cfg.Mail.From,
		PublicURL: strings.TrimSuffix(a.cfg.PublicURL, "/"), Org: a.cfg.Organisation.ID, OrgName: a.cfg.Organisation.Name,
		Env: a.in.Env, Installation: a.in.ID, Verifiers: []string{factsKey, eventsKey}, ReadOnly: a.readOnly(),
		Exports: filepath.Join(a.o.Dir, "exports"), Log: a.o.Log,
	}
	if sender != nil {
		o.Mail = sender
		a.onClose(func() error { sender.Close(); return nil })
	}
	for _, app := range a.cfg.Apps {
		o.Apps = append(o.Apps, app.ID)
	}
	if !a.readOnly() {
		o.Anchor = ledger.NewAnchorer(store, facts).Pass
	}
	if a.drill != nil {
		if err := a.drill.apply(&o, a, access); err != nil {
			return err
		}
	}
	a.desk, err = desk.New(o)
	return err
}

func (a *App) openStore(ctx context.Context) (ledger.Store, error) {
	if a.o.Store == "" {
		return sqlite.Open(filepath.Join(a.o.Dir, "tocsin.db"), sqlite.Options{ReadOnly: a.readOnly(), Log: a.o.Log})
	}
	return openPostgres(ctx, a.o, a.in)
}

// openLog opens one of the two transparency logs and returns the key that verifies it.
func (a *App) openLog(ctx context.Context, keys *keyring.Ring, name string) (*translog.Log, string, error) {
	origin := a.cfg.Organisation.ID + "/" + name
	dir := filepath.Join(a.o.Dir, "log", name)
	_, vkey, err := keys.Verifier(origin)
	if err != nil {
		return nil, "", err
	}
	var l *translog.Log
	if a.readOnly() {
		l, err = translog.OpenReader(dir, origin)
	} else {
		signer, serr := keys.Signer(origin)
		if serr != nil {
			return nil, "", serr
		}
		l, err = translog.Open(ctx, dir, signer, translog.Options{})
	}
	if err != nil {
		return nil, "", err
	}
	a.onClose(l.Close)
	return l, vkey, nil
}

// Desk is the running desk, for tests and for the commands that work on a stopped server.
func (a *App) Desk() *desk.Desk { return a.desk }

// Addr is where the server listens, once started.
func (a *App) Addr() string { return a.addr.String() }

// Link is the one-time sign-in link of the first start, or of a reader of a finished drill; ""
// when there is none.
func (a *App) Link() string { return a.link }

// ReadOnly says that the server only shows a finished drill.
func (a *App) ReadOnly() bool { return a.readOnly() }

// Start starts the desk and listens. It returns when requests are answered.
func (a *App) Start(ctx context.Context) error {
	ctx, a.stop = context.WithCancel(ctx)
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
		if code, err = a.desk.Found(ctx); err != nil {
			return err
		}
		if err := a.desk.PublishPolicy(ctx); err != nil {
			return err
		}
		if err := a.desk.Start(ctx); err != nil {
			return err
		}
	}
	if err := a.listen(ctx); err != nil {
		return err
	}
	if code != "" {
		base := strings.TrimSuffix(a.cfg.PublicURL, "/")
		if base == "" || a.readOnly() || a.drill != nil {
			base = "http://" + a.Addr()
		}
		a.link = base + "/join?code=" + code
	}
	if a.drill == nil {
		return nil
	}
	if err := a.drill.say(drillAnswer{Ready: true, Addr: a.Addr(), Link: a.link}); err != nil {
		return err
	}
	a.running.Go(func() { a.failed <- a.drill.serve(ctx, a.desk) })
	return nil
}

// listen opens the address and the socket. The socket in the data folder lets the account that
// owns the folder in without a token: whoever can open it could read the database as well.
func (a *App) listen(ctx context.Context) error {
	local, err := desk.NewSecret()
	if err != nil {
		return err
	}
	access := incident.Owner
	if a.readOnly() {
		access = incident.Viewer
	}
	a.desk.Admit(local, desk.Caller{Principal: "service:local", Name: "data folder", Access: access, Token: "local"})

	addr := a.cfg.Listen
	if a.drill != nil {
		addr = a.drill.Listen
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w: choose another address with --listen", err)
	}
	a.addr = l.Addr()
	secure := a.cfg.TLS.Cert != ""
	if secure {
		cert, err := tls.LoadX509KeyPair(a.cfg.path(a.cfg.TLS.Cert), a.cfg.path(a.cfg.TLS.Key))
		if err != nil {
			l.Close()
			return fmt.Errorf("tls: %w", err)
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}})
	}
	handler := a.handler(secure)
	a.server = serverOf(handler)
	a.running.Go(func() { a.serve(a.server, l) })

	a.socks = filepath.Join(a.o.Dir, "tocsin.sock")
	if a.readOnly() && !writable(a.o.Dir) {
		return nil
	}
	os.Remove(a.socks) // a socket left by a killed process; the folder's lock says that it is dead
	s, err := net.Listen("unix", a.socks)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(a.socks, 0o600); err != nil {
		s.Close()
		return err
	}
	a.socket = serverOf(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", "Bearer "+local)
		}
		handler.ServeHTTP(w, r)
	}))
	a.running.Go(func() { a.serve(a.socket, s) })
	return nil
}

func serverOf(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
}

func (a *App) serve(s *http.Server, l net.Listener) {
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		a.failed <- err
	}
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

// Stop ends requests, then the desk, then closes what New opened. It takes at most ten seconds
// for requests in flight; what the workers had not finished is owed at the next start.
func (a *App) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, s := range []*http.Server{a.server, a.socket} {
		if s == nil {
			continue
		}
		// Streams never end by themselves: they are cut once everything else has had its time.
		quick, done := context.WithTimeout(ctx, 500*time.Millisecond)
		if err := s.Shutdown(quick); err != nil {
			s.Close()
		}
		done()
	}
	if a.stop != nil {
		a.stop()
	}
	if a.desk != nil {
		a.desk.Stop()
	}
	if a.socks != "" {
		os.Remove(a.socks)
	}
	errs = append(errs, a.close())
	return errors.Join(errs...)
}

func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return false
	}
	f.Close()
	return os.Remove(f.Name()) == nil
}
