package accesslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/leaf"
)

// Refill puts into the spool what the event log of a restored folder holds and its spool and table
// do not: the log was copied later than they were. The next Open then brings it into the table as it
// does what a crash left. It returns how many events that were. Nothing else may have the folder
// open. A crash leaves some of them in the spool; it may be called again.
func Refill(ctx context.Context, o Options) (events int64, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: o, log: o.Logger, pseudonyms: pseudonyms{keys: o.Keys}, names: newNames(), frames: newFrameKeys(o.Keys)}
	if err := s.openDB(ctx); err != nil {
		return 0, errors.Join(err, s.closeDB())
	}
	defer func() { err = errors.Join(err, s.closeDB()) }()
	if err := s.load(ctx); err != nil {
		return 0, err
	}
	if s.spool, err = spool.Open(filepath.Join(o.Dir, "spool"), s.acked, o.Spool); err != nil {
		return 0, fmt.Errorf("accesslog: %w", err)
	}
	size, err := o.Log.Size(ctx)
	if err != nil || size <= s.leaves {
		return 0, err
	}
	err = o.Log.Leaves(ctx, s.leaves, size-s.leaves, func(index uint64, data []byte) error {
		n, err := s.refillLeaf(data)
		events += n
		if err != nil {
			return fmt.Errorf("accesslog: leaf %d of the event log: %w", index, err)
		}
		return nil
	})
	return events, err
}

// refillLeaf appends the events of one leaf that the spool has not.
func (s *Store) refillLeaf(data []byte) (int64, error) {
	h, _, err := leaf.Parse(data)
	next := s.spool.Next()
	if err != nil || h.Last < next {
		return 0, err
	}
	if h.First > next {
		return 0, fmt.Errorf("it begins with event %d, and the spool ends with %d", h.First, next-1)
	}
	count := int(h.Last - next + 1)
	o, _, err := s.unseal(data)
	if errors.Is(err, errKeyGone) {
		// Its day was removed, or its key is not among those that were brought along: its positions are
		// taken, and nobody can read what stood there.
		day := s.o.Now().UTC().Format(time.DateOnly)
		body, err := s.frames.pack(nil, day, nil, &s.packing.pack)
		if err != nil {
			return 0, err
		}
		return 0, s.spool.Append([]spool.Record{{First: next, Count: count, Body: body}})
	}
	if err != nil {
		return 0, err
	}
	var list []packed
	for i, canonical := range o.events {
		seq := h.First + uint64(i)
		if seq < next {
			continue
		}
		e, err := eventOf(canonical)
		if err != nil {
			return 0, err
		}
		if n := len(list); n == 0 || list[n-1].source != e.Source || !list[n-1].received.Equal(e.Received) {
			list = append(list, packed{source: e.Source, received: e.Received})
		}
		last := &list[len(list)-1]
		last.members = append(last.members, member{seq: seq, time: e.Time.In(time.UTC), canonical: canonical})
	}
	body, err := s.frames.pack(nil, h.Epoch, list, &s.packing.pack)
	if err != nil {
		return 0, err
	}
	return int64(count), s.spool.Append([]spool.Record{{First: next, Count: count, Body: body}})
}
