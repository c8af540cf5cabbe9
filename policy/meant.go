package policy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/calendar"
)

// This file holds what authors write first and what they mean by it. It makes hints, and nothing
// that runs.

// otherMilestones are nouns and verbs that stand for a milestone of every incident.
var otherMilestones = map[string]string{
	"suspicion": "suspected", "detection": "detected", "start": "detected", "report": "detected", "reported": "detected", "t0": "detected", "alert": "detected", "incident": "detected",
	"acknowledgement": "acknowledged", "acknowledgment": "acknowledged", "awareness": "aware", "knowledge": "aware", "discovery": "discovered", "identification": "discovered",
	"identified": "discovered", "confirmation": "confirmed", "declared": "confirmed", "declaration": "confirmed", "verified_incident": "confirmed", "breach": "confirmed",
	"determination": "determined", "assessment": "determined", "assessed": "determined", "dismissal": "dismissed", "containment": "contained", "scoping": "scoped", "notification": "notified",
	"remediation": "remediated", "fix": "remediated", "fixed": "remediated", "eradication": "remediated", "verification": "verified", "recovery": "restored", "recovered": "restored",
	"restoration": "restored", "resolution": "resolved", "over": "resolved", "closure": "closed", "closing": "closed", "end": "closed", "publication": "reviewed",
}

// otherLengths are words for a length that is no number, or for a calendar period.
var otherLengths = map[string]string{
	"immediately": "promptly", "asap": "promptly", "as soon as possible": "promptly", "as soon as practicable": "promptly", "as soon as we can": "promptly", "at once": "promptly",
	"without undue delay": "promptly", "without unreasonable delay": "promptly", "without delay": "promptly", "quickly": "promptly", "urgently": "promptly", "prompt": "promptly",
	"next business day": "1 business d", "the next business day": "1 business d", "next working day": "1 business d", "the next working day": "1 business d", "next day": "1d", "the next day": "1d",
	"few hours": "2h..4h", "a few hours": "2h..4h", "some hours": "2h..4h", "several hours": "2h..4h", "few days": "2d..4d", "a few days": "2d..4d", "several days": "2d..4d",
}

var otherPeriods = map[string]string{
	"annually": "year", "annual": "year", "yearly": "year", "once a year": "year", "every year": "year", "per year": "year", "each year": "year", "quarterly": "quarter", "once a quarter": "quarter",
	"every quarter": "quarter", "each quarter": "quarter", "monthly": "month", "once a month": "month", "every month": "month", "each month": "month", "weekly": "week", "once a week": "week", "every week": "week",
	"daily": "day", "once a day": "day", "every day": "day", "hourly": "1h", "twice a year": "6mo", "twice yearly": "6mo", "half-yearly": "6mo", "semi-annually": "6mo", "semiannually": "6mo", "biannually": "6mo",
	"regularly": "month", "fortnightly": "2w", "every two weeks": "2w",
	"monday": "week", "tuesday": "week", "wednesday": "week", "thursday": "week", "friday": "week", "saturday": "week", "sunday": "week",
}

// noClock are words in a cell of a table for a duty that is not due at its level.
var noClock = []string{"no", "n/a", "na", "never", "not due", "not applicable", "not required", "nothing", "nil", "-", "–", "—"}

// otherSources are words for a clock that somebody else sets.
var otherSources = regexp.MustCompile(`^(?:per|as per|under|by|as|according to|as required by|where required by|in line with|subject to) (?:the |applicable |our |your )*(law|laws|regulation|regulations|gdpr|hipaa|ccpa|nis2|dora|statute|contract|agreement|dpa|baa|contracts)$`)

var numberWords = map[string]string{
	"one": "1", "a": "1", "an": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "fourteen": "14", "fifteen": "15",
	"twenty-four": "24", "thirty": "30", "forty-eight": "48", "sixty": "60", "seventy-two": "72", "ninety": "90",
}

