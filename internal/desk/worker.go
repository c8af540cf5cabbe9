package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/probe"
)

// worker is the principal of the desk's own doers.
func worker(name string) Caller {
	return Caller{Principal: incident.Principal("service:" + name), Name: name, Access: incident.Service}
}

// work is what the runner calls.
func (d *Desk) work(ctx context.Context, job ledger.Job) error {
	d.inFlight.Add(1)
	if err := d.perform(ctx, job); err != nil {
		return err // failed goes on
	}
	d.queued.remove(job.ID)
	if d.backlogDue() {
		nudge(d.wakeHup)
	}
	d.again.forget(job.Chain)
	d.inFlight.Add(-1)
	return nil
}

// failed is what the runner calls when a job that failed has left the queue. Its effect is still
// owed, so the incident is looked at again soon; not before, because the runner would take what is
// queued then for the job that is ending. That is kept in memory alone: after a crash, the next
// start queues everything owed.
func (d *Desk) failed(job ledger.Job) {
	defer d.inFlight.Add(-1)
	d.queued.remove(job.ID)
	if d.life.Err() == nil {
		d.again.later(job.Chain, time.Now())
		nudge(d.wakeHup)
	}
}

// perform carries out one effect: attempt as a fact, then the deed, then the result as a fact. A
// crash before the attempt is durable: the effect is still owed. A crash between attempt and
// result: the next start reports it uncertain. A crash after the result: done.
func (d *Desk) perform(ctx context.Context, job ledger.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.o.Log.Error("a worker panicked", "job", job.ID, "stack", string(debug.Stack()))
			err = fmt.Errorf("desk: the worker of job %s panicked with a %T", job.ID, p)
		}
	}()
	var eff incident.Effect
	if err := json.Unmarshal(job.Args, &eff); err != nil {
		return fmt.Errorf("desk: job %s: %w", job.ID, err)
	}
	s, err := d.stateOf(ctx, eff.Incident)
	if err != nil {
		return err
	}
	if !incident.Owes(s, eff) {
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

// over says that the process is about to end: neither the caller nor the desk goes on.
func (d *Desk) over(ctx context.Context) bool { return ctx.Err() != nil && d.life.Err() != nil }

// errMoved ends a job whose letter was written from a scope that is not the newest any more. Nothing
// has left; the effect is still owed, and the next look writes the letter again.
var errMoved = errors.New("desk: the scope was computed again while the letter was written")

// attempt makes the attempt durable and says whether this worker may act.
func (d *Desk) attempt(ctx context.Context, who Caller, c incident.ReportAttempt) (bool, error) {
	out, err := d.give(ctx, Request{Incident: c.Effect.Incident, Command: c, Caller: who})
	if err == nil {
		if out.Reason == incident.ReasonScopeMoved {
			return false, errMoved
		}
		if out.Reason != incident.ReasonAttempt {
			return false, nil
		}
		d.safe(ctx, c.Effect)
		return true, nil
	}
	if decided(err) {
		return false, err
	}
	// A commit whose answer was an error may have happened all the same. An effect has one job, so
	// an attempt that is there now is this worker's, and if it did not act nobody would.
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		s, failed := d.stateOf(context.WithoutCancel(ctx), c.Effect.Incident)
		if failed == nil {
			mine := slices.ContainsFunc(incident.InFlight(s), func(e incident.Effect) bool { return e.ID == c.Effect.ID })
			if mine {
				return true, nil
			}
			return false, err
		}
		if !d.pause(ctx, wait) {
			return false, err
		}
	}
}

// The waits of a worker that cannot reach the database.
const (
	firstWait = 50 * time.Millisecond
	mostWait  = 5 * time.Second
)

