package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// errPlanned undoes a transaction that was run to see what it would do.
var errPlanned = errors.New("desk: only the plan was asked for")

// MergeAsk asks for an incident to be taken into another.
type MergeAsk struct {
	Into, From, Reason string
	Dry                bool // record nothing; say in Plan what it would do
	// Versions of both incidents, by id, as the plan that is confirmed gave them: a plan that is stale is
	// refused. Empty: nobody looked at one.
	Versions map[string]int `json:",omitempty"`
}

// staleMerge refuses a merging whose plan is older than what somebody did to one of both, or than a signal of
// one. Clocks and workers go on all the time and change no mind.
func (d *Desk) staleMerge(tx ledger.Tx, ask MergeAsk) (*incident.Refusal, error) {
	if len(ask.Versions) == 0 {
		return nil, nil
	}
	refused := &incident.Refusal{Reason: incident.RefusedStale, Message: "the plan is stale: the incidents moved on after it was made, and nothing was merged"}
	for _, inc := range []string{ask.Into, ask.From} {
		version, ok := ask.Versions[inc]
		if !ok || len(ask.Versions) != 2 || version < 1 {
			return nil, fmt.Errorf("%w: versions: have to be those of %s and %s, as the dry run gave them", ErrInvalid, ask.Into, ask.From)
		}
		head, err := tx.Head(inc)
		if err != nil {
			return nil, err
		}
		if version > head.N {
			return nil, fmt.Errorf("%w: versions: %s has no version %d yet: give those of the dry run", ErrInvalid, inc, version)
		}
		for f, err := range d.factsAfter(tx, inc, version) {
			if err != nil {
				return nil, err
			}
			if !person(f.Principal) && f.Kind != incident.KindSignal && f.Kind != incident.KindScope {
				continue
			}
			line := incident.Render(f)
			refused.Missing = append(refused.Missing, incident.Missing{What: inc + " since then: " + line.Text,
				Do: "look at the plan again: tocsin incident merge " + ask.Into + " " + ask.From + " --dry-run"})
			if len(refused.Missing) == maxSince {
				return refused, nil
			}
		}
	}
	if len(refused.Missing) == 0 {
		return nil, nil
	}
	return refused, nil
}

// Merge takes one incident into another. Both chains get their facts in one transaction: a crash before
// its commit leaves two incidents, and one after it one.
func (d *Desk) Merge(ctx context.Context, id string, who Caller, ask MergeAsk) (Outcome, error) {
	switch {
	case ask.From == ask.Into:
		return Outcome{}, fmt.Errorf("%w: from: is the incident itself: name the other one", ErrInvalid)
	case ask.From == OrgChain || ask.Into == OrgChain || ask.From == "":
		return Outcome{}, fmt.Errorf("%w: there is no incident %q", ErrNotFound, ask.From)
	case strings.TrimSpace(ask.Reason) == "":
		return Outcome{}, fmt.Errorf("%w: reason: must not be empty", ErrInvalid)
	}
	req := Request{ID: id, Incident: ask.Into, Command: incident.Merge{}, Caller: who, asked: ask}
	return d.planned(ctx, req, ask.Dry, func(tx ledger.Tx, now time.Time) (Outcome, *incident.Refusal, error) {
		a, err := d.visible(tx, ask.Into, who)
		if err != nil {
			return Outcome{}, nil, err
		}
		b, err := d.visible(tx, ask.From, who)
		if err != nil {
			return Outcome{}, nil, err
		}
		if stale, err := d.staleMerge(tx, ask); err != nil || stale != nil {
			return Outcome{}, stale, err
		}
		seen := map[string]int{a.ID: a.Version, b.ID: b.Version}
		give := func(chain string, c incident.Command) (Outcome, *incident.Refusal, error) {
			return d.decide(tx, Request{Incident: chain, Command: c, Caller: who}, now, nil)
		}
		c := incident.Merge{From: ask.From, Reason: ask.Reason, Other: b}
		p := d.program(a)
		// What stands in the way is said before anything is decided about either.
		if _, err := incident.Decide(p, a, c, d.contextOf(who, now)); err != nil {
			if refused := (*incident.Refusal)(nil); errors.As(err, &refused) {
				return Outcome{}, refused, nil
			}
			return Outcome{}, nil, err
		}
		var plan []string
		_, mine := a.Milestones["confirmed"]
		_, its := b.Milestones["confirmed"]
		if mine != its { // whoever merges them decides that both are the incident
			chain, why := a.ID, b.ID+" is confirmed, and is a part of it"
			if mine {
				chain, why = b.ID, "it is a part of "+a.ID+", which is confirmed"
			}
			if _, refused, err := give(chain, incident.Confirm{Reason: why}); err != nil || refused != nil {
				return Outcome{}, refused, err
			}
			plan = append(plan, chain+" is confirmed by it, now")
			if b, err = d.read(tx, ask.From); err != nil {
				return Outcome{}, nil, err
			}
		}
		head, err := tx.Head(ask.From)
		if err != nil {
			return Outcome{}, nil, err
		}
		c.Other, c.Hash = b, ledger.HashText(head.Hash)
		out, refused, err := give(ask.Into, c)
		if err != nil || refused != nil {
			return out, refused, err
		}
		if len(out.Facts) == 0 {
			return out, nil, nil // merged before
		}
		if _, refused, err := give(ask.From, incident.EndMerged{Into: ask.Into, Reason: ask.Reason}); err != nil || refused != nil {
			return Outcome{}, refused, err
		}
		if ask.Dry {
			after, err := d.read(tx, ask.Into)
			if err != nil {
				return Outcome{}, nil, err
			}
			out.Plan, out.Versions = append(plan, incident.MergePlan(p, a, b, after)...), seen
		}
		return out, nil, nil
	})
}

