package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/scope"
)

// exportScopes gives an incident's scopes as an export shows them: computed again on the leaves they
// were computed on, and as their facts have them where days were removed on which some of their events
// came. With them come the facts about these days.
func (d *Desk) exportScopes(ctx context.Context, s *incident.State) ([]scope.Result, evidence.Removed, error) {
	var out []scope.Result
	for _, v := range s.Scopes {
		var q scope.Query
		if err := json.Unmarshal(v.Query, &q); err != nil {
			return nil, evidence.Removed{}, fmt.Errorf("desk: scope %d of %s: %w", v.N, s.ID, err)
		}
		// Its digest is what the fact recorded.
		res, err := d.o.Scope(ctx, q, scope.Options{Size: v.Size, Checkpoint: v.Checkpoint})
		if err != nil {
			return nil, evidence.Removed{}, fmt.Errorf("desk: scope %d of %s: %w", v.N, s.ID, err)
		}
		out = append(out, res)
	}
	// The facts are looked for after counting: what was not counted because its day went is in them.
	removed, days, err := d.removedFor(ctx, out)
	if err != nil {
		return nil, removed, err
	}
	for i, v := range s.Scopes {
		if !slices.ContainsFunc(days, func(e *org.Epoch) bool { return mayHold(e, &out[i]) }) {
			continue
		}
		if out[i], err = d.scopeOfFact(ctx, s, v); err != nil {
			return nil, removed, err
		}
	}
	return out, removed, nil
}

// scopeOfFact is a scope as its fact records it. The digest in the fact is over its rows, so that they
// are whole.
func (d *Desk) scopeOfFact(ctx context.Context, s *incident.State, v incident.ScopeVersion) (scope.Result, error) {
	rec, err := d.ScopeRecord(ctx, s.ID, v.N)
	if err != nil {
		return scope.Result{}, err
	}
	res, err := rec.Result()
	if err != nil {
		return res, err
	}
	if res.Rows == nil {
		res.Rows = []incident.Exposure{}
	}
	digest, err := scope.Digest(res.Query, res.Size, res.Rows)
	if err == nil && digest != v.Digest {
		err = fmt.Errorf("%w: scope %d of %s cannot be shown: events that it counted were removed with their days, and some merchants of its fact can no longer be opened: what was exported before still proves it", ErrInvalid, v.N, s.ID)
	}
	return res, err
}

// maxAhead is how far an event's own time may be after the time at which it came: one that claims more
// is logged under that.
const maxAhead = 5 * time.Minute

// mayHold says whether events that a scope counts may have come on a removed day: it has leaves that the
// scope is defined on, and was not over before the window began.
func mayHold(e *org.Epoch, res *scope.Result) bool {
	day, err := time.Parse(time.DateOnly, e.Day)
	if err != nil || e.Pruned == nil || !res.Query.From.IsZero() && !day.AddDate(0, 0, 1).After(res.Query.From.Add(-maxAhead)) {
		return false
	}
	return slices.ContainsFunc(e.Pruned.Stretches, func(x org.Stretch) bool { return x.Leaf < res.Size })
}

// removedFor finds the removed days on which events of scopes may have come, with their facts.
func (d *Desk) removedFor(ctx context.Context, scopes []scope.Result) (out evidence.Removed, days []*org.Epoch, err error) {
	state, err := d.Org(ctx)
	if err != nil {
		return out, nil, err
	}
	wanted := map[string]bool{}
	for _, e := range state.Days() {
		if slices.ContainsFunc(scopes, func(res scope.Result) bool { return mayHold(e, &res) }) {
			days = append(days, e)
			wanted[e.Fact], wanted[e.Pruned.Fact] = true, true
			for _, x := range e.Pruned.Stretches {
				out.Positions = append(out.Positions, [2]int64{int64(x.First), int64(x.Last)})
			}
		}
	}
	if len(days) == 0 {
		return out, nil, nil
	}
	slices.SortFunc(out.Positions, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	if err := d.anchorAll(ctx); err != nil { // no day is left out of an export for being new
		return out, nil, err
	}
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		for n := 0; ; {
			records, err := r.Records(OrgChain, n, 500)
			if err != nil || len(records) == 0 {
				return err
			}
			for _, rec := range records {
				n = rec.N
				if !wanted[rec.ID] {
					continue
				}
				f, err := ledger.Open(rec, d.o.Keys)
				if err != nil {
					return err
				}
				parts, err := ledger.Disclose(rec, d.o.Keys)
				if err != nil {
					return err
				}
				out.Facts = append(out.Facts, evidence.FactOf(rec, parts, f.Recorded))
			}
		}
	})
	if err == nil && len(out.Facts) != len(wanted) {
		err = fmt.Errorf("desk: %d of %d facts about removed days are in the database: nothing is exported from it", len(out.Facts), len(wanted))
	}
	return out, days, err
}
