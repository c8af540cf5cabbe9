package desk

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// plan is what one command leads to: everything that its transaction will write, and the outcome.
// Working it out reads the state it is based on, the keys and the command, and no database.
//
// So most of the work of a command is done before its transaction, while the one writer is busy
// with others. The transaction compares heads: a plan that is based on what still is the newest
// fact is carried out as it is, any other is thrown away and made again inside.
type plan struct {
	now     time.Time
	base    ledger.Head // the newest fact the plan was made on
	outcome Outcome
	refused *incident.Refusal

	// What follows is empty when nothing changes.
	records  []ledger.Record
	state    *incident.State // as it is afterwards
	owed     []incident.Effect
	snapshot []byte // of state, when one is due
	row      ledger.Row
	wakes    wakes
}

// wakes are the next instants at which an incident has to be looked at, as the store has them.
type wakes struct {
	known            bool
	domain, protocol time.Time
}

// entry caches the state that decisions are made on. It may be ahead of the database when a
// transaction fails after the fold; load notices that by comparing heads.
type entry struct {
	planning atomic.Bool                    // somebody plans ahead: others would do so in vain
	newest   atomic.Pointer[incident.State] // as decided last, for readers, who compare its head; nil: nothing yet

	mu    sync.Mutex
	state *incident.State // never changed in place: readers share it
	head  ledger.Head     // of state
	wakes wakes           // of state
}

// plan decides a command on the state s, whose newest fact is head.
func (d *Desk) plan(req Request, s *incident.State, head ledger.Head, now time.Time) (*plan, error) {
	p := d.programFor(s, req.Command)
	decision, err := incident.Decide(p, s, req.Command, incident.Context{
		Directory: req.directory,
		Now:       now,
		Actor:     incident.Actor{Principal: req.Caller.Principal, Roles: req.Caller.Roles, Access: req.Caller.Access},
		Env:       d.o.Env,
		Causes:    req.Causes,
		Versions:  incident.Versions{Policy: p.Hash, Engine: EngineVersion, TZData: tzVersion()},
	})
	pl := &plan{now: now, base: head, outcome: Outcome{Incident: req.Incident, Version: head.N, Reason: decision.Reason}}
	if err != nil && !errors.As(err, &pl.refused) {
		return nil, err
	}
	if pl.refused != nil {
		pl.outcome.Reason = pl.refused.Reason
	}
	if d.o.Decided != nil {
		decision.Facts = d.o.Decided(decision.Facts)
	}
	if len(decision.Facts) == 0 {
		return pl, nil
	}
	for i := range decision.Facts {
		f := &decision.Facts[i]
		f.Chain = req.Incident
		if d.o.Clock.Simulated() {
			f.Simulated, f.Real = true, time.Now().UTC()
		}
	}
	if pl.records, err = ledger.Encode(decision.Facts, head, d.o.Keys); err != nil {
		return nil, err
	}
	// Encode has given the facts their ids. Apply leaves the old state as it was: readers may go on
	// looking at it, and a rollback needs no more than the next load noticing that heads differ.
	if pl.state, err = incident.Apply(s, decision.Facts...); err != nil {
		return nil, fmt.Errorf("desk: fold: %w", err)
	}
	for i, rec := range pl.records {
		f := decision.Facts[i]
		pl.outcome.Facts = append(pl.outcome.Facts, FactRef{ID: rec.ID, Kind: f.Kind, Recorded: f.Recorded, Hash: ledger.HashText(rec.Hash)})
	}
	pl.outcome.Version = pl.state.Version
	pl.owed = incident.OwedBy(pl.state, decision.Facts)
	pl.wakes.known = true
	pl.wakes.domain, pl.wakes.protocol = incident.NextWake(d.program(pl.state), pl.state)
	if pl.snapshot, err = snapshot(pl.state, head.N); err != nil {
		return nil, err
	}
	pl.row, err = d.row(pl.state, now)
	return pl, err
}

// ahead plans a command before its transaction, on the newest state this process knows. It returns
// nil when that is of no use: the incident is not in the cache, somebody else is planning for it
// already, or the command makes no sense, which the transaction then says. done must be called
// when the transaction is over.
func (d *Desk) ahead(req Request) (pl *plan, done func()) {
	e, ok := d.deciding.get(req.Incident)
	if readsDirectory(req.Command) {
		ok = false // it is decided on what the directory says in its own transaction
	}
	if !ok || !e.planning.CompareAndSwap(false, true) {
		return nil, func() {}
	}
	done = func() { e.planning.Store(false) }
	// The committer may be at this incident just now; its next state is not worth waiting for.
	if !e.mu.TryLock() {
		return nil, done
	}
	s, head := e.state, e.head
	e.mu.Unlock()
	if s == nil {
		return nil, done
	}
	pl, err := d.plan(req, s, head, d.o.Clock.Now())
	if err != nil {
		return nil, done
	}
	return pl, done
}

