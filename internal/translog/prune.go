package translog

import (
	"context"
	"fmt"
	"slices"

	"github.com/transparency-dev/tessera/api/layout"
)

// Range is consecutive leaves.
type Range struct{ First, N uint64 }

// Ranges are leaves whose data was removed, or may be; their hashes stay. Ranges may touch.
type Ranges []Range

// covers says whether every leaf of a bundle is among the ranges.
func (r Ranges) covers(bundle uint64) bool {
	at, end := bundle*layout.EntryBundleWidth, (bundle+1)*layout.EntryBundleWidth
	for at < end {
		i := slices.IndexFunc(r, func(x Range) bool { return x.First <= at && at < x.First+x.N })
		if i < 0 {
			return false
		}
		at = r[i].First + r[i].N
	}
	return true
}

// Prune removes the data of leaves, given as the first of them and how many, bundle by bundle: a bundle of which a leaf is not among the ranges
// stays, and so does the last one while it is not full. Hashes and checkpoints stay, so that proofs
// of what is left, and of the growth of the log, are what they were. It may be repeated, and a crash
// leaves some of it to the next call; when it returns the removal is durable.
func (l *Log) Prune(ctx context.Context, leaves [][2]uint64) error {
	var gone Ranges
	for _, r := range leaves {
		gone = append(gone, Range{r[0], r[1]})
	}
	l.mu.Lock()
	readOnly := l.add == nil
	l.mu.Unlock()
	if readOnly {
		return ErrReadOnly
	}
	size, err := l.Size(ctx)
	if err != nil {
		return err
	}
	done := map[uint64]bool{}
	for _, r := range gone {
		for b := r.First / layout.EntryBundleWidth; b*layout.EntryBundleWidth < r.First+r.N; b++ {
			if done[b] || (b+1)*layout.EntryBundleWidth > size || !gone.covers(b) {
				continue
			}
			done[b] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.storage.Remove(ctx, b); err != nil {
				return fmt.Errorf("translog: remove bundle %d of %s: %w", b, l.origin, err)
			}
		}
	}
	return nil
}
