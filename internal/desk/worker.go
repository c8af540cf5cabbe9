package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
)

// worker is the principal of the desk's own doers.
func worker(name string) Caller {
	return Caller{Principal: incident.Principal("service:" + name), Name: name, Access: incident.Service}
}

// work carries out one effect: attempt as a fact, then the deed, then the result as a fact. A
// crash before the attempt is durable: the effect is still owed. A crash between attempt and
// result: the next start reports it uncertain. A crash after the result: done.
func (d *Desk) work(ctx context.Context, job ledger.Job) error {
	var eff incident.Effect
	if err := json.Unmarshal(job.Args, &eff); err != nil {
		return fmt.Errorf("desk: job %s: %w", job.ID, err)
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	s, err := d.Incident(ctx, eff.Incident)
	if err != nil {
		return err
	}
	if !owes(s, eff) {
		return nil // done or withdrawn since it was queued
	}
	switch eff.Kind {
	case incident.EffectSend:
		return d.send(ctx, s, eff)
	case incident.EffectApply, incident.EffectConfirm, incident.EffectUndo:
		return d.act(ctx, s, eff)
	case incident.EffectCheck:
		return d.check(ctx, s, eff)
	case incident.EffectPage:
		return d.page(ctx, s, eff)
	}
	return fmt.Errorf("desk: no worker for effect %q: it stays owed", eff.Kind)
}

func owes(s *incident.State, eff incident.Effect) bool {
	for _, o := range incident.Owed(s) {
		if o.ID == eff.ID {
			return true
		}
	}
	return false
}

// attempt makes the attempt durable and says whether this worker may act.
func (d *Desk) attempt(ctx context.Context, who Caller, c incident.ReportAttempt) (bool, error) {
	out, err := d.Submit(ctx, Request{Incident: c.Effect.Incident, Command: c, Caller: who})
	if err != nil {
		return false, err
	}
	return out.Reason == incident.ReasonAttempt, nil
}

// report makes a result durable. It does not give up while the process lives: an effect that
// happened must not be forgotten because the database was busy. When the process dies first, the
// next start reports the attempt as uncertain.
func (d *Desk) report(ctx context.Context, who Caller, r incident.ReportResult) error {
	if r.At.IsZero() {
		r.At = time.Now().UTC()
	}
	wait := 50 * time.Millisecond
	for {
		_, err := d.Submit(ctx, Request{Incident: r.Effect.Incident, Command: r, Caller: who})
		var refused *incident.Refusal
		if err == nil || errors.As(err, &refused) || ctx.Err() != nil {
			return err
		}
		d.o.Log.Warn("a result could not be recorded yet", "effect", r.Effect.ID, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// act applies, confirms or undoes one action.
func (d *Desk) act(ctx context.Context, s *incident.State, eff incident.Effect) error {
	who := worker("contain")
	a := actionByID(s, eff.Action)
	if a == nil {
		return fmt.Errorf("desk: effect %s names an unknown action", eff.ID)
	}
	connector, ok := d.o.Connectors[a.Uses]
	if ok, err := d.attempt(ctx, who, incident.ReportAttempt{Effect: eff}); err != nil || !ok {
		return err
	}
	if !ok {
		return d.report(ctx, who, incident.ReportResult{Effect: eff, Outcome: incident.Failed, Code: "no connector",
			Detail: "tocsin.yaml has no connector named " + a.Uses})
	}
	var secret contain.Secret
	if a.Secret != "" {
		value, err := d.o.Vault.Get(a.Secret)
		if err != nil {
			return d.report(ctx, who, incident.ReportResult{Effect: eff, Outcome: incident.Failed, Code: "no secret",
				Detail: "the secret " + a.Secret + " of the plan is not in the vault"})
		}
		secret = value
	}
	target := targetOf(a)
	var res contain.Result
	switch eff.Kind {
	case incident.EffectApply:
		res = connector.Apply(ctx, target, secret, eff.ID)
	case incident.EffectConfirm:
		res = connector.Confirm(ctx, target, secret)
	default:
		res = connector.Undo(ctx, target, eff.ID)
	}
	r := incident.ReportResult{Effect: eff, Outcome: res.Outcome, Code: res.Code, Proof: res.Proof, At: res.At}
	if res.Outcome == incident.Deferred {
		r.Retry = time.Now().UTC().Add(backoff(res.Retry, eff.Attempt))
	}
	return d.report(ctx, who, r)
}

// backoff doubles the wait with each attempt, up to five minutes: the other side may be down for
// long, and what could not be found out stays owed.
func backoff(least time.Duration, attempt int) time.Duration {
	const first, most = 200 * time.Millisecond, 5 * time.Minute
	wait := max(least, first)
	for range min(max(attempt-1, 0), 12) {
		wait *= 2
	}
	return min(wait, most)
}

// targetOf is the action's target with the action's own id, which connectors use as the name of
// what they keep between apply and confirm.
func targetOf(a *incident.Action) contain.Target {
	t := contain.Target{"action": a.ID}
	for k, v := range a.Target {
		t[k] = v
	}
	return t
}

func actionByID(s *incident.State, id string) *incident.Action {
	for _, a := range s.Actions {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// check runs one declared recovery check.
func (d *Desk) check(ctx context.Context, s *incident.State, eff incident.Effect) error {
	who := worker("check")
	if ok, err := d.attempt(ctx, who, incident.ReportAttempt{Effect: eff}); err != nil || !ok {
		return err
	}
	c, ok := d.o.Checks[eff.Check]
	if !ok {
		return d.report(ctx, who, incident.ReportResult{Effect: eff, Outcome: incident.Failed, Code: "not configured",
			Proof: "tocsin.yaml has no check named " + eff.Check})
	}
	res := c.Run(ctx)
	outcome := incident.Failed
	if res.Passed {
		outcome = incident.Done
	}
	return d.report(ctx, who, incident.ReportResult{Effect: eff, Outcome: outcome, Code: res.Code, Proof: res.Observed, At: res.At})
}

// declOf finds the policy's declaration of an action, for its words.
func declOf(p *policy.Program, id string) (policy.ActionDecl, bool) {
	for _, a := range p.Actions {
		if a.ID == id {
			return a, true
		}
	}
	return policy.ActionDecl{}, false
}
