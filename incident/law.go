package incident

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// lawKey is all of a question to the catalogue that differs between the recipients of one duty.
type lawKey struct {
	duty      string
	recipient string
}

// byLaw asks the catalogue, and counts every clock that applies or may by the law's own rules, from
// the law's own milestone. When the catalogue knows none, the duty is due promptly and says so: a
// deadline that nobody has looked up is not one that is not there.
func (t *timer) byLaw(s *State, c *policy.Clock, names []string, sub subject, v *policy.View) []clockAt {
	list := t.ask(s, sub, v)
	if len(list) == 0 {
		why := "no law is known for this"
		if t.p.Laws == nil {
			why = "no catalogue of laws is at hand"
		}
		return []clockAt{t.promptly(s, c, names, sub, why)}
	}
	out := make([]clockAt, 0, len(list))
	for i := range list {
		l := &list[i]
		at := clockAt{text: l.Text, law: l.ID, source: l.Source}
		if l.Source != "" && !strings.Contains(l.Text, l.Source) {
			at.text += ": " + l.Source
		}
		switch l.Applies.Value {
		case policy.False:
			at.ruledOut = l.Regime + " does not apply: " + l.Applies.Why
			out = append(out, at)
			continue
		case policy.Unknown:
			at.unknown = slices.Clone(l.Applies.Missing)
			if len(at.unknown) == 0 {
				at.unknown = []string{"law." + l.ID}
			}
		}
		from := instant(s, l.Anchor, sub)
		if !from.IsZero() {
			at.anchored, at.anchor, at.started = true, l.Anchor, from
			if l.Span.Target != nil {
				at.target = t.lawCount(l, from, *l.Span.Target)
			}
			if l.Span.Limit != nil {
				at.due = t.lawCount(l, from, *l.Span.Limit)
			}
			if l.Span.Open() {
				if p := t.p.Promptly; p.N > 0 {
					at.target = t.add(from, p) // the law says without delay and no number
				}
			}
		}
		out = append(out, at)
	}
	return out
}

func (t *timer) lawCount(l *policy.LawClock, from time.Time, span calendar.Length) time.Time {
	zone, hours := l.Zone, l.Hours
	if zone == nil {
		zone = t.zone()
	}
	if hours.Never() {
		hours = calendar.Always(zone)
	}
	return t.countIn(sum{from.UnixNano(), span, false, l.ID}, from, zone, hours)
}

// ask puts the question of one duty and one recipient to the catalogue, once in a decision.
func (t *timer) ask(s *State, sub subject, v *policy.View) []policy.LawClock {
	if t.p.Laws == nil {
		return nil
	}
	q := policy.LawQuestion{Do: sub.d.Do, Party: partyKind(t.p, sub.d), Facts: v.Facts, Within: t.p.Places}
	if v.Scope != nil {
		q.DataTypes = v.Scope.DataTypes
	}
	asked := slices.ContainsFunc(t.p.Facts, func(f policy.FactDecl) bool { return f.ID == policy.RegionsFact && f.Type == "string" })
	if answer, ok := v.Facts[policy.RegionsFact].(string); ok && asked {
		if regions, err := policy.ParseRegions(answer); err == nil {
			q.Regions = regions
		}
	}
	k := lawKey{duty: sub.d.ID}
	if sub.recipient != "" && toMerchants(t.p, sub.d) {
		q.Recipient = recipientView(s, sub.recipient)
		if len(q.Recipient.DataTypes) > 0 {
			q.DataTypes = q.Recipient.DataTypes
		}
		r := q.Recipient
		// Merchants that differ in their id alone get the same answer.
		k.recipient = strings.Join([]string{r.Country, r.Region, r.Zone, r.Language, r.Exposure, strconv.FormatInt(r.Customers, 10),
			strconv.FormatInt(r.Records, 10), strings.Join(r.DataTypes, ","), fmt.Sprint(r.Contract != nil)}, "\x00")
	}
	if list, ok := t.laws[k]; ok {
		return list
	}
	list := t.p.Laws.Clocks(q)
	if asked {
		for i := range list {
			// What nobody has computed is asked of somebody: the question is the policy's.
			list[i].Applies.Missing = slices.Clone(list[i].Applies.Missing)
			for j, name := range list[i].Applies.Missing {
				if name == "scope.regions" {
					list[i].Applies.Missing[j] = "fact." + policy.RegionsFact
				}
			}
		}
	}
	if t.laws == nil {
		t.laws = map[lawKey][]policy.LawClock{}
	}
	t.laws[k] = list
	return list
}

// partyKind is what law calls the party a duty tells. Merchants decide what their customers' data
// is used for: where the policy does not say otherwise they are controllers.
func partyKind(p *policy.Program, d *policy.Duty) string {
	id := partyOf(d)
	for i := range p.Parties {
		x := &p.Parties[i]
		if x.ID != id {
			continue
		}
		if x.Kind == "" && (x.Affected || x.All) {
			return "controller"
		}
		return x.Kind
	}
	return ""
}

// byContract counts the term of notice that the directory holds for the merchant.
func (t *timer) byContract(s *State, c *policy.Clock, names []string, sub subject) clockAt {
	r := s.Directory[sub.recipient]
	if r == nil || r.ContractHours <= 0 {
		return t.promptly(s, c, names, sub, "no term is known of this contract")
	}
	span := calendar.Span{Limit: &calendar.Length{N: r.ContractHours, Unit: calendar.Hour}}
	text := fmt.Sprintf("%s: %dh after %s", clockText(c, names), r.ContractHours, strings.Join(names, " or "))
	return t.counted(s, c, names, sub, span, text)
}

// promptly is the clock that stands in for a deadline that is not known: what the policy put behind
// it, else its promptly; none where another clock of the list runs.
func (t *timer) promptly(s *State, c *policy.Clock, names []string, sub subject, why string) clockAt {
	if c.Beside {
		return clockAt{text: clockText(c, names), ruledOut: why}
	}
	why += ": promptly"
	span := c.Span
	if span.Open() && t.p.Promptly.N > 0 {
		promptly := t.p.Promptly
		span.Target = &promptly
	}
	return t.counted(s, c, names, sub, span, clockText(c, names)+"; "+why)
}