// SplitAsk asks for signals of an incident to become one of their own.
type SplitAsk struct {
	Of      string
	Signals []string
	Title   string
	Class   string // "": that of the first incident
	Reason  string
	Dry     bool
}

// Split opens an incident with signals of another, in one transaction with their leaving it.
func (d *Desk) Split(ctx context.Context, id string, who Caller, ask SplitAsk) (Outcome, error) {
	if ask.Of == OrgChain || ask.Of == "" {
		return Outcome{}, fmt.Errorf("%w: there is no incident %q", ErrNotFound, ask.Of)
	}
	if strings.TrimSpace(ask.Reason) == "" {
		return Outcome{}, fmt.Errorf("%w: reason: must not be empty", ErrInvalid)
	}
	ask.Signals = slices.Compact(slices.Sorted(slices.Values(ask.Signals)))
	req := Request{ID: id, Incident: ask.Of, Command: incident.SplitOff{}, Caller: who, asked: ask}
	return d.planned(ctx, req, ask.Dry, func(tx ledger.Tx, now time.Time) (Outcome, *incident.Refusal, error) {
		s, err := d.visible(tx, ask.Of, who)
		if err != nil {
			return Outcome{}, nil, err
		}
		head, err := tx.Head(ask.Of)
		if err != nil {
			return Outcome{}, nil, err
		}
		// The first incident is asked first, about an id that is not given yet: what it refuses leaves no number unused.
		c := incident.SplitOff{Into: "INC-0", Signals: ask.Signals, Reason: ask.Reason}
		if _, err := incident.Decide(d.program(s), s, c, d.contextOf(who, now)); err != nil {
			if refused := (*incident.Refusal)(nil); errors.As(err, &refused) {
				return Outcome{}, refused, nil
			}
			return Outcome{}, nil, err
		}
		open := incident.Open{Title: ask.Title, Class: ask.Class, Apps: s.Apps, Severity: s.Severity,
			Split: &incident.Split{Of: s, Hash: ledger.HashText(head.Hash), Signals: ask.Signals, Reason: ask.Reason}}
		if open.Class == "" {
			open.Class = s.Class
		}
		if open.Title == "" {
			open.Title = s.Title
		}
		if s.Private != nil { // who may know of the one may know of the other
			open.Private, open.About = true, s.Private.About
			for _, r := range s.Private.Readers {
				open.Readers = append(open.Readers, r.Person)
			}
		}
		made, refused, err := d.openNext(tx, who, open, now, nil)
		if err != nil || refused != nil {
			return made, refused, err
		}
		c.Into = made.Incident
		if _, refused, err := d.decide(tx, Request{Incident: ask.Of, Command: c, Caller: who}, now, nil); err != nil || refused != nil {
			return Outcome{}, refused, err
		}
		if ask.Dry {
			fresh, err := d.read(tx, made.Incident)
			if err != nil {
				return Outcome{}, nil, err
			}
			made.Plan = incident.SplitPlan(d.program(fresh), s, fresh)
		}
		return made, nil, nil
	})
}

// planned is together, or the same run and undone when only its plan is asked for.
func (d *Desk) planned(ctx context.Context, req Request, dry bool, run func(tx ledger.Tx, now time.Time) (Outcome, *incident.Refusal, error)) (Outcome, error) {
	if !dry {
		return d.together(ctx, req, run)
	}
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	var out Outcome
	var refused *incident.Refusal
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) (err error) {
		if out, refused, err = run(tx, d.o.Clock.Now()); err != nil {
			return err
		}
		return errPlanned
	})
	switch {
	case err != nil && !errors.Is(err, errPlanned):
		return Outcome{}, notFound(err)
	case refused != nil:
		return Outcome{}, refused
	}
	return Outcome{Incident: req.Incident, Reason: out.Reason, Facts: []FactRef{}, DryRun: true, Plan: out.Plan, Versions: out.Versions}, nil
}

// visible reads an incident in a transaction; one that the caller may not know of is not there.
func (d *Desk) visible(r ledger.Reader, id string, who Caller) (*incident.State, error) {
	s, err := d.read(r, id)
	if err == nil && !incident.Sees(s, who.Principal, who.Access) {
		err = ledger.ErrNotFound
	}
	return s, err
}

func (d *Desk) contextOf(who Caller, now time.Time) incident.Context {
	return incident.Context{
		Now: now, Actor: incident.Actor{Principal: who.Principal, Roles: who.Roles, Access: who.Access}, Env: d.o.Env,
		Versions: incident.Versions{Policy: d.current.Hash, Engine: EngineVersion, TZData: tzVersion()},
	}
}

// leadsTo follows an incident that was merged to the one that goes on.
func (d *Desk) leadsTo(r ledger.Reader, s *incident.State) (*incident.State, error) {
	for range 1000 { // a merging is no circle; the bound is for a database that says otherwise
		next := incident.Into(s)
		if next == "" {
			return s, nil
		}
		var err error
		if s, err = d.read(r, next); err != nil {
			return nil, err
		}
	}
	return s, nil
}
