package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/scope/tally"
)

// daysFile holds the facts about days of the access log that were removed.
const daysFile = "days.ndjson"

// orgChain is the chain of the facts that belong to no incident.
const orgChain = "org"

// maxAhead is how far an event's own time may be after the time at which it came: one that claims more
// is logged under that.
const maxAhead = 5 * time.Minute

// Removed is a UTC day of the access log whose events were removed when their time was over, as a fact
// in the facts log says. The hashes of its leaves are still in the tree.
type Removed struct {
	Day    string    `json:"day"`
	Leaves uint64    `json:"leaves"`
	Events int64     `json:"events"` // that came on the day
	Fact   string    `json:"fact"`   // that says so
	At     time.Time `json:"at"`
	Keep   string    `json:"keep"`  // how long days were kept
	Basis  string    `json:"basis"` // why it went

	stretches []stretch
	day       time.Time
}

// Short is a scope some of whose events were removed with their days: its numbers are those that the
// fact recorded when it was computed, and Shown of its Events are there to be counted again.
type Short struct {
	Scope  uint64   `json:"scope"`
	Events int64    `json:"events"`
	Shown  int64    `json:"shown"`
	Days   []string `json:"days"` // of which they may have been
}

// stretch is consecutive leaves of a day, and the positions of their events.
type stretch struct {
	Leaf   uint64 `json:"leaf"`
	Leaves uint64 `json:"leaves"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
}

// dayBody is the body of epoch.closed and of epoch.pruned.
type dayBody struct {
	Day        string    `json:"day"`
	Stretches  []stretch `json:"stretches"`
	Checkpoint string    `json:"checkpoint"`
	Keep       string    `json:"keep"`
	Basis      string    `json:"basis"`
}

// checkDays checks the facts about removed days: each is in the facts log, says where in the events log
// its day stands under a checkpoint that covers it, and was preceded by the fact that closed the day.
func (c *checker) checkDays() error {
	if c.archive.files[daysFile] == nil {
		return nil
	}
	closed := map[string][]stretch{}
	var points []earlier
	last := int64(-1)
	c.lines(daysFile, CodeRemoved, func(n int, line []byte) {
		var f factLine
		if err := strict(line, &f); err != nil || f.Anchor == nil {
			c.find(CodeRemoved, daysFile, "line %d is not a fact", n)
			return
		}
		h, ok := headerOf(&f)
		var b dayBody
		if !ok || json.Unmarshal(h.Body, &b) != nil || h.Chain != orgChain {
			c.find(CodeRemoved, daysFile, "line %d is not a fact about a day of the access log", n)
			return
		}
		what := fmt.Sprintf("line %d, %s", n, safe(h.ID))
		if at := *f.Anchor; at <= last || at >= int64(len(c.facts.leaves)) || factHash(&f) != f.Hash || !bytes.Equal(c.facts.leaves[at], factLeaf(h.ID, f.Hash)) {
			c.find(CodeRemoved, daysFile, "%s: the facts log does not hold it in this place", what)
			return
		}
		last = *f.Anchor
		cp, err := c.openCheckpoint([]byte(b.Checkpoint))
		day, err2 := time.Parse(time.DateOnly, b.Day)
		switch {
		case err2 != nil || !ascending(b.Stretches):
			c.find(CodeRemoved, daysFile, "%s: it does not say which leaves of which day", what)
			return
		case err != nil:
			c.find(CodeRemoved, daysFile, "%s: its checkpoint: %v", what, err)
			return
		case cp.origin != c.events.origin || end(b.Stretches) > cp.size:
			c.find(CodeRemoved, daysFile, "%s: its checkpoint does not cover the leaves of %s", what, b.Day)
			return
		}
		points = append(points, earlier{cp, daysFile, "the checkpoint of " + what, nil})
		switch h.Kind {
		case "epoch.closed":
			if closed[b.Day] != nil {
				c.find(CodeRemoved, daysFile, "%s: %s was closed before", what, b.Day)
			}
			closed[b.Day] = b.Stretches
		case "epoch.pruned":
			if slices.ContainsFunc(c.report.Removed, func(r Removed) bool { return r.Day == b.Day }) {
				c.find(CodeRemoved, daysFile, "%s: %s was removed before", what, b.Day)
				return
			}
			if b.Keep == "" || b.Basis == "" || h.Recorded.Before(day.AddDate(0, 0, 1)) {
				c.find(CodeRemoved, daysFile, "%s: it does not say for how long days are kept and why %s went, or is older than the day's end", what, b.Day)
				return
			}
			if !within(b.Stretches, closed[b.Day]) {
				c.find(CodeRemoved, daysFile, "%s: it removes other leaves than the fact that closed %s gives to that day", what, b.Day)
				return
			}
			r := Removed{Day: b.Day, Fact: safe(h.ID), At: h.Recorded, Keep: safe(b.Keep), Basis: safe(b.Basis), stretches: b.Stretches, day: day}
			for _, x := range b.Stretches {
				r.Leaves += x.Leaves
				r.Events += int64(x.Last - x.First + 1)
			}
			c.report.Removed = append(c.report.Removed, r)
		default:
			c.find(CodeRemoved, daysFile, "%s: it is not a fact about a day of the access log", what)
		}
	})
	c.consistent(points)
	slices.SortFunc(c.report.Removed, func(a, b Removed) int { return strings.Compare(a.Day, b.Day) })
	told := map[uint64]bool{}
	for _, e := range c.shown {
		for _, r := range c.report.Removed {
			if r.holds(e.leaf) && !told[e.leaf] {
				told[e.leaf] = true
				c.find(CodeRemoved, eventsFile, "events of leaf %d are shown, and the fact %s says that they were removed", e.leaf, r.Fact)
			}
		}
	}
	return nil
}

// ascending says whether stretches are leaves in order, each with events.
func ascending(list []stretch) bool {
	for i, x := range list {
		if x.Leaves == 0 || x.First == 0 || x.Last < x.First || x.Leaf+x.Leaves < x.Leaf || i > 0 && x.Leaf < list[i-1].Leaf+list[i-1].Leaves {
			return false
		}
	}
	return len(list) > 0
}

// end is the leaf after the last of stretches.
func end(list []stretch) uint64 { return list[len(list)-1].Leaf + list[len(list)-1].Leaves }

// within says whether every leaf of some stretches is one of others.
func within(some, others []stretch) bool {
	for _, x := range some {
		at := x.Leaf
		for _, y := range others {
			if y.Leaf <= at && at < y.Leaf+y.Leaves {
				at = y.Leaf + y.Leaves
			}
		}
		if at < x.Leaf+x.Leaves {
			return false
		}
	}
	return true
}

func (r *Removed) holds(leaf uint64) bool {
	return slices.ContainsFunc(r.stretches, func(x stretch) bool { return x.Leaf <= leaf && leaf < x.Leaf+x.Leaves })
}

// removedFor are the removed days that may have held events a scope counted, and how many events they
// had: days with leaves that the scope is defined on, and not over before its window began.
func (c *checker) removedFor(from time.Time, size uint64) (days []string, most int64) {
	for _, r := range c.report.Removed {
		if !from.IsZero() && !r.day.AddDate(0, 0, 1).After(from.Add(-maxAhead)) {
			continue
		}
		before := most
		for _, x := range r.stretches {
			if x.Leaf < size {
				most += int64(x.Last - x.First + 1)
			}
		}
		if most > before {
			days = append(days, r.Day)
		}
	}
	return days, most
}

// checkShort checks a scope of which events are missing, and says whether removed days account for it.
// What is left of its events may give smaller numbers than the fact recorded, never others; and no more
// may be missing than came on the days that were removed.
func (c *checker) checkShort(name string, s *scopeFile, fact json.RawMessage, q *tally.Query, sums *tally.Tally) bool {
	t := sums.Totals()
	days, most := c.removedFor(q.From, s.Size)
	missing := s.Events - t.Events
	if missing <= 0 || len(days) == 0 {
		return false
	}
	c.report.Short = append(c.report.Short, Short{Scope: number(name), Events: s.Events, Shown: t.Events, Days: days})
	if missing > most {
		c.find(CodeScopeRows, name, "%d of its events are missing, and only %d came on the days that facts say were removed", missing, most)
	}
	var rows []tally.Row
	if json.Unmarshal(s.Rows, &rows) != nil || !fits(sums.Rows(), rows) {
		c.find(CodeScopeRows, name, "the events that are left give merchants or numbers that are not part of those it shows")
		return true
	}
	whole := tally.Row{Events: s.Events, Records: s.Records, Customers: s.Customers, AtLeast: s.AtLeast, DataTypes: s.DataTypes, First: s.First, Last: s.Last, Supplied: s.Supplied}
	t.Stores = nil
	var events, customers int64
	for _, r := range rows {
		events, customers = events+r.Events, customers+r.Customers
	}
	if !fit(&t, &whole) || events > s.Events || customers > s.Customers {
		c.find(CodeScopeRows, name, "its totals do not fit its merchants, or the events that are left")
	}
	// What is beside the rows cannot be counted again: it has to be what the fact recorded.
	var recorded scopeFile
	if json.Unmarshal(fact, &recorded) != nil || recorded.AtLeast != s.AtLeast || !slices.Equal(recorded.DataTypes, s.DataTypes) ||
		!recorded.First.Equal(s.First) || !recorded.Last.Equal(s.Last) || !slices.Equal(recorded.Regions, s.Regions) || !slices.Equal(recorded.Supplied, s.Supplied) {
		c.find(CodeScopeFact, name, "events of it were removed, and its totals, regions or files are not those that the fact recorded")
	}
	if s.Step != 0 || len(s.Timeline) > 0 {
		c.find(CodeScopeRows, name, "events of it were removed, and it shows a timeline that nobody can count again")
	}
	return true
}

// fits says whether rows of some of the events can belong to those of all of them.
func fits(some, all []tally.Row) bool {
	by := map[string]*tally.Row{}
	for i := range all {
		by[all[i].Merchant] = &all[i]
	}
	if len(by) != len(all) {
		return false
	}
	return !slices.ContainsFunc(some, func(r tally.Row) bool { return by[r.Merchant] == nil || !fit(&r, by[r.Merchant]) })
}

// fit says whether sums over some events can belong to those over all of them.
func fit(some, all *tally.Row) bool {
	switch {
	case some.Events == 0:
		return true
	case some.Events == all.Events && (some.Records != all.Records || some.Customers != all.Customers || !some.First.Equal(all.First) || !some.Last.Equal(all.Last)):
		return false
	}
	return some.Events <= all.Events && some.Records <= all.Records && some.Customers <= all.Customers && (all.AtLeast || !some.AtLeast) &&
		!some.First.Before(all.First) && !some.Last.After(all.Last) &&
		among(some.Stores, all.Stores, tally.MaxStores) && among(some.DataTypes, all.DataTypes, tally.MaxTypes) &&
		(len(all.Supplied) == tally.MaxFiles || !slices.ContainsFunc(some.Supplied, func(x tally.Supplied) bool {
			return !slices.ContainsFunc(all.Supplied, func(y tally.Supplied) bool { return x.File == y.File && x.Events <= y.Events })
		}))
}

// among says whether a list is part of another one, which may have been cut at its most.
func among(some, all []string, most int) bool {
	return len(all) == most || !slices.ContainsFunc(some, func(x string) bool { return !slices.Contains(all, x) })
}

// short is the end of a verdict over an export of which something was removed; "" when nothing was.
func (r *Report) short() string {
	if len(r.Short) == 0 {
		return ""
	}
	most := slices.MaxFunc(r.Short, func(a, b Short) int { return cmp.Compare(a.Events-a.Shown, b.Events-b.Shown) })
	text := fmt.Sprintf("; %d of the %d events of scope %d were removed with their days, as facts in the log say, and cannot be counted again", most.Events-most.Shown, most.Events, most.Scope)
	switch n := len(r.Short) - 1; {
	case n == 1:
		text += "; nor can another scope in full"
	case n > 1:
		text += fmt.Sprintf("; nor can %d other scopes in full", n)
	}
	return text
}
