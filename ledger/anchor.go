package ledger

import (
	"context"
	"fmt"
	"sync"
)

// Log is the facts log as the Anchorer needs it. internal/translog implements it.
type Log interface {
	// AppendMany adds leaves in order and returns their indexes once they are durable. After an
	// error some of them may be in the log.
	AppendMany(ctx context.Context, data [][]byte) ([]uint64, error)
	// Size is the number of leaves that are durable.
	Size(ctx context.Context) (uint64, error)
	// Leaves calls fn with n leaves from the one at first on, in order.
	Leaves(ctx context.Context, first, n uint64, fn func(index uint64, data []byte) error) error
}

// anchorBatch is how many facts one pass takes, and lookBack how many leaves are read at a time
// when looking for facts that were appended and not recorded (one bundle of the log).
const (
	anchorBatch = 256
	lookBack    = 256
)

// Anchorer moves facts from the store's outbox into the facts log. It is safe for use by several
// goroutines; passes run one after the other. Only one Anchorer may serve a log.
type Anchorer struct {
	store Store
	log   Log

	mu sync.Mutex
	// certain says that every leaf of the log is recorded in the store. It is false at the start
	// and after any error: then the tail of the log is read back before anything is appended.
	certain bool
}

// NewAnchorer returns an Anchorer. Nothing runs until Pass is called.
func NewAnchorer(store Store, log Log) *Anchorer { return &Anchorer{store: store, log: log} }

// Pass anchors the oldest facts that are pending, at most 256, and returns how many. It is the
// normal path and the recovery: call it until it returns 0, at the start and after each commit.
//
// Each fact is in the log once. A log and a database cannot commit together, so the log is
// written first and a crash between the two is found by reading the log back.
func (a *Anchorer) Pass(ctx context.Context) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var pending []Record
	err := a.store.View(ctx, func(r Reader) (err error) {
		pending, err = r.Unanchored(anchorBatch)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ledger: anchor: read what is pending: %w", err)
	}
	if len(pending) == 0 {
		return 0, nil
	}
	known := map[string]uint64{}
	if !a.certain {
		if known, err = a.unrecorded(ctx); err != nil {
			return 0, err
		}
	}
	// Until both writes are done nothing is certain.
	a.certain = false
	index := make([]uint64, len(pending))
	var leaves [][]byte
	var fresh []int
	for i := range pending {
		if at, ok := known[pending[i].ID]; ok {
			index[i] = at
			delete(known, pending[i].ID)
			continue
		}
		leaves = append(leaves, LeafData(pending[i].ID, pending[i].Hash))
		fresh = append(fresh, i)
	}
	if len(leaves) > 0 {
		// A crash before or during this write: some leaves may be in the log, in order, and all
		// facts are still pending. The next pass reads them back and appends only the rest.
		appended, err := a.log.AppendMany(ctx, leaves)
		if err != nil {
			return 0, fmt.Errorf("ledger: anchor: append %d leaves: %w", len(leaves), err)
		}
		if len(appended) != len(leaves) {
			return 0, fmt.Errorf("ledger: anchor: the log took %d of %d leaves", len(appended), len(leaves))
		}
		for i, at := range appended {
			index[fresh[i]] = at
		}
	}
	// A crash before this commit: the leaves are in the log and the facts are pending, as above.
	// After it: the facts are anchored and will not be read as pending again.
	err = a.store.Update(ctx, func(tx Tx) error {
		for i := range pending {
			if err := tx.Anchored(pending[i].Seq, int64(index[i])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("ledger: anchor: record %d indexes: %w", len(pending), err)
	}
	a.certain = len(known) == 0
	return len(pending), nil
}

// unrecorded reads the log backwards until a fact that the store knows as anchored, and returns
// the facts after it by id. Facts enter the log in the order of their Seq and are recorded in
// whole passes, so nothing before that fact can be unrecorded.
func (a *Anchorer) unrecorded(ctx context.Context) (map[string]uint64, error) {
	end, err := a.log.Size(ctx)
	if err != nil {
		return nil, fmt.Errorf("ledger: anchor: size of the log: %w", err)
	}
	found := map[string]uint64{}
	for end > 0 {
		first := (end - 1) / lookBack * lookBack
		ids := make([]string, 0, end-first)
		err := a.log.Leaves(ctx, first, end-first, func(index uint64, data []byte) error {
			id, _, err := ParseLeaf(data)
			if err != nil {
				return fmt.Errorf("leaf %d: %w", index, err)
			}
			ids = append(ids, id)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("ledger: anchor: read the log back: %w", err)
		}
		known, err := a.recorded(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i := len(ids) - 1; i >= 0; i-- {
			if known[i] {
				return found, nil
			}
			found[ids[i]] = first + uint64(i)
		}
		end = first
	}
	return found, nil
}

// recorded says of each fact whether the store has it as anchored. A leaf whose fact the store
// does not have is an error: the database is older than the log, as after a restore.
func (a *Anchorer) recorded(ctx context.Context, ids []string) ([]bool, error) {
	known := make([]bool, len(ids))
	err := a.store.View(ctx, func(r Reader) error {
		for i, id := range ids {
			record, err := r.RecordByID(id)
			if err != nil {
				return fmt.Errorf("fact %s is in the log: %w", id, err)
			}
			known[i] = record.Anchor >= 0
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: anchor: look up what the log holds: %w", err)
	}
	return known, nil
}
