// Package rehearsal plays an incident that has not happened: from a file of facts with times it
// lets the engine run a policy's clocks, and says for any instant what is due, what is not, and
// why. It decides nothing itself: every state in its answers is the engine's.
//
// The package is pure. Now is an instant of the file or of the caller's.
package rehearsal

import (
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
	s     *incident.State
	now   time.Time
	next  int // index of the first happening that has not been played
	facts int // recorded so far; numbers their ids
	round int // happenings so far; see engine
	steps []Step
	told  int // notices so far
}

// New starts a rehearsal before its first happening.
func New(p *policy.Program, story *Story) *Run {
	return &Run{p: p, story: story, s: incident.NewState("INC-1")}
}

// Program and State give what the rehearsal runs, and where it stands.
func (r *Run) Program() *policy.Program { return r.p }

// State is the incident as it stands. It must not be changed.
func (r *Run) State() *incident.State { return r.s }

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

// End is the last instant at which anything is still to happen: the last happening, or the last
// limit or target that runs then, whichever is later.
func (r *Run) End() time.Time {
	end := later(r.now, r.Last())
	for _, d := range incident.Clocks(r.p, r.s) {
		if d.Met.IsZero() {
			end = later(end, later(d.Target, d.Due))
		}
	}
	return end
}

// wake lets time pass: the engine ticks at each instant it named.
func (r *Run) wake(until time.Time) error {
	for n := 0; r.now.Before(until); n++ {
		if n == maxWakes {
			return fmt.Errorf("the clocks wake more than %d times before %s: a duty recurs too often for so long a time", maxWakes, until.UTC().Format(time.RFC3339))
		}
		at, _ := incident.NextWake(r.p, r.s)
		if at.IsZero() || at.After(until) {
			break
		}
		if at.Before(r.now) {
			at = r.now
		}
		before := r.facts
		if err := r.command(at, incident.Tick{}, ticker, ""); err != nil {
			return err
		}
		if r.facts == before { // nothing was to be decided: the next wake lies later, or there is none
			again, _ := incident.NextWake(r.p, r.s)
			if !again.After(at) {
				break
			}
		}
	}
	r.now = later(r.now, until)
	return nil
}

var ticker = incident.Actor{Principal: incident.Clock, Access: incident.Service}

// play records one happening and lets the engine draw its conclusions at the same instant.
func (r *Run) play(h happening) error {
	r.now = later(r.now, h.at)
	if h.command != nil {
		return r.command(r.now, h.command, h.by, h.what)
	}
	facts, err := h.facts(r)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", h.place, h.what, err)
	}
	step := Step{At: r.now, What: h.what}
	if err := r.record(facts, &step); err != nil {
		return fmt.Errorf("%s: %s: %w", h.place, h.what, err)
	}
	r.steps = append(r.steps, step)
	return r.command(r.now, incident.Tick{}, ticker, "")
}

// command gives one command to the engine. A refusal is part of the story, no error.
func (r *Run) command(at time.Time, c incident.Command, who incident.Actor, what string) error {
	r.now = later(r.now, at)
	// Facts that the file states come from no command, so the engine has not looked at them yet. It
	// looks at everything again when another version of it recorded the last fact; the round is that
	// version's mark.
	r.round++
	d, err := incident.Decide(r.p, r.s, c, incident.Context{
		Now: r.now, Actor: who, Env: "drill",
		Versions: incident.Versions{Policy: r.p.Hash, Engine: fmt.Sprintf("rehearsal-%d", r.round)},
	})
	step := Step{At: r.now, What: what}
	if refusal, ok := err.(*incident.Refusal); ok {
		step.Refused = refusal.Error()
	} else if err != nil {
		return err
	}
	if err := r.record(d.Facts, &step); err != nil {
		return err
	}
	if len(step.Lines) > 0 || step.Refused != "" || what != "" {
		r.steps = append(r.steps, step)
	}
	return nil
}

func (r *Run) record(facts []incident.Fact, step *Step) error {
	for i := range facts {
		r.facts++
		f := &facts[i]
		f.ID, f.Chain, f.Recorded = fmt.Sprintf("fact-%d", r.facts), r.s.ID, r.now
		if f.Env == "" {
			f.Env = "drill"
		}
		step.Lines = append(step.Lines, incident.Render(*f))
	}
	s, err := incident.Apply(r.s, facts...)
	if err != nil {
		return err
	}
	r.s = s
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
