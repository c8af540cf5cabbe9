package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// Explained is one duty as it stands, for all recipients to whom it stands the same. Every instance
// of every duty is in exactly one: also those that are excluded, with the reason why not, and those
// that have not begun, with what they wait for.
type Explained struct {
	Duty       string    `json:"duty"`
	Do         string    `json:"do"`                   // the verb
	Who        string    `json:"who,omitempty"`        // role that owes it
	Recipients []string  `json:"recipients,omitempty"` // merchants, a party or an event, sorted; none: the incident itself, or nobody in particular yet
	Round      int       `json:"round,omitempty"`      // of a duty that recurs: which time, from 2; 0 is the first
	State      DutyState `json:"state"`
	Anchor     string    `json:"anchor,omitempty"`   // name of the instant it counts from
	Applies    time.Time `json:"applies,omitzero"`   // when it first applied
	Started    time.Time `json:"started,omitzero"`   // the anchor's time
	Target     time.Time `json:"target,omitzero"`    // what the policy aims for; no promise
	Due        time.Time `json:"due,omitzero"`       // the limit; zero: none
	Earliest   time.Time `json:"earliest,omitzero"`  // the earliest limit ever shown
	Floor      time.Time `json:"floor,omitzero"`     // an act before it does not meet it
	AtOnce     time.Time `json:"at_once,omitzero"`   // due at once, late by discovery: since when; Due is the limit that had passed
	Met        time.Time `json:"met,omitzero"`       // when it was met
	Again      time.Time `json:"again,omitzero"`     // the dismissal that met it was taken back here, and it counts from here
	Missed     time.Time `json:"missed,omitzero"`    // when its limit was first passed; stays for ever
	Unknown    []string  `json:"unknown,omitempty"`  // what it runs provisionally for: it is not due if one of these is ruled out
	Cell       string    `json:"cell,omitempty"`     // cell of a table the clock came from: "severity critical"
	Law        string    `json:"law,omitempty"`      // law whose clock runs
	Excluded   bool      `json:"excluded,omitempty"` // not due; Why says why not
	Why        string    `json:"why"`

	// Clocks are all clocks of the duty, for the first of the recipients, in the policy's order:
	// which one counts, and of every other why it does not.
	Clocks []ExplainedClock `json:"clocks,omitempty"`

	// Floors are the instants before which it may not be done, in the policy's order: it may once the last
	// of them has come.
	Floors []ExplainedFloor `json:"floors,omitempty"`
}

// ExplainedFloor is one "not before" of a duty.
type ExplainedFloor struct {
	Text   string    `json:"text"`           // "30d after closed"
	Anchor string    `json:"anchor"`         // the instants it counts from
	At     time.Time `json:"at,omitzero"`    // zero: its anchor has not happened, so it may not be done yet
	Last   bool      `json:"last,omitempty"` // the one that counts: it comes last, or nobody knows when
}

