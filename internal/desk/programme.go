package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
)

// The programme is what a policy owes without an incident: drills, training, the yearly re-reading.
// Its facts stand in the chain of the organisation; its clocks wake from the same table as those of
// incidents, and what it calls for goes through the same workers.

// Programme returns the programme as the newest durable fact left it, and an error that wraps
// ErrNotFound while no policy has begun one. It is shared: nobody changes it.
func (d *Desk) Programme(ctx context.Context) (*incident.State, error) {
	return d.stateOf(ctx, OrgChain)
}

// ProgrammeClocks lists every duty of the programme: running ones by urgency, then the rest with
// the reason why they do not run.
func (d *Desk) ProgrammeClocks(ctx context.Context) ([]ClockRow, error) {
	s, err := d.Programme(ctx)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows := clockRows(d.current, s)
	for i := range rows {
		rows[i].Incident = "programme"
		rows[i].Missing = nil
	}
	return rows, nil
}

// SubmitProgramme gives one command to the programme, under the same rules as Submit.
func (d *Desk) SubmitProgramme(ctx context.Context, id string, who Caller, c incident.Command) (Outcome, error) {
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	req := Request{ID: id, Incident: OrgChain, Command: c, Caller: who}
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
		if out, refused, err = d.decideProgramme(tx, req, now); err != nil {
			return err
		}
		// In the transaction of the facts: a crash leaves both or neither.
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

// decideProgramme runs inside a transaction: nothing it does is visible before the commit.
func (d *Desk) decideProgramme(tx ledger.Tx, req Request, now time.Time) (Outcome, *incident.Refusal, error) {
	o, head, err := d.readOrg(tx)
	if err != nil {
		return Outcome{}, nil, err
	}
	if o == nil {
		return Outcome{}, nil, fmt.Errorf("%w: there is no organisation yet", ErrNotFound)
	}
	var refused *incident.Refusal
	decision, err := incident.Decide(d.current, o.Programme, req.Command, incident.Context{
		Now:      now,
		Actor:    incident.Actor{Principal: req.Caller.Principal, Roles: req.Caller.Roles, Access: req.Caller.Access},
		Env:      d.o.Env,
		Versions: incident.Versions{Policy: d.current.Hash, Engine: EngineVersion, TZData: tzVersion()},
	})
	if err != nil && !errors.As(err, &refused) {
		return Outcome{}, nil, err
	}
	out := Outcome{Incident: OrgChain, Version: head.N, Reason: decision.Reason}
	if refused != nil {
		out.Reason = refused.Reason
	}
	if len(decision.Facts) == 0 {
		return out, refused, nil
	}
	for i := range decision.Facts {
		decision.Facts[i].Chain = OrgChain
		if d.o.Clock.Simulated() {
			decision.Facts[i].Simulated, decision.Facts[i].Real = true, time.Now().UTC()
		}
	}
	records, err := ledger.Encode(decision.Facts, head, d.o.Keys)
	if err != nil {
		return Outcome{}, nil, err
	}
	s, err := incident.Apply(o.Programme, decision.Facts...)
	if err != nil {
		return Outcome{}, nil, fmt.Errorf("desk: fold of the programme: %w", err)
	}
	if err := tx.Append(OrgChain, head.N, records); err != nil {
		return Outcome{}, nil, err
	}
	for i, rec := range records {
		out.Facts = append(out.Facts, FactRef{ID: rec.ID, Kind: decision.Facts[i].Kind, Recorded: decision.Facts[i].Recorded, Hash: ledger.HashText(rec.Hash)})
	}
	out.Version = records[len(records)-1].N
	return out, refused, d.owe(tx, s, incident.OwedBy(s, decision.Facts))
}

// beginProgramme puts the programme under the policy in force, when it is not under it yet.
func (d *Desk) beginProgramme(ctx context.Context) error {
	s, err := d.Programme(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if s != nil && s.Policy == d.current.Hash {
		return nil
	}
	system := Caller{Principal: "service:tocsin", Name: "tocsin", Access: incident.Service}
	_, err = d.SubmitProgramme(ctx, "", system, incident.BeginProgramme{})
	return err
}

// stateOf is Incident for every chain that has clocks.
func (d *Desk) stateOf(ctx context.Context, chain string) (*incident.State, error) {
	var s *incident.State
	err := d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		s, err = d.readChain(r, chain)
		return err
	})
	return s, notFound(err)
}

