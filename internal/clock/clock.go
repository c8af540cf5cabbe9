// Package clock holds the two clocks a server can run on: the machine's, and the simulated domain
// clock of a drill. Protocol time (retries, cookies, TLS) is never simulated and never comes from
// here.
package clock

import (
	"sync"
	"time"
)

// Real is the machine's clock, in UTC.
type Real struct{}

// Now returns the machine's time.
func (Real) Now() time.Time { return time.Now().UTC() }

// Until returns a channel that is closed at t, and a function that gives up waiting.
func (Real) Until(t time.Time) (<-chan struct{}, func()) {
	ch := make(chan struct{})
	timer := time.AfterFunc(time.Until(t), func() { close(ch) })
	return ch, func() { timer.Stop() }
}

// Simulated reports false: Real is the production clock.
func (Real) Simulated() bool { return false }

// Drill is a domain clock that stands still until it is moved. Its owner is the drill pipe.
type Drill struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[*waiter]struct{}
}

type waiter struct {
	at time.Time
	ch chan struct{}
}

// NewDrill returns a clock that stands at now.
func NewDrill(now time.Time) *Drill {
	return &Drill{now: now.UTC(), waiting: map[*waiter]struct{}{}}
}

// Now returns the simulated time.
func (d *Drill) Now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// Simulated reports true, so that facts can say so.
func (d *Drill) Simulated() bool { return true }

// Set moves the clock to t and wakes everybody whose time has come. The clock never goes back.
func (d *Drill) Set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.Before(d.now) {
		return
	}
	d.now = t.UTC()
	for w := range d.waiting {
		if !w.at.After(d.now) {
			close(w.ch)
			delete(d.waiting, w)
		}
	}
}

// Until returns a channel that is closed once the clock stands at or after t.
func (d *Drill) Until(t time.Time) (<-chan struct{}, func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &waiter{at: t, ch: make(chan struct{})}
	if !t.After(d.now) {
		close(w.ch)
		return w.ch, func() {}
	}
	d.waiting[w] = struct{}{}
	return w.ch, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting, w)
	}
}
