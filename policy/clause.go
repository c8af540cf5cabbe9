package policy

import (
	"slices"
	"strings"
)

// contents says of the usual items of a notice what they are about; others print as their id.
var contents = map[string]string{
	"what_happened": "what happened", "data_involved": "what data was involved", "our_measures": "what we are doing about it",
	"your_actions": "what we recommend that you do", "contact": "whom to contact", "likely_consequences": "the likely consequences",
	"status": "the current status", "timeline": "when it happened", "root_cause": "its cause", "impact": "the impact", "potential_impact": "the potential impact",
	"current_status": "the current status", "what_was_detected": "what was detected", "next_update": "when we shall write again", "corrective_actions": "what was put right",
	"prevention": "how we keep it from happening again", "recommendations": "what we recommend", "who_is_affected": "who is affected", "numbers": "how many people and records are affected",
	"subprocessor": "which subprocessor it is", "purpose": "for what purpose", "start_date": "from when",
	"when_it_happened": "when it happened", "how_discovered": "how it was discovered", "dpo": "how to reach our data protection officer",
}

// decides says of milestones what one does who decides them.
var decides = map[string]string{"confirmed": "confirm", "dismissed": "dismiss", "acknowledged": "acknowledge"}

// reaches says of milestones what one does to reach them.
var reaches = map[string]string{
	"acknowledged": "take up the incident", "contained": "contain the incident", "scoped": "establish who and what is affected", "determined": "determine what happened",
	"notified": "tell everybody affected", "remediated": "fix the cause", "verified": "verify that the fix works", "restored": "restore service", "watched": "watch for a recurrence",
	"resolved": "resolve the incident", "reviewed": "publish a review of the incident", "closed": "close the incident", "confirmed": "confirm the incident", "dismissed": "dismiss the report",
}

// channels says by which way somebody is told.
var channels = map[string]string{
	"email": "by e-mail", "slack": "in Slack", "basecamp": "in Basecamp", "teams": "in Microsoft Teams", "google-chat": "in Google Chat", "pagerduty": "through PagerDuty",
	"webhook": "by an automatic message to their system", "status-page": "on our status page", "portal": "through the form provided for it", "app": "inside the app", "sms": "by text message",
	"phone": "by telephone", "letter": "by letter", "in-person": "in person", "press": "by a press release",
}

func channelWords(ids []string, last string) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		if out[i] = channels[id]; out[i] == "" {
			out[i] = "by " + strings.NewReplacer("_", " ", "-", " ").Replace(id)
		}
	}
	return list(out, last)
}

// via writes the channels of a duty and what is turned to when they fail.
func (p *Program) via(d Duty) string {
	ways, fallback := d.Via, []string(nil)
	if q := p.party(d.To); q != nil {
		fallback = q.Fallback
		if len(ways) == 0 {
			ways = q.Via
		}
	}
	if len(ways) == 0 {
		ways = []string{"email"}
	}
	s := channelWords(ways, "or")
	if len(fallback) > 0 {
		s += " (" + channelWords(fallback, "or") + " where that does not reach them)"
	}
	return s
}

// party is the party a duty tells; nil when it tells none.
func (p *Program) party(to string) *Party {
	id, _, _ := strings.Cut(to, ".")
	i := slices.IndexFunc(p.Parties, func(q Party) bool { return q.ID == id })
	if i < 0 {
		return nil
	}
	return &p.Parties[i]
}

