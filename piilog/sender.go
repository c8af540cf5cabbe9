package piilog

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Stats says what became of the events given to a Handler since it started.
type Stats struct {
	Accepted   int64 // durable on the server
	Duplicates int64 // durable there already, from an attempt whose answer was lost
	Rejected   int64 // refused by the server as invalid, or not writable as JSON: not recorded anywhere
	Lost       int64 // neither delivered nor kept: memory and spill were full
	Waiting    int64 // in memory or in SpillDir
	Spilled    int64 // bytes in SpillDir
	Retries    int64 // posts that had to be repeated
	LastError  string
}

// batch is what one post carries. Its key makes a repetition recognisable.
type batch struct {
	key   string
	lines []byte // NDJSON
	n     int
	file  string // where it lies in SpillDir; then lines is nil until it is sent
	size  int64  // bytes of lines, also when they lie in a file
}

// maxPost is the number of bytes at which a batch is full, whatever the number of its events.
const maxPost = 1 << 20

// sender owns the events between Handle and the server. add appends under mu; one goroutine, run,
// cuts batches and posts them, another, shelve, moves them to disk when the server is away.
//
// mu guards everything below it. Neither goroutine holds it during I/O, which is what keeps
// Handle from waiting.
type sender struct {
	o     Options
	spill spill

	wake   chan struct{} // a batch may be ready, or a flush was asked for; one pending wake is enough
	low    chan struct{} // shelve has something to look at
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	open    batch     // being filled; key is given when it is cut
	since   time.Time // when the first event of open came
	queue   []*batch  // cut, oldest first; the first may be in flight
	memory  int64     // bytes of lines in open and queue
	flying  *batch    // being posted: shelve leaves it alone
	away    bool      // the newest attempt failed: what waits goes to disk
	hurry   int       // flushes waiting: cut open at once
	settled int64     // events that left the sender, for good or bad
	given   int64     // events that came in
	changed chan struct{}
	closing bool // close was called
	closed  bool // no more events are taken
	st      Stats
}

