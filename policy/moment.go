package policy

import (
	"strings"

	"github.com/tocsin-ir/tocsin/calendar"
)

// doing says of a universal milestone what one did to reach it: "within 72 hours of confirming it".
var doing = map[string]string{
	"suspected": "suspecting it", "detected": "detecting it", "acknowledged": "acknowledging it", "aware": "becoming aware of it",
	"discovered": "discovering it", "confirmed": "confirming it", "determined": "determining what happened", "dismissed": "dismissing it",
	"contained": "containing it", "scoped": "establishing its scope", "notified": "giving notice of it", "remediated": "fixing it",
	"verified": "verifying the fix", "restored": "restoring service", "watched": "watching for a recurrence", "resolved": "resolving it",
	"reviewed": "reviewing it", "closed": "closing it",
}

// been says of a universal milestone that it was reached.
var been = map[string]string{
	"suspected": "the incident is suspected", "detected": "the incident has been detected", "acknowledged": "somebody is on the incident",
	"aware": "we are aware of the incident", "discovered": "the incident has been discovered", "confirmed": "the incident is confirmed",
	"determined": "it is determined what happened", "dismissed": "the report is dismissed", "contained": "the incident is contained",
	"scoped": "its scope is established", "notified": "everybody affected has been told", "remediated": "the cause is fixed",
	"verified": "the fix is verified", "restored": "service is restored", "watched": "the watch afterwards is over",
	"resolved": "the incident is resolved", "reviewed": "the review is published", "closed": "the incident is closed",
}

// happens says of a universal milestone that it is being reached, as in "the end of the month in
// which the incident is confirmed".
var happens = map[string]string{
	"suspected": "the incident is suspected", "detected": "the incident is detected", "acknowledged": "somebody takes up the incident",
	"aware": "we become aware of the incident", "discovered": "the incident is discovered", "confirmed": "the incident is confirmed",
	"determined": "what happened is determined", "dismissed": "the report is dismissed", "contained": "the incident is contained",
	"scoped": "the scope of the incident is established", "notified": "everybody affected has been told", "remediated": "the cause is fixed",
	"verified": "the fix is verified", "restored": "service is restored", "watched": "the watch afterwards ends",
	"resolved": "the incident is resolved", "reviewed": "the review is published", "closed": "the incident is closed",
}

// moment is an instant in words, in the two forms a sentence may need. doing follows "within 72
// hours of"; it is "" where there is no such form. when follows "after", "before" or "in which".
type moment struct{ doing, when string }

// instant writes one name of an anchor. d is the duty whose clock it is.
func (p *Program) instant(n string, d *Duty) moment {
	if g, ok := doing[n]; ok {
		return moment{g, happens[n]}
	}
	if n == "applies" {
		return p.applies(d)
	}
	on, at, dotted := strings.Cut(strings.TrimPrefix(n, "duty."), ".")
	if !dotted {
		return p.ownMilestone(n)
	}
	for i := range p.Duties {
		o := &p.Duties[i]
		if o.ID != on {
			continue
		}
		ing, to := p.gerund(*o), p.infinitive(*o)
		if d != nil && d.ID != o.ID && d.To == o.To && d.Do.tells() && o.Do.tells() && at == "met" {
			others := 0
			for _, q := range p.Duties {
				if q.To == d.To && q.Do.tells() && q.ID != d.ID {
					others++
				}
			}
			if others > 1 { // which of them it is must be said
				return moment{"the notice “" + spaced(o.ID) + "”", "the notice “" + spaced(o.ID) + "” has gone out"}
			}
			return moment{earlierNotice, earlierNotice + " has gone out"}
		}
		switch at {
		case "applies":
			return moment{"becoming obliged to " + to, "we become obliged to " + to}
		case "started":
			return moment{"the start of the clock for " + ing, "the clock for " + ing + " starts"}
		case "met":
			return moment{ing, "we are done with " + ing}
		case "missed", "late":
			return moment{"being late in " + ing, "we are late in " + ing}
		case "waived":
			return moment{"deciding not to " + to, "it is decided not to " + to}
		}
	}
	return moment{"", spaced(n)}
}

// applies is the instant from which the duty itself is owed.
func (p *Program) applies(d *Duty) moment {
	switch {
	case d == nil:
		return moment{"becoming obliged to do so", "this is owed"}
	case d.For == "each":
		for _, e := range p.Events {
			if e.ID == d.Each {
				return moment{"", clauseOf(e.Means)}
			}
		}
	case d.For == "programme":
		return moment{"publishing this policy", "this policy is published"}
	}
	return moment{"becoming obliged to do so", "this is owed"}
}

func (p *Program) ownMilestone(id string) moment {
	for _, m := range p.Milestones {
		if m.ID == id && strings.Contains(m.Means, " ") {
			return moment{"", clauseOf(m.Means)}
		}
	}
	return moment{"the incident being " + spaced(id), "the incident is " + spaced(id)}
}

// clauseOf makes a declaration fit into a sentence.
func clauseOf(s string) string { return lowerFirst(strings.TrimSuffix(strings.TrimSpace(s), ".")) }

// moment writes an anchor: of several instants the first or the last counts.
func (p *Program) moment(a Anchor, d *Duty) moment {
	var of, when []string
	whole := true
	for _, n := range a.Names {
		m := p.instant(n, d)
		of, when = append(of, m.doing), append(when, m.when)
		whole = whole && m.doing != ""
	}
	out := moment{p.whichever(of, a.All), p.whichever(when, a.All)}
	if !whole {
		out.doing = ""
	}
	if a.End != "" && len(a.Names) > 0 {
		end := "the end of the " + a.End + " in which " + out.when
		if a.End == string(calendar.BusinessDay) {
			end = "the close of business on the day on which " + out.when + " (where we are closed by then, on the next business day)"
		}
		return moment{end, end}
	}
	return out
}

func (p *Program) whichever(names []string, all bool) string {
	switch {
	case len(names) < 2:
		return list(names, "or")
	case all:
		return list(names, "and") + ", whichever comes last"
	}
	return list(names, "or") + ", whichever comes first"
}

// of follows a length: "within 72 hours " + "of confirming it" or "after a subprocessor is added".
func (m moment) of() string {
	if m.doing != "" {
		return "of " + m.doing
	}
	return "after " + m.when
}

// at follows after, before, and no later than.
func (m moment) at() string {
	if m.doing != "" {
		return m.doing
	}
	return m.when
}

// reached says that an anchor has come, as in "until the incident is resolved".
func (p *Program) reached(a Anchor, d *Duty) string {
	if a.End != "" {
		return p.moment(a, d).at()
	}
	says := make([]string, len(a.Names))
	for i, n := range a.Names {
		switch s, ok := been[n]; {
		case ok:
			says[i] = s
		default:
			says[i] = p.instant(n, d).when
		}
	}
	if a.All {
		return list(says, "and")
	}
	return list(says, "or")
}
