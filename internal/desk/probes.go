package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/probe"
)

// Probe is a check that runs by itself. Its name is unique, and is that of a check of every incident
// that it raises.
type Probe struct {
	Name     string
	Kind     string // dns, tls, http or http-journey
	Schedule probe.Schedule
	Check    Check
}

// probing is one probe of this process. Its own loop runs it, and whoever asks for a run in between.
type probing struct {
	Probe
	turn chan struct{} // holds one token: whoever has it runs the probe and tells what follows from it

	mu       sync.Mutex
	standing probe.Standing // as it is durable, but for a row that could not be written; guarded by mu
	next     time.Time      // domain time of the next run; zero until the loop has begun; guarded by mu
}

const (
	probeProjection = "probe"
	serviceSubject  = "service" // what a probe's signal is about, as in service:shop
	probesAtOnce    = 8
)

func probingOf(list []Probe) map[string]*probing {
	made := map[string]*probing{}
	for _, p := range list {
		made[p.Name] = &probing{Probe: p, turn: make(chan struct{}, 1), standing: probe.Standing{State: probe.Unknown}}
	}
	return made
}

func (w *probing) now() (probe.Standing, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.standing, w.next
}

// startProbes begins where the last process left off: a probe runs when it is due, so a server that is
// started often does not ask more often, and failures in a row are counted on.
func (d *Desk) startProbes(ctx context.Context) error {
	rows, err := d.probeRows(ctx)
	if err != nil {
		return err
	}
	known := standings(rows)
	slots := make(chan struct{}, probesAtOnce)
	for _, name := range slices.Sorted(maps.Keys(d.probes)) {
		w := d.probes[name]
		w.mu.Lock()
		w.next = d.o.Clock.Now()
		if s, ok := known[name]; ok {
			w.standing = s
			// Never later than a probe that has just run: the clock may have been ahead when it did.
			if due, most := s.Ran.Add(w.Schedule.Every), w.next.Add(w.Schedule.Every); due.After(most) {
				w.next = most
			} else if due.After(w.next) {
				w.next = due
			}
		}
		w.mu.Unlock()
		d.background(ctx, "probe "+name, func(ctx context.Context) error { return d.watchProbe(ctx, w, slots) })
	}
	return nil
}

func (d *Desk) watchProbe(ctx context.Context, w *probing, slots chan struct{}) error {
	for {
		if s, _ := w.now(); s.Untold() { // left by a crash, or by a database that did not answer
			if err := d.takeTurn(ctx, w, func() error { return d.tellOutage(ctx, w) }); err != nil {
				return err
			}
		}
		_, next := w.now()
		due, giveUp := d.o.Clock.Until(next)
		select {
		case <-ctx.Done():
			giveUp()
			return nil
		case <-due:
		}
		select {
		case <-ctx.Done():
			return nil
		case slots <- struct{}{}:
		}
		err := d.takeTurn(ctx, w, func() error {
			if _, next := w.now(); next.After(d.o.Clock.Now()) {
				return nil // somebody asked for a run while this one waited
			}
			return d.runProbe(ctx, w)
		})
		<-slots
		if err != nil {
			return err
		}
	}
}

func (d *Desk) takeTurn(ctx context.Context, w *probing, do func() error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case w.turn <- struct{}{}:
	}
	defer func() { <-w.turn }()
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	return do()
}

// runProbe runs a probe once. A crash before its row is durable: the run did not happen. After it: what
// the incident has still to hear is told at the next start, under the same id.
func (d *Desk) runProbe(ctx context.Context, w *probing) error {
	res := d.guardedRun(ctx, w)
	if ctx.Err() != nil {
		return nil // it was cut short by our own end, which says nothing about the other side
	}
	now := d.o.Clock.Now()
	s, planned := w.now()
	next := planned // somebody asked for this run in between
	if !next.After(now) {
		if next = planned.Add(w.Schedule.Every); !next.After(now) {
			next = now.Add(w.Schedule.Every)
		}
	}
	after := s.After(w.Name, w.Schedule, res, now)
	if after.State != s.State {
		d.o.Log.Info("a probe stands otherwise", "probe", w.Name, "was", string(s.State), "is", string(after.State), "code", after.Code)
	}
	if err := d.keepStanding(ctx, w, after); err != nil {
		return err // it is run again in a second: the failure is counted then
	}
	err := d.tellOutage(ctx, w)
	w.mu.Lock()
	w.next = next
	w.mu.Unlock()
	return err
}

