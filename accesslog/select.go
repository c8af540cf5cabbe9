package accesslog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/table"
)

// Filter chooses events. Fields that are set must all match; a list matches when it holds the
// event's value. The zero Filter chooses everything.
type Filter struct {
	From, To    time.Time // From <= Time < To; zero is open
	Kinds       []string
	Credentials []string
	Actors      []string
	IPs         []string // exact addresses
	Agents      []string
	Merchants   []string
	Endpoints   []string
	Actions     []string
	Sources     []string
	Outcomes    []string
	AfterSeq    int64 // only events with a greater Seq
	UpToSeq     int64 // only events with at most this Seq; 0 is open
	ByTime      bool  // in order of (Time, Seq); otherwise in no order worth relying on
	Limit       int   // at most so many; 0 is no limit
}

// matches says whether the filter chooses an event.
func (f *Filter) matches(e *Event) bool {
	if !f.From.IsZero() && e.Time.Before(f.From) || !f.To.IsZero() && !e.Time.Before(f.To) ||
		e.Seq <= f.AfterSeq || f.UpToSeq > 0 && e.Seq > f.UpToSeq {
		return false
	}
	for _, c := range [...]struct {
		values []string
		value  string
	}{
		{f.Kinds, e.Kind}, {f.Credentials, e.Credential}, {f.Actors, e.ActorID}, {f.IPs, e.IP}, {f.Agents, e.Agent},
		{f.Merchants, e.Merchant}, {f.Endpoints, e.Endpoint}, {f.Actions, e.Action}, {f.Sources, e.Source}, {f.Outcomes, e.Outcome},
	} {
		if len(c.values) > 0 && !slices.Contains(c.values, c.value) {
			return false
		}
	}
	return true
}

// selection is what the columns can rule out of the filter at little cost.
func (f *Filter) selection() table.Selection {
	s := table.Selection{From: math.MinInt64, To: math.MaxInt64, After: f.AfterSeq, UpTo: math.MaxInt64, Credentials: f.Credentials,
		Values: map[string][]string{"kind": f.Kinds, "actor": f.Actors, "ip": f.IPs, "agent": f.Agents, "merchant": f.Merchants,
			"endpoint": f.Endpoints, "action": f.Actions, "source": f.Sources}}
	if !f.From.IsZero() {
		s.From = f.From.UnixMicro()
	}
	if !f.To.IsZero() {
		s.To = f.To.UnixMicro()
	}
	if f.UpToSeq > 0 {
		s.UpTo = f.UpToSeq
	}
	return s
}

// Select calls fn with every event that matches. An error from fn ends it and is returned. It reads
// the columns; while they are being made again it reads the log, which takes longer.
func (s *Store) Select(ctx context.Context, f Filter, fn func(Event) error) error {
	select {
	case s.questions <- struct{}{}:
		defer func() { <-s.questions }()
	case <-ctx.Done():
		return fmt.Errorf("accesslog: wait for earlier questions: %w", ctx.Err())
	}
	c := &choice{f: f, fn: fn}
	upTo := s.Acked()
	if f.UpToSeq > 0 {
		upTo = min(upTo, f.UpToSeq)
	}
	v := s.view(ctx, upTo)
	if err := ctx.Err(); err != nil {
		if v != nil {
			v.Release()
		}
		return fmt.Errorf("accesslog: wait for the columns: %w", err)
	}
	if v != nil {
		// All that is read is at hand before the first event is given: what an object store does not
		// give, the log has.
		if _, _, err := v.Paths(f.selection()); err != nil {
			s.log.Warn("a question is answered from the log, event by event", "why", err)
			v.Release()
			v = nil
		}
	}
	if v == nil {
		err := s.selectLog(ctx, c, f.AfterSeq, upTo)
		if err == nil {
			err = c.flush(math.MaxInt64)
		}
		return c.ended(err)
	}
	defer v.Release()
	if f.ByTime { // what the columns do not have yet belongs between what they have
		if err := s.selectLog(ctx, c, v.UpTo, upTo); err != nil {
			return c.ended(err)
		}
	}
	types := map[string][]string{}
	n := 0
	err := v.Scan(f.selection(), func(r *table.Row) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return fmt.Errorf("accesslog: read the columns: %w", ctx.Err())
		}
		e, err := ofRow(r, types)
		if err != nil || !f.matches(&e) {
			return err
		}
		return c.take(e)
	}, c.flush)
	if err == nil && !f.ByTime {
		err = s.selectLog(ctx, c, v.UpTo, upTo)
	}
	if err == nil {
		err = c.flush(math.MaxInt64)
	}
	return c.ended(err)
}

