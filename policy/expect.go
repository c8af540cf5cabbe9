package policy

import "slices"

// expectation is something that readers of such a policy look for, reviewers of platforms among them.
type expectation struct {
	what, hint string
	found      func(p *Program) bool
}

// expectations are the five things that Shopify's review names, and what other readers look for.
var expectations = []expectation{
	{"a severity scale", "write scales: { severity: { critical: { means: … }, … } }", func(p *Program) bool { return len(p.Severities) > 1 }},
	{"roles and responsibilities", "write roles: { lead: { does: … } }", func(p *Program) bool { return len(p.Roles) > 0 }},
	{"an escalation path", "write late: { 15min: lead } in a duty, or backup in a role", func(p *Program) bool {
		return slices.ContainsFunc(p.Duties, func(d Duty) bool { return len(d.Late) > 0 }) || slices.ContainsFunc(p.Roles, func(r Role) bool { return len(r.Backup) > 0 })
	}},
	{"the collection of evidence", "write gates: [{ guards: rotate, need: evidence.snapshot }], or after: [snapshot] in an action", func(p *Program) bool { return p.collects() }},
	{"the actions that are required", "write actions, or a duty that contains the incident", func(p *Program) bool {
		return len(p.Actions) > 0 || slices.ContainsFunc(p.Duties, func(d Duty) bool { return d.Do == Contain })
	}},
	{"what an incident is", "write classes: { data_breach: { means: … } }", func(p *Program) bool { return len(p.Classes) > 0 }},
	{"who decides whether it is an incident", "write a duty: { who: lead, do: decide, of: [confirmed, dismissed], due: 8h after detected }", func(p *Program) bool {
		return p.obliged()["confirmed"]
	}},
	{"who is told", "write a duty: { who: comms, do: notify, to: merchants.affected, due: 72h after confirmed }", func(p *Program) bool {
		return slices.ContainsFunc(p.Duties, func(d Duty) bool { return d.Do == Notify })
	}},
	{"a review afterwards", "write a duty: { who: lead, do: review, due: 14d after resolved }", func(p *Program) bool {
		return slices.ContainsFunc(p.Duties, func(d Duty) bool { return d.Do == Review })
	}},
	{"how often the policy is reviewed", "write a duty: { for: programme, who: lead, do: review_policy, every: year }", func(p *Program) bool {
		return slices.ContainsFunc(p.Duties, func(d Duty) bool { return d.Do == ReRead })
	}},
}

// expected warns of what a reader would look for and not find.
func (c *compiler) expected(f fields) {
	for _, e := range expectations {
		if !e.found(c.p) {
			c.warnf(f.pos, "expected", e.hint, "a reader looks for %s and does not find it", e.what)
		}
	}
}

// collects reports whether evidence is asked for before something destroys it.
func (p *Program) collects() bool {
	found := slices.ContainsFunc(p.Actions, func(a ActionDecl) bool { return slices.Contains(a.After, "snapshot") })
	for _, g := range p.Gates {
		for _, n := range g.Need {
			found = found || slices.Contains(n.Reads(), "evidence.snapshot")
		}
	}
	return found
}

// Expectation is something that readers of such a policy look for, and whether it is there.
type Expectation struct {
	What  string // such as "an escalation path"
	Hint  string // how it is written, when it is not there
	Found bool
}

// Expected is what readers of such a policy look for, the five things that Shopify's review names first.
func (p *Program) Expected() []Expectation {
	out := make([]Expectation, 0, len(expectations))
	for _, e := range expectations {
		out = append(out, Expectation{What: e.what, Hint: e.hint, Found: e.found(p)})
	}
	return out
}
