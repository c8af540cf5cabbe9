// Package desk is the only place where the engine meets the world. Submit is the one door: it
// takes a command, lets the engine decide, and makes the facts durable. Workers are the only
// doers: they carry out what the facts say is owed and come back through the same door.
//
// A crash before a commit means nothing happened. A crash after it means that what is owed
// follows from the facts: Start computes it again. The one thing a crash can leave open is an
// attempt without a result; it is recorded as uncertain, never repeated in silence and never
// assumed done.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/probe"
	"github.com/tocsin-ir/tocsin/scope"
)

// EngineVersion is stamped on every fact and names the snapshots it can read.
const EngineVersion = "0.1.1"

// OrgChain is the chain of what belongs to no incident: people, tokens, policies, merchants.
const OrgChain = "org"

// Clock is domain time. Retries and anything else on the wire use the machine's own clock.
type Clock interface {
	Now() time.Time
	Until(t time.Time) (<-chan struct{}, func())
	Simulated() bool
}

// Log is what the desk needs of a transparency log.
type Log interface {
	// Checkpoint returns the newest signed checkpoint and the number of leaves it covers.
	Checkpoint(ctx context.Context) (note []byte, size uint64, err error)
}

// Check runs one declared recovery check.
type Check interface {
	Run(ctx context.Context) probe.Result
}

// ScopeFunc computes a scope; a drill may put a broken one in its place.
type ScopeFunc func(ctx context.Context, q scope.Query, o scope.Options) (scope.Result, error)

// Logs are the two transparency logs as an export reads them.
type Logs struct{ Facts, Events evidence.Log }

// Tiles are the files of the two logs (C2SP tlog-tiles), by the names that others read them by.
type Tiles interface {
	File(name string) ([]byte, error) // not found is anything but a file of the log
	Published() (time.Time, error)    // when the newest checkpoint was written, by the machine's clock
}

// Options is everything a Desk stands on. The owner of each part is the caller: the desk closes
// none of them.
type Options struct {
	Store      ledger.Store
	Keys       ledger.Keys
	Clock      Clock
	Events     *accesslog.Store
	Keep       Keep           // how long the days of the access log are kept; default DefaultKeep
	Detection  detect.Options // how the access log is watched
	EventLog   Log
	FactLog    Log
	Logs       Logs
	Disclosed  evidence.Events // discloses events to an export
	Prover     evidence.Prover // proves single events; the events log
	FactTiles  Tiles           // what anyone may read of the facts log
	EventTiles Tiles           // and of the events log
	Signer     note.Signer     // signs exports; its name is the origin of the facts log
	// Gathered wraps the gathering of an export; nil in production. A drill's sabotage of the
	// evidence happens here.
	Gathered func(ctx context.Context, incident string, gather func() (evidence.Input, error)) (evidence.Input, error)
	// Decided sees what the engine decided before it is recorded; nil in production. A drill's sabotage
	// of the engine happens here.
	Decided func([]incident.Fact) []incident.Fact
	Anchor  func(context.Context) (int, error) // one pass of the outbox; the number anchored
	// Safe returns when every fact that was durable before the call is off the machine too; nil when
	// no copy is kept.
	Safe       func(context.Context) error
	Scope      ScopeFunc
	Match      MatchFunc         // nil: no list can be compared
	Compare    CompareFunc       // nil: what is usual cannot be told
	Programs   []*policy.Program // the last is the one new incidents run under
	Connectors map[string]contain.Connector
	Switches   map[string]bool // names of connectors that flip a switch
	Checks     map[string]Check
	Probes     []Probe    // checks that run by themselves, on a schedule
	Integrity  *Integrity // files that are compared with what was approved; nil: none
	Mail       notify.Sender
	Channels   map[string]notify.Channel                 // other ways of telling, by the policy's name for them
	Compose    func(notify.Input) (notify.Letter, error) // default notify.Compose
	Digest     func(notify.Letter) (string, error)       // of the bytes that will be sent
	MailRetry  []time.Duration                           // protocol time between attempts; its length bounds them
	Vault      contain.Vault
	From       string
	PublicURL  string
	// Installation is the id of this data folder; it keeps Message-IDs of different servers apart.
	Installation string
	Org          string // id of the organisation
	OrgName      string
	FirstOwner   string          // what the first owner is called, until they have joined; "" for Owner
	Unpromised   map[string]bool // digests of examples that were in force before the organisation had a policy of its own: nobody promised them
	Env          string
	Apps         []string
	Verifiers    []string // note verifier keys of facts log and event log
	ReadOnly     bool     // a finished drill: everything can be looked at and nothing changed
	Exports      string   // folder that exports are written to
	Attachments  string   // folder that attached files are kept in
	Mailers      int      // workers; default 8
	Log          *slog.Logger
}