func (d *Desk) readChain(r ledger.Reader, chain string) (*incident.State, error) {
	if chain != OrgChain {
		return d.read(r, chain)
	}
	o, _, err := d.readOrg(r)
	if err != nil {
		return nil, err
	}
	if o == nil || o.Programme == nil {
		return nil, ledger.ErrNotFound
	}
	return o.Programme, nil
}

// give is Submit for every chain that has clocks: what the clock and the workers report may be
// about the programme.
func (d *Desk) give(ctx context.Context, req Request) (Outcome, error) {
	if req.Incident == OrgChain {
		return d.SubmitProgramme(ctx, req.ID, req.Caller, req.Command)
	}
	return d.Submit(ctx, req)
}

// directoryOf reads what the directory says of the merchants that a command brings into the scope,
// in the transaction that decides: what an import changes afterwards is told to every open incident.
func (d *Desk) directoryOf(r ledger.Reader, c incident.Command) (map[string]incident.Recipient, error) {
	var ids []string
	switch c := c.(type) {
	case incident.RecordScope:
		for _, m := range c.Merchants {
			ids = append(ids, m.Merchant)
		}
	case incident.AdjustScope:
		if c.Include {
			ids = append(ids, c.Merchant)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	known := make(map[string]incident.Recipient, len(ids))
	for _, id := range ids {
		m, err := r.Merchant(id)
		if errors.Is(err, ledger.ErrNotFound) {
			continue // nothing is known of it, and conditions see that
		}
		if err != nil {
			return nil, err
		}
		known[id] = recipientOf(m)
	}
	return known, nil
}

func recipientOf(m ledger.Merchant) incident.Recipient {
	return incident.Recipient{Merchant: m.ID, Country: m.Country, Zone: m.Zone, Language: m.Language, ContractHours: m.ContractHours}
}

// readsDirectory reports whether a command has to be decided with the directory at hand.
func readsDirectory(c incident.Command) bool {
	switch c.(type) {
	case incident.RecordScope, incident.AdjustScope:
		return true
	}
	return false
}

// tellIncidents gives the changed directory to every open incident that has merchants in scope. A
// crash between two of them leaves the others with what they had until the directory is imported
// again, which is harmless to repeat.
func (d *Desk) tellIncidents(ctx context.Context, list []ledger.Merchant) error {
	ctx = asDesk(ctx)
	changed := make(map[string]incident.Recipient, len(list))
	for _, m := range list {
		changed[m.ID] = recipientOf(m)
	}
	rows, err := d.boardRows(ctx, "0", "1", ledger.MaxRows)
	if err != nil {
		return err
	}
	for _, row := range rows {
		s, err := d.Incident(ctx, row.Key)
		if errors.Is(err, errUnreadable) || errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		var c incident.RecordDirectory
		for _, m := range incident.Affected(s) {
			if r, ok := changed[m]; ok {
				c.Merchants = append(c.Merchants, r)
			}
		}
		if len(c.Merchants) == 0 {
			continue
		}
		if _, err := d.Submit(ctx, Request{Incident: s.ID, Command: c, Caller: worker("directory")}); err != nil {
			return fmt.Errorf("desk: directory of %s: %w", s.ID, err)
		}
	}
	return nil
}

// programFor is the policy a command is decided by: the incident's own, or the one it is to be
// moved to.
func (d *Desk) programFor(s *incident.State, c incident.Command) *policy.Program {
	move, ok := c.(incident.MovePolicy)
	if !ok {
		return d.program(s)
	}
	if p := d.programs[move.Policy]; p != nil {
		return p
	}
	return d.current
}
