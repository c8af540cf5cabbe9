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

// exec runs a prepared statement in a transaction.
func (s statements) exec(ctx context.Context, tx *sql.Tx, query string, args ...any) (sql.Result, error) {
	return tx.StmtContext(ctx, s[query]).ExecContext(ctx, args...)
}

// row reads one row with a prepared statement in a transaction.
func (s statements) row(ctx context.Context, tx *sql.Tx, query string, args ...any) *sql.Row {
	return tx.StmtContext(ctx, s[query]).QueryRowContext(ctx, args...)
}

// rows reads rows with a prepared statement in a transaction.
func (s statements) rows(ctx context.Context, tx *sql.Tx, query string, args ...any) (*sql.Rows, error) {
	return tx.StmtContext(ctx, s[query]).QueryContext(ctx, args...)
}
