package calendar_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/calendar"
)

func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func length(t interface{ Fatal(...any) }, s string) calendar.Length {
	l, err := calendar.ParseLength(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// berlin is open Mon-Fri 09:00-17:30 and shut on Christmas Day 2026, a Friday.
func berlin(t interface{ Fatal(...any) }) calendar.Hours {
	h, err := calendar.ParseHours("Mon-Fri 09:00-17:30", zone(t, "Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	h.Holidays = map[string]bool{"2026-12-25": true}
	return h
}

func TestAddCountsByTheUnitsOwnRule(t *testing.T) {
	for _, tt := range []struct{ name, from, add, want string }{
		{"hours are elapsed over the spring change", "2026-03-28T12:00:00+01:00", "24h", "2026-03-29T13:00:00+02:00"},
		{"a day keeps the wall clock over the spring change", "2026-03-28T12:00:00+01:00", "1d", "2026-03-29T12:00:00+02:00"},
		{"hours are elapsed over the autumn change", "2026-10-24T12:00:00+02:00", "24h", "2026-10-25T11:00:00+01:00"},
		{"a day keeps the wall clock over the autumn change", "2026-10-24T12:00:00+02:00", "1d", "2026-10-25T12:00:00+01:00"},
		{"a wall clock in the gap is the first instant after it", "2026-03-28T02:30:00+01:00", "1d", "2026-03-29T03:00:00+02:00"},
		{"the gap's own start is the first instant after it", "2026-03-28T02:00:00+01:00", "1d", "2026-03-29T03:00:00+02:00"},
		{"a wall clock that comes twice is the first", "2026-10-24T02:30:00+02:00", "1d", "2026-10-25T02:30:00+02:00"},
		{"72 hours over the spring change", "2026-03-27T18:00:00+01:00", "72h", "2026-03-30T19:00:00+02:00"},
		{"minutes are elapsed", "2026-10-25T02:50:00+02:00", "30min", "2026-10-25T02:20:00+01:00"},
		{"a month from the 31st is the month's last day", "2026-01-31T09:00:00+01:00", "1mo", "2026-02-28T09:00:00+01:00"},
		{"a month from the 31st in a leap year", "2028-01-31T09:00:00+01:00", "1mo", "2028-02-29T09:00:00+01:00"},
		{"a year from the leap day", "2028-02-29T09:00:00+01:00", "1y", "2029-02-28T09:00:00+01:00"},
		{"four years from the leap day", "2028-02-29T09:00:00+01:00", "4y", "2032-02-29T09:00:00+01:00"},
		{"months cross the year", "2026-11-30T09:00:00+01:00", "3mo", "2027-02-28T09:00:00+01:00"},
		{"a week keeps the wall clock", "2026-03-25T02:15:00+01:00", "1w", "2026-04-01T02:15:00+02:00"},
		{"nothing added", "2026-03-25T02:15:00+01:00", "0h", "2026-03-25T02:15:00+01:00"},

		{"business hours within a day", "2026-11-18T10:00:00+01:00", "2h business", "2026-11-18T12:00:00+01:00"},
		{"business hours that fill the day end at its close", "2026-11-18T15:30:00+01:00", "2h business", "2026-11-18T17:30:00+01:00"},
		{"business hours run on the next working day", "2026-11-18T16:30:00+01:00", "2h business", "2026-11-19T10:00:00+01:00"},
		{"business hours wait for Monday", "2026-11-20T17:30:00+01:00", "1h business", "2026-11-23T10:00:00+01:00"},
		{"business hours started at night", "2026-11-20T03:02:00+01:00", "2h business", "2026-11-20T11:00:00+01:00"},
		{"business hours skip a holiday and a weekend", "2026-12-24T17:00:00+01:00", "1h business", "2026-12-28T09:30:00+01:00"},
		{"business hours skip the changed weekend", "2026-03-27T17:00:00+01:00", "1h business", "2026-03-30T09:30:00+02:00"},
		{"business minutes", "2026-11-20T17:15:00+01:00", "30 business min", "2026-11-23T09:15:00+01:00"},
		{"a business day ends at the close of the next working day", "2026-11-18T10:00:00+01:00", "1 business d", "2026-11-19T17:30:00+01:00"},
		{"a business day from a Friday night", "2026-11-20T23:00:00+01:00", "1 business d", "2026-11-23T17:30:00+01:00"},
		{"a business day from a Saturday", "2026-11-21T10:00:00+01:00", "1 business d", "2026-11-23T17:30:00+01:00"},
		{"business days skip a holiday", "2026-12-24T10:00:00+01:00", "2 business d", "2026-12-29T17:30:00+01:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, want := instant(t, tt.from), instant(t, tt.want)
			got := calendar.Add(from, length(t, tt.add), zone(t, "Europe/Berlin"), berlin(t))
			if !got.Equal(want) {
				t.Errorf("%s + %s = %s, want %s", tt.from, tt.add, got.In(zone(t, "Europe/Berlin")).Format(time.RFC3339), tt.want)
			}
			if got.Location() != time.UTC {
				t.Errorf("the result is in %s, want UTC", got.Location())
			}
		})
	}
}

func TestSubMirrorsAdd(t *testing.T) {
	for _, tt := range []struct{ name, from, sub, want string }{
		{"hours are elapsed", "2026-03-29T13:00:00+02:00", "24h", "2026-03-28T12:00:00+01:00"},
		{"a day keeps the wall clock", "2026-03-30T02:30:00+02:00", "1d", "2026-03-29T03:00:00+02:00"},
		{"a month before the 31st", "2026-03-31T09:00:00+02:00", "1mo", "2026-02-28T09:00:00+01:00"},
		{"business hours count back", "2026-11-23T10:00:00+01:00", "2h business", "2026-11-20T16:30:00+01:00"},
		{"business hours end where the day opens", "2026-11-20T17:30:00+01:00", "8h business", "2026-11-20T09:30:00+01:00"},
		{"business days leave whole days", "2026-11-24T12:00:00+01:00", "2 business d", "2026-11-20T09:00:00+01:00"},
		{"business days skip a holiday", "2026-12-28T12:00:00+01:00", "1 business d", "2026-12-24T09:00:00+01:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := calendar.Sub(instant(t, tt.from), length(t, tt.sub), zone(t, "Europe/Berlin"), berlin(t))
			if want := instant(t, tt.want); !got.Equal(want) {
				t.Errorf("%s - %s = %s, want %s", tt.from, tt.sub, got.In(zone(t, "Europe/Berlin")).Format(time.RFC3339), tt.want)
			}
		})
	}
}

func TestZonesWithUnusualChanges(t *testing.T) {
	for _, tt := range []struct{ name, zone, from, add, want string }{
		{"a change of half an hour", "Australia/Lord_Howe", "2026-10-03T02:15:00+10:30", "1d", "2026-10-04T02:30:00+11:00"},
		{"a day that was skipped", "Pacific/Apia", "2011-12-29T10:00:00-10:00", "1d", "2011-12-31T00:00:00+14:00"},
		{"a midnight that was skipped", "America/Sao_Paulo", "2018-11-03T00:00:00-03:00", "1d", "2018-11-04T01:00:00-02:00"},
		{"the other hemisphere", "Pacific/Auckland", "2026-04-04T02:30:00+13:00", "1d", "2026-04-05T02:30:00+13:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := zone(t, tt.zone)
			got := calendar.Add(instant(t, tt.from), length(t, tt.add), z, calendar.Hours{})
			if want := instant(t, tt.want); !got.Equal(want) {
				t.Errorf("%s + %s = %s, want %s", tt.from, tt.add, got.In(z).Format(time.RFC3339), tt.want)
			}
		})
	}
}

func TestAPlaceThatIsNeverOpenLosesNoClock(t *testing.T) {
	from := instant(t, "2026-11-20T10:00:00Z")
	for _, h := range []calendar.Hours{{}, {Zone: time.UTC}} {
		if got, want := calendar.Add(from, length(t, "2h business"), time.UTC, h), from.Add(2*time.Hour); !got.Equal(want) {
			t.Errorf("2h business without opening hours = %s, want %s", got, want)
		}
		if got, want := calendar.Sub(from, length(t, "1 business d"), time.UTC, h), from.AddDate(0, 0, -1); !got.Equal(want) {
			t.Errorf("1 business d before without opening hours = %s, want %s", got, want)
		}
	}
}

func instant(t *testing.T, s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

var zones = []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "America/St_Johns", "Pacific/Auckland"}

func drawInstant(t *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "from"), 0).UTC()
}

