package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// Start reconciles what the last process left, then starts the workers and the tickers. It
// returns when everything owed is queued.
func (d *Desk) Start(ctx context.Context) error {
	ctx, d.stop = context.WithCancel(ctx)
	d.life = ctx
	if err := d.reconcile(ctx); err != nil {
		d.stop()
		return err
	}
	if err := d.loadSwitches(ctx); err != nil {
		d.stop()
		return err
	}
	d.o.Store.Listen(d.committed)
	if err := d.o.Store.Run(ctx, d.o.Mailers, d.work, d.failed); err != nil {
		d.stop()
		return fmt.Errorf("desk: job runner: %w", err)
	}
	d.background(ctx, "domain ticker", d.tickDomain)
	d.background(ctx, "protocol ticker", d.tickProtocol)
	if d.o.Anchor != nil {
		d.background(ctx, "anchorer", d.anchor)
	}
	if err := d.startProbes(ctx); err != nil {
		d.Stop()
		return err
	}
	d.startLooking(ctx)
	if d.o.Events != nil {
		d.background(ctx, "days", d.keepDays)
		if err := d.startDetection(ctx); err != nil {
			d.Stop()
			return err
		}
	}
	return nil
}

// Stop ends the workers and waits for them. What they had not finished is owed at the next start.
func (d *Desk) Stop() {
	if d.stop != nil {
		d.stop()
	}
	d.runs.cancel() // of a record that is only read, nothing was started
	d.done.Wait()
}

