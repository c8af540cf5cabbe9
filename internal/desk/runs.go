package desk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
)

// The states of a run.
const (
	RunRunning   = "running"
	RunDone      = "done"
	RunFailed    = "failed"
	RunCancelled = "cancelled"
)

// ScopeRun is a scope that is being computed, or was a while ago. It is no fact: a run that the end of
// the server cuts off is gone, and is asked again. Times are protocol time.
type ScopeRun struct {
	ID       string             `json:"id"`
	State    string             `json:"state" enum:"running,done,failed,cancelled"`
	By       incident.Principal `json:"by"`
	Incident string             `json:"incident,omitempty"` // where it is recorded when it is done; "" is nowhere
	Query    scope.Query        `json:"query"`
	Began    time.Time          `json:"began"`
	Took     float64            `json:"took_seconds"` // so far, or in all
	Progress ask.Progress       `json:"progress"`
	Says     string             `json:"says,omitempty"`   // why it failed
	Result   *scope.Result      `json:"result,omitempty"` // when it is done
	Outcome  *Outcome           `json:"outcome,omitempty"`

	Err error `json:"-"` // why it failed
}

// Limits of runs.
const (
	maxRunning = 8                // at a time; the columns answer one after the other
	maxEnded   = 8                // kept with their results
	keepRun    = 30 * time.Minute // protocol time
)

// runs are the scopes that are computed without anybody holding a connection open for them.
type runs struct {
	mu   sync.Mutex
	list []*job // oldest first
}

type job struct {
	now     ScopeRun
	ended   time.Time // zero while it runs
	cancel  context.CancelFunc
	changed chan struct{} // closed when now changes, and replaced
}

// StartScope begins to compute a scope and returns at once. With an incident the result is recorded
// there when it is done; key is then the idempotency key of that. The run goes on when the caller goes
// away; it ends with CancelScope or with the server.
func (d *Desk) StartScope(ctx context.Context, key string, who Caller, q scope.Query, inc, reason string) (ScopeRun, error) {
	normal, err := q.Normal()
	if err == nil {
		err = scope.Known(normal)
	}
	if err != nil {
		return ScopeRun{}, invalidQuery(err)
	}
	if inc != "" {
		if d.o.ReadOnly {
			return ScopeRun{}, ErrReadOnly
		}
		if _, err := d.Incident(ctx, inc); err != nil {
			return ScopeRun{}, err
		}
	}
	life, cancel := context.WithCancel(d.life)
	r := &job{cancel: cancel, changed: make(chan struct{})}
	r.now = ScopeRun{ID: "run-" + rand.Text(), State: RunRunning, By: who.Principal, Incident: inc, Query: normal, Began: time.Now().UTC(), Progress: ask.Progress{What: "begins"}}
	if !d.runs.add(r) {
		cancel()
		return ScopeRun{}, ErrBusy
	}
	life = ask.Report(life, func(p ask.Progress) { d.runs.change(r, func(now *ScopeRun) { now.Progress = p }) })
	d.done.Go(func() {
		defer cancel()
		var res scope.Result
		var out *Outcome
		var err error
		if inc == "" {
			res, err = d.Scope(life, q)
		} else {
			var o Outcome
			o, res, err = d.RecordScope(life, key, who, inc, q, reason)
			out = &o
		}
		d.runs.end(r, func(now *ScopeRun) {
			switch {
			case err == nil:
				now.State, now.Result, now.Outcome = RunDone, &res, out
			case life.Err() != nil || errors.Is(err, context.Canceled):
				now.State = RunCancelled
			default:
				now.State, now.Err = RunFailed, err
			}
		})
	})
	return d.runs.see(r), nil
}

// runOf finds a run. One of a private incident is there for the people on its list alone.
func (d *Desk) runOf(ctx context.Context, id string) (*job, error) {
	r, err := d.runs.find(id)
	if err != nil {
		return nil, err
	}
	if inc := d.runs.see(r).Incident; inc != "" {
		if _, err := d.Incident(ctx, inc); errors.Is(err, ErrNotFound) {
			return nil, errNoRun
		} else if err != nil {
			return nil, err
		}
	}
	return r, nil
}

var errNoRun = fmt.Errorf("%w: there is no such run, or it is forgotten: ask again", ErrNotFound)

// ScopeRun is a run as it stands.
func (d *Desk) ScopeRun(ctx context.Context, id string) (ScopeRun, error) {
	r, err := d.runOf(ctx, id)
	if err != nil {
		return ScopeRun{}, err
	}
	return d.runs.see(r), nil
}

// FollowScope calls fn with a run as it stands, and again after every change, until it has ended or ctx
// has. An error of fn ends it and is returned.
func (d *Desk) FollowScope(ctx context.Context, id string, fn func(ScopeRun) error) error {
	r, err := d.runOf(ctx, id)
	if err != nil {
		return err
	}
	for {
		d.runs.mu.Lock()
		changed := r.changed
		d.runs.mu.Unlock()
		now := d.runs.see(r)
		if err := fn(now); err != nil || now.State != RunRunning {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// AwaitScope waits until a run has ended, at most so long, and returns it as it stands then.
func (d *Desk) AwaitScope(ctx context.Context, id string, most time.Duration) (ScopeRun, error) {
	soon, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	var last ScopeRun
	err := d.FollowScope(soon, id, func(r ScopeRun) error { last = r; return nil })
	if err != nil && ctx.Err() == nil && soon.Err() != nil {
		err = nil
	}
	return last, err
}

// CancelScope ends a run: the child that counts for it is killed, and what it had written beside its
// memory goes. Whoever began a run may do that, and every owner. A run that has ended stays as it is.
func (d *Desk) CancelScope(ctx context.Context, who Caller, id string) error {
	r, err := d.runOf(ctx, id)
	if err != nil {
		return err
	}
	if now := d.runs.see(r); now.By != who.Principal && who.Access != incident.Owner {
		return fmt.Errorf("the run was begun by somebody else, and only they or an owner end it: %w", ErrForbidden)
	}
	r.cancel()
	return nil
}

// add takes a run in, and forgets old ones; false when there are too many.
func (rs *runs) add(r *job) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	running, ended := 0, 0
	for _, x := range slices.Backward(rs.list) {
		if x.ended.IsZero() {
			running++
		} else {
			ended++
		}
	}
	if running >= maxRunning {
		return false
	}
	rs.list = slices.DeleteFunc(rs.list, func(x *job) bool {
		old := !x.ended.IsZero() && (ended >= maxEnded || time.Since(x.ended) > keepRun)
		if old {
			ended--
		}
		return old
	})
	rs.list = append(rs.list, r)
	return true
}

func (rs *runs) find(id string) (*job, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.list {
		if r.now.ID == id {
			return r, nil
		}
	}
	return nil, errNoRun
}

func (rs *runs) see(r *job) ScopeRun {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := r.now
	end := r.ended
	if end.IsZero() {
		end = time.Now()
	}
	now.Took = end.Sub(now.Began).Round(10 * time.Millisecond).Seconds()
	return now
}

func (rs *runs) change(r *job, fn func(*ScopeRun)) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	fn(&r.now)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (rs *runs) end(r *job, fn func(*ScopeRun)) {
	rs.change(r, func(now *ScopeRun) {
		fn(now)
		r.ended = time.Now()
	})
}

// cancel ends every run.
func (rs *runs) cancel() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.list {
		r.cancel()
	}
}
