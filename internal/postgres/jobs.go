package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/tocsin-ir/tocsin/internal/runner"
	"github.com/tocsin-ir/tocsin/ledger"
)

// jobs is River on the pool.
type jobs struct {
	runner *runner.Runner[pgx.Tx]
}

func newJobs(s *Store) (*jobs, error) {
	r, err := runner.New(riverpgxv5.New(s.pool), runner.Options{
		Log: s.opts.Log, JobTimeout: s.opts.JobTimeout, StopGrace: s.opts.StopGrace, Schema: s.opts.Schema, Poll: s.opts.Poll,
	})
	if err != nil {
		return nil, err
	}
	return &jobs{runner: r}, nil
}

func migrateJobs(ctx context.Context, s *Store) error {
	return runner.Migrate(ctx, riverpgxv5.New(s.pool), s.opts.Schema, s.opts.Log)
}

// notify wakes the queues of every node when the transaction commits. River notifies too, but not
// twice within its cooldown, and then a job would wait for the next poll.
func (t *tx) notify(queues ...string) error {
	for _, queue := range queues {
		_, err := t.tx.Exec(t.ctx, `SELECT pg_notify($1, json_build_object('queue', $2::text)::text)`,
			t.store.opts.Schema+".river_insert", queue)
		if err != nil {
			return wrong("wake the job runner", err)
		}
	}
	return nil
}

// Run starts the job runner.
func (s *Store) Run(ctx context.Context, workers int, work func(context.Context, ledger.Job) error, failed func(ledger.Job)) error {
	if s.owner != nil {
		// The schema is ours alone, so a job that is running was another process's, and that process
		// is dead. A crash here: the next start releases them again.
		_, err := s.pool.Exec(ctx, `UPDATE river_job
			SET state = 'available', attempt = greatest(attempt - 1, 0), attempted_at = NULL
			WHERE state = 'running'`)
		if err != nil {
			return fmt.Errorf("postgres: release the jobs of the last process: %w", err)
		}
	}
	// The end of a job is a command like any other, so the ends of many share one commit.
	finish := func(ctx context.Context, complete func(context.Context, pgx.Tx) error) error {
		return s.update(ctx, func(t *tx) error { return complete(ctx, t.tx) })
	}
	return s.jobs.runner.Start(ctx, workers, work, failed, finish)
}

// Busy counts jobs that are queued or running.
func (s *Store) Busy(ctx context.Context) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM river_job
		WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("postgres: count jobs: %w", err)
	}
	return n, nil
}
