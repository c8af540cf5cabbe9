package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// body is the instance as a fact's body, in another state.
func (d *DutyInstance) body(to DutyState) DutyBody {
	return DutyBody{
		Duty: d.Duty, Recipient: d.Recipient, Round: d.Round, State: to, Anchor: d.Anchor,
		Started: d.Started, Target: d.Target, Due: d.Due, Unknown: d.Unknown, Floor: d.Floor, Cell: d.Cell, Law: d.Law, Again: d.Again, From: d.From, Carried: d.Carried,
	}
}

// moved reports whether the clocks now come to something else than the instance shows.
func (d *DutyInstance) moved(b DutyBody) bool {
	if !d.Started.Equal(b.Started) || !d.Target.Equal(b.Target) || !d.Due.Equal(b.Due) {
		return true
	}
	if !d.met() && !d.Floor.Equal(b.Floor) {
		return true
	}
	return !d.met() && !slices.Equal(d.Unknown, b.Unknown)
}

func (d *DutyInstance) moveCause(b DutyBody) string {
	switch {
	case !d.Started.Equal(b.Started):
		return "anchor_moved"
	case !d.Target.Equal(b.Target) || !d.Due.Equal(b.Due):
		return "span_changed"
	case !d.Floor.Equal(b.Floor):
		return "floor_moved"
	case len(b.Unknown) == 0:
		return "condition_proved"
	}
	return "condition_unknown"
}

// metState is met only at or before the limit and without an earlier miss.
func (d *DutyInstance) metState(at, due time.Time) DutyState {
	if !d.Missed.IsZero() || !due.IsZero() && at.After(due) {
		return DutyMetLate
	}
	return DutyMet
}

// metBody keeps the clock that the instance shows: being met does not move it.
func (d *DutyInstance) metBody(b DutyBody, at time.Time, proof Proof, trigger string) DutyBody {
	m := d.body(d.metState(at, d.Due))
	m.Recipient, m.Unknown = b.Recipient, nil
	m.At, m.Proof, m.Trigger = at, &proof, trigger
	return m
}

// triggerOf says whether somebody's act or the system's met a duty.
func triggerOf(who Principal) string {
	if strings.HasPrefix(string(who), "person:") {
		return "person"
	}
	return "system"
}

// containedBy says who is behind the containment that the engine saw proven.
func (s *State) containedBy() string {
	for _, a := range s.Actions {
		if a.State == ActionProven {
			return triggerOf(a.PlannedBy)
		}
	}
	return "system"
}

func unknowns(v policy.Verdict, clk clockAt) []string {
	var names []string
	if v.Value == policy.Unknown {
		names = append(names, v.Missing...)
		if len(names) == 0 {
			names = append(names, "condition")
		}
	}
	names = append(names, clk.unknown...)
	slices.Sort(names)
	return slices.Compact(names)
}

// why puts a clock in words: what was promised, why it applies, and what is not sure about it.
func why(clk clockAt, v policy.Verdict, b DutyBody) string {
	var out strings.Builder
	out.WriteString(clk.text)
	out.WriteString(inCell(clk.cell))
	if v.Value == policy.True && v.Why != "" && v.Why != "no condition" {
		fmt.Fprintf(&out, ", because %s", v.Why)
	}
	if len(b.Unknown) > 0 {
		fmt.Fprintf(&out, "; runs unless this is ruled out: %s", strings.Join(b.Unknown, ", "))
	}
	switch again := b.Again.UTC().Format(time.RFC3339); {
	case !clk.was.IsZero():
		fmt.Fprintf(&out, "; counted from the reopening on %s and not from %s, because the %s that met it was taken back",
			again, clk.was.UTC().Format(time.RFC3339), clk.ending)
	case !b.Again.IsZero():
		fmt.Fprintf(&out, "; owed again since the reopening on %s, because the %s that met it was taken back", again, clk.ending)
	}
	if !b.AtOnce.IsZero() {
		fmt.Fprintf(&out, "; due at once, late by discovery: the limit of %s had passed when it first applied, %s",
			b.Due.UTC().Format(time.RFC3339), b.AtOnce.UTC().Format(time.RFC3339))
	}
	return out.String()
}

