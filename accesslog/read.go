package accesslog

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/accesslog/table"
)

// ErrNotFound says that there is no such event, or none that is in the log yet.
var ErrNotFound = errors.New("accesslog: no such event")

// Entry is an event with the whole of what was let in: its canonical form, attributes included.
type Entry struct {
	Event
	// Canonical is nil when the event can be read from the table alone, because the key of its epoch
	// was destroyed.
	Canonical []byte
}

// maxEntries bounds the canonical forms that one call of EntriesAfter gives.
const maxEntries = 16 << 20

// EventsAfter returns up to limit events with a greater Seq, in order of Seq: from the spool as long
// as it has them, and from the sealed leaves after that.
func (s *Store) EventsAfter(ctx context.Context, seq int64, limit int) ([]Event, error) {
	list, err := s.after(ctx, seq, limit, false)
	out := make([]Event, len(list))
	for i := range list {
		out[i] = list[i].Event
	}
	return out, err
}

// EntriesAfter is EventsAfter with the canonical form of each event. It gives fewer than limit when
// they would be more than 16 MiB.
func (s *Store) EntriesAfter(ctx context.Context, seq int64, limit int) ([]Entry, error) {
	return s.after(ctx, seq, limit, true)
}

func (s *Store) after(ctx context.Context, seq int64, limit int, whole bool) ([]Entry, error) {
	var out []Entry
	size := 0
	for {
		if s.spool != nil && uint64(seq)+1 >= s.spool.First() {
			// Between the question and the answer the spool may let go: the next round finds in the
			// log what it had.
			rest, err := s.spooledAfter(ctx, seq, limit-len(out), whole)
			if !errors.Is(err, spool.ErrReleased) {
				return append(out, rest...), err
			}
		}
		n := len(out)
		next, err := s.sealedAfter(ctx, seq, limit-n, whole, &out)
		for _, e := range out[n:] {
			size += len(e.Canonical)
		}
		if err != nil || len(out) == limit || next == seq || size >= maxEntries {
			return out, err
		}
		seq = next
	}
}

// sealedAfter appends events of the leaf that holds the one after a position, and returns the position
// it came to: the same when there is no such leaf.
func (s *Store) sealedAfter(ctx context.Context, seq int64, limit int, whole bool, out *[]Entry) (int64, error) {
	index, n, err := s.Position(ctx, seq+1)
	if errors.Is(err, ErrNotFound) {
		return seq, nil
	}
	if err != nil {
		return seq, err
	}
	if gone, _, err := s.goneAt(ctx, index); err != nil || gone != nil {
		if err == nil {
			seq = int64(gone.Last)
		}
		return seq, err
	}
	first := seq + 1 - int64(n)
	l, o, err := s.open(ctx, index)
	if l.Of > 0 && (errors.Is(err, errNoKey) || errors.Is(err, fs.ErrNotExist)) {
		// What the columns have is all that is left of it.
		return s.leftAfter(ctx, seq, first+int64(l.Of)-1, limit, out)
	}
	if err != nil {
		return seq, err
	}
	repeated, err := s.repeatedIn(ctx, seq, first+int64(l.Of)-1)
	if err != nil {
		return seq, err
	}
	for ; n < len(o.events) && limit > 0; n++ {
		if seq = first + int64(n); repeated[seq] {
			continue
		}
		e, err := eventOf(o.events[n])
		if err != nil {
			return seq, err
		}
		e.Seq = seq
		entry := Entry{Event: e}
		if whole {
			entry.Canonical = o.events[n]
		}
		*out = append(*out, entry)
		limit--
	}
	return seq, nil
}

// leftAfter appends what the columns have of the events after a position and up to another.
func (s *Store) leftAfter(ctx context.Context, seq, last int64, limit int, out *[]Entry) (int64, error) {
	var found []Entry
	err := s.Select(ctx, Filter{AfterSeq: seq, UpToSeq: last}, func(e Event) error {
		found = append(found, Entry{Event: e})
		return nil
	})
	slices.SortFunc(found, func(a, b Entry) int { return int(a.Seq - b.Seq) })
	if len(found) > limit {
		found = found[:limit]
		last = found[limit-1].Seq
	}
	*out = append(*out, found...)
	return last, err
}

