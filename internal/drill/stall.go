package drill

import (
	"context"
	"fmt"
	"time"
)

// overdue is why a drill was stopped that took too long.
type overdue struct {
	after time.Duration
	still bool // it stood still for so long; otherwise it took so long in all
}

func (o *overdue) Error() string {
	if o.still {
		return fmt.Sprintf("drill: it stood still for %s and was stopped: it waits for something, or this machine has far too much else to do", o.after)
	}
	return fmt.Sprintf("drill: it did not end within %s and was stopped: this machine has too much else to do, or it waits for something", o.after)
}

// whileMoving is a context that ends, with an *overdue as its cause, when a drill takes longer than most in
// all, or has not moved for still. What a busy machine does slowly is not stopped for that.
func whileMoving(parent context.Context, most, still time.Duration, moved func() time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	began := time.Now()
	go func() {
		for {
			from := began
			if at := moved(); at.After(began) {
				from = at
			}
			stalls, ends := from.Add(still), began.Add(most)
			now := time.Now()
			switch {
			case !now.Before(ends):
				cancel(&overdue{after: most})
			case !now.Before(stalls):
				cancel(&overdue{after: still, still: true})
			}
			next := stalls
			if ends.Before(next) {
				next = ends
			}
			t := time.NewTimer(next.Sub(now))
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}
