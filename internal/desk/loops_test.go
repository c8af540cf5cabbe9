package desk

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/probe"
)

// promise: CLS-2
func TestAClockIsTickedAtTheInstantItNames(t *testing.T) {
	s := newSite(t, nil).start()
	inc := s.open()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	s.give(lena, inc, incident.Answer{Fact: "personal_data", Value: true, Reason: "seen"})
	s.give(nadia, inc, incident.AdjustScope{Merchant: "m_1", Include: true, Reason: "their log says so"})
	s.quiet()
	due := s.state(inc).Duties["tell_merchants/m_1"].Due
	if due.IsZero() {
		t.Fatal("the duty has no limit")
	}
	for range 50 {
		next, ok, err := s.NextDomainWake(t.Context())
		s.must(err)
		if !ok || next.After(due.Add(time.Hour)) {
			break
		}
		s.clock.Set(next.Add(-time.Millisecond))
		before := s.state(inc).Version
		s.quiet()
		if v := s.state(inc).Version; v != before {
			t.Errorf("a millisecond before %s the incident changed", next)
		}
		s.clock.Set(next)
		s.quiet()
		if after, _, err := s.NextDomainWake(t.Context()); err != nil || !after.IsZero() && !after.After(next) {
			t.Fatalf("woken at %s, and the next wake-up is %s, %v", next, after, err)
		}
	}
	d := s.state(inc).Duties["tell_merchants/m_1"]
	if d.State != incident.DutyMissed || d.Missed.Sub(due) > time.Second {
		t.Errorf("the duty is %s, missed at %s, due at %s", d.State, d.Missed, due)
	}
}

// blocks is a check that runs until it is let go.
type blocks struct{ begun, let chan struct{} }

func (b blocks) Run(ctx context.Context) probe.Result {
	close(b.begun)
	select {
	case <-b.let:
	case <-ctx.Done():
	}
	return probe.Result{Passed: true, Code: "http 200", At: noon}
}

func TestQuietWaitsForWorkAndForNothingElse(t *testing.T) {
	b := blocks{make(chan struct{}), make(chan struct{})}
	s := newSite(t, func(o *Options) { o.Checks = map[string]Check{"orders_api": b} }).start()
	s.quiet()
	inc := s.open()
	s.quiet()
	s.give(nadia, inc, incident.RunChecks{Checks: []string{"orders_api"}})
	<-b.begun
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Quiet(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("quiet while a check runs: %v", err)
	}
	close(b.let)
	s.quiet()
	if c := s.state(inc).Checks["orders_api"]; c.State != incident.CheckPassed {
		t.Errorf("quiet, and the check is %s", c.State)
	}
}

// promise: NOT-1
func TestDeferredMailGoesOutByTheMachinesClock(t *testing.T) {
	s := newSite(t, func(o *Options) { o.MailRetry = []time.Duration{30 * time.Millisecond, 30 * time.Millisecond} }).start()
	inc := s.open()
	s.tell(inc)
	s.quiet()
	n := s.state(inc).Notices[0]
	if n.State != incident.NoticeSent {
		t.Errorf("the notice is %s", n.State)
	}
	for party, want := range map[string]int{"m_1": 1, "m_2": 1, "m_3": 1, "m_4": 2, "m_5": 1} {
		if got := s.mail.letters()[party]; got != want {
			t.Errorf("%s got %d letters, want %d", party, got, want)
		}
		if d := n.Deliveries[party]; d.State != incident.DeliveryAccepted {
			t.Errorf("delivery to %s is %s", party, d.State)
		}
	}
	if now := s.clock.Now(); !now.Equal(noon) {
		t.Errorf("domain time moved to %s", now)
	}
	if next, waiting, err := s.nextWake(t.Context(), ledger.Protocol); err != nil || waiting {
		t.Errorf("a retry is left at %s: %v", next, err)
	}
}

// counting is a store that knows how many jobs one transaction queued at most.
type counting struct {
	ledger.Store
	most atomic.Int64
}

