package incident

import (
	"slices"

	"github.com/tocsin-ir/tocsin/policy"
)

// What somebody was told may turn out not to be so: a later scope counts more customers of a
// merchant, or shows that it was never affected. The letter that told them stays as it was; another
// one corrects it. Which recipients that is follows from the state alone: a delivery keeps the numbers
// that the recipient had when the letter was written.

// numbersOf is a merchant's own numbers, nil where it has none or is not in scope.
func (s *State) numbersOf(merchant string) *Exposure {
	if !s.inScope(merchant) {
		return nil
	}
	return s.Row(merchant)
}

// InScope reports whether a merchant is affected, as far as is known.
func InScope(s *State, merchant string) bool { return s.inScope(merchant) }

// LastTold is the newest delivery of a duty's notices that a recipient accepted, and the notice, or
// nil.
func LastTold(s *State, duty, recipient string) (last *Delivery, by *Notice) {
	for _, n := range s.Notices {
		if d := n.Deliveries[recipient]; n.Duty == duty && d != nil && d.State == DeliveryAccepted && (last == nil || !d.At.Before(last.At)) {
			last, by = d, n
		}
	}
	return last, by
}

// Outdated lists the merchants whom a duty's notices told something that is not so any more, sorted:
// their numbers are others now, or they are not in scope. It is nobody for a duty that tells no
// merchants: what such a notice says has no numbers that change by themselves.
func Outdated(p *policy.Program, s *State, dutyID string) []string {
	d := dutyOf(p, dutyID)
	if d == nil || !toMerchants(p, d) {
		return nil
	}
	var list []string
	for _, m := range toldBy(s, dutyID) {
		if last, _ := LastTold(s, dutyID, m); last.Outside == s.inScope(m) || !sameNumbers(last.Told, s.numbersOf(m)) {
			list = append(list, m)
		}
	}
	return list
}

// OutdatedByDuty is Outdated of every duty that has a notice, without those that nobody is outdated by.
func OutdatedByDuty(p *policy.Program, s *State) map[string][]string {
	out := map[string][]string{}
	for _, n := range s.Notices {
		if n.Corrects != "" || out[n.Duty] != nil {
			continue
		}
		if list := Outdated(p, s, n.Duty); len(list) > 0 {
			out[n.Duty] = list
		}
	}
	return out
}

// toldBy lists who has accepted a notice of a duty, sorted.
func toldBy(s *State, dutyID string) []string {
	had := map[string]bool{}
	var list []string
	for _, n := range s.Notices {
		if n.Duty != dutyID {
			continue
		}
		for r, d := range n.Deliveries {
			if d.State == DeliveryAccepted && !had[r] {
				had[r], list = true, append(list, r)
			}
		}
	}
	slices.Sort(list)
	return list
}

// sameNumbers reports whether a letter would say the same of both.
func sameNumbers(a, b *Exposure) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	return a.Customers == b.Customers && a.Records == b.Records && a.AtLeast == b.AtLeast && a.First.Equal(b.First) && a.Last.Equal(b.Last) &&
		slices.Equal(a.Stores, b.Stores) && slices.Equal(a.DataTypes, b.DataTypes)
}

// RecipientsOf lists who a notice would go to now if nobody had had it: those the duty is owed to,
// and of a correction those who were told something else. A correction to a party, which has no
// numbers, goes to the party if it was told at all.
func RecipientsOf(p *policy.Program, s *State, n *Notice) []string {
	if n.Corrects == "" {
		return Recipients(p, s, n.Duty)
	}
	if d := dutyOf(p, n.Duty); d == nil || !toMerchants(p, d) {
		return toldBy(s, n.Duty)
	}
	return Outdated(p, s, n.Duty)
}
