package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Note is what SetNote wrote about the schema, "" when nothing was.
func (s *Store) Note(ctx context.Context) (string, error) {
	var note string
	err := s.pool.QueryRow(ctx, `SELECT coalesce(obj_description(to_regnamespace($1)), '')`, s.opts.Schema).Scan(&note)
	if err != nil {
		return "", fmt.Errorf("postgres: the note of schema %s: %w", s.opts.Schema, err)
	}
	return note, nil
}

// SetNote writes a few words about the schema where every administrator sees them: as its comment.
func (s *Store) SetNote(ctx context.Context, note string) error {
	// A comment takes no parameter. With standard_conforming_strings on, which it has been by default
	// since 9.1, doubling the quote is all of the quoting.
	_, err := s.pool.Exec(ctx, "COMMENT ON SCHEMA "+s.opts.Schema+" IS '"+strings.ReplaceAll(note, "'", "''")+"'")
	if err != nil {
		return fmt.Errorf("postgres: note of schema %s: %w", s.opts.Schema, err)
	}
	return nil
}

// DropSchemas drops the schemas whose name begins with prefix, whose note gone says yes to, and
// that no process serves, and returns their names. A schema without a note, and the store's own,
// are left alone. Each is dropped whole or not at all.
func (s *Store) DropSchemas(ctx context.Context, prefix string, gone func(note string) bool) (dropped []string, err error) {
	wrong := func(err error) error { return fmt.Errorf("postgres: drop schemas: %w", err) }
	rows, err := s.pool.Query(ctx, `SELECT nspname, obj_description(oid) FROM pg_namespace
		WHERE starts_with(nspname, $1) AND nspname <> $2 AND obj_description(oid) IS NOT NULL ORDER BY nspname`, prefix, s.opts.Schema)
	if err != nil {
		return nil, wrong(err)
	}
	type schema struct{ name, note string }
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (schema, error) {
		var c schema
		err := row.Scan(&c.name, &c.note)
		return c, err
	})
	if err != nil {
		return nil, wrong(err)
	}
	var errs []error
	for _, c := range all {
		if !schemaName.MatchString(c.name) || !gone(c.note) {
			continue
		}
		free := false
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			other := &Store{opts: Options{Schema: c.name}}
			// The owner's lock is held for the life of the process that serves a schema.
			if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, other.lockKey(lockOwner)).Scan(&free); err != nil || !free {
				return err
			}
			_, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+c.name+" CASCADE")
			return err
		})
		if err != nil {
			errs = append(errs, wrong(err))
		} else if free {
			dropped = append(dropped, c.name)
		}
	}
	return dropped, errors.Join(errs...)
}