type countingTx struct {
	ledger.Tx
	jobs int64
}

func (t *countingTx) Enqueue(j ledger.Job) error {
	t.jobs++
	return t.Tx.Enqueue(j)
}

func (c *counting) Update(ctx context.Context, fn func(ledger.Tx) error) error {
	return c.Store.Update(ctx, func(tx ledger.Tx) error {
		t := &countingTx{Tx: tx}
		err := fn(t)
		if t.jobs > c.most.Load() { // commands run one after the other
			c.most.Store(t.jobs)
		}
		return err
	})
}

// More recipients than one transaction queues are told all the same, each once for each attempt that did not
// reach them, and the desk is not quiet before; so it is where the process died in the middle, and what it had in
// memory is gone.
func TestWhoIsNotQueuedAtOnceIsToldLater(t *testing.T) {
	for _, died := range []bool{false, true} {
		var store *counting
		s := newSite(t, func(o *Options) {
			store = &counting{Store: o.Store}
			o.Store = store
		})
		s.mostQueued = 2
		if !died {
			s.start()
		}
		inc := s.open()
		s.tell(inc) // where nothing runs yet nobody is told
		if died {
			if s.backlog.len() == 0 {
				t.Error("nothing is left to queue")
			}
			s.backlog.remove(inc)
			s.start()
		}
		s.quiet()
		if n := s.state(inc).Notices[0]; n.State != incident.NoticeSent {
			t.Errorf("died %v: the notice is %s", died, n.State)
		}
		for party, want := range map[string]int{"m_1": 1, "m_2": 1, "m_3": 1, "m_4": 2, "m_5": 1} {
			if got := s.mail.letters()[party]; got != want {
				t.Errorf("died %v: %s got %d letters, want %d", died, party, got, want)
			}
		}
		if s.backlog.len() > 0 || s.queued.len() > 0 {
			t.Errorf("died %v: left are %v and %d with the runner", died, s.backlog.list(), s.queued.len())
		}
		if most := store.most.Load(); most != 2 {
			t.Errorf("died %v: one transaction queued %d", died, most)
		}
	}
}

// tell confirms the incident, scopes it and sends the notice to its five merchants.
func (s *site) tell(inc string) {
	s.t.Helper()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	for _, m := range merchants {
		s.give(nadia, inc, incident.AdjustScope{Merchant: m.ID, Include: true, Reason: "their log says so"})
	}
	s.give(mark, inc, incident.DraftNotice{Duty: "tell_merchants", Subject: "A security incident", Content: content})
	s.give(lena, inc, incident.ApproveNotice{Notice: "NTC-1", Attest: true})
	s.give(mark, inc, incident.SendNotice{Notice: "NTC-1"})
}

// fickle is a store that fails on demand.
type fickle struct {
	ledger.Store
	fail  atomic.Int64 // so many Updates
	calls atomic.Int64
	every atomic.Bool
}

func (f *fickle) Update(ctx context.Context, fn func(ledger.Tx) error) error {
	f.calls.Add(1)
	if f.every.Load() || f.fail.Add(-1) >= 0 {
		return errors.New("the database is busy")
	}
	return f.Store.Update(ctx, fn)
}

// fussyLog is a facts log whose checkpoint cannot be read for a while.
type fussyLog struct {
	*memoryLog
	failures atomic.Int64
}

func (l *fussyLog) Checkpoint(ctx context.Context) ([]byte, uint64, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, 0, errors.New("the log cannot be read")
	}
	return l.memoryLog.Checkpoint(ctx)
}

func TestWorkThatFailedIsTakenUpAgain(t *testing.T) {
	var log *fussyLog
	s := newSite(t, func(o *Options) {
		log = &fussyLog{memoryLog: o.FactLog.(*memoryLog)}
		o.FactLog = log
	})
	s.again.first = 5 * time.Millisecond
	s.start()
	inc := s.open()
	log.failures.Store(3)
	s.tell(inc)
	waitFor(t, "the letters", func() bool { return s.state(inc).Notices[0].State == incident.NoticeSent })
	s.quiet()
	if _, waiting := s.again.next(); waiting {
		t.Error("an incident is still looked at again")
	}
}

