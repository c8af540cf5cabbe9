package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
)

const (
	sustainedHold = 3 * time.Second  // the table may be behind before senders hold back
	sustainedMost = 10 * time.Second // and at most
)

// lagging watches how long ago the door took what the table has not yet.
type lagging struct {
	access *accesslog.Store
	takes  []took // oldest first, those that the table has not
	worst  time.Duration
}

type took struct {
	at    time.Time
	acked int64
}

// look returns how far the table is behind now.
func (l *lagging) look(now time.Time) time.Duration {
	behind := l.access.Behind()
	acked := l.access.Acked()
	if n := len(l.takes); n == 0 || l.takes[n-1].acked < acked {
		l.takes = append(l.takes, took{now, acked})
	}
	for len(l.takes) > 0 && l.takes[0].acked <= acked-behind {
		l.takes = l.takes[1:]
	}
	if len(l.takes) == 0 {
		return 0
	}
	lag := now.Sub(l.takes[0].at)
	l.worst = max(l.worst, lag)
	return lag
}

// sustained measures what goes all the way for as long as one likes: over HTTP into spool, log and
// table. Senders hold back while the table is some seconds behind, as whoever must not lose sight of
// what happens has to. The rate is until the table has the last of them.
func (s *site) sustained(ctx context.Context, d *door, lasts time.Duration) (rate float64, worst time.Duration, err error) {
	run, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	began, from := time.Now(), s.access.Acked()-s.access.Behind()
	hold := make(chan struct{}) // a place for each request that may go out
	sent := make(chan error, 1)
	go func() {
		sent <- together(intakeSenders, func(i int) error {
			out, err := d.dial(ctx)
			if err != nil {
				return err
			}
			p := newParcel(batchSize, i)
			for range hold {
				if err = out.send(ctx, p); err != nil {
					break
				}
			}
			return errors.Join(err, out.Close())
		})
	}()
	l := lagging{access: s.access}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var end error
	for run.Err() == nil && end == nil {
		open := hold
		if l.look(time.Now()) > sustainedHold {
			open = nil
		}
	sending:
		for {
			select {
			case open <- struct{}{}:
			case <-tick.C:
				break sending
			case <-run.Done():
				break sending
			case end = <-sent:
				return 0, 0, errors.Join(end, errors.New("the senders ended early"))
			}
		}
	}
	close(hold)
	err = errors.Join(<-sent, ctx.Err())
	for err == nil && s.access.Behind() > 0 { // what is left counts
		l.look(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	rate = perSecond(int(s.access.Acked()-from), time.Since(began))
	if err == nil && l.worst > sustainedMost {
		err = fmt.Errorf("the table was %.1f s behind, at most %.0f are allowed", l.worst.Seconds(), sustainedMost.Seconds())
	}
	return rate, l.worst, err
}

// indexed is how many events a second the plainest way takes: the same batches in a database table
// with an index for each question, a transaction each.
func indexed(ctx context.Context, o Options, lasts time.Duration) (_ float64, err error) {
	table, err := newEventTable(filepath.Join(o.Dir, "indexed"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	ends, began, n := time.Now().Add(lasts), time.Now(), 0
	var t traffic
	for n == 0 || time.Now().Before(ends) {
		if err := table.insert(ctx, t.batch()); err != nil {
			return 0, err
		}
		n += batchSize
	}
	return perSecond(n, time.Since(began)), nil
}