// selectLog takes events after a position and up to another from the log and the spool, one by one.
func (s *Store) selectLog(ctx context.Context, c *choice, at, upTo int64) error {
	for at = max(at, c.f.AfterSeq, 0); at < upTo; {
		repeated, err := s.repeatedIn(ctx, at, upTo)
		if err != nil {
			return err
		}
		next, err := s.each(ctx, uint64(at), uint64(upTo), func(seq uint64, canonical []byte) error {
			e, err := eventOf(canonical)
			if e.Seq = int64(seq); err != nil || repeated[e.Seq] || !c.f.matches(&e) || !c.whole && s.erased(&e) {
				return err
			}
			return c.take(e)
		})
		if err != nil {
			return err
		}
		if int64(next) == at {
			return fmt.Errorf("accesslog: event %d is neither in the spool nor in the log", at+1)
		}
		at = int64(next)
	}
	return nil
}

// choice hands out the events that match, in the order that is asked for: what is read together is
// held until it is in order, a day of the columns at a time.
type choice struct {
	f     Filter
	fn    func(Event) error
	held  []Event
	given int
	whole bool // what is erased, too
}

// maxHeld bounds what is held when only the first events count.
const maxHeld = 50_000

func (c *choice) take(e Event) error {
	if !c.f.ByTime {
		return c.give(e)
	}
	if c.held = append(c.held, e); c.f.Limit > 0 && len(c.held) >= 2*max(c.f.Limit, maxHeld) {
		c.sort()
		c.held = c.held[:c.f.Limit]
	}
	return nil
}

func (c *choice) give(e Event) error {
	if c.f.Limit > 0 && c.given >= c.f.Limit {
		return errEnough
	}
	c.given++
	return c.fn(e)
}

func (c *choice) sort() {
	slices.SortFunc(c.held, func(a, b Event) int {
		if d := a.Time.Compare(b.Time); d != 0 {
			return d
		}
		return int(a.Seq - b.Seq)
	})
}

// flush hands out what is held of before a time, in microseconds.
func (c *choice) flush(before int64) error {
	c.sort()
	n := 0
	for n < len(c.held) && c.held[n].Time.UnixMicro() < before {
		if err := c.give(c.held[n]); err != nil {
			return err
		}
		n++
	}
	c.held = append(c.held[:0], c.held[n:]...)
	return nil
}

// ended is the error of a question: none when it had enough.
func (c *choice) ended(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Span returns positions between which every event of a time stands, in the order of arrival: from is
// inclusive and to is not. Others may stand there too. ErrNotFound when there is none.
func (s *Store) Span(ctx context.Context, from, to time.Time) (first, last int64, err error) {
	acked := s.Acked()
	v := s.view(ctx, acked)
	if v == nil {
		if err := ctx.Err(); err != nil || acked == 0 {
			return 0, 0, cmp.Or(err, ErrNotFound)
		}
		return 1, acked, nil
	}
	defer v.Release()
	first, last, ok := v.Span(table.Selection{From: from.UnixMicro(), To: to.UnixMicro(), UpTo: math.MaxInt64})
	switch {
	case !ok && v.UpTo >= acked:
		return 0, 0, ErrNotFound
	case !ok:
		return v.UpTo + 1, acked, nil
	case v.UpTo < acked:
		last = acked
	}
	return first, last, nil
}
