package groupcommit_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-ir/tocsin/internal/groupcommit"
)

// fake is a database of integers whose steps can fail.
type fake struct {
	mu      sync.Mutex
	kept    []int
	commits int
	fail    map[string]error
}

type fakeTx struct {
	db      *fake
	written []int
	mark    int
}

func (d *fake) begin(context.Context) (*fakeTx, error) {
	if err := d.fail["begin"]; err != nil {
		return nil, err
	}
	return &fakeTx{db: d}, nil
}

func (t *fakeTx) Savepoint(context.Context) error {
	t.mark = len(t.written)
	return t.db.fail["savepoint"]
}
func (t *fakeTx) Release(context.Context) error  { return t.db.fail["release"] }
func (t *fakeTx) Rollback(context.Context) error { t.written = nil; return nil }

func (t *fakeTx) Undo(context.Context) error {
	t.written = t.written[:t.mark]
	return t.db.fail["undo"]
}

func (t *fakeTx) Commit(context.Context) error {
	time.Sleep(time.Second) // fake time: a disk that is slow enough for everybody to queue
	if err := t.db.fail["commit"]; err != nil {
		return err
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	t.db.kept = append(t.db.kept, t.written...)
	t.db.commits++
	return nil
}

func write(n int, err error) func(context.Context, *fakeTx) (int, error) {
	return func(_ context.Context, t *fakeTx) (int, error) {
		t.written = append(t.written, n)
		return n, err
	}
}

var errBoom = errors.New("boom")

func TestManyCallersShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &fake{}
		var told []int
		c := groupcommit.Start(db.begin, func(results []int) { told = append(told, results...) })
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				var want error
				if n%10 == 0 {
					want = errBoom
				}
				if err := c.Do(t.Context(), write(n, want)); !errors.Is(err, want) {
					t.Errorf("command %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		c.Stop()
		slices.Sort(told)
		slices.Sort(db.kept)
		if len(db.kept) != 90 || !slices.Equal(db.kept, told) || slices.Contains(db.kept, 10) {
			t.Errorf("kept %v, told %v", db.kept, told)
		}
		if db.commits > 3 {
			t.Errorf("%d commits for 100 commands", db.commits)
		}
	})
}

func TestAFailureIsToldToEverybodyItConcerns(t *testing.T) {
	for _, step := range []string{"begin", "savepoint", "undo", "release", "commit"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failure := errors.New(step + " failed")
				db := &fake{fail: map[string]error{step: failure}}
				c := groupcommit.Start(db.begin, func(results []int) {
					if slices.Contains(results, 1) {
						t.Errorf("told of %v, which was lost", results)
					}
				})
				command := write(1, nil)
				if step == "undo" {
					command = write(1, errBoom)
				}
				err := c.Do(t.Context(), command)
				if step == "undo" && !errors.Is(err, errBoom) || step != "undo" && !errors.Is(err, failure) {
					t.Errorf("got %v", err)
				}
				if len(db.kept) > 0 {
					t.Errorf("kept %v", db.kept)
				}
				db.fail = nil
				if err := c.Do(t.Context(), write(2, nil)); err != nil {
					t.Errorf("the next group: %v", err)
				}
				c.Stop()
			})
		})
	}
}

func TestACallerGivesUpOnlyBeforeItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &fake{}
		c := groupcommit.Start(db.begin, func([]int) {})
		running, cancelRunning := context.WithCancel(t.Context())
		waiting, cancelWaiting := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Do(running, write(1, nil)); err != nil {
				t.Errorf("a command that ran: %v", err)
			}
		})
		synctest.Wait() // the first group is committing
		wg.Go(func() {
			if err := c.Do(waiting, write(2, nil)); !errors.Is(err, context.Canceled) {
				t.Errorf("a command given up: %v", err)
			}
		})
		synctest.Wait()
		cancelRunning()
		cancelWaiting()
		wg.Wait()
		if err := c.Do(t.Context(), write(3, nil)); err != nil {
			t.Error(err)
		}
		c.Stop()
		if !slices.Equal(db.kept, []int{1, 3}) {
			t.Errorf("kept %v, want 1 and 3", db.kept)
		}
	})
}

func TestStopFinishesTheGroupAndRefusesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &fake{}
		c := groupcommit.Start(db.begin, func([]int) {})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Do(t.Context(), write(1, nil)); err != nil {
				t.Errorf("the group under way: %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if err := c.Do(t.Context(), write(2, nil)); err != nil && !errors.Is(err, groupcommit.ErrClosed) {
					t.Errorf("a command that waited: %v", err)
				}
			})
		}
		synctest.Wait()
		c.Stop()
		wg.Wait()
		if err := c.Do(t.Context(), write(3, nil)); !errors.Is(err, groupcommit.ErrClosed) {
			t.Errorf("a command after the stop: %v", err)
		}
		if slices.Contains(db.kept, 3) || !slices.Contains(db.kept, 1) {
			t.Errorf("kept %v", db.kept)
		}
	})
}
