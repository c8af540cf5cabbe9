// Package runner runs jobs with River for the stores. A job is never the record: what is owed
// follows from the facts, so River retries nothing here and a job that fails is dropped.
//
// The runner is generic over a database's transaction; each store gives it a River driver and
// says how a finished job is written down.
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/tocsin-ir/tocsin/ledger"
)

// The queues. Urgent jobs have workers of their own, so that a slow mail relay cannot keep
// containment waiting.
const (
	QueueUrgent = "urgent"
	QueueUsual  = "usual"
)

// How often a queue looks for jobs, unless a store says otherwise. It is woken after each commit that
// queued some; polling is the safety net, and the cooldown bounds how often waking may read the database.
const (
	fetchCooldown = 5 * time.Millisecond
	usualPoll     = time.Second
)

// keepFinished is how long River keeps a finished job. Nothing reads it; the facts say what
// happened.
const keepFinished = time.Hour

// cancelTime is the least time that a cancelled job has to end.
const cancelTime = 5 * time.Second

// Job is a job as River stores it. Only ID counts for being unique.
type Job struct {
	ID     string          `json:"id" river:"unique"`
	Effect string          `json:"effect"`
	Chain  string          `json:"chain"`
	Urgent bool            `json:"urgent,omitempty"`
	Args   json.RawMessage `json:"args,omitempty"`
}

// Kind is River's name for every job of ours.
func (Job) Kind() string { return "effect" }

// Options are what a store gives its runner.
type Options struct {
	Log        *slog.Logger
	JobTimeout time.Duration // bounds one job
	StopGrace  time.Duration // how long running jobs may take to end
	Schema     string        // of the database, "" for its default
	Poll       time.Duration // how often a queue looks for jobs that no commit told it of; 0 is a second
}

// Runner queues and runs the jobs of one store.
type Runner[TTx any] struct {
	opts   Options
	driver *wakingDriver[TTx]
	insert *river.Client[TTx] // only inserts

	mu     sync.Mutex
	client *river.Client[TTx] // runs jobs; nil until Start
	closed bool
	stops  sync.WaitGroup
}

// New makes a runner that queues; Start makes it run.
func New[TTx any](driver riverdriver.Driver[TTx], opts Options) (*Runner[TTx], error) {
	if opts.Poll == 0 {
		opts.Poll = usualPoll
	}
	r := &Runner[TTx]{opts: opts, driver: &wakingDriver[TTx]{Driver: driver}}
	// No queues and no workers: this client can only insert.
	client, err := river.NewClient(driver, &river.Config{
		Logger: quiet(opts.Log), MaxAttempts: 1, Schema: opts.Schema, FetchCooldown: time.Millisecond,
	})
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	r.insert = client
	return r, nil
}

// Migrate makes River's tables or brings them up to date.
func Migrate[TTx any](ctx context.Context, driver riverdriver.Driver[TTx], schema string, log *slog.Logger) error {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet(log), Schema: schema})
	if err != nil {
		return fmt.Errorf("runner: migrate: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("runner: migrate: %w", err)
	}
	return nil
}

// Insert queues jobs in a transaction. One whose ID is queued or running already is skipped; one
// that has ended may be queued again.
func (r *Runner[TTx]) Insert(ctx context.Context, tx TTx, jobs []ledger.Job) error {
	params := make([]river.InsertManyParams, 0, len(jobs))
	seen := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		if seen[j.ID] {
			continue // PostgreSQL refuses one statement that would touch a row twice
		}
		seen[j.ID] = true
		queue, priority := QueueUsual, 2
		if j.Urgent {
			queue, priority = QueueUrgent, 1
		}
		params = append(params, river.InsertManyParams{
			Args: Job{ID: j.ID, Effect: j.Kind, Chain: j.Chain, Urgent: j.Urgent, Args: j.Args},
			InsertOpts: &river.InsertOpts{
				MaxAttempts: 1, Queue: queue, Priority: priority,
				UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: alive()},
			},
		})
	}
	if _, err := r.insert.InsertManyTx(ctx, tx, params); err != nil {
		return fmt.Errorf("runner: queue %d jobs: %w", len(jobs), err)
	}
	return nil
}

// alive are the states in which a job is queued or running.
func alive() []rivertype.JobState {
	return []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled}
}

// Finish writes down, durably and before it returns, that the job is over. A store calls
// complete in one of its transactions.
type Finish[TTx any] func(ctx context.Context, complete func(ctx context.Context, tx TTx) error) error

