package judge

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// clocksOfItsLevel: the incident has a level, every duty that a table of the policy gives a clock at
// that level was started, and none of those that the table says are not due there.
func (b *bench) clocksOfItsLevel(p *row) error {
	levels := b.export.of("severity.set")
	if len(levels) == 0 {
		return errors.New("the evidence holds no severity")
	}
	var set struct{ Severity string }
	levels[len(levels)-1].body(&set)
	started := map[string]fact{}
	for _, f := range b.export.of("duty.started") {
		var body struct{ Duty string }
		if f.body(&body); started[body.Duty].ID == "" {
			started[body.Duty] = f
		}
	}
	cells := 0
	for _, table := range b.policy.Tables {
		var by string
		if node := table["by"]; node.Decode(&by) != nil || by != "severity" {
			continue
		}
		var row map[string]string
		if node, ok := table[set.Severity]; !ok || node.Decode(&row) != nil {
			return fmt.Errorf("the policy has no clocks for the level %s", set.Severity)
		}
		for _, duty := range slices.Sorted(maps.Keys(row)) {
			f, ran := started[duty]
			switch {
			case row[duty] == "none":
				if ran {
					return fmt.Errorf("%s ran although the table says none at %s", duty, set.Severity)
				}
				continue
			case !ran:
				return fmt.Errorf("the clock of %s never ran at %s", duty, set.Severity)
			}
			cells++
			p.prove(f)
		}
	}
	if cells == 0 {
		return errors.New("no table of the policy gives a clock by severity")
	}
	p.Trigger = "system"
	return nil
}

// containmentBegan measures from the detection to the first thing that the application itself saw
// refused, in the policy's own opening hours.
func (b *bench) containmentBegan(p *row) error {
	detected := b.export.facts[0].Recorded
	began := b.firstRefusal(detected)
	if began.IsZero() {
		return errors.New("the application never refused anything, so containment never began")
	}
	open, err := openTime(b.policy.Time.Business, b.policy.Time.Zone, detected, began)
	if err != nil {
		return err
	}
	p.Proof = "first refusal at " + began.UTC().Format(time.RFC3339)
	return p.took(open, "simulated", "person")
}

// firstRefusal is when the application itself first refused something after an instant; zero: never.
func (b *bench) firstRefusal(after time.Time) (began time.Time) {
	earlier := func(t time.Time) {
		if !t.IsZero() && !t.Before(after) && (began.IsZero() || t.Before(began)) {
			began = t
		}
	}
	earlier(b.seen.Token.FirstRefusal)
	for _, r := range b.requests {
		if r.Status == http.StatusServiceUnavailable {
			earlier(r.Time)
		}
	}
	return began
}

var weekday = map[string]time.Weekday{"Mon": 1, "Tue": 2, "Wed": 3, "Thu": 4, "Fri": 5, "Sat": 6, "Sun": 0}

// openTime is how much of the time between two instants lies in opening hours such as
// "Mon-Fri 09:00-17:00", minute by minute.
func openTime(hours, zone string, from, to time.Time) (time.Duration, error) {
	days, span, ok := strings.Cut(hours, " ")
	first, last, ranged := strings.Cut(days, "-")
	opens, closes, ok2 := strings.Cut(span, "-")
	loc, err := time.LoadLocation(zone)
	if !ok || !ranged || !ok2 || err != nil {
		return 0, fmt.Errorf("the judge cannot read the opening hours %q in %q", hours, zone)
	}
	a, known := weekday[first]
	z, known2 := weekday[last]
	if !known || !known2 || a > z || to.Sub(from) > 60*24*time.Hour {
		return 0, fmt.Errorf("the judge cannot count %q", hours)
	}
	var open time.Duration
	for t := from; t.Before(to); t = t.Add(time.Minute) {
		local := t.In(loc)
		if clock := local.Format("15:04"); local.Weekday() >= a && local.Weekday() <= z && clock >= opens && clock < closes {
			open += time.Minute
		}
	}
	return open, nil
}

// summarised: every merchant whose data was taken has the summary, whole, within the limit after
// service returned.
func (b *bench) summarised(p *row) error {
	duty, items, ok := b.dutyFor("REV-2")
	if !ok || len(items) == 0 {
		return errors.New("the policy has no notice that promises it, or one without content")
	}
	restored := b.export.of("service.restored")
	if len(restored) == 0 {
		return errors.New("service never returned, so no clock began")
	}
	return b.letters(p, duty, items, restored[0].Recorded)
}

// letters: every merchant that was affected has the notice of a duty, whole, within the limit.
func (b *bench) letters(p *row, duty string, items []string, from time.Time) error {
	notice, content := b.written(duty)
	mine := map[string]string{} // Message-ID to merchant
	for _, f := range b.export.of("notice.attempted") {
		var body struct{ Notice string }
		if f.body(&body); body.Notice != notice {
			continue
		}
		for id, m := range messages(f) {
			mine[id] = m
		}
	}
	told := map[string]letter{}
	var last time.Time
	for _, l := range b.mails {
		m := b.merchants[mine[l.MessageID]]
		if m == nil || !m.reached(l.Rcpt) {
			continue
		}
		for _, item := range items {
			if content[item] == "" || !strings.Contains(flat(l.text), flat(content[item])) {
				return fmt.Errorf("%s does not say %s", l.File, item)
			}
		}
		if told[m.id].File == "" {
			told[m.id] = l
			if l.At.After(last) {
				last = l.At
			}
		}
	}
	_, want := b.truthBy()
	for m := range want {
		if told[m].File == "" {
			return fmt.Errorf("%s has no letter of %s", m, duty)
		}
	}
	p.Proof = fmt.Sprintf("%d mails of %s", len(told), notice)
	return p.took(last.Sub(from), "simulated", "person")
}