func newSender(o Options) (*sender, error) {
	s := &sender{
		o: o, spill: spill{dir: o.SpillDir},
		wake: make(chan struct{}, 1), low: make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	left, err := s.spill.open()
	if err != nil {
		return nil, err
	}
	s.queue = left
	for _, b := range left {
		s.given += int64(b.n)
		s.st.Spilled += b.size
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.done.Add(2)
	go s.run(ctx)
	go s.shelve(ctx)
	return s, nil
}

// add takes one event into memory. It never waits for I/O.
func (s *sender) add(e Event) {
	line, err := e.encode()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given++
	switch {
	case err != nil:
		s.st.LastError = err.Error()
		s.settle(1, &s.st.Rejected)
		return
	case s.closed || s.memory+int64(len(line)) > s.o.MaxMemory:
		s.settle(1, &s.st.Lost)
		return
	}
	if s.open.n == 0 {
		s.since = time.Now()
	}
	s.open.lines = append(s.open.lines, line...)
	s.open.n++
	s.memory += int64(len(line))
	if s.open.n == 1 {
		nudge(s.wake)
	}
	if s.open.n >= s.o.MaxBatch || int64(len(s.open.lines)) > min(maxPost, s.o.MaxMemory/4) {
		s.cut()
		nudge(s.wake)
	}
	if s.away || s.memory > s.o.MaxMemory/2 {
		nudge(s.low)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// cut moves the open batch to the queue. The caller holds mu.
func (s *sender) cut() {
	if s.open.n == 0 {
		return
	}
	b := s.open
	b.key, b.size = newID(time.Now()), int64(len(b.lines))
	s.queue = append(s.queue, &b)
	s.open = batch{}
}

// settle counts n events as finished under one heading. The caller holds mu.
func (s *sender) settle(n int, heading *int64) {
	*heading += int64(n)
	s.settled += int64(n)
	close(s.changed)
	s.changed = make(chan struct{})
}

// run posts batches in order until the sender is closed.
func (s *sender) run(ctx context.Context) {
	defer s.done.Done()
	pause := time.Duration(0)
	for {
		b, wait := s.next()
		if b == nil {
			if !s.sleep(ctx, wait) {
				return
			}
			continue
		}
		again, after := s.deliver(ctx, b)
		if !again {
			pause = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		pause = min(max(2*pause, 100*time.Millisecond), s.o.MaxWait)
		// Spread the attempts of many processes; a Retry-After is never undercut.
		if !s.rest(ctx, max(after, pause/2+rand.N(pause/2+1))) {
			return
		}
	}
}

// next gives the oldest batch, or says how long to wait for one (0: until woken).
func (s *sender) next() (*batch, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 && s.open.n > 0 {
		left := s.o.MaxDelay - time.Since(s.since)
		if left > 0 && s.hurry == 0 {
			return nil, left
		}
		s.cut()
	}
	if len(s.queue) == 0 {
		return nil, 0
	}
	s.flying = s.queue[0]
	return s.flying, 0
}

// sleep waits for a wake-up or d, and reports false when the sender was closed.
func (s *sender) sleep(ctx context.Context, d time.Duration) bool {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.wake:
	case <-timer:
	}
	return true
}

// rest waits out a pause between attempts.
func (s *sender) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// reply is the server's answer to a batch.
type reply struct {
	Accepted   int64             `json:"accepted"`
	Duplicates int64             `json:"duplicates"`
	Rejected   []json.RawMessage `json:"rejected"`
}

// deliver posts one batch and removes it from the queue when its fate is decided. It reports
// whether the batch has to be sent again, and the pause the server asked for.
//
// A crash at any point leaves a spilled batch in its file, to be posted again under the same key;
// the server answers the repetition without counting it twice.
func (s *sender) deliver(ctx context.Context, b *batch) (again bool, after time.Duration) {
	lines, err := b.lines, error(nil)
	if b.file != "" {
		if lines, err = s.spill.read(b); err != nil {
			s.finish(b, func() { s.settle(b.n, &s.st.Lost); s.st.LastError = err.Error() })
			return false, 0
		}
	}
	r, status, after, err := s.post(ctx, b.key, lines)
	switch {
	case err == nil && status == http.StatusOK:
		s.finish(b, func() {
			rejected := min(int64(len(r.Rejected)), int64(b.n))
			s.st.Rejected += rejected
			s.st.Duplicates += r.Duplicates
			s.settle(b.n, new(int64))
			s.st.Accepted += max(0, int64(b.n)-rejected-r.Duplicates)
		})
		return false, 0
	case err == nil && status == http.StatusRequestEntityTooLarge && b.n > 1:
		s.split(b, lines)
		return false, 0
	case err == nil && (status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity):
		s.finish(b, func() {
			s.st.LastError = fmt.Sprintf("piilog: the server refused a batch of %d events with HTTP %d", b.n, status)
			s.settle(b.n, &s.st.Rejected)
		})
		return false, 0
	}
	// Everything else passes or is put right by an operator (a wrong key, a wrong path), so the
	// events are kept: an access that happened must not be forgotten because of a setting.
	s.mu.Lock()
	s.flying, s.away = nil, true
	nudge(s.low)
	s.st.Retries++
	s.st.LastError = fmt.Sprintf("piilog: the server answered HTTP %d", status)
	if err != nil {
		s.st.LastError = err.Error()
	}
	s.mu.Unlock()
	return true, after
}

func (s *sender) post(ctx context.Context, key string, lines []byte) (r reply, status int, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.Endpoint, bytes.NewReader(lines))
	if err != nil {
		return r, 0, 0, errors.New("piilog: the endpoint is not an address")
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+string(s.o.Key))
	req.Header.Set("Tocsin-Batch", key)
	resp, err := s.o.Client.Do(req)
	if err != nil {
		return r, 0, 0, fmt.Errorf("piilog: post: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return r, 0, 0, fmt.Errorf("piilog: the answer broke off: %w", err)
	}
	if sec, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && sec > 0 {
		after = min(time.Duration(sec)*time.Second, s.o.MaxWait)
	}
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, &r); err != nil {
			return r, 0, 0, errors.New("piilog: the answer is not Tocsin's: the endpoint should end in /v1/events")
		}
	}
	return r, resp.StatusCode, after, nil
}

// finish takes the flying batch out of the queue and counts it.
func (s *sender) finish(b *batch, count func()) {
	s.spill.remove(b) // a crash before this repeats the batch under its key, which the server recognises
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying, s.away = nil, false
	s.queue = s.queue[1:]
	s.forget(b)
	count()
}

// forget takes the batch's bytes off the books. The caller holds mu.
func (s *sender) forget(b *batch) {
	if b.file != "" {
		s.st.Spilled -= b.size
		return
	}
	s.memory -= b.size
}

// split replaces a batch that is too large for the server by its halves. Their keys follow from
// the batch's, so that a repetition after a crash gives the same ones.
func (s *sender) split(b *batch, lines []byte) {
	half, seen := 0, 0
	for i, c := range lines {
		if c == '\n' {
			if seen++; seen == b.n/2 {
				half = i + 1
				break
			}
		}
	}
	first := &batch{key: b.key + "a", lines: bytes.Clone(lines[:half]), n: b.n / 2, size: int64(half)}
	second := &batch{key: b.key + "b", lines: bytes.Clone(lines[half:]), n: b.n - b.n/2, size: int64(len(lines) - half)}
	s.spill.remove(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying, s.away = nil, false
	s.forget(b)
	s.memory += first.size + second.size
	s.queue = append([]*batch{first, second}, s.queue[1:]...)
}

func (s *sender) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.st
	st.Waiting = s.given - s.settled
	return st
}

func (s *sender) flush(ctx context.Context) error {
	s.mu.Lock()
	target, lost := s.given, s.st.Lost+s.st.Rejected
	s.hurry++
	nudge(s.wake)
	defer func() { s.mu.Lock(); s.hurry--; s.mu.Unlock() }()
	for s.settled < target {
		changed, left := s.changed, target-s.settled
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			last := s.stats().LastError
			if last != "" {
				last = ": " + last
			}
			return fmt.Errorf("piilog: %d events are not yet delivered: %w%s", left, ctx.Err(), last)
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if n := s.st.Lost + s.st.Rejected - lost; n > 0 {
		return fmt.Errorf("piilog: %d events were not recorded: %s", n, s.st.LastError)
	}
	return nil
}

func (s *sender) close(ctx context.Context) error {
	s.mu.Lock()
	already := s.closing
	s.closing = true
	s.mu.Unlock()
	if already {
		return nil
	}
	err := s.flush(ctx)
	s.mu.Lock()
	s.closed = true
	s.cut()
	s.mu.Unlock()
	s.cancel()
	s.done.Wait()
	kept, lost := s.shelveAll()
	switch {
	case lost > 0:
		return fmt.Errorf("piilog: %d events were lost at the end: they could not be delivered or written to the spill folder", lost)
	case kept > 0:
		return fmt.Errorf("piilog: %d events are in the spill folder and will be sent at the next start", kept)
	}
	return err
}

func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	t.MaxIdleConnsPerHost = 2
	return &http.Client{
		Transport: t,
		// A redirect would carry the key and the events elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
