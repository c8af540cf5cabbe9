package incident

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Owing is a duty that is still to be done for N recipients for whom it stands the same. Of is the one of
// them whose key is first.
type Owing struct {
	Of *DutyInstance
	N  int
}

// Owing lists what is still owed, in the order of duties and keys. What time does to a duty it does to
// everybody for whom the duty stands the same, so that an incident of fifty thousand merchants is looked at
// once and not with every command: a state that Apply made remembers it, and states that have the map of
// duties in common have the list in common.
func (s *State) Owing() []Owing {
	if s.listed {
		return s.owing
	}
	return owingIn(s.Duties)
}

// list has a state remember what it owes, before anybody else can see it.
func (s *State) list() {
	if !s.listed {
		s.owing, s.listed = owingIn(s.Duties), true
	}
}

func owingIn(duties map[string]*DutyInstance) []Owing {
	var list []Owing
	var last *Standing // most stand as the one before
	at := 0
	places := map[*Standing]int{}
	for _, d := range duties {
		if !d.owing() {
			continue
		}
		if d.Standing != last {
			i, ok := places[d.Standing]
			if !ok {
				i = len(list)
				places[d.Standing] = i
				list = append(list, Owing{Of: d})
			}
			last, at = d.Standing, i
		}
		o := &list[at]
		if o.N++; d.Key < o.Of.Key {
			o.Of = d
		}
	}
	slices.SortFunc(list, func(a, b Owing) int {
		return cmp.Or(cmp.Compare(a.Of.Duty, b.Of.Duty), cmp.Compare(a.Of.Key, b.Of.Key))
	})
	return list
}

// writableDuties returns the duties for writing.
func (s *State) writableDuties() map[string]*DutyInstance {
	s.owing, s.listed = nil, false
	return writable(s, inDuties, &s.Duties)
}

// UnmarshalJSON reads a snapshot. Recipients for whom a duty stands the same share that again, as the facts
// have them do.
func (s *State) UnmarshalJSON(raw []byte) error {
	type plain State
	if err := json.Unmarshal(raw, (*plain)(s)); err != nil {
		return err
	}
	shared := map[string]*Standing{}
	for key, d := range s.Duties {
		if d == nil || d.Standing == nil {
			return fmt.Errorf("incident: snapshot of %s: the duty %q has no standing", s.ID, key)
		}
		text, err := json.Marshal(d.Standing)
		if err != nil {
			return err
		}
		if was := shared[string(text)]; was != nil {
			d.Standing = was
			continue
		}
		shared[string(text)] = d.Standing
	}
	s.listed = false
	s.list()
	return nil
}
