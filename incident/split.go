package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Split is where a new incident begins: with signals of another. The desk gives what the other is.
type Split struct {
	Of      *State
	Hash    string // of its newest fact
	Signals []string
	Reason  string
}

// SplitOff says in the first incident that signals left it for one of their own. Its clocks stay.
type SplitOff struct {
	Into    string   `json:"into"`
	Signals []string `json:"signals"`
	Reason  string   `json:"reason"`
}

func (SplitOff) Name() string { return "split-off" }

// SplitMissing lists what stands in the way of splitting signals off an incident.
func SplitMissing(s *State, signals []string) []Missing {
	var out []Missing
	if len(signals) == 0 {
		out = append(out, Missing{What: "the signals that leave", Do: "see which there are: tocsin incident show " + s.ID})
	}
	for _, id := range signals {
		if !slices.ContainsFunc(s.Signals, func(g Signal) bool { return g.ID == id }) {
			out = append(out, Missing{What: s.ID + " has no signal " + id, Do: "see which there are: tocsin incident show " + s.ID})
		}
	}
	if len(out) == 0 && !slices.ContainsFunc(s.Signals, func(g Signal) bool { return !slices.Contains(signals, g.ID) }) {
		out = append(out, Missing{What: "a signal that stays in " + s.ID, Do: "leave one: an incident that is all of these is this one"})
	}
	return out
}

// split opens an incident with signals of another, and with what of its life they had a part in: the
// times at which they were noticed, and at which somebody took the first incident up.
func (w *work) split(c *Open, signals []Signal) {
	of := c.Split.Of
	body := SplitFromBody{From: of.ID, Head: of.Head, Hash: c.Split.Hash, Version: of.Version}
	t := SplitFromText{Reason: c.Split.Reason}
	for _, a := range of.Actions {
		if hangsOn(a, signals) {
			t.Actions = append(t.Actions, actionIn(of.ID, a))
		}
	}
	w.fact(KindSplitFrom, body, own(t))
	for _, g := range signals {
		w.linkSignal(g, of.ID)
	}
	for _, role := range sortedKeys(of.Roles) {
		w.fact(KindAssigned, AssignedBody{Role: role, Person: of.Roles[role]})
	}
}

// splitMilestones: who took the first incident up had these signals before them.
func (w *work) splitMilestones(of *State) {
	for _, name := range []string{"acknowledged", "confirmed"} {
		if m := of.Milestones[name]; m != nil {
			w.setMilestone(name, m.At, "it was so in "+of.ID+", of which this was a part")
		}
	}
}

// splitSignals are the signals that leave, the first that was noticed first.
func (c *Split) splitSignals() []Signal {
	var out []Signal
	for _, g := range c.Of.Signals {
		if slices.Contains(c.Signals, g.ID) {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b Signal) int { return a.noticed().Compare(b.noticed()) })
	return out
}

// hangsOn reports whether an action is about what one of the signals is about.
func hangsOn(a *Action, signals []Signal) bool {
	return slices.ContainsFunc(signals, func(g Signal) bool {
		_, name, _ := strings.Cut(g.Subject, ":")
		for _, value := range a.Target {
			if value != "" && value != "*" && value == name {
				return true
			}
		}
		return false
	})
}

func (w *work) splitOff(c SplitOff) (Reason, error) {
	if err := needID("into", c.Into); err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if missing := SplitMissing(w.base, c.Signals); len(missing) > 0 {
		return "", refuse(RefusedState, fmt.Sprintf("%s cannot be split so", w.base.ID), missing...)
	}
	w.fact(KindSplit, SplitBody{Into: c.Into, Signals: c.Signals}, own(Reasoned{c.Reason}))
	for _, id := range c.Signals {
		w.fact(KindSignalOut, UnlinkedBody{Signal: id, To: c.Into}, own(Reasoned{c.Reason}))
	}
	return ReasonSplit, nil
}

func foldSplit(s *State, f Fact) error {
	x := SplitTo{At: f.Recorded, By: f.Principal}
	var t Reasoned
	if err := header(f, &x.SplitBody); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	x.Why = t.Reason
	s.Splits = append(s.Splits, x)
	return nil
}

func foldSplitFrom(s *State, f Fact) error {
	x := &SplitFrom{At: f.Recorded, By: f.Principal}
	if err := header(f, &x.SplitFromBody); err != nil {
		return err
	}
	if err := text(f, &x.SplitFromText); err != nil {
		return err
	}
	s.SplitOf = x
	return nil
}

// earliestFrom is when what the signals are about began, or was first known.
func earliestFrom(signals []Signal) (from time.Time) {
	for _, g := range signals {
		from = earliest(from, g.suspicion())
	}
	return from
}

// mergeRenderers puts merging and splitting in words.
func mergeRenderers() map[Kind]func(Fact) string {
	return map[Kind]func(Fact) string{
		KindMergedIn: func(f Fact) string {
			b, t := read[MergedInBody, MergedInText](f)
			s := b.Incident + " merged into this"
			if t.Title != "" {
				s = b.Incident + " (" + t.Title + ") merged into this"
			}
			return because(s, t.Reason)
		},
		KindMerged: func(f Fact) string {
			b, t := read[MergedBody, Reasoned](f)
			return because("Closed as merged into "+b.Into+", with its clocks", t.Reason)
		},
		KindSplit: func(f Fact) string {
			b, t := read[SplitBody, Reasoned](f)
			return because(count(len(b.Signals), "signal", "signals")+" split off into "+b.Into, t.Reason)
		},
		KindSplitFrom: func(f Fact) string {
			b, t := read[SplitFromBody, SplitFromText](f)
			return because("Split off from "+b.From, t.Reason)
		},
	}
}
