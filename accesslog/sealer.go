package accesslog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/leaf"
)

const (
	sealRetry = time.Second // protocol time between attempts after a failure
	sealPlain = 2 << 20     // bytes of events read at once
	bundle    = 256         // leaves of a full bundle of the log, which is written once
	// Under load, sealing waits for a full bundle, because a partial one is written again: until
	// there are this many events to seal, or for so long.
	sealLoad  = 5_000
	sealWait  = 2 * time.Second
	sealDefer = 5 * time.Second // that a busy door goes first
	// minRatio is how well a batch must at least be expected to pack: events of one app are alike.
	minRatio = 2
	maxRatio = 40
)

// sealer carries what one pass learns to the next.
type sealer struct {
	s       *Store
	ratio   float64 // plain to packed bytes of the last full leaf, to aim the next
	perLeaf int     // events in the last full leaf
	rooms   []*room // of the records at hand
	used    int
}

// room is memory for one more record.
func (w *sealer) room() *room {
	if w.used == len(w.rooms) {
		w.rooms = append(w.rooms, &room{})
	}
	w.used++
	return w.rooms[w.used-1]
}

// sealLoop moves events from the spool into the log until ctx is done, and then once more.
func (s *Store) sealLoop(ctx context.Context) {
	w := &sealer{s: s, ratio: 4, perLeaf: 500}
	for ctx.Err() == nil {
		if s.pending() == 0 {
			select {
			case <-s.more:
			case <-ctx.Done():
				continue
			}
		}
		w.company(ctx)
		if err := w.pass(context.WithoutCancel(ctx)); err != nil {
			s.setFailed(err)
			s.log.Error("sealing events failed", "error", err)
			retry := time.NewTimer(sealRetry)
			select {
			case <-retry.C:
			case <-ctx.Done():
			}
			retry.Stop()
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := w.pass(last); err != nil {
		// The spool keeps them; the next start goes on.
		s.log.Error("sealing the last events failed", "error", err)
	}
}

func (s *Store) pending() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked - s.sealed
}

func (s *Store) setFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	s.cond.Broadcast()
}

// company lets events wait for others: small leaves at low load, full ones in full bundles at high
// load.
func (w *sealer) company(ctx context.Context) {
	for waited := time.Duration(0); ctx.Err() == nil; waited += w.s.o.FlushAge {
		t := time.NewTimer(w.s.o.FlushAge)
		select {
		case <-t.C:
		case <-w.s.hurry:
			t.Stop()
			return
		case <-ctx.Done():
		}
		t.Stop()
		w.s.mu.Lock()
		room := bundle - int(w.s.leaves%bundle)
		w.s.mu.Unlock()
		if n := int(w.s.pending()); n < sealLoad || n >= room*w.perLeaf || waited >= sealWait {
			return
		}
	}
}

// pass seals everything that is in the spool. It begins by marking what the log already has, so
// that the first pass after a crash, a pass after a failed append and a usual one are the same.
func (w *sealer) pass(ctx context.Context) error {
	if err := w.s.catchUp(ctx); err != nil {
		return err
	}
	until := time.Now().Add(sealDefer)
	for {
		w.s.giveWay(ctx, until, w.s.hurry)
		w.s.mu.Lock()
		from, acked, leaves := w.s.sealed+1, w.s.acked, w.s.leaves
		w.s.mu.Unlock()
		if from > acked {
			w.s.setFailed(nil)
			return nil
		}
		// As many leaves as the bundle has room for: what ends with a bundle is written once.
		room := bundle - int(leaves%bundle)
		var data [][]byte
		var headers []leaf.Header
		for at := from; at <= acked && len(data) < room; at = headers[len(headers)-1].Last + 1 {
			runs, err := w.spooled(at, acked)
			if err != nil {
				return err
			}
			if len(runs) == 0 {
				return fmt.Errorf("accesslog: events from %d on are acknowledged and not in the spool", at)
			}
			for i, r := range runs {
				last := r.members[len(r.members)-1].seq
				d, h, err := w.leavesOf(r, i == len(runs)-1 && last < acked)
				if err != nil {
					return err
				}
				data, headers = append(data, d...), append(headers, h...)
			}
			w.s.giveWay(ctx, until, w.s.hurry)
		}
		if len(data) > room { // what is over is sealed again, in the next bundle
			data, headers = data[:room], headers[:room]
		}
		// A crash after this append and before the mark: the leaves are in the log, the spool still
		// has the events, and catchUp marks them from the positions in the leaves' headers.
		indexes, err := w.s.o.Log.AppendMany(ctx, data)
		if err != nil {
			return err
		}
		if err := w.s.mark(ctx, indexes, headers); err != nil {
			return err
		}
	}
}

