package translog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

// Checkpoint returns the newest published checkpoint, a signed note, and the number of leaves it
// covers. The signature is not checked here: the file is our own.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, uint64, error) {
	raw, err := l.storage.Read(ctx, layout.CheckpointPath)
	if err != nil {
		return nil, 0, fmt.Errorf("translog: read the checkpoint of %s: %w", l.origin, err)
	}
	origin, rest, _ := strings.Cut(string(raw), "\n")
	line, _, ok := strings.Cut(rest, "\n")
	size, err := strconv.ParseUint(line, 10, 64)
	if !ok || err != nil || origin != l.origin {
		return nil, 0, fmt.Errorf("translog: the checkpoint of %s is damaged", l.origin)
	}
	return raw, size, nil
}

// Await returns the first published checkpoint it sees that covers at least size leaves. It is
// protocol time: a drill's simulated clock has no part in it.
func (l *Log) Await(ctx context.Context, size uint64) ([]byte, uint64, error) {
	// Publishing is the library's own timer; there is nothing to be woken by.
	tick := time.NewTicker(l.storage.Poll())
	defer tick.Stop()
	for {
		raw, have, err := l.Checkpoint(ctx)
		if err != nil {
			return nil, 0, err
		}
		if have >= size {
			return raw, have, nil
		}
		if l.isClosed() {
			return nil, 0, ErrClosed
		}
		select {
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("translog: wait for a checkpoint of %s over %d leaves, have %d: %w", l.origin, size, have, ctx.Err())
		case <-tick.C:
		}
	}
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// CheckpointNow returns a checkpoint that covers every leaf integrated when it was called.
func (l *Log) CheckpointNow(ctx context.Context) ([]byte, uint64, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, 0, err
	}
	return l.Await(ctx, size)
}

// Leaf returns the leaf at index as it is stored. ErrNotFound when it is not integrated yet or
// was pruned.
func (l *Log) Leaf(ctx context.Context, index uint64) ([]byte, error) {
	var out []byte
	err := l.Leaves(ctx, index, 1, func(_ uint64, data []byte) error {
		out = data
		return nil
	})
	return out, err
}

// Leaves calls fn with n leaves from the one at first on, in order. It reads each bundle of 256
// once.
func (l *Log) Leaves(ctx context.Context, first, n uint64, fn func(index uint64, data []byte) error) error {
	if n == 0 {
		return nil
	}
	size, err := l.Size(ctx)
	if err != nil {
		return err
	}
	if first+n > size || first+n < first {
		return fmt.Errorf("%w: %s has %d leaves, %d was asked for", ErrNotFound, l.origin, size, first+n-1)
	}
	for r := range layout.Range(first, n, size) {
		raw, err := l.files.bundle(ctx, r.Index, layout.PartialTileSize(0, r.Index, size))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s has no bundle %d", ErrNotFound, l.origin, r.Index)
		}
		if err != nil {
			return fmt.Errorf("translog: read bundle %d of %s: %w", r.Index, l.origin, err)
		}
		var bundle api.EntryBundle
		if err := bundle.UnmarshalText(raw); err != nil {
			return fmt.Errorf("translog: read bundle %d of %s: %w", r.Index, l.origin, err)
		}
		if uint(len(bundle.Entries)) < r.First+r.N {
			return fmt.Errorf("translog: bundle %d of %s is short", r.Index, l.origin)
		}
		for i := range r.N {
			index := r.Index*layout.EntryBundleWidth + uint64(r.First+i)
			if err := fn(index, bundle.Entries[r.First+i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// LeafHashes returns the RFC 6962 hashes of the first size leaves, in order.
func (l *Log) LeafHashes(ctx context.Context, size uint64) ([][]byte, error) {
	if size == 0 {
		return nil, nil
	}
	have, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	if size > have {
		return nil, fmt.Errorf("%w: %s has %d leaves, %d were asked for", ErrNotFound, l.origin, have, size)
	}
	hashes, err := client.FetchLeafHashes(ctx, l.files.tile, 0, size, have)
	if err != nil {
		return nil, fmt.Errorf("translog: read the leaf hashes of %s: %w", l.origin, err)
	}
	return hashes, nil
}

// Inclusion returns the audit path of the leaf at index in the tree of the given size.
func (l *Log) Inclusion(ctx context.Context, index, size uint64) ([][]byte, error) {
	if index >= size {
		return nil, fmt.Errorf("%w: leaf %d in a tree of %d", ErrNotFound, index, size)
	}
	b, err := client.NewProofBuilder(ctx, size, l.files.tile)
	if err != nil {
		return nil, fmt.Errorf("translog: prove leaf %d of %s: %w", index, l.origin, err)
	}
	path, err := b.InclusionProof(ctx, index)
	if err != nil {
		return nil, fmt.Errorf("translog: prove leaf %d of %s: %w", index, l.origin, err)
	}
	return path, nil
}

// Consistency returns the proof that the tree of the smaller size is the beginning of the larger.
func (l *Log) Consistency(ctx context.Context, smaller, larger uint64) ([][]byte, error) {
	if smaller > larger {
		return nil, fmt.Errorf("%w: a tree of %d in one of %d", ErrNotFound, smaller, larger)
	}
	b, err := client.NewProofBuilder(ctx, larger, l.files.tile)
	if err != nil {
		return nil, fmt.Errorf("translog: prove that %s grew: %w", l.origin, err)
	}
	path, err := b.ConsistencyProof(ctx, smaller, larger)
	if err != nil {
		return nil, fmt.Errorf("translog: prove that %s grew: %w", l.origin, err)
	}
	return path, nil
}

// fileForm is what the files of a log are called (C2SP tlog-tiles), beside the checkpoint: a level,
// or entries for the leaves, and an index in groups of three digits.
var fileForm = regexp.MustCompile(`^tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?$`)

// Published says when the newest checkpoint was written, by the clock of the machine that keeps it.
func (l *Log) Published() (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fileWait)
	defer cancel()
	at, err := l.storage.Published(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("translog: the checkpoint of %s: %w", l.origin, err)
	}
	return at, nil
}

// fileWait bounds the wait for one file of the log, which may come over a network.
const fileWait = 20 * time.Second

// Read is File for whoever verifies the log; of a tile or bundle that is not there the error is
// fs.ErrNotExist.
func (l *Log) Read(ctx context.Context, name string) ([]byte, error) {
	if name != layout.CheckpointPath && !fileForm.MatchString(name) {
		return nil, ErrNotFound
	}
	raw, err := l.storage.Read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("translog: read %s of %s: %w", name, l.origin, err)
	}
	return raw, nil
}

// File returns a file of the log by its name in C2SP tlog-tiles: checkpoint, or tile/…. Anything
// else is ErrNotFound. What a tile holds never changes; the checkpoint does.
func (l *Log) File(name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fileWait)
	defer cancel()
	return l.Read(ctx, name)
}
