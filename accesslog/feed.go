package accesslog

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/accesslog/table"
)

const (
	feedGroup = 20_000          // events in one step
	feedDefer = 2 * time.Second // that a busy door goes first
	feedRetry = time.Second
	consumer  = "table" // its row in consumer says how far the table has come
)

// feedLoop brings what is durable in the spool into the table until ctx is done, and then once
// more. A crash at any point: the table says how far it came in the same transaction as its rows,
// and the next start goes on from there.
func (s *Store) feedLoop(ctx context.Context) {
	for {
		err := s.feedAll(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("events were not brought into the table", "error", err)
			s.setBehind(err)
			retry := time.NewTimer(feedRetry)
			select {
			case <-retry.C:
			case <-ctx.Done():
			}
			retry.Stop()
			continue
		}
		select {
		case <-s.feed:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			defer cancel()
			if err := s.feedAll(last); err != nil {
				// The spool keeps them; the next start goes on.
				s.log.Error("the last events were not brought into the table", "error", err)
			}
			return
		}
	}
}

func (s *Store) setBehind(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = err
	s.cond.Broadcast()
}

// feedAll works through the spool until its end.
func (s *Store) feedAll(ctx context.Context) error {
	until := time.Now().Add(feedDefer)
	for {
		s.giveWay(ctx, until, s.urgent)
		s.mu.Lock()
		from, acked := s.fed, s.acked
		s.mu.Unlock()
		if from >= acked {
			s.setBehind(nil)
			return nil
		}
		if err := s.feedOnce(ctx, from, acked); err != nil {
			return err
		}
	}
}

var errEnough = errors.New("enough")

