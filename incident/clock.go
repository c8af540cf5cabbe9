package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// clockAt is what the clocks of a duty come to for one recipient.
type clockAt struct {
	anchor               string
	started, target, due time.Time
	text                 string
	unknown              []string  // names a table's cell or a law depends on that are not known
	anchored, none       bool      // none: no clock counts here
	was                  time.Time // the anchor's own time, where a reopening takes its place
	cell                 policy.Cell
	law                  string
	source               string // the clause of a law
	ruledOut             string // why this clock does not count; "" when it may
	ending               string // what a reopening took back: the dismissal, or the closing
}

// subject is whose clock is asked for.
type subject struct {
	d         *policy.Duty
	recipient string
	applies   time.Time // when the duty first applied to it
	again     time.Time // the reopening that its clocks count from, where that comes after their anchors
}

// timer computes due times. It remembers what it computed, because thousands of recipients share
// one anchor and one length.
type timer struct {
	p     *policy.Program
	memo  map[sum]time.Time
	calls map[callKey]call
	laws  map[lawKey][]policy.LawClock

	lastKey callKey
	last    call
	trace   func(clockAt) // told of every clock that is looked at; nil: nobody asks
}

type sum struct {
	from int64
	l    calendar.Length
	back bool
	law  string // a law counts in hours of its own
}

func newTimer(p *policy.Program) *timer { return &timer{p: p} }

func (t *timer) add(from time.Time, l calendar.Length) time.Time {
	return t.count(from, l, false)
}

func (t *timer) zone() *time.Location {
	if t.p.Zone == nil {
		return time.UTC
	}
	return t.p.Zone
}

func (t *timer) count(from time.Time, l calendar.Length, back bool) time.Time {
	return t.countIn(sum{from.UnixNano(), l, back, ""}, from, t.zone(), t.p.Hours)
}

func (t *timer) countIn(k sum, from time.Time, zone *time.Location, h calendar.Hours) time.Time {
	if at, ok := t.memo[k]; ok {
		return at
	}
	var at time.Time
	if k.back {
		at = calendar.Sub(from, k.l, zone, h)
	} else {
		at = calendar.Add(from, k.l, zone, h)
	}
	at = at.UTC()
	if t.memo == nil {
		t.memo = map[sum]time.Time{}
	}
	t.memo[k] = at
	return at
}

// clocks runs a duty's clocks for one recipient: of those whose anchor has happened, the one with
// the earliest limit counts, then the one with the earliest target. A cell that says none, at a
// level that is proved, leaves no clock at all.
func (t *timer) clocks(s *State, sub subject, v *policy.View) clockAt {
	list := sub.d.Due
	if len(list) == 0 {
		list = openClock
	}
	var best clockAt
	var maybeNone []string
	candidates, ruledOut, waiting := 0, 0, ""
	out := ""
	for i := range list {
		c := &list[i]
		verdict := policy.Verdict{Value: policy.True}
		if c.When != nil {
			verdict = c.When.Eval(*v)
		}
		if verdict.Value == policy.False {
			candidates++
			ruledOut++
			if t.trace != nil {
				t.trace(clockAt{text: clockText(c, nil), cell: c.Cell, ruledOut: verdict.Why})
			}
			continue
		}
		if c.None {
			if t.trace != nil {
				t.trace(clockAt{text: "none", cell: c.Cell, unknown: verdict.Missing, none: verdict.Value == policy.True})
			}
			if verdict.Value == policy.True {
				return clockAt{none: true, text: "not due at this level" + inCell(c.Cell), cell: c.Cell}
			}
			maybeNone = append(maybeNone, verdict.Missing...)
			continue
		}
		for _, at := range t.clock(s, c, sub, v) {
			candidates++
			at.cell = c.Cell
			if verdict.Value == policy.Unknown {
				at.unknown = append(slices.Clip(at.unknown), verdict.Missing...)
			}
			if t.trace != nil {
				t.trace(at)
			}
			switch {
			case at.ruledOut != "":
				ruledOut++
				out = at.ruledOut
				continue
			case !at.anchored:
				if waiting == "" {
					waiting = at.text
				}
				continue
			}
			if earlier(at, best) {
				at, best = best, at
			}
			if at.anchored && (best.target.IsZero() || !at.target.IsZero() && at.target.Before(best.target)) {
				best.target = at.target
			}
		}
	}
	best.unknown = append(slices.Clip(best.unknown), maybeNone...)
	if !best.anchored {
		best.text = waiting
		best.none = candidates > 0 && ruledOut == candidates
		best.ruledOut = out
	}
	return best
}

