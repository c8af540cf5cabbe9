package desk

import (
	"context"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// Foreseen is what a command would lead to if it were given now.
type Foreseen struct {
	Reason incident.Reason `json:"reason"`
	Says   []string        `json:"says"` // one sentence each; none: no clock moves
	Moves  []incident.Move `json:"moves,omitempty"`
}

// Foresee decides a command as Submit would, and records nothing. What is refused is refused here
// too, so that nobody is shown the plan of what they may not do.
func (d *Desk) Foresee(ctx context.Context, req Request) (Foreseen, error) {
	var before *incident.State
	var head ledger.Head
	err := d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		if before, err = d.read(r, req.Incident); err != nil {
			return err
		}
		if !incident.Sees(before, req.Caller.Principal, req.Caller.Access) {
			return ledger.ErrNotFound
		}
		head, err = r.Head(req.Incident)
		return err
	})
	if err != nil {
		return Foreseen{}, notFound(err)
	}
	pl, err := d.plan(req, before, head, d.o.Clock.Now())
	if err != nil {
		return Foreseen{}, err
	}
	if pl.refused != nil {
		return Foreseen{}, pl.refused
	}
	out := Foreseen{Reason: pl.outcome.Reason, Says: []string{}}
	if pl.state == nil {
		return out, nil
	}
	p := d.program(before)
	out.Moves = incident.Moves(p, before, pl.state)
	for _, m := range out.Moves {
		out.Says = append(out.Says, m.Says(p.Zone))
	}
	return out, nil
}

// maxSince bounds how many facts a form that is old is shown.
const maxSince = 50

// Meanwhile lists what other people did to an incident after a version of it, oldest first: what
// somebody who looked at that version has not seen. Clocks and workers are left out, as they go on
// all the time and change no mind.
func (d *Desk) Meanwhile(ctx context.Context, inc string, version int, who Caller) (lines []incident.Line, err error) {
	if _, err := d.Incident(ctx, inc); err != nil {
		return nil, notFound(err)
	}
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		for f, err := range d.openedAfter(r, inc, version, ledger.OpenForLine) {
			if err != nil {
				return err
			}
			if person(f.Principal) && f.Principal != who.Principal {
				lines = append(lines, incident.Render(f))
			}
			if len(lines) == maxSince {
				break
			}
		}
		return nil
	})
	return lines, notFound(err)
}
