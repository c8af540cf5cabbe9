package ids

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// sweepRun is how many entries are looked at before another run may be written.
const sweepRun = 1 << 20

// Sweep forgets the events that came in a minute or before it, and says how many those were. Events
// may be added meanwhile. A crash at any point leaves some of them, which the next call forgets.
func (x *Index) Sweep(ctx context.Context, minute uint32) (forgotten int, err error) {
	from := slices.Concat(positionKey, []byte{0}) // after it
	for from != nil && err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var n int
		n, from, err = x.sweep(from, minute)
		forgotten += n
	}
	if err != nil || forgotten == 0 {
		return forgotten, err
	}
	x.mu.Lock()
	if f := x.filter.Load(); !f.whole.Load() {
		x.unfill()
		x.refill() // less may fit where more did not
	}
	x.mu.Unlock()
	// What is forgotten leaves the disk only when files are merged.
	x.use.RLock()
	defer x.use.RUnlock()
	if err := x.db.Compact(ctx, positionKey, slices.Repeat([]byte{0xff}, idLen+sourceLen+1), false); err != nil {
		return forgotten, fmt.Errorf("ids: forget: %w", err)
	}
	return forgotten, nil
}

// sweep looks at some entries from a key on and returns the key to go on with; nil at the end.
func (x *Index) sweep(from []byte, minute uint32) (forgotten int, next []byte, err error) {
	// No run comes between the look and the deletion: an event that came again would be forgotten.
	x.runs.Lock()
	defer x.runs.Unlock()
	x.use.RLock()
	defer x.use.RUnlock()
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: from})
	if err != nil {
		return 0, nil, x.damaged(err)
	}
	var old []Key
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n > sweepRun || len(old) >= x.run {
			next = slices.Clone(it.Key())
			break
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, nil, errors.Join(x.damaged(err), it.Close())
		}
		if _, at := values(v); at <= minute && len(it.Key()) == idLen+sourceLen {
			old = append(old, Key(it.Key()))
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return 0, nil, x.damaged(err)
	}
	if len(old) == 0 {
		return 0, next, nil
	}
	err = x.hand(func(w *sstable.Writer) error {
		for i := range old {
			if err := w.Delete(old[i][:]); err != nil {
				return err
			}
		}
		return nil
	})
	return len(old), next, err
}