var unitWords = map[string]string{
	"minute": "min", "minutes": "min", "mins": "min", "min": "min", "hour": "h", "hours": "h", "hrs": "h", "hr": "h", "h": "h", "day": "d", "days": "d", "d": "d", "week": "w", "weeks": "w", "w": "w",
	"month": "mo", "months": "mo", "mo": "mo", "year": "y", "years": "y", "yr": "y", "y": "y",
}

var (
	leadingWords  = regexp.MustCompile(`^(?:within|in|no later than|not later than|at the latest|at most|up to|max|maximum|every|each) `)
	startWords    = regexp.MustCompile(` (?:of|from|since|following|upon|on|post) `)
	closeForm     = regexp.MustCompile(`^(?:by |before |at )?(?:the )?(?:close of business|close of play|end of business|cob|eob|(?:same|end of (?:the )?(?:same )?)(?: ?(?:business|working) day)) (?:on the (?:same )?day )?(?:after|of|following|from|on) (?:the )?(.+)$`)
	endForm       = regexp.MustCompile(`^(?:by |before |at )?(?:the )?end of (?:the )?(day|week|month|quarter|year) (?:after|of|following|from) (?:the )?(.+)$`)
	numberUnit    = regexp.MustCompile(`^(\d+)([a-z]+)$`)
	hoursMinutes  = regexp.MustCompile(`^(\d{1,4}) ?(?:h|hrs?|hours?) ?(?:and )?(\d{1,4}) ?(?:m|min|mins|minutes?)$`)
	rangeForm     = regexp.MustCompile(`^(?:between )?(.+?) ?(?:-|–|—| to | and |\.\.) ?(.+)$`)
	severalClocks = regexp.MustCompile(` (?:or|and) |[;,] ?`)
	articles      = regexp.MustCompile(`\b(?:the|an|its|our|of it|being|is|has been|was|incident) `)
)

// reworded is what a text that is no clock most likely means, as the language writes it; "" where
// that cannot be told.
func reworded(s string, known func(instant string) bool) string {
	s = strings.ToLower(strings.Join(strings.Fields(s), " "))
	if s == "as law" || s == "as contract" {
		return s
	}
	if m := otherSources.FindStringSubmatch(s); m != nil {
		switch m[1] {
		case "contract", "contracts", "agreement", "dpa", "baa":
			return "as contract"
		}
		return "as law"
	}
	m, period := endForm.FindStringSubmatch(s), ""
	if m != nil {
		period = m[1]
	} else if m = closeForm.FindStringSubmatch(s); m != nil {
		period = string(calendar.BusinessDay)
	}
	if m != nil {
		start := strings.TrimSpace(m[len(m)-1])
		if other := otherMilestones[start]; other != "" {
			start = other
		}
		if known(start) {
			return "by end of " + period + " of " + start
		}
		return ""
	}
	s = leadingWords.ReplaceAllString(s, "")
	length, start := s, ""
	if at := startWords.FindStringIndex(s); at != nil && !strings.Contains(s, " after ") && !strings.Contains(s, " before ") {
		s = s[:at[0]] + " after " + s[at[1]:]
		length = s
	}
	kind := ""
	for _, k := range []string{"after", "before"} {
		if i := strings.Index(" "+s+" ", " "+k+" "); i >= 0 {
			kind, length, start = k, strings.TrimSpace(s[:max(0, i-1)]), strings.TrimSpace(s[min(len(s), i+len(k)):])
			break
		}
	}
	if kind != "" && length == "" { // after confirmed 72h
		words := strings.Fields(start)
		if len(words) < 2 {
			return ""
		}
		start, length = words[0], strings.Join(words[1:], " ")
	}
	out := lengthMeant(length)
	if out == "" {
		return ""
	}
	if kind == "" {
		return out
	}
	start = strings.TrimSpace(articles.ReplaceAllString(start+" ", ""))
	start = strings.TrimSuffix(start, " it")
	if m := otherMilestones[start]; m != "" {
		start = m
	}
	if !known(start) {
		return ""
	}
	return out + " " + kind + " " + start
}

