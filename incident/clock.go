package incident

import (
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// clockAt is what the clocks of a duty come to for one recipient.
type clockAt struct {
	anchor                string
	started, target, due  time.Time
	text                  string
	unknown               []string // names a table's cell depends on that are not known
	anchored, none, byNow bool     // none: no clock counts at this level; byNow: it must be done before its anchor
}

// timer computes due times. It remembers what it computed, because thousands of recipients share
// one anchor and one length.
type timer struct {
	p     *policy.Program
	memo  map[sum]time.Time
	calls map[callKey]call

	lastKey callKey
	last    call
}

type sum struct {
	from int64
	l    calendar.Length
	back bool
}

func newTimer(p *policy.Program) *timer { return &timer{p: p} }

func (t *timer) add(from time.Time, l calendar.Length) time.Time {
	return t.count(from, l, false)
}

func (t *timer) count(from time.Time, l calendar.Length, back bool) time.Time {
	k := sum{from.UnixNano(), l, back}
	if at, ok := t.memo[k]; ok {
		return at
	}
	zone := t.p.Zone
	if zone == nil {
		zone = time.UTC
	}
	var at time.Time
	if back {
		at = calendar.Sub(from, l, zone, t.p.Hours)
	} else {
		at = calendar.Add(from, l, zone, t.p.Hours)
	}
	at = at.UTC()
	if t.memo == nil {
		t.memo = map[sum]time.Time{}
	}
	t.memo[k] = at
	return at
}

// clocks runs a duty's clocks for one recipient: of those whose anchor has happened, the one with
// the earliest limit counts, then the one with the earliest target.
func (t *timer) clocks(s *State, d *policy.Duty, v *policy.View, recipient string) clockAt {
	list := d.Due
	if len(list) == 0 {
		list = []policy.Clock{{Kind: "open"}}
	}
	var best clockAt
	ruledOut, unanchored := 0, ""
	for i := range list {
		c := &list[i]
		var unknown []string
		if c.When != nil {
			verdict := c.When.Eval(*v)
			if verdict.Value == policy.False {
				ruledOut++
				continue
			}
			if verdict.Value == policy.Unknown {
				unknown = verdict.Missing
			}
		}
		at := t.clock(s, c, recipient)
		at.unknown = unknown
		if !at.anchored {
			unanchored = at.text
			continue
		}
		if earlier(at, best) {
			at, best = best, at
		}
		if best.target.IsZero() || !at.target.IsZero() && at.target.Before(best.target) {
			best.target = at.target
		}
	}
	if !best.anchored {
		best.text = unanchored
		best.none = ruledOut == len(list)
	}
	return best
}

// earlier reports whether a runs out before b.
func earlier(a, b clockAt) bool {
	if !b.anchored {
		return true
	}
	if !a.due.Equal(b.due) {
		return b.due.IsZero() || !a.due.IsZero() && a.due.Before(b.due)
	}
	return !a.target.IsZero() && (b.target.IsZero() || a.target.Before(b.target))
}

func (t *timer) clock(s *State, c *policy.Clock, recipient string) clockAt {
	names := c.Anchor.Names
	if len(names) == 0 {
		names = []string{t.p.Starts}
		if t.p.Starts == "" {
			names = []string{"detected"}
		}
	}
	out := clockAt{text: clockText(c, names)}
	if c.Kind == "by" {
		// It has to be done before the anchor happens, so it runs from the start.
		out.anchored, out.anchor, out.started, out.byNow = true, "opened", s.Opened, true
		if name, at := anchor(s, names, c.Anchor.All, recipient); name != "" {
			out.due = at
		}
		return out
	}
	name, at := anchor(s, names, c.Anchor.All, recipient)
	if name == "" {
		return out
	}
	out.anchored, out.anchor, out.started = true, name, at
	span := c.Span
	promptly := t.p.Promptly
	switch c.Kind {
	case "open":
		return out
	case "law", "contract":
		// No clause is known to the engine yet: promptly, and never dropped.
		if span.Open() && promptly.N > 0 {
			span.Target = &promptly
		}
	}
	if c.Prompt && span.Target == nil && promptly.N > 0 {
		span.Target = &promptly
	}
	back := c.Kind == "before"
	if span.Target != nil {
		out.target = t.count(at, *span.Target, back)
	}
	if span.Limit != nil {
		out.due = t.count(at, *span.Limit, back)
	}
	return out
}

func clockText(c *policy.Clock, names []string) string {
	if c.Text != "" {
		return c.Text
	}
	between := " or "
	if c.Anchor.All {
		between = " and "
	}
	return strings.TrimSpace(c.Kind + " " + strings.Join(names, between))
}

// anchor resolves the names of an anchor: the first to happen, or with all the last once all have.
// An empty name says that it has not happened.
func anchor(s *State, names []string, all bool, recipient string) (string, time.Time) {
	var name string
	var at time.Time
	for _, n := range names {
		got := instant(s, n, recipient)
		if got.IsZero() {
			if all {
				return "", time.Time{}
			}
			continue
		}
		if name == "" || got.Before(at) != all && !got.Equal(at) {
			name, at = n, got
		}
	}
	return name, at
}

// instant is when something named in a policy happened; zero: it has not. A duty's instant is that
// of the same recipient where there is one, else that of the duty as a whole.
func instant(s *State, name, recipient string) time.Time {
	duty, event, ok := strings.Cut(name, ".")
	if !ok {
		if name == "opened" {
			return s.Opened
		}
		if m := s.Milestones[name]; m != nil {
			return m.At
		}
		return time.Time{}
	}
	if recipient != "" {
		if d := s.Duties[dutyKey(duty, recipient, 0)]; d != nil {
			return d.instant(event)
		}
	}
	if t := s.Tally[duty]; t != nil {
		return t.instant(event)
	}
	return time.Time{}
}

func (d *DutyInstance) instant(event string) time.Time {
	switch event {
	case "started", "applies":
		if d.State != DutyNot {
			return d.Started
		}
	case "met":
		if d.met() {
			return d.Met
		}
	case "missed", "late":
		return d.Missed
	}
	return time.Time{}
}

// perRecipient reports whether the clocks of a duty may differ between recipients: they do when
// one is anchored on another duty.
func perRecipient(d *policy.Duty) bool {
	for _, c := range d.Due {
		for _, n := range c.Anchor.Names {
			if strings.Contains(n, ".") {
				return true
			}
		}
	}
	return false
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

// call is one page that an escalation calls for: its id, and when. A zero instant is never.
type call struct {
	id string
	at time.Time
}

type callKey struct {
	duty string
	i    int
	from int64
}

// page is the call of a duty's i-th escalation. It counts from the limit, or from the target of a
// duty that has no limit. Instances with the same limit share one call: nobody is paged once per
// merchant.
func (t *timer) page(d *DutyInstance, i int, e policy.Escalation) call {
	from := d.Due
	if from.IsZero() {
		from = d.Target
	}
	if from.IsZero() {
		return call{}
	}
	k := callKey{d.Duty, i, from.UnixNano()}
	if k == t.lastKey {
		return t.last
	}
	if c, ok := t.calls[k]; ok {
		t.lastKey, t.last = k, c
		return c
	}
	c := call{id: fmt.Sprintf("%s/%d/%s/%s", d.Duty, i+1, e.Role, from.UTC().Format("20060102T150405Z"))}
	if e.After.N < 0 {
		l := e.After
		l.N = -l.N
		c.at = t.count(from, l, true)
	} else {
		c.at = t.add(from, e.After)
	}
	if t.calls == nil {
		t.calls = map[callKey]call{}
	}
	t.calls[k] = c
	t.lastKey, t.last = k, c
	return c
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
