package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// response says how long everything took against what was promised, and what was done.
func (d *drafter) response() []Block {
	var out []Block
	if rows := d.clocks(); len(rows) > 1 {
		out = append(out, Block{Text: "Clocks: what was promised and what it took."}, Block{Rows: rows, Wide: []float64{3, 3, 3, 3, 3}})
	}
	if rows := d.actions(); len(rows) > 1 {
		out = append(out, Block{Text: "Containment and recovery."}, Block{Rows: rows, Wide: []float64{2, 2, 3, 5}})
	}
	if rows := d.notices(); len(rows) > 1 {
		out = append(out, Block{Text: "Notices."}, Block{Rows: rows, Wide: []float64{2, 3, 5}})
	}
	if rows := d.checks(); len(rows) > 1 {
		out = append(out, Block{Text: "Checks before service returned."}, Block{Rows: rows, Wide: []float64{2, 2, 3, 5}})
	}
	var refused []string
	for _, r := range d.s.Refusals {
		var missing []string
		for _, m := range r.Missing {
			missing = append(missing, oneLine(m.What))
		}
		refused = append(refused, fmt.Sprintf("%s: %s asked to %s and was refused; missing: %s.", d.stamp(r.At), d.who(r.By), words(r.Command), cmp.Or(strings.Join(missing, "; "), string(r.Reason))))
	}
	if len(refused) > 0 {
		out = append(out, Block{Text: "What the rules refused."}, Block{Items: refused})
	}
	return out
}

// clocks has one row per duty, its recipients together.
func (d *drafter) clocks() [][]string {
	byDuty := map[string][]*incident.DutyInstance{}
	for _, i := range d.s.Duties {
		byDuty[i.Duty] = append(byDuty[i.Duty], i)
	}
	rows := [][]string{{"Duty", "Promised", "Taken", "State", "Why"}}
	for _, id := range sortedKeys(byDuty) {
		all := byDuty[id]
		slices.SortFunc(all, func(a, b *incident.DutyInstance) int { return cmp.Compare(a.Key, b.Key) })
		decl := d.duty(id)
		rows = append(rows, []string{words(id), d.promised(decl, all), d.taken(all), d.states(id, all), d.why(all)})
	}
	return rows
}

func (d *drafter) duty(id string) *policy.Duty {
	if d.Program == nil {
		return nil
	}
	for i := range d.Program.Duties {
		if d.Program.Duties[i].ID == id {
			return &d.Program.Duties[i]
		}
	}
	return nil
}

// promised is the rule as written and the limit it came to.
func (d *drafter) promised(decl *policy.Duty, all []*incident.DutyInstance) string {
	var said []string
	if decl != nil {
		for _, c := range decl.Due {
			said = append(said, oneLine(c.Text))
		}
	}
	out := cmp.Or(strings.Join(said, " or "), "no limit")
	var earliest *incident.DutyInstance
	for _, i := range all {
		if !i.Due.IsZero() && (earliest == nil || i.Due.Before(earliest.Due)) {
			earliest = i
		}
	}
	if earliest != nil {
		out += fmt.Sprintf("; by %s", d.stamp(earliest.Due))
		if e := earliest.Earliest; !e.IsZero() && e.Before(earliest.Due) {
			out += fmt.Sprintf(" (once shown as %s)", d.stamp(e))
		}
	}
	return out
}

// taken is the longest it took of those that were done.
func (d *drafter) taken(all []*incident.DutyInstance) string {
	var longest time.Duration
	var slowest *incident.DutyInstance
	for _, i := range all {
		if !i.Met.IsZero() && !i.Started.IsZero() && (slowest == nil || i.Met.Sub(i.Started) > longest) {
			slowest, longest = i, i.Met.Sub(i.Started)
		}
	}
	if slowest == nil {
		return "not done"
	}
	out := length(longest)
	if len(all) > 1 {
		out = "at most " + out
	}
	switch margin := slowest.Due.Sub(slowest.Met); {
	case slowest.Due.IsZero():
		out += ", no limit to hold"
	case margin >= 0:
		out += fmt.Sprintf(", %s before the limit", length(margin))
	default:
		out += fmt.Sprintf(", %s after the limit", length(margin))
	}
	return out
}

// states counts how the instances of a duty stand, and notes what is still owed.
func (d *drafter) states(id string, all []*incident.DutyInstance) string {
	count := map[string]int{}
	owed, missed := 0, 0
	for _, i := range all {
		count[words(string(i.State))]++
		switch i.State {
		case incident.DutyRunning, incident.DutyProvisional, incident.DutyAtRisk, incident.DutyMissed:
			if d.duty(id) == nil || d.duty(id).Do != policy.Review {
				owed++
			}
		}
		if !i.Missed.IsZero() {
			missed++
		}
	}
	if owed > 0 {
		d.missing = append(d.missing, fmt.Sprintf("The duty %q is still owed (%d of %d).", words(id), owed, len(all)))
	}
	var out []string
	for _, s := range sortedKeys(count) {
		if len(all) == 1 {
			out = append(out, s)
			continue
		}
		out = append(out, fmt.Sprintf("%s %d", s, count[s]))
	}
	text := strings.Join(out, ", ")
	if missed > 0 {
		text += fmt.Sprintf("; the limit passed for %d", missed)
	}
	return text
}

func (d *drafter) why(all []*incident.DutyInstance) string {
	var said []string
	for _, i := range all {
		if w := oneLine(i.Why); w != "" && !slices.Contains(said, w) {
			said = append(said, w)
		}
	}
	if len(said) > 3 {
		said = append(said[:3], "…")
	}
	return strings.Join(said, "; ")
}

func (d *drafter) actions() [][]string {
	rows := [][]string{{"Action", "State", "Times", "Proof"}}
	for _, a := range d.s.Actions {
		times := []string{"planned " + d.stamp(a.PlannedAt)}
		for _, s := range a.Approvals {
			times = append(times, fmt.Sprintf("approved by %s %s", d.who(s.By), d.stamp(s.At)))
		}
		if !a.AppliedAt.IsZero() {
			times = append(times, "applied "+d.stamp(a.AppliedAt))
		}
		if !a.ProvenAt.IsZero() {
			times = append(times, "proven "+d.stamp(a.ProvenAt))
		}
		rows = append(rows, []string{fmt.Sprintf("%s %s", a.ID, words(a.Decl)), words(string(a.State)), strings.Join(times, "; "), oneLine(a.Proof)})
	}
	return rows
}

func (d *drafter) notices() [][]string {
	rows := [][]string{{"Notice", "Sent", "Deliveries"}}
	for _, n := range d.s.Notices {
		count := map[string]int{}
		for _, v := range n.Deliveries {
			count[words(string(v.State))]++
		}
		var out []string
		for _, s := range sortedKeys(count) {
			out = append(out, fmt.Sprintf("%s %d", s, count[s]))
		}
		sent := "not sent"
		if !n.SentAt.IsZero() {
			sent = fmt.Sprintf("%s by %s", d.stamp(n.SentAt), d.who(n.SentBy))
		}
		rows = append(rows, []string{fmt.Sprintf("%s %s", n.ID, words(n.Duty)), sent, cmp.Or(strings.Join(out, ", "), "none")})
	}
	return rows
}

func (d *drafter) checks() [][]string {
	rows := [][]string{{"Check", "Result", "When", "Observed"}}
	for _, id := range sortedKeys(d.s.Checks) {
		c := d.s.Checks[id]
		rows = append(rows, []string{words(id), words(c.State), d.stamp(c.At), oneLine(c.Observe)})
	}
	return rows
}