// openClock is the clock of a duty that has none: elapsed time is shown.
var openClock = []policy.Clock{{Kind: "open"}}

// inCell names a cell in a reason; "" for no cell.
func inCell(c policy.Cell) string {
	if c.By == "" {
		return ""
	}
	return ", by the table: " + cellName(c)
}

func cellName(c policy.Cell) string {
	if c.By == "" {
		return ""
	}
	return c.By + " " + c.Level
}

// earlier reports whether a runs out before b.
func earlier(a, b clockAt) bool {
	if !b.anchored {
		return true
	}
	if !a.due.Equal(b.due) {
		return b.due.IsZero() || !a.due.IsZero() && a.due.Before(b.due)
	}
	if !a.target.Equal(b.target) {
		return !a.target.IsZero() && (b.target.IsZero() || a.target.Before(b.target))
	}
	return len(a.unknown) < len(b.unknown) // of two that run out together, the one that is certain
}

// clock is what one clock of the policy comes to: one clock, or one for each law that applies or
// may.
func (t *timer) clock(s *State, c *policy.Clock, sub subject, v *policy.View) []clockAt {
	names := t.names(c.Anchor)
	switch c.Kind {
	case "law":
		return t.byLaw(s, c, names, sub, v)
	case "contract":
		return []clockAt{t.byContract(s, c, names, sub)}
	}
	return []clockAt{t.counted(s, c, names, sub, c.Span, clockText(c, names))}
}

// names are the instants an anchor names, or the one that clocks of this policy start at.
func (t *timer) names(a policy.Anchor) []string {
	switch {
	case len(a.Names) > 0:
		return a.Names
	case t.p.Starts != "":
		return []string{t.p.Starts}
	}
	return detected
}

var detected = []string{"detected"}

// counted counts a span from, to or before an anchor by the policy's own rules.
func (t *timer) counted(s *State, c *policy.Clock, names []string, sub subject, span calendar.Span, text string) clockAt {
	out := clockAt{text: text}
	anchor := c.Anchor
	anchor.Names = names
	name, at, from := t.anchor(s, anchor, sub)
	if name != "" && sub.again.After(from) && (c.Kind != "before" && c.Kind != "by" || anchor.End != "") {
		out.was = from
		if from, at = sub.again, sub.again; anchor.End != "" {
			at = calendar.Period(anchor.End).EndIn(from, t.zone(), t.p.Hours)
		}
	}
	if c.Kind == "by" {
		switch {
		case name != "":
			out.due = at
		case anchor.End != "":
			return out // the period is that of an instant that has not happened
		}
		// It has to be done before the anchor happens, so it runs from the start.
		out.anchored, out.anchor, out.started = true, "opened", s.begin(sub)
		if anchor.End != "" {
			out.anchor, out.started = name, from
		}
		out.forgive(sub.again)
		return out
	}
	if name == "" {
		return out
	}
	out.anchored, out.anchor, out.started = true, name, from
	if c.Kind == "open" {
		return out
	}
	if c.Prompt && span.Target == nil && t.p.Promptly.N > 0 {
		promptly := t.p.Promptly
		span.Target = &promptly
	}
	back := c.Kind == "before"
	if back {
		// It counts back from its anchor, so that it runs since the duty applies.
		if begin := s.begin(sub); begin.Before(out.started) {
			out.started = begin
		}
	}
	if span.Target != nil {
		out.target = t.count(at, *span.Target, back)
	}
	if span.Limit != nil {
		out.due = t.count(at, *span.Limit, back)
	}
	out.forgive(sub.again)
	return out
}

