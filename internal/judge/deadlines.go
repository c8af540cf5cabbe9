package judge

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// deadline is what the policy's text says of one duty's clock, computed here and not by the engine.
type deadline struct {
	duty  string
	from  time.Time // the anchor
	limit time.Time // zero: a target alone
	calls []called  // the escalation, in order
	law   bool      // a law or a contract may ask for it earlier
}

// called is one rung of an escalation.
type called struct {
	at   time.Time
	role string
}

var clockWords = regexp.MustCompile(`^(.+?) after (\w+)$`)

// deadlines are the clocks of the policy whose anchor has happened and whose text this judge can
// read: an amount, or a target and a limit, after one milestone. Duties of the programme are no
// incident's, and what recurs is judged by its first time alone.
func (b *bench) deadlines() ([]deadline, error) {
	zone, err := time.LoadLocation(b.policy.Time.Zone)
	if err != nil {
		return nil, fmt.Errorf("the policy's zone: %w", err)
	}
	cells, tabled := b.cellsOfItsLevel()
	var out []deadline
	for _, id := range slices.Sorted(maps.Keys(b.policy.Duties)) {
		d := b.policy.Duties[id]
		due := words(d.Due)
		if d.For == "programme" || len(due) == 0 {
			continue
		}
		m := clockWords.FindStringSubmatch(due[0])
		if m == nil {
			continue
		}
		span := m[1]
		if len(cells) == 0 && tabled[id] {
			continue // it depends on a level that nobody has recorded
		}
		if cell, ok := cells[id]; ok && d.Every.IsZero() {
			if span = cell; span == "none" {
				continue
			}
		}
		at, ok := b.anchor(m[2])
		if !ok {
			continue
		}
		x := deadline{duty: id, from: at, law: slices.Contains(due, "as law") || slices.Contains(due, "as contract")}
		target, limit, err := b.span(span)
		if err != nil {
			return nil, fmt.Errorf("duty %s: %w", id, err)
		}
		base := limit
		if base == "" {
			base = target
		}
		end, err := b.after(at, base, zone)
		if err != nil {
			return nil, fmt.Errorf("duty %s: %w", id, err)
		}
		if limit != "" {
			x.limit = end
		}
		var late map[string]string
		_ = d.Late.Decode(&late) // a duty without an escalation calls nobody
		for offset, role := range late {
			back := strings.HasPrefix(offset, "-")
			by, err := b.after(end, strings.TrimPrefix(offset, "-"), zone)
			if err != nil {
				return nil, fmt.Errorf("duty %s: %w", id, err)
			}
			if back {
				by = end.Add(-by.Sub(end))
			}
			x.calls = append(x.calls, called{at: by, role: role})
		}
		slices.SortFunc(x.calls, func(a, b called) int { return a.at.Compare(b.at) })
		out = append(out, x)
	}
	return out, nil
}

// anchor is when a milestone happened. Nobody marks being aware: it is the earlier of a person's
// acknowledgement and the confirmation.
func (b *bench) anchor(name string) (time.Time, bool) {
	at, _, ok := b.export.milestone(name)
	if ok || name != "aware" {
		return at, ok
	}
	for _, by := range []string{"acknowledged", "confirmed"} {
		if t, _, set := b.export.milestone(by); set && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

// cellsOfItsLevel is the row of the policy's tables for the severity that the incident has, and which
// duties stand in any table.
func (b *bench) cellsOfItsLevel() (cells map[string]string, tabled map[string]bool) {
	level := ""
	for _, f := range b.export.of("severity.set", "incident.opened") {
		var body struct{ Severity string }
		if f.body(&body); body.Severity != "" {
			level = body.Severity
		}
	}
	cells, tabled = map[string]string{}, map[string]bool{}
	for _, table := range b.policy.Tables {
		for name, node := range table {
			var row map[string]string
			if node.Decode(&row) != nil {
				continue // the column that says what the table goes by
			}
			for duty := range row {
				tabled[duty] = true
			}
			if name == level {
				maps.Copy(cells, row)
			}
		}
	}
	return cells, tabled
}

// span splits "1h..2h business" into target and limit; "promptly" is the policy's own target.
func (b *bench) span(text string) (target, limit string, err error) {
	suffix := ""
	if strings.HasSuffix(text, " business") {
		text, suffix = strings.TrimSuffix(text, " business"), " business"
	}
	one := func(s string) string {
		if s == "promptly" {
			return b.policy.Time.Promptly
		}
		return s + suffix
	}
	if first, last, two := strings.Cut(text, ".."); two {
		return one(first), one(last), nil
	}
	if text == "promptly" {
		return one(text), "", nil
	}
	return "", one(text), nil
}

var amount = regexp.MustCompile(`^([0-9]+) ?(business )?(min|h|d)( business)?$`)

// after is an instant and a length that the policy wrote, such as 72h, 1 business d or 2h business.
func (b *bench) after(from time.Time, text string, zone *time.Location) (time.Time, error) {
	m := amount.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, fmt.Errorf("the judge cannot read %q", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return time.Time{}, err
	}
	business := m[2] != "" || m[4] != ""
	switch {
	case m[3] == "d" && business:
		return b.closing(from, n, zone)
	case m[3] == "d":
		local := from.In(zone)
		return time.Date(local.Year(), local.Month(), local.Day()+n, local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), zone).UTC(), nil
	}
	length := time.Duration(n) * time.Hour
	if m[3] == "min" {
		length = time.Duration(n) * time.Minute
	}
	if !business {
		return from.Add(length), nil
	}
	open := time.Duration(0)
	for end := from; end.Sub(from) < 30*24*time.Hour; end = end.Add(time.Minute) {
		if open >= length {
			return end, nil
		}
		more, err := openTime(b.policy.Time.Business, b.policy.Time.Zone, end, end.Add(time.Minute))
		if err != nil {
			return time.Time{}, err
		}
		open += more
	}
	return time.Time{}, fmt.Errorf("%q never ends in the policy's hours", text)
}

// closing is the close of the n-th working day after from's date.
func (b *bench) closing(from time.Time, n int, zone *time.Location) (time.Time, error) {
	day := from.In(zone)
	day = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone)
	for range 60 {
		next := day.AddDate(0, 0, 1)
		day = next
		var last time.Time
		for t := day; t.Before(day.AddDate(0, 0, 1)); t = t.Add(time.Minute) {
			open, err := openTime(b.policy.Time.Business, b.policy.Time.Zone, t, t.Add(time.Minute))
			if err != nil {
				return time.Time{}, err
			}
			if open > 0 {
				last = t.Add(time.Minute)
			}
		}
		if !last.IsZero() {
			if n--; n == 0 {
				return last.UTC(), nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("no %d working days in sixty days", n)
}