func (d *Desk) background(ctx context.Context, name string, run func(context.Context) error) {
	d.done.Go(func() {
		for ctx.Err() == nil {
			err := run(ctx)
			if err == nil || ctx.Err() != nil {
				return
			}
			// A failing loop is said aloud and tried again: clocks must not stop because one read failed.
			d.o.Log.Error("a background loop failed and starts again in a second", "loop", name, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
}

// committed is told of every commit of this process. It lets readers see the states the commit
// was decided on, and wakes whoever may have something to do.
func (d *Desk) committed(chains []string) {
	for _, chain := range chains {
		d.share(chain)
	}
	nudge(d.tickerHup)
	nudge(d.wakeHup)
	nudge(d.anchorHup)
	d.watch.tell(chains)
}

// share gives readers the state that was just committed; read compares heads.
func (d *Desk) share(chain string) {
	if e, ok := d.deciding.get(chain); ok {
		if s := e.newest.Load(); s != nil {
			d.reading.put(chain, s)
		}
	}
}

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// reconcile makes the start after a crash the same as the start after a clean stop: attempts
// without a result are reported uncertain, and everything still owed is queued.
func (d *Desk) reconcile(ctx context.Context) error {
	ids, err := d.openIncidents(ctx)
	if err != nil {
		return err
	}
	if _, err := d.Programme(ctx); err == nil {
		ids = append(ids, OrgChain)
	}
	anew := 0
	for _, id := range ids {
		mended, err := d.reconcileOne(ctx, id)
		if mended {
			anew++
		}
		if errors.Is(err, errUnreadable) {
			d.o.Log.Error("an incident cannot be read and its clocks do not run", "incident", id, "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	if anew > 0 {
		d.o.Log.Info("rows of the board were made anew, because an earlier version wrote them or they were not what the facts give", "rows", anew)
	}
	return nil
}

// reconcileOne reports whether the incident's row of the board was made anew.
func (d *Desk) reconcileOne(ctx context.Context, id string) (mended bool, err error) {
	s, err := d.stateOf(ctx, id)
	if err != nil {
		return false, err
	}
	for _, eff := range incident.InFlight(s) {
		// A crash before this commit: the next start reports it. After it: it is reported once.
		r := incident.ReportResult{Effect: eff, Outcome: incident.Uncertain, Code: "restart", At: time.Now().UTC()}
		if _, err := d.give(ctx, Request{Incident: id, Command: r, Caller: worker("desk")}); err != nil {
			return false, fmt.Errorf("desk: reconcile %s: %w", eff.ID, err)
		}
	}
	// A crash before this commit: the next start queues again. After it: the jobs are in the queue.
	err = d.o.Store.Update(ctx, func(tx ledger.Tx) (err error) {
		s, err := d.readChain(tx, id)
		if err != nil {
			return err
		}
		if mended, err = d.mendRow(tx, id, s); err != nil {
			return err
		}
		return d.owe(tx, s, incident.Owed(s))
	})
	return mended, err
}

// mendRow writes the row of an incident on the board again when it is not what its facts give: a row that an
// earlier version wrote lacks what pages look for today, and would lack it until the incident changes.
func (d *Desk) mendRow(tx ledger.Tx, id string, s *incident.State) (mended bool, err error) {
	if id == OrgChain {
		return false, nil
	}
	want, err := d.row(s, s.Updated)
	if err != nil {
		return false, err
	}
	row, err := tx.Row(boardProjection, id)
	switch {
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return false, err
	case err == nil && row.Rank == want.Rank && bytes.Equal(row.Body, want.Body):
		return false, nil
	}
	return true, tx.PutRow(boardProjection, want)
}

// openIncidents lists incidents that may still owe something. A closed one owes nothing, but its
// last mails may be under way, so every chain is asked.
func (d *Desk) openIncidents(ctx context.Context) ([]string, error) {
	var ids []string
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		after := ""
		for {
			heads, err := r.Heads(after, 500)
			if err != nil || len(heads) == 0 {
				return err
			}
			for _, h := range heads {
				if h.Chain != OrgChain {
					ids = append(ids, h.Chain)
				}
				after = h.Chain
			}
		}
	})
	return ids, err
}

// tickDomain sleeps until the next instant at which a clock changes anything, and ticks.
func (d *Desk) tickDomain(ctx context.Context) error {
	for {
		next, ok, err := d.nextWake(ctx, ledger.Domain)
		if err != nil {
			return err
		}
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-d.tickerHup:
			}
			continue
		}
		due, cancel := d.o.Clock.Until(next)
		select {
		case <-ctx.Done():
			cancel()
			return nil
		case <-d.tickerHup:
			cancel()
			continue
		case <-due:
		}
		if err := d.tickDue(ctx); err != nil {
			return err
		}
	}
}

// tickDue ticks every incident whose wake-up has come.
func (d *Desk) tickDue(ctx context.Context) error {
	now := d.o.Clock.Now()
	var due []ledger.Wake
	err := d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		due, err = r.Wakes(ledger.Domain, now, 200)
		return err
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, w := range due {
		// One incident that cannot be ticked must not hold up the others.
		if err := d.tick(ctx, w.Chain, now); err != nil {
			failed = append(failed, fmt.Errorf("desk: tick %s: %w", w.Chain, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (d *Desk) tick(ctx context.Context, chain string, now time.Time) error {
	_, err := d.give(ctx, Request{Incident: chain, Command: incident.Tick{},
		Caller: Caller{Principal: incident.Clock, Name: "clock", Access: incident.Service}})
	var refused *incident.Refusal
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	return d.rewake(ctx, chain, now)
}

// rewake moves the wake-up of an incident that was just ticked: a tick that decided nothing has
// left it where it was. The state is read in the transaction that writes, because a command that
// came between the two may have set an earlier one.
func (d *Desk) rewake(ctx context.Context, chain string, now time.Time) error {
	// A crash before the commit leaves the wake-up in the past: the next start ticks again.
	return d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		s, err := d.readChain(tx, chain)
		if err != nil {
			return err
		}
		next, _ := incident.NextWake(d.program(s), s)
		if !next.IsZero() && !next.After(now) {
			d.o.Log.Error("a clock wants to wake in the past: it is put off for a minute", "incident", chain, "wake", next)
			next = now.Add(time.Minute)
		}
		return tx.SetWake(chain, ledger.Domain, next)
	})
}

// tickProtocol queues deferred effects when their time has come, and whatever is owed by incidents
// whose work went wrong, by the machine's clock.
func (d *Desk) tickProtocol(ctx context.Context) error {
	for {
		next, ok, err := d.nextWake(ctx, ledger.Protocol)
		if err != nil {
			return err
		}
		if at, waiting := d.again.next(); waiting && (!ok || at.Before(next)) {
			next, ok = at, true
		}
		if d.backlogDue() {
			next, ok = time.Now(), true
		}
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-d.wakeHup:
			}
			continue
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-d.wakeHup:
			timer.Stop()
			continue
		case <-timer.C:
		}
		if err := d.queueDue(ctx); err != nil {
			return err
		}
	}
}

// backlogDue reports whether more is to be queued: there is more, and the runner comes to the end of what it has.
// Queueing all at once would keep commands and workers waiting for rows that nobody needs yet.
func (d *Desk) backlogDue() bool { return d.backlog.len() > 0 && d.queued.len() <= d.mostQueued/2 }

func (d *Desk) queueDue(ctx context.Context) error {
	now := time.Now().UTC()
	var due []ledger.Wake
	err := d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		due, err = r.Wakes(ledger.Protocol, now, 200)
		return err
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, w := range due {
		if err := d.queueOwed(ctx, w.Chain, now, false); err != nil {
			failed = append(failed, fmt.Errorf("desk: retries of %s: %w", w.Chain, err))
		}
		if ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
	for _, chain := range d.backlog.list() {
		if !d.backlogDue() {
			break
		}
		d.inFlight.Add(1) // nothing is quiet while it stands in no list
		d.backlog.remove(chain)
		err := d.queueOwed(ctx, chain, now, false)
		if err != nil {
			d.backlog.add(chain)
			failed = append(failed, fmt.Errorf("desk: what more %s is owed: %w", chain, err))
		}
		d.inFlight.Add(-1)
	}
	for _, chain := range d.again.due(now) {
		if err := d.queueOwed(ctx, chain, now, true); err != nil {
			d.again.later(chain, now)
			failed = append(failed, fmt.Errorf("desk: what %s is owed: %w", chain, err))
		}
	}
	return errors.Join(failed...)
}

// queueOwed queues what an incident is owed now, as much as one transaction queues, and sets when to look again;
// the rest stays in the backlog. What this process has queued is not offered to the runner again, unless all is
// asked for because a job was lost: what is queued or running then is not queued twice by the runner. The state is
// read in the transaction that writes: a retry that is recorded meanwhile must not lose its wake-up.
func (d *Desk) queueOwed(ctx context.Context, chain string, now time.Time, all bool) error {
	var added []string
	more := false
	// A crash before the commit leaves the wake-up in the past: the next start queues again.
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		s, err := d.readChain(tx, chain)
		if err != nil {
			return err
		}
		d.queued.remove(added...)
		added, more = nil, false
		var later time.Time
		for _, eff := range incident.Owed(s) {
			if eff.NotBefore.After(now) {
				if later.IsZero() || eff.NotBefore.Before(later) {
					later = eff.NotBefore
				}
				continue
			}
			if all {
				d.queued.remove(eff.ID)
			}
			if d.queued.has(eff.ID) {
				continue
			}
			if len(added) == d.mostQueued {
				more = true
				continue
			}
			d.queued.add(eff.ID) // before the commit: a job may end right after it
			added = append(added, eff.ID)
			if err := tx.Enqueue(jobOf(eff)); err != nil {
				return err
			}
		}
		return tx.SetWake(chain, ledger.Protocol, later)
	})
	if err != nil {
		d.queued.remove(added...)
	} else if more {
		d.backlog.add(chain)
	}
	return err
}

func (d *Desk) nextWake(ctx context.Context, clock ledger.WakeClock) (at time.Time, ok bool, err error) {
	err = d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		at, ok, err = r.NextWake(clock)
		return err
	})
	return at, ok, err
}