// forgive lets a limit go that passed while the dismissal that met the duty stood: nobody could have
// kept it. What is owed again then presses from the reopening on, and is not missed.
func (c *clockAt) forgive(again time.Time) {
	if again.IsZero() || c.due.IsZero() || !c.due.Before(again) {
		return
	}
	c.text += ", an instant before the reopening"
	c.target, c.due = again, time.Time{}
}

// begin is when a duty began to apply to a recipient: what runs without an anchor of its own runs
// from there.
func (s *State) begin(sub subject) time.Time {
	if !sub.applies.IsZero() && s.Programme {
		return sub.applies
	}
	return s.Opened
}

func clockText(c *policy.Clock, names []string) string {
	if c.Text != "" {
		return c.Text
	}
	if names == nil {
		names = c.Anchor.Names
	}
	between := " or "
	if c.Anchor.All {
		between = " and "
	}
	return strings.TrimSpace(c.Kind + " " + strings.Join(names, between))
}

// floor is the instant before which an act does not meet the duty: the last of its floors. A floor
// whose anchor has not happened holds until it has; text then says which.
func (t *timer) floor(s *State, sub subject) (at time.Time, pending bool, text string) {
	for i := range sub.d.Floor {
		c := &sub.d.Floor[i]
		from, happened := t.floorAt(s, sub, c)
		if !happened {
			return time.Time{}, true, clockText(c, t.names(c.Anchor))
		}
		if from.After(at) {
			at, text = from, clockText(c, t.names(c.Anchor))
		}
	}
	return at, false, text
}

// floorAt is one instant before which a duty may not be done; false while its anchor has not happened.
func (t *timer) floorAt(s *State, sub subject, c *policy.Clock) (time.Time, bool) {
	anchor := c.Anchor
	anchor.Names = t.names(c.Anchor)
	name, from, _ := t.anchor(s, anchor, sub)
	if name == "" {
		return time.Time{}, false
	}
	span := c.Span.Limit
	if span == nil {
		span = c.Span.Target
	}
	if span != nil && c.Kind != "by" {
		from = t.count(from, *span, c.Kind == "before")
	}
	return from, true
}

// anchor resolves an anchor: the first of its names to happen, or with All the last once all have.
// at is the instant that counts, which with End is the end of the period that from lies in. An
// empty name says that it has not happened.
func (t *timer) anchor(s *State, a policy.Anchor, sub subject) (name string, at, from time.Time) {
	for _, n := range a.Names {
		got := instant(s, n, sub)
		if got.IsZero() {
			if a.All {
				return "", time.Time{}, time.Time{}
			}
			continue
		}
		if name == "" || got.Before(from) != a.All && !got.Equal(from) {
			name, from = n, got
		}
	}
	at = from
	if name != "" && a.End != "" {
		at = calendar.Period(a.End).EndIn(from, t.zone(), t.p.Hours)
	}
	return name, at, from
}

// riskAt is when a duty counts as at risk: past its target, or with less than a quarter of its
// time left. Zero: never.
func riskAt(d *DutyInstance) time.Time {
	at := d.Target
	if !d.Due.IsZero() && d.Due.After(d.Started) {
		quarter := d.Due.Add(-d.Due.Sub(d.Started) / 4)
		if at.IsZero() || quarter.Before(at) {
			at = quarter
		}
	}
	return at
}

// grain is the resolution of domain wake-ups. Databases keep microseconds; a wake-up rounded down
// would come before anything is to be decided, and again for ever.
const grain = time.Millisecond

func ceil(t time.Time) time.Time {
	if r := t.Truncate(grain); !r.Equal(t) {
		return r.Add(grain)
	}
	return t
}

// past is the first wake-up after a limit: a duty done at its limit is in time.
func past(limit time.Time) time.Time { return limit.Truncate(grain).Add(grain) }
