package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/ids"
	"github.com/tocsin-ir/tocsin/accesslog/spool"
)

// Limits of one commit, and how long what came before is known.
const (
	maxGroup  = 10_000 // events of several callers made durable together, some 6 MB
	keepBatch = 24 * time.Hour
	keepIDs   = 7 * 24 * time.Hour

	rememberIDs  = 1 << 19 // in each of two generations; more than the index of ids holds that is not on the disk yet
	rememberKeys = 1 << 19

	maxAnswered = 32 << 20 // bytes of receipts that the table has not yet
)

// ErrDisk says that the disk did not take a batch. Nothing of it was taken, and the door stays
// open: room may be made.
var ErrDisk = errors.New("accesslog: the disk did not take the events")

// commitLoop is the only one that gives events their positions. It takes what is waiting, makes it
// durable with one fsync, and tells the senders afterwards.
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
		answers, err := s.commit(group)
		if err != nil {
			s.log.Error("events were not stored", "error", err)
			for _, b := range group {
				b.answer <- answer{err: err}
			}
			continue
		}
		for i, b := range group {
			b.answer <- answers[i]
		}
	}
}

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// seenBatch is a batch that was answered and is not in the table yet.
type seenBatch struct {
	received time.Time
	receipt  []byte
}

// size is about what it takes in memory.
func (b seenBatch) size(name string) int { return len(name) + len(b.receipt) + 128 }

// keepAnswer holds a batch until the table has it; mu is held.
func (s *Store) keepAnswer(name string, b seenBatch) {
	s.forgetAnswer(name)
	s.answered[name] = b
	s.answers += b.size(name)
}

// forgetAnswer lets go of a batch that the table has, or that another takes the place of; mu is held.
func (s *Store) forgetAnswer(name string) {
	if b, ok := s.answered[name]; ok {
		s.answers -= b.size(name)
		delete(s.answered, name)
	}
}

// commit makes the batches of a group durable in the spool. A crash before its sync: nothing of
// them is stored and no sender was told. A crash after it: they are stored and the next start feeds
// them to table and log; the sender, who was not told, sends again and is answered as duplicates by
// batch key or event id.
func (s *Store) commit(group []*batch) ([]answer, error) {
	if !s.indexing.TryLock() {
		return nil, ErrIndexing
	}
	defer s.indexing.Unlock()
	s.mu.Lock()
	next := s.acked + 1
	s.mu.Unlock()
	c := &committer{s: s, next: next, keys: map[string]seenBatch{}, commitRoom: &s.packing}
	c.reset()
	answers := make([]answer, len(group))
	var err error
	for i, b := range group {
		answers[i].receipt, err = c.batch(b)
		if errors.Is(err, ErrOtherBatch) {
			answers[i].err = err // it is refused alone
		} else if err != nil {
			c.undo()
			return nil, err
		}
	}
	if err := c.flush(); err != nil {
		c.undo()
		return nil, err
	}
	if len(c.records) > 0 {
		if err := s.spool.Append(c.records); err != nil {
			c.undo()
			return nil, fmt.Errorf("%w: %w", ErrDisk, err)
		}
	}
	for _, name := range c.names {
		s.batches.add(name, c.last)
	}
	s.index.Add(c.entries)
	s.mu.Lock()
	s.acked = c.next - 1
	for name, b := range c.keys {
		s.keepAnswer(name, b)
	}
	s.mu.Unlock()
	if c.next > next {
		s.rush.took(int(c.next-next), time.Now())
		s.tell(int64(c.next - 1))
		nudge(s.more)
		nudge(s.feed)
	}
	return answers, nil
}

// committer is the state of one group.
type committer struct {
	*commitRoom
	s     *Store
	next  uint64
	day   string
	first uint64 // position of the first event of run
	keys  map[string]seenBatch
	names []uint64
	last  time.Time
}

// commitRoom is the memory of one group, which the next one uses again.
type commitRoom struct {
	run     []packed
	members []member
	records []spool.Record
	bodies  []byte
	ids     []uint64 // that were added, to be taken back when the disk refuses
	entries []ids.Entry
	pack    room
}

func (r *commitRoom) reset() {
	clear(r.members) // they hold on to the bytes of their batches
	r.run, r.members, r.records, r.bodies, r.ids, r.entries = r.run[:0], r.members[:0], r.records[:0], r.bodies[:0], r.ids[:0], r.entries[:0]
}

