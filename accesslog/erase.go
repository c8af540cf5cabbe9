package accesslog

import (
	"context"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Erase makes the columns leave out what tombstones name, those of earlier calls first. From when it
// returns no question finds any of it; the sealed log keeps it until its day is forgotten. A crash
// takes nothing back: Open is given the same list.
func (s *Store) Erase(list []table.Tombstone) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	s.tombs.Store(table.NewTombstones(list))
	if s.columns != nil {
		s.columns.Erase(list)
	}
	return nil
}

// Erasing is how many files of the columns still hold what is erased, and what no question finds.
func (s *Store) Erasing() int {
	if s.columns == nil {
		return 0
	}
	return s.columns.Erasing()
}

// erased takes out of an event what tombstones name, and says whether nothing of it is left.
func (s *Store) erased(e *Event) bool {
	tombs := s.tombs.Load()
	if tombs.Len() == 0 {
		return false
	}
	gone, stays := tombs.Gone(e.Merchant, e.Seq, e.Time.UnixMicro(), len(e.Subjects), func(i int) [table.TokenLen]byte { return [table.TokenLen]byte(e.Subjects[i]) }, 0)
	if stays && gone != nil {
		if len(e.Regions) == len(e.Subjects) {
			e.Regions = table.Without(e.Regions, gone)
		}
		e.Subjects = table.Without(e.Subjects, gone)
	}
	return !stays
}

// erasedMatching calls fn with the events of a query's window and kind that the log has, when some of
// them may be erased from the columns: then all of the log is read, which takes long and is rare.
func (s *Store) erasedMatching(ctx context.Context, q tally.Query, size uint64, fn func(int64, *tally.Event)) error {
	upTo, err := s.LastSeq(ctx, size)
	if err != nil || upTo == 0 || !s.tombs.Load().Since(q.From.UnixMicro()) {
		return err
	}
	c := &choice{f: Filter{From: q.From, To: q.To, Kinds: []string{q.Kind}}, whole: true, fn: func(e Event) error {
		t := e.Tally()
		fn(e.Seq, &t)
		return nil
	}}
	return s.selectLog(ctx, c, 0, upTo)
}

// Whole is the access log with what is erased from the columns, read from the sealed leaves: what an
// earlier scope is computed from again, so that it stays what it was. It is slow. ok is false when
// nothing is erased, and the store itself is as good.
func (s *Store) Whole() (w Whole, ok bool) {
	return Whole{s}, s.tombs.Load().Len() > 0
}

// Whole is a source of scopes; see Store.Whole.
type Whole struct{ s *Store }

// Checkpoint is Store.Checkpoint.
func (w Whole) Checkpoint(ctx context.Context) (origin string, note []byte, size uint64, err error) {
	return w.s.Checkpoint(ctx)
}

// Gaps is Store.Gaps.
func (w Whole) Gaps(ctx context.Context, kind string, from, to time.Time) ([]tally.Gap, error) {
	return w.s.Gaps(ctx, kind, from, to)
}

// Scan is Store.Scan over the log.
func (w Whole) Scan(ctx context.Context, q tally.Query, size uint64, fn func(*tally.Event) error) (read int64, err error) {
	upTo, err := w.s.LastSeq(ctx, size)
	if err != nil || upTo == 0 {
		return 0, err
	}
	c := &choice{f: Filter{From: q.From, To: q.To, Kinds: []string{q.Kind}}, whole: true, fn: func(e Event) error {
		read++
		t := e.Tally()
		return fn(&t)
	}}
	err = w.s.selectLog(ctx, c, 0, upTo)
	return read, err
}