// Desk holds no state of its own that a restart would lose: the maps are caches of folds.
type Desk struct {
	o        Options
	programs map[string]*policy.Program
	current  *policy.Program

	deciding *cache[*entry]          // by chain; used inside Update only, but for newest
	reading  *cache[*incident.State] // by incident; immutable once stored
	board    *cache[decodedRow]      // by incident

	ingestKeys keyCache

	mu       sync.Mutex
	orgState *org.State        // immutable once stored; guarded by mu
	used     uses              // when tokens and keys were last used
	born     time.Time         // when this process began, by the clock on the wall
	guests   map[string]Caller // by hash of the secret; see Admit; guarded by mu

	again      again        // incidents whose work went wrong
	queued     names        // effects that queueOwed has handed to the runner
	backlog    names        // incidents of which more is owed than was queued at once
	mostQueued int          // see the constant
	inFlight   atomic.Int64 // submits under way, so that a drill knows when nothing is
	tickerHup  chan struct{}
	wakeHup    chan struct{}
	anchorHup  chan struct{}
	switches   switchBoard
	watch      watcher
	looks      looking // at files that were approved
	detection  detection
	probes     map[string]*probing // by name; the map itself never changes
	backtests  sync.Mutex          // one at a time
	matching   chan struct{}       // a slot for the one list or window that is being compared
	life       context.Context     // ends when the desk stops
	runs       runs                // scopes that are computed in the background
	stop       context.CancelFunc
	done       sync.WaitGroup
}