// Start runs jobs until ctx is done or Stop is called. failed is told of each job whose work failed,
// once it may be queued again; it may be nil. Start may be called once.
func (r *Runner[TTx]) Start(ctx context.Context, workers int, work func(context.Context, ledger.Job) error, failed func(ledger.Job), finish Finish[TTx]) error {
	if workers < 1 {
		return fmt.Errorf("runner: %d workers, want at least 1", workers)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.client != nil {
		return errors.New("runner: it was started or stopped before")
	}
	registry := river.NewWorkers()
	if err := river.AddWorkerSafely(registry, &worker[TTx]{work: work, failed: failed, finish: finish, log: r.opts.Log}); err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	client, err := river.NewClient[TTx](r.driver, &river.Config{
		Logger:                      quiet(r.opts.Log),
		MaxAttempts:                 1,
		Schema:                      r.opts.Schema,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           r.opts.Poll,
		JobTimeout:                  r.opts.JobTimeout,
		CompletedJobRetentionPeriod: keepFinished,
		CancelledJobRetentionPeriod: keepFinished,
		DiscardedJobRetentionPeriod: keepFinished,
		ReindexerSchedule:           reindexing(r.driver.DatabaseName()),
		Queues: map[string]river.QueueConfig{
			QueueUrgent: {MaxWorkers: max(1, workers/4)},
			QueueUsual:  {MaxWorkers: workers},
		},
		Workers: registry,
	})
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	// River cancels every job at once when the context of Start is done; Stop gives them time.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("runner: start: %w", err)
	}
	r.client = client
	r.driver.ready.Store(true)
	context.AfterFunc(ctx, func() {
		if err := r.Stop(); err != nil {
			r.opts.Log.Warn("the job runner did not stop in order", "error", err)
		}
	})
	return nil
}

// reindexing is when River rebuilds its indexes; nil: every midnight. Those of PostgreSQL grow with the
// rows that were deleted. SQLite uses their pages again, and River asks it for indexes that there are in
// PostgreSQL alone, which would be errors in the log of each night.
func reindexing(database string) river.PeriodicSchedule {
	if database == "sqlite" {
		return river.NeverSchedule()
	}
	return nil
}

// Wake makes the queues look for jobs now. It is called after a commit, not in a transaction.
func (r *Runner[TTx]) Wake() { r.driver.wake() }

// Stop lets running jobs end, cancels those that take longer than the grace, and waits for them.
// It may be called twice.
func (r *Runner[TTx]) Stop() error {
	r.mu.Lock()
	client := r.client
	first := !r.closed
	r.closed = true
	if client != nil && first {
		r.stops.Add(1)
	}
	r.mu.Unlock()
	if client == nil {
		return nil
	}
	if !first {
		r.stops.Wait()
		return nil
	}
	defer r.stops.Done()
	r.driver.ready.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.StopGrace)
	err := client.Stop(ctx)
	cancel()
	if err == nil {
		return nil
	}
	// A short grace is for jobs that do not want to end; one that was cancelled has to get to the
	// place where it notices.
	ctx, cancel = context.WithTimeout(context.Background(), max(r.opts.StopGrace, cancelTime))
	defer cancel()
	if err := client.StopAndCancel(ctx); err != nil {
		return fmt.Errorf("runner: a job did not end although it was cancelled: %w", err)
	}
	return nil
}

// worker is River's view of the work function.
type worker[TTx any] struct {
	river.WorkerDefaults[Job]
	work   func(context.Context, ledger.Job) error
	failed func(ledger.Job)
	finish Finish[TTx]
	log    *slog.Logger
}

// Work runs one job and writes down that it is over. A crash before that write leaves the job
// running, and the next start releases it: the work is done again, which is why every effect
// looks first whether it was already attempted.
func (w *worker[TTx]) Work(ctx context.Context, job *river.Job[Job]) error {
	a := job.Args
	j := ledger.Job{Kind: a.Effect, ID: a.ID, Args: a.Args, Chain: a.Chain, Urgent: a.Urgent}
	trouble := w.work(ctx, j)
	if trouble != nil {
		w.log.Warn("a job failed; what is owed follows from the facts", "job", a.ID, "error", trouble)
	}
	err := w.finish(context.WithoutCancel(ctx), func(ctx context.Context, tx TTx) error {
		_, err := river.JobCompleteTx[riverdriver.Driver[TTx]](ctx, tx, job)
		return err
	})
	if err != nil {
		w.log.Error("a finished job could not be written down and will run again", "job", a.ID, "error", err)
		// River then records the end by itself, a little later.
	}
	if trouble != nil && w.failed != nil {
		w.failed(j)
	}
	return nil
}
