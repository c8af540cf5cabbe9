package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-ir/tocsin/ledger"
)

// A group ends when nobody waits any more, or at these bounds: a group must not keep its first
// caller waiting for the sake of many others.
const (
	groupCommands = 128
	groupTime     = 50 * time.Millisecond
)

// command is one Update on its way through the committer.
type command struct {
	ctx context.Context
	fn  func(*tx) error
	// taken is set once, by the committer when it runs the command or by the caller when it gives
	// up waiting. Whoever sets it decides.
	taken atomic.Bool
	done  chan struct{} // closed when err is final

	err      error
	panicked any // what fn panicked with, raised again in the caller's goroutine
	tx       *tx // what it did; nil when it was undone
}

// committer runs commands in groups on the write connection. Its goroutine is the only one that
// begins ledger transactions; River's statements take the connection between two groups.
type committer struct {
	store *Store
	queue chan *command
	quit  chan struct{}
	once  sync.Once
	done  sync.WaitGroup
}

func startCommitter(s *Store) *committer {
	c := &committer{store: s, queue: make(chan *command, groupCommands), quit: make(chan struct{})}
	c.done.Go(c.run)
	return c
}

// stop lets the group under way finish and refuses what waits.
func (c *committer) stop() {
	c.once.Do(func() { close(c.quit) })
	c.done.Wait()
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
	return s.commits.submit(ctx, fn)
}

func (c *committer) submit(ctx context.Context, fn func(*tx) error) error {
	cmd := &command{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-c.quit:
		return errClosed
	default:
	}
	select {
	case c.queue <- cmd:
	case <-c.quit:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-cmd.done:
	case <-ctx.Done():
		if cmd.taken.CompareAndSwap(false, true) {
			return context.Cause(ctx) // it had not begun, and now never will
		}
		<-cmd.done // it runs already: what became of it is known in a moment
	}
	if cmd.panicked != nil {
		panic(cmd.panicked)
	}
	return cmd.err
}

var errClosed = fmt.Errorf("%w: it is closed", ledger.ErrReadOnly)

func (c *committer) run() {
	for {
		select {
		case cmd := <-c.queue:
			c.group(cmd)
		case <-c.quit:
			for {
				select {
				case cmd := <-c.queue:
					if cmd.taken.CompareAndSwap(false, true) {
						cmd.err = errClosed
						close(cmd.done)
					}
				default:
					return
				}
			}
		}
	}
}

// group runs first and whatever waits behind it in one transaction and answers all of them.
//
// A crash anywhere before Commit returns: none of the group happened, and none was answered. A
// crash after it: all of it is durable, although some callers may never hear so.
func (c *committer) group(first *command) {
	ctx := context.Background() // one caller that gives up must not undo the others
	var group []*command
	finish := func(err error) {
		for _, cmd := range group {
			if err != nil && cmd.err == nil {
				cmd.err = err
			}
			close(cmd.done)
		}
	}
	sqlTx, err := c.store.write.BeginTx(ctx, nil)
	if err != nil {
		if first.taken.CompareAndSwap(false, true) {
			group = append(group, first)
		}
		finish(fmt.Errorf("sqlite: begin: %w", err))
		return
	}
	began := time.Now()
	for cmd := first; cmd != nil; cmd = c.next(len(group), began) {
		if !cmd.taken.CompareAndSwap(false, true) {
			continue // its caller gave up
		}
		group = append(group, cmd)
		if err := c.savepoint(ctx, sqlTx, cmd); err != nil {
			// The savepoint could not be undone, so nothing of the group may stay.
			finish(errors.Join(err, sqlTx.Rollback()))
			return
		}
	}
	if err := sqlTx.Commit(); err != nil {
		_ = sqlTx.Rollback() // database/sql has ended the transaction; this only makes sure
		finish(fmt.Errorf("sqlite: commit: %w", err))
		return
	}
	c.committed(group)
	finish(nil)
}

// next returns a command that waits, or nil when the group should end.
func (c *committer) next(size int, began time.Time) *command {
	if size >= groupCommands || time.Since(began) > groupTime {
		return nil
	}
	select {
	case cmd := <-c.queue:
		return cmd
	default:
		return nil
	}
}

// savepoint runs one command so that its error undoes its own writes alone. The error it returns
// is not the command's: it means that the whole group is lost.
func (c *committer) savepoint(ctx context.Context, sqlTx *sql.Tx, cmd *command) error {
	stmts := c.store.writeStmts
	if _, err := stmts.exec(ctx, sqlTx, querySavepoint); err != nil {
		return fmt.Errorf("sqlite: savepoint: %w", err)
	}
	t := &tx{reader: reader{ctx: ctx, tx: sqlTx, statements: stmts}, store: c.store}
	if cmd.err = t.run(cmd); cmd.err == nil {
		cmd.tx = t
	} else if _, err := stmts.exec(ctx, sqlTx, queryUndo); err != nil {
		return fmt.Errorf("sqlite: undo a savepoint: %w", err)
	}
	if _, err := stmts.exec(ctx, sqlTx, queryRelease); err != nil {
		return fmt.Errorf("sqlite: release a savepoint: %w", err)
	}
	return nil
}

// run calls the command's function and then queues its jobs. A panic is caught here, because the
// committer must go on for others, and raised again where it belongs.
func (t *tx) run(cmd *command) (err error) {
	defer func() {
		t.ended = true
		if p := recover(); p != nil {
			cmd.panicked = p
			err = errors.New("sqlite: the transaction's function panicked")
		}
	}()
	if err := cmd.ctx.Err(); err != nil {
		return context.Cause(cmd.ctx)
	}
	if err := cmd.fn(t); err != nil {
		return err
	}
	return t.flushJobs()
}

// committed tells listeners and the job runner what a group did.
func (c *committer) committed(group []*command) {
	var chains []string
	jobs := false
	for _, cmd := range group {
		if cmd.tx == nil {
			continue
		}
		chains = append(chains, cmd.tx.chains...)
		jobs = jobs || cmd.tx.queued > 0
	}
	slices.Sort(chains)
	c.store.tell(slices.Compact(chains))
	if jobs {
		// A crash before this: the jobs are in the queue and found at the next start.
		c.store.jobs.wake()
	}
}