func drawLength(t *rapid.T, units ...calendar.Unit) calendar.Length {
	return calendar.Length{N: rapid.IntRange(1, 90).Draw(t, "n"), Unit: rapid.SampledFrom(units).Draw(t, "unit"), Business: rapid.Bool().Draw(t, "business")}
}

// Time only goes forward: a later anchor or a longer length never gives an earlier instant.
func TestAddIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		h, _ := calendar.ParseHours("Mon-Fri 08:00-12:00,13:00-17:00; Sat 09:00-11:00", z)
		from, l := drawInstant(t), drawLength(t, calendar.Minute, calendar.Hour, calendar.Day)
		later := from.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "later")) * time.Second)
		a := calendar.Add(from, l, z, h)
		if !a.After(from) {
			t.Fatalf("%s + %s = %s is not after it", from, l, a)
		}
		if b := calendar.Add(later, l, z, h); b.Before(a) && l.Unit != calendar.Day {
			t.Fatalf("%s + %s = %s, but from %s it is %s", from, l, a, later, b)
		}
		longer := l
		longer.N++
		if b := calendar.Add(from, longer, z, h); !b.After(a) {
			t.Fatalf("%s + %s = %s is not after %s", from, longer, b, a)
		}
	})
}

// Between counts what Add used up, and Sub gives it back.
func TestBusinessHoursAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		h, _ := calendar.ParseHours("Mon-Fri 08:00-12:00,13:00-17:00; Sun 01:30-03:30", z)
		from, l := drawInstant(t), drawLength(t, calendar.Minute, calendar.Hour)
		l.Business = true
		want := time.Duration(l.N) * time.Minute
		if l.Unit == calendar.Hour {
			want = time.Duration(l.N) * time.Hour
		}
		end := calendar.Add(from, l, z, h)
		if got := h.Between(from, end); got != want {
			t.Fatalf("%s of open time between %s and %s, want %s", got, from, end, want)
		}
		start := calendar.Sub(end, l, z, h)
		if start.Before(from) || h.Between(start, end) != want {
			t.Fatalf("back from %s by %s is %s, want at or after %s with the same open time", end, l, start, from)
		}
		if !h.Open(start) {
			t.Fatalf("counting back ends at %s, which is not open", start)
		}
	})
}

