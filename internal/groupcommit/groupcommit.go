// Package groupcommit lets many callers share one database transaction, each in a savepoint of
// its own. A commit waits for the disk; sharing it is what makes many durable commands a second
// possible. The stores give it their transactions.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A group ends when nobody waits any more, or at these bounds: a group must not keep its first
// caller waiting for the sake of many others.
const (
	maxCommands = 128
	maxTime     = 50 * time.Millisecond
)

// ErrClosed is the error of a command that was waiting when the committer stopped, or came later.
var ErrClosed = errors.New("groupcommit: closed")

// Tx is a database transaction that a group shares. Its savepoints do not nest.
type Tx interface {
	Savepoint(ctx context.Context) error
	Undo(ctx context.Context) error    // undoes what was done since the savepoint
	Release(ctx context.Context) error // ends the savepoint
	Commit(ctx context.Context) error  // returns when everything is durable
	Rollback(ctx context.Context) error
}

// Committer runs commands in groups. Its goroutine is the only one that begins transactions, so
// commands run one after the other. R is what a command leaves for after the commit.
type Committer[T Tx, R any] struct {
	begin     func(context.Context) (T, error)
	committed func([]R)
	queue     chan *command[T, R]
	quit      chan struct{}
	once      sync.Once
	done      sync.WaitGroup
}

// Start starts a committer. committed is called after each commit, before the callers hear of it,
// with what the commands that were kept returned.
func Start[T Tx, R any](begin func(context.Context) (T, error), committed func([]R)) *Committer[T, R] {
	c := &Committer[T, R]{begin: begin, committed: committed, queue: make(chan *command[T, R], maxCommands), quit: make(chan struct{})}
	c.done.Go(c.run)
	return c
}

// Stop lets the group under way finish and refuses what waits. It may be called twice.
func (c *Committer[T, R]) Stop() {
	c.once.Do(func() { close(c.quit) })
	c.done.Wait()
}

// command is one call of Do on its way through the committer.
type command[T Tx, R any] struct {
	ctx context.Context
	fn  func(context.Context, T) (R, error)
	// taken is set once, by the committer when it runs the command or by the caller when it gives
	// up waiting. Whoever sets it decides.
	taken atomic.Bool
	done  chan struct{} // closed when the fields below are final

	result   R
	err      error
	panicked any // what fn panicked with, raised again in the caller's goroutine
}

// Do runs fn in a savepoint of a group's transaction and returns when the group is durable. An
// error of fn undoes what fn did and nothing else, and is returned as it is. A caller whose ctx is
// done before fn began gives up; once fn runs, Do waits for the outcome.
//
// fn gets a context that outlives the caller's, because a statement that is cut off in the middle
// may end the transaction of all. fn must not call Do: it would wait for itself.
func (c *Committer[T, R]) Do(ctx context.Context, fn func(context.Context, T) (R, error)) error {
	cmd := &command[T, R]{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-c.quit:
		return ErrClosed
	default:
	}
	select {
	case c.queue <- cmd:
	case <-c.quit:
		return ErrClosed
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
	case <-c.quit:
		// The committer may have looked at the queue for the last time before cmd was in it.
		if cmd.taken.CompareAndSwap(false, true) {
			return ErrClosed
		}
		<-cmd.done
	}
	if cmd.panicked != nil {
		panic(cmd.panicked)
	}
	return cmd.err
}

func (c *Committer[T, R]) run() {
	for {
		select {
		case <-c.quit:
			return
		case cmd := <-c.queue:
			c.group(cmd)
		}
	}
}

// group runs first and whatever waits behind it in one transaction and answers all of them.
//
// A crash anywhere before Commit returns: none of the group happened, and none was answered. A
// crash after it: all of it is durable, although some callers may never hear so. An error of
// Commit itself may mean either; callers repeat a command under the same key to find out.
func (c *Committer[T, R]) group(first *command[T, R]) {
	ctx := context.Background() // one caller that gives up must not undo the others
	var group []*command[T, R]
	finish := func(err error) {
		for _, cmd := range group {
			if err != nil && cmd.err == nil {
				cmd.err = err
			}
			close(cmd.done)
		}
	}
	tx, err := c.begin(ctx)
	if err != nil {
		if first.taken.CompareAndSwap(false, true) {
			group = append(group, first)
		}
		finish(fmt.Errorf("begin a group of commands: %w", err))
		return
	}
	began := time.Now()
	for cmd := first; cmd != nil; cmd = c.next(len(group), began) {
		if !cmd.taken.CompareAndSwap(false, true) {
			continue // its caller gave up
		}
		group = append(group, cmd)
		if err := cmd.run(ctx, tx); err != nil {
			// The savepoint could not be undone, so nothing of the group may stay.
			finish(errors.Join(err, tx.Rollback(ctx)))
			return
		}
	}
	if err := tx.Commit(ctx); err != nil {
		_ = tx.Rollback(ctx) // only makes sure that the connection is free again
		finish(fmt.Errorf("commit a group of commands: %w", err))
		return
	}
	kept := make([]R, 0, len(group))
	for _, cmd := range group {
		if cmd.err == nil {
			kept = append(kept, cmd.result)
		}
	}
	c.committed(kept)
	finish(nil)
}

// next returns a command that waits, or nil when the group should end.
func (c *Committer[T, R]) next(size int, began time.Time) *command[T, R] {
	if size >= maxCommands || time.Since(began) > maxTime {
		return nil
	}
	select {
	case cmd := <-c.queue:
		return cmd
	default:
		return nil
	}
}

// run runs a command in a savepoint. The error it returns is not the command's: it means that the
// whole group is lost.
func (cmd *command[T, R]) run(ctx context.Context, tx T) error {
	if err := tx.Savepoint(ctx); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	if cmd.call(ctx, tx); cmd.err != nil {
		if err := tx.Undo(ctx); err != nil {
			return fmt.Errorf("undo a savepoint: %w", err)
		}
	}
	if err := tx.Release(ctx); err != nil {
		return fmt.Errorf("release a savepoint: %w", err)
	}
	return nil
}

// call calls the command's function. A panic is caught here, because the committer must go on for
// others, and raised again in the caller's goroutine.
func (cmd *command[T, R]) call(ctx context.Context, tx T) {
	defer func() {
		if p := recover(); p != nil {
			cmd.panicked, cmd.err = p, errors.New("groupcommit: the command panicked")
		}
	}()
	if cmd.ctx.Err() != nil {
		cmd.err = context.Cause(cmd.ctx)
		return
	}
	cmd.result, cmd.err = cmd.fn(ctx, tx)
}