// clause is what a duty obliges us to, as a sentence without its full stop.
func (p *Program) clause(d Duty) string {
	s := "we " + p.infinitive(d)
	if d.Do.tells() {
		s += " " + p.via(d)
	}
	open := len(d.Due) > 0 && !slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Kind != "open" || k.None || k.Cell.Level != "" })
	switch f := p.floor(d); {
	case f != "" && open:
		s += " " + f + ", and then " + p.dues(d)
	case f != "" && (len(d.Due) > 0 || d.Every != nil):
		s += " " + p.dues(d) + ", and " + f
	case f != "":
		s += " " + f
	case len(d.Due) > 0 || d.Every != nil:
		s += " " + p.dues(d)
	}
	if len(d.Due) > 0 && d.Every != nil {
		s += ", and then " + p.cadence(d)
	}
	if d.Every != nil && d.Until != nil {
		s += " until " + p.reached(*d.Until, &d)
	}
	if d.When != nil {
		s += ", " + p.condition(d)
		if strings.Contains(s, earlierNotice) { // it is named a few words before
			s = strings.Replace(s, p.noticeOf(d)+" left anything open", "that notice left anything open", 1)
		}
	}
	if d.Unless != nil {
		s += ", unless " + d.Unless.Say
	}
	if len(d.Content) > 0 {
		s += ", saying " + contentWords(d.Content)
	}
	return s
}

// condition writes the condition of a duty: "if personal data is involved", or "where …" when it
// differs from one recipient to the next.
func (p *Program) condition(d Duty) string {
	if slices.ContainsFunc(d.When.Reads(), func(n string) bool { return strings.HasPrefix(n, "recipient.") }) {
		return "where " + d.When.Say
	}
	return "if " + d.When.Say
}

// earlierNotice is what a duty calls the notice of another duty to the same recipients.
const earlierNotice = "the earlier notice to them"

// infinitive is what a duty obliges us to: "tell every affected merchant".
func (p *Program) infinitive(d Duty) string { return p.act(d, false) }

// gerund is what meets a duty, as in "within 5 days of telling every affected merchant".
func (p *Program) gerund(d Duty) string { return p.act(d, true) }

func (p *Program) act(d Duty, ing bool) string {
	pick := func(act, gerund string) string {
		if ing {
			return gerund
		}
		return act
	}
	plain := func(act string) string {
		if ing {
			return gerundOf(act)
		}
		return act
	}
	switch d.Do {
	case Contain:
		return pick("contain the incident", "containing it")
	case Decide:
		return p.decide(d, ing)
	case Assess:
		return pick("determine what happened, its cause and the risk", "determining what happened")
	case Scope:
		return pick("establish who and what is affected", "establishing its scope")
	case Notify:
		return plain("tell " + p.recipients(d.To))
	case Announce:
		return plain("keep " + p.recipients(d.To) + " informed")
	case Verify:
		return pick("verify that the fix works", "verifying the fix")
	case Restore:
		return plain("restore service")
	case Review:
		return pick("publish a review of the incident", "publishing the review")
	case ReRead:
		return plain("review this policy")
	case Perform:
		return plain(clauseOf(strings.TrimPrefix(lowerFirst(d.Task), "we ")))
	case Answer:
		return plain("establish " + p.question(d))
	case Reach:
		return plain(p.reach(d))
	}
	return plain("do " + spaced(d.ID))
}

func (p *Program) decide(d Duty, ing bool) string {
	var acts []string
	for _, m := range d.Of {
		v, ok := decides[m]
		if !ok {
			return p.decideWhether(d, ing)
		}
		if ing {
			v = gerundOf(v)
		}
		acts = append(acts, v)
	}
	if ing {
		return list(acts, "or") + " it"
	}
	return list(acts, "or") + " a report"
}

// decideWhether is of milestones that have no verb of their own.
func (p *Program) decideWhether(d Duty, ing bool) string {
	if since := map[string]string{"discovered": "the incident counts as discovered", "aware": "we count as aware of the incident"}; len(d.Of) == 1 && since[d.Of[0]] != "" {
		if ing {
			return "deciding from when on " + since[d.Of[0]]
		}
		return "decide from when on " + since[d.Of[0]]
	}
	says := make([]string, len(d.Of))
	for i, m := range d.Of {
		says[i] = p.instant(m, &d).when
	}
	if ing {
		return "deciding whether " + list(says, "or")
	}
	return "decide whether " + list(says, "or")
}

// question is what the duty to answer a fact finds out.
func (p *Program) question(d Duty) string {
	var out []string
	for _, id := range d.Of {
		says := spaced(id)
		for _, f := range p.Facts {
			switch {
			case f.ID != id:
			case f.Type == "bool" || f.Type == "":
				says = "whether " + f.Say
			default:
				says = f.Say
			}
		}
		out = append(out, says)
	}
	return list(out, "and")
}