// movedPast says that a limit moved to an instant that lay in the past already, and what moved it:
// without it a clock would seem to have been missed while it still had time. "" where it did not.
func (r *ruling) movedPast(cur *DutyInstance, b DutyBody) string {
	now := r.w.now
	if b.Due.IsZero() || !now.After(b.Due) || b.Due.Equal(cur.Due) || !cur.Due.IsZero() && now.After(cur.Due) {
		return ""
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	from, when := "", ""
	if !cur.Due.IsZero() {
		from = " instead of " + stamp(cur.Due)
	}
	by, level, _ := strings.Cut(b.Cell, " ")
	switch {
	case !cur.Started.Equal(b.Started):
		when = ", when its start moved from " + stamp(cur.Started) + " to " + stamp(b.Started)
	case level != "" && b.Cell != cur.Cell && by == "severity" && r.raisedTo(level, cur.Cell):
		when = ", when the severity was raised to " + level
	case level != "" && b.Cell != cur.Cell:
		when = ", when " + by + " became " + level
	}
	return "; the limit became " + stamp(b.Due) + from + " on " + stamp(now) + when + "; it had passed by then"
}

// raisedTo reports whether a level of severity is worse than any at which the clock before may have
// run: the one of its cell or, of a clock that no cell set, those that the table does not name.
func (r *ruling) raisedTo(level, before string) bool {
	was, named := strings.CutPrefix(before, "severity ")
	for i, l := range r.w.p.Severities {
		may := l.ID == was
		if !named {
			may = !slices.ContainsFunc(r.d.Due, func(c policy.Clock) bool { return c.Cell.By == "severity" && c.Cell.Level == l.ID })
		}
		if may && i <= r.w.level(level) {
			return false
		}
	}
	return true
}

func whyNot(clk clockAt, v policy.Verdict) string {
	switch {
	case v.Value == policy.False:
		return "not due because " + v.Why
	case clk.ruledOut != "" && clk.law == "":
		return "not due: " + clk.ruledOut
	case clk.none && clk.text != "":
		return clk.text
	}
	return "not due: the policy sets no clock for this at this level"
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pageDue is one page that an escalation calls for, and the instances it is about.
type pageDue struct {
	role      string
	d         *DutyInstance
	at        time.Time
	instances []string
	merchants bool
}

// escalate collects the pages an instance calls for now. Only what is proved pages people: a
// provisional clock must not become noise.
func (w *work) escalate(s *State, d *DutyInstance, pages map[string]*pageDue) {
	of := w.duty(d.Duty)
	if of == nil {
		return
	}
	for i, e := range of.Late {
		c := w.timer.page(d, i, e)
		if c.at.IsZero() || w.now.Before(c.at) || s.Pages[c.id] != nil || slices.Contains(d.Escalated, c.id) {
			continue
		}
		g := pages[c.id]
		if g == nil {
			g = &pageDue{role: e.Role, d: d, at: c.at, merchants: merchantsOf(w.p, s, of)}
			pages[c.id] = g
		}
		g.instances = append(g.instances, d.Recipient)
	}
}

func (w *work) owePages(pages map[string]*pageDue) {
	ids := make([]string, 0, len(pages))
	for id := range pages {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		g := pages[id]
		b := PageBody{Page: id, State: PageOwed, Duty: g.d.Duty, Role: g.role, Due: g.d.Due, Round: g.d.Round, N: len(g.instances)}
		var parts []Part
		if g.merchants {
			slices.Sort(g.instances)
			for _, m := range g.instances {
				if m != "" {
					parts = append(parts, Part{Merchant: m, Body: emptyBody})
				}
			}
		} else {
			b.Party = g.d.Recipient
		}
		w.tick(KindPageOwed, g.at, b, parts...)
	}
}
