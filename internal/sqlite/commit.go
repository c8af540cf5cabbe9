package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/tocsin-ir/tocsin/internal/groupcommit"
	"github.com/tocsin-ir/tocsin/ledger"
)

// group is a transaction on the write connection that several commands share. River's statements
// take the connection between two groups.
type group struct {
	*sql.Tx
	stmts statements
}

func (s *Store) begin(ctx context.Context) (group, error) {
	tx, err := s.write.BeginTx(ctx, nil) // BEGIN IMMEDIATE
	if err != nil {
		return group{}, fmt.Errorf("sqlite: %w", err)
	}
	return group{tx, s.writeStmts}, nil
}

func (g group) run(ctx context.Context, query string) error {
	_, err := g.stmts.exec(ctx, g.Tx, query)
	return err
}

func (g group) Savepoint(ctx context.Context) error { return g.run(ctx, querySavepoint) }
func (g group) Undo(ctx context.Context) error      { return g.run(ctx, queryUndo) }
func (g group) Release(ctx context.Context) error   { return g.run(ctx, queryRelease) }
func (g group) Commit(context.Context) error        { return g.Tx.Commit() }
func (g group) Rollback(context.Context) error      { return g.Tx.Rollback() }

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
		t := &tx{reader: reader{ctx: ctx, tx: g.Tx, statements: g.stmts}, store: s}
		defer func() { t.ended = true }()
		if err := fn(t); err != nil {
			return nil, err
		}
		return t, t.flushJobs()
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
