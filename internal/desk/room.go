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

func person(p incident.Principal) bool { return strings.HasPrefix(string(p), "person:") }

// errTogether undoes a transaction whose parts have to happen together, because one was refused.
var errTogether = errors.New("desk: refused together")

// together runs several commands, to several incidents, in one transaction: all of them or none. The
// key is remembered for the first.
func (d *Desk) together(ctx context.Context, req Request, run func(tx ledger.Tx, now time.Time) (Outcome, *incident.Refusal, error)) (Outcome, error) {
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	var out Outcome
	var refused *incident.Refusal
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		out, refused = Outcome{}, nil
		memo, err := replay(tx, req)
		if err != nil {
			return err
		}
		if memo != nil {
			out = memo.Outcome
			out.Replayed = true
			return nil
		}
		now := d.o.Clock.Now()
		if out, refused, err = run(tx, now); err != nil {
			return err
		}
		if refused != nil {
			return errTogether
		}
		return d.remember(tx, req, now, out, nil)
	})
	if refused != nil {
		return Outcome{}, refused
	}
	return out, notFound(err)
}

// LinkSignal links a signal of another incident, or one that was taken out of it, to an incident. A
// signal belongs to one incident: where it was linked it is taken out in the same transaction.
func (d *Desk) LinkSignal(ctx context.Context, id string, who Caller, inc, signal, from, reason string) (Outcome, error) {
	asked := [3]string{signal, from, reason}
	req := Request{ID: id, Incident: inc, Command: incident.AddSignal{}, Caller: who, asked: asked}
	if from == inc || from == OrgChain || inc == OrgChain || from == "" {
		return Outcome{}, fmt.Errorf("%w: from: name the other incident that has or had the signal", ErrInvalid)
	}
	if strings.TrimSpace(reason) == "" {
		return Outcome{}, fmt.Errorf("%w: reason: must not be empty", ErrInvalid)
	}
	return d.together(ctx, req, func(tx ledger.Tx, now time.Time) (Outcome, *incident.Refusal, error) {
		s, err := d.read(tx, from)
		if err != nil {
			return Outcome{}, nil, err
		}
		if !incident.Sees(s, who.Principal, who.Access) {
			return Outcome{}, nil, ledger.ErrNotFound
		}
		to := inc
		if into, err := d.read(tx, inc); err == nil && into.Private != nil {
			to = "" // the incident it leaves does not name one that its readers may not know of
		}
		if i := slices.IndexFunc(s.Signals, func(g incident.Signal) bool { return g.ID == signal }); i >= 0 {
			found := s.Signals[i]
			out := Request{Incident: from, Command: incident.UnlinkSignal{Signal: signal, To: to, Reason: reason}, Caller: who}
			if _, refused, err := d.decide(tx, out, now, nil); err != nil || refused != nil {
				return Outcome{}, refused, err
			}
			return d.decide(tx, Request{Incident: inc, Command: incident.AddSignal{Signal: found, Of: from}, Caller: who}, now, nil)
		}
		for _, u := range slices.Backward(s.Unlinked) {
			if u.ID != signal {
				continue
			}
			if u.To != "" && u.To != inc {
				return Outcome{}, &incident.Refusal{Reason: incident.RefusedState, Message: "the signal went to " + u.To,
					Missing: []incident.Missing{{What: "the incident that has the signal", Do: fmt.Sprintf("link it from there: tocsin incident link-signal %s %s --from %s --reason …", inc, signal, u.To)}}}, nil
			}
			return d.decide(tx, Request{Incident: inc, Command: incident.AddSignal{Signal: u.Signal, Of: from}, Caller: who}, now, nil)
		}
		return Outcome{}, &incident.Refusal{Reason: incident.RefusedUnknown, Message: from + " has and had no such signal",
			Missing: []incident.Missing{{What: "the id of a signal of " + from, Do: "see which there are: tocsin incident show " + from}}}, nil
	})
}
