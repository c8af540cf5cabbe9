package incident

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// condition evaluates one condition for many recipients. A condition that speaks neither of the
// recipient nor of duties, whose instants may be the recipient's own, is evaluated once.
type condition struct {
	p      *policy.Program
	when   *policy.Condition
	view   *policy.View
	common *policy.Verdict // nil: it speaks of the recipient
	duties []string        // ids of duties it speaks of
	reads  []string        // fields of the recipient its answer depends on; nil: all of them
	memo   map[string]policy.Verdict
	now    time.Time
}

func newCondition(p *policy.Program, c *policy.Condition, v *policy.View, now time.Time) condition {
	k := condition{p: p, when: c, view: v, now: now}
	if c != nil {
		k.duties = spokenOf(p, c.Source)
	}
	w := *v
	w.Recipient = nil
	verdict := c.Eval(w)
	personal := len(k.duties) > 0
	for _, name := range verdict.Missing {
		personal = personal || strings.HasPrefix(name, "recipient")
	}
	if personal || c != nil && strings.Contains(c.Source, "recipient.") {
		if !strings.Contains(c.Source, "recipient.merchant") && len(k.duties) == 0 {
			k.reads = fieldsOf(c.Source)
		}
		return k
	}
	k.common = &verdict
	return k
}

// spokenOf lists the duties that a condition or a clock names an instant or a count of.
func spokenOf(p *policy.Program, source string) (ids []string) {
	if !strings.Contains(source, ".") {
		return nil
	}
	for i := range p.Duties {
		id := p.Duties[i].ID
		for rest := source; ; {
			at := strings.Index(rest, id+".")
			if at < 0 {
				break
			}
			if at == 0 || !isName(rest[at-1]) {
				ids = append(ids, id)
				break
			}
			rest = rest[at+len(id):]
		}
	}
	return ids
}

func isName(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

var recipientFields = []string{"country", "region", "zone", "language", "contract", "exposure", "customers", "records", "data_types"}

func fieldsOf(source string) (fields []string) {
	for _, f := range recipientFields {
		if strings.Contains(source, "recipient."+f) {
			fields = append(fields, f)
		}
	}
	return fields
}

// eval is the verdict for one merchant, or for nobody in particular when recipient is "".
func (c *condition) eval(s *State, recipient string) policy.Verdict {
	if c.common != nil {
		return *c.common
	}
	w := *c.view
	if recipient == "" {
		return c.when.Eval(w)
	}
	w.Recipient = recipientView(s, recipient)
	key := ""
	if c.reads != nil {
		key = keyOf(w.Recipient, c.reads)
		if v, ok := c.memo[key]; ok {
			return v
		}
	}
	if len(c.duties) > 0 {
		c.own(s, &w, recipient)
	}
	v := c.when.Eval(w)
	if c.reads != nil {
		if c.memo == nil {
			c.memo = map[string]policy.Verdict{}
		}
		c.memo[key] = v
	}
	return v
}

// keyOf holds everything of a recipient that an answer depends on: recipients that do not differ
// in it get the same.
func keyOf(r *policy.RecipientView, fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		switch f {
		case "country":
			b.WriteString(r.Country)
		case "region":
			b.WriteString(r.Region)
		case "zone":
			b.WriteString(r.Zone)
		case "language":
			b.WriteString(r.Language)
		case "contract":
			if r.Contract != nil {
				b.WriteString(strconv.FormatBool(*r.Contract))
			}
		case "exposure":
			b.WriteString(r.Exposure)
		case "customers":
			b.WriteString(strconv.FormatInt(r.Customers, 10))
		case "records":
			b.WriteString(strconv.FormatInt(r.Records, 10))
		case "data_types":
			b.WriteString(strings.Join(r.DataTypes, ","))
		}
		b.WriteByte(0)
	}
	return b.String()
}

