// Package rehearsal plays an incident that has not happened: from a file of facts with times it
// lets the engine run a policy's clocks, and says for any instant what is due, what is not, and
// why. It decides nothing itself: every state in its answers is the engine's.
//
// The package is pure. Now is an instant of the file or of the caller's.
package rehearsal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// maxWakes bounds how often the clocks of one rehearsal may wake: a cadence of a minute over a
// century is a mistake in the file, and is said to be one.
const maxWakes = 100_000

// Step is one moment of a rehearsal: what happened, and the facts the engine recorded then.
type Step struct {
	At      time.Time       `json:"at"`
	What    string          `json:"what"`              // what the file says happened; "" for time passing
	Refused string          `json:"refused,omitempty"` // why a command was not taken
	Lines   []incident.Line `json:"lines"`             // the engine's facts, in plain words
}

// Run is a rehearsal under way. It is not safe for concurrent use.
type Run struct {
	p     *policy.Program
	story *Story
	inc   chain // the incident
	prog  chain // the programme: duties without an incident
	now   time.Time
	next  int // index of the first happening that has not been played
	facts int // recorded so far; numbers their ids
	round int // commands so far; see give
	told  int // notices so far
	steps []Step
}

// chain is one of the two histories that a rehearsal writes.
type chain struct {
	s *incident.State
}

// New starts a rehearsal before its first happening.
func New(p *policy.Program, story *Story) *Run {
	return &Run{p: p, story: story, inc: chain{incident.NewState("INC-1")}, prog: chain{incident.NewState("org")}}
}

// Program gives the policy that the rehearsal runs.
func (r *Run) Program() *policy.Program { return r.p }

// State is the incident as it stands. It must not be changed.
func (r *Run) State() *incident.State { return r.inc.s }

// Steps lists what has happened so far.
func (r *Run) Steps() []Step { return r.steps }

// To plays everything up to an instant: happenings of the file in their order, and between them
// every instant at which the engine asked to be woken.
func (r *Run) To(until time.Time) error {
	for r.next < len(r.story.happen) && !r.story.happen[r.next].at.After(until) {
		h := r.story.happen[r.next]
		if err := r.wake(h.at); err != nil {
			return err
		}
		if err := r.play(h); err != nil {
			return err
		}
		r.next++
	}
	return r.wake(until)
}

// Last is the instant of the last happening of the file.
func (r *Run) Last() time.Time {
	if n := len(r.story.happen); n > 0 {
		return r.story.happen[n-1].at
	}
	return r.story.opened
}

// End is the last instant at which anything is still to happen to the incident: the last happening,
// or the last limit or target that runs then, whichever is later.
func (r *Run) End() time.Time {
	end := later(r.now, r.Last())
	for _, d := range incident.Clocks(r.p, r.inc.s) {
		if d.Met.IsZero() {
			end = later(end, later(d.Target, d.Due))
		}
	}
	return end
}

// wake lets time pass: the engine ticks at each instant it named.
func (r *Run) wake(until time.Time) error {
	for n := 0; ; n++ {
		if n == maxWakes {
			return fmt.Errorf("the clocks wake more than %d times before %s: a duty recurs too often for so long a time", maxWakes, until.UTC().Format(time.RFC3339))
		}
		c, at := &r.inc, r.wakeOf(&r.inc)
		if other := r.wakeOf(&r.prog); !other.IsZero() && (at.IsZero() || other.Before(at)) {
			c, at = &r.prog, other
		}
		if at.IsZero() || at.After(until) {
			break
		}
		before := r.facts
		if err := r.give(c, later(r.now, at), incident.Tick{}, ticker, ""); err != nil {
			return err
		}
		if r.facts == before && !r.wakeOf(c).After(at) {
			return fmt.Errorf("the clocks wake at %s and decide nothing: this is a fault of the engine", at.Format(time.RFC3339Nano))
		}
	}
	r.now = later(r.now, until)
	return nil
}

// wakeOf is the next instant at which a chain has something to decide; zero: never.
func (r *Run) wakeOf(c *chain) time.Time {
	at, _ := incident.NextWake(r.p, c.s)
	return at
}

var ticker = incident.Actor{Principal: incident.Clock, Access: incident.Service}

