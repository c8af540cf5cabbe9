package accesslog

import (
	"sync"
	"time"
)

// Source is who sends a batch: an ingest key, and how the batch came.
type Source struct {
	Name string // of the key; shown as the source of its events
	App  string // events must be this app's, and are when they name none; "" lets them name any
	Env  string // of events that name none; default the installation's

	// Supplied is the digest of the file a batch is part of, "sha256:…", when its events were not
	// logged live but supplied later, as after a breach. Every one of them carries it.
	Supplied string
}

// suppliedOnly is remembered as the newest event of a source that sent nothing as it happened.
var suppliedOnly = time.Unix(0, 0)

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

// at returns the time of a source's newest event; zero when it never sent one.
func (s *sources) at(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest[name]
}

// advance notes the time of an event of a source.
func (s *sources) advance(name string, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		s.newest = map[string]time.Time{}
	}
	if t.After(s.newest[name]) {
		s.newest[name] = t
	}
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