// feedOnce takes some of the events after a position that are acknowledged: what is counted of them goes to the database,
// they themselves to the columns. A crash between the two: the columns, which know their own position,
// take them from spool or log.
func (s *Store) feedOnce(ctx context.Context, from, acked uint64) error {
	f := &feeder{s: s, from: from, upTo: from, rows: s.feedRows[:0], pulses: map[pulse]int64{}, newest: map[string]time.Time{}}
	defer func() {
		clear(f.rows)
		s.feedRows = f.rows[:0] // the columns keep a copy
	}()
	err := s.spool.Read(from, func(r spool.Record) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.First > acked { // durable, and the committer has not said so yet
			return errEnough
		}
		return f.record(r)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	last := f.upTo
	if err := f.write(last); err != nil {
		return fmt.Errorf("accesslog: write %s: %w", fileName, err)
	}
	s.mu.Lock()
	s.fed = last
	for _, p := range f.named {
		s.forgetAnswer(p.source + "\x00" + p.key)
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	if s.columns.UpTo() != int64(from) {
		nudge(s.tabling) // they are behind, or were begun anew, and take these when they get there
		return s.release()
	}
	repeated, err := s.repeatedIn(ctx, int64(from), int64(last))
	if err != nil {
		return err
	}
	if len(repeated) > 0 {
		f.rows = slices.DeleteFunc(f.rows, func(r table.Row) bool { return repeated[r.Seq] })
	}
	if err := s.columns.Append(ctx, int64(from), f.rows, int64(last)); err != nil {
		nudge(s.tabling)
		return err
	}
	s.mu.Lock()
	s.cond.Broadcast()
	s.mu.Unlock()
	return s.release()
}

// feeder is the state of one step.
type feeder struct {
	s      *Store
	from   uint64
	upTo   uint64 // position of the last event that was read
	rows   []table.Row
	named  []packed // batches with a key, without their events
	pulses map[pulse]int64
	newest map[string]time.Time
	last   time.Time // received of the newest batch
}

type pulse struct {
	source, kind string
	slot         int64
}

// record reads one record; errEnough says that it was the last of this step.
func (f *feeder) record(r spool.Record) error {
	_, list, err := f.s.frames.unpack(r.Body, r.First, &f.s.feedRoom)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := f.batch(p); err != nil {
			return err
		}
		if p.key != "" {
			p.receipt = bytes.Clone(p.receipt)
			if p.members[0].seq <= f.from {
				p.receipt = nil // it was written
			}
			p.members = nil
			f.named = append(f.named, p)
		}
	}
	if f.upTo = r.First + uint64(r.Count) - 1; f.upTo >= f.from+feedGroup {
		return errEnough
	}
	return nil
}

// batch reads one batch.
func (f *feeder) batch(p packed) error {
	newest := f.newest[p.source]
	var same pulse
	var n int64 // of them, not yet counted
	for _, m := range p.members {
		if m.seq <= f.from {
			continue // a record that was taken in part
		}
		f.rows = append(f.rows, table.Row{})
		r := &f.rows[len(f.rows)-1]
		if err := f.s.reading.row(r, int64(m.seq), m.canonical); err != nil {
			return err
		}
		if slot := slotOf(m.time); n == 0 || same.kind != r.Kind || same.slot != slot {
			f.count(same, n)
			same, n = pulse{p.source, r.Kind, slot}, 0
		}
		n++
		live := m.time
		if r.Supplied != "" {
			live = suppliedOnly // says nothing about whether the source still sends
		}
		if newest.IsZero() || live.After(newest) {
			newest = live
		}
	}
	f.count(same, n)
	if !newest.IsZero() {
		f.newest[p.source] = newest
	}
	f.last = p.received
	return nil
}

func (f *feeder) count(p pulse, n int64) {
	if n > 0 {
		f.pulses[p] += n
	}
}

// write brings what is remembered of batches and counted of events into the database, with the position
// that the step has come to.
func (f *feeder) write(last uint64) error {
	tx, err := f.s.write.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	names, err := f.s.names.begin(tx)
	for _, p := range f.named {
		if err == nil && p.receipt != nil {
			var source int64
			if source, err = names.id(p.source); err == nil {
				_, err = tx.Exec(`INSERT OR REPLACE INTO batch (source, key, received, receipt) VALUES (?, ?, ?, ?)`,
					source, p.key, p.received.UnixNano(), p.receipt)
			}
		}
	}
	if err == nil {
		err = f.finish(tx, names, last)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	f.s.names.put(names.fresh)
	return nil
}

// finish writes what is counted once per step.
func (f *feeder) finish(tx *sql.Tx, names *interner, last uint64) error {
	_, err := tx.Exec(`INSERT INTO consumer (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq`, consumer, last)
	if err != nil {
		return err
	}
	for p, n := range f.pulses {
		source, err := names.id(p.source)
		if err != nil {
			return err
		}
		kind, err := names.id(p.kind)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO pulse (source, kind, slot, n) VALUES (?, ?, ?, ?)
			ON CONFLICT (source, kind, slot) DO UPDATE SET n = n + excluded.n`, source, kind, p.slot, n)
		if err != nil {
			return err
		}
	}
	for name, t := range f.newest {
		source, err := names.id(name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO source (source, newest) VALUES (?, ?)
			ON CONFLICT (source) DO UPDATE SET newest = max(newest, excluded.newest)`, source, t.UnixNano())
		if err != nil {
			return err
		}
	}
	if f.last.IsZero() {
		return nil
	}
	_, err = tx.Exec(`DELETE FROM batch WHERE received <= ?`, f.last.Add(-keepBatch).UnixNano())
	return err
}

// storedReceipt is the receipt of a batch in the table; nil when there is none.
func (s *Store) storedReceipt(b *batch) ([]byte, error) {
	var stored []byte
	err := s.read.QueryRow(`SELECT b.receipt FROM batch b JOIN name n ON n.id = b.source WHERE n.s = ? AND b.key = ? AND b.received > ?`,
		b.source, b.key, b.received.Add(-keepBatch).UnixNano()).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return stored, nil
}
