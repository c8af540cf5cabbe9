package desktest

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/scope"
)

func (d *Desk) Scope(_ context.Context, q scope.Query) (scope.Result, error) {
	r := d.Result
	r.Query = q
	return r, nil
}

func (d *Desk) RecordScope(ctx context.Context, id string, by desk.Caller, inc string, q scope.Query, reason string) (desk.Outcome, scope.Result, error) {
	out, err := d.Submit(ctx, desk.Request{ID: id, Incident: inc, Caller: by, Command: incident.RecordScope{Reason: reason}})
	r := d.Result
	r.Query = q
	return out, r, err
}

// CompareScope says that nothing is known of before.
func (d *Desk) CompareScope(_ context.Context, q scope.Query) (scope.Comparison, error) {
	return d.Comparison, nil
}

// MatchScope says that every line of the list is affected.
func (d *Desk) MatchScope(_ context.Context, inc string, version int, list io.Reader) (scope.Matched, error) {
	if version > 1 {
		return scope.Matched{}, fmt.Errorf("%w: version: %s has 1 recorded scopes", desk.ErrInvalid, inc)
	}
	rows, err := csv.NewReader(list).ReadAll()
	if err != nil {
		return scope.Matched{}, fmt.Errorf("%w: line 1: no CSV header", desk.ErrInvalid)
	}
	m := scope.Matched{Regions: []scope.Region{}, Hits: []int64{}}
	for n := range rows[1:] {
		m.Lines, m.Affected, m.People, m.Hits = m.Lines+1, m.Affected+1, m.People+1, append(m.Hits, int64(n+2))
	}
	m.Customers = m.People
	return m, nil
}

// MatchLines is MatchScope, and gives back the whole list.
func (d *Desk) MatchLines(ctx context.Context, inc string, version int, list io.Reader, out io.Writer) (scope.Matched, error) {
	return d.MatchScope(ctx, inc, version, io.TeeReader(list, out))
}

// StartScope says that it is done at once.
func (d *Desk) StartScope(ctx context.Context, id string, by desk.Caller, q scope.Query, inc, reason string) (desk.ScopeRun, error) {
	r := d.Result
	r.Query = q
	run := desk.ScopeRun{ID: "run-1", State: desk.RunDone, By: by.Principal, Incident: inc, Query: q, Result: &r}
	if inc != "" {
		out, _, err := d.RecordScope(ctx, id, by, inc, q, reason)
		if err != nil {
			return run, err
		}
		run.Outcome = &out
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Run = &run
	return run, nil
}

// ScopeRun is the run that was begun last.
func (d *Desk) ScopeRun(_ context.Context, id string) (desk.ScopeRun, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Run == nil || id != d.Run.ID {
		return desk.ScopeRun{}, desk.ErrNotFound
	}
	return *d.Run, nil
}

// FollowScope shows the run once.
func (d *Desk) FollowScope(ctx context.Context, id string, fn func(desk.ScopeRun) error) error {
	run, err := d.ScopeRun(ctx, id)
	if err != nil {
		return err
	}
	return fn(run)
}

// AwaitScope is ScopeRun: nothing takes time here.
func (d *Desk) AwaitScope(ctx context.Context, id string, _ time.Duration) (desk.ScopeRun, error) {
	return d.ScopeRun(ctx, id)
}

// CancelScope cancels the run.
func (d *Desk) CancelScope(ctx context.Context, _ desk.Caller, id string) error {
	if _, err := d.ScopeRun(ctx, id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Run.State, d.Run.Result = desk.RunCancelled, nil
	return nil
}

// ScopeRecord is the canned result as version 1.
func (d *Desk) ScopeRecord(ctx context.Context, inc string, version int) (desk.ScopeRecord, error) {
	if _, err := d.Incident(ctx, inc); err != nil {
		return desk.ScopeRecord{}, err
	}
	if version > 1 {
		return desk.ScopeRecord{}, fmt.Errorf("%w: version: %s has 1 recorded scopes", desk.ErrInvalid, inc)
	}
	query, err := json.Marshal(d.Result.Query)
	return desk.ScopeRecord{Version: incident.ScopeVersion{N: 1, Query: query, Digest: d.Result.Digest, Supplied: d.Result.Supplied}, Rows: d.Result.Rows}, err
}

// ScopeDiff says that nothing changed.
func (d *Desk) ScopeDiff(ctx context.Context, inc string, from, to int) (desk.ScopeDiff, error) {
	rec, err := d.ScopeRecord(ctx, inc, to)
	return desk.ScopeDiff{From: rec.Version, To: rec.Version, Same: len(rec.Rows)}, err
}

// Entries are the canned lines. A page ends where its limit is.
func (d *Desk) Entries(ctx context.Context, inc string, q desk.EntryQuery) (desk.EntryPage, error) {
	page := desk.EntryPage{Entries: []desk.Entry{}}
	if _, err := d.Incident(ctx, inc); err != nil {
		return page, err
	}
	begin, _ := strconv.Atoi(q.After)
	for i, l := range d.Lines[inc] {
		if i >= begin && (len(q.Sources) == 0 || slices.Contains(q.Sources, l.Source)) {
			if q.Limit > 0 && len(page.Entries) == q.Limit {
				page.Next = strconv.Itoa(i)
				break
			}
			page.Entries = append(page.Entries, desk.Entry{TimelineLine: l, From: fmt.Sprint(i)})
		}
	}
	return page, nil
}
