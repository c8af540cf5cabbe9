package incident

import (
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// round finds the newest instance of a recipient: a duty with a cadence begins again each time it
// was done, and one of a calendar period also when the period is over without it. prev is then the
// round before, and cur is nil while the new one has not begun.
func (r *ruling) round(recipient string) (n int, prev, cur *DutyInstance) {
	cur = r.s.Duties[dutyKey(r.d.ID, recipient, 0)]
	if r.d.Every == nil {
		return 1, nil, cur
	}
	n = 1
	for {
		next := r.s.Duties[dutyKey(r.d.ID, recipient, n+1)]
		if next == nil {
			break
		}
		n, prev, cur = n+1, cur, next
	}
	if cur != nil && r.s.Status == StatusOpen && r.over(cur) {
		return n + 1, cur, nil
	}
	return n, prev, cur
}

// over reports whether a round is behind us, so that the next begins.
func (r *ruling) over(cur *DutyInstance) bool {
	periodic := r.d.Every.Period != ""
	switch {
	case cur.met():
		return !r.takenBack(cur)
	case cur.State == DutyWaived:
		return periodic || r.s.Programme // one time was let go of, and not the habit
	case periodic && cur.owing():
		return !cur.Due.IsZero() && r.w.now.After(cur.Due)
	}
	return false
}

// judgeEarlier looks at rounds of past periods that are still owed: what was missed stays owed, and
// one act meets it together with the one of this period.
func (r *ruling) judgeEarlier(j *judgement, recipient string, merchant bool, round int) {
	var prev *DutyInstance
	for n := 1; n < round; n++ {
		one := r.s.Duties[dutyKey(r.d.ID, recipient, n)]
		if one == nil {
			return
		}
		if one.owing() {
			r.judgeRound(j, recipient, merchant, n, prev, one)
		}
		prev = one
	}
}

// every is how often the duty recurs now: the cell of the level, or its own length.
type every struct {
	span    calendar.Span
	none    bool
	unknown []string
	cell    policy.Cell
}

// cadence picks the cell that counts. While no level is known every cell may: the one that comes
// first runs, provisionally.
func (r *ruling) cadence(from time.Time) every {
	e := every{span: r.d.Every.Span}
	maybe := []every{}
	for i := range r.d.Every.Cells {
		c := &r.d.Every.Cells[i]
		v := policy.Verdict{Value: policy.True}
		if c.When != nil {
			v = c.When.Eval(*r.v)
		}
		switch v.Value {
		case policy.True:
			return every{span: c.Span, none: c.None, cell: c.Cell}
		case policy.Unknown:
			maybe = append(maybe, every{span: c.Span, none: c.None, cell: c.Cell, unknown: v.Missing})
		}
	}
	var unknown []string
	for _, m := range maybe {
		unknown = append(unknown, m.unknown...)
		if !m.none && r.ends(from, m.span).Before(r.ends(from, e.span)) {
			e = m
		}
	}
	slices.Sort(unknown)
	e.unknown = slices.Compact(unknown)
	return e
}

// ends is when a span runs out, for comparing spans.
func (r *ruling) ends(from time.Time, s calendar.Span) time.Time {
	switch {
	case s.Limit != nil:
		return r.w.timer.add(from, *s.Limit)
	case s.Target != nil:
		return r.w.timer.add(from, *s.Target)
	}
	return time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC)
}

// recurs is the clock of a further round, or of the first of a duty that has nothing but a cadence.
func (r *ruling) recurs(prev *DutyInstance, sub subject) clockAt {
	if r.d.Every.Period != "" {
		return r.inPeriod(prev, sub)
	}
	from, c := sub.applies, clockAt{anchor: "applies", text: "since it applies"}
	if prev != nil {
		from, c.anchor = prev.Met, r.d.ID+".met"
		if !prev.met() {
			from, c.anchor = prev.Waived, r.d.ID+".waived"
		}
		c.text = "after the last"
	}
	if sub.again.After(from) {
		c.was, from = from, sub.again
	}
	e := r.cadence(from)
	if e.none {
		return clockAt{none: true, text: "not due at this level" + inCell(e.cell), cell: e.cell}
	}
	c.text = "every " + e.span.String() + " " + c.text
	c.started, c.anchored, c.unknown, c.cell = from, true, e.unknown, e.cell
	if e.span.Target != nil {
		c.target = r.w.timer.add(from, *e.span.Target)
	}
	if e.span.Limit != nil {
		c.due = r.w.timer.add(from, *e.span.Limit)
	}
	return c
}

// inPeriod is the clock of one calendar period: from its first instant, or from when the duty
// began to apply in it, to its last.
func (r *ruling) inPeriod(prev *DutyInstance, sub subject) clockAt {
	if e := r.cadence(sub.applies); e.none {
		return clockAt{none: true, text: "not due at this level" + inCell(e.cell), cell: e.cell}
	}
	period, zone := calendar.Period(r.d.Every.Period), r.w.timer.zone()
	c := clockAt{anchor: "applies", started: sub.applies, anchored: true, text: "once every " + r.d.Every.Period}
	if prev != nil {
		in := prev.Started
		if prev.Round <= 1 && len(r.d.Due) > 0 {
			in = laterOf(prev.Met, prev.Due) // the first time had a clock of its own
		}
		c.anchor, c.started = r.d.Every.Period, period.Next(in, zone)
	}
	c.due = period.End(c.started, zone)
	return c
}
