package policy

import "strings"

// guards says what a gate holds back, as a sentence without its "until".
func (p *Program) guards(g Gate) string {
	if s, ok := map[string]string{
		"restore": "service is not restored", "close": "an incident is not closed", "notify": "no notice is sent",
		"rotate": "no secret is rotated", "dismiss": "no report is dismissed", "lower": "no severity is lowered", "publish": "nothing is published",
		"waive": "no duty is let go of",
	}[g.Guards]; ok {
		return s
	}
	for _, a := range p.Actions {
		if a.ID == g.Guards {
			return "we do not " + clauseOf(a.Means)
		}
	}
	return "we do not " + spaced(g.Guards)
}

// refusal is what a gate holds back and until when, as a sentence without its full stop.
func (p *Program) refusal(g Gate) string {
	s := p.guards(g)
	if g.When != nil {
		s += ", where " + g.When.Say + ","
	}
	s += " until " + p.opening(g)
	if g.Override != nil {
		s += "; it may be done all the same once " + p.signers(g.Override.Sign) + " signed and " + recorded(g.Override.Record) + " is recorded"
	}
	return s
}

// opening is what opens a gate.
func (p *Program) opening(g Gate) string {
	var until []string
	for _, n := range g.Need {
		until = append(until, n.Say)
	}
	if len(g.Sign) > 0 {
		until = append(until, p.signers(g.Sign)+" signed")
	}
	switch attest := strings.TrimSuffix(g.Attest, "."); {
	case attest == "":
	case g.Guards == "notify":
		until = append(until, "its approver has attested that it "+lowerFirst(attest))
	default:
		until = append(until, "whoever does so has attested: “"+attest+"”")
	}
	return list(until, "and")
}

func recorded(what string) string {
	if what == "" || what == "reason" {
		return "the reason"
	}
	return "the " + spaced(what)
}

func needWords(g Gate) string {
	needs := make([]string, len(g.Need))
	for i, n := range g.Need {
		needs[i] = n.Say
	}
	return list(needs, "and")
}

// signers names who has to sign, with the verb their number asks for: "the lead has".
func (p *Program) signers(sign []Signature) string {
	parts := make([]string, len(sign))
	plural := len(sign) > 1
	for i, s := range sign {
		parts[i] = signerWords(s)
		plural = plural || s.N > 1
	}
	if plural {
		return list(parts, "and") + " have"
	}
	return list(parts, "and") + " has"
}

func signerWords(s Signature) string {
	role := spaced(s.Role)
	switch {
	case s.N < 2:
		return "the " + role
	case strings.HasSuffix(role, "s") && !strings.HasSuffix(role, "ss"):
		return numeral(s.N) + " of the " + role // it names several people already
	case namesAPerson(role):
		return numeral(s.N) + " " + role + "s"
	}
	return numeral(s.N) + " people in the role of " + role
}

// namesAPerson reports whether a role is called as a person is, so that it has a plural: two engineers,
// two DPOs, but no two securities.
func namesAPerson(role string) bool {
	last := role[strings.LastIndexByte(role, ' ')+1:]
	for _, end := range []string{"er", "or", "lead", "ist", "yst", "ant", "head", "TO", "EO", "ISO", "DPO", "counsel", "expert"} {
		if strings.HasSuffix(last, end) {
			return !strings.Contains(role, " of ") && !strings.Contains(role, " on ")
		}
	}
	return false
}

// numeral writes small numbers as words.
func numeral(n int) string {
	words := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	if n >= 0 && n < len(words) {
		return words[n]
	}
	return itoa(n)
}
