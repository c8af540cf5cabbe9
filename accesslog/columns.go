package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/accesslog/table"
)

const (
	columnDir   = "table"
	columnRun   = 20_000 // events brought into the columns at once
	columnRetry = time.Second
	// columnLag is the part of the backlog that may wait in the spool for the columns alone: beyond
	// it they are filled from the log, which costs more and holds nobody up.
	columnLag = 4
)

// openColumns opens the table of columns. What is wrong with it makes it begin anew; the loop then
// fills it from the log.
func (s *Store) openColumns() error {
	o := s.o.Table
	o.Dir, o.Origin, o.ReadOnly, o.Logger = filepath.Join(s.o.Dir, columnDir), s.Origin(), s.o.ReadOnly, s.log
	o.Pause = s.takeTurns
	t, err := table.Open(o)
	if err != nil && s.o.ReadOnly {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("the table of columns cannot be read: questions are answered from the log", "error", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("accesslog: %w", err)
	}
	if why := t.Anew(); why != "" {
		s.log.Warn("the table of columns begins anew and is filled from the log", "why", why)
	}
	s.columns = t
	if s.o.ReadOnly || t.UpTo() <= int64(s.acked) {
		return nil
	}
	// It holds more than was ever acknowledged here: it belongs to a later state of the data folder.
	return s.resetColumns("it is ahead of the log")
}

func (s *Store) resetColumns(why string) error {
	s.log.Warn("the table of columns begins anew and is filled from the log", "why", why)
	if err := s.columns.Reset(why); err != nil {
		return fmt.Errorf("accesslog: %w", err)
	}
	nudge(s.tabling)
	return nil
}

// columnLoop brings into the columns what the feeder has taken, until ctx is done. A crash at any
// point: the columns say in each commit how far they came, and the next start goes on from there.
func (s *Store) columnLoop(ctx context.Context) {
	checked := make(chan error, 1)
	s.working.Go(func() { checked <- s.columns.Verify(ctx) })
	away := false
	for {
		err := s.fillColumns(ctx)
		was := away
		if away = table.Away(err); away && was {
			// It was said; Behind says how far.
		} else if err != nil && ctx.Err() == nil {
			s.log.Error("events were not brought into the table of columns", "error", err)
		}
		var retry <-chan time.Time
		if err != nil {
			retry = time.After(columnRetry)
		}
		select {
		case <-s.tabling:
		case <-retry:
		case err := <-checked:
			s.healColumns(ctx, err)
			s.mu.Lock()
			s.verified = true
			s.cond.Broadcast()
			s.mu.Unlock()
		case err := <-s.columns.Damage():
			s.healColumns(ctx, err)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) healColumns(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	if !table.Damaged(err) {
		s.log.Error("the table of columns was not checked", "error", err)
		return
	}
	if err := s.resetColumns(err.Error()); err != nil {
		s.log.Error("the table of columns does not begin anew", "error", err)
	}
}

// fillColumns works until the columns have what the feeder has taken.
func (s *Store) fillColumns(ctx context.Context) error {
	for ctx.Err() == nil {
		s.mu.Lock()
		fed, acked := int64(s.fed), int64(s.acked)
		s.mu.Unlock()
		from := s.columns.UpTo()
		if from > acked { // found only now, because its object store did not answer at the start
			if err := s.resetColumns("it is ahead of the log"); err != nil {
				return err
			}
			continue
		}
		if from >= fed {
			return nil
		}
		rows, last, err := s.rowsAfter(ctx, from, fed)
		if err != nil {
			return err
		}
		if err := s.columns.Append(ctx, from, rows, last); err != nil {
			return err
		}
		s.mu.Lock()
		s.cond.Broadcast()
		s.mu.Unlock()
		if err := s.release(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// release lets the spool go of what table, log and columns have taken.
func (s *Store) release() error {
	s.mu.Lock()
	done := min(s.fed, s.sealed)
	s.mu.Unlock()
	if s.columns != nil && s.spool.Size() < s.o.Backlog/columnLag {
		done = min(done, uint64(s.columns.UpTo()))
	}
	return s.spool.Release(done)
}

// rowsAfter reads events from a position on, at most up to another: from the spool as long as it
// has them, and from the log after that.
func (s *Store) rowsAfter(ctx context.Context, from, to int64) ([]table.Row, int64, error) {
	repeated, err := s.repeatedIn(ctx, from, to)
	if err != nil {
		return nil, 0, err
	}
	rows := make([]table.Row, 0, columnRun/2)
	last, err := s.each(ctx, uint64(from), uint64(to), func(seq uint64, canonical []byte) error {
		if repeated[int64(seq)] {
			return nil
		}
		rows = append(rows, table.Row{})
		return s.filling.row(&rows[len(rows)-1], int64(seq), canonical)
	})
	return rows, int64(last), err
}

// each calls fn with the stored form of events after a position, in order and at most up to another:
// some of them, from the spool as long as it has them, and from the log after that. It returns how far
// it came. fn must not keep what it is given.
func (s *Store) each(ctx context.Context, from, to uint64, fn func(seq uint64, canonical []byte) error) (uint64, error) {
	last, n := from, 0
	take := func(seq uint64, canonical []byte) error {
		if seq <= last || seq > to {
			return nil
		}
		last = seq
		n++
		return fn(seq, canonical)
	}
	if s.spool != nil && from+1 >= s.spool.First() {
		err := s.spool.Read(from, func(r spool.Record) error {
			_, list, err := s.frames.unpack(r.Body, r.First, nil)
			if err != nil {
				return err
			}
			for _, p := range list {
				for _, m := range p.members {
					if err := take(m.seq, m.canonical); err != nil {
						return err
					}
				}
			}
			last = max(last, min(r.First+uint64(r.Count)-1, to)) // a record of a removed day gives nothing
			if n >= columnRun || last >= to {
				return errEnough
			}
			return ctx.Err()
		})
		if err == nil || errors.Is(err, errEnough) {
			return last, nil
		}
		if !errors.Is(err, spool.ErrReleased) {
			return last, err
		}
	}
	index, _, err := s.Position(ctx, int64(last)+1)
	if err != nil {
		return last, fmt.Errorf("accesslog: event %d is neither in the spool nor in the log: %w", last+1, err)
	}
	gone, _, err := s.goneAt(ctx, index)
	if err != nil {
		return last, err
	}
	if gone != nil { // a fact says that its day was removed
		return max(last, min(gone.Last, to)), nil
	}
	s.mu.Lock()
	leaves := s.leaves
	s.mu.Unlock()
	err = s.o.Log.Leaves(ctx, index, min(leaves-index, 64), func(_ uint64, data []byte) error {
		o, header, err := s.unseal(data)
		if errors.Is(err, fs.ErrNotExist) {
			// Its day was forgotten: nobody can read it.
			last = max(last, min(header.Last, to))
			return nil
		}
		if err != nil {
			return fmt.Errorf("accesslog: a leaf of the event log: %w", err)
		}
		for i, canonical := range o.events {
			if err := take(header.First+uint64(i), canonical); err != nil {
				return err
			}
		}
		if n >= columnRun || last >= to {
			return errEnough
		}
		return ctx.Err()
	})
	if errors.Is(err, errEnough) || errors.Is(err, fs.ErrNotExist) && last > from {
		err = nil // where the leaves of a removed day begin the next call finds out why
	}
	return last, err
}

// repeatedIn are the positions of events that the table found to have come before: they stand in
// the log twice and in no table.
func (s *Store) repeatedIn(ctx context.Context, from, to int64) (map[int64]bool, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT seq FROM repeated WHERE seq > ? AND seq <= ?`, from, to)
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	defer rows.Close()
	var out map[int64]bool
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		if out == nil {
			out = map[int64]bool{}
		}
		out[seq] = true
	}
	return out, rows.Err()
}

// View returns the columns with every event up to a position, once they have it. ok is false when
// they do not have it soon, because they are being made again or because their files have not been
// compared with their digests since the start: other ways of answering are slower and as right.
func (s *Store) View(ctx context.Context, upTo int64) (v *table.View, ok bool) {
	if v = s.view(ctx, upTo); v != nil && v.UpTo < upTo {
		v.Release()
		return nil, false
	}
	return v, v != nil
}

// view waits a while for the columns to have every event up to a position and returns them as they
// are then; nil when there are none or their files were not compared yet.
func (s *Store) view(ctx context.Context, upTo int64) *table.View {
	if s.columns == nil {
		return nil
	}
	if !s.o.ReadOnly {
		wait, cancel := context.WithTimeout(ctx, tablePatience)
		defer cancel()
		defer s.wokenBy(wait)()
		s.asked.Add(1)
		defer s.asked.Add(-1)
		s.mu.Lock()
		for (!s.verified || s.columns.UpTo() < upTo) && wait.Err() == nil && !s.closed {
			nudge(s.urgent)
			nudge(s.tabling)
			s.cond.Wait()
		}
		verified := s.verified
		s.mu.Unlock()
		if !verified {
			return nil
		}
	}
	return s.columns.View()
}

// RebuildTable makes the table of columns again from the log and returns when it is whole.
func (s *Store) RebuildTable(ctx context.Context) (rows int64, err error) {
	if s.o.ReadOnly {
		return 0, ErrReadOnly
	}
	if err := s.resetColumns("it was asked for"); err != nil {
		return 0, err
	}
	want := s.Acked()
	defer s.wokenBy(ctx)()
	s.mu.Lock()
	for s.columns.UpTo() < want && ctx.Err() == nil && !s.closed && s.behind == nil {
		s.cond.Wait()
	}
	err = errors.Join(ctx.Err(), s.behind)
	s.mu.Unlock()
	if err != nil {
		return 0, fmt.Errorf("accesslog: rebuild the table: %w", err)
	}
	if err := s.columns.Flush(); err != nil {
		return 0, err
	}
	_, rows = s.columns.Bytes()
	return rows, nil
}
