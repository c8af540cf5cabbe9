package accesslog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/leaf"
)

// Limits of one commit.
const (
	maxGroup  = 20_000 // events of several callers in one transaction
	spoolRun  = 2_000  // events in one spool row
	dedupRun  = 500    // ids looked up at once
	keepBatch = 24 * time.Hour
	keepIDs   = 7 * 24 * time.Hour
)

// commitLoop is the only writer of events. It takes what is waiting, writes it in one
// transaction, and tells the senders afterwards.
func (s *Store) commitLoop() {
	for first := range s.queue {
		group := []*batch{first}
		n := len(first.arrivals)
	collect:
		for n < maxGroup {
			select {
			case b, ok := <-s.queue:
				if !ok {
					break collect
				}
				group = append(group, b)
				n += len(b.arrivals)
			default:
				break collect
			}
		}
		s.waiting.Add(-int64(n))
		answers, events, err := s.commit(group)
		if err != nil {
			s.log.Error("events were not stored", "error", err)
			s.resync()
			for _, b := range group {
				b.answer <- answer{err: err}
			}
			continue
		}
		if len(events) > 0 {
			s.mu.Lock()
			s.acked = uint64(events[len(events)-1].Seq)
			s.mu.Unlock()
			s.tell(events)
			nudge(s.more)
		}
		for i, b := range group {
			b.answer <- answers[i]
		}
	}
}

// resync asks the database where it stands after a failed commit: a commit that reported an error
// may have become durable all the same. What it stored then is sealed and its sender, who was
// told of an error, is answered as duplicates when it tries again.
func (s *Store) resync() {
	var acked uint64
	if err := s.write.QueryRow(`SELECT coalesce(max(seq), 0) FROM event`).Scan(&acked); err != nil {
		return // the next commit fails as well and tries again
	}
	s.mu.Lock()
	s.acked = max(s.acked, acked)
	s.mu.Unlock()
	nudge(s.more)
}

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// commit writes the batches of a group. A crash before its commit: nothing of them is stored and
// no sender was told. A crash after it: they are stored, spooled and counted; the sender, who was
// not told, sends again and is answered as duplicates by batch key or event id.
func (s *Store) commit(group []*batch) ([]answer, []Event, error) {
	ctx := context.Background()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("accesslog: write %s: %w", fileName, err)
	}
	c := &committer{s: s, tx: tx, next: s.acked + 1, pulses: map[pulse]int64{}, newest: map[int64]time.Time{}}
	answers := make([]answer, len(group))
	err = c.prepare()
	for i, b := range group {
		if err == nil {
			answers[i].receipt, err = c.batch(b)
		}
	}
	if err == nil {
		err = c.finish()
	}
	if err == nil {
		err = tx.Commit()
	} else {
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		return nil, nil, fmt.Errorf("accesslog: write %s: %w", fileName, err)
	}
	s.names.put(c.names.fresh)
	return answers, c.events, nil
}

// committer is the state of one transaction.
type committer struct {
	s      *Store
	tx     *sql.Tx
	names  *interner
	insert *sql.Stmt
	next   uint64
	events []Event
	spool  []member
	epoch  string
	pulses map[pulse]int64
	newest map[int64]time.Time
	last   time.Time // received of the newest batch
	seen   map[seenID]bool
}

type pulse struct{ source, kind, slot int64 }

type seenID struct {
	source int64
	id     string
}

const eventColumns = `seq, idh, id, time, received, source, kind, app, env, actor_type, actor, credential, session,
	action, endpoint, purpose, merchant, store, subjects, data_types, records, bytes, outcome, ip, agent, flags, supplied`

func (c *committer) prepare() error {
	var err error
	if c.names, err = c.s.names.begin(c.tx); err != nil {
		return err
	}
	c.seen = map[seenID]bool{}
	c.insert, err = c.tx.Prepare(`INSERT INTO event (` + eventColumns + `) VALUES (` + strings.TrimSuffix(strings.Repeat("?,", 27), ",") + `)`)
	return err
}

// batch stores what is new of one batch.
func (c *committer) batch(b *batch) (Receipt, error) {
	source, err := c.names.id(b.source)
	if err != nil {
		return Receipt{}, err
	}
	if b.key != "" {
		var stored []byte
		err := c.tx.QueryRow(`SELECT receipt FROM batch WHERE source = ? AND key = ? AND received > ?`,
			source, b.key, b.received.Add(-keepBatch).UnixNano()).Scan(&stored)
		if err == nil {
			return seenReceipt(stored)
		}
		if err != sql.ErrNoRows {
			return Receipt{}, err
		}
	}
	receipt := b.receipt
	known, err := c.known(source, b)
	if err != nil {
		return Receipt{}, err
	}
	if epoch := b.received.Format(time.DateOnly); epoch != c.epoch {
		if err := c.flush(); err != nil {
			return Receipt{}, err
		}
		c.epoch = epoch
	}
	for i := range b.arrivals {
		a := &b.arrivals[i]
		id := seenID{source, a.id}
		if known[a.id] || c.seen[id] {
			receipt.Duplicates++
			continue
		}
		c.seen[id] = true
		if err := c.event(source, a); err != nil {
			return Receipt{}, err
		}
		receipt.Accepted++
	}
	c.last = b.received
	if b.key != "" {
		stored, err := json.Marshal(receipt)
		if err != nil {
			return Receipt{}, err
		}
		_, err = c.tx.Exec(`INSERT OR REPLACE INTO batch (source, key, received, receipt) VALUES (?, ?, ?, ?)`,
			source, b.key, b.received.UnixNano(), stored)
		if err != nil {
			return Receipt{}, err
		}
	}
	return receipt, nil
}