// play records one happening and lets the engine draw its conclusions at the same instant.
func (r *Run) play(h happening) error {
	r.now = later(r.now, h.at)
	if h.command != nil {
		return r.give(r.chainOf(h.command), r.now, h.command, h.by, h.what)
	}
	facts, err := h.facts(r)
	if err != nil {
		return fmt.Errorf("%s: error: %s: %w", h.place, h.what, err)
	}
	step := Step{At: r.now, What: h.what}
	if err := r.record(&r.inc, facts, &step); err != nil {
		return fmt.Errorf("%s: error: %s: %w", h.place, h.what, err)
	}
	r.steps = append(r.steps, step)
	if h.then != nil {
		return r.give(&r.inc, r.now, h.then, service, "")
	}
	return r.give(&r.inc, r.now, incident.Tick{}, ticker, "")
}

var service = incident.Actor{Principal: "service:rehearsal", Access: incident.Service}

// chainOf says whom a command is for.
func (r *Run) chainOf(c incident.Command) *chain {
	switch c := c.(type) {
	case incident.BeginProgramme, incident.RecordEvent:
		return &r.prog
	case incident.Complete:
		if d := dutyOf(r.p, c.Duty); d != nil && (d.For == "programme" || d.For == "each") {
			return &r.prog
		}
	}
	return &r.inc
}

// give gives one command to the engine. A refusal is part of the story, no error.
func (r *Run) give(c *chain, at time.Time, cmd incident.Command, who incident.Actor, what string) error {
	r.now = later(r.now, at)
	// Facts that the file states come from no command, so the engine has not looked at them yet. It
	// looks at everything again when another version of it recorded the last fact; the round is that
	// version's mark.
	r.round++
	versions := incident.Versions{Policy: r.p.Hash, Engine: fmt.Sprintf("rehearsal-%d", r.round)}
	if r.p.Laws != nil {
		versions.Regimes = r.p.Laws.Version()
	}
	d, err := incident.Decide(r.p, c.s, cmd, incident.Context{Now: r.now, Actor: who, Env: "drill", Versions: versions})
	step := Step{At: r.now, What: what}
	var refusal *incident.Refusal
	var field *incident.FieldError
	switch {
	case errors.As(err, &refusal):
		step.Refused = refusal.Error()
	case errors.As(err, &field):
		step.Refused = field.Error()
	case err != nil:
		return err
	}
	if err := r.record(c, d.Facts, &step); err != nil {
		return err
	}
	if len(step.Lines) > 0 || step.Refused != "" || what != "" {
		r.steps = append(r.steps, step)
	}
	return nil
}

func (r *Run) record(c *chain, facts []incident.Fact, step *Step) error {
	for i := range facts {
		r.facts++
		f := &facts[i]
		f.ID, f.Chain, f.Recorded = fmt.Sprintf("fact-%d", r.facts), c.s.ID, r.now
		if f.Env == "" {
			f.Env = "drill"
		}
		step.Lines = append(step.Lines, incident.Render(*f))
	}
	s, err := incident.Apply(c.s, facts...)
	if err != nil {
		return err
	}
	c.s = s
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// zoneOf is the zone of a recipient, or the policy's.
func (r *Run) zoneOf(recipient string) *time.Location {
	if m, ok := r.story.merchants[recipient]; ok && m.zone != nil {
		return m.zone
	}
	if r.p.Zone != nil {
		return r.p.Zone
	}
	return time.UTC
}

// everyRole is somebody who holds all roles of the policy and may give every command.
func everyRole(p *policy.Program, name string) incident.Actor {
	a := incident.Actor{Principal: incident.Principal("person:" + name), Access: incident.Owner}
	for _, role := range p.Roles {
		a.Roles = append(a.Roles, role.ID)
	}
	return a
}

// dutyOf finds a duty of the policy.
func dutyOf(p *policy.Program, id string) *policy.Duty {
	i := slices.IndexFunc(p.Duties, func(d policy.Duty) bool { return d.ID == id })
	if i < 0 {
		return nil
	}
	return &p.Duties[i]
}

func didYouMean(got string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(strings.ReplaceAll(got, "-", "_"), k) || len(got) > 3 && (strings.HasPrefix(k, got) || strings.HasPrefix(got, k)) {
			return "; did you mean " + k + "?"
		}
	}
	if len(known) == 0 {
		return ""
	}
	return "; there are " + strings.Join(known, ", ")
}