// New checks the options and returns a desk that has not started yet.
func New(o Options) (*Desk, error) {
	if o.Store == nil || o.Clock == nil || o.Keys == nil {
		return nil, errors.New("desk: store, clock and keys are required")
	}
	if len(o.Programs) == 0 {
		return nil, errors.New("desk: no policy: name one in tocsin.yaml under policy")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Compose == nil {
		o.Compose = notify.Compose
	}
	if o.Keep == (Keep{}) {
		o.Keep = DefaultKeep
	}
	if o.Mailers == 0 {
		o.Mailers = 8
	}
	d := &Desk{
		o:          o,
		mostQueued: mostQueued,
		programs:   map[string]*policy.Program{},
		deciding:   newCache[*entry](cacheSize),
		reading:    newCache[*incident.State](cacheSize),
		board:      newCache[decodedRow](ledger.MaxRows),
		guests:     map[string]Caller{}, born: time.Now().UTC(),
		life:      context.Background(),
		matching:  make(chan struct{}, 1),
		tickerHup: make(chan struct{}, 1),
		wakeHup:   make(chan struct{}, 1),
		anchorHup: make(chan struct{}, 1),
	}
	d.probes = probingOf(o.Probes)
	if o.Integrity != nil {
		o.Integrity.Keeper.Approved = d.Approved
	}
	for _, p := range o.Programs {
		d.programs[p.Hash] = p
		d.current = p
	}
	return d, nil
}

// Now is domain time: what pages count clocks against.
func (d *Desk) Now() time.Time { return d.o.Clock.Now() }

// PolicyProgram is the policy that new incidents run under.
func (d *Desk) PolicyProgram(context.Context) *policy.Program { return d.current }

// PolicyBefore is the version that was in force before the present one, and when the present one
// replaced it; nil when there was none, or when its text is kept nowhere any more.
func (d *Desk) PolicyBefore(ctx context.Context) (before *policy.Program, since time.Time, err error) {
	s, err := d.Org(ctx)
	if err != nil || s == nil || d.o.Unpromised[d.current.Hash] {
		return nil, time.Time{}, err
	}
	for _, was := range slices.Backward(s.Policies) {
		if d.o.Unpromised[was.Hash] {
			continue
		}
		if was.Hash != d.current.Hash {
			return d.programs[was.Hash], since, nil
		}
		since = was.At
	}
	return nil, since, nil
}

// program finds the policy an incident runs under. An incident whose policy is no longer among
// those given goes on under the newest, and the facts it makes say so in their versions.
func (d *Desk) program(s *incident.State) *policy.Program {
	if s != nil {
		if p, ok := d.programs[s.Policy]; ok {
			return p
		}
	}
	return d.current
}

// Submit gives one command to one incident. The outcome is returned after the facts are durable.
// The same request ID from the same caller gives the same outcome again and changes nothing.
func (d *Desk) Submit(ctx context.Context, req Request) (Outcome, error) {
	switch {
	case d.o.ReadOnly:
		return Outcome{}, ErrReadOnly
	case req.Incident == "" || req.Command == nil:
		return Outcome{}, errors.New("desk: a request needs an incident and a command")
	case req.Command.Name() == (incident.Open{}).Name():
		return Outcome{}, fmt.Errorf("%w: an incident is opened under the next free id, not under one that is given", ErrInvalid)
	case req.Incident == OrgChain:
		// The organisation's chain has commands of its own.
		return Outcome{}, fmt.Errorf("%w: there is no incident %q", ErrNotFound, req.Incident)
	}
	switch c := req.Command.(type) {
	case incident.RestoreService:
		return d.submit(ctx, req, d.turnOn(req.Caller))
	case incident.PublishReview:
		return d.publishReview(ctx, req, c)
	}
	return d.submit(ctx, req, nil)
}

// submit runs one request; also, when given, runs in the same transaction after a decision was
// accepted, for what has to happen together with it or not at all.
func (d *Desk) submit(ctx context.Context, req Request, also func(ledger.Tx, *incident.State, time.Time) error) (Outcome, error) {
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	pl, done := d.ahead(req)
	defer done()
	var out Outcome
	var refused *incident.Refusal
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		out, refused = Outcome{}, nil
		now := d.o.Clock.Now()
		memo, err := replay(tx, req)
		if err != nil {
			return err
		}
		if memo != nil {
			out, refused = memo.Outcome, memo.Refusal
			out.Replayed = true
			return nil
		}
		out, refused, err = d.decideAs(tx, req, pl, now, also)
		if err != nil {
			return err
		}
		return d.remember(tx, req, now, out, refused)
	})
	if err != nil {
		return Outcome{}, err
	}
	if refused != nil {
		return out, refused
	}
	return out, nil
}

// owe enqueues what is newly owed, and sets when to look again.
func (d *Desk) owe(tx ledger.Tx, s *incident.State, effects []incident.Effect) error {
	if err := d.enqueue(tx, effects); err != nil {
		return err
	}
	domain, protocol := incident.NextWake(d.program(s), s)
	if err := tx.SetWake(s.ID, ledger.Domain, domain); err != nil {
		return err
	}
	return tx.SetWake(s.ID, ledger.Protocol, protocol)
}

// mostQueued is how much one transaction queues. All others wait for it, and the price of a row grows with those
// before it: a notice to fifty thousand merchants would hold up every command for minutes.
const mostQueued = 500 // a test may have another bound

// enqueue queues what may be done now. What is too much for one transaction is queued by queueOwed after it.
func (d *Desk) enqueue(tx ledger.Tx, effects []incident.Effect) error {
	n := 0
	for _, eff := range effects {
		if !eff.NotBefore.IsZero() {
			continue // deferred effects are woken by the protocol clock
		}
		if n++; n > d.mostQueued {
			d.backlog.add(eff.Incident)
			return nil
		}
		if err := tx.Enqueue(jobOf(eff)); err != nil {
			return err
		}
	}
	return nil
}