// decide is the middle of a transaction: load, plan, carry out. A crash anywhere in it means that
// nothing happened, because nothing is committed yet.
func (d *Desk) decide(tx ledger.Tx, req Request, now time.Time, also func(ledger.Tx, *incident.State, time.Time) error) (Outcome, *incident.Refusal, error) {
	return d.decideAs(tx, req, nil, now, also)
}

// decideAs is decide with a plan that was made before, when it still fits.
func (d *Desk) decideAs(tx ledger.Tx, req Request, pl *plan, now time.Time, also func(ledger.Tx, *incident.State, time.Time) error) (Outcome, *incident.Refusal, error) {
	e := d.deciding.getOr(req.Incident, func() *entry { return &entry{} })
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := d.load(tx, req.Incident, e); err != nil {
		return Outcome{}, nil, err
	}
	if pl == nil || pl.base.N != e.head.N || pl.base.ID != e.head.ID {
		var err error
		if req.directory, err = d.directoryOf(tx, req.Command); err != nil {
			return Outcome{}, nil, err
		}
		if pl, err = d.plan(req, e.state, e.head, now); err != nil {
			return Outcome{}, nil, err
		}
	}
	if len(pl.records) == 0 {
		return pl.outcome, pl.refused, nil
	}
	if err := d.write(tx, pl, e.wakes); err != nil {
		return Outcome{}, nil, err
	}
	last := pl.records[len(pl.records)-1]
	e.state, e.wakes = pl.state, pl.wakes
	e.newest.Store(pl.state)
	e.head = ledger.Head{Chain: req.Incident, N: last.N, ID: last.ID, Hash: last.Hash}
	if also != nil && pl.refused == nil {
		if err := also(tx, pl.state, pl.now); err != nil {
			return Outcome{}, nil, err
		}
	}
	return pl.outcome, pl.refused, nil
}

// write writes a plan whose base is the head of the chain. before are the wake-ups as the store
// has them.
func (d *Desk) write(tx ledger.Tx, pl *plan, before wakes) error {
	chain := pl.state.ID
	if err := tx.Append(chain, pl.base.N, pl.records); err != nil {
		return err
	}
	if err := d.enqueue(tx, pl.owed); err != nil {
		return err
	}
	// Most commands move no clock. A wake-up in the past is written again all the same: whoever is
	// late with it may have put it off.
	if !before.known || !before.domain.Equal(pl.wakes.domain) || (!before.domain.IsZero() && !before.domain.After(pl.now)) {
		if err := tx.SetWake(chain, ledger.Domain, pl.wakes.domain); err != nil {
			return err
		}
	}
	if !before.known || !before.protocol.IsZero() || !pl.wakes.protocol.IsZero() {
		if err := tx.SetWake(chain, ledger.Protocol, pl.wakes.protocol); err != nil {
			return err
		}
	}
	if pl.snapshot != nil {
		if err := tx.PutSnapshot(chain, pl.state.Version, EngineVersion, pl.snapshot); err != nil {
			return err
		}
	}
	return tx.PutRow(boardProjection, pl.row)
}

// load brings e up to the head of the chain as this transaction sees it. Its caller holds e.mu.
func (d *Desk) load(r ledger.Reader, chain string, e *entry) error {
	head, err := r.Head(chain)
	if errors.Is(err, ledger.ErrNotFound) {
		e.state, e.head, e.wakes = nil, ledger.Head{Chain: chain}, wakes{}
		return nil
	}
	if err != nil {
		return err
	}
	if e.state != nil && e.head.N == head.N && e.head.ID == head.ID {
		return nil
	}
	s, err := d.fold(r, chain)
	if err != nil {
		return err
	}
	e.state, e.head, e.wakes = s, head, wakes{}
	return nil
}

const snapshotEvery = 256

// snapshot is the state as text when one is due since version from, and nil otherwise.
func snapshot(s *incident.State, from int) ([]byte, error) {
	if s.Version/snapshotEvery == from/snapshotEvery {
		return nil, nil
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("desk: snapshot of %s: %w", s.ID, err)
	}
	return body, nil
}

// row is the incident's row of the board.
func (d *Desk) row(s *incident.State, now time.Time) (ledger.Row, error) {
	row := boardRow(d.program(s), s, now)
	body, err := json.Marshal(row)
	if err != nil {
		return ledger.Row{}, fmt.Errorf("desk: board row of %s: %w", s.ID, err)
	}
	return ledger.Row{Key: s.ID, Rank: boardRank(row), Body: body}, nil
}

// project writes what pages read. All of it can be made again by Rebuild.
func (d *Desk) project(tx ledger.Tx, s *incident.State, now time.Time) error {
	body, err := snapshot(s, s.Version-1)
	if err != nil {
		return err
	}
	if body != nil {
		if err := tx.PutSnapshot(s.ID, s.Version, EngineVersion, body); err != nil {
			return err
		}
	}
	row, err := d.row(s, now)
	if err != nil {
		return err
	}
	return tx.PutRow(boardProjection, row)
}
