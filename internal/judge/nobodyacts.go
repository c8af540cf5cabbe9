package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// errUnseen says that a promise was missed and that the evidence, or the people who had to be
// called, know nothing of it. That is worse than missed, and never what a manifest expects.
var errUnseen = errors.New("nothing says so")

// notToldInTheOpen: no merchant was told, and that was missed in the open.
func (b *bench) notToldInTheOpen(p *row) error {
	duty, _, ok := b.dutyFor(p.ID)
	if !ok {
		return errors.New("the policy has no notice that promises it")
	}
	if err := b.nobodyOutsideTold(); err != nil {
		return fmt.Errorf("%w: %w", err, errUnseen)
	}
	if err := b.inTheOpen(duty); err != nil {
		return fmt.Errorf("%w: %w", err, errUnseen)
	}
	return errors.New("nobody was told; the miss and every call for it are on record")
}

// everythingInTheOpen is the same of every clock of the policy.
func (b *bench) everythingInTheOpen() error { return b.inTheOpen("") }

// inTheOpen holds the clocks that the judge computed from the policy's text against the evidence, the
// timeline and the mailbox: each miss is a fact of the computed instant and a line of the timeline,
// and each rung of an escalation was called by mail, in order. An empty duty means all of them.
func (b *bench) inTheOpen(duty string) error {
	all, err := b.deadlines()
	if err != nil {
		return err
	}
	end := b.c.Now
	shown := map[string]bool{}
	for _, l := range b.timeline {
		shown[l.ID], shown[l.Fact] = true, true
	}
	var calls []called
	looked, whole := 0, duty == ""
	for _, d := range all {
		if duty != "" && d.duty != duty {
			continue
		}
		looked++
		if !d.limit.IsZero() && d.limit.Before(end) && !b.metInTime(d) {
			f, ok := b.missOf(d)
			if !ok {
				return fmt.Errorf("%s was due %s and no fact says that it was missed", d.duty, d.limit.UTC().Format(time.RFC3339))
			}
			if !shown[f.ID] {
				return fmt.Errorf("the miss of %s is not in the timeline", d.duty)
			}
		}
		for _, c := range d.calls {
			if d.law {
				whole = whole && len(b.c.Source) == 0 // nor which calls follow from it; those of the shipped policies are known
				break                                 // which law's clock counts is not for this judge to compute
			}
			if c.at = b.certain(d.duty, c.at); c.at.Before(end) && !b.endedBefore(d, c.at) {
				calls = append(calls, c)
			}
		}
	}
	if duty != "" && looked == 0 {
		return fmt.Errorf("the clock of %s never ran", duty)
	}
	return b.mailed(calls, whole)
}

// certain is when a call may go out: nobody is called for a duty of which it is not known yet
// whether it applies, and that is known once the policy's questions are answered.
func (b *bench) certain(duty string, at time.Time) time.Time {
	if len(words(b.policy.Duties[duty].When)) == 0 {
		return at
	}
	for _, f := range b.export.of("answer.recorded") {
		if f.Recorded.After(at) {
			at = f.Recorded
		}
	}
	return at
}

// metBy is when the evidence says that a duty was met.
func (b *bench) metBy(duty string) (time.Time, bool) {
	for _, f := range b.export.of("duty.met") {
		var body dutyBody
		if f.body(&body); body.Duty == duty {
			return f.Recorded, true
		}
	}
	return time.Time{}, false
}

func (b *bench) metInTime(d deadline) bool {
	at, met := b.metBy(d.duty)
	return met && !at.After(d.limit)
}

func (b *bench) endedBefore(d deadline, at time.Time) bool {
	done, met := b.metBy(d.duty)
	return met && done.Before(at)
}

// missOf is the fact of a miss, at the instant that the judge computed.
func (b *bench) missOf(d deadline) (fact, bool) {
	for _, f := range b.export.of("duty.missed") {
		var body struct {
			Duty string    `json:"duty"`
			Due  time.Time `json:"due"`
		}
		if f.body(&body); body.Duty != d.duty {
			continue
		}
		// The engine keeps the limit and says so a moment after it; an answer may have come later still.
		exact := body.Due.Sub(d.limit).Abs() < time.Minute
		if (exact || d.law && body.Due.Before(d.limit)) && !f.Recorded.Before(body.Due) {
			return f, true
		}
	}
	return fact{}, false
}

// mailed looks for the calls in the mailbox, in the order in which they were due: somebody who holds
// the role has a mail within the hour. A role is called when one of its holders is. Where all clocks
// were looked at, nobody may have more mails than the policy has calls for them.
func (b *bench) mailed(calls []called, all bool) error {
	slices.SortStableFunc(calls, func(x, y called) int { return x.at.Compare(y.at) })
	inbox := map[string][]letter{}
	for _, p := range b.c.People {
		for _, l := range b.mails {
			to := slices.ContainsFunc(l.Rcpt, func(a string) bool { return strings.EqualFold(a, p.Email) })
			if to && !slices.ContainsFunc(inbox[p.ID], func(o letter) bool { return o.MessageID == l.MessageID }) {
				inbox[p.ID] = append(inbox[p.ID], l)
			}
		}
	}
	for _, c := range calls {
		reached := false
		for _, p := range b.c.People {
			if !slices.Contains(p.Roles, c.role) {
				continue
			}
			i := slices.IndexFunc(inbox[p.ID], func(l letter) bool {
				return l.At.After(c.at.Add(-time.Hour-time.Minute)) && l.At.Before(c.at.Add(time.Hour))
			})
			if i < 0 {
				continue
			}
			reached = true
			inbox[p.ID] = slices.Delete(inbox[p.ID], i, i+1)
		}
		if !reached {
			return fmt.Errorf("nobody who holds %s has a mail of the call at %s", c.role, c.at.UTC().Format(time.RFC3339))
		}
	}
	for who, left := range inbox {
		if all && len(left) > 0 {
			return fmt.Errorf("%s was called by %s, and no clock of the policy asks for it", who, left[0].File)
		}
	}
	return nil
}

// nothingPretended: no fact claims that anything was contained, told, fixed or reviewed.
func (b *bench) nothingPretended() error {
	for _, f := range b.export.of("action.applied", "action.proven", "notice.sending", "notice.accepted", "scope.computed", "fix.recorded", "service.restored", "review.published", "incident.closed", "incident.dismissed") {
		return fmt.Errorf("nobody acted, and fact %s is %s", f.ID, f.Kind)
	}
	for _, name := range []string{"contained", "notified", "scoped", "determined", "remediated", "verified", "restored", "reviewed"} {
		if _, f, ok := b.export.milestone(name); ok {
			return fmt.Errorf("nobody acted, and fact %s says %s", f.ID, name)
		}
	}
	return nil
}
