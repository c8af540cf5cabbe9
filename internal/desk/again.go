package desk

import (
	"cmp"
	"sync"
	"time"
)

// again remembers incidents whose work went wrong for a reason of our own (a database that was
// busy, a log that could not be read), so that what they are owed is queued again soon. It need
// not survive a crash: the next start queues everything that is owed.
type again struct {
	mu      sync.Mutex
	waiting map[string]retry
	first   time.Duration // the first wait; 0 is firstAgain
}

type retry struct {
	at   time.Time     // protocol time
	wait time.Duration // what was waited before at; doubled with each failure
}

// The waits between two attempts at the same incident's work.
const (
	firstAgain = time.Second
	mostAgain  = time.Minute
)

// later asks for the incident to be looked at again after first, or after twice the time that was
// waited before when the time before has not helped.
func (a *again) later(chain string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[string]retry{}
	}
	r, ok := a.waiting[chain]
	switch {
	case !ok:
		r.wait = cmp.Or(a.first, firstAgain)
	case r.at.After(now):
		return // it is going to be looked at already
	default:
		r.wait = min(2*r.wait, mostAgain)
	}
	r.at = now.Add(r.wait)
	a.waiting[chain] = r
}

// next is the earliest instant at which an incident has to be looked at again.
func (a *again) next() (at time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.waiting {
		if r.at.IsZero() {
			continue
		}
		if !ok || r.at.Before(at) {
			at, ok = r.at, true
		}
	}
	return at, ok
}

// due lists the incidents whose time has come. Each is given once; how long was waited for it is
// remembered until forget.
func (a *again) due(now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []string
	for chain, r := range a.waiting {
		if !r.at.IsZero() && !r.at.After(now) {
			list = append(list, chain)
			r.at = time.Time{}
			a.waiting[chain] = r
		}
	}
	return list
}

// forget says that the incident's work goes well again.
func (a *again) forget(chain string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r, ok := a.waiting[chain]; ok && r.at.IsZero() {
		delete(a.waiting, chain)
	}
}