func (s *Store) spooledAfter(ctx context.Context, seq int64, limit int, whole bool) ([]Entry, error) {
	var out []Entry
	size := 0
	err := s.spool.Read(uint64(seq), func(r spool.Record) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		_, list, err := s.frames.unpack(r.Body, r.First, nil)
		if err != nil {
			return err
		}
		for _, p := range list {
			for _, m := range p.members {
				if int64(m.seq) <= seq {
					continue
				}
				if len(out) == limit || size >= maxEntries {
					return errEnough
				}
				e, err := eventOf(m.canonical)
				if err != nil {
					return err
				}
				e.Seq = int64(m.seq)
				entry := Entry{Event: e}
				if whole {
					entry.Canonical = bytes.Clone(m.canonical)
					size += len(entry.Canonical)
				}
				out = append(out, entry)
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

// EventByID returns the newest event with the id: at once when it came within a week, and after a look
// through the columns when it is older.
func (s *Store) EventByID(ctx context.Context, id string) (Event, error) {
	if s.index != nil && !s.healing.Load() {
		seq, err := s.index.Newest(id)
		if err != nil {
			err = s.indexFailed(err)
			s.log.Warn("an event is looked for without the index of ids", "error", err)
		}
		if seq > 0 {
			list, err := s.EventsAfter(ctx, int64(seq)-1, 1)
			if err != nil || len(list) == 1 && list[0].Seq == int64(seq) && list[0].ID == id {
				if err == nil && s.erased(&list[0]) {
					return Event{}, ErrNotFound
				}
				return first(list), err
			}
		}
	}
	return s.lookFor(ctx, id)
}

func first(list []Event) Event {
	if len(list) == 0 {
		return Event{}
	}
	return list[0]
}

// lookFor finds the newest event with an id in the columns, and in the log what they do not have.
func (s *Store) lookFor(ctx context.Context, id string) (Event, error) {
	select {
	case s.questions <- struct{}{}:
		defer func() { <-s.questions }()
	case <-ctx.Done():
		return Event{}, fmt.Errorf("accesslog: wait for earlier questions: %w", ctx.Err())
	}
	upTo, from := s.Acked(), int64(0)
	var found Event
	if v := s.view(ctx, upTo); v != nil {
		defer v.Release()
		row, ok, err := v.ByID(id)
		if err != nil && !table.Away(err) {
			return Event{}, fmt.Errorf("accesslog: %w", err)
		}
		if ok {
			if found, err = ofRow(&row, map[string][]string{}); err != nil {
				return Event{}, err
			}
		}
		if err == nil {
			from = v.UpTo
		}
	}
	c := &choice{fn: func(e Event) error {
		if e.ID == id && e.Seq > found.Seq {
			found = e
		}
		return nil
	}}
	if err := s.selectLog(ctx, c, from, upTo); err != nil {
		return Event{}, err
	}
	if found.Seq == 0 {
		return Event{}, ErrNotFound
	}
	return found, nil
}

// Position returns where an event stands in the log: the index of its leaf and its number there,
// from 0. ErrNotFound while it is not sealed.
func (s *Store) Position(ctx context.Context, seq int64) (index uint64, n int, err error) {
	var first, last int64
	err = s.read.QueryRowContext(ctx, `SELECT idx, first, last FROM leaf WHERE first <= ? ORDER BY first DESC LIMIT 1`, seq).Scan(&index, &first, &last)
	if errors.Is(err, sql.ErrNoRows) || err == nil && seq > last {
		return 0, 0, ErrNotFound
	}
	if err != nil {
		return 0, 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return index, int(seq - first), nil
}

// LastSeq returns the Seq of the last event in the first size leaves of the log; 0 when size is 0.
func (s *Store) LastSeq(ctx context.Context, size uint64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	var last int64
	err := s.read.QueryRowContext(ctx, `SELECT last FROM leaf WHERE idx = ?`, size-1).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%w: the log has fewer than %d leaves", ErrNotFound, size)
	}
	if err != nil {
		return 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return last, nil
}

// ConsumerAt returns how far a consumer has come; 0 when it never said.
func (s *Store) ConsumerAt(ctx context.Context, name string) (int64, error) {
	var seq int64
	err := s.read.QueryRowContext(ctx, `SELECT seq FROM consumer WHERE name = ?`, name).Scan(&seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return seq, nil
}

// SetConsumer notes that a consumer has handled everything up to seq. A crash before it: the
// consumer sees those events again, so what it does with them must bear repetition.
func (s *Store) SetConsumer(ctx context.Context, name string, seq int64) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	_, err := s.write.ExecContext(ctx, `INSERT INTO consumer (name, seq) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)`, name, seq)
	if err != nil {
		return fmt.Errorf("accesslog: note the position of %s: %w", name, err)
	}
	return nil
}
