package desk

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
)

// slowly makes a scope that says how far it is and then waits until it is let go or cancelled.
func slowly(t *testing.T, let chan scope.Result) *site {
	return newSite(t, func(o *Options) {
		o.Scope = func(ctx context.Context, q scope.Query, _ scope.Options) (scope.Result, error) {
			ask.Tell(ctx, ask.Progress{What: "reads the columns", Done: 1, Of: 6, Unit: "steps"})
			select {
			case res := <-let:
				res.Query = q
				return res, nil
			case <-ctx.Done():
				return scope.Result{}, fmt.Errorf("ask: %w", ctx.Err())
			}
		}
	})
}

// promise: INV-1
func TestARunSaysHowFarItIsAndGivesItsResult(t *testing.T) {
	let := make(chan scope.Result, 1)
	s := slowly(t, let)
	run, err := s.StartScope(t.Context(), "", lena, stolen, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var told ask.Progress
	err = s.FollowScope(t.Context(), run.ID, func(r ScopeRun) error {
		if r.Progress.Of == 6 && r.State == RunRunning {
			told = r.Progress
			select {
			case let <- scope.Result{Customers: 7}:
			default:
			}
		}
		return nil
	})
	if err != nil || told.Done != 1 {
		t.Fatalf("%+v, %v", told, err)
	}
	done, err := s.ScopeRun(t.Context(), run.ID)
	if err != nil || done.State != RunDone || done.Result == nil || done.Result.Customers != 7 || done.Query.Kind != "pii_access" {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := s.ScopeRun(t.Context(), "run-of-nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown run: %v", err)
	}
	if _, err := s.StartScope(t.Context(), "", lena, scope.Query{}, "", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("a query without times: %v", err)
	}
}

func TestARunIsEndedByWhoBeganItOrAnOwnerAndRecordsNothing(t *testing.T) {
	s := slowly(t, nil)
	inc := s.open()
	before := len(s.state(inc).Scopes)
	run, err := s.StartScope(t.Context(), "k", lena, stolen, inc, "the token")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CancelScope(t.Context(), nadia, run.ID); !errors.Is(err, ErrForbidden) {
		t.Fatalf("somebody else's run: %v", err)
	}
	if err := s.CancelScope(t.Context(), Caller{Principal: "person:olga", Access: incident.Owner}, run.ID); err != nil {
		t.Fatal(err)
	}
	var last ScopeRun
	if err := s.FollowScope(t.Context(), run.ID, func(r ScopeRun) error { last = r; return nil }); err != nil || last.State != RunCancelled || last.Result != nil {
		t.Fatalf("%+v, %v", last, err)
	}
	if n := len(s.state(inc).Scopes); n != before {
		t.Errorf("%d scopes are recorded", n)
	}
	// There are no more at a time than the limit; all of them end with the desk.
	for i := range maxRunning {
		if _, err := s.StartScope(t.Context(), "", lena, stolen, "", ""); err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	if _, err := s.StartScope(t.Context(), "", lena, stolen, "", ""); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	s.Stop()
}

// promise: INV-2
func TestVersionsOfAScopeAreReadAndCompared(t *testing.T) {
	let := make(chan scope.Result, 1)
	s := slowly(t, let)
	inc := s.open()
	later := []incident.Supplied{{File: "sha256:ab", Events: 1}}
	for i, rows := range [][]incident.Exposure{
		{{Merchant: "m_1", Customers: 1, Events: 1, Stores: []string{}, DataTypes: []string{}}, {Merchant: "m_2", Customers: 2, Events: 2}, {Merchant: "m_3", Customers: 3, Events: 3}},
		{{Merchant: "m_1", Customers: 1, Events: 1, Stores: []string{}, DataTypes: []string{}}, {Merchant: "m_3", Customers: 4, Events: 5, Supplied: later}, {Merchant: "m_4", Customers: 1, Events: 1}},
	} {
		let <- scope.Result{Rows: rows, Digest: fmt.Sprintf("sha256:%d", i), Size: uint64(i + 1), Supplied: later[:i], Regions: []incident.Residents{{Region: "DE", Customers: 2}}}
		if _, _, err := s.RecordScope(t.Context(), "", nadia, inc, stolen, "r"); err != nil {
			t.Fatal(err)
		}
	}
	first, err := s.ScopeRecord(t.Context(), inc, 1)
	if err != nil || len(first.Rows) != 3 || first.Rows[2].Customers != 3 || len(first.Version.Supplied) != 0 {
		t.Fatalf("version 1: %+v, %v", first, err)
	}
	newest, err := s.ScopeRecord(t.Context(), inc, 0)
	if err != nil || newest.Version.N != 2 || len(newest.Rows) != 3 || len(newest.Version.Supplied) != 1 || newest.Version.Regions[0].Customers != 2 {
		t.Fatalf("the newest: %+v, %v", newest, err)
	}
	d, err := s.ScopeDiff(t.Context(), inc, 0, 0)
	if err != nil || d.From.N != 1 || d.To.N != 2 || d.Same != 1 || len(d.Added) != 1 || d.Added[0].Merchant != "m_4" ||
		len(d.Removed) != 1 || d.Removed[0].Merchant != "m_2" || len(d.Changed) != 1 || d.Changed[0].Before.Customers != 3 || d.Changed[0].After.Customers != 4 {
		t.Fatalf("%+v, %v", d, err)
	}
	if back, err := s.ScopeDiff(t.Context(), inc, 2, 1); err != nil || len(back.Added) != 1 || back.Added[0].Merchant != "m_2" {
		t.Errorf("the other way: %+v, %v", back, err)
	}
	for _, v := range [][2]int{{0, 1}, {3, 1}} {
		if _, err := s.ScopeDiff(t.Context(), inc, v[0], v[1]); !errors.Is(err, ErrInvalid) {
			t.Errorf("from %d to %d: %v", v[0], v[1], err)
		}
	}
}
