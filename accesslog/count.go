package accesslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// errErasing says why the engine is not asked: it reads whole files.
var errErasing = errors.New("files are being written anew without what is erased")

// Count answers a scope's query from the columns: the files by the engine, and what is in memory
// only by a file of it that holds the rows in question. It returns how many rows it had to look at.
func (s *Store) Count(ctx context.Context, q, wide tally.Query, size uint64, pairs int) (_ *ask.Answer, read int64, err error) {
	if s.o.Engine == nil {
		return nil, 0, ask.ErrUnavailable
	}
	upTo, err := s.LastSeq(ctx, size)
	if err != nil {
		return nil, 0, err
	}
	if upTo == 0 {
		return &ask.Answer{}, 0, nil
	}
	v, ok := s.View(ctx, upTo)
	if !ok {
		return nil, 0, fmt.Errorf("%w: they are being made again", ask.ErrUnavailable)
	}
	defer v.Release()
	a, read, err := CountView(ctx, s.o.Engine, v, q, wide, upTo, pairs)
	if errors.Is(err, ask.ErrUnavailable) && ctx.Err() == nil {
		s.log.Warn("a scope is counted event by event", "why", err)
		if !errors.Is(err, errErasing) {
			s.recheck()
		}
	}
	return a, read, err
}

// CountView answers a query from a view of the columns, over positions up to upTo.
func CountView(ctx context.Context, engine *ask.Engine, v *table.View, q, wide tally.Query, upTo int64, pairs int) (_ *ask.Answer, read int64, err error) {
	m, err := tally.NewMatcher(wide)
	if err != nil {
		return nil, 0, err
	}
	types := map[string][]string{}
	var unread error
	chosen := table.Selection{From: q.From.UnixMicro(), To: q.To.UnixMicro(), UpTo: upTo, Credentials: credentials(wide)}
	if v.Pending(chosen) {
		return nil, 0, fmt.Errorf("%w: %w", ask.ErrUnavailable, errErasing)
	}
	paths, read, err := v.Paths(chosen)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ask.ErrUnavailable, err)
	}
	loose, rows, remove, err := v.Loose(func(r *table.Row) bool {
		if r.Seq > upTo {
			return false
		}
		e, err := TallyOf(r, types)
		unread = errors.Join(unread, err)
		return err == nil && m.Candidate(&e)
	})
	if err = errors.Join(err, unread); err != nil {
		return nil, 0, fmt.Errorf("accesslog: %w", err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	if loose != "" {
		paths, read = append(paths, loose), read+rows
	}
	a, err := engine.Ask(ctx, ask.Question{Files: paths, Query: q, Wide: wide, UpTo: upTo, Pairs: pairs})
	return a, read, err
}

// recheck compares the files of the columns with their digests, because an engine could not read
// them or did not end well.
func (s *Store) recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rechecking || s.closed || s.o.ReadOnly {
		return
	}
	s.rechecking = true
	s.working.Go(func() {
		s.columns.Report(s.columns.Verify(s.life))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rechecking = false
	})
}

// credentials are those that every clause of a query is confined to; nil when one is not.
func credentials(q tally.Query) []string {
	var out []string
	for _, c := range q.Any {
		if len(c.Credential) == 0 {
			return nil
		}
		out = append(out, c.Credential...)
	}
	return out
}

// TallyOf is what a scope needs of a row. types holds lists of data types that were read before.
func TallyOf(r *table.Row, types map[string][]string) (tally.Event, error) {
	e := tally.Event{
		Time: r.At(), Kind: r.Kind, Credential: r.Credential, Actor: r.Actor, IP: r.IP, Agent: r.Agent, Endpoint: r.Endpoint,
		Action: r.Action, Outcome: r.Outcome, Merchant: r.Merchant, Store: r.Store, Records: r.Records, Supplied: r.Supplied,
	}
	list, ok := types[r.DataTypes]
	if !ok {
		if err := json.Unmarshal([]byte(r.DataTypes), &list); err != nil {
			return e, fmt.Errorf("accesslog: data types of event %d in the columns: %w", r.Seq, err)
		}
		types[r.DataTypes] = list
	}
	e.DataTypes = list
	for i := range r.Customers {
		e.Customers = append(e.Customers, string(r.Customers[i][:]))
	}
	e.Regions = regionsOf(r.Regions, len(r.Customers))
	return e, nil
}
