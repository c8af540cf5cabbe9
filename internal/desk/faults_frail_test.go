package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/probe"
)

// A fault is what goes wrong at one write.
type fault string

const (
	failed    fault = "fails"       // nothing happened, the process hears so and lives on
	lost      fault = "answer lost" // it happened, the process hears of an error and lives on
	diesFirst fault = "dies before" // the process ends before the write
	diesThen  fault = "dies after"  // the process ends when the write is durable
)

var allFaults = []fault{failed, lost, diesFirst, diesThen}

var (
	errFault = errors.New("the write failed")
	errDead  = errors.New("this process has died")
)

// steps counts the writes of a run, whatever they are written to, and lets one of them go wrong.
type steps struct {
	mu     sync.Mutex
	n      int
	at     int // the write that goes wrong; 0: none
	fault  fault
	dead   bool
	died   func()
	doing  string   // what the script is at
	writes []string // what each write was
}

// write does one write, unless it is the one that goes wrong. what is asked after the write.
func (s *steps) write(what func() string, do func() error) error {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return errDead
	}
	s.n++
	doing, hit := s.doing, s.n == s.at
	s.mu.Unlock()
	var err error
	if !hit || s.fault == lost || s.fault == diesThen {
		err = do()
	}
	s.mu.Lock()
	s.writes = append(s.writes, fmt.Sprintf("%s | %s", doing, what()))
	s.mu.Unlock()
	if !hit || err != nil {
		return err
	}
	if s.fault == failed || s.fault == lost {
		return errFault
	}
	s.mu.Lock()
	s.dead = true
	s.mu.Unlock()
	s.died()
	return errDead
}

func (s *steps) isDead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// frailStore is a real store whose commits can go wrong. Its queue of jobs is in memory and dies
// with the process, which is the least a runner may promise; the script runs the jobs one by one,
// so that the order of all writes is the same each time.
type frailStore struct {
	ledger.Store
	steps *steps

	mu    sync.Mutex
	queue []ledger.Job
}

func (s *frailStore) Update(ctx context.Context, fn func(ledger.Tx) error) error {
	var tx *frailTx
	said := ""
	do := func() error {
		err := s.Store.Update(ctx, func(inner ledger.Tx) error {
			tx = &frailTx{Tx: inner}
			return fn(tx)
		})
		if err == nil {
			s.enqueue(tx.jobs)
		}
		return err
	}
	describe := func() string {
		if tx == nil {
			return said
		}
		return tx.String()
	}
	s.steps.mu.Lock()
	hit := s.steps.n+1 == s.steps.at && !s.steps.dead && (s.steps.fault == failed || s.steps.fault == diesFirst)
	s.steps.mu.Unlock()
	if hit {
		// The transaction runs up to its commit, so that what it did to caches is done.
		err := s.Store.Update(ctx, func(inner ledger.Tx) error {
			tx = &frailTx{Tx: inner}
			if err := fn(tx); err != nil {
				return err
			}
			return errFault
		})
		if !errors.Is(err, errFault) {
			return err // it would not have been committed anyhow
		}
	}
	return s.steps.write(describe, do)
}

func (s *frailStore) View(ctx context.Context, fn func(ledger.Reader) error) error {
	if s.steps.isDead() {
		return errDead
	}
	return s.Store.View(ctx, fn)
}

func (s *frailStore) enqueue(jobs []ledger.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		if !slices.ContainsFunc(s.queue, func(q ledger.Job) bool { return q.ID == j.ID }) {
			s.queue = append(s.queue, j)
		}
	}
}

func (s *frailStore) next() (j ledger.Job, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return j, false
	}
	j, s.queue = s.queue[0], s.queue[1:]
	return j, true
}

// frailTx notes what a transaction writes.
type frailTx struct {
	ledger.Tx
	jobs     []ledger.Job
	kinds    []string
	anchored int
	wakes    int
	memo     bool
}

