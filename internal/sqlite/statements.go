package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// statements are prepared once for each pool and bound to a transaction when they are used. They
// have to be prepared before the committer starts, because preparing needs a connection and the
// write pool has only one.
type statements map[string]*sql.Stmt

func prepare(ctx context.Context, db *sql.DB, queries []string) (statements, error) {
	s := make(statements, len(queries))
	for _, q := range queries {
		stmt, err := db.PrepareContext(ctx, q)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sqlite: prepare %q: %w", q, err), s.close())
		}
		s[q] = stmt
	}
	return s, nil
}

func (s statements) close() error {
	var errs []error
	for _, stmt := range s {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// bound is the statements of one transaction. Each is bound to it when it is first used and ends
// with it.
type bound struct {
	ctx  context.Context
	tx   *sql.Tx
	all  statements
	used map[string]*sql.Stmt
}

func bind(ctx context.Context, tx *sql.Tx, all statements) *bound {
	return &bound{ctx: ctx, tx: tx, all: all, used: map[string]*sql.Stmt{}}
}

func (b *bound) stmt(query string) *sql.Stmt {
	s := b.used[query]
	if s == nil {
		s = b.tx.StmtContext(b.ctx, b.all[query])
		b.used[query] = s
	}
	return s
}

// exec runs a prepared statement in the transaction.
func (b *bound) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return b.stmt(query).ExecContext(ctx, args...)
}

// row reads one row with a prepared statement in the transaction.
func (b *bound) row(ctx context.Context, query string, args ...any) *sql.Row {
	return b.stmt(query).QueryRowContext(ctx, args...)
}

// rows reads rows with a prepared statement in the transaction.
func (b *bound) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return b.stmt(query).QueryContext(ctx, args...)
}
