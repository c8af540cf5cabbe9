package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tocsin-ir/tocsin/internal/groupcommit"
	"github.com/tocsin-ir/tocsin/ledger"
)

// group is a transaction on the write connection that several commands share. River's statements
// take the connection between two groups.
type group struct {
	*sql.Tx
	stmts *bound
	heads *heads
}

// heads remembers where chains end, so that a command need not read it. What it says is true
// because the lock on the data folder makes this process the only writer, and the committer, whose
// goroutine alone uses it, the only one inside. Facts never become fewer.
type heads struct {
	durable map[string]ledger.Head
	kept    map[string]ledger.Head // by commands of the group under way
}

// mostHeads bounds what is remembered; after that it starts afresh.
const mostHeads = 10_000

func (h *heads) get(chain string) (ledger.Head, bool) {
	if head, ok := h.kept[chain]; ok {
		return head, true
	}
	head, ok := h.durable[chain]
	return head, ok
}

// settle says what became of the group under way. An error of a commit may mean either outcome, so
// then nothing is known any more.
func (h *heads) settle(committed bool) {
	switch {
	case !committed || len(h.durable)+len(h.kept) > mostHeads:
		clear(h.durable)
	default:
		maps.Copy(h.durable, h.kept)
	}
	clear(h.kept)
}

func (s *Store) begin(ctx context.Context) (group, error) {
	tx, err := s.write.BeginTx(ctx, nil) // BEGIN IMMEDIATE
	if err != nil {
		return group{}, fmt.Errorf("sqlite: %w", err)
	}
	clear(s.heads.kept)
	return group{tx, bind(ctx, tx, s.writeStmts), s.heads}, nil
}

func (g group) run(ctx context.Context, query string) error {
	_, err := g.stmts.exec(ctx, query)
	return err
}

func (g group) Savepoint(ctx context.Context) error { return g.run(ctx, querySavepoint) }
func (g group) Undo(ctx context.Context) error      { return g.run(ctx, queryUndo) }
func (g group) Release(ctx context.Context) error   { return g.run(ctx, queryRelease) }

func (g group) Commit(context.Context) error {
	err := g.Tx.Commit()
	g.heads.settle(err == nil)
	return err
}

func (g group) Rollback(context.Context) error {
	g.heads.settle(false)
	return g.Tx.Rollback()
}

// Update runs fn in a write transaction and returns when its writes are durable. fn must not call
// Update itself: there is one writer, and it would wait for itself.
func (s *Store) Update(ctx context.Context, fn func(ledger.Tx) error) error {
	return s.update(ctx, func(t *tx) error { return fn(t) })
}

func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	if s.commits == nil {
		return ledger.ErrReadOnly
	}
	err := s.commits.Do(ctx, func(ctx context.Context, g group) (*tx, error) {
		t := &tx{reader: reader{ctx: ctx, statements: g.stmts}, tx: g.Tx, store: s}
		defer func() { t.ended = true }()
		if err := fn(t); err != nil {
			return nil, err
		}
		if err := t.flushJobs(); err != nil {
			return nil, err
		}
		maps.Copy(g.heads.kept, t.heads) // nothing undoes the savepoint after this but the end of the group
		return t, nil
	})
	if errors.Is(err, groupcommit.ErrClosed) {
		return fmt.Errorf("%w: it is closed", ledger.ErrReadOnly)
	}
	return err
}

// committed tells listeners and the job runner what a group did.
func (s *Store) committed(commands []*tx) {
	var chains []string
	jobs := 0
	for _, t := range commands {
		chains = append(chains, t.chains...)
		jobs += t.queued
	}
	slices.Sort(chains)
	s.tell(slices.Compact(chains))
	if jobs > 0 {
		// A crash before this: the jobs are in the queue and found at the next start.
		s.jobs.wake()
	}
}
