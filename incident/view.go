package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// view is what conditions may read of the state. Recipient is nil; whoever asks about one
// recipient sets it on a copy. Time stands at the newest fact: a turning point that was passed is
// one, so that nothing is lost between two of them.
func view(p *policy.Program, s *State) policy.View { return viewAt(p, s, newTimer(p), s.Updated) }

func (w *work) view(s *State) policy.View { return viewAt(w.p, s, w.timer, w.now) }

func viewAt(p *policy.Program, s *State, t *timer, now time.Time) policy.View {
	v := policy.View{
		Class:     s.Class,
		Severity:  s.Severity,
		Facts:     make(map[string]any, len(s.Answers)),
		Instants:  make(map[string]time.Time, len(s.Milestones)+4*len(s.Tally)),
		Snapshot:  len(s.Snapshots) > 0,
		FixDone:   s.Fix != nil,
		FixProven: s.FixProof != nil,
		Review:    policy.ReviewView{Missing: reviewMissing(p, s, VersionInternal)},
		Passed:    t.passed(s, now, subject{}),
	}
	for name, a := range s.Answers {
		v.Facts[name] = conditionValue(a.Value)
	}
	for name, m := range s.Milestones {
		v.Instants[name] = m.At
	}
	v.Instants["opened"] = s.Opened
	for duty, t := range s.Tally {
		for _, event := range dutyEvents {
			if at := t.instant(event); !at.IsZero() {
				v.Instants[duty+"."+event] = at
			}
		}
	}
	if len(s.Scales) > 0 {
		v.Scales = make(map[string]string, len(s.Scales))
		for id, l := range s.Scales {
			v.Scales[id] = l.Level
		}
	}
	if sc := Totals(s); sc != nil {
		v.Scope = &policy.ScopeView{Merchants: int64(countAffected(s)), Customers: sc.Customers, DataTypes: sc.DataTypes}
	}
	for _, id := range checksOf(p, s) {
		got := s.Checks[id]
		v.Checks = append(v.Checks, policy.CheckView{ID: id, Passed: got != nil && got.State == CheckPassed})
	}
	for _, a := range s.Actions {
		v.Actions = append(v.Actions, policy.ActionView{ID: a.Decl, Uses: a.Uses, State: string(a.State)})
	}
	if readsDuties(p) {
		v.Duties = dutyViews(p, s, "")
	}
	return v
}

// conditionValue gives whole numbers the type conditions know them by: JSON has only one.
func conditionValue(v any) any {
	switch n := v.(type) {
	case float64:
		return int64(n)
	case int:
		return int64(n)
	}
	return v
}

func recipientView(s *State, recipient string) *policy.RecipientView {
	v := &policy.RecipientView{Merchant: recipient}
	if x := s.Row(recipient); x != nil {
		v.Customers, v.Records, v.DataTypes = x.Customers, x.Records, x.DataTypes
		v.Exposure = "shown"
	}
	if a := s.Adjusted[recipient]; a != nil {
		switch {
		case !a.Include:
			v.Exposure = "ruled_out"
		case v.Exposure == "":
			v.Exposure = "possible" // somebody's word, and no access in the log
		}
	}
	if d := s.Directory[recipient]; d != nil {
		v.Country, v.Region, v.Zone, v.Language = d.Country, d.Region, d.Zone, d.Language
		has := d.ContractHours > 0
		v.Contract = &has
	}
	return v
}

// Affected lists the merchants in scope, sorted: those of the newest scope, with those included
// by hand and without those excluded by hand.
func Affected(s *State) []string {
	list := make([]string, 0, len(s.Exposures)+len(s.Adjusted))
	for m := range s.Rows() {
		if a := s.Adjusted[m]; a == nil || a.Include {
			list = append(list, m)
		}
	}
	for m, a := range s.Adjusted {
		if a.Include && !s.known(m) {
			list = append(list, m)
		}
	}
	slices.Sort(list)
	return list
}

func countAffected(s *State) int {
	n := len(s.Exposures)
	if len(s.Merged) > 0 {
		n = len(s.Rows())
	}
	for m, a := range s.Adjusted {
		switch in := s.known(m); {
		case a.Include && !in:
			n++
		case !a.Include && in:
			n--
		}
	}
	return n
}

// inScope reports whether one merchant is affected.
func (s *State) inScope(merchant string) bool {
	if a := s.Adjusted[merchant]; a != nil {
		return a.Include
	}
	return s.known(merchant)
}

// toMerchants reports whether a duty's recipients are the merchants in scope. Every other target
// is a party that is told once.
func toMerchants(p *policy.Program, d *policy.Duty) bool {
	party, selector, ok := strings.Cut(d.To, ".")
	if !ok || selector != "affected" {
		return false
	}
	for _, x := range p.Parties {
		if x.ID == party {
			return x.Affected
		}
	}
	return party == "merchants"
}

// partyOf is the party a duty tells when it does not tell merchants one by one.
func partyOf(d *policy.Duty) string {
	party, _, _ := strings.Cut(d.To, ".")
	return party
}

// Recipients lists who a duty is owed to now: the merchants in scope that its condition does not
// rule out, or its party. An unknown condition rules nobody out.
func Recipients(p *policy.Program, s *State, dutyID string) []string {
	d := dutyOf(p, dutyID)
	if d == nil || d.To == "" {
		return nil
	}
	v := view(p, s)
	if !toMerchants(p, d) {
		if d.When.Eval(v).Value == policy.False {
			return nil
		}
		return []string{partyOf(d)}
	}
	cond := newCondition(p, d.When, &v, s.Updated)
	var list []string
	for _, m := range Affected(s) {
		if cond.eval(s, m).Value != policy.False {
			list = append(list, m)
		}
	}
	return list
}

func dutyOf(p *policy.Program, id string) *policy.Duty {
	for i := range p.Duties {
		if p.Duties[i].ID == id {
			return &p.Duties[i]
		}
	}
	return nil
}

func actionDecl(p *policy.Program, id string) *policy.ActionDecl {
	for i := range p.Actions {
		if p.Actions[i].ID == id {
			return &p.Actions[i]
		}
	}
	return nil
}
