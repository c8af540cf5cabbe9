package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
)

// Scope answers who is affected, and records nothing. It first waits until everything that was
// acknowledged is in the event log, so that the answer is defined on a checkpoint.
func (d *Desk) Scope(ctx context.Context, q scope.Query) (scope.Result, error) {
	res, err := d.o.Scope(ctx, q, scope.Options{})
	if err != nil {
		return scope.Result{}, invalidQuery(err)
	}
	return res, nil
}

// RecordScope computes a scope and makes it a fact of the incident. The caller gives the query
// alone: nobody can record numbers that the log does not hold.
func (d *Desk) RecordScope(ctx context.Context, id string, who Caller, inc string, q scope.Query, reason string) (Outcome, scope.Result, error) {
	if d.o.ReadOnly {
		return Outcome{}, scope.Result{}, ErrReadOnly
	}
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return Outcome{}, scope.Result{}, err
	}
	req := Request{ID: id, Incident: inc, Command: incident.RecordScope{}, Caller: who, asked: struct {
		Query  scope.Query
		Reason string
	}{q, reason}}
	if out, found, err := d.answered(ctx, req); found || err != nil {
		if err != nil {
			return out, scope.Result{}, err
		}
		res, err := d.scopeAgain(ctx, s, out, q)
		return out, res, err
	}
	res, err := d.Scope(ctx, q)
	if err != nil {
		return Outcome{}, scope.Result{}, err
	}
	text, err := json.Marshal(res.Query)
	if err != nil {
		return Outcome{}, scope.Result{}, err
	}
	req.Command = incident.RecordScope{
		Query: text, Log: res.Log, Size: res.Size, Checkpoint: res.Checkpoint, Digest: res.Digest,
		Events: res.Events, Records: res.Records, Customers: res.Customers, AtLeast: res.AtLeast,
		DataTypes: res.DataTypes, First: res.First, Last: res.Last, Gaps: res.Gaps, Regions: res.Regions, Supplied: res.Supplied, Merchants: res.Rows, Reason: reason,
	}
	out, err := d.Submit(ctx, req)
	if errors.Is(err, ledger.ErrTooLarge) {
		err = fmt.Errorf("%w: query: the scope has %d merchants and does not fit into one fact: ask in parts, such as by day or by address", ErrInvalid, len(res.Rows))
	}
	return out, res, err
}

// scopeAgain computes the scope of a remembered answer on the leaves it was computed on then.
func (d *Desk) scopeAgain(ctx context.Context, s *incident.State, out Outcome, q scope.Query) (scope.Result, error) {
	for _, v := range s.Scopes {
		if slices.ContainsFunc(out.Facts, func(f FactRef) bool { return f.ID == v.Fact }) {
			return d.o.Scope(ctx, q, scope.Options{Size: v.Size, Checkpoint: v.Checkpoint})
		}
	}
	return d.Scope(ctx, q)
}

// invalidQuery marks an error of the query itself, which the caller can mend.
func invalidQuery(err error) error {
	var bad *scope.InvalidError
	if errors.As(err, &bad) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

// Plan asks the connector what an action would do, and records the plan for approval. Nothing has
// been done yet when it returns.
func (d *Desk) Plan(ctx context.Context, id string, who Caller, inc, action string, target map[string]string, secret, reason string) (Outcome, error) {
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return Outcome{}, err
	}
	asked := incident.PlanAction{Action: action, Target: target, Secret: secret, Reason: reason}
	req := Request{ID: id, Incident: inc, Command: asked, Caller: who, asked: asked}
	if out, found, err := d.answered(ctx, req); found || err != nil {
		return out, err
	}
	decl, ok := declOf(d.program(s), action)
	if !ok {
		return Outcome{}, fmt.Errorf("%w: action: the policy has no action %q: it has %s", ErrInvalid, action, actionNames(d.program(s)))
	}
	if d.o.Switches[decl.Uses] {
		return Outcome{}, fmt.Errorf("%w: action: %s is a switch, which acts at once: flip it with tocsin switch flip", ErrInvalid, action)
	}
	connector, ok := d.o.Connectors[decl.Uses]
	if !ok {
		return Outcome{}, fmt.Errorf("%w: action: tocsin.yaml has no connector named %q, which %s uses: add it under connectors", ErrInvalid, decl.Uses, action)
	}
	value, err := d.secret(secret)
	if err != nil {
		return Outcome{}, err
	}
	if target, err = d.pinned(ctx, decl.Uses, target); err != nil {
		return Outcome{}, err
	}
	plan, err := connector.Plan(ctx, target, value)
	if err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	planned := asked
	planned.Target = target
	planned.Steps, planned.Blast, planned.Undo = plan.Steps, plan.Blast, plan.Undo
	req.Command = planned
	return d.Submit(ctx, req)
}

// Checkpoints returns the newest signed checkpoints of both logs.
func (d *Desk) Checkpoints(ctx context.Context) (Checkpoints, error) {
	var c Checkpoints
	facts, n, err := d.o.FactLog.Checkpoint(ctx)
	if err != nil {
		return c, err
	}
	events, m, err := d.o.EventLog.Checkpoint(ctx)
	if err != nil {
		return c, err
	}
	c = Checkpoints{Facts: string(facts), FactsSize: n, Events: string(events), EventsSize: m}
	if len(d.o.Verifiers) == 2 {
		c.FactsKey, c.EventsKey = d.o.Verifiers[0], d.o.Verifiers[1]
	}
	c.FactsAge, c.EventsAge = age(d.o.FactTiles), age(d.o.EventTiles)
	return c, nil
}