// ExplainedClock is one clock of a duty, or one law of a clock "as law".
type ExplainedClock struct {
	Text    string    `json:"text"` // as written, or as the law says
	State   string    `json:"state"`
	Cell    string    `json:"cell,omitempty"`
	Law     string    `json:"law,omitempty"`
	Source  string    `json:"source,omitempty"` // the clause of the law
	Anchor  string    `json:"anchor,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Target  time.Time `json:"target,omitzero"`
	Due     time.Time `json:"due,omitzero"`
	Unknown []string  `json:"unknown,omitempty"`
	Why     string    `json:"why,omitempty"` // of one that is ruled out
}

// The states of an ExplainedClock.
const (
	ClockCounts   = "counts"    // it runs out first
	ClockLater    = "later"     // it runs, and another runs out before it
	ClockWaiting  = "waiting"   // its anchor has not happened
	ClockRuledOut = "ruled_out" // it is for another level, or its law does not apply
	ClockNone     = "none"      // the table says that nothing is due at this level
)

// Explain says of every duty of a policy how it stands and why: what runs, until when, for whom, by
// which clock; what is provisional, and for which unknown; what waits, and for what; what is
// excluded, and why not. Duties come in the policy's order, rounds and then groups of recipients in
// order of urgency.
//
// It reads the state as its facts left it: give it one on which Tick was decided at the instant
// that is asked about. It is pure and changes nothing.
func Explain(p *policy.Program, s *State) []Explained {
	if !s.isOpened() {
		return nil
	}
	t := newTimer(p)
	v := viewAt(p, s, t, s.Updated)
	l := newLineup(s, len(p.Duties))
	for _, d := range s.Duties {
		l.gather(d)
	}
	var out []Explained
	for i := range p.Duties {
		d := &p.Duties[i]
		if !runsIn(s, d) {
			continue
		}
		all := l.duties[d.ID]
		delete(l.duties, d.ID)
		if all == nil {
			w := waiting(t, s, d, &v)
			all = []*group{{first: &w}}
		}
		for _, g := range order(all) {
			e := l.explain(g, d)
			e.Clocks = clocksOf(t, s, d, &v, g.first)
			e.Floors = floorsOf(t, s, d, g.first)
			out = append(out, e)
		}
	}
	// What another policy owed, before the incident was moved to this one.
	for _, id := range sortedKeys(l.duties) {
		for _, g := range order(l.duties[id]) {
			out = append(out, l.explain(g, &policy.Duty{ID: id}))
		}
	}
	return out
}

// group is the recipients of one duty to whom it stands the same.
type group struct {
	first  *DutyInstance
	ranks  []int32  // of recipients in scope: their places in lineup.affected
	strays []string // recipients out of scope
}

// lineup gathers instances into groups. A duty has few, however many recipients.
type lineup struct {
	affected []string         // merchants in scope, sorted
	rank     map[string]int32 // their places: recipients are sorted once, not once for each duty
	duties   map[string][]*group
	shared   map[shares]*group // where the instances of a standing went
	marked   []bool            // by rank; all false between two uses
}

// shares is what instances have in common that one fact brought to the same.
type shares struct {
	of     *Standing
	nobody bool
}

func newLineup(s *State, duties int) *lineup {
	l := &lineup{affected: Affected(s), duties: make(map[string][]*group, duties), shared: map[shares]*group{}}
	l.rank, l.marked = make(map[string]int32, len(l.affected)), make([]bool, len(l.affected))
	for i, m := range l.affected {
		l.rank[m] = int32(i)
	}
	return l
}

// gather puts an instance into the group that stands the same.
func (l *lineup) gather(d *DutyInstance) {
	key := shares{d.Standing, d.Recipient == ""}
	g := l.shared[key]
	if g == nil {
		all := l.duties[d.Duty]
		if i := slices.IndexFunc(all, func(g *group) bool { return alike(g.first, d) }); i >= 0 {
			g = all[i]
		} else {
			g = &group{first: d}
			l.duties[d.Duty] = append(all, g)
		}
		l.shared[key] = g
	}
	if at, ok := l.rank[d.Recipient]; ok {
		g.ranks = append(g.ranks, at)
	} else {
		g.strays = append(g.strays, d.Recipient)
	}
	if d.Recipient < g.first.Recipient {
		g.first = d
	}
}

// recipients lists those of a group in the order of the alphabet.
func (l *lineup) recipients(g *group) []string {
	if g.first.Recipient == "" {
		return nil
	}
	list := make([]string, 0, len(g.ranks)+len(g.strays))
	if len(g.ranks) > len(l.affected)/16 {
		// Most of them: going through all is quicker than sorting.
		for _, at := range g.ranks {
			l.marked[at] = true
		}
		for at, is := range l.marked {
			if is {
				list = append(list, l.affected[at])
			}
		}
		clear(l.marked)
	} else {
		slices.Sort(g.ranks)
		for _, at := range g.ranks {
			list = append(list, l.affected[at])
		}
	}
	if len(g.strays) > 0 {
		list = append(list, g.strays...)
		slices.Sort(list)
	}
	return list
}

func alike(a, b *DutyInstance) bool {
	return a.State == b.State && a.Round == b.Round && a.Due.Equal(b.Due) && a.Target.Equal(b.Target) && a.Why == b.Why &&
		a.Started.Equal(b.Started) && a.Met.Equal(b.Met) && a.Missed.Equal(b.Missed) && a.Anchor == b.Anchor &&
		a.Applies.Equal(b.Applies) && a.Earliest.Equal(b.Earliest) && a.Floor.Equal(b.Floor) && a.AtOnce.Equal(b.AtOnce) && a.Again.Equal(b.Again) &&
		a.Cell == b.Cell && a.Law == b.Law && a.From == b.From && (a.Recipient == "") == (b.Recipient == "") && slices.Equal(a.Unknown, b.Unknown)
}

// order puts groups that are owed first, and the most urgent of them at the top.
func order(list []*group) []*group {
	slices.SortFunc(list, func(a, b *group) int {
		switch x, y := a.first, b.first; {
		case x.owing() != y.owing() && x.owing():
			return -1
		case x.owing() != y.owing():
			return 1
		case urgency(x).Compare(urgency(y)) != 0:
			return urgency(x).Compare(urgency(y))
		}
		return strings.Compare(a.first.Key, b.first.Key)
	})
	return list
}

func (l *lineup) explain(g *group, of *policy.Duty) Explained {
	d := g.first
	return Explained{
		Duty: d.Duty, Do: string(of.Do), Who: of.Who, Recipients: l.recipients(g), Round: d.Round, State: d.State, Anchor: d.Anchor, Applies: d.Applies, Started: d.Started,
		Target: d.Target, Due: d.Due, Earliest: d.Earliest, Floor: d.Floor, AtOnce: d.AtOnce, Met: d.Met, Again: d.Again, Missed: d.Missed,
		Unknown: d.Unknown, Cell: d.Cell, Law: d.Law, Excluded: d.State == DutyNot, Why: d.Why,
	}
}

// floorsOf says of each instant before which a duty may not be done when it is, for one recipient.
func floorsOf(t *timer, s *State, d *policy.Duty, of *DutyInstance) []ExplainedFloor {
	if len(d.Floor) == 0 {
		return nil
	}
	sub := subject{d: d, recipient: of.Recipient, applies: of.Applies}
	list := make([]ExplainedFloor, 0, len(d.Floor))
	last := -1
	for i := range d.Floor {
		at, happened := t.floorAt(s, sub, &d.Floor[i])
		f := ExplainedFloor{Text: clockText(&d.Floor[i], t.names(d.Floor[i].Anchor)), Anchor: strings.Join(t.names(d.Floor[i].Anchor), " or "), At: at}
		if d.Floor[i].Anchor.All {
			f.Anchor = strings.Join(t.names(d.Floor[i].Anchor), " and ")
		}
		if !happened {
			f.Last = true
		} else if last < 0 || at.After(list[last].At) {
			last = i
		}
		list = append(list, f)
	}
	if last >= 0 && !slices.ContainsFunc(list, func(f ExplainedFloor) bool { return f.Last }) {
		list[last].Last = true
	}
	return list
}

// clocksOf looks at every clock of a duty for one recipient, and says which one counts.
func clocksOf(t *timer, s *State, d *policy.Duty, v *policy.View, of *DutyInstance) []ExplainedClock {
	if d.Every != nil && (of.Round > 1 || len(d.Due) == 0) {
		return nil // the round before says when the next is due
	}
	var seen []clockAt
	t.trace = func(c clockAt) { seen = append(seen, c) }
	best := t.clocks(s, subject{d: d, recipient: of.Recipient, applies: of.Applies, again: of.Again}, v)
	t.trace = nil
	list := make([]ExplainedClock, 0, len(seen))
	chosen := false
	for _, c := range seen {
		e := ExplainedClock{
			Text: c.text, Cell: cellName(c.cell), Law: c.law, Source: c.source, Anchor: c.anchor,
			Started: c.started, Target: c.target, Due: c.due, Unknown: c.unknown, Why: c.ruledOut,
		}
		switch {
		case c.text == "none" && !c.anchored && c.ruledOut == "":
			e.State = ClockNone
		case c.ruledOut != "":
			e.State = ClockRuledOut
		case !c.anchored:
			e.State = ClockWaiting
		case !chosen && c.due.Equal(best.due) && c.started.Equal(best.started) && c.law == best.law && c.cell == best.cell && c.text == best.text:
			e.State, chosen = ClockCounts, true
		default:
			e.State = ClockLater
		}
		list = append(list, e)
	}
	return list
}
