package scope

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Source is the table of access events a scope is computed from.
type Source interface {
	// Checkpoint returns a signed checkpoint of the event log that covers everything acknowledged
	// so far, with the number of leaves it covers.
	Checkpoint(ctx context.Context) (origin string, note []byte, size uint64, err error)
	// Scan calls fn with a superset of the events in the first size leaves that are in the query's
	// window, of its kind, and match Any; each once. It returns how many it read.
	Scan(ctx context.Context, q Query, size uint64, fn func(*tally.Event) error) (int64, error)
	// Gaps returns the times in which a source of such events was silent and usually is not.
	Gaps(ctx context.Context, kind string, from, to time.Time) ([]tally.Gap, error)
}

// Options tune Compute. The zero value computes on the newest checkpoint.
type Options struct {
	Size       uint64 // leaves to define the query on, for recomputing an earlier result; 0 is the newest
	Checkpoint string // the signed note that goes with Size
	MaxPairs   int    // addresses and agents listed; default 200
}

const defaultPairs = 200

// Compute answers a query. Errors about the query are *InvalidError and name the field.
func Compute(ctx context.Context, src Source, q Query, o Options) (Result, error) {
	q, err := q.Normal()
	if err != nil {
		return Result{}, err
	}
	m, err := tally.NewMatcher(q)
	if err != nil {
		return Result{}, err
	}
	res := Result{Query: q}
	var note []byte
	var newest uint64
	if res.Log, note, newest, err = src.Checkpoint(ctx); err != nil {
		return Result{}, err
	}
	if res.Size = newest; o.Size > 0 {
		if o.Size > newest {
			return Result{}, &InvalidError{Field: "size", Reason: fmt.Sprintf("is beyond the log, which has %d leaves", newest)}
		}
		res.Size, note = o.Size, []byte(o.Checkpoint)
	}
	res.Checkpoint = string(note)

	var sums tally.Tally
	in, out := pairs{}, pairs{}
	res.RowsRead, err = src.Scan(ctx, widen(q), res.Size, func(e *tally.Event) error {
		switch {
		case !e.Exposes() || e.Kind != q.Kind || e.Time.Before(q.From) || !e.Time.Before(q.To):
		case m.Candidate(e) && !m.Excluded(e):
			sums.Add(e)
			in.add(e)
		default:
			out.add(e)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	total := sums.Totals()
	res.Events, res.Records, res.Customers, res.AtLeast = total.Events, total.Records, total.Customers, total.AtLeast
	res.DataTypes, res.First, res.Last = total.DataTypes, total.First, total.Last
	rows := sums.Rows()
	res.Rows = make([]incident.Exposure, len(rows))
	for i, r := range rows {
		res.Rows[i] = incident.Exposure(r)
	}
	gaps, err := src.Gaps(ctx, q.Kind, q.From, q.To)
	if err != nil {
		return Result{}, err
	}
	for _, g := range gaps {
		res.Gaps = append(res.Gaps, incident.Gap(g))
	}
	if res.Digest, err = Digest(q, res.Size, res.Rows); err != nil {
		return Result{}, err
	}
	limit := o.MaxPairs
	if limit <= 0 {
		limit = defaultPairs
	}
	res.Included, res.Excluded = in.list(limit), out.list(limit)
	return res, nil
}

// Digest binds query, log size and rows.
func Digest(q Query, size uint64, rows []incident.Exposure) (string, error) {
	query, err := json.Marshal(q)
	if err != nil {
		return "", fmt.Errorf("scope: digest: %w", err)
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("scope: digest: %w", err)
	}
	return tally.Digest(query, list, size)
}

// widen is the query whose answers show what the given one left out: without exclusions, and with
// clauses that name a credential or an actor reduced to those. A responder who separates the thief
// from the owner of a token by address has to see both.
func widen(q Query) Query {
	wide := q
	wide.Not = nil
	wide.Any = make([]Clause, 0, len(q.Any))
	for _, c := range q.Any {
		if len(c.Credential) > 0 || len(c.Actor) > 0 {
			c = Clause{Credential: c.Credential, Actor: c.Actor}
		}
		wide.Any = append(wide.Any, c)
	}
	return wide
}

// pairs counts what each (address, agent) did.
type pairs map[[2]string]*pair

type pair struct {
	Seen
	merchants map[string]struct{}
}

func (p pairs) add(e *tally.Event) {
	k := [2]string{e.IP, e.Agent}
	x := p[k]
	if x == nil {
		x = &pair{Seen: Seen{IP: e.IP, Agent: e.Agent, First: e.Time, Last: e.Time}, merchants: map[string]struct{}{}}
		p[k] = x
	}
	x.Events++
	x.merchants[e.Merchant] = struct{}{}
	if e.Time.Before(x.First) {
		x.First = e.Time
	}
	if e.Time.After(x.Last) {
		x.Last = e.Time
	}
}

// list returns the busiest pairs first.
func (p pairs) list(limit int) []Seen {
	out := make([]Seen, 0, len(p))
	for _, x := range p {
		x.Merchants = int64(len(x.merchants))
		out = append(out, x.Seen)
	}
	slices.SortFunc(out, func(a, b Seen) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.IP, b.IP), cmp.Compare(a.Agent, b.Agent))
	})
	return out[:min(limit, len(out))]
}