func TestAResultIsRecordedHoweverLongTheDatabaseIsBusy(t *testing.T) {
	var f *fickle
	b := blocks{make(chan struct{}), make(chan struct{})}
	s := newSite(t, func(o *Options) {
		f = &fickle{Store: o.Store}
		o.Store = f
		o.Checks = map[string]Check{"orders_api": b}
	}).start()
	inc := s.open()
	s.give(nadia, inc, incident.RunChecks{Checks: []string{"orders_api"}})
	<-b.begun
	f.fail.Store(3)
	close(b.let)
	waitFor(t, "the result", func() bool { return s.state(inc).Checks["orders_api"].State == incident.CheckPassed })
}

func TestAnAlarmIsNotLostWhenTheDatabaseIsBusy(t *testing.T) {
	var f *fickle
	s := newSite(t, func(o *Options) {
		f = &fickle{Store: o.Store}
		o.Store = f
	})
	s.detection.pending = []incident.Signal{alarm}
	f.fail.Store(1)
	if err := s.takeIn(t.Context()); err == nil {
		t.Fatal("the alarm was taken in by a busy database")
	}
	s.must(s.takeIn(t.Context()))
	if st := s.state("INC-1"); len(st.Signals) != 1 || st.Signals[0].Sentence != alarm.Sentence || len(s.detection.pending) != 0 {
		t.Errorf("signals %+v", st.Signals)
	}
	// One that is not acceptable in any form must not keep later ones from being raised.
	impossible := alarm
	impossible.ID = ""
	s.detection.pending = []incident.Signal{impossible}
	s.must(s.takeIn(t.Context()))
}

// explodes panics in every call.
type explodes struct{ *app }

func (explodes) Apply(context.Context, contain.Target, contain.Secret, string) contain.Result {
	panic("apply")
}

func (explodes) Send(context.Context, notify.Letter) notify.Receipt { panic("send") }

func (explodes) Run(context.Context) probe.Result { panic("check") }

func TestAPanicOutsideIsAResultAndNotAnEnd(t *testing.T) {
	s := newSite(t, func(o *Options) {
		e := explodes{&app{}}
		o.Connectors = map[string]contain.Connector{"app_tokens": e}
		o.Mail, o.Checks = e, map[string]Check{"orders_api": e}
	}).start()
	inc := s.open()
	s.tell(inc)
	s.give(nadia, inc, incident.RunChecks{Checks: []string{"orders_api"}})
	_, err := s.Plan(t.Context(), "", nadia, inc, "revoke_token", map[string]string{"credential": "tok_9f"}, "", "stolen")
	s.must(err)
	s.give(lena, inc, incident.ApproveAction{Action: "ACT-1"})
	s.quiet()
	st := s.state(inc)
	for party, d := range st.Notices[0].Deliveries {
		if d.State != incident.DeliveryUncertain || d.Attempted != "" {
			t.Errorf("delivery to %s is %s", party, d.State)
		}
	}
	if c := st.Checks["orders_api"]; c.State != incident.CheckFailed || c.Code != "panic" {
		t.Errorf("the check is %s with %s", c.State, c.Code)
	}
	if len(incident.InFlight(st)) != 0 {
		t.Errorf("left in flight: %+v", incident.InFlight(st))
	}
}

// wordy answers with more than a fact may hold.
type wordy struct{ said string }

func (w wordy) Run(context.Context) probe.Result {
	return probe.Result{Passed: true, Code: w.said, Observed: w.said, At: noon}
}

func TestAResultThatSaysTooMuchIsRecordedInFewerWords(t *testing.T) {
	for name, said := range map[string]string{"long": strings.Repeat("x", 1<<20), "not text": "\xff\xfe"} {
		s := newSite(t, func(o *Options) { o.Checks = map[string]Check{"orders_api": wordy{said}} }).start()
		inc := s.open()
		s.give(nadia, inc, incident.RunChecks{Checks: []string{"orders_api"}})
		s.quiet()
		if c := s.state(inc).Checks["orders_api"]; c.State != incident.CheckPassed {
			t.Errorf("%s: the check is %s", name, c.State)
		}
	}
}