func (t *frailTx) Append(chain string, expect int, records []ledger.Record) error {
	for _, r := range records {
		t.kinds = append(t.kinds, r.Kind)
	}
	return t.Tx.Append(chain, expect, records)
}

func (t *frailTx) Enqueue(j ledger.Job) error {
	t.jobs = append(t.jobs, j)
	return ledger.CheckJob(j)
}

func (t *frailTx) SetWake(chain string, c ledger.WakeClock, at time.Time) error {
	t.wakes++
	return t.Tx.SetWake(chain, c, at)
}

func (t *frailTx) Command(id string, outcome []byte, at time.Time) error {
	t.memo = true
	return t.Tx.Command(id, outcome, at)
}

func (t *frailTx) Anchored(seq, index int64) error {
	t.anchored++
	return t.Tx.Anchored(seq, index)
}

func (t *frailTx) String() string {
	var parts []string
	if len(t.kinds) > 0 {
		list := slices.Compact(slices.Sorted(slices.Values(t.kinds)))
		if len(list) > 3 {
			list = append(list[:2], fmt.Sprintf("%d more kinds", len(list)-2))
		}
		parts = append(parts, "facts: "+strings.Join(list, ", "))
	}
	if n := len(t.jobs); n > 0 {
		parts = append(parts, count(n, "job"))
	}
	if t.anchored > 0 {
		parts = append(parts, "indexes of anchored facts")
	}
	if len(parts) == 0 && t.wakes > 0 {
		parts = append(parts, "a wake-up")
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing")
	}
	return strings.Join(parts, "; ")
}

// The ports of the outside, each of whose effects is a write that can go wrong.

type frailLog struct {
	*memoryLog
	steps *steps
}

func (l *frailLog) AppendMany(ctx context.Context, data [][]byte) (index []uint64, err error) {
	err = l.steps.write(func() string { return "leaves of the facts log" }, func() (err error) {
		index, err = l.memoryLog.AppendMany(ctx, data)
		return err
	})
	return index, err
}

type frailPost struct {
	*post
	steps *steps
}

func (p *frailPost) Send(ctx context.Context, l notify.Letter) notify.Receipt {
	r := notify.Receipt{Outcome: incident.Deferred, Code: "connect", At: noon}
	err := p.steps.write(func() string { return "the letter" }, func() error {
		r = p.post.Send(ctx, l)
		return nil
	})
	if errors.Is(err, errFault) && p.steps.fault == lost && r.Outcome == incident.Done {
		r = notify.Receipt{Outcome: incident.Uncertain, Code: "timeout", At: noon}
	}
	return r
}

type frailApp struct {
	*app
	steps *steps
}

func (a *frailApp) Apply(ctx context.Context, t contain.Target, secret contain.Secret, id string) contain.Result {
	r := contain.Result{Outcome: incident.Deferred, Code: "connect", At: noon}
	err := a.steps.write(func() string { return "the revocation" }, func() error {
		r = a.app.Apply(ctx, t, secret, id)
		return nil
	})
	if errors.Is(err, errFault) && a.steps.fault == lost {
		r = contain.Result{Outcome: incident.Uncertain, Code: "timeout", At: noon}
	}
	return r
}

func (a *frailApp) Confirm(ctx context.Context, t contain.Target, secret contain.Secret) contain.Result {
	r := contain.Result{Outcome: incident.Deferred, Code: "connect", At: noon}
	err := a.steps.write(func() string { return "the probe" }, func() error {
		r = a.app.Confirm(ctx, t, secret)
		return nil
	})
	if errors.Is(err, errFault) && a.steps.fault == lost {
		r = contain.Result{Outcome: incident.Deferred, Code: "timeout", At: noon}
	}
	return r
}

type frailCheck struct{ steps *steps }

func (c frailCheck) Run(ctx context.Context) probe.Result {
	r := probe.Result{Code: "connect", Observed: "it gave no answer", At: noon}
	err := c.steps.write(func() string { return "the check" }, func() error {
		r = passes{}.Run(ctx)
		return nil
	})
	if err != nil {
		r.Passed = false
	}
	return r
}
