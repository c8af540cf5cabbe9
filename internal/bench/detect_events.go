package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tocsin-ir/tocsin/detect/baseline"
	"github.com/tocsin-ir/tocsin/incident"
)

// maxEventLine bounds a line of --events and --truth.
const maxEventLine = 1 << 20

// labelledFigures shows anyone's own labelled events to the baselines: a file of access events, a JSON
// object a line in order of time, and one that names the events of attacks.
func labelledFigures(ctx context.Context, o Options) (_ []Result, err error) {
	if o.Events == "" && o.Truth == "" {
		return nil, nil
	}
	if o.Events == "" || o.Truth == "" {
		return nil, errors.New("--events and --truth belong together: name both")
	}
	truth := map[string]string{}
	err = lines(o.Truth, func(n int, text []byte) error {
		var t struct{ Event, Attack string }
		if err := json.Unmarshal(text, &t); err != nil || t.Event == "" || t.Attack == "" {
			return fmt.Errorf(`%s:%d: write {"event":"ID","attack":"NAME"}`, o.Truth, n)
		}
		truth[t.Event] = t.Attack
		return nil
	})
	if err != nil {
		return nil, err
	}
	l := labelled{truth: truth, by: map[string]*suspect{}}
	d := baseline.New(baseline.Options{})
	err = lines(o.Events, func(n int, text []byte) error {
		if n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var e line
		if json.Unmarshal(text, &e) != nil || e.ID == "" || e.Time.IsZero() {
			return fmt.Errorf("%s:%d: an event is a JSON object with an id and a time in RFC 3339", o.Events, n)
		}
		x := baseline.Event{ID: e.ID, Time: e.Time, App: "shop", Actor: e.Actor.ID, Credential: e.Credential, Merchant: e.Merchant, Endpoint: e.Endpoint,
			IP: e.Source.IP, Agent: e.Source.Agent, Records: e.Records, Bytes: e.Bytes, Failed: e.Outcome == "denied" || e.Outcome == "error"}
		for _, s := range e.Subjects {
			x.Customers = append(x.Customers, []byte(s.ID))
		}
		l.see(x, d.Observe(x))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l.results()
}

// lines reads a file of JSON lines; empty ones are passed over.
func lines(name string, one func(n int, text []byte) error) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := bufio.NewScanner(io.Reader(f))
	s.Buffer(make([]byte, 64<<10), maxEventLine)
	for n := 1; s.Scan(); n++ {
		if len(s.Bytes()) == 0 {
			continue
		}
		if err := one(n, s.Bytes()); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// suspect is an attack as far as it was seen.
type suspect struct {
	first, last time.Time
	names       map[string]bool // of its credentials, actors and addresses
	found       bool
	delay       time.Duration
}

type labelled struct {
	truth       map[string]string
	by          map[string]*suspect
	events      int
	stray       int
	first, last time.Time
}

// see takes an event and the signals it raised. A signal is about an attack when the attack's own
// event raised it, or when it names who attacks, until ten minutes after the attack's last event.
func (l *labelled) see(e baseline.Event, found []incident.Signal) {
	if l.events++; l.first.IsZero() {
		l.first = e.Time
	}
	l.last = e.Time
	own := l.truth[e.ID]
	if own != "" {
		a := l.by[own]
		if a == nil {
			a = &suspect{first: e.Time, names: map[string]bool{}}
			l.by[own] = a
		}
		a.last = e.Time
		for _, n := range []string{e.Credential, e.Actor, e.IP} {
			if n != "" {
				a.names[n] = true
			}
		}
	}
	for _, s := range found {
		about := l.by[own]
		for _, a := range l.by {
			for _, key := range []string{"credential", "actor", "ip"} {
				if about == nil && a.names[s.Facets[key]] && s.At.Before(a.last.Add(10*time.Minute)) {
					about = a
				}
			}
		}
		switch {
		case about == nil:
			l.stray++
		case !about.found:
			about.found, about.delay = true, s.At.Sub(about.first)
		}
	}
}

func (l *labelled) results() ([]Result, error) {
	if len(l.by) == 0 {
		return nil, errors.New("no event of --events stands in --truth: the ids have to be the same")
	}
	var delays []time.Duration
	for _, a := range l.by {
		if a.found {
			delays = append(delays, a.delay)
		}
	}
	weeks := max(l.last.Sub(l.first).Hours()/(7*24), 1.0/7)
	notes := fmt.Sprintf("%d events over %.1f weeks, %d of %d attacks found, %d other signals", l.events, weeks, len(delays), len(l.by), l.stray)
	return []Result{
		measured("events-found", 100*float64(len(delays))/float64(len(l.by)), "%", "higher", notes),
		measured("events-delay", seconds(delays), "s", "lower", "median from the first event of an attack to its signal, of those found; "+notes),
		measured("events-false-per-week", float64(l.stray)/weeks, "signals/week", "lower", notes),
	}, nil
}