// jobOf makes the job for an effect. The arguments are the effect itself: the worker loads the
// state afresh, so nothing personal stands in the queue.
func jobOf(eff incident.Effect) ledger.Job {
	args, err := json.Marshal(eff)
	if err != nil {
		panic("desk: an effect is plain data: " + err.Error())
	}
	urgent := eff.Kind == incident.EffectApply || eff.Kind == incident.EffectConfirm
	return ledger.Job{Kind: string(eff.Kind), ID: eff.ID, Args: args, Chain: eff.Incident, Urgent: urgent}
}

// errUnreadable says that an incident's own facts or snapshot cannot be read, and not that the
// database failed: the other incidents go on.
var errUnreadable = errors.New("the incident cannot be read")

// fold makes a state from the newest snapshot and the facts after it.
func (d *Desk) fold(r ledger.Reader, chain string) (*incident.State, error) {
	var s *incident.State
	n, engine, body, err := r.Snapshot(chain)
	switch {
	case err == nil && engine == EngineVersion:
		s = &incident.State{}
		if err := json.Unmarshal(body, s); err != nil {
			return nil, fmt.Errorf("desk: snapshot of %s: %w: %w: rebuild the projections with tocsin rebuild", chain, errUnreadable, err)
		}
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return nil, err
	default:
		n = 0
	}
	for {
		records, err := r.Records(chain, n, 500)
		if err != nil {
			return nil, err
		}
		if len(records) == 0 {
			return s, nil
		}
		for _, rec := range records {
			f, err := ledger.Open(rec, d.o.Keys)
			if err != nil {
				return nil, fmt.Errorf("desk: %w: %w", errUnreadable, err)
			}
			if s, err = incident.Fold(s, f); err != nil {
				return nil, fmt.Errorf("desk: fact %s: %w: %w", rec.ID, errUnreadable, err)
			}
			n = rec.N
		}
	}
}

// factsAfter goes through the facts of a chain after record n, in order. After an error it ends.
func (d *Desk) factsAfter(r ledger.Reader, chain string, n int) iter.Seq2[incident.Fact, error] {
	return d.openedAfter(r, chain, n, ledger.Open)
}

// openedAfter is factsAfter, with facts opened as far as they are needed.
func (d *Desk) openedAfter(r ledger.Reader, chain string, n int, open func(ledger.Record, ledger.Keys) (incident.Fact, error)) iter.Seq2[incident.Fact, error] {
	return func(yield func(incident.Fact, error) bool) {
		for {
			records, err := r.Records(chain, n, 500)
			if err != nil {
				yield(incident.Fact{}, err)
				return
			}
			if len(records) == 0 {
				return
			}
			for _, rec := range records {
				f, err := open(rec, d.o.Keys)
				if !yield(f, err) || err != nil {
					return
				}
				n = rec.N
			}
		}
	}
}

// Incident returns the state of an incident as the newest durable fact left it. The state is
// shared between readers: nobody may change it.
func (d *Desk) Incident(ctx context.Context, id string) (*incident.State, error) {
	var s *incident.State
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		var err error
		s, err = d.read(r, id)
		return err
	})
	if err == nil && !d.sees(ctx, s) {
		return nil, notFound(ledger.ErrNotFound)
	}
	return s, notFound(err)
}

func (d *Desk) read(r ledger.Reader, id string) (*incident.State, error) {
	if id == OrgChain {
		return nil, ledger.ErrNotFound
	}
	head, err := r.Head(id)
	if err != nil {
		return nil, err
	}
	s, ok := d.reading.get(id)
	if ok && s.Version == head.N && s.Head == head.ID {
		return s, nil
	}
	// It may have been decided a moment ago, and not been shared yet: of a large incident a fold takes a second.
	if e, ok := d.deciding.get(id); ok {
		if s := e.newest.Load(); s != nil && s.Version == head.N && s.Head == head.ID {
			return s, nil
		}
	}
	if s, err = d.fold(r, id); err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ledger.ErrNotFound
	}
	d.reading.put(id, s)
	return s, nil
}

// SampleRecord returns the newest stored record of a chain: what a benchmark's baseline writes.
func (d *Desk) SampleRecord(ctx context.Context, chain string) (ledger.Record, error) {
	var rec ledger.Record
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		head, err := r.Head(chain)
		if err != nil {
			return err
		}
		rec, err = r.RecordByID(head.ID)
		return err
	})
	return rec, err
}