func TestAWakeUpSetMeanwhileIsKept(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	s.tell(inc)
	stale := s.state(inc)
	// Between a reader's look and its write, a worker records that m_2 is to be tried again.
	var eff incident.Effect
	for _, e := range incident.Owed(stale) {
		if e.Party == "m_2" {
			eff = e
		}
	}
	who := worker("notify")
	s.give(who, inc, incident.ReportAttempt{Effect: eff, Message: "<1@x>"})
	retry := time.Now().Add(time.Hour)
	s.give(who, inc, incident.ReportResult{Effect: eff, Outcome: incident.Deferred, Code: "450", At: noon, Retry: retry})
	s.must(s.queueOwed(t.Context(), inc, time.Now(), true))
	next, ok, err := s.nextWake(t.Context(), ledger.Protocol)
	if err != nil || !ok || next.Sub(retry).Abs() > time.Second {
		t.Errorf("the retry is at %s (%v, %v), want %s", next, ok, err, retry)
	}
	domain, _, err := s.NextDomainWake(t.Context())
	s.must(err)
	s.must(s.rewake(t.Context(), inc, noon))
	if again, _, err := s.NextDomainWake(t.Context()); err != nil || !again.Equal(domain) {
		t.Errorf("the clock was at %s and is at %s: %v", domain, again, err)
	}
}

// promise: NOT-1
func TestAStartReportsWhatWasInFlightAndQueuesWhatIsOwed(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	s.tell(inc)
	for _, eff := range incident.Owed(s.state(inc)) {
		if eff.Party == "m_1" {
			s.give(worker("notify"), inc, incident.ReportAttempt{Effect: eff, Message: "<1@x>"})
		}
	}
	s.start() // as after a crash: nobody knows what became of the letter to m_1
	s.quiet()
	n := s.state(inc).Notices[0]
	if d := n.Deliveries["m_1"]; d.Unsure != 1 || d.State != incident.DeliveryAccepted || d.Attempts != 2 {
		t.Errorf("delivery to m_1: %+v", d)
	}
	if n.State != incident.NoticeSent {
		t.Errorf("the notice is %s", n.State)
	}
}