// pause waits, and reports whether there is still somebody to wait for.
func (d *Desk) pause(ctx context.Context, wait time.Duration) bool {
	if d.over(ctx) {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	ended := d.life.Done()
	if d.life.Err() != nil {
		ended = ctx.Done() // a job that is given time to end goes on trying
	}
	select {
	case <-ended:
		return !d.over(ctx)
	case <-timer.C:
		return true
	}
}

// decided says that an error is the engine's last word: the same command would get it again.
func decided(err error) bool {
	var refused *incident.Refusal
	var field *incident.FieldError
	return errors.As(err, &refused) || errors.As(err, &field) || errors.Is(err, ErrReadOnly)
}

// report makes a result durable. It does not give up while the process lives, not even when the
// job's time is up: an effect that happened must not be forgotten because the database was busy.
// When the process dies first, the next start reports the attempt as uncertain.
func (d *Desk) report(ctx context.Context, who Caller, r incident.ReportResult) error {
	if r.At.IsZero() {
		r.At = time.Now().UTC()
	}
	var field *incident.FieldError
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		_, err := d.give(context.WithoutCancel(ctx), Request{Incident: r.Effect.Incident, Command: r, Caller: who})
		switch {
		case err == nil:
			return nil
		case errors.As(err, &field) && !told(r):
			// What the other side answered cannot be kept as it is; that it answered can.
			r.Code, r.Detail, r.Proof = tidy(r.Code), tidy(r.Detail), tidy(r.Proof)
			continue
		case decided(err), errors.Is(err, ledger.ErrReadOnly):
			return err
		}
		d.o.Log.Warn("a result could not be recorded yet", "effect", r.Effect.ID, "error", err)
		if !d.pause(ctx, wait) {
			return err
		}
	}
}

// mostWords is what a result may say, in bytes; the engine takes a little more.
const mostWords = 2000

// told says that a result's words are such that the engine takes them.
func told(r incident.ReportResult) bool {
	return r.Code == tidy(r.Code) && r.Detail == tidy(r.Detail) && r.Proof == tidy(r.Proof)
}

func tidy(s string) string {
	if len(s) > mostWords {
		s = s[:mostWords]
	}
	return strings.ToValidUTF8(s, "?")
}

// guarded calls something that is not ours. When it panics after the attempt was recorded, nobody
// knows what it had done by then: the result is that of crashed, which says uncertain.
func guarded[T any](d *Desk, eff incident.Effect, crashed T, do func() T) (result T) {
	defer func() {
		if recover() != nil {
			d.o.Log.Error("a connector, check or sender panicked", "effect", eff.ID, "stack", string(debug.Stack()))
			result = crashed
		}
	}()
	return do()
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
	if destroyer, ok := connector.(contain.Destroyer); ok && eff.Kind == incident.EffectApply {
		if why := d.keepTraces(ctx, eff.Incident, destroyer, target); why != nil {
			return d.report(ctx, who, incident.ReportResult{Effect: eff, Outcome: incident.Failed, Code: "evidence not kept", Detail: tidy(why.Error())})
		}
	}
	res := guarded(d, eff, contain.Result{Outcome: incident.Uncertain, Code: "panic"}, func() contain.Result {
		switch eff.Kind {
		case incident.EffectApply:
			return connector.Apply(ctx, target, secret, eff.ID)
		case incident.EffectConfirm:
			return connector.Confirm(ctx, target, secret)
		}
		return connector.Undo(ctx, target, eff.ID)
	})
	r := incident.ReportResult{Effect: eff, Outcome: res.Outcome, Code: res.Code, Proof: res.Proof, At: res.At}
	if res.Outcome == incident.Deferred {
		r.Retry = time.Now().UTC().Add(backoff(res.Retry, eff.Attempt))
	}
	return d.report(ctx, who, r)
}

// keepTraces keeps what an action is about to destroy. It comes after the attempt and before the deed: a
// crash in between leaves files that are kept twice under one digest, which is once.
func (d *Desk) keepTraces(ctx context.Context, inc string, destroyer contain.Destroyer, target contain.Target) error {
	traces, err := destroyer.Traces(ctx, target)
	if err != nil {
		return err
	}
	ctx = asDesk(ctx)
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return err
	}
	for _, t := range traces {
		if err := d.attachOnce(ctx, worker("contain"), s, t.Name, t.Note, t.Bytes); err != nil {
			return fmt.Errorf("%s was not kept as evidence, so nothing was written: %w", clipped(t.Name, 200), err)
		}
	}
	return nil
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
	res := guarded(d, eff, probe.Result{Code: "panic", Observed: "the check itself failed"}, func() probe.Result { return c.Run(ctx) })
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
