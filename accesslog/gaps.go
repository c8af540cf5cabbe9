package accesslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/scope/tally"
)

// What counts as a gap: at least gapSlots slots without an event, each of them usually busy, such
// that so much silence would come by chance less often than gapChance.
const (
	gapHistory = 28 * 24 * time.Hour
	gapSlots   = 2
	gapChance  = 1e-3
	gapDays    = 3 // days of the same sort needed before "usually" means anything
	slotsOfDay = int64(24 * time.Hour / slotLen)
)

// Gaps returns the times in the window in which a source of events of this kind said nothing
// although it usually does at that time of day, on such a day of the week. A source that sends
// late fills its gap: only the events' own times count. The part of the window that has not
// happened yet is not looked at.
func (s *Store) Gaps(ctx context.Context, kind string, from, to time.Time) ([]tally.Gap, error) {
	if now := s.o.Now().UTC(); to.After(now) {
		to = now
	}
	s.caughtUp(ctx)
	ids, err := s.lookup(ctx, []string{kind})
	if err != nil || len(ids) == 0 || !from.Before(to) {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT n.s, p.slot FROM pulse p JOIN name n ON n.id = p.source
		WHERE p.kind = ? AND p.slot BETWEEN ? AND ? ORDER BY n.s, p.slot`,
		ids[0], slotOf(from.Add(-gapHistory)), slotOf(to.Add(gapHistory)))
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	defer rows.Close()
	var out []tally.Gap
	var name string
	var slots []int64
	end := func() {
		if len(slots) > 0 {
			for _, g := range silences(slots, from, to) {
				out = append(out, tally.Gap{Source: name, From: g[0], To: g[1]})
			}
		}
	}
	for rows.Next() {
		var source string
		var slot int64
		if err := rows.Scan(&source, &slot); err != nil {
			return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		if source != name {
			end()
			name, slots = source, nil
		}
		slots = append(slots, slot)
	}
	end()
	return out, rows.Err()
}

// quiet notes since when each source has said nothing of any kind although it usually does at this time.
// The ten minutes that are not over yet are not looked at.
func (s *Store) quiet(ctx context.Context, all []Heard) error {
	now := s.o.Now().UTC()
	over := slotTime(slotOf(now))
	from := over.Add(-24 * time.Hour)
	for i := range all {
		rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT p.slot FROM pulse p JOIN name n ON n.id = p.source
			WHERE n.s = ? AND p.slot BETWEEN ? AND ? ORDER BY p.slot`, all[i].Name, slotOf(from.Add(-gapHistory)), slotOf(now))
		if err != nil {
			return fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		var slots []int64
		for rows.Next() {
			var slot int64
			if err := rows.Scan(&slot); err != nil {
				return errors.Join(fmt.Errorf("accesslog: read %s: %w", fileName, err), rows.Close())
			}
			slots = append(slots, slot)
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		if len(slots) == 0 || slots[len(slots)-1] >= slotOf(over) {
			continue // it said something a moment ago
		}
		if gaps := silences(slots, from, over); len(gaps) > 0 && gaps[len(gaps)-1][1].Equal(over) {
			all[i].Quiet = gaps[len(gaps)-1][0]
		}
	}
	return nil
}

// silences finds the gaps of one source from the slots, ascending, in which it said something.
func silences(slots []int64, from, to time.Time) [][2]time.Time {
	busy := make(map[int64]bool, len(slots))
	for _, s := range slots {
		busy[s] = true
	}
	first, last := slots[0], max(slots[len(slots)-1], slotOf(to)-1)
	usual := habits(busy, first, last)
	var out [][2]time.Time
	var start int64
	chance, length := 1.0, int64(0)
	end := func() {
		if length >= gapSlots && chance < gapChance {
			a, b := slotTime(start), slotTime(start+length)
			if a.Before(from) {
				a = from
			}
			if b.After(to) {
				b = to
			}
			out = append(out, [2]time.Time{a, b})
		}
		chance, length = 1, 0
	}
	// A slot at the edge of the window is looked at only when all of it lies before the end.
	for slot := max(first, slotOf(from)); !slotTime(slot + 1).After(to); slot++ {
		quiet, known := usual(slot)
		if busy[slot] || !known || quiet > 0.5 {
			end()
			continue
		}
		if length == 0 {
			start = slot
		}
		length++
		chance *= quiet
	}
	end()
	return out
}

// habits returns a function that says how likely a slot is to be silent: the share of other days
// of the same sort (working day or weekend) on which it was, smoothed so that nothing is certain.
func habits(busy map[int64]bool, first, last int64) func(slot int64) (quiet float64, known bool) {
	type sort struct {
		weekend bool
		slot    int64
	}
	days, active := map[sort]int{}, map[sort]int{}
	of := func(slot int64) sort {
		d := slotTime(slot).Weekday()
		return sort{d == time.Saturday || d == time.Sunday, slot % slotsOfDay}
	}
	for slot := first; slot <= last; slot++ {
		k := of(slot)
		days[k]++
		if busy[slot] {
			active[k]++
		}
	}
	return func(slot int64) (float64, bool) {
		k := of(slot)
		n, a := days[k], active[k]
		if slot >= first && slot <= last { // the day itself is no evidence of its own habit
			n--
			if busy[slot] {
				a--
			}
		}
		if n < gapDays {
			return 0, false
		}
		return 1 - (float64(a)+0.5)/float64(n+1), true
	}
}
