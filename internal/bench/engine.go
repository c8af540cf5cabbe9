package bench

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// betweenDues is the time between the limits of two duties of an incident.
const betweenDues = 16 * time.Hour

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
		fmt.Fprintf(&b, "  duty_%02d: { who: lead, do: %s, due: %dh after detected, say: \"duty %d\" }\n", i, verbs[i%len(verbs)], 8+i*int(betweenDues/time.Hour), i)
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

// engine measures the pure core: a tick over many open incidents, and the fold.
func engine(ctx context.Context, o Options) ([]Result, error) {
	p, err := benchProgram()
	if err != nil {
		return nil, err
	}
	// The openings spread over the distance between two clocks, so that in every hour as many fall due.
	incidents := o.of(10_000)
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	states := make([]*incident.State, incidents)
	var facts []incident.Fact
	for i := range states {
		s, f, err := opened(p, i, start.Add(time.Duration(i)*betweenDues/time.Duration(incidents)))
		if err != nil {
			return nil, err
		}
		if len(s.Duties) != 20 {
			return nil, fmt.Errorf("an incident of the benchmark has %d duties, want 20", len(s.Duties))
		}
		states[i] = s
		if len(facts) < 100_000 {
			facts = append(facts, f...)
		}
	}
	tick, err := ticks(ctx, o, p, states, start.Add(betweenDues))
	if err != nil {
		return nil, err
	}
	fold, err := folds(ctx, o, facts)
	if err != nil {
		return nil, err
	}
	return []Result{tick, fold}, nil
}

// opened opens the i-th incident at an instant and returns it with its facts.
func opened(p *policy.Program, i int, at time.Time) (*incident.State, []incident.Fact, error) {
	c := incident.Open{Class: "exposure", Title: "bench", Signal: &incident.Signal{
		ID: fmt.Sprint("sig-", i), Class: "unusual_volume", Subject: "credential:x", At: at, From: at, To: at,
	}}
	actor := incident.Actor{Principal: "service:bench", Access: incident.Service}
	d, err := incident.Decide(p, nil, c, incident.Context{Now: at, Actor: actor, Env: "production"})
	if err != nil {
		return nil, nil, err
	}
	chain := fmt.Sprint("INC-", i+1)
	for k := range d.Facts {
		d.Facts[k].Chain, d.Facts[k].ID = chain, fmt.Sprintf("%s-%d", chain, k)
	}
	s, err := incident.Apply(nil, d.Facts...)
	return s, d.Facts, err
}

// ticked lets the clock look at one incident and returns what became of it.
func ticked(p *policy.Program, s *incident.State, now time.Time) (*incident.State, error) {
	d, err := incident.Decide(p, s, incident.Tick{}, incident.Context{
		Now: now, Actor: incident.Actor{Principal: incident.Clock, Access: incident.Service}, Env: "production",
	})
	if err != nil || len(d.Facts) == 0 {
		return s, err
	}
	for k := range d.Facts {
		d.Facts[k].Chain, d.Facts[k].ID = s.ID, fmt.Sprintf("%s-%d-%d", s.ID, s.Version, k)
	}
	return incident.Apply(s, d.Facts...)
}

// ticks measures what a minute of domain time costs when incidents are woken by the queue of their
// next wake-ups, beside looking at every incident each minute. Both sides live through the same
// hours with states of their own.
func ticks(ctx context.Context, o Options, p *policy.Program, states []*incident.State, start time.Time) (Result, error) {
	woken, polled := slices.Clone(states), slices.Clone(states)
	queue := make(alarms, 0, len(states))
	for i, s := range woken {
		if at, _ := incident.NextWake(p, s); !at.IsZero() {
			queue = append(queue, alarm{at, i})
		}
	}
	heap.Init(&queue)
	const minutes = 60
	now, decided := start, 0
	wake := func() (float64, error) {
		began := time.Now()
		for range minutes {
			now = now.Add(time.Minute)
			for len(queue) > 0 && !queue[0].at.After(now) {
				a := heap.Pop(&queue).(alarm)
				before := woken[a.i]
				var err error
				if woken[a.i], err = ticked(p, before, now); err != nil {
					return 0, err
				}
				if woken[a.i] != before {
					decided++
				}
				if at, _ := incident.NextWake(p, woken[a.i]); at.After(now) {
					heap.Push(&queue, alarm{at, a.i})
				}
			}
		}
		return float64(time.Since(began).Microseconds()) / 1000 / minutes, nil
	}
	// Only the last minute of the hour is polled for the figure; the minutes before are caught up with
	// in one go outside of it.
	poll := func() (float64, error) {
		var took time.Duration
		for _, at := range []time.Time{now.Add(-time.Minute), now} {
			began := time.Now()
			for i := range polled {
				var err error
				if polled[i], err = ticked(p, polled[i], at); err != nil {
					return 0, err
				}
			}
			took = time.Since(began)
		}
		return float64(took.Microseconds()) / 1000, nil
	}
	both, err := alternate(ctx, o, 7, wake, poll)
	if err != nil {
		return Result{}, err
	}
	for i := range woken {
		for key, d := range woken[i].Duties {
			if other := polled[i].Duties[key]; other == nil || other.State != d.State {
				return Result{}, fmt.Errorf("%s: the duty %s is %s when woken and not so when polled: the wake-ups miss something", woken[i].ID, key, d.State)
			}
		}
	}
	return figure("tick", "ms per simulated minute", "lower", both[0], "looking at every incident each minute", both[1],
		fmt.Sprintf("%d open incidents of 20 duties, the mean over an hour of minutes in which clocks fall due as they come (%d ticks decided something); pure, without the store; afterwards every duty stands the same on both sides", len(states), decided)), nil
}

// folds measures how fast states are made from facts, beside decoding the bodies alone.
func folds(ctx context.Context, o Options, facts []incident.Fact) (Result, error) {
	fold := func() (float64, error) {
		began := time.Now()
		states := map[string]*incident.State{}
		for _, f := range facts {
			s, err := incident.Fold(states[f.Chain], f)
			if err != nil {
				return 0, err
			}
			states[f.Chain] = s
		}
		return perSecond(len(facts), time.Since(began)), nil
	}
	decode := func() (float64, error) {
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
	}
	both, err := alternate(ctx, o, 7, fold, decode)
	if err != nil {
		return Result{}, err
	}
	return figure("fold", "facts/s", "higher", both[0], "decoding the bodies into maps and no more", both[1],
		fmt.Sprintf("%d facts of many incidents, one core", len(facts))), nil
}
