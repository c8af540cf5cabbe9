package calendar

import (
	"cmp"
	"slices"
	"time"
)

// dayMinutes is the Close of an interval that lasts until midnight.
const dayMinutes = 24 * 60

// Always is open at every instant.
func Always(zone *time.Location) Hours {
	h := Hours{Zone: zone}
	for day := range h.Week {
		h.Week[day] = []Interval{{0, dayMinutes}}
	}
	return h
}

// Never reports whether h has no opening hours at all, holidays apart.
func (h Hours) Never() bool {
	for _, day := range h.Week {
		for _, i := range day {
			if i.Close > i.Open {
				return false
			}
		}
	}
	return true
}

// Open reports whether h is open at t.
func (h Hours) Open(t time.Time) bool {
	h = h.in(nil)
	for _, p := range h.periods(dateOf(t, h.Zone)) {
		if !t.Before(p.open) && t.Before(p.close) {
			return true
		}
	}
	return false
}

// Between is the open time from a until b. It is zero where b is not after a, and counts no
// further than about a century.
func (h Hours) Between(a, b time.Time) time.Duration {
	h = h.in(nil)
	var sum time.Duration
	day := dateOf(a, h.Zone)
	for range reach {
		if wall(day, 0, h.Zone).After(b) {
			break
		}
		for _, p := range h.periods(day) {
			from, to := p.open, p.close
			if from.Before(a) {
				from = a
			}
			if to.After(b) {
				to = b
			}
			if to.After(from) {
				sum += to.Sub(from)
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return sum
}

// in gives h the zone to count in where it names none.
func (h Hours) in(zone *time.Location) Hours {
	if h.Zone == nil {
		h.Zone = zone
	}
	if h.Zone == nil {
		h.Zone = time.UTC
	}
	return h
}

// period is one opening as two instants; close is exclusive.
type period struct{ open, close time.Time }

// shut reports whether date is a holiday.
func (h Hours) shut(date time.Time) bool {
	if len(h.Holidays) == 0 && len(h.Regions) == 0 {
		return false
	}
	day := date.Format(time.DateOnly)
	if h.Holidays[day] {
		return true
	}
	for _, region := range h.Regions {
		if regions[region] != nil && holidaysOf(region, date.Year())[day] {
			return true
		}
	}
	return false
}

// periods are the openings of a local date, in order, merged where they touch.
func (h Hours) periods(date time.Time) []period {
	week := h.Week[date.Weekday()]
	if len(week) == 0 || h.shut(date) {
		return nil
	}
	var out []period
	for _, i := range slices.SortedFunc(slices.Values(week), func(a, b Interval) int { return cmp.Compare(a.Open, b.Open) }) {
		p := period{wall(date, time.Duration(i.Open)*time.Minute, h.Zone), wall(date, time.Duration(i.Close)*time.Minute, h.Zone)}
		switch {
		case !p.close.After(p.open):
		case len(out) > 0 && !p.open.After(out[len(out)-1].close):
			if p.close.After(out[len(out)-1].close) {
				out[len(out)-1].close = p.close
			}
		default:
			out = append(out, p)
		}
	}
	return out
}

// add counts a business length forward; ok is false where there is not enough open time in reach.
func (h Hours) add(from time.Time, l Length) (end time.Time, ok bool) {
	if h.Never() {
		return time.Time{}, false
	}
	day := dateOf(from, h.Zone)
	if l.Unit == Day {
		left := l.N
		for range reach {
			day = day.AddDate(0, 0, 1)
			if p := h.periods(day); len(p) > 0 {
				if left--; left == 0 {
					return p[len(p)-1].close, true
				}
			}
		}
		return time.Time{}, false
	}
	left := l.elapsed()
	for range reach {
		for _, p := range h.periods(day) {
			start := p.open
			if start.Before(from) {
				start = from
			}
			if have := p.close.Sub(start); have >= left {
				return start.Add(left), true
			} else if have > 0 {
				left -= have
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}

// sub counts a business length backward; it mirrors add.
func (h Hours) sub(from time.Time, l Length) (start time.Time, ok bool) {
	if h.Never() {
		return time.Time{}, false
	}
	day := dateOf(from, h.Zone)
	if l.Unit == Day {
		left := l.N
		for range reach {
			day = day.AddDate(0, 0, -1)
			if p := h.periods(day); len(p) > 0 {
				if left--; left == 0 {
					return p[0].open, true
				}
			}
		}
		return time.Time{}, false
	}
	left := l.elapsed()
	for range reach {
		for _, p := range slices.Backward(h.periods(day)) {
			end := p.close
			if end.After(from) {
				end = from
			}
			if have := end.Sub(p.open); have >= left {
				return end.Add(-left), true
			} else if have > 0 {
				left -= have
			}
		}
		day = day.AddDate(0, 0, -1)
	}
	return time.Time{}, false
}

// elapsed is the duration of a length of minutes or hours.
func (l Length) elapsed() time.Duration {
	if l.Unit == Minute {
		return time.Duration(l.N) * time.Minute
	}
	return time.Duration(l.N) * time.Hour
}

// dateOf is t's local date in zone, as midnight UTC, so that adding days to it never meets a gap.
func dateOf(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
