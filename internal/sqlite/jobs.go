package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/tocsin-ir/tocsin/internal/runner"
	"github.com/tocsin-ir/tocsin/ledger"
)

// jobs is River on the write pool. Its own statements wait for the pool's one connection like the
// committer does, and run between two groups.
type jobs struct {
	store  *Store
	runner *runner.Runner[*sql.Tx]
}

func newJobs(ctx context.Context, s *Store) (*jobs, error) {
	driver := riversqlite.New(s.write)
	if err := runner.Migrate(ctx, driver, "", s.opts.Log); err != nil {
		return nil, err
	}
	r, err := runner.New(driver, runner.Options{Log: s.opts.Log, JobTimeout: s.opts.JobTimeout, StopGrace: s.opts.StopGrace, Poll: s.opts.Poll})
	if err != nil {
		return nil, err
	}
	return &jobs{store: s, runner: r}, nil
}

// insert queues jobs inside a transaction of the committer.
func (j *jobs) insert(ctx context.Context, tx *sql.Tx, queue []ledger.Job) error {
	return j.runner.Insert(ctx, tx, queue)
}

// wake tells the queues that a commit has queued jobs.
func (j *jobs) wake() { j.runner.Wake() }

func (j *jobs) stop() error { return j.runner.Stop() }

// Run starts the job runner.
func (s *Store) Run(ctx context.Context, workers int, work func(context.Context, ledger.Job) error, failed func(ledger.Job)) error {
	if s.jobs == nil {
		return ledger.ErrReadOnly
	}
	// The lock on the data folder is ours, so a job that is running was another process's, and that
	// process is dead. A crash here: the next start releases them again.
	_, err := s.write.ExecContext(ctx, `UPDATE river_job
		SET state = 'available', attempt = max(attempt - 1, 0), attempted_at = NULL
		WHERE state = 'running'`)
	if err != nil {
		return fmt.Errorf("sqlite: release the jobs of the last process: %w", err)
	}
	// The end of a job is a command like any other, so the ends of many share one commit.
	finish := func(ctx context.Context, complete func(context.Context, *sql.Tx) error) error {
		return s.update(ctx, func(t *tx) error { return complete(ctx, t.tx) })
	}
	return s.jobs.runner.Start(ctx, workers, work, failed, finish)
}

// Busy counts jobs that are queued or running.
func (s *Store) Busy(ctx context.Context) (int, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM river_job
		WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("sqlite: count jobs: %w", err)
	}
	return n, nil
}