func (c *committer) undo() {
	for _, id := range c.ids {
		c.s.ids.remove(id)
	}
}

// batch takes what is new of one batch.
func (c *committer) batch(b *batch) (Receipt, error) {
	s := c.s
	name := b.source + "\x00" + b.key
	if b.key != "" {
		stored, err := c.answered(b, name)
		if err != nil {
			return Receipt{}, err
		}
		if stored != nil {
			return seenReceipt(stored, b.sum)
		}
	}
	if day := b.received.Format(time.DateOnly); day != c.day {
		if err := c.flush(); err != nil {
			return Receipt{}, err
		}
		c.day = day
	}
	receipt := b.receipt
	p := packed{source: b.source, key: b.key, received: b.received}
	before := len(c.members)
	// Between the comparison with the disk and now, events may have gone to the disk that memory does
	// not hold any more.
	if c.next > b.compared+rememberIDs {
		if err := s.compare(b); err != nil {
			return Receipt{}, err
		}
	}
	for i := range b.arrivals {
		a := &b.arrivals[i]
		if a.known || s.ids.has(a.hash, b.received) {
			receipt.Duplicates++
			continue
		}
		c.entries = append(c.entries, ids.Entry{Key: a.key, Seq: c.next + uint64(len(c.members)-before), Minute: minuteOf(b.received)})
		s.ids.add(a.hash, b.received)
		c.ids = append(c.ids, a.hash)
		c.members = append(c.members, a.member)
	}
	p.members = c.members[before:len(c.members):len(c.members)]
	receipt.Accepted = len(p.members)
	c.last = b.received
	if b.key != "" {
		var err error
		if p.receipt, err = json.Marshal(keptReceipt{receipt, b.sum}); err != nil {
			return Receipt{}, err
		}
	}
	if len(p.members) == 0 {
		return receipt, nil // nothing to be durable: sent again, it is answered the same
	}
	if b.key != "" {
		c.keys[name] = seenBatch{b.received, p.receipt}
		c.names = append(c.names, s.batches.hash(b.source, b.key))
	}
	if len(c.run) == 0 {
		c.first = c.next
	}
	c.run = append(c.run, p)
	c.next += uint64(len(p.members))
	return receipt, nil
}

// answered is the receipt of a batch that came before under the same key; nil when none did.
func (c *committer) answered(b *batch, name string) ([]byte, error) {
	s := c.s
	if seen, ok := c.keys[name]; ok {
		return seen.receipt, nil
	}
	s.mu.Lock()
	seen, ok := s.answered[name]
	s.mu.Unlock()
	if ok && b.received.Sub(seen.received) < keepBatch {
		return seen.receipt, nil
	}
	if s.batches.complete(b.received) && !s.batches.has(s.batches.hash(b.source, b.key), b.received) {
		return nil, nil
	}
	return s.storedReceipt(b)
}

// flush packs the batches of one day into a record.
func (c *committer) flush() error {
	if len(c.run) == 0 {
		return nil
	}
	from := len(c.bodies)
	bodies, err := c.s.frames.pack(c.bodies, c.day, c.run, &c.pack)
	if err != nil {
		return err
	}
	c.bodies = bodies
	c.records = append(c.records, spool.Record{First: c.first, Count: int(c.next - c.first), Body: bodies[from:]})
	c.run = c.run[:0]
	return nil
}

// compare marks those events of a batch that the index of ids has on its disk. Newer ones are the
// committer's to know, which holds at least as many as the index does not have there.
func (s *Store) compare(b *batch) error {
	if s.healing.Load() {
		return ErrIndexing
	}
	if err := s.index.Ready(); errors.Is(err, ids.ErrDamaged) {
		return s.indexFailed(err)
	} else if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	keys := make([]ids.Key, len(b.arrivals))
	for i := range b.arrivals {
		keys[i] = b.arrivals[i].key
	}
	found, upTo, err := s.index.Find(keys, minuteOf(b.received.Add(-keepIDs)))
	if err != nil {
		return s.indexFailed(err)
	}
	b.compared = upTo
	for i := range b.arrivals {
		b.arrivals[i].known = found[b.arrivals[i].key]
	}
	return nil
}
