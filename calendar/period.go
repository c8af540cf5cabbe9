package calendar

import (
	"slices"
	"time"
)

// Period is a part of the calendar that comes again: a day, a week (Monday to Sunday), a month, a
// quarter or a year.
type Period string

// The periods a policy may name.
const (
	EachDay     Period = "day"
	EachWeek    Period = "week"
	EachMonth   Period = "month"
	EachQuarter Period = "quarter"
	EachYear    Period = "year"
)

// BusinessDay is a working day. It ends when business closes, and is no Period that comes again: it is
// not in Periods.
const BusinessDay Period = "business day"

// Periods lists the periods, shortest first.
func Periods() []Period { return []Period{EachDay, EachWeek, EachMonth, EachQuarter, EachYear} }

// Known reports whether p is one of Periods.
func (p Period) Known() bool { return slices.Contains(Periods(), p) }

// Length is how long a period is as a length: a quarter is three months. It is the zero Length for
// what is no period.
func (p Period) Length() Length {
	switch p {
	case EachDay:
		return Length{N: 1, Unit: Day}
	case EachWeek:
		return Length{N: 1, Unit: Week}
	case EachMonth:
		return Length{N: 1, Unit: Month}
	case EachQuarter:
		return Length{N: 3, Unit: Month}
	case EachYear:
		return Length{N: 1, Unit: Year}
	}
	return Length{}
}

// Start is the first instant of the period that t falls in, in UTC: where midnight was skipped, the
// first instant after the gap. A nil zone is UTC.
func (p Period) Start(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	return wall(p.first(dateOf(t, zone)), 0, zone).UTC()
}

// Next is the first instant of the period after the one t falls in, in UTC.
func (p Period) Next(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	return wall(p.after(p.first(dateOf(t, zone))), 0, zone).UTC()
}

// lastMoment is how long before its end the last instant of a period lies: the finest that every
// store of instants keeps.
const lastMoment = time.Millisecond

// End is the last instant of the period that t falls in, a millisecond before the next begins, in
// UTC. What is due then may be done on the last day, and is late on the first of the next.
func (p Period) End(t time.Time, zone *time.Location) time.Time {
	return p.Next(t, zone).Add(-lastMoment)
}

// EndIn is End, where a business day ends at the close of business in h: the close of the local day of
// t or, where business is closed for the day by then or the day is no working day, of the next working
// day. Where h is never open it is the end of the day.
func (p Period) EndIn(t time.Time, zone *time.Location, h Hours) time.Time {
	if p != BusinessDay {
		return p.End(t, zone)
	}
	h = h.in(zone)
	if !h.Never() {
		day := dateOf(t, h.Zone)
		for range reach {
			if open := h.periods(day); len(open) > 0 && t.Before(open[len(open)-1].close) {
				return open[len(open)-1].close.UTC()
			}
			day = day.AddDate(0, 0, 1)
		}
	}
	return EachDay.End(t, h.Zone)
}

// first is the date on which the period of date begins; dates are midnights in UTC.
func (p Period) first(date time.Time) time.Time {
	y, m, d := date.Date()
	switch p {
	case EachWeek:
		return date.AddDate(0, 0, -(int(date.Weekday())+6)%7)
	case EachMonth:
		d = 1
	case EachQuarter:
		m, d = m-(m-1)%3, 1
	case EachYear:
		m, d = time.January, 1
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// after is the date on which the next period begins, for a date that begins one.
func (p Period) after(first time.Time) time.Time {
	switch p {
	case EachWeek:
		return first.AddDate(0, 0, 7)
	case EachMonth:
		return first.AddDate(0, 1, 0)
	case EachQuarter:
		return first.AddDate(0, 3, 0)
	case EachYear:
		return first.AddDate(1, 0, 0)
	}
	return first.AddDate(0, 0, 1)
}
