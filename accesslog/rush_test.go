package accesslog

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A door that takes an event now and then is not busy: what it takes is in the table at once.
func TestOnlyADoorWithMuchToDoIsBusy(t *testing.T) {
	for _, c := range []struct {
		name   string
		events int           // in each group
		every  time.Duration // a group is made durable
		busy   bool          // behind the last of a second of them
	}{
		{"one event in ten milliseconds", 1, 10 * time.Millisecond, false},
		{"batches of five hundred, one in a while", 500, 100 * time.Millisecond, false},
		{"batches of five hundred, one after another", 500, 10 * time.Millisecond, true},
		{"many senders of single events", 60, 5 * time.Millisecond, true},
	} {
		var r rush
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for end := now.Add(time.Second); now.Before(end); now = now.Add(c.every) {
			r.took(c.events, now)
		}
		if got := r.busy(now); got != c.busy {
			t.Errorf("%s: busy is %v", c.name, got)
		}
		if r.busy(now.Add(time.Second)) {
			t.Errorf("%s: busy a second after the last group", c.name)
		}
	}
}

// What waits for a busy door waits no longer than it may, and not at all when the door has time or somebody
// waits for it.
func TestWhatWaitsForABusyDoorEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		lasts time.Duration // of the rush
		asked bool
		want  time.Duration // at least; and a moment more at most
	}{
		{"a rush that lasts", time.Minute, false, 2 * time.Second},
		{"a rush that ends", time.Second, false, time.Second},
		{"somebody waits", time.Minute, true, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Store{}
			ctx, stop := context.WithTimeout(t.Context(), c.lasts)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					s.rush.took(1_000, time.Now())
					time.Sleep(10 * time.Millisecond)
				}
			}()
			synctest.Wait()
			if c.asked {
				s.asked.Add(1)
			}
			began := time.Now()
			s.giveWay(t.Context(), began.Add(2*time.Second), nil)
			if got := time.Since(began); got < c.want || got > c.want+3*doorBusy {
				t.Errorf("%s: waited %v", c.name, got)
			}
			stop()
			<-ended
		})
	}
}