// clocksMeant is the list that "72h after confirmed or 5d after detected" means; "" for a text that is
// not several clocks.
func clocksMeant(s string, known func(string) bool) string {
	parts := severalClocks.Split(s, 4)
	if len(parts) < 2 {
		return ""
	}
	for i, part := range parts {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, "as ") {
			if parts[i] = reworded(part, known); parts[i] == "" {
				return ""
			}
			continue
		}
		length, start, after := strings.Cut(part, " after ")
		if parts[i] = reworded(part, known); !after || parts[i] == "" || length == "" || start == "" {
			return ""
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// instantMeant is the milestone that a sentence such as "the incident is over" means.
func instantMeant(s string) string {
	words := strings.Fields(strings.ToLower(s))
	if len(words) == 0 {
		return ""
	}
	last := words[len(words)-1]
	if m := otherMilestones[last]; m != "" && last != "incident" {
		return m
	}
	if slices.Contains(Universal, last) {
		return last
	}
	return ""
}

// lengthMeant is the length a text means: 24h of "24 hours", 24h..72h of "24-72 hours".
func lengthMeant(s string) string {
	if p := otherLengths[s]; p != "" {
		return p
	}
	if l := oneLength(s, ""); l != "" {
		return l
	}
	if m := hoursMinutes.FindStringSubmatch(s); m != nil { // 1h30min
		hours, _ := strconv.Atoi(m[1])
		minutes, _ := strconv.Atoi(m[2])
		return strconv.Itoa(60*hours+minutes) + "min"
	}
	m := rangeForm.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	limit := oneLength(m[2], "")
	if limit == "" {
		return ""
	}
	unit := strings.TrimLeft(limit, "0123456789 ")
	target := oneLength(m[1], unit)
	if target == "" {
		return ""
	}
	if _, err := calendar.ParseSpan(target + ".." + limit); err != nil {
		return ""
	}
	return target + ".." + limit
}

// oneLength is one length that a text means; unit is what a bare number counts.
func oneLength(s, unit string) string {
	n, business := "", ""
	for _, w := range strings.Fields(strings.NewReplacer("(", " ", ")", " ").Replace(s)) {
		switch {
		case w == "business" || w == "working" || w == "office":
			business = " business "
		case w == "calendar" || w == "consecutive":
		case numberWords[w] != "" && n == "":
			n = numberWords[w]
		case strings.Trim(w, "0123456789") == "" && n == "":
			n = w
		case strings.Trim(w, "0123456789") == "" && n == w: // seventy-two (72)
		case unitWords[w] != "":
			unit = unitWords[w]
		default:
			m := numberUnit.FindStringSubmatch(w)
			if m == nil || unitWords[m[2]] == "" || n != "" {
				return ""
			}
			n, unit = m[1], unitWords[m[2]]
		}
	}
	unit = strings.TrimPrefix(unit, "business ")
	out := n + business + unit
	if n == "" || unit == "" {
		return ""
	}
	if _, err := calendar.ParseLength(out); err != nil {
		return ""
	}
	return out
}

// periodMeant is what a text behind every most likely means; "" where that cannot be told.
func periodMeant(s string) string {
	s = strings.ToLower(strings.Join(strings.Fields(s), " "))
	if p := otherPeriods[strings.TrimPrefix(s, "every ")]; p != "" {
		return p
	}
	if p := otherPeriods[s]; p != "" {
		return p
	}
	for _, p := range calendar.Periods() {
		if strings.HasSuffix(s, " of the "+string(p)) || strings.HasSuffix(s, " of each "+string(p)) || strings.HasSuffix(s, " of every "+string(p)) {
			return string(p) // the first Monday of the month
		}
	}
	return lengthMeant(leadingWords.ReplaceAllString(s, ""))
}

// otherKeys are keys that authors write for one of the language, by the mapping they stand in.
var otherKeys = map[string]map[string]string{
	"the policy": {
		"severity": "levels stand under scales: scales: { severity: { high: { means: … } } }", "severities": "levels stand under scales: scales: { severity: { high: { means: … } } }",
		"levels": "levels stand under scales: scales: { severity: { high: { means: … } } }", "name": "write title for what the page is called, and policy for its id", "version": "the version is the digest of the text; write updated: 2026-11-22",
		"date": "write updated: 2026-11-22", "steps": "write phases", "notifications": "telling somebody is a duty: duties: { tell: { who: …, do: notify, to: …, due: … } }", "recipients": "write parties",
		"timezone": "write time: { zone: Europe/Berlin }", "zone": "write time: { zone: Europe/Berlin }", "team": "write roles", "people": "write roles, and who holds them", "email": "write contact: { email: … }",
		"rules": "a rule with a clock is a duty, one that may be refused a gate", "questions": "write facts", "company": "write owner", "promptly": "write time: { promptly: 4h }",
	},
	"a duty": {
		"deadline": "write due", "when_due": "write due", "within": "write due: 72h after confirmed", "role": "write who", "by": "write who for the role, and due for the time", "if": "write when", "condition": "write when", "action": "write do", "verb": "write do",
		"recipient": "write to", "recipients": "write to", "channel": "write via", "approver": "write approve", "approved_by": "write approve", "sign": "write approve; signatures of anything else stand in gates", "says": "write say", "escalate": "write late: { 15min: lead }",
		"escalation": "write late: { 15min: lead }", "except": "write unless", "means": "write say for the words of the page", "text": "write say for the words of the page", "repeat": "write every", "after": "write due: 72h after confirmed", "severity": "write when: severity == 'high', or a table by severity",
	},
	"a role":  {"name": "the page calls a role by its id; write does for what it does", "means": "write does", "person": "write holder", "who": "write holder", "deputy": "write backup", "holders": "write holder: [lena, jo]", "email": "people are invited with their address; a policy names roles"},
	"a fact":  {"question": "write ask", "means": "write say", "who": "write by", "role": "write by", "options": "write values", "choices": "write values", "default": "write presume; the engine never assumes"},
	"a party": {"email": "write address: security@example.com", "channel": "write via", "addresses": "write address", "means": "write name"},
	"a gate":  {"require": "write need", "requires": "write need", "approve": "write sign", "signed_by": "write sign", "guard": "write guards", "for": "write guards", "if": "write when", "until": "write need for what must be so, and sign for who must agree"},
}

// oneOnly are texts that authors write as a list, and what says it.
var oneOnly = map[string]string{
	"a duty: who":        "one role answers for a duty; another is its backup, or has a duty of its own",
	"a duty: to":         "write a duty for each: each party has its own clock",
	"a duty: do":         "write a duty for each thing that is done",
	"a gate: guards":     "write a gate for each",
	"a fact: by":         "one role is asked; another is its backup",
	"a duty: when":       "write one condition: a && b",
	"a duty: unless":     "write one condition: a || b",
	"a duty: every":      "write a duty for each",
	"a duty: task":       "write a duty for each task",
	"a duty: until":      "write until: resolved or dismissed",
	"a phase: until":     "write until: confirmed or dismissed",
	"a table: by":        "a table goes by one thing; a duty may be filled by one table",
	"a class: means":     "write one sentence",
	"a milestone: means": "write one sentence",
}

// truthMeant says what to write for an answer that is no truth value of YAML 1.2.
func truthMeant(s string) string {
	switch strings.ToLower(s) {
	case "yes", "on", "y", "always":
		return "leave the condition out: without one it always holds"
	case "no", "off", "n", "never":
		return "leave the whole rule out, or write what makes it so"
	}
	return ""
}

// otherTypes are what authors call the types of facts.
var otherTypes = map[string]string{
	"boolean": "bool", "yesno": "bool", "yes/no": "bool", "flag": "bool", "number": "int", "integer": "int", "float": "int", "count": "int", "text": "string", "str": "string",
	"enum": "choice, and values: [stolen, guessed]", "select": "choice, and values: [stolen, guessed]", "list": "choice, and values: [stolen, guessed]", "one_of": "choice, and values: [stolen, guessed]",
}
