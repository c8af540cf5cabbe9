package desk

import (
	"context"
	"time"
)

// keepDays does once a day, in domain time, and at the start, what is due to the days of the access log.
func (d *Desk) keepDays(ctx context.Context) error {
	for {
		if err := d.o.Events.Tidy(ctx); err != nil {
			return err
		}
		due, cancel := d.o.Clock.Until(d.o.Clock.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour))
		select {
		case <-ctx.Done():
			cancel()
			return nil
		case <-due:
		}
	}
}
