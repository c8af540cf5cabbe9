package accesslog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
)

const (
	feedGroup = 5_000 // events in one transaction of the table
	dedupRun  = 500   // ids looked up at once
	feedRetry = time.Second
	doorBusy  = 20 * time.Millisecond // since the last group was made durable
	consumer  = "table"               // its row in consumer says how far the table has come
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
	for {
		s.mu.Lock()
		from, acked := s.fed, s.acked
		s.mu.Unlock()
		if from >= acked {
			s.setBehind(nil)
			return nil
		}
		var group []packed
		n := 0
		last := from
		err := s.spool.Read(from, func(r spool.Record) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			_, list, err := s.frames.unpack(r.Body, r.First)
			if err != nil {
				return err
			}
			group = append(group, list...)
			n += r.Count
			last = r.First + uint64(r.Count) - 1
			if n >= feedGroup {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		began := time.Now()
		if err := s.feedOnce(group, from, last); err != nil {
			return err
		}
		s.giveWay(ctx, time.Since(began))
	}
}

// giveWay lets the door have most of the machine while it is busy: the table is behind for a while
// rather than senders turned away. It ends when the spool is half full, because then the table is
// what senders wait for.
func (s *Store) giveWay(ctx context.Context, worked time.Duration) {
	if time.Since(time.Unix(0, s.lastAck.Load())) > doorBusy || s.spool.Size() > s.o.Backlog/2 {
		return
	}
	t := time.NewTimer(min(3*worked, time.Second))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.urgent:
	case <-ctx.Done():
	}
}

var errEnough = errors.New("enough")

// feedOnce inserts the events of a group after a position.
func (s *Store) feedOnce(group []packed, from, last uint64) error {
	ctx := context.Background()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("accesslog: write %s: %w", fileName, err)
	}
	f := &feeder{s: s, tx: tx, from: from, pulses: map[pulse]int64{}, newest: map[int64]time.Time{}}
	err = f.prepare()
	for _, p := range group {
		if err == nil {
			err = f.batch(p)
		}
	}
	if err == nil {
		err = f.finish(last)
	}
	if err == nil {
		err = tx.Commit()
	} else {
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		return fmt.Errorf("accesslog: write %s: %w", fileName, err)
	}
	s.names.put(f.names.fresh)
	s.mu.Lock()
	s.fed = last
	s.repeated += f.repeated
	for _, p := range group {
		delete(s.answered, p.source+"\x00"+p.key)
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	if f.repeated > 0 {
		s.log.Warn("events came again after longer than the door remembers; they stand in the log twice and in the table once", "events", f.repeated)
	}
	nudge(s.tabling)
	return s.release()
}

// feeder is the state of one transaction of the table.
type feeder struct {
	s        *Store
	tx       *sql.Tx
	from     uint64
	names    *interner
	insert   *sql.Stmt
	pulses   map[pulse]int64
	newest   map[int64]time.Time
	last     time.Time // received of the newest batch
	repeated int64
}

type pulse struct{ source, kind, slot int64 }

const eventColumns = `seq, idh, id, time, received, source, kind, app, env, actor_type, actor, credential, session,
	action, endpoint, purpose, merchant, store, subjects, data_types, records, bytes, outcome, ip, agent, flags, supplied`

func (f *feeder) prepare() error {
	var err error
	if f.names, err = f.s.names.begin(f.tx); err != nil {
		return err
	}
	f.insert, err = f.tx.Prepare(`INSERT INTO event (` + eventColumns + `) VALUES (` + strings.TrimSuffix(strings.Repeat("?,", 27), ",") + `)`)
	return err
}

// batch brings one batch into the table.
func (f *feeder) batch(p packed) error {
	source, err := f.names.id(p.source)
	if err != nil {
		return err
	}
	events := make([]Event, 0, len(p.members))
	for _, m := range p.members {
		if m.seq <= f.from {
			continue // a record that was fed in part
		}
		e, err := eventOf(m.canonical)
		if err != nil {
			return err
		}
		e.Seq = int64(m.seq)
		events = append(events, e)
	}
	var known map[string]bool
	if !f.s.compared() {
		if known, err = f.known(source, p.received, events); err != nil {
			return err
		}
	}
	for i := range events {
		if known[events[i].ID] {
			f.repeated++
			if _, err := f.tx.Exec(`INSERT OR IGNORE INTO repeated (seq) VALUES (?)`, events[i].Seq); err != nil {
				return err
			}
			continue
		}
		if err := f.event(source, &events[i]); err != nil {
			return err
		}
	}
	if f.last = p.received; p.key == "" || len(events) < len(p.members) {
		return nil
	}
	_, err = f.tx.Exec(`INSERT OR REPLACE INTO batch (source, key, received, receipt) VALUES (?, ?, ?, ?)`,
		source, p.key, p.received.UnixNano(), p.receipt)
	return err
}

// known returns the ids of a batch that its source sent within the last seven days.
func (f *feeder) known(source int64, received time.Time, events []Event) (map[string]bool, error) {
	out := map[string]bool{}
	since := received.Add(-keepIDs).UnixNano()
	for from := 0; from < len(events); from += dedupRun {
		run := events[from:min(from+dedupRun, len(events))]
		args := make([]any, 0, len(run)+2)
		for i := range run {
			args = append(args, idHash(run[i].ID))
		}
		args = append(args, source, since)
		rows, err := f.tx.Query(`SELECT id FROM event WHERE idh IN (`+strings.TrimSuffix(strings.Repeat("?,", len(run)), ",")+
			`) AND source = ? AND received > ?`, args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return nil, errors.Join(err, rows.Close())
			}
			out[id] = true
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// event inserts one event.
func (f *feeder) event(source int64, e *Event) error {
	var ids [14]int64
	for i, v := range [...]string{
		e.Kind, e.App, e.Env, e.ActorType, e.ActorID, e.Credential, e.Action, e.Endpoint, e.Purpose,
		e.Merchant, e.Store, typesText(e.DataTypes), e.Outcome, e.IP,
	} {
		var err error
		if ids[i], err = f.names.id(v); err != nil {
			return err
		}
	}
	agent, err := f.names.id(e.Agent)
	if err != nil {
		return err
	}
	supplied, err := f.names.id(e.Supplied)
	if err != nil {
		return err
	}
	flags := 0
	if e.Late {
		flags |= 1
	}
	if e.Skewed {
		flags |= 2
	}
	_, err = f.insert.Exec(e.Seq, idHash(e.ID), e.ID, e.Time.UnixNano(), e.Received.UnixNano(), source, ids[0], ids[1], ids[2],
		ids[3], ids[4], ids[5], e.Session, ids[6], ids[7], ids[8], ids[9], ids[10], append([]byte{}, slices.Concat(e.Subjects...)...), ids[11], e.Records, e.Bytes,
		ids[12], ids[13], agent, flags, supplied)
	if err != nil {
		return err
	}
	f.pulses[pulse{source, ids[0], slotOf(e.Time)}]++
	if t, ok := f.newest[source]; !ok || e.Time.After(t) {
		f.newest[source] = e.Time
	}
	return nil
}

// finish writes what is counted once per transaction.
func (f *feeder) finish(last uint64) error {
	_, err := f.tx.Exec(`INSERT INTO consumer (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq`, consumer, last)
	if err != nil {
		return err
	}
	for p, n := range f.pulses {
		_, err := f.tx.Exec(`INSERT INTO pulse (source, kind, slot, n) VALUES (?, ?, ?, ?)
			ON CONFLICT (source, kind, slot) DO UPDATE SET n = n + excluded.n`, p.source, p.kind, p.slot, n)
		if err != nil {
			return err
		}
	}
	for source, t := range f.newest {
		_, err := f.tx.Exec(`INSERT INTO source (source, newest) VALUES (?, ?)
			ON CONFLICT (source) DO UPDATE SET newest = max(newest, excluded.newest)`, source, t.UnixNano())
		if err != nil {
			return err
		}
	}
	if f.last.IsZero() {
		return nil
	}
	_, err = f.tx.Exec(`DELETE FROM batch WHERE received <= ?`, f.last.Add(-keepBatch).UnixNano())
	return err
}

// compared says whether the door has compared every event with all that came in the seven days
// before it, so that the table need not.
func (s *Store) compared() bool {
	return !s.forgot.Load()
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