// age is how many seconds ago a log's checkpoint was written.
func age(t Tiles) int64 {
	if t == nil {
		return -1
	}
	at, err := t.Published()
	if err != nil {
		return -1
	}
	return max(0, int64(time.Since(at)/time.Second)) // protocol time: a file's own
}

// ProveEvent proves one event of the access log to whoever is given the answer: the event, and its
// leaf as it is stored, in which everything else stays sealed. With since it proves as well that the
// log was not rewritten since a checkpoint of that size.
func (d *Desk) ProveEvent(ctx context.Context, id string, since uint64) ([]byte, error) {
	e, err := d.o.Events.EventByID(ctx, id)
	if errors.Is(err, accesslog.ErrNotFound) {
		return nil, fmt.Errorf("%w: the access log holds no event with this id%s", ErrNotFound, d.goneBefore(ctx))
	}
	if err != nil {
		return nil, err
	}
	_, size, err := d.o.Events.Sealed(ctx)
	if err != nil {
		return nil, err
	}
	if since > size {
		return nil, fmt.Errorf("%w: since: the log has %d leaves, and the checkpoint covers %d", ErrInvalid, size, since)
	}
	key := ""
	if len(d.o.Verifiers) == 2 {
		key = d.o.Verifiers[1]
	}
	return evidence.Prove(ctx, d.o.Prover, d.o.Disclosed, key, e.Seq, since)
}

// LogFile returns a file of one of the two logs, facts or events, by its name in C2SP tlog-tiles.
func (d *Desk) LogFile(log, name string) ([]byte, error) {
	tiles := d.o.FactTiles
	switch log {
	case "facts":
	case "events":
		tiles = d.o.EventTiles
	default:
		return nil, fmt.Errorf("%w: there is a log of facts and one of events", ErrNotFound)
	}
	raw, err := tiles.File(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the log has no such file", ErrNotFound)
	}
	return raw, err
}

// Snapshot records the checkpoint of the evidence as it stands, which gates may ask for before
// anything is rotated.
func (d *Desk) Snapshot(ctx context.Context, id string, who Caller, inc string) (Outcome, error) {
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	req := Request{ID: id, Incident: inc, Command: incident.Snapshot{}, Caller: who, asked: struct{}{}}
	if out, found, err := d.answered(ctx, req); found || err != nil {
		return out, err
	}
	note, size, err := d.o.Events.Sealed(ctx)
	if err != nil {
		return Outcome{}, err
	}
	req.Command = incident.Snapshot{Log: d.o.Events.Origin(), Size: size, Checkpoint: string(note)}
	return d.Submit(ctx, req)
}

// Timeline returns lines of the incident in story order, after the line with the given id.
func (d *Desk) Timeline(ctx context.Context, inc, after string, limit int, sources []string) ([]TimelineLine, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return nil, notFound(err)
	}
	lines, err := d.factLines(ctx, inc)
	if err != nil {
		return nil, err
	}
	if d.o.Events != nil {
		more, err := d.eventLines(ctx, s)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return page(lines, after, limit, sources)
}

func (d *Desk) factLines(ctx context.Context, inc string) ([]TimelineLine, error) {
	rendered, err := d.renderedFacts(ctx, inc)
	lines := make([]TimelineLine, len(rendered))
	for i, l := range rendered {
		lines[i] = TimelineLine{
			ID: l.ID, At: l.At, Recorded: l.Recorded, Source: "fact", Kind: string(l.Kind),
			Principal: string(l.Principal), Text: l.Text, Fact: l.ID,
		}
	}
	return lines, err
}

// renderedFacts puts every fact of an incident into words.
func (d *Desk) renderedFacts(ctx context.Context, inc string) ([]incident.Line, error) {
	var lines []incident.Line
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		for f, err := range d.openedAfter(r, inc, 0, ledger.OpenForLine) {
			if err != nil {
				return err
			}
			lines = append(lines, incident.Render(f))
		}
		return nil
	})
	return lines, err
}

// scopeWindow is the time whose events stand in an incident's timeline: that of its newest scope,
// or the day around its start while there is none.
func scopeWindow(s *incident.State) (from, to time.Time) {
	if n := len(s.Scopes); n > 0 && !s.Scopes[n-1].First.IsZero() {
		return s.Scopes[n-1].First.Add(-time.Hour), s.Scopes[n-1].Last.Add(time.Hour)
	}
	from, to = s.Opened, s.Opened
	if len(s.Signals) > 0 && !slices.ContainsFunc(s.Signals, func(g incident.Signal) bool { return g.Noticed.IsZero() }) {
		from, to = s.Signals[0].From, s.Signals[0].To // all of it is from logs supplied later: it happened then
		for _, g := range s.Signals[1:] {
			if g.From.Before(from) {
				from = g.From
			}
			if g.To.After(to) {
				to = g.To
			}
		}
	}
	return from.Add(-12 * time.Hour), to.Add(12 * time.Hour)
}

func actionNames(p *policy.Program) string {
	var names []string
	for _, a := range p.Actions {
		names = append(names, a.ID)
	}
	return strings.Join(names, ", ")
}

// secret reads a secret of the vault by the name a plan gives; no name is no secret.
func (d *Desk) secret(name string) (contain.Secret, error) {
	if name == "" {
		return contain.Secret{}, nil
	}
	value, err := d.o.Vault.Get(name)
	if errors.Is(err, contain.ErrNoSecret) {
		return contain.Secret{}, fmt.Errorf("%w: secret: nothing is kept under %q: put it first: tocsin secret put %s < FILE", ErrInvalid, name, name)
	}
	return value, err
}
