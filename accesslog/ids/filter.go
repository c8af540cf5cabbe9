package ids

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/greatroar/blobloom"
)

const (
	filterPart  = 16 << 20  // events in one part, which takes some 24 MB, when Options does not say
	filterParts = 4         // at most
	filterRate  = 1.0 / 200 // of events that did not come, for which the disk is asked all the same
	filterStep  = 1 << 16   // entries read between looks at whether to go on
	filterBits  = idLen - 8 // where the eight bytes of an id that a filter goes by begin
)

// filter says of nearly every event that did not come that it did not, without the disk, where looking
// costs as much as all the rest of taking an event in. It is whole when it has every event of the index.
//
// It lives in memory only and is filled from the index after a start, beside what goes on. Beyond 64 M
// events, some 100 MB, it takes no more and is not whole: the disk is asked about every event then, until
// Sweep has forgotten enough.
type filter struct {
	whole atomic.Bool
	parts atomic.Pointer[[]*blobloom.SyncFilter] // only ever appended to

	part int        // events that a part takes
	mu   sync.Mutex // of those who add
	n    int        // events in the last part
	full bool       // it took no more
}

func newFilter(part int) *filter {
	f := &filter{part: part}
	f.parts.Store(&[]*blobloom.SyncFilter{})
	return f
}

// hash is spread evenly as it is: it is part of a SHA-256. Ids of another source are others.
func (k *Key) hash() uint64 {
	return binary.LittleEndian.Uint64(k[filterBits:]) ^ uint64(binary.LittleEndian.Uint32(k[idLen:]))<<32
}

// has says whether an event may have come.
func (f *filter) has(k *Key) bool {
	h := k.hash()
	for _, p := range *f.parts.Load() {
		if p.Has(h) {
			return true
		}
	}
	return !f.whole.Load()
}

func (f *filter) add(list []Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range list {
		f.one(&list[i].Key)
	}
}

// one adds an event; mu is held.
func (f *filter) one(k *Key) {
	parts := *f.parts.Load()
	if len(parts) == 0 || f.n == f.part {
		if f.full = len(parts) == filterParts; f.full {
			f.whole.Store(false)
			return
		}
		parts = append(parts[:len(parts):len(parts)], blobloom.NewSyncOptimized(blobloom.Config{Capacity: uint64(f.part), FPRate: filterRate}))
		f.n = 0
		f.parts.Store(&parts)
	}
	parts[len(parts)-1].Add(k.hash())
	f.n++
}

// refill begins a filter and lets it be filled with what the database has; mu is held, or nobody else
// has the index yet.
func (x *Index) refill() {
	f, db := newFilter(x.part), x.db
	f.add(x.writing)
	f.add(x.pending)
	x.filter.Store(f)
	if x.upTo == 0 {
		f.whole.Store(true)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	x.unfill = cancel
	x.work.Go(func() {
		defer cancel()
		// What cannot be read leaves the filter as it is, not whole: the disk is asked, and says what is wrong.
		if fill(ctx, db, f) == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.whole.Store(!f.full)
		}
	})
}

// fill brings into a filter what the database has.
func fill(ctx context.Context, db *pebble.DB, f *filter) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: append(positionKey[:1:1], 0)})
	if err != nil {
		return err
	}
	list := make([]Entry, 0, filterStep)
	for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
		if len(it.Key()) != idLen+sourceLen {
			continue
		}
		if list = append(list, Entry{Key: Key(it.Key())}); len(list) == filterStep {
			f.add(list)
			list = list[:0]
		}
	}
	f.add(list)
	return errors.Join(ctx.Err(), it.Error(), it.Close())
}
