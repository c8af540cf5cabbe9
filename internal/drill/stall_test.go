package drill

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A machine that has much else to do plays a drill slowly, and it moves all the while: it is stopped when
// it stands still, or never ends.
func TestADrillIsStoppedWhenItStandsStillAndNotWhenItIsSlow(t *testing.T) {
	for name, c := range map[string]struct {
		moves time.Duration // from one sign of life to the next
		signs int
		ends  time.Duration // when it is stopped
		still bool
	}{
		"slow to the limit": {3 * time.Minute, 100, limit, false},
		"silent":            {0, 0, stall, true},
		"stuck later":       {time.Minute, 9, 9*time.Minute + stall, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			tell := &teller{}
			ctx, cancel := whileMoving(t.Context(), limit, stall, tell.movedAt)
			defer cancel()
			go func() {
				for range c.signs {
					select {
					case <-ctx.Done():
						return
					case <-time.After(c.moves):
						tell.now(time.Now())
					}
				}
			}()
			<-ctx.Done()
			var late *overdue
			if !errors.As(context.Cause(ctx), &late) || late.still != c.still {
				t.Errorf("%s: %v", name, context.Cause(ctx))
			}
			if took := time.Since(began); took != c.ends {
				t.Errorf("%s: it was stopped after %s, want %s", name, took, c.ends)
			}
		})
	}
}

func TestADrillThatEndedIsNotOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := whileMoving(t.Context(), limit, stall, func() time.Time { return time.Time{} })
		cancel()
		synctest.Wait()
		var late *overdue
		if errors.As(context.Cause(ctx), &late) {
			t.Error(late)
		}
	})
}
