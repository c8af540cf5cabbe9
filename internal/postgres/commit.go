package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-ir/tocsin/internal/groupcommit"
	"github.com/tocsin-ir/tocsin/ledger"
)

// group is a transaction that several commands of this node share.
type group struct{ tx pgx.Tx }

// begin waits for its turn among the nodes. READ COMMITTED is enough and needed: each statement
// after the lock sees what the transaction before it committed, and while the lock is held nobody
// else commits facts.
func (s *Store) begin(ctx context.Context) (group, error) {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return group{}, fmt.Errorf("postgres: %w", err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", s.lockKey(lockWriter)); err != nil {
		return group{}, errors.Join(fmt.Errorf("postgres: wait to write: %w", err), tx.Rollback(ctx))
	}
	return group{tx}, nil
}

func (g group) run(ctx context.Context, query string) error {
	_, err := g.tx.Exec(ctx, query)
	return err
}

func (g group) Savepoint(ctx context.Context) error { return g.run(ctx, "SAVEPOINT command") }
func (g group) Undo(ctx context.Context) error      { return g.run(ctx, "ROLLBACK TO SAVEPOINT command") }
func (g group) Release(ctx context.Context) error   { return g.run(ctx, "RELEASE SAVEPOINT command") }
func (g group) Commit(ctx context.Context) error    { return g.tx.Commit(ctx) }
func (g group) Rollback(ctx context.Context) error  { return g.tx.Rollback(ctx) }

// tries is how often a command runs when the server finds it in conflict with River's statements,
// the only ones that take no part in the writers' lock.
const tries = 5

// Update runs fn in a write transaction and returns when its writes are durable. fn must not call
// Update itself: there is one writer, and it would wait for itself.
func (s *Store) Update(ctx context.Context, fn func(ledger.Tx) error) error {
	return s.update(ctx, func(t *tx) error { return fn(t) })
}

func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	var err error
	for range tries {
		err = s.commits.Do(ctx, func(ctx context.Context, g group) (*tx, error) {
			t := &tx{reader: reader{ctx: ctx, tx: g.tx}, store: s}
			defer func() { t.ended = true }()
			if err := fn(t); err != nil {
				return nil, err
			}
			return t, t.flushJobs()
		})
		if c := code(err); c != codeSerialization && c != codeDeadlock {
			break
		}
	}
	if errors.Is(err, groupcommit.ErrClosed) {
		return fmt.Errorf("%w: it is closed", ledger.ErrReadOnly)
	}
	return err
}

// committed tells listeners what a group did, and wakes this node's job runner. Other nodes are
// woken by the notification that queued jobs carry.
func (s *Store) committed(commands []*tx) {
	var chains []string
	for _, t := range commands {
		chains = append(chains, t.chains...)
	}
	slices.Sort(chains)
	s.tell(slices.Compact(chains))
}