func TestAnIncidentGoesOnUnderTheNewestPolicyWhenItsOwnIsGone(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	s.tell(inc)
	eff := incident.Owed(s.state(inc))[0]
	s.give(worker("notify"), inc, incident.ReportAttempt{Effect: eff, Message: "<1@x>"})
	other := *s.g.program
	other.Hash = "sha256:other"
	other.Duties = append([]policy.Duty(nil), other.Duties[:3]...) // it knows of no notices
	o := s.o
	o.Programs = []*policy.Program{&other}
	next, err := New(o)
	s.must(err)
	s.Desk = next
	s.start()
	s.quiet()
	if len(incident.InFlight(s.state(inc))) != 0 {
		t.Error("an attempt is left in flight")
	}
	s.give(lena, inc, incident.Note{Text: "still here"})
	f, err := ledger.Open(s.records(inc)[len(s.records(inc))-1], s.g.keys)
	if err != nil || f.Versions.Policy != "sha256:other" {
		t.Errorf("the newest fact names policy %s: %v", f.Versions.Policy, err)
	}
	if _, err := s.Board(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Clocks(t.Context(), inc); err != nil {
		t.Error(err)
	}
}

func TestStopEndsEverythingEvenWithAWorkerInTheMiddle(t *testing.T) {
	before := runtime.NumGoroutine()
	b := blocks{make(chan struct{}), make(chan struct{})}
	s := newSite(t, func(o *Options) { o.Checks = map[string]Check{"orders_api": b} }).start()
	inc := s.open()
	s.give(nadia, inc, incident.RunChecks{Checks: []string{"orders_api"}})
	<-b.begun
	ended := make(chan struct{})
	go func() {
		s.Stop()
		s.store.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("stopping hangs")
	}
	waitFor(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestAWorkerGivesUpWhenTheStoreIsClosed(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	s.give(nadia, inc, incident.RunChecks{Checks: []string{"orders_api"}})
	eff := incident.Owed(s.state(inc))[0]
	s.give(worker("check"), inc, incident.ReportAttempt{Effect: eff})
	s.must(s.store.Close())
	ended := make(chan error, 1)
	go func() {
		ended <- s.report(t.Context(), worker("check"), incident.ReportResult{Effect: eff, Outcome: incident.Done})
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a result was recorded in a closed store")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the worker goes on trying")
	}
}

func TestAFailingLoopDoesNotSpin(t *testing.T) {
	var f *fickle
	s := newSite(t, func(o *Options) {
		f = &fickle{Store: o.Store}
		o.Store = f
	}).start()
	inc := s.open()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	s.quiet()
	f.every.Store(true)
	before := f.calls.Load()
	s.clock.Set(noon.Add(100 * time.Hour)) // clocks are due and cannot be ticked
	time.Sleep(300 * time.Millisecond)
	if n := f.calls.Load() - before; n > 20 {
		t.Errorf("%d writes were tried in 0.3 s", n)
	}
	f.every.Store(false)
	waitFor(t, "the clocks", func() bool { return s.state(inc).Duties["assess"].State != incident.DutyRunning })
}

func TestEveryChangeIsToldToWhoWatches(t *testing.T) {
	s := newSite(t, nil).start()
	ctx, cancel := context.WithCancel(t.Context())
	changed := s.WatchIncidents(ctx)
	var told sync.WaitGroup
	told.Go(func() { <-changed })
	s.open()
	told.Wait()
	cancel()
	waitFor(t, "the watcher to be forgotten", func() bool {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		return len(s.watch.subs) == 0
	})
}

// counted counts the jobs that are offered to the runner.
type counted struct {
	ledger.Store
	jobs int
}

type countedTx struct {
	ledger.Tx
	c *counted
}

func (c *counted) Update(ctx context.Context, fn func(ledger.Tx) error) error {
	return c.Store.Update(ctx, func(tx ledger.Tx) error { return fn(countedTx{tx, c}) })
}

func (tx countedTx) Enqueue(j ledger.Job) error {
	tx.c.jobs++
	return tx.Tx.Enqueue(j)
}

// Thousands of letters that are to be tried again wake the desk thousands of times: each time it
// offers the runner what is new and not what it has already.
func TestARetryIsOfferedToTheRunnerOnce(t *testing.T) {
	c := &counted{}
	s := newSite(t, func(o *Options) { c.Store, o.Store = o.Store, c })
	inc := s.open()
	s.tell(inc)
	who, later := worker("notify"), time.Now()
	owed := incident.Owed(s.state(inc))
	for _, eff := range owed {
		later = later.Add(time.Minute)
		s.give(who, inc, incident.ReportAttempt{Effect: eff, Message: "<1@x>"})
		s.give(who, inc, incident.ReportResult{Effect: eff, Outcome: incident.Deferred, Code: "450", At: noon, Retry: later})
	}
	c.jobs = 0
	at := later.Add(-time.Second) // all but the last one are due
	for range 3 {
		s.must(s.queueOwed(t.Context(), inc, at, false))
	}
	if c.jobs != len(owed)-1 || len(owed) < 2 {
		t.Errorf("%d jobs were offered for %d letters", c.jobs, len(owed)-1)
	}
	s.must(s.queueOwed(t.Context(), inc, later, false))
	if c.jobs != len(owed) {
		t.Errorf("%d jobs were offered for %d letters", c.jobs, len(owed))
	}
	s.must(s.queueOwed(t.Context(), inc, later, true)) // one was lost: which is not known
	if c.jobs != 2*len(owed) {
		t.Errorf("%d jobs were offered after one was lost, want all %d again", c.jobs-len(owed), len(owed))
	}
}
