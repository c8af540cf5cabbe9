package bench

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// twentyDuties writes a policy with twenty duties whose limits spread over two weeks.
func twentyDuties() string {
	var b strings.Builder
	b.WriteString(`policy: bench
title: Security Incident Response Policy
owner: Bench Ltd
time: { zone: Europe/Berlin, promptly: 4h, starts: detected }
scales:
  severity:
    critical: { means: "Customer data exposed" }
    standard: { means: "Anything else" }
classes:
  exposure: { means: "Credentials known to someone else", signals: [unusual_volume] }
roles:
  lead: { does: "decides", holder: "?" }
duties:
`)
	verbs := []string{"contain", "scope", "verify", "restore", "review"}
	for i := range 20 {
		fmt.Fprintf(&b, "  duty_%02d: { who: lead, do: %s, due: %dh after detected, say: \"duty %d\" }\n", i, verbs[i%len(verbs)], 8+16*i, i)
	}
	b.WriteString("page: [ \"## Duties\" ]\n")
	return b.String()
}

func benchProgram() (*policy.Program, error) {
	p, diags := policy.Compile("bench.yaml", []byte(twentyDuties()))
	for _, d := range diags {
		if p == nil {
			return nil, errors.New(d.String())
		}
	}
	return p, nil
}

// alarms is a queue of incidents by their next wake-up, as the wake table keeps them.
type alarms []alarm

type alarm struct {
	at time.Time
	i  int
}

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// engine measures a tick over 10,000 open incidents of 20 duties (by wake-ups, beside polling every
// incident each minute), and the fold.
func engine(ctx context.Context, o Options) ([]Result, error) {
	p, err := benchProgram()
	if err != nil {
		return nil, err
	}
	const incidents = 10_000
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	actor := incident.Actor{Principal: "service:bench", Access: incident.Service}
	open := func(i int) (*incident.State, []incident.Fact, error) {
		at := start.Add(time.Duration(i) * time.Second)
		c := incident.Open{Class: "exposure", Title: "bench", Signal: &incident.Signal{ID: fmt.Sprint("sig-", i), Class: "unusual_volume", Subject: "credential:x", At: at, From: at, To: at}}
		chain := fmt.Sprint("INC-", i+1)
		d, err := incident.Decide(p, nil, c, incident.Context{Now: at, Actor: actor, Env: "production"})
		if err != nil {
			return nil, nil, err
		}
		var s *incident.State
		for k := range d.Facts {
			d.Facts[k].Chain, d.Facts[k].ID = chain, fmt.Sprintf("%s-%d", chain, k)
			if s, err = incident.Fold(s, d.Facts[k]); err != nil {
				return nil, nil, err
			}
		}
		return s, d.Facts, nil
	}
	states := make([]*incident.State, incidents)
	var facts []incident.Fact
	for i := range states {
		s, f, err := open(i)
		if err != nil {
			return nil, err
		}
		states[i] = s
		if len(facts) < 100_000 {
			facts = append(facts, f...)
		}
	}
	tick := func(s *incident.State, now time.Time) error {
		d, err := incident.Decide(p, s, incident.Tick{}, incident.Context{Now: now, Actor: incident.Actor{Principal: incident.Clock, Access: incident.Service}, Env: "production"})
		if err != nil {
			return err
		}
		for k := range d.Facts {
			d.Facts[k].Chain, d.Facts[k].ID = s.ID, fmt.Sprint(s.ID, "-", s.Version)
			if _, err := incident.Fold(s, d.Facts[k]); err != nil {
				return err
			}
		}
		return nil
	}
	queue := make(alarms, 0, incidents)
	for i, s := range states {
		if at, _ := incident.NextWake(p, s); !at.IsZero() {
			queue = append(queue, alarm{at, i})
		}
	}
	heap.Init(&queue)
	now := start.Add(3 * time.Hour)
	woken, err := rounds(ctx, 5, func() (float64, error) {
		began := time.Now()
		const minutes = 60
		for range minutes {
			now = now.Add(time.Minute)
			for len(queue) > 0 && !queue[0].at.After(now) {
				a := heap.Pop(&queue).(alarm)
				if err := tick(states[a.i], now); err != nil {
					return 0, err
				}
				if at, _ := incident.NextWake(p, states[a.i]); at.After(now) {
					heap.Push(&queue, alarm{at, a.i})
				}
			}
		}
		return float64(time.Since(began).Microseconds()) / 1000 / minutes, nil
	})
	if err != nil {
		return nil, err
	}
	polled, err := rounds(ctx, 3, func() (float64, error) {
		began := time.Now()
		now = now.Add(time.Minute)
		for _, s := range states {
			if err := tick(s, now); err != nil {
				return 0, err
			}
		}
		return float64(time.Since(began).Microseconds()) / 1000, nil
	})
	if err != nil {
		return nil, err
	}
	folded, err := rounds(ctx, 5, func() (float64, error) {
		began := time.Now()
		fold := map[string]*incident.State{}
		for _, f := range facts {
			s, err := incident.Fold(fold[f.Chain], f)
			if err != nil {
				return 0, err
			}
			fold[f.Chain] = s
		}
		return perSecond(len(facts), time.Since(began)), nil
	})
	if err != nil {
		return nil, err
	}
	decoded, err := rounds(ctx, 3, func() (float64, error) {
		began := time.Now()
		for _, f := range facts {
			var body map[string]any
			if err := json.Unmarshal(f.Body, &body); err != nil {
				return 0, err
			}
			for _, part := range f.Parts {
				if err := json.Unmarshal(part.Body, &body); err != nil {
					return 0, err
				}
			}
		}
		return perSecond(len(facts), time.Since(began)), nil
	})
	if err != nil {
		return nil, err
	}
	return []Result{
		figure("tick", "ms per simulated minute", "lower", woken, "polling every incident each minute", polled,
			fmt.Sprintf("%d open incidents of 20 duties; the mean over an hour of minutes in which clocks fall due as they come", incidents)),
		figure("fold", "facts/s", "higher", folded, "decoding the bodies into maps alone", decoded, fmt.Sprintf("%d facts", len(facts))),
	}, nil
}
