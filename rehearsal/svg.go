package rehearsal

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// Measures of the drawing, in pixels.
const (
	svgLabel = 260 // for the names of duties
	svgPlot  = 900 // for time
	svgRow   = 26
	svgHead  = 96 // for milestones and dates
	svgMax   = 400
)

// bar is one duty with all recipients that share its clock.
type bar struct {
	duty           string
	n              int
	state          incident.DutyState
	from, to       time.Time // its anchor; when it was met, or its limit, or the end
	target, due    time.Time
	met, missed    time.Time
	open           bool // neither met nor limited
	order, instant int
}

// SVG draws the life of a rehearsed incident: a bar for each duty from its anchor to what met it,
// its target and its limit as marks, and the milestones as lines. State is told by a word and a
// mark; colour only repeats it.
func (r *Run) SVG() string {
	bars := r.bars()
	first, last := r.story.opened, r.End()
	for _, m := range r.inc.s.Milestones {
		if m.At.Before(first) {
			first = m.At
		}
		last = later(last, m.At)
	}
	for _, b := range bars {
		if b.from.Before(first) && !b.from.IsZero() {
			first = b.from
		}
		last = later(last, later(b.due, b.to))
	}
	if !last.After(first) {
		last = first.Add(time.Hour)
	}
	span := float64(last.Sub(first))
	x := func(t time.Time) float64 {
		return svgLabel + svgPlot*min(1, max(0, float64(t.Sub(first))/span))
	}
	height := svgHead + svgRow*len(bars) + 40
	width := svgLabel + svgPlot + 150
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<title id="t">%s: the clocks of a rehearsed incident</title>`+"\n", esc(r.p.Title))
	fmt.Fprintf(&b, `<desc id="d">%d clocks from %s to %s. A bar runs from a clock's start to what met it; a diamond is its limit, a ring its target.</desc>`+"\n", len(bars), stamp(first, r.p.Zone), stamp(last, r.p.Zone))
	b.WriteString(`<style>text{fill:#1a1a1a}.m{stroke:#8a8a8a;stroke-dasharray:2 3}.met{fill:#2e7d32}.missed{fill:#b3261e}.run{fill:#44546a}.prov{fill:#8d6e00}.not{fill:#9e9e9e}.q{fill:#5a5a5a}@media (prefers-color-scheme:dark){svg{background:#121212}text{fill:#eee}.q{fill:#bbb}.met{fill:#81c784}.missed{fill:#f28b82}.run{fill:#9fb3c8}.prov{fill:#e0c050}}</style>` + "\n")
	r.drawMilestones(&b, x, height)
	for i, bar := range bars {
		drawBar(&b, bar, x, svgHead+svgRow*i, last)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" class="q">%s</text><text x="%d" y="%d" class="q" text-anchor="end">%s</text>`+"\n",
		svgLabel, height-12, stamp(first, r.p.Zone), svgLabel+svgPlot, height-12, stamp(last, r.p.Zone))
	b.WriteString("</svg>\n")
	return b.String()
}

func esc(s string) string { return html.EscapeString(s) }

func (r *Run) drawMilestones(b *strings.Builder, x func(time.Time) float64, height int) {
	type mark struct {
		name string
		at   time.Time
	}
	var marks []mark
	for name, m := range r.inc.s.Milestones {
		marks = append(marks, mark{name, m.At})
	}
	slices.SortFunc(marks, func(a, c mark) int { return cmp.Or(a.at.Compare(c.at), strings.Compare(a.name, c.name)) })
	for i, m := range marks {
		fmt.Fprintf(b, `<line class="m" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x(m.at), x(m.at), 14+i%6*13, height-28)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s<title>%s %s</title></text>`+"\n", x(m.at)+3, 12+i%6*13, esc(m.name), esc(m.name), stamp(m.at, r.p.Zone))
	}
}

func drawBar(b *strings.Builder, d bar, x func(time.Time) float64, y int, last time.Time) {
	name := strings.ReplaceAll(d.duty, "_", " ")
	if d.n > 1 {
		name += fmt.Sprintf(" (%d)", d.n)
	}
	class, word := look(d.state)
	to := d.to
	if to.IsZero() {
		to = last
	}
	fmt.Fprintf(b, `<g><title>%s, %s</title><text x="4" y="%d">%s</text>`, esc(name), word, y+16, esc(clipRunes(name, 38)))
	if !d.from.IsZero() {
		fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="12" rx="2" opacity="%s"/>`, class, x(d.from), y+6, max(2, x(to)-x(d.from)), map[bool]string{true: "0.45", false: "0.85"}[d.open])
	}
	if !d.target.IsZero() {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%d" r="4" fill="none" stroke="currentColor"><title>target</title></circle>`, x(d.target), y+12)
	}
	if !d.due.IsZero() {
		fmt.Fprintf(b, `<path d="M%.1f %d l5 6 l-5 6 l-5 -6 z" class="%s" stroke="currentColor"><title>limit</title></path>`, x(d.due), y+6, class)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%d" class="q">%s</text></g>`+"\n", x(later(to, d.due))+9, y+16, word)
}

func clipRunes(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// look is how a state is drawn: a colour, and the mark and word that say the same without it.
func look(s incident.DutyState) (class, word string) {
	switch s {
	case incident.DutyMet:
		return "met", "✓ met"
	case incident.DutyMetLate:
		return "missed", "✕ met late"
	case incident.DutyMissed:
		return "missed", "✕ missed"
	case incident.DutyProvisional:
		return "prov", "◐ provisional"
	case incident.DutyNot, incident.DutyStopped, incident.DutyWaived:
		return "not", "– " + strings.ReplaceAll(string(s), "_", " ")
	case incident.DutyWaiting:
		return "not", "○ waiting"
	}
	return "run", strings.ReplaceAll(string(s), "_", " ")
}

// bars groups the instances that share a clock.
func (r *Run) bars() []bar {
	order := map[string]int{}
	for i, d := range r.p.Duties {
		order[d.ID] = i
	}
	type key struct {
		duty, state           string
		from, due, target, to int64
	}
	at := map[key]int{}
	var list []bar
	for _, d := range incident.Clocks(r.p, r.inc.s) {
		if d.Started.IsZero() {
			continue
		}
		to := d.Met
		if to.IsZero() {
			to = later(d.Due, d.Target)
		}
		k := key{d.Duty, string(d.State), d.Started.UnixNano(), d.Due.UnixNano(), d.Target.UnixNano(), to.UnixNano()}
		if i, ok := at[k]; ok {
			list[i].n++
			continue
		}
		if len(list) == svgMax {
			break
		}
		at[k] = len(list)
		list = append(list, bar{duty: d.Duty, n: 1, state: d.State, from: d.Started, to: to, target: d.Target, due: d.Due,
			met: d.Met, missed: d.Missed, open: d.Met.IsZero(), order: order[d.Duty], instant: d.Round})
	}
	slices.SortStableFunc(list, func(a, b bar) int {
		return cmp.Or(cmp.Compare(a.order, b.order), a.from.Compare(b.from), cmp.Compare(a.instant, b.instant))
	})
	return list
}