// run is consecutive events of one epoch.
type run struct {
	epoch   string
	members []member
}

// spooled reads the spool from a position on to what is acknowledged, joined to runs of one epoch. They end
// with the next call. What is durable there and not acknowledged yet is the next pass's: the log would hold
// it before the committer says so.
func (w *sealer) spooled(from, acked uint64) ([]run, error) {
	var out []run
	plain := 0
	held := 0
	for _, r := range w.rooms {
		held += cap(r.plain)
	}
	if w.used = 0; held > 8*sealPlain || len(w.rooms) > 64 {
		w.rooms = nil // after many small records, or some large ones
	}
	err := w.s.spool.Read(from-1, func(r spool.Record) error {
		if r.First > acked {
			return errEnough
		}
		day, list, err := w.s.frames.unpack(r.Body, r.First, w.room())
		if err != nil {
			return err
		}
		if len(out) == 0 || out[len(out)-1].epoch != day {
			out = append(out, run{epoch: day})
		}
		last := &out[len(out)-1]
		for _, p := range list {
			for _, m := range p.members {
				if m.seq >= from { // a record may be partly in the log
					last.members = append(last.members, m)
					plain += len(m.canonical)
				}
			}
		}
		if plain >= sealPlain {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(r run) bool { return len(r.members) == 0 })
	return out, nil
}

// leavesOf packs a run into as few leaves as it needs. When more events follow, what would not fill a
// leaf at the end is left to them, unless it is all there is.
func (w *sealer) leavesOf(r run, more bool) ([][]byte, []leaf.Header, error) {
	key, err := w.s.o.Keys.Key("epoch", r.epoch)
	if err != nil {
		return nil, nil, fmt.Errorf("accesslog: epoch key: %w", err)
	}
	var data [][]byte
	var headers []leaf.Header
	rest := r.members
	for len(rest) > 0 {
		n, plain := 0, 0
		for n < len(rest) && (n == 0 || float64(plain+len(rest[n].canonical)) < w.ratio*leaf.MaxSize*0.93) {
			plain += len(rest[n].canonical) + 1
			n++
		}
		if n == len(rest) && more && len(data) > 0 {
			break // it becomes part of a leaf that is full, with what follows
		}
		for {
			var nonce [leaf.NonceLen]byte
			rand.Read(nonce[:])
			stored, h, err := sealLeaf(r.epoch, key, nonce, rest[:n])
			if errors.Is(err, errLeafFull) && n > 1 {
				n = n * 3 / 4
				plain = plainSize(rest[:n])
				w.ratio = max(minRatio, w.ratio*0.8)
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			if len(stored) > leaf.MaxSize/2 && n < len(rest) {
				// Down at once and up slowly: a leaf that is not quite full costs little, one that was too
				// full is packed again.
				if is := float64(plain) / float64(len(stored)); is < w.ratio {
					w.ratio = is
				} else {
					w.ratio = min(maxRatio, w.ratio+(is-w.ratio)/8)
				}
				w.perLeaf = n
			} else if n < len(rest) {
				w.ratio = min(maxRatio, w.ratio*1.3)
			}
			data, headers = append(data, stored), append(headers, h)
			rest = rest[n:]
			break
		}
	}
	return data, headers, nil
}

// catchUp marks the leaves that the log has and the database does not know. It is what makes
// sealing exactly once: positions in the headers say which events they hold.
func (s *Store) catchUp(ctx context.Context) error {
	size, err := s.o.Log.Size(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	known := s.leaves
	s.mu.Unlock()
	if size < known {
		return fmt.Errorf("accesslog: the event log has %d leaves and %d were marked: it was cut or is another log; restore it from its copy", size, known)
	}
	if size == known {
		return nil
	}
	var indexes []uint64
	var headers []leaf.Header
	err = s.o.Log.Leaves(ctx, known, size-known, func(index uint64, data []byte) error {
		h, _, err := leaf.Parse(data)
		if err != nil {
			return fmt.Errorf("accesslog: leaf %d of the event log: %w", index, err)
		}
		indexes, headers = append(indexes, index), append(headers, h)
		return nil
	})
	if err != nil {
		return err
	}
	return s.mark(ctx, indexes, headers)
}

// mark notes leaves as being in the log and lets the spool go of their events. A crash before
// its commit: catchUp does it again. A crash after: nothing is left to do.
func (s *Store) mark(ctx context.Context, indexes []uint64, headers []leaf.Header) error {
	s.mu.Lock()
	sealed, leaves, acked := s.sealed, s.leaves, s.acked
	s.mu.Unlock()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("accesslog: mark leaves: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	for i, h := range headers {
		if indexes[i] != leaves || h.First != sealed+1 || h.Last > acked {
			return fmt.Errorf("accesslog: leaf %d holds events %d to %d where leaf %d with events from %d on to at most %d was expected: the event log and %s are not of one installation",
				indexes[i], h.First, h.Last, leaves, sealed+1, acked, fileName)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO leaf (idx, first, last, epoch) VALUES (?, ?, ?, ?)`, indexes[i], h.First, h.Last, h.Epoch); err != nil {
			return fmt.Errorf("accesslog: mark leaf %d: %w", indexes[i], err)
		}
		sealed, leaves = h.Last, leaves+1
	}
	if err := stretches(ctx, tx, indexes, headers); err != nil {
		return fmt.Errorf("accesslog: mark leaves: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("accesslog: mark leaves: %w", err)
	}
	s.mu.Lock()
	s.sealed, s.leaves = sealed, leaves
	s.cond.Broadcast()
	s.mu.Unlock()
	return s.release()
}

// Sealed waits until every event that was acknowledged before the call is in log and table, and returns
// a signed checkpoint that covers them with the number of leaves it covers. The first size leaves
// of the log are what a scope is then defined on.
func (s *Store) Sealed(ctx context.Context) (note []byte, size uint64, err error) {
	defer s.wokenBy(ctx)()
	s.asked.Add(1)
	defer s.asked.Add(-1)
	s.mu.Lock()
	want := s.acked
	for (s.sealed < want || s.fed < want) && !s.o.ReadOnly {
		nudge(s.hurry)
		nudge(s.urgent)
		switch {
		case ctx.Err() != nil:
			s.mu.Unlock()
			return nil, 0, fmt.Errorf("accesslog: wait for the event log: %w", ctx.Err())
		case s.failed != nil:
			err := s.failed
			s.mu.Unlock()
			return nil, 0, fmt.Errorf("accesslog: events are not being sealed: %w", err)
		case s.behind != nil:
			err := s.behind
			s.mu.Unlock()
			return nil, 0, fmt.Errorf("accesslog: events are not brought into the table: %w", err)
		case s.closed:
			s.mu.Unlock()
			return nil, 0, ErrClosed
		}
		s.cond.Wait()
	}
	leaves := s.leaves
	s.mu.Unlock()
	return s.o.Log.Await(ctx, leaves)
}
