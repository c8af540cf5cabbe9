package calendar

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxN is the largest count a length may have.
const MaxN = 10_000

// units maps what a policy may write to the unit it means.
var units = map[string]Unit{"min": Minute, "m": Minute, "h": Hour, "d": Day, "w": Week, "mo": Month, "y": Year}

// words maps what people write instead of a unit to the unit they mean; it only makes hints.
var words = map[string]Unit{
	"minute": Minute, "minutes": Minute, "mins": Minute, "hour": Hour, "hours": Hour, "hr": Hour, "hrs": Hour,
	"day": Day, "days": Day, "week": Week, "weeks": Week, "month": Month, "months": Month, "year": Year, "years": Year, "yr": Year,
}

// A ParseError says what in a length, span or set of opening hours was not understood, and what
// to write instead.
type ParseError struct {
	Message string
	Hint    string // "" where there is none
}

func (e *ParseError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// ParseLength reads a length such as 72h, 15min, 2h business or 1 business d. The errors it
// returns are *ParseError.
func ParseLength(s string) (Length, error) {
	f := strings.Fields(s)
	business := false
	for i := 0; i < len(f); {
		if f[i] == "business" {
			if business {
				return Length{}, &ParseError{fmt.Sprintf("%q says business twice", s), ""}
			}
			business = true
			f = append(f[:i:i], f[i+1:]...)
			continue
		}
		i++
	}
	joined := strings.Join(f, "")
	digits := 0
	for digits < len(joined) && joined[digits] >= '0' && joined[digits] <= '9' {
		digits++
	}
	if digits == 0 || len(f) > 2 {
		return Length{}, &ParseError{fmt.Sprintf("%q is not a length of time", s), "write a number and a unit, such as 72h, 15min, 5d or 1 business d"}
	}
	name := joined[digits:]
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, ",") || strings.HasPrefix(name, ":") {
		return Length{}, &ParseError{fmt.Sprintf("%q is not a whole number of a unit", s), "use a smaller unit: 90min instead of 1.5h"}
	}
	n, err := strconv.Atoi(joined[:digits])
	if err != nil || n > MaxN {
		return Length{}, &ParseError{fmt.Sprintf("%q is longer than a policy may write", s), fmt.Sprintf("the largest count is %d; use a larger unit", MaxN)}
	}
	unit, ok := units[name]
	if !ok {
		e := &ParseError{fmt.Sprintf("%q has no unit of time", s), fmt.Sprintf("write %dh for hours, %dd for days; units are min, h, d, w, mo and y", n, n)}
		if name != "" {
			e.Hint = "units are min, h, d, w, mo and y"
			e.Message = fmt.Sprintf("%q is not a unit of time", name)
		}
		if meant, ok := words[strings.ToLower(name)]; ok {
			e.Hint = "did you mean " + Length{N: n, Unit: meant, Business: business && working(meant)}.String() + "?"
		}
		return Length{}, e
	}
	if business && !working(unit) {
		return Length{}, noBusiness(s)
	}
	return Length{N: n, Unit: unit, Business: business}, nil
}

// working says whether business time is counted in a unit.
func working(u Unit) bool { return u == Minute || u == Hour || u == Day }

func noBusiness(s string) error {
	return &ParseError{fmt.Sprintf("%q: business time is counted in min, h or d", s), "drop the word business, or count working days"}
}

// ParseSpan reads a span: 36h is a limit, 3h..6h a target and a limit, 3h.. a target only. The
// word business behind the last length counts for both. The errors it returns are *ParseError.
func ParseSpan(s string) (Span, error) {
	target, limit, two := strings.Cut(s, "..")
	if !two {
		l, err := ParseLength(s)
		if err != nil {
			return Span{}, err
		}
		return Span{Limit: &l}, nil
	}
	t, err := ParseLength(target)
	if err != nil {
		return Span{}, err
	}
	rest := strings.TrimSpace(limit)
	if rest == "" || rest == "business" {
		if rest == "business" {
			if !working(t.Unit) {
				return Span{}, noBusiness(s)
			}
			t.Business = true
		}
		return Span{Target: &t}, nil
	}
	l, err := ParseLength(limit)
	if err != nil {
		return Span{}, err
	}
	if l.Business && working(t.Unit) {
		t.Business = true
	}
	if t.Business == l.Business && t.Roughly() > l.Roughly() {
		return Span{}, &ParseError{fmt.Sprintf("the target of %q is longer than its limit", s), fmt.Sprintf("write %s..%s", l, t)}
	}
	return Span{Target: &t, Limit: &l}, nil
}

