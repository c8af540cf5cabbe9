package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/scope"
)

// ScopeRecord is one recorded version of a scope with its rows.
type ScopeRecord struct {
	Version incident.ScopeVersion `json:"version"`
	Rows    []incident.Exposure   `json:"rows" nullable:"false"` // by merchant
	Erased  []scope.Erased        `json:"erased,omitempty"`
}

// ScopeRecord reads a recorded version of an incident's scope; 0 is the newest. It says which of its
// merchants were erased since.
func (d *Desk) ScopeRecord(ctx context.Context, inc string, version int) (ScopeRecord, error) {
	rec, err := d.scopeRecord(ctx, inc, version)
	if err != nil {
		return rec, err
	}
	s, err := d.Org(ctx)
	if err == nil && s != nil {
		rec.Erased = ErasedOf(s.Erasures, rec.Version.At, func(merchant string) bool {
			return slices.ContainsFunc(rec.Rows, func(x incident.Exposure) bool { return x.Merchant == merchant })
		})
	}
	return rec, err
}

func (d *Desk) scopeRecord(ctx context.Context, inc string, version int) (ScopeRecord, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return ScopeRecord{}, err
	}
	v, err := scopeVersion(s, version)
	if err != nil {
		return ScopeRecord{}, err
	}
	rec := ScopeRecord{Version: v}
	if v.N == s.Scopes[len(s.Scopes)-1].N {
		for _, m := range slices.Sorted(maps.Keys(s.Exposures)) {
			rec.Rows = append(rec.Rows, *s.Exposures[m])
		}
		return rec, nil
	}
	// Only the newest is held with the state; what was before stands in its fact.
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		for n := 0; ; {
			records, err := r.Records(inc, n, 500)
			if err != nil || len(records) == 0 {
				return err
			}
			for _, one := range records {
				n = one.N
				if one.ID != v.Fact {
					continue
				}
				f, err := ledger.Open(one, d.o.Keys)
				if err != nil {
					return err
				}
				rec.Rows, err = exposures(f)
				return err
			}
		}
	})
	return rec, err
}

// exposures reads the rows of a scope from its fact.
func exposures(f incident.Fact) ([]incident.Exposure, error) {
	var rows []incident.Exposure
	for _, p := range f.Parts {
		if p.Merchant == "" {
			continue
		}
		var x incident.Exposure
		if err := json.Unmarshal(p.Body, &x); err != nil {
			return nil, fmt.Errorf("desk: fact %s: a merchant's part: %w", f.ID, err)
		}
		x.Merchant = p.Merchant
		rows = append(rows, x)
	}
	return rows, nil
}

// Result is the version in the form in which a scope is computed. What the fact does not hold, such as
// the timeline, is absent.
func (r ScopeRecord) Result() (scope.Result, error) {
	v := r.Version
	res := scope.Result{
		Log: v.Log, Size: v.Size, Checkpoint: v.Checkpoint, Digest: v.Digest, Events: v.Events, Records: v.Records, Customers: v.Customers,
		AtLeast: v.AtLeast, DataTypes: v.DataTypes, First: v.First, Last: v.Last, Gaps: v.Gaps, Rows: r.Rows, Regions: v.Regions, Supplied: v.Supplied,
	}
	if err := json.Unmarshal(v.Query, &res.Query); err != nil {
		return res, fmt.Errorf("desk: query of scope %d: %w", v.N, err)
	}
	return res, nil
}

// ScopeDiff is what changed from one recorded version of a scope to another.
type ScopeDiff struct {
	From    incident.ScopeVersion `json:"from"`
	To      incident.ScopeVersion `json:"to"`
	Added   []incident.Exposure   `json:"added" nullable:"false"`
	Removed []incident.Exposure   `json:"removed" nullable:"false"`
	Changed []ScopeChange         `json:"changed" nullable:"false"`
	Same    int                   `json:"same"` // merchants with the same numbers in both
}

// ScopeChange is a merchant that is in both versions with other numbers.
type ScopeChange struct {
	Before incident.Exposure `json:"before"`
	After  incident.Exposure `json:"after"`
}

// ScopeDiff compares two recorded versions of an incident's scope. 0 for to is the newest, and 0 for
// from the one before that.
func (d *Desk) ScopeDiff(ctx context.Context, inc string, from, to int) (ScopeDiff, error) {
	after, err := d.ScopeRecord(ctx, inc, to)
	if err != nil {
		return ScopeDiff{}, err
	}
	if from == 0 {
		if from = after.Version.N - 1; from == 0 {
			return ScopeDiff{}, fmt.Errorf("%w: from: there is no version before the first", ErrInvalid)
		}
	}
	before, err := d.ScopeRecord(ctx, inc, from)
	if err != nil {
		return ScopeDiff{}, err
	}
	diff := ScopeDiff{From: before.Version, To: after.Version, Added: []incident.Exposure{}, Removed: []incident.Exposure{}, Changed: []ScopeChange{}}
	was := map[string]incident.Exposure{}
	for _, x := range before.Rows {
		was[x.Merchant] = x
	}
	for _, x := range after.Rows {
		y, ok := was[x.Merchant]
		delete(was, x.Merchant)
		switch {
		case !ok:
			diff.Added = append(diff.Added, x)
		case reflect.DeepEqual(x, y):
			diff.Same++
		default:
			diff.Changed = append(diff.Changed, ScopeChange{y, x})
		}
	}
	for _, m := range slices.Sorted(maps.Keys(was)) {
		diff.Removed = append(diff.Removed, was[m])
	}
	return diff, nil
}