func (d *Desk) guardedRun(ctx context.Context, w *probing) (res probe.Result) {
	defer func() {
		if p := recover(); p != nil {
			d.o.Log.Error("a probe panicked", "probe", w.Name, "stack", string(debug.Stack()))
			res = probe.Result{Code: "panic", Observed: "the probe itself failed"}
		}
	}()
	return w.Check.Run(ctx)
}

func (d *Desk) keepStanding(ctx context.Context, w *probing, s probe.Standing) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		return tx.PutRow(probeProjection, ledger.Row{Key: w.Name, Body: body})
	})
	if err != nil {
		return fmt.Errorf("desk: probe %s: %w", w.Name, err)
	}
	w.mu.Lock()
	w.standing = s
	w.mu.Unlock()
	return nil
}

// tellOutage raises the signal of an outage that began and says of one that ended that it is over. Both
// have ids of their own, so a crash between telling and noting that it was told tells nothing twice.
func (d *Desk) tellOutage(ctx context.Context, w *probing) error {
	s, _ := w.now()
	if !s.Untold() {
		return nil
	}
	o := *s.Outage
	who := worker("probe")
	if o.Incident == "" {
		out, err := d.signal(ctx, who, d.outageSignal(w, o))
		if decided(err) {
			d.o.Log.Error("the signal of a probe was not taken in", "probe", w.Name, "signal", o.Signal, "error", err)
			out, err, o.Told = Outcome{Incident: nowhere}, nil, true // trying for ever would not help
		}
		if err != nil {
			return err
		}
		o.Incident = out.Incident
	}
	if !o.Ended.IsZero() && !o.Told {
		if err := d.endOutage(ctx, w, who, o); err != nil {
			return err
		}
		o.Told = true
	}
	s.Outage = &o
	return d.keepStanding(ctx, w, s)
}

// nowhere stands for the incident of a signal that none would take.
const nowhere = "-"

func (d *Desk) outageSignal(w *probing, o probe.Outage) incident.Signal {
	now := d.o.Clock.Now()
	notAhead := func(t time.Time) time.Time { // a drill's clock may begin again a little earlier
		if t.After(now) {
			return now
		}
		return t
	}
	return incident.Signal{
		ID: o.Signal, Class: w.Schedule.Signal, Subject: serviceSubject + ":" + w.Schedule.Service, At: notAhead(o.At), From: notAhead(o.From), To: notAhead(o.At),
		Sentence: o.Says(w.Name), Facets: map[string]string{incident.Probed: w.Name, "kind": w.Kind, "code": o.Code},
	}
}

// endOutage tells the incident that has the signal now: people may have moved it.
func (d *Desk) endOutage(ctx context.Context, w *probing, who Caller, o probe.Outage) error {
	at := o.Ended
	if now := d.o.Clock.Now(); at.After(now) {
		at = now
	}
	says := "the probe " + w.Name + " passes again"
	if o.Passed != "" {
		says += ": " + o.Passed
	}
	id := o.Incident
	for range 10 {
		s, err := d.stateOf(ctx, id)
		if err != nil {
			return err
		}
		moved := ""
		for _, u := range s.Unlinked {
			if u.Signal.ID == o.Signal && !slices.ContainsFunc(s.Signals, func(g incident.Signal) bool { return g.ID == o.Signal }) {
				moved = u.To
			}
		}
		if moved == "" || moved == id {
			break
		}
		id = moved
	}
	_, err := d.Submit(ctx, Request{ID: "ended/" + o.Signal, Incident: id, Command: incident.EndSignal{Signal: o.Signal, At: at, Says: says}, Caller: who})
	if decided(err) {
		d.o.Log.Error("that an outage is over was not taken in", "probe", w.Name, "incident", id, "error", err)
		return nil
	}
	return err
}

// probesDue says whether a probe is about to run or has something to tell: a drill's clock stands
// still for it.
func (d *Desk) probesDue(now time.Time) bool {
	for _, w := range d.probes {
		if s, next := w.now(); !next.IsZero() && (!next.After(now) || s.Untold()) {
			return true
		}
	}
	return false
}

func (d *Desk) nextProbe() (at time.Time, some bool) {
	for _, w := range d.probes {
		if _, next := w.now(); !next.IsZero() && (!some || next.Before(at)) {
			at, some = next, true
		}
	}
	return at, some
}

