package calendar

import "time"

// reach bounds the search for open time, in days: about a century. A place that is open one
// minute a week never needs more for the lengths a policy may write.
const reach = 40_000

// Add returns the instant at which a length that starts at from runs out, in UTC.
//
// Minutes and hours are elapsed time. Days, weeks, months and years move the local date in zone
// and keep the wall clock; where a change of daylight saving time leaves no such wall clock it is
// the first instant after the gap, where it comes twice it is the first of the two, and where the
// month has no such day it is the month's last. Business hours and minutes count the time in
// which h is open; n business days end at the close of the n-th working day after from's local
// date. Business time is counted in h.Zone, or in zone where h names none.
//
// A place that is never open has no business time: the length is then counted as elapsed time
// (hours) or calendar days (days), which is earlier than any opening hours would make it, so that
// a clock is never lost. A negative length is subtracted. A nil zone is UTC.
func Add(from time.Time, l Length, zone *time.Location, h Hours) time.Time {
	if l.N < 0 {
		l.N = -l.N
		return Sub(from, l, zone, h)
	}
	if l.N == 0 {
		return from.UTC()
	}
	if l.Business {
		if t, ok := h.in(zone).add(from, l); ok {
			return t.UTC()
		}
	}
	return move(from, l, 1, zone)
}

// Sub returns the instant a length before from, in UTC. It mirrors Add: the same calendar rules,
// and business hours are counted back from from. n business days before from begin at the opening
// of the n-th working day before from's local date, so that the whole of those days is left.
func Sub(from time.Time, l Length, zone *time.Location, h Hours) time.Time {
	if l.N < 0 {
		l.N = -l.N
		return Add(from, l, zone, h)
	}
	if l.N == 0 {
		return from.UTC()
	}
	if l.Business {
		if t, ok := h.in(zone).sub(from, l); ok {
			return t.UTC()
		}
	}
	return move(from, l, -1, zone)
}

// move applies a length that is not business time; sign is 1 or -1.
func move(from time.Time, l Length, sign int, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	n := sign * l.N
	switch l.Unit {
	case Minute:
		return from.Add(time.Duration(n) * time.Minute).UTC()
	case Hour:
		return from.Add(time.Duration(n) * time.Hour).UTC()
	case Week:
		return moveDate(from.In(zone), 0, 7*n)
	case Month:
		return moveDate(from.In(zone), n, 0)
	case Year:
		return moveDate(from.In(zone), 12*n, 0)
	default: // Day
		return moveDate(from.In(zone), 0, n)
	}
}

// moveDate moves t's local date by months and then days, and keeps its wall clock.
func moveDate(t time.Time, months, days int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).AddDate(0, months, 0)
	if months != 0 {
		d = min(d, first.AddDate(0, 1, -1).Day())
	}
	date := first.AddDate(0, 0, d-1+days)
	sinceMidnight := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
		time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	return wall(date, sinceMidnight, t.Location()).UTC()
}

// wall is the instant at which the clock on the wall in zone shows date plus sinceMidnight. In an
// overlap it is the first such instant, in a gap the first instant after the gap.
func wall(date time.Time, sinceMidnight time.Duration, zone *time.Location) time.Time {
	shown := time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, time.UTC).Add(sinceMidnight)
	// Every offset that is in force within a day of the wall clock is a candidate. No zone changes
	// its offset twice within a day, so the two ends give them both.
	var found time.Time
	for _, probe := range []time.Time{shown.Add(-26 * time.Hour), shown.Add(26 * time.Hour)} {
		_, offset := probe.In(zone).Zone()
		t := shown.Add(-time.Duration(offset) * time.Second)
		if _, there := t.In(zone).Zone(); there == offset && (found.IsZero() || t.Before(found)) {
			found = t
		}
	}
	if !found.IsZero() {
		return found
	}
	// No instant shows this wall clock: it was skipped. time.Date lands on one side of the gap by
	// the length of the gap; the transition itself is where the zone in force there ends or begins.
	t := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), shown.Nanosecond(), zone)
	start, end := t.ZoneBounds()
	if !end.IsZero() && end.Sub(t) <= t.Sub(start) {
		return end
	}
	return start
}
