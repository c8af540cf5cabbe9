package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// Move is what a command changes about the clocks of a duty, for all recipients to whom it does the
// same. A state of "" means that the duty has not begun there.
type Move struct {
	Duty      string    `json:"duty"`
	N         int       `json:"n"` // instances
	From      DutyState `json:"from,omitempty"`
	To        DutyState `json:"to,omitempty"`
	DueBefore time.Time `json:"due_before,omitzero"`
	DueAfter  time.Time `json:"due_after,omitzero"`
	Carried   string    `json:"carried,omitempty"` // the incident that the clock comes from, when it was merged in
}

// Moves says what became of the clocks between two states of an incident, in the policy's order.
// It is how a command's plan is shown before the command is given: the same decision, not recorded.
func Moves(p *policy.Program, before, after *State) []Move {
	rank := make(map[string]int, len(p.Duties))
	for i := range p.Duties {
		rank[p.Duties[i].ID] = i + 1
	}
	var list []Move
	for _, key := range sortedKeys(after.Duties) {
		is := after.Duties[key]
		m := Move{Duty: is.Duty, To: is.State, DueAfter: is.Due, Carried: is.From}
		if was := before.Duties[key]; was != nil {
			m.From, m.DueBefore = was.State, was.Due
			if was.Standing == is.Standing {
				continue
			}
		}
		if m.From == m.To && m.DueBefore.Equal(m.DueAfter) || m.From == "" && !is.owing() {
			continue
		}
		i := slices.IndexFunc(list, func(o Move) bool {
			return o.Duty == m.Duty && o.Carried == m.Carried && o.From == m.From && o.To == m.To && o.DueBefore.Equal(m.DueBefore) && o.DueAfter.Equal(m.DueAfter)
		})
		if i < 0 {
			i = len(list)
			list = append(list, m)
		}
		list[i].N++
	}
	slices.SortStableFunc(list, func(a, b Move) int { return rank[a.Duty] - rank[b.Duty] })
	return list
}

// Says puts a move in one sentence, with its times in a zone.
func (m Move) Says(zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	at := func(t time.Time) string { return t.In(zone).Format("Mon 2 Jan 2006 15:04 MST") }
	name := strings.ReplaceAll(m.Duty, "_", " ")
	if m.N > 1 {
		name += fmt.Sprintf(" (%d recipients)", m.N)
	}
	state := func(s DutyState) string { return strings.ReplaceAll(string(s), "_", " ") }
	switch {
	case m.Carried != "" && m.From == "" && m.DueAfter.IsZero():
		return "The clock of " + name + " is carried from " + m.Carried + ", without a limit"
	case m.Carried != "" && m.From == "":
		return "The clock of " + name + " is carried from " + m.Carried + ", due " + at(m.DueAfter)
	case m.From == "" && m.DueAfter.IsZero():
		return "The clock of " + name + " begins, without a limit"
	case m.From == "":
		return "The clock of " + name + " begins, due " + at(m.DueAfter)
	case !m.DueBefore.IsZero() && !m.DueAfter.IsZero() && !m.DueBefore.Equal(m.DueAfter):
		s := fmt.Sprintf("The deadline of %s moves from %s to %s", name, at(m.DueBefore), at(m.DueAfter))
		if m.From != m.To {
			s += "; it is " + state(m.To) + " then"
		}
		return s
	}
	return fmt.Sprintf("%s: %s becomes %s", name, state(m.From), state(m.To))
}
