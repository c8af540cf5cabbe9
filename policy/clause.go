package policy

import (
	"slices"
	"strings"
)

// contents says of the usual items of a notice what they are about; others print as their id.
var contents = map[string]string{
	"what_happened": "what happened", "data_involved": "what data was involved", "our_measures": "what we are doing about it",
	"your_actions": "what we recommend that you do", "contact": "whom to contact", "likely_consequences": "the likely consequences",
	"status": "the current status", "timeline": "when it happened", "root_cause": "its cause",
}

// decides says of milestones what one does who decides them.
var decides = map[string]string{"confirmed": "confirm", "dismissed": "dismiss", "acknowledged": "acknowledge"}

// clause is what a duty obliges us to, as a sentence without its full stop.
func (p *Program) clause(d Duty) string {
	s := p.act(d, false)
	if d.Do.tells() {
		s += " by e-mail"
	}
	s += " " + p.dues(d)
	if len(d.Due) > 0 && d.Every != nil {
		s += ", and then " + everyWords(d.Every.Span)
		if d.Until != nil {
			s += " until " + p.reached(d.Until.Names[0])
		}
	}
	if d.When != nil {
		s += ", if " + d.When.Say
	}
	if len(d.Content) > 0 {
		s += ", saying " + contentWords(d.Content)
	}
	return s
}

// gerund is what meets a duty, as in "within 5 days of telling every affected merchant".
func (p *Program) gerund(d Duty) string { return p.act(d, true) }

func (p *Program) act(d Duty, ing bool) string {
	pick := func(we, gerund string) string {
		if ing {
			return gerund
		}
		return we
	}
	switch d.Do {
	case Contain:
		return pick("we contain the incident", "containing it")
	case Decide:
		var acts []string
		for _, m := range d.Of {
			v, ok := decides[m]
			if !ok {
				return pick("we decide whether it is ", "deciding whether it is ") + list(spacedAll(d.Of), "or")
			}
			if ing {
				v += "ing" // confirming, dismissing, acknowledg(e)ing
				v = strings.Replace(v, "geing", "ging", 1)
			}
			acts = append(acts, v)
		}
		return pick("we ", "") + list(acts, "or") + pick(" a report", " it")
	case Assess:
		return pick("we determine what happened, its cause and the risk", "determining what happened")
	case Scope:
		return pick("we establish who and what is affected", "establishing its scope")
	case Notify:
		return pick("we tell ", "telling ") + p.recipients(d.To)
	case Announce:
		return pick("we keep ", "keeping ") + p.recipients(d.To) + " informed"
	case Verify:
		return pick("we verify that the fix works", "verifying the fix")
	case Restore:
		return pick("we restore service", "restoring service")
	case Review:
		return pick("we publish a review of the incident", "publishing the review")
	case ReRead:
		return pick("we review this policy", "reviewing this policy")
	}
	return pick("we do "+spaced(d.ID), "doing "+spaced(d.ID))
}

// reached says that an instant has come.
func (p *Program) reached(instant string) string {
	if s, ok := been[instant]; ok {
		return s
	}
	if _, _, dotted := strings.Cut(instant, "."); dotted {
		return p.instant(instant) + " is over"
	}
	return "the incident is " + spaced(instant)
}

// recipients names whom a duty tells.
func (p *Program) recipients(to string) string {
	id, selector, _ := strings.Cut(to, ".")
	i := slices.IndexFunc(p.Parties, func(q Party) bool { return q.ID == id })
	if i < 0 {
		return spaced(to)
	}
	name := p.Parties[i].Name
	switch selector {
	case "affected":
		return "every affected " + strings.TrimSuffix(name, "s")
	case "all":
		return "every " + strings.TrimSuffix(name, "s")
	}
	return name
}

func contentWords(items []string) string {
	words := make([]string, len(items))
	for i, item := range items {
		if words[i] = contents[item]; words[i] == "" {
			words[i] = spaced(item)
		}
	}
	return list(words, "and")
}

func spacedAll(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = spaced(id)
	}
	return out
}

// refusal is what a gate holds back and until when, as a sentence without its full stop.
func (p *Program) refusal(g Gate) string {
	s := map[string]string{
		"restore": "service is not restored", "close": "an incident is not closed",
		"notify": "no notice is sent", "rotate": "no secret is rotated",
	}[g.Guards]
	var until []string
	if n := needWords(g); n != "" {
		until = append(until, n)
	}
	if len(g.Sign) > 0 {
		until = append(until, p.signers(g.Sign)+" signed")
	}
	if g.Attest != "" {
		until = append(until, "its approver has attested that it "+lowerFirst(strings.TrimSuffix(g.Attest, ".")))
	}
	return s + " until " + list(until, "and")
}

func needWords(g Gate) string {
	needs := make([]string, len(g.Need))
	for i, n := range g.Need {
		needs[i] = n.Say
	}
	return list(needs, "and")
}

func (p *Program) signers(sign []Signature) string {
	parts := make([]string, len(sign))
	plural := len(sign) > 1
	for i, s := range sign {
		parts[i] = "the " + spaced(s.Role)
		if s.N > 1 {
			parts[i] = counted(s.N, "person")[:strings.IndexByte(counted(s.N, "person"), ' ')] + " of the " + spaced(s.Role)
			plural = true
		}
	}
	if plural {
		return list(parts, "and") + " have"
	}
	return list(parts, "and") + " has"
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
