package desktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

func (d *Desk) PolicyProgram(context.Context) *policy.Program { return d.Program }

func (d *Desk) PolicyBefore(context.Context) (*policy.Program, time.Time, error) {
	return d.Before, d.Since, nil
}

func (d *Desk) Org(context.Context) (*org.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.org, nil
}

func (d *Desk) SubmitOrg(_ context.Context, id string, by desk.Caller, c org.Command) (org.Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if out, ok := d.answers[id]; ok && id != "" {
		out.Replayed = true
		return out, nil
	}
	decision, err := org.Decide(d.org, c, incident.Context{Now: d.Now, Env: "drill", Actor: incident.Actor{Principal: by.Principal, Access: by.Access, Roles: by.Roles}})
	if err != nil {
		return org.Outcome{}, err
	}
	for _, f := range decision.Facts {
		d.facts++
		f.ID = fmt.Sprintf("01J%08d", d.facts)
		if d.org, err = org.Fold(d.org, f); err != nil {
			return org.Outcome{}, err
		}
	}
	out := org.Outcome{Reason: decision.Reason, Version: d.org.Version, Fact: d.org.Head}
	if id != "" {
		d.answers[id] = out
	}
	return out, nil
}

// Uses says that everything was used an hour ago.
func (d *Desk) Uses() (since time.Time, last map[string]time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last = map[string]time.Time{}
	for _, t := range d.org.Tokens {
		last[t.ID] = d.Now.Add(-time.Hour)
	}
	return d.Now.Add(-24 * time.Hour), last
}

func (d *Desk) Authenticate(_ context.Context, bearer string) (desk.Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hash := org.Hash(bearer)
	if k, err := d.org.MachineKey(hash); err == nil {
		return desk.Identity{Key: &desk.Key{ID: k.ID, Purpose: k.Purpose, Source: k.Source, App: k.App}}, nil
	}
	p, t, err := d.org.Bearer(hash, d.Now)
	if err != nil {
		return desk.Identity{}, errors.Join(desk.ErrUnauthenticated, err)
	}
	return desk.Identity{Person: &desk.Caller{Principal: p.Principal(), Name: p.Name, Access: p.Access, Roles: p.Roles, Token: t.ID}}, nil
}

// Erase orders what is asked for and erases nothing: the list has it afterwards.
func (d *Desk) Erase(_ context.Context, _ string, by desk.Caller, e desk.Erasure) (desk.ErasureTaken, error) {
	row := desk.ErasureRow{ID: fmt.Sprintf("ERS-%d", len(d.Erased)+1), Merchant: e.Merchant, All: e.All, Names: len(e.People) + len(e.Known), At: d.Now, By: by.Principal, Basis: e.Basis, Reason: e.Reason, Fact: "01J0000000000000000000ERAS"}
	d.Erased = append(d.Erased, row)
	return desk.ErasureTaken{Outcome: org.Outcome{Reason: org.ErasureTaken, Fact: row.Fact}, Erasure: row.ID, People: len(e.People)}, nil
}

// PlanErasure takes each name for a pseudonym of its own, and says that three events are concerned. It is
// refused while Holding names holds.
func (d *Desk) PlanErasure(_ context.Context, by desk.Caller, e desk.Erasure) (desk.ErasurePlan, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := desk.ErasurePlan{Merchant: e.Merchant, All: e.All, People: len(e.People), Names: len(e.People), Events: 3, Whole: 2}
	for i := range e.People {
		out.Customers = append(out.Customers, fmt.Sprintf("%032x", i+1))
	}
	c := org.OrderErasure{Merchant: e.Merchant, All: e.All, Customers: out.Customers, Basis: e.Basis, Reason: e.Reason, Held: d.Holding}
	_, err := org.Decide(d.org, c, incident.Context{Now: d.Now, Env: "drill", Actor: incident.Actor{Principal: by.Principal, Access: by.Access, Roles: by.Roles}})
	var refused *incident.Refusal
	if errors.As(err, &refused) && refused.Reason == org.UnderHold {
		out.Holds = refused.Missing
		return out, nil
	}
	plan := org.PlanErasure(d.org, c, d.Now)
	out.Plan, out.Until = plan.String(), plan.At.Add(org.PlanLasts)
	return out, err
}

// Erasures lists what Erase was given, newest first.
func (d *Desk) Erasures(context.Context) (desk.Erasures, error) {
	out := desk.Erasures{Erasures: []desk.ErasureRow{}}
	for _, row := range slices.Backward(d.Erased) {
		out.Erasures = append(out.Erasures, row)
	}
	return out, nil
}
