package org

import (
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// The facts about the days of the access log. A day is an epoch of its own: its events are sealed under
// a key of that day, and go together when their time is over.
const (
	EpochClosed incident.Kind = "epoch.closed" // a UTC day is over, and everything that came in it is in the log
	EpochPruned incident.Kind = "epoch.pruned" // its events are to be removed; recorded before the first of them is
)

// The reasons of what is decided about days.
const (
	DayClosed  incident.Reason = "closed"
	DayPruned  incident.Reason = "pruned"
	DayNotOver incident.Reason = "not_over"
)

// Stretch is consecutive leaves of the events log that belong to one day. A day has one, or a few
// where batches of two days mingled around midnight.
type Stretch struct {
	Leaf   uint64 `json:"leaf"` // index of the first
	Leaves uint64 `json:"leaves"`
	First  uint64 `json:"first"` // position of the first event, from 1
	Last   uint64 `json:"last"`
}

// CloseEpoch records where a day stands in the events log, with a checkpoint that covers it.
type CloseEpoch struct {
	Day        string    `json:"day"` // UTC, 2006-01-02
	Stretches  []Stretch `json:"stretches"`
	Checkpoint string    `json:"checkpoint"` // the signed note
}

// PruneEpoch decides that the events of a day are removed. Whoever gives it removes them afterwards,
// and again after a crash until nothing is left.
type PruneEpoch struct {
	Day        string    `json:"day"`
	Stretches  []Stretch `json:"stretches"`
	Checkpoint string    `json:"checkpoint"`
	Keep       string    `json:"keep"`  // how long days are kept, such as 13 months
	Basis      string    `json:"basis"` // why the day goes now, in a sentence
}

// Name and its siblings name the commands; the names are stable.
func (CloseEpoch) Name() string { return "close-epoch" }
func (PruneEpoch) Name() string { return "prune-epoch" }

// Epoch is a day of the access log.
type Epoch struct {
	Day        string    `json:"day"`
	Stretches  []Stretch `json:"stretches"`
	Checkpoint string    `json:"checkpoint"`
	Closed     time.Time `json:"closed"`
	Fact       string    `json:"fact"` // that closed it
	Pruned     *Pruned   `json:"pruned,omitempty"`
}

// Pruned says that the events of a day were removed, or are being removed.
type Pruned struct {
	At        time.Time          `json:"at"`
	By        incident.Principal `json:"by"`
	Fact      string             `json:"fact"`
	Keep      string             `json:"keep"`
	Basis     string             `json:"basis"`
	Stretches []Stretch          `json:"stretches"`
}

type epochBody struct {
	Day        string    `json:"day"`
	Stretches  []Stretch `json:"stretches"`
	Checkpoint string    `json:"checkpoint"`
	Keep       string    `json:"keep,omitempty"`
	Basis      string    `json:"basis,omitempty"`
}

// Events is how many events came in the day.
func (e *Epoch) Events() (n int64) {
	for _, s := range e.Stretches {
		n += int64(s.Last - s.First + 1)
	}
	return n
}

func (d decider) service(what string) error {
	if d.ctx.Actor.Access != incident.Service {
		return refuse(NeedsOwner, what+" is the server's own work",
			incident.Missing{What: "nobody does it by hand", Do: "change evidence.keep in tocsin.yaml, or place a hold on an incident"})
	}
	return nil
}

// checkEpoch refuses what is no day that is over.
func (d decider) checkEpoch(day string, stretches []Stretch) error {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return invalid("day", "is not a day such as 2026-11-22")
	}
	if d.ctx.Now.Before(at.AddDate(0, 0, 1)) {
		return refuse(DayNotOver, fmt.Sprintf("%s is not over", day))
	}
	if len(stretches) == 0 || len(stretches) > 10_000 {
		return invalid("stretches", "has to be 1 to 10,000")
	}
	for i, s := range stretches {
		if s.Leaves == 0 || s.First == 0 || s.Last < s.First || i > 0 && s.Leaf < stretches[i-1].Leaf+stretches[i-1].Leaves {
			return invalid("stretches", "are not ascending ranges")
		}
	}
	return nil
}

func (d decider) closeEpoch(c CloseEpoch) (incident.Decision, error) {
	if err := firstError(d.service("closing a day"), d.checkEpoch(c.Day, c.Stretches), checkOptional("checkpoint", c.Checkpoint, 10_000)); err != nil {
		return incident.Decision{}, err
	}
	if d.s.Epochs[c.Day] != nil {
		return one(NothingToDo)
	}
	return one(DayClosed, d.fact(EpochClosed, epochBody{Day: c.Day, Stretches: c.Stretches, Checkpoint: c.Checkpoint}, "", textPart{}))
}

func (d decider) pruneEpoch(c PruneEpoch) (incident.Decision, error) {
	if err := firstError(d.service("removing a day"), d.checkEpoch(c.Day, c.Stretches), checkOptional("checkpoint", c.Checkpoint, 10_000),
		checkText("keep", c.Keep, 100), checkText("basis", c.Basis, 500)); err != nil {
		return incident.Decision{}, err
	}
	switch e := d.s.Epochs[c.Day]; {
	case e == nil:
		return incident.Decision{}, refuse(DayNotOver, fmt.Sprintf("%s was not closed", c.Day))
	case e.Pruned != nil:
		return one(NothingToDo)
	}
	return one(DayPruned, d.fact(EpochPruned, epochBody{Day: c.Day, Stretches: c.Stretches, Checkpoint: c.Checkpoint, Keep: c.Keep, Basis: c.Basis}, "", textPart{}))
}

func foldEpochClosed(s *State, f incident.Fact) error {
	var b epochBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	if s.Epochs == nil {
		s.Epochs = map[string]*Epoch{}
	}
	s.Epochs[b.Day] = &Epoch{Day: b.Day, Stretches: b.Stretches, Checkpoint: b.Checkpoint, Closed: f.Recorded, Fact: f.ID}
	return nil
}

func foldEpochPruned(s *State, f incident.Fact) error {
	var b epochBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	e := s.Epochs[b.Day]
	if e == nil {
		return fmt.Errorf("the day %s was pruned and never closed", b.Day)
	}
	e.Pruned = &Pruned{At: f.Recorded, By: f.Principal, Fact: f.ID, Keep: b.Keep, Basis: b.Basis, Stretches: b.Stretches}
	return nil
}

// Days are the days of the access log that are over, oldest first.
func (s *State) Days() []*Epoch {
	if s == nil {
		return nil
	}
	out := make([]*Epoch, 0, len(s.Epochs))
	for _, e := range s.Epochs {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *Epoch) int {
		if a.Day < b.Day {
			return -1
		}
		return 1
	})
	return out
}