// ParsePeriod reads what may stand behind every: a span, or a calendar period (day, week, month,
// quarter or year).
func ParsePeriod(s string) (Span, error) {
	if p := Period(strings.TrimSpace(s)); p.Known() {
		l := p.Length()
		return Span{Limit: &l}, nil
	}
	return ParseSpan(s)
}

// Roughly orders lengths of different units. It is never used to compute an instant.
func (l Length) Roughly() time.Duration {
	day := 24 * time.Hour
	if l.Business {
		day = 8 * time.Hour
	}
	of := map[Unit]time.Duration{Minute: time.Minute, Hour: time.Hour, Day: day, Week: 7 * day, Month: 28 * day, Year: 365 * day}
	return time.Duration(l.N) * of[l.Unit]
}

// String writes a length as a policy does: 72h, 1 business d.
func (l Length) String() string {
	if l.Business {
		return fmt.Sprintf("%d business %s", l.N, l.Unit)
	}
	return fmt.Sprintf("%d%s", l.N, l.Unit)
}

// Words writes a length as a page does: "72 hours", "1 business day".
func (l Length) Words() string {
	names := map[Unit]string{Minute: "minute", Hour: "hour", Day: "day", Week: "week", Month: "month", Year: "year"}
	name := names[l.Unit]
	if l.Business {
		name = "business " + name
	}
	if l.N != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", l.N, name)
}

// String writes a span as a policy does. An open span is "open".
func (s Span) String() string {
	switch {
	case s.Target != nil && s.Limit != nil:
		return s.Target.String() + ".." + s.Limit.String()
	case s.Target != nil:
		return s.Target.String() + ".."
	case s.Limit != nil:
		return s.Limit.String()
	}
	return "open"
}

// ParseHours reads opening hours such as "Mon-Fri 09:00-17:30" or
// "Mon-Thu 09:00-12:00,13:00-17:30; Fri 09:00-14:00". The errors it returns are *ParseError.
func ParseHours(s string, zone *time.Location) (Hours, error) {
	h := Hours{Zone: zone}
	for group := range strings.SplitSeq(s, ";") {
		days, times, ok := strings.Cut(strings.TrimSpace(group), " ")
		if !ok {
			return Hours{}, &ParseError{fmt.Sprintf("%q is not opening hours", strings.TrimSpace(group)), "write days and times, such as Mon-Fri 09:00-17:30"}
		}
		on, err := parseDays(days)
		if err != nil {
			return Hours{}, err
		}
		for part := range strings.SplitSeq(times, ",") {
			i, err := parseInterval(strings.TrimSpace(part))
			if err != nil {
				return Hours{}, err
			}
			for _, day := range on {
				h.Week[day] = append(h.Week[day], i)
			}
		}
	}
	return h, nil
}

var dayNames = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

func parseDay(s string) (int, error) {
	for i, name := range dayNames {
		if strings.EqualFold(s, name) {
			return i, nil
		}
	}
	return 0, &ParseError{fmt.Sprintf("%q is not a day of the week", s), "days are " + strings.Join(dayNames[:], ", ")}
}

func parseDays(s string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(part, "-")
		from, err := parseDay(first)
		if err != nil {
			return nil, err
		}
		to := from
		if ranged {
			if to, err = parseDay(last); err != nil {
				return nil, err
			}
		}
		for day := from; ; day = (day + 1) % 7 {
			out = append(out, day)
			if day == to {
				break
			}
		}
	}
	return out, nil
}

func parseInterval(s string) (Interval, error) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return Interval{}, &ParseError{fmt.Sprintf("%q is not a time of day from and to", s), "write 09:00-17:30"}
	}
	open, err := parseClock(from)
	if err != nil {
		return Interval{}, err
	}
	shut, err := parseClock(to)
	if err != nil {
		return Interval{}, err
	}
	if shut <= open {
		return Interval{}, &ParseError{fmt.Sprintf("%q closes before it opens", s), "hours over midnight are two intervals: 22:00-24:00 and 00:00-06:00"}
	}
	return Interval{open, shut}, nil
}

func parseClock(s string) (int, error) {
	hour, minute, ok := strings.Cut(strings.TrimSpace(s), ":")
	h, herr := strconv.Atoi(hour)
	m, merr := strconv.Atoi(minute)
	if !ok || len(minute) != 2 || herr != nil || merr != nil || h < 0 || m < 0 || m > 59 || h*60+m > dayMinutes {
		return 0, &ParseError{fmt.Sprintf("%q is not a time of day", s), "write 09:00, at most 24:00"}
	}
	return h*60 + m, nil
}