func (p *Program) reach(d Duty) string {
	var acts []string
	for _, m := range d.Of {
		if a, ok := reaches[m]; ok {
			acts = append(acts, a)
			continue
		}
		acts = append(acts, "see to it that "+p.instant(m, &d).when)
	}
	return list(acts, "and")
}

// gerundOf makes "running a drill" of "run a drill". It turns the first word only.
func gerundOf(act string) string {
	verb, rest, _ := strings.Cut(act, " ")
	n := len(verb)
	vowel := func(i int) bool { return i >= 0 && strings.IndexByte("aeiou", verb[i]) >= 0 }
	switch {
	case n < 2 || verb[n-1] < 'a' || verb[n-1] > 'z':
		return "doing this: " + act
	case strings.HasSuffix(verb, "ie"):
		verb = verb[:n-2] + "ying"
	case verb[n-1] == 'e' && !strings.HasSuffix(verb, "ee") && !strings.HasSuffix(verb, "oe") && verb != "be":
		verb = verb[:n-1] + "ing"
	case n > 2 && vowel(n-2) && !vowel(n-3) && !vowel(n-1) && strings.IndexByte("wxyh", verb[n-1]) < 0 && syllables(verb) == 1:
		verb += verb[n-1:] + "ing"
	default:
		verb += "ing"
	}
	if rest == "" {
		return verb
	}
	return verb + " " + rest
}

func syllables(word string) (n int) {
	inside := false
	for i := range len(word) {
		vowel := strings.IndexByte("aeiouy", word[i]) >= 0
		if vowel && !inside {
			n++
		}
		inside = vowel
	}
	return n
}

// recipients names whom a duty tells.
func (p *Program) recipients(to string) string {
	_, selector, _ := strings.Cut(to, ".")
	q := p.party(to)
	if q == nil {
		return spaced(to)
	}
	switch selector {
	case "affected":
		return "every affected " + singular(q.Name)
	case "all":
		return "every " + singular(q.Name)
	}
	return q.Name
}

func singular(name string) string {
	switch {
	case strings.HasSuffix(name, "ies"):
		return strings.TrimSuffix(name, "ies") + "y"
	case strings.HasSuffix(name, "sses"), strings.HasSuffix(name, "xes"), strings.HasSuffix(name, "ches"):
		return strings.TrimSuffix(name, "es")
	case strings.HasSuffix(name, "ss"):
		return name
	}
	return strings.TrimSuffix(name, "s")
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

// theRoles writes "the lead and the owner".
func theRoles(ids []string) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = "the " + spaced(id)
	}
	return list(out, "and")
}

// approval says who has to approve what a duty sends; "" when nobody has to.
func (d Duty) approval() string {
	if len(d.Approve) == 0 {
		return ""
	}
	if len(d.Approve) == 1 {
		return theRoles(d.Approve) + " approves it before it is sent"
	}
	return theRoles(d.Approve) + " approve it before it is sent"
}

// escalation says who is called when a duty is still unmet, in the order of time.
func (d Duty) escalation() string {
	var parts []string
	point := "the limit"
	if !d.Limited() && d.aimed() && (d.Every == nil || d.Every.Period == "") { // the engine counts from the target where there is no limit
		point = "the time we aim for"
	}
	for i, e := range d.Late {
		at := e.After
		when := "at " + point
		switch {
		case at.N < 0:
			at.N = -at.N
			when = at.Words() + " before " + point
		case at.N > 0:
			when = at.Words() + " after " + point
		}
		who := "the " + spaced(e.Role)
		if i > 0 && d.Late[i-1].Role == e.Role {
			who = "again"
		}
		parts = append(parts, who+" "+when)
	}
	if len(parts) == 0 {
		return ""
	}
	return "if it is not done yet, we call " + list(parts, "and")
}

func lowerFirst(s string) string {
	if s == "" || len(s) > 1 && s[1] >= 'A' && s[1] <= 'Z' { // a name such as DNS stays
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
