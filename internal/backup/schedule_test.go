package backup

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"
)

// waits is a clock that goes to each instant it is asked to wait for, at once, and notes how long that was.
type waits struct {
	now    time.Time
	asked  []time.Duration
	enough func(n int) bool
}

func (w *waits) Now() time.Time { return w.now }

func (w *waits) Until(t time.Time) (<-chan struct{}, func()) {
	w.asked = append(w.asked, t.Sub(w.now))
	done := make(chan struct{})
	if !w.enough(len(w.asked)) {
		w.now = t
		close(done)
	}
	return done, func() {}
}

// A schedule whose facts cannot be read asks again in an hour; it did so at once, for ever.
func TestAScheduleThatCannotReadWhenItLastRanWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	clock := &waits{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock.enough = func(n int) bool {
		if n == 4 {
			cancel()
		}
		return n == 4
	}
	failures := 0
	NewSchedule(ScheduleOptions{
		Every: 24 * time.Hour,
		Clock: clock,
		Last:  func(context.Context) (time.Time, error) { return time.Time{}, errors.New("the disk is gone") },
		Failed: func(context.Context, error) error {
			failures++
			return nil
		},
		Log: slog.New(slog.DiscardHandler),
	}).Run(ctx)
	if want := []time.Duration{0, time.Hour, time.Hour, time.Hour}; !slices.Equal(clock.asked, want) {
		t.Errorf("waited %v, want %v", clock.asked, want)
	}
	if failures != 3 {
		t.Errorf("%d failures were recorded, want 3", failures)
	}
}
