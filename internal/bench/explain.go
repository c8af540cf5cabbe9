package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/rehearsal"
)

// fortyDuties writes a policy with forty duties to every affected merchant: a quarter under a
// condition that reads the recipient's customers, a quarter under one that reads its country, and a
// quarter under a fact that nobody has answered.
func fortyDuties() string {
	var b strings.Builder
	b.WriteString(`policy: bench
title: Security Incident Response Policy
owner: Bench Ltd
time: { zone: Europe/Berlin, promptly: 4h, starts: detected }
facts: { personal_data: { ask: "Is personal data involved?", by: lead, say: personal data is involved } }
parties: { merchants: { affected: scope.merchants } }
roles: { lead: { does: decides, holder: lena }, comms: { does: writes, holder: ida } }
duties:
`)
	for i := range 40 {
		when := []string{"", fmt.Sprintf(", when: recipient.customers > %d", i), ", when: fact.personal_data", `, when: "recipient.country == 'DE'"`}[i%4]
		fmt.Fprintf(&b, "  tell_%d: { who: comms, do: notify, to: merchants.affected%s, due: %dh after confirmed, content: [item_%d], approve: lead }\n", i, when, 24+i, i)
	}
	return b.String()
}

// explained measures explaining an incident of 5,000 merchants under forty duties, beside asking
// each condition anew for each merchant, which is what explaining one by one would cost at least.
func explained(ctx context.Context, o Options) (Result, error) {
	p, diags := policy.Compile("bench.yaml", []byte(fortyDuties()))
	if p == nil {
		return Result{}, errors.New(diags[0].String())
	}
	merchants := o.of(5000)
	facts := fmt.Sprintf("milestones: { detected: 2026-06-16T08:00:00Z, confirmed: 2026-06-16T09:00:00Z }\nmerchants: %d\nscope: all\n", merchants)
	story, err := rehearsal.Read("facts.yaml", []byte(facts), p)
	if err != nil {
		return Result{}, err
	}
	run := rehearsal.New(p, story)
	if err := run.To(time.Date(2026, 6, 16, 10, 0, 0, 0, time.UTC)); err != nil {
		return Result{}, err
	}
	whole := func() (float64, error) {
		began := time.Now()
		got := run.Explain()
		took := time.Since(began)
		if n := len(got.Duties) + len(got.Excluded); n < 40 {
			return 0, fmt.Errorf("%d duties are explained, want 40", n)
		}
		return float64(took) / float64(time.Millisecond), nil
	}
	oneByOne := func() (float64, error) {
		began := time.Now()
		asked := 0
		for i := range p.Duties {
			for m := range merchants {
				v := policy.View{Recipient: &policy.RecipientView{Merchant: fmt.Sprint("m_", m+1), Customers: 1}}
				p.Duties[i].When.Eval(v)
				asked++
			}
		}
		if asked == 0 {
			return 0, errors.New("nothing was asked")
		}
		return float64(time.Since(began)) / float64(time.Millisecond), nil
	}
	rounds, err := alternate(ctx, o, 5, whole, oneByOne)
	if err != nil {
		return Result{}, err
	}
	return figure("explain-5000", "ms", "lower", rounds[0], "each condition asked anew for each merchant", rounds[1],
		fmt.Sprintf("%d merchants and %d duties: state, limit and reason of every instance", merchants, len(p.Duties))), nil
}

// wakes measures the wake-ups of 10,000 incidents whose next clock falls due, all at once: after an
// hour of darkness everything that was missed is recorded in one go. Beside it stands a look at
// every duty of every incident that decides nothing.
func wakes(ctx context.Context, o Options) (Result, error) {
	p, err := benchProgram()
	if err != nil {
		return Result{}, err
	}
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	states := make([]*incident.State, o.of(10_000))
	for i := range states {
		if states[i], _, err = opened(p, i, start); err != nil {
			return Result{}, err
		}
	}
	now := start
	wake := func() (float64, error) {
		// The first clock of an incident is at risk or missed each time; the states go on living.
		next, _ := incident.NextWake(p, states[0])
		if next.IsZero() {
			return 0, errors.New("no clock is left to wake for")
		}
		now = next
		began := time.Now()
		for i := range states {
			before := states[i]
			if states[i], err = ticked(p, before, now); err != nil {
				return 0, err
			}
			if states[i] == before {
				return 0, errors.New("an incident woke and nothing was decided")
			}
			if at, _ := incident.NextWake(p, states[i]); !at.IsZero() && !at.After(now) {
				return 0, errors.New("an incident would wake again at once")
			}
		}
		return time.Since(began).Seconds(), nil
	}
	look := func() (float64, error) {
		began := time.Now()
		for i := range states {
			if len(incident.Clocks(p, states[i])) == 0 {
				return 0, errors.New("an incident has no clocks")
			}
		}
		return time.Since(began).Seconds(), nil
	}
	rounds, err := alternate(ctx, o, 5, wake, look)
	if err != nil {
		return Result{}, err
	}
	return figure("wake", "s", "lower", rounds[0], "listing the clocks of every incident, deciding nothing", rounds[1],
		fmt.Sprintf("%d incidents of 20 duties wake at once, and each decides something", len(states))), nil
}
