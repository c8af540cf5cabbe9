package calendar_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/calendar"
)

func TestEndsOfPeriods(t *testing.T) {
	for _, tt := range []struct{ name, zone, at, period, want string }{
		{"a day", "Europe/Berlin", "2026-11-20T10:00:00+01:00", "day", "2026-11-20T23:59:59.999+01:00"},
		{"the last instant of a day is of that day", "Europe/Berlin", "2026-11-20T23:59:59.999+01:00", "day", "2026-11-20T23:59:59.999+01:00"},
		{"midnight begins the next day", "Europe/Berlin", "2026-11-21T00:00:00+01:00", "day", "2026-11-21T23:59:59.999+01:00"},
		{"the local day and not the day in UTC", "Pacific/Auckland", "2026-11-20T23:00:00Z", "day", "2026-11-21T23:59:59.999+13:00"},
		{"a week ends on Sunday", "Europe/Berlin", "2026-11-20T10:00:00+01:00", "week", "2026-11-22T23:59:59.999+01:00"},
		{"a Sunday is of the week it ends", "Europe/Berlin", "2026-11-22T10:00:00+01:00", "week", "2026-11-22T23:59:59.999+01:00"},
		{"a Monday begins a week", "Europe/Berlin", "2026-11-23T00:00:00+01:00", "week", "2026-11-29T23:59:59.999+01:00"},
		{"a month of thirty days", "Europe/Berlin", "2026-11-20T10:00:00+01:00", "month", "2026-11-30T23:59:59.999+01:00"},
		{"February", "Europe/Berlin", "2026-02-01T00:00:00+01:00", "month", "2026-02-28T23:59:59.999+01:00"},
		{"February of a leap year", "Europe/Berlin", "2028-02-01T00:00:00+01:00", "month", "2028-02-29T23:59:59.999+01:00"},
		{"a month in which the clocks change", "Europe/Berlin", "2026-10-03T00:00:00+02:00", "month", "2026-10-31T23:59:59.999+01:00"},
		{"a quarter", "Europe/Berlin", "2026-11-20T10:00:00+01:00", "quarter", "2026-12-31T23:59:59.999+01:00"},
		{"the first quarter", "Europe/Berlin", "2026-01-01T00:00:00+01:00", "quarter", "2026-03-31T23:59:59.999+02:00"},
		{"a year", "Europe/Berlin", "2026-11-20T10:00:00+01:00", "year", "2026-12-31T23:59:59.999+01:00"},
		{"a day that lasts 23 hours", "Europe/Berlin", "2026-03-29T01:00:00+01:00", "day", "2026-03-29T23:59:59.999+02:00"},
		{"a day after which midnight is skipped", "America/Sao_Paulo", "2018-11-03T10:00:00-03:00", "day", "2018-11-03T23:59:59.999-03:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := zone(t, tt.zone)
			got := calendar.Period(tt.period).End(instant(t, tt.at), z)
			if want := instant(t, tt.want); !got.Equal(want) {
				t.Errorf("the end of the %s of %s = %s, want %s", tt.period, tt.at, got.In(z).Format(time.RFC3339Nano), tt.want)
			}
		})
	}
}

// Periods cut time into pieces: every instant is in exactly one, and the next begins after it.
func TestPeriodsCutTimeIntoPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		p := rapid.SampledFrom(calendar.Periods()).Draw(t, "period")
		at := drawInstant(t)
		start, end, next := p.Start(at, z), p.End(at, z), p.Next(at, z)
		if start.After(at) || !next.After(at) || !end.Before(next) || end.Before(at.Truncate(time.Second)) {
			t.Fatalf("%s is in %s..%s, and the next %s begins %s", at, start, end, p, next)
		}
		if got := p.Start(next, z); !got.Equal(next) {
			t.Fatalf("the %s of its own first instant %s begins %s", p, next, got)
		}
		if got := p.Start(end, z); !got.Equal(start) {
			t.Fatalf("the %s of its last instant %s begins %s, want %s", p, end, got, start)
		}
		if got := p.Next(start, z); !got.Equal(next) {
			t.Fatalf("from its start %s the next %s begins %s, want %s", start, p, got, next)
		}
		local := start.In(z)
		if p == calendar.EachQuarter && (local.Month()-1)%3 != 0 || p == calendar.EachWeek && local.Weekday() != time.Monday {
			t.Fatalf("a %s begins on %s", p, local)
		}
	})
}

func TestHolidaysByName(t *testing.T) {
	for _, tt := range []struct {
		region, date string
		want         bool
	}{
		{"DE", "2026-10-03", true}, {"DE", "2026-12-25", true}, {"DE", "2026-12-24", false}, {"DE", "2026-11-20", false},
		{"DE-BE", "2026-03-08", true}, {"DE-BY", "2026-03-08", false}, {"DE-BY", "2026-01-06", true}, {"DE-BE", "2026-01-06", false},
		{"DE", "2026-04-03", true}, {"DE", "2028-04-14", true}, // Good Friday moves
		{"US", "2026-07-03", true}, {"US", "2026-11-26", true}, // the Friday on which a Saturday's holiday is kept; Thanksgiving
		{"GB", "2026-12-28", true}, // Boxing Day on a Saturday is kept on the Monday
		{"US", "2021-12-31", true}, // New Year's Day of 2022 was a Saturday, kept in the old year
		{"XX", "2026-12-25", false}, {"DE", "soon", false},
	} {
		if got := calendar.Holiday(tt.region, tt.date); got != tt.want {
			t.Errorf("%s is a holiday in %s: %v, want %v", tt.date, tt.region, got, tt.want)
		}
	}
	if n := len(calendar.Regions()); n < 60 || !calendar.KnownRegion("DE-BE") || calendar.KnownRegion("DE-XX") {
		t.Errorf("%d calendars are known, want those of the table", n)
	}
}

func TestBusinessTimeSkipsTheHolidaysOfARegion(t *testing.T) {
	h := berlin(t)
	h.Holidays, h.Regions = nil, []string{"DE-BE"}
	for add, want := range map[string]string{"1 business d": "2027-01-04T17:30:00+01:00", "2h business": "2027-01-04T10:00:00+01:00"} {
		// Thursday 31 December 16:30; New Year's Day is a Friday.
		got := calendar.Add(instant(t, "2026-12-31T16:30:00+01:00"), length(t, add), zone(t, "Europe/Berlin"), h)
		if !got.Equal(instant(t, want)) {
			t.Errorf("31 December + %s = %s, want %s", add, got, want)
		}
	}
	h.Holidays = map[string]bool{"2027-01-04": true}
	if got := calendar.Add(instant(t, "2026-12-31T16:30:00+01:00"), length(t, "1 business d"), zone(t, "Europe/Berlin"), h); !got.Equal(instant(t, "2027-01-05T17:30:00+01:00")) {
		t.Errorf("dates and a region together: %s", got)
	}
}