// anchor appends the hashes of new facts to the facts log soon after they are committed. A crash
// before the index is recorded is healed by the next pass: the log's tail is read first.
func (d *Desk) anchor(ctx context.Context) error {
	for {
		n, err := d.o.Anchor(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.anchorHup:
		}
	}
}

// Quiet waits until nothing is runnable or in flight: no command, no job, no retry, no due clock,
// no event that detection has not seen. A drill moves its clock only then.
func (d *Desk) Quiet(ctx context.Context) error {
	still := 0
	for {
		busy, err := d.busy(ctx)
		if err != nil {
			return err
		}
		if busy {
			still = 0
		} else if still++; still >= 2 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// soon is how close a retry has to be for a drill to wait for it, in the machine's time.
const soon = 2 * time.Second

func (d *Desk) busy(ctx context.Context) (bool, error) {
	if d.inFlight.Load() > 0 {
		return true, nil
	}
	jobs, err := d.o.Store.Busy(ctx)
	if err != nil || jobs > 0 {
		return true, err
	}
	// A retry that comes soon is in flight; one that waits for longer is not: nothing about it
	// depends on domain time standing still.
	retry, waiting, err := d.nextWake(ctx, ledger.Protocol)
	if err != nil || (waiting && time.Until(retry) < soon) {
		return true, err
	}
	if d.backlog.len() > 0 {
		return true, nil
	}
	if at, failed := d.again.next(); failed && time.Until(at) < soon {
		return true, nil
	}
	next, ok, err := d.NextDomainWake(ctx)
	if err != nil || (ok && !next.After(d.o.Clock.Now())) {
		return true, err
	}
	if d.probesDue(d.o.Clock.Now()) {
		return true, nil
	}
	return d.detecting(ctx)
}

// NextDomainWake is the next instant at which domain time changes anything.
func (d *Desk) NextDomainWake(ctx context.Context) (time.Time, bool, error) {
	at, ok, err := d.nextWake(ctx, ledger.Domain)
	if next, some := d.nextProbe(); err == nil && some && (!ok || next.Before(at)) {
		at, ok = next, true
	}
	if _, next, some := d.nextLook(); err == nil && some && (!ok || next.Before(at)) {
		at, ok = next, true
	}
	return at, ok, err
}

// notFound turns the store's error into the desk's.
func notFound(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("%w", ErrNotFound)
	}
	return err
}