func (d *Desk) probeRows(ctx context.Context) (rows []ledger.Row, err error) {
	err = d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		rows, err = r.Rows(probeProjection, "", "", ledger.MaxRows)
		return err
	})
	return rows, err
}

// standings reads the rows of probes. One that cannot be read begins anew.
func standings(rows []ledger.Row) map[string]probe.Standing {
	known := map[string]probe.Standing{}
	for _, row := range rows {
		var s probe.Standing
		if json.Unmarshal(row.Body, &s) == nil && s.State != "" {
			known[row.Key] = s
		}
	}
	return known
}

// ProbeRow is a probe with how it stands.
type ProbeRow struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind" enum:"dns,tls,http,http-journey"`
	Service  string    `json:"service" doc:"what it is about: outages of one service are one incident"`
	Signal   string    `json:"signal" doc:"what an outage is signalled as"`
	Every    string    `json:"every" doc:"time between two runs, such as 1m0s"`
	After    int       `json:"after" doc:"so many failures in a row are an outage"`
	State    string    `json:"state" enum:"unknown,passing,failing,out"`
	Since    time.Time `json:"since,omitzero" doc:"when this state began"`
	Failures int       `json:"failures" doc:"failures in a row"`
	Ran      time.Time `json:"ran,omitzero" doc:"its newest run"`
	Code     string    `json:"code,omitempty" doc:"what came back, such as http 200 or dns NXDOMAIN, or why nothing did"`
	Saw      string    `json:"saw,omitempty" doc:"what the newest run saw, in one sentence; never a byte of a page"`
	Next     time.Time `json:"next,omitzero"`
	Incident string    `json:"incident,omitempty" doc:"of its newest outage, for those who may see it"`
	Began    time.Time `json:"began,omitzero" doc:"the newest outage: its first failure"`
	Ended    time.Time `json:"ended,omitzero" doc:"the newest outage: when it passed again"`
}

// Probes says how every probe of the configuration stands, by name.
func (d *Desk) Probes(ctx context.Context) ([]ProbeRow, error) {
	var known map[string]probe.Standing
	if d.o.ReadOnly { // nothing runs: the record says how they stood
		rows, err := d.probeRows(ctx)
		if err != nil {
			return nil, err
		}
		known = standings(rows)
	}
	list := []ProbeRow{}
	for _, name := range slices.Sorted(maps.Keys(d.probes)) {
		w := d.probes[name]
		s, next := w.now()
		if k, ok := known[name]; ok {
			s = k
		}
		list = append(list, d.probeRow(ctx, w, s, next))
	}
	return list, nil
}

func (d *Desk) probeRow(ctx context.Context, w *probing, s probe.Standing, next time.Time) ProbeRow {
	row := ProbeRow{
		Name: w.Name, Kind: w.Kind, Service: w.Schedule.Service, Signal: w.Schedule.Signal, Every: w.Schedule.Every.String(), After: w.Schedule.After,
		State: string(s.State), Since: s.Since, Failures: s.Failures, Ran: s.Ran, Code: s.Code, Saw: s.Saw, Next: next,
	}
	if o := s.Outage; o != nil {
		row.Began, row.Ended = o.From, o.Ended
		if o.Incident != "" && o.Incident != nowhere {
			if _, err := d.Incident(ctx, o.Incident); err == nil { // a private incident is not named to others
				row.Incident = o.Incident
			}
		}
	}
	return row
}

// RunProbe runs a probe now, as if it were due: a failure counts and a success ends an outage. It goes
// on when who asked has gone, and is waited for by whoever asks for the same one meanwhile.
func (d *Desk) RunProbe(ctx context.Context, name string) (ProbeRow, error) {
	if d.o.ReadOnly {
		return ProbeRow{}, ErrReadOnly
	}
	w, ok := d.probes[name]
	if !ok {
		return ProbeRow{}, fmt.Errorf("%w: there is no probe %q: tocsin probes lists them", ErrNotFound, name)
	}
	err := d.takeTurn(ctx, w, func() error { return d.runProbe(d.life, w) })
	if err == nil {
		err = d.life.Err()
	}
	if errors.Is(err, context.Canceled) {
		return ProbeRow{}, fmt.Errorf("%w: the server is stopping", ErrUnavailable)
	}
	if err != nil {
		return ProbeRow{}, err
	}
	s, next := w.now()
	return d.probeRow(ctx, w, s, next), nil
}