// A calendar length lands on the expected local date with the same wall clock wherever that exists.
func TestDaysKeepTheWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		from, n := drawInstant(t), rapid.IntRange(1, 800).Draw(t, "days")
		local := from.In(z)
		got := calendar.Add(from, calendar.Length{N: n, Unit: calendar.Day}, z, calendar.Hours{}).In(z)
		y, m, d := local.AddDate(0, 0, n).Date()
		want := time.Date(y, m, d, local.Hour(), local.Minute(), local.Second(), 0, z)
		if want.Hour() != local.Hour() || want.Minute() != local.Minute() {
			return // the wall clock was skipped; the table has that case
		}
		if got.Format(time.DateTime) != want.Format(time.DateTime) {
			t.Fatalf("%s + %dd = %s, want the wall clock %s", local, n, got, want)
		}
		if got.After(want) {
			t.Fatalf("%s + %dd = %s, the second of two such wall clocks", local, n, got)
		}
	})
}

func TestAlwaysCountsElapsedTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		from, l := drawInstant(t), drawLength(t, calendar.Minute, calendar.Hour)
		l.Business = false
		want := calendar.Add(from, l, z, calendar.Hours{})
		l.Business = true
		if got := calendar.Add(from, l, z, calendar.Always(z)); !got.Equal(want) {
			t.Fatalf("%s + %s always open = %s, want %s", from, l, got, want)
		}
	})
}