// own puts the recipient's own instances in the place of the duties as a whole.
func (c *condition) own(s *State, w *policy.View, recipient string) {
	w.Instants = maps.Clone(w.Instants)
	sub := subject{recipient: recipient}
	for _, id := range c.duties {
		for _, event := range dutyEvents {
			name := id + "." + event
			if at := instant(s, name, sub); at.IsZero() {
				delete(w.Instants, name)
			} else {
				w.Instants[name] = at
			}
		}
	}
	if w.Duties != nil {
		w.Duties = dutyViews(c.p, s, recipient)
	}
	if w.Passed != nil {
		w.Passed = newTimer(c.p).passed(s, c.now, sub)
	}
}

// readsDuties reports whether any condition reads a count or an outcome of a duty.
func readsDuties(p *policy.Program) bool {
	return anyCondition(p, func(c *policy.Condition) bool {
		for _, f := range []string{".open_items", ".recipients", ".told", ".delivery"} {
			if strings.Contains(c.Source, f) {
				return true
			}
		}
		return false
	})
}

// anyCondition reports whether f holds for any condition of the policy.
func anyCondition(p *policy.Program, f func(*policy.Condition) bool) bool {
	is := func(c *policy.Condition) bool { return c != nil && f(c) }
	for i := range p.Severities {
		if is(p.Severities[i].When) {
			return true
		}
	}
	for i := range p.Scales {
		for j := range p.Scales[i].Levels {
			if is(p.Scales[i].Levels[j].When) {
				return true
			}
		}
	}
	for i := range p.Duties {
		d := &p.Duties[i]
		if is(d.When) || is(d.Unless) {
			return true
		}
		for j := range d.Due {
			if is(d.Due[j].When) {
				return true
			}
		}
		if d.Every != nil {
			for j := range d.Every.Cells {
				if is(d.Every.Cells[j].When) {
					return true
				}
			}
		}
	}
	for i := range p.Gates {
		if is(p.Gates[i].When) {
			return true
		}
		for _, c := range p.Gates[i].Need {
			if is(c) {
				return true
			}
		}
	}
	for i := range p.Actions {
		if is(p.Actions[i].When) {
			return true
		}
	}
	return false
}

// dutyViews counts what the notices of each duty came to: for one recipient, or as a whole.
func dutyViews(p *policy.Program, s *State, recipient string) map[string]policy.DutyView {
	views := make(map[string]policy.DutyView, len(p.Duties))
	for i := range p.Duties {
		d := &p.Duties[i]
		var v policy.DutyView
		if t := s.Tally[d.ID]; t != nil {
			v.Recipients, v.Told = int64(t.Open+t.Met), int64(t.Met)
		}
		if tells(d) {
			v.OpenItems = openItems(s, d.ID, recipient)
			v.Delivery = deliveryOf(s, d.ID, recipient)
		}
		views[d.ID] = v
	}
	return views
}

// openItems counts the content items that the notices of a duty have left open and that no later
// notice to the same recipient has said since. As a whole it is that of the recipient for whom
// most are open.
func openItems(s *State, duty, recipient string) (most int64) {
	staged := false
	for _, n := range s.Notices {
		staged = staged || n.Duty == duty && len(n.OpenItems) > 0
	}
	if !staged {
		return 0
	}
	count := func(recipient string) int64 {
		open := map[string]bool{}
		for _, n := range s.Notices { // oldest first
			if got := n.Deliveries[recipient]; got == nil || got.State != DeliveryAccepted {
				continue
			}
			for item, text := range n.Content {
				if strings.TrimSpace(text) != "" {
					delete(open, item)
				}
			}
			if n.Duty == duty {
				for _, item := range n.OpenItems {
					open[item] = true
				}
			}
		}
		return int64(len(open))
	}
	if recipient != "" {
		return count(recipient)
	}
	for _, n := range s.Notices {
		if n.Duty == duty && len(n.OpenItems) > 0 {
			for r := range n.Deliveries {
				most = max(most, count(r))
			}
		}
	}
	return most
}

// deliveryOf is the state of the newest delivery of a duty's notices to a recipient.
func deliveryOf(s *State, duty, recipient string) string {
	state := ""
	for _, n := range s.Notices {
		if n.Duty != duty {
			continue
		}
		if d := n.Deliveries[recipient]; d != nil {
			state = string(d.State)
			if d.State == DeliveryDeferred {
				state = string(DeliveryTrying)
			}
		}
	}
	return state
}
