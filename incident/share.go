package incident

import (
	"maps"
	"slices"
)

// sharing says which of a fork's collections are already its own. Entries of a collection are
// never changed in place, only replaced, so that a fork costs nothing until it is written to and
// then only the collections it writes to.
type sharing struct {
	owned   collection
	notices map[string]bool // notices whose deliveries are the fork's own
}

type collection uint32

const (
	inMilestones collection = 1 << iota
	inAnswers
	inRoles
	inAdjusted
	inDuties
	inActions
	inNotices
	inChecks
	inPages
	inTally
	inSwitches
	inSignatures
	inReview
	inUnknown
	inScales
	inDirectory
	inPassed
	inAttested
	inWaivers
	inOffers
)

// NewState is the state of an incident before its first fact.
func NewState(id string) *State {
	return &State{
		ID:         id,
		Milestones: map[string]*Milestone{},
		Answers:    map[string]*AnswerOf{},
		Roles:      map[string]Principal{},
		Exposures:  map[string]*Exposure{},
		Adjusted:   map[string]*Adjusted{},
		Duties:     map[string]*DutyInstance{},
		Checks:     map[string]*Check{},
		Pages:      map[string]*Page{},
		Tally:      map[string]*Tally{},
		Switches:   map[string]*Switch{},
		Signatures: map[string][]Signed{},
		Review:     ReviewState{Parts: map[string]*Signed{}},
	}
}

// Apply folds facts into a copy of s and returns the copy. s is left as it was and may go on
// being read by others, but must not be given to Fold any more: the copy shares what the facts
// did not touch.
func Apply(s *State, facts ...Fact) (*State, error) {
	if s == nil {
		s = NewState("")
	}
	n := s.fork()
	for _, f := range facts {
		var err error
		if n, err = Fold(n, f); err != nil {
			return s, err
		}
	}
	n.list()
	return n, nil
}

func (s *State) fork() *State {
	n := *s
	n.shared = &sharing{}
	n.Signals = slices.Clip(n.Signals)
	n.Scopes = slices.Clip(n.Scopes)
	n.Snapshots = slices.Clip(n.Snapshots)
	n.Exports = slices.Clip(n.Exports)
	n.Refusals = slices.Clip(n.Refusals)
	n.Actions = slices.Clip(n.Actions)
	n.Notices = slices.Clip(n.Notices)
	n.Done = slices.Clip(n.Done)
	n.Overrides = slices.Clip(n.Overrides)
	n.Moves = slices.Clip(n.Moves)
	n.Events = slices.Clip(n.Events)
	n.Unlinked = slices.Clip(n.Unlinked)
	n.Merged = slices.Clip(n.Merged)
	n.Splits = slices.Clip(n.Splits)
	n.Holds = slices.Clip(n.Holds)
	n.Attachments = slices.Clip(n.Attachments)
	n.Review.Corrective = slices.Clip(n.Review.Corrective)
	n.Review.Published = slices.Clip(n.Review.Published)
	return &n
}

// borrowed reports whether the collection still belongs to the original, and makes it the fork's.
func (s *State) borrowed(c collection) bool {
	if s.shared == nil || s.shared.owned&c != 0 {
		return false
	}
	s.shared.owned |= c
	return true
}

func writable[K comparable, V any](s *State, c collection, m *map[K]V) map[K]V {
	if s.borrowed(c) {
		*m = maps.Clone(*m)
	}
	if *m == nil {
		*m = map[K]V{}
	}
	return *m
}

func (s *State) setAction(a *Action) {
	if s.borrowed(inActions) {
		s.Actions = slices.Clone(s.Actions)
	}
	for i, old := range s.Actions {
		if old.ID == a.ID {
			s.Actions[i] = a
			return
		}
	}
	s.Actions = append(s.Actions, a)
}

func (s *State) setNotice(n *Notice) {
	if s.borrowed(inNotices) {
		s.Notices = slices.Clone(s.Notices)
	}
	for i, old := range s.Notices {
		if old.ID == n.ID {
			s.Notices[i] = n
			return
		}
	}
	s.Notices = append(s.Notices, n)
}

// deliveries returns the notice's ledger for writing. n is already a copy that the fold owns.
func (s *State) deliveries(n *Notice) map[string]*Delivery {
	switch {
	case n.Deliveries == nil:
		n.Deliveries = map[string]*Delivery{}
	case s.shared != nil && !s.shared.notices[n.ID]:
		n.Deliveries = maps.Clone(n.Deliveries)
	}
	if s.shared != nil {
		if s.shared.notices == nil {
			s.shared.notices = map[string]bool{}
		}
		s.shared.notices[n.ID] = true
	}
	return n.Deliveries
}

func (s *State) action(id string) *Action {
	for _, a := range s.Actions {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func (s *State) notice(id string) *Notice {
	for _, n := range s.Notices {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// isOpened reports whether the incident's first own fact has been folded.
func (s *State) isOpened() bool { return s != nil && !s.Opened.IsZero() }

func (s *State) has(milestone string) bool { return s.Milestones[milestone] != nil }
