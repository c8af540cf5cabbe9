package calendar_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
)

func TestParseSpanReadsWhatAPolicyWrites(t *testing.T) {
	for _, tt := range []struct{ in, out string }{
		{"72h", "72h"},
		{" 72 h ", "72h"},
		{"15m", "15min"},
		{"1 business d", "1 business d"},
		{"2h business", "2 business h"},
		{"1h..2h business", "1 business h..2 business h"},
		{"3h..6h", "3h..6h"},
		{"3h..", "3h.."},
		{"4h..1 business d", "4 business h..1 business d"},
		{"0min..24h", "0min..24h"},
		{"6mo", "6mo"},
	} {
		s, err := calendar.ParseSpan(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
		} else if s.String() != tt.out {
			t.Errorf("%q reads as %q, want %q", tt.in, s, tt.out)
		}
		if again, err := calendar.ParseSpan(s.String()); err != nil || again.String() != tt.out {
			t.Errorf("%q does not read back: %q, %v", tt.out, again, err)
		}
	}
}

func TestParseSpanSaysWhatToWrite(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"72", "no unit of time (write 72h for hours, 72d for days; units are min, h, d, w, mo and y)"},
		{"72 hours", "did you mean 72h?"},
		{"3 business weeks", "did you mean 3w?"},
		{"3 business w", "business time is counted in min, h or d"},
		{"2y.. business", "business time is counted in min, h or d"},
		{"1.5h", "use a smaller unit"},
		{"1:30", "use a smaller unit"},
		{"soon", `"soon" is not a length of time`},
		{"", `"" is not a length of time`},
		{"6h..3h", "write 3h..6h"},
		{"99999h", "the largest count is 10000"},
		{"99999999999999999999h", "the largest count is 10000"},
		{"1h business business", "says business twice"},
		{"..3h", `"" is not a length of time`},
		{"-3h", `"-3h" is not a length of time`},
	} {
		_, err := calendar.ParseSpan(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want it to say %q", tt.in, err, tt.want)
		}
	}
}

func TestParsePeriod(t *testing.T) {
	for in, out := range map[string]string{"year": "1y", "quarter": "3mo", "month": "1mo", "week": "1w", "day": "1d", "2h..4h": "2h..4h"} {
		if s, err := calendar.ParsePeriod(in); err != nil || s.String() != out {
			t.Errorf("%q reads as %q (%v), want %q", in, s, err, out)
		}
	}
}

func TestParseHours(t *testing.T) {
	h, err := calendar.ParseHours("Mon-Thu 09:00-12:00,13:00-17:30; Fri 09:00-14:00; Sat-Sun 22:00-24:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"2026-11-16T09:00:00Z": true, "2026-11-16T12:00:00Z": false, "2026-11-16T13:00:00Z": true, "2026-11-16T17:30:00Z": false,
		"2026-11-20T13:59:59Z": true, "2026-11-20T14:00:00Z": false, "2026-11-21T23:59:59Z": true, "2026-11-22T21:59:59Z": false,
	} {
		if got := h.Open(instant(t, at)); got != want {
			t.Errorf("open at %s: %v, want %v", at, got, want)
		}
	}
	for in, want := range map[string]string{
		"always": "write days and times", "Mon-Fri": "write days and times", "Mo-Fr 09:00-17:00": `"Mo" is not a day of the week`,
		"Mon 9-17": `"9" is not a time of day`, "Mon 17:00-09:00": "closes before it opens", "Mon 09:00-24:30": `"24:30" is not a time of day`, "Mon 09:00": "from and to",
	} {
		if _, err := calendar.ParseHours(in, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want it to say %q", in, err, want)
		}
	}
}

func TestWordsAreWhatAPagePrints(t *testing.T) {
	for in, want := range map[string]string{"72h": "72 hours", "1h": "1 hour", "1 business d": "1 business day", "2 business h": "2 business hours", "15min": "15 minutes", "1y": "1 year", "6mo": "6 months"} {
		if got := length(t, in).Words(); got != want {
			t.Errorf("%s in words is %q, want %q", in, got, want)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"72h", "1h..2h business", "3h..", "1 business d", "..", "9999999999h", "1.5h", "0y..  business"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		span, err := calendar.ParseSpan(s)
		if err != nil {
			return
		}
		again, err := calendar.ParseSpan(span.String())
		if err != nil || again.String() != span.String() {
			t.Fatalf("%q reads as %q, which reads as %q (%v)", s, span, again, err)
		}
	})
}
