package accesslog

import (
	"sync"
	"time"
)

// Source is who sends a batch: an ingest key.
type Source struct {
	Name string // of the key; shown as the source of its events
	App  string // events must be this app's, and are when they name none; "" lets them name any
	Env  string // of events that name none; default the installation's
}

// Thresholds at the door.
const (
	lateAfter  = time.Hour       // older than the newest of its source
	skewBeyond = 5 * time.Minute // ahead of the door's clock
)

// sources remembers the newest event of each source, so that a late one can be told.
type sources struct {
	mu     sync.Mutex
	newest map[string]time.Time
}

func (s *sources) load(name string, newest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		s.newest = map[string]time.Time{}
	}
	s.newest[name] = newest
}

// observe notes an event's time and reports whether it is late.
func (s *sources) observe(name string, t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		s.newest = map[string]time.Time{}
	}
	newest, ok := s.newest[name]
	if !ok || t.After(newest) {
		s.newest[name] = t
	}
	return ok && newest.Sub(t) > lateAfter
}

// slotLen is the width of a pulse.
const slotLen = 10 * time.Minute

func slotOf(t time.Time) int64 {
	seconds := t.Unix()
	slot := seconds / int64(slotLen/time.Second)
	if seconds < 0 {
		slot--
	}
	return slot
}

func slotTime(slot int64) time.Time {
	return time.Unix(slot*int64(slotLen/time.Second), 0).UTC()
}
