package judge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// merchantsToldOnce: every merchant has its mail in time, and nobody outside has the same one twice,
// whichever machine it left.
func (b *bench) merchantsToldOnce(p *row) error {
	if err := b.nobodyTwice(); err != nil {
		return err
	}
	return b.merchantsTold(p)
}

func (b *bench) toldWithoutDelayOnce(p *row) error {
	if err := b.nobodyTwice(); err != nil {
		return err
	}
	return b.toldWithoutDelay(p)
}

// nobodyTwice compares by address and subject and not by Message-ID, which a server that has forgotten
// a notice could choose anew. A delivery that the responder itself lists as uncertain may come twice.
func (b *bench) nobodyTwice() error {
	uncertain := map[string]bool{}
	for _, f := range b.export.of("notice.uncertain", "notice.resent") {
		for _, p := range f.parts {
			for _, a := range b.addressesOf(p.Merchant) {
				uncertain[a] = true
			}
		}
	}
	had := map[string]string{}
	for _, l := range b.mails {
		for _, to := range l.Rcpt {
			to = strings.ToLower(to)
			key := to + "\n" + l.subject + "\n" + merchantID.FindString(l.text) // one address may be two merchants'
			if first := had[key]; first != "" && !uncertain[to] {
				return fmt.Errorf("%s was told twice: %s and %s", to, first, l.File)
			}
			had[key] = l.File
		}
	}
	return nil
}

func (b *bench) addressesOf(merchant string) []string {
	if m := b.merchants[merchant]; m != nil {
		return m.emails
	}
	return nil
}

// wentOnElsewhere: people acted before the machine was lost and after, and the limit of every clock is
// the one that the policy's text gives, on both machines.
func (b *bench) wentOnElsewhere() error {
	if b.c.Moved.IsZero() {
		return errors.New("no machine was lost")
	}
	before, after := false, false
	for _, f := range b.export.facts {
		if strings.HasPrefix(f.Principal, "person:") {
			before = before || f.Recorded.Before(b.c.Moved)
			after = after || f.Recorded.After(b.c.Moved)
		}
	}
	if !before || !after {
		return fmt.Errorf("people acted before the move: %v, and after it: %v", before, after)
	}
	return b.clocksAsWritten()
}

// clocksAsWritten: the limit of every clock that ran is the one that the policy's text gives, as this
// judge computes it.
func (b *bench) clocksAsWritten() error {
	all, err := b.deadlines()
	if err != nil {
		return err
	}
	newest := map[string]time.Time{}
	for _, f := range b.export.of("duty.started", "duty.moved", "duty.resumed") {
		var body struct {
			Duty string
			Due  time.Time
		}
		f.body(&body)
		if _, ok := newest[body.Duty]; ok && len(words(b.policy.Duties[body.Duty].Every)) > 0 {
			continue // of what recurs the text gives the first time
		}
		if !body.Due.IsZero() {
			newest[body.Duty] = body.Due
		}
	}
	looked := 0
	for _, d := range all {
		if d.limit.IsZero() || d.law {
			continue
		}
		due, ran := newest[d.duty]
		if !ran {
			continue // what does not apply has no clock
		}
		looked++
		if due.Sub(d.limit).Abs() >= time.Minute { // this judge counts business time by the minute
			return fmt.Errorf("%s is due %s by the evidence and %s by the policy's text", d.duty, due.UTC().Format(time.RFC3339), d.limit.UTC().Format(time.RFC3339))
		}
	}
	if len(newest) > 0 && looked == 0 {
		return fmt.Errorf("none of the clocks of %s could be compared", strings.Join(slices.Sorted(maps.Keys(newest)), ", "))
	}
	return nil
}
