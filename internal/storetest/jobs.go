package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/ledger"
)

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(soon)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for this: %s", soon, what)
		}
		<-tick.C
	}
}

func idle(t *testing.T, s ledger.Store) {
	t.Helper()
	eventually(t, "no job is queued or running", func() bool {
		n, err := s.Busy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
}

func enqueue(t *testing.T, s ledger.Store, jobs ...ledger.Job) {
	t.Helper()
	update(t, s, func(tx ledger.Tx) error {
		for _, j := range jobs {
			if err := tx.Enqueue(j); err != nil {
				return err
			}
		}
		return nil
	})
}

func run(t *testing.T, s ledger.Store, workers int, work func(context.Context, ledger.Job) error) {
	t.Helper()
	if err := s.Run(t.Context(), workers, work, nil); err != nil {
		t.Fatalf("run: %v", err)
	}
}

// tally counts runs by job id.
type tally struct {
	mu   sync.Mutex
	runs map[string]int
	last ledger.Job
}

func (c *tally) work(_ context.Context, j ledger.Job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs == nil {
		c.runs = map[string]int{}
	}
	c.runs[j.ID]++
	c.last = j
	return nil
}

func (c *tally) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[id]
}

func job(id string) ledger.Job {
	return ledger.Job{Kind: "notice.send", ID: id, Chain: "INC-1", Args: []byte(`{"attempt":1}`)}
}

func jobsRun(t *testing.T, p Place) {
	s, c := open(t, p), &tally{}
	for i := range 10 {
		enqueue(t, s, job(fmt.Sprintf("before/%d", i)))
	}
	if n, err := s.Busy(t.Context()); err != nil || n != 10 {
		t.Errorf("busy before the runner starts: %d, %v", n, err)
	}
	run(t, s, 4, c.work)
	for i := range 10 {
		enqueue(t, s, job(fmt.Sprintf("after/%d", i)), job(fmt.Sprintf("also/%d", i)))
	}
	idle(t, s)
	if len(c.runs) != 30 {
		t.Errorf("%d jobs ran, want 30", len(c.runs))
	}
	for id, n := range c.runs {
		if n != 1 {
			t.Errorf("job %s ran %d times", id, n)
		}
	}
	want := ledger.Job{Kind: "action.apply", ID: "apply/1", Chain: "INC-9", Urgent: true, Args: []byte(`{"a":[1,2]}`)}
	enqueue(t, s, want)
	idle(t, s)
	got := c.last
	args, err := ledger.Canonical(got.Args) // a database may write JSON its own way
	if err != nil || string(args) != string(want.Args) {
		t.Errorf("the worker got the arguments %s (%v), want %s", got.Args, err, want.Args)
	}
	if got.Args, want.Args = nil, nil; !reflect.DeepEqual(got, want) {
		t.Errorf("the worker got %+v, want %+v", got, want)
	}
	for name, bad := range map[string]ledger.Job{"no id": {Kind: "x"}, "no kind": {ID: "x"}, "no JSON": {Kind: "x", ID: "x", Args: []byte("{")}} {
		if err := s.Update(t.Context(), func(tx ledger.Tx) error { return tx.Enqueue(bad) }); err == nil {
			t.Errorf("a job with %s was queued", name)
		}
	}
}

func jobsUndone(t *testing.T, p Place) {
	s, c := open(t, p), &tally{}
	run(t, s, 2, c.work)
	boom := errors.New("boom")
	err := s.Update(t.Context(), func(tx ledger.Tx) error { return errors.Join(tx.Enqueue(job("undone")), boom) })
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	enqueue(t, s, job("kept"))
	idle(t, s)
	if c.of("undone") != 0 || c.of("kept") != 1 {
		t.Errorf("runs: %v", c.runs)
	}
}

func jobsUnique(t *testing.T, p Place) {
	s := open(t, p)
	var c tally
	started, release := make(chan string, 10), make(chan struct{})
	enqueue(t, s, job("x"), job("x"))
	enqueue(t, s, job("x"))
	if n, err := s.Busy(t.Context()); err != nil || n != 1 {
		t.Errorf("busy after queueing one id three times: %d, %v", n, err)
	}
	run(t, s, 3, func(ctx context.Context, j ledger.Job) error {
		started <- j.ID
		<-release
		return c.work(ctx, j)
	})
	<-started
	enqueue(t, s, job("x"), job("y")) // x is running
	<-started
	close(release)
	idle(t, s)
	if c.of("x") != 1 || c.of("y") != 1 {
		t.Errorf("runs: %v", c.runs)
	}
	enqueue(t, s, job("x")) // it has ended
	idle(t, s)
	if c.of("x") != 2 {
		t.Errorf("a job that had ended ran %d times, want 2", c.of("x"))
	}
}

func jobsFailed(t *testing.T, p Place) {
	s, c := open(t, p), &tally{}
	run(t, s, 2, func(ctx context.Context, j ledger.Job) error {
		return errors.Join(c.work(ctx, j), errors.New("refused by the other side"))
	})
	enqueue(t, s, job("x"))
	idle(t, s)
	enqueue(t, s, job("x"))
	idle(t, s)
	if c.of("x") != 2 {
		t.Errorf("ran %d times, want once for each time it was queued", c.of("x"))
	}
}

// Whoever is told of a failure queues the job again: it is not taken for the one that is ending.
func jobsQueuedAgain(t *testing.T, p Place) {
	s := open(t, p)
	const times = 20
	var c tally
	var wrong atomic.Value
	done := make(chan struct{})
	work := func(ctx context.Context, j ledger.Job) error {
		_ = c.work(ctx, j)
		if c.of(j.ID) < times {
			return errors.New("not yet")
		}
		close(done)
		return nil
	}
	failed := func(j ledger.Job) {
		if err := s.Update(context.WithoutCancel(t.Context()), func(tx ledger.Tx) error { return tx.Enqueue(j) }); err != nil {
			wrong.Store(err)
		}
	}
	if err := s.Run(t.Context(), 2, work, failed); err != nil {
		t.Fatalf("run: %v", err)
	}
	enqueue(t, s, job("stubborn"))
	select {
	case <-done:
	case <-time.After(soon):
		t.Errorf("ran %d times, want %d: %v", c.of("stubborn"), times, wrong.Load())
	}
	idle(t, s)
}

func jobsUrgent(t *testing.T, p Place) {
	s := open(t, p)
	release, urgent := make(chan struct{}), make(chan struct{})
	run(t, s, 1, func(_ context.Context, j ledger.Job) error {
		if j.Urgent {
			close(urgent)
		} else {
			<-release
		}
		return nil
	})
	enqueue(t, s, job("mail/1"), job("mail/2"), job("mail/3"))
	u := job("revoke/1")
	u.Urgent = true
	enqueue(t, s, u)
	select {
	case <-urgent:
	case <-time.After(soon):
		t.Error("containment waited for mail")
	}
	close(release)
	idle(t, s)
}

// Nobody looks for jobs within the test, so that each of them starts because its commit said so.
func jobsWoken(t *testing.T, p Place) {
	s, err := p.OpenPolling(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	started := make(chan string, 1)
	run(t, s, 2, func(_ context.Context, j ledger.Job) error { started <- j.ID; return nil })
	for i := range 15 {
		enqueue(t, s, job(fmt.Sprint(i)))
		select {
		case id := <-started:
			if id != job(fmt.Sprint(i)).ID {
				t.Fatalf("job %d: %s ran", i, id)
			}
		case <-time.After(soon):
			t.Fatalf("job %d was not started after its commit: the queue was not woken", i)
		}
		idle(t, s)
	}
}
