package scope

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope/ask"
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

// Counter is a source with an engine that counts by itself.
type Counter interface {
	// Count answers a query over the first size leaves, and for the addresses and agents that it
	// leaves out looks at wide. It returns how many rows it read at most. An error that wraps
	// ask.ErrUnavailable says that Scan has to be used.
	Count(ctx context.Context, q, wide Query, size uint64, pairs int) (*ask.Answer, int64, error)
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

	limit := o.MaxPairs
	if limit <= 0 {
		limit = defaultPairs
	}
	sums, err := count(ctx, src, m, &res, limit)
	if err != nil {
		return Result{}, err
	}
	total := sums.Totals()
	res.Events, res.Records, res.Customers, res.AtLeast = total.Events, total.Records, total.Customers, total.AtLeast
	res.DataTypes, res.First, res.Last = total.DataTypes, total.First, total.Last
	for _, s := range total.Supplied {
		res.Supplied = append(res.Supplied, incident.Supplied(s))
	}
	for _, r := range sums.Regions() {
		res.Regions = append(res.Regions, incident.Residents(r))
	}
	step, timeline := sums.Timeline()
	res.Step, res.Timeline = int64(step/time.Second), timeline
	rows := sums.Rows()
	res.Rows = make([]incident.Exposure, len(rows))
	for i, r := range rows {
		res.Rows[i] = exposure(r)
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
	return res, nil
}

// count adds up what a query takes in: by the engine of a source that has one, and else event by
// event. Both give the same sums.
func count(ctx context.Context, src Source, m *tally.Matcher, res *Result, limit int) (*tally.Tally, error) {
	q, wide := res.Query, widen(res.Query)
	if c, ok := src.(Counter); ok {
		a, read, err := c.Count(ctx, q, wide, res.Size, limit)
		if err == nil {
			res.RowsRead, res.Included, res.Excluded = read, seen(a.In), seen(a.Out)
			return a.Tally(), nil
		}
		if !errors.Is(err, ask.ErrUnavailable) {
			return nil, err
		}
	}
	w, err := tally.NewMatcher(wide)
	if err != nil {
		return nil, err
	}
	sums := new(tally.Tally)
	in, out := pairs{}, pairs{}
	tell, read := ask.Paced(ctx), int64(0)
	res.RowsRead, err = src.Scan(ctx, wide, res.Size, func(e *tally.Event) error {
		if read++; read%1024 == 0 {
			tell(ask.Progress{What: "reads event by event", Done: read, Unit: "events"})
			if sums.Held() > MaxMatched {
				return &InvalidError{Field: "query", Reason: fmt.Sprintf("takes in more than %d customer accounts, which can only be counted by the columns, and these cannot answer now: ask in parts, such as by merchant or by day", MaxMatched)}
			}
		}
		switch {
		case !e.Exposes() || !w.Candidate(e):
		case m.Candidate(e) && !m.Excluded(e):
			sums.Add(e)
			in.add(e)
		default:
			out.add(e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res.Included, res.Excluded = in.list(limit), out.list(limit)
	return sums, nil
}

// exposure is a row as the incident records it.
func exposure(r tally.Row) incident.Exposure {
	x := incident.Exposure{
		Merchant: r.Merchant, Stores: r.Stores, DataTypes: r.DataTypes, Customers: r.Customers, Records: r.Records, Events: r.Events,
		AtLeast: r.AtLeast, First: r.First, Last: r.Last,
	}
	for _, s := range r.Supplied {
		x.Supplied = append(x.Supplied, incident.Supplied(s))
	}
	return x
}

// seen is a list of pairs as a result has them.
func seen(list []ask.Pair) []Seen {
	out := make([]Seen, len(list))
	for i, p := range list {
		out[i] = Seen{IP: p.IP, Agent: p.Agent, Events: p.Events, Merchants: p.Merchants, First: time.Unix(0, p.First).UTC(), Last: time.Unix(0, p.Last).UTC()}
	}
	return out
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