// known returns the ids of a batch that its source sent within the last seven days.
func (c *committer) known(source int64, b *batch) (map[string]bool, error) {
	out := map[string]bool{}
	since := b.received.Add(-keepIDs).UnixNano()
	for from := 0; from < len(b.arrivals); from += dedupRun {
		run := b.arrivals[from:min(from+dedupRun, len(b.arrivals))]
		args := make([]any, 0, len(run)+2)
		for i := range run {
			args = append(args, idHash(run[i].id))
		}
		args = append(args, source, since)
		rows, err := c.tx.Query(`SELECT id FROM event WHERE idh IN (`+strings.TrimSuffix(strings.Repeat("?,", len(run)), ",")+
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

// event inserts one event and puts it into the spool.
func (c *committer) event(source int64, a *arrival) error {
	e, err := eventOf(a.canonical)
	if err != nil {
		return err
	}
	var ids [14]int64
	for i, v := range [...]string{
		e.Kind, e.App, e.Env, e.ActorType, e.ActorID, e.Credential, e.Action, e.Endpoint, e.Purpose,
		e.Merchant, e.Store, typesText(e.DataTypes), e.Outcome, e.IP,
	} {
		var err error
		if ids[i], err = c.names.id(v); err != nil {
			return err
		}
	}
	agent, err := c.names.id(e.Agent)
	if err != nil {
		return err
	}
	supplied, err := c.names.id(e.Supplied)
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
	e.Seq = int64(c.next)
	a.seq = c.next
	_, err = c.insert.Exec(e.Seq, idHash(e.ID), e.ID, e.Time.UnixNano(), e.Received.UnixNano(), source, ids[0], ids[1], ids[2],
		ids[3], ids[4], ids[5], e.Session, ids[6], ids[7], ids[8], ids[9], ids[10], append([]byte{}, slices.Concat(e.Subjects...)...), ids[11], e.Records, e.Bytes,
		ids[12], ids[13], agent, flags, supplied)
	if err != nil {
		return err
	}
	c.next++
	c.events = append(c.events, e)
	c.pulses[pulse{source, ids[0], slotOf(e.Time)}]++
	if t, ok := c.newest[source]; !ok || e.Time.After(t) {
		c.newest[source] = e.Time
	}
	c.spool = append(c.spool, a.member)
	if len(c.spool) >= spoolRun {
		return c.flush()
	}
	return nil
}

// flush writes the collected run of events as one sealed spool row.
func (c *committer) flush() error {
	if len(c.spool) == 0 {
		return nil
	}
	key, err := c.s.o.Keys.Key("epoch", c.epoch)
	if err != nil {
		return err
	}
	nonce := make([]byte, leaf.NonceLen)
	rand.Read(nonce)
	body, err := sealSpool(key, nonce, c.spool)
	if err != nil {
		return err
	}
	_, err = c.tx.Exec(`INSERT INTO spool (first, last, epoch, body) VALUES (?, ?, ?, ?)`,
		c.spool[0].seq, c.spool[len(c.spool)-1].seq, c.epoch, body)
	c.spool = c.spool[:0]
	return err
}

// finish writes what is counted once per transaction.
func (c *committer) finish() error {
	if err := c.flush(); err != nil {
		return err
	}
	for p, n := range c.pulses {
		_, err := c.tx.Exec(`INSERT INTO pulse (source, kind, slot, n) VALUES (?, ?, ?, ?)
			ON CONFLICT (source, kind, slot) DO UPDATE SET n = n + excluded.n`, p.source, p.kind, p.slot, n)
		if err != nil {
			return err
		}
	}
	for source, t := range c.newest {
		_, err := c.tx.Exec(`INSERT INTO source (source, newest) VALUES (?, ?)
			ON CONFLICT (source) DO UPDATE SET newest = max(newest, excluded.newest)`, source, t.UnixNano())
		if err != nil {
			return err
		}
	}
	if c.last.IsZero() {
		return nil
	}
	_, err := c.tx.Exec(`DELETE FROM batch WHERE received <= ?`, c.last.Add(-keepBatch).UnixNano())
	return err
}
