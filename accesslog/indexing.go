package accesslog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/ids"
)

// ErrIndexing refuses batches while the index of ids, which was found to be damaged, is made again:
// without it an event that comes again would be taken twice. Nothing of the batch was taken.
var ErrIndexing = errors.New("accesslog: the index of ids is being made again from the log: try again in a few seconds")

const healRetry = time.Second // protocol time

// openIndex opens the index of ids and brings into it, and into memory, what came after its newest
// run: from the spool and the log. Of an index that is whole these are a quarter of a million events at most.
func (s *Store) openIndex(ctx context.Context) error {
	var why string
	var err error
	if s.index, why, err = ids.Open(filepath.Join(s.o.Dir, "ids"), s.o.IDs); err != nil {
		return fmt.Errorf("accesslog: %w", err)
	}
	if why == "" && s.index.UpTo() > s.acked {
		why = "it is ahead of the log"
		if err := s.index.Reset(); err != nil {
			return fmt.Errorf("accesslog: %w", err)
		}
	}
	if why != "" {
		s.log.Warn("the index of ids begins anew and is filled from the log; events are taken when it is whole", "why", why)
	}
	// What is on the disk already is found there; memory does not hold seven days.
	if s.index.UpTo() > 0 {
		s.ids.since = s.o.Now()
	}
	return s.fillIndex(ctx)
}

// fillIndex brings into the index, and into memory, what the index lacks of the time over which ids
// are compared. The committer must not be at work meanwhile.
func (s *Store) fillIndex(ctx context.Context) error {
	from, err := s.weekBegan(ctx)
	if err != nil {
		return err
	}
	to := uint64(s.Acked())
	var list []ids.Entry
	hashed := map[string][4]byte{}
	for at := max(s.index.UpTo(), from); at < to; {
		next, err := s.each(ctx, at, to, func(seq uint64, canonical []byte) error {
			e, err := eventOf(canonical)
			if err != nil {
				return err
			}
			source, ok := hashed[e.Source]
			if !ok {
				source = ids.SourceOf(e.Source)
				hashed[e.Source] = source
			}
			s.ids.add(s.ids.hash(e.Source, e.ID), e.Received)
			list = append(list, ids.Entry{Key: ids.KeyOf(source, e.ID), Seq: seq, Minute: minuteOf(e.Received)})
			return nil
		})
		if err == nil {
			s.index.Add(list)
			err = s.index.Ready()
		}
		if err != nil {
			return fmt.Errorf("accesslog: fill the index of ids: %w", err)
		}
		if next == at {
			return fmt.Errorf("accesslog: fill the index of ids: event %d is not where it should be", at+1)
		}
		at, list = next, list[:0]
	}
	return nil
}

// weekBegan is a position after which every sealed event stands that came within the time over which
// ids are compared.
func (s *Store) weekBegan(ctx context.Context) (uint64, error) {
	day := s.o.Now().Add(-keepIDs).UTC().Format(time.DateOnly)
	var before uint64
	// Days mingle where one follows the other: the first leaf of the week counts.
	err := s.read.QueryRowContext(ctx, `SELECT coalesce((SELECT min(first) - 1 FROM stretch WHERE epoch >= ?), (SELECT max(last) FROM stretch), 0)`, day).Scan(&before)
	if err != nil {
		return 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return before, nil
}

// indexFailed is the error of a question to the index. One that is damaged is made again beside.
func (s *Store) indexFailed(err error) error {
	if !errors.Is(err, ids.ErrDamaged) {
		return fmt.Errorf("accesslog: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.healing.CompareAndSwap(false, true) {
		s.log.Error("the index of ids is damaged and is made again from the log; events are refused until it is whole", "error", err)
		s.working.Go(func() { s.heal(s.life) })
	}
	return fmt.Errorf("%w: %w", ErrIndexing, err)
}

// heal makes the index again. The committer waits outside: what it would add is not in the order of
// the log. A crash at any point: the index says how far it goes, or bears the mark of its damage, and
// the next start does the rest.
func (s *Store) heal(ctx context.Context) {
	s.indexing.Lock()
	defer s.indexing.Unlock()
	for ctx.Err() == nil {
		err := s.index.Reset()
		if err == nil {
			err = s.fillIndex(ctx)
		}
		if err == nil {
			s.healing.Store(false)
			s.log.Info("the index of ids is whole again")
			return
		}
		s.log.Error("the index of ids was not made again", "error", err)
		retry := time.NewTimer(healRetry)
		select {
		case <-retry.C:
		case <-ctx.Done():
		}
		retry.Stop()
	}
}

// forgetIDs takes out of the index what came before the time over which ids are compared.
func (s *Store) forgetIDs(ctx context.Context, now time.Time) error {
	if s.healing.Load() {
		return nil // what is made again holds nothing older
	}
	n, err := s.index.Sweep(ctx, minuteOf(now.Add(-keepIDs)))
	if err != nil {
		return s.indexFailed(err)
	}
	if n > 0 {
		s.log.Info("ids that are not compared any more were forgotten", "events", n)
	}
	return nil
}

// Tidy removes what is kept for a time that is over: refused entries, and ids that are not compared any
// more. It is called once a day; a crash leaves some of it to the next call.
func (s *Store) Tidy(ctx context.Context) error {
	if s.o.ReadOnly {
		return nil
	}
	now := s.o.Now()
	return errors.Join(s.sweepRejects(now), s.forgetIDs(ctx, now))
}
