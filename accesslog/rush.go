package accesslog

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	doorBusy = 20 * time.Millisecond // since the last group was made durable
	busyRate = 5_000                 // events a second from which a door is busy
	burst    = 3 * time.Second       // of a busy door, in which merging waits; after it they take turns
)

// rush is a time in which events came in one group after another. It is the committer's to write and
// everybody's to read, all in nanoseconds of protocol time.
type rush struct{ since, last, events atomic.Int64 }

// took notes that so many events were made durable.
func (r *rush) took(n int, now time.Time) {
	at := now.UnixNano()
	if r.last.Swap(at) < at-int64(doorBusy) {
		r.since.Store(at)
		r.events.Store(0)
	}
	r.events.Add(int64(n))
}

// busy says whether the door has more to do than now and then.
func (r *rush) busy(now time.Time) bool {
	at := now.UnixNano()
	return at-r.last.Load() <= int64(doorBusy) && float64(r.events.Load()) >= busyRate*time.Duration(at-r.since.Load()).Seconds()
}

// giveWay lets the door go first while it is busy, until a time, or until somebody waits for what would be
// done now: a short burst is acknowledged at the speed of the door, and what lasts is taken at the speed
// of all.
func (s *Store) giveWay(ctx context.Context, until time.Time, hurry <-chan struct{}) {
	for now := time.Now(); s.rush.busy(now) && now.Before(until) && s.asked.Load() == 0; now = time.Now() {
		t := time.NewTimer(min(doorBusy, until.Sub(now)))
		select {
		case <-t.C:
		case <-hurry:
			t.Stop()
			return
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// takeTurns is for what nobody waits for, as merging: it lets a burst pass, and takes a quarter of the time
// beside a door that stays busy.
func (s *Store) takeTurns(ctx context.Context, worked time.Duration) {
	s.giveWay(ctx, time.Unix(0, s.rush.since.Load()).Add(burst), nil)
	s.giveWay(ctx, time.Now().Add(min(3*worked, time.Second)), nil)
}
