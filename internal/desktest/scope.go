package desktest

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"

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
