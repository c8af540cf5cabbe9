package policy

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/calendar"
)

// verbs are what a duty may oblige somebody to do.
var verbs = []string{"contain", "decide", "assess", "scope", "notify", "update", "verify", "restore", "review", "review_policy", "answer", "reach", "perform"}

// tells reports whether meeting a duty of the verb means that somebody has been told.
func (v Verb) tells() bool { return v == Notify || v == Announce }

// settles says which milestones meeting a duty of a verb records.
var settles = map[Verb][]string{
	Contain: {"contained"}, Assess: {"determined"}, Scope: {"scoped"}, Verify: {"verified"},
	Restore: {"restored"}, Review: {"reviewed"}, Notify: {"notified"},
}

// outside are the verbs that have a meaning without an incident.
var outside = []Verb{Notify, Announce, ReRead, Perform}

// otherVerbs are what authors write for a verb of the language.
var otherVerbs = map[string]string{
	"acknowledge": "do: decide, of: acknowledged", "confirm": "do: decide, of: [confirmed, dismissed]", "dismiss": "do: decide, of: [confirmed, dismissed]",
	"triage": "do: decide, of: [confirmed, dismissed]", "resolve": "do: reach, of: resolved", "close": "do: reach, of: closed", "fix": "do: reach, of: remediated",
	"tell": "do: notify", "inform": "do: notify", "report": "do: notify", "respond": "do: decide, of: acknowledged", "ask": "do: answer, and of: the fact",
	"send": "do: notify", "send_email": "do: notify", "email": "do: notify", "mail": "do: notify", "message": "do: notify", "contact": "do: notify", "announce": "do: notify", "publish": "do: review for a review, do: notify for a notice",
	"keep_informed": "do: update", "isolate": "do: contain", "mitigate": "do: contain", "investigate": "do: assess", "analyse": "do: assess", "analyze": "do: assess", "recover": "do: restore", "remediate": "do: reach, of: remediated",
	"test": "do: verify for a fix, do: perform for a drill", "train": "do: perform, and task: train everybody", "drill": "do: perform, and task: run a drill", "escalate": "late: { 15min: lead } in the duty that is late", "page": "late: { 15min: lead } in the duty that is late",
	"classify": levelHint, "rank": levelHint, "set_severity": levelHint, "assign_severity": levelHint, "rotate": "an action that uses a connector; a duty says do: contain", "revoke": "an action that uses a connector; a duty says do: contain",
	"document": "do: perform, and task: write it down", "log": "do: perform, and task: write it down", "record": "do: perform, and task: write it down", "review_incident": "do: review", "postmortem": "do: review",
}

// levelHint says how a level is set in time: no duty decides it, an answer does.
const levelHint = "a fact that asks for it: facts: { level: { type: choice, values: [high, low], ask: …, by: lead, due: 2h after detected, say: … } }, and when: fact.level == 'high' in the level"

func (c *compiler) duties(f fields) {
	for _, e := range c.named(f.vals["duties"], "duties", "a duty") {
		l := c.fields(e.val, "a duty")
		d := Duty{ID: e.key, For: "incident", Pos: c.pos(e.pos)}
		d.Who = c.role(l.need("who", "lead"))
		if t := l.need("do", "notify"); t.s != "" {
			if !slices.Contains(verbs, t.s) {
				hint := didYouMean(t.s, verbs, "write do: perform, and say what in task; or one of "+list(verbs, "and"))
				if known, ok := otherVerbs[t.s]; ok {
					hint = "write " + known
				}
				c.errorf(t.pos, "bad-value", hint, "do: there is no verb %s", short(t.s))
			}
			d.Do = Verb(t.s)
		}
		c.dutyFor(l, &d)
		c.dutyOf(l, &d)
		c.dutyTo(l, &d)
		c.dutyDue(l, &d)
		c.dutyLate(l, &d)
		for _, t := range l.texts("approve") {
			d.Approve = append(d.Approve, c.role(t))
		}
		d.Promise = c.promise(l)
		i := len(c.p.Duties)
		if t := l.text("say"); t.s != "" {
			c.says[d.ID] = t
		}
		c.p.Duties = append(c.p.Duties, d)
		c.ids["duty "+d.ID] = rule{"duty", d.Promise, e.pos}
		in := context{what: "the condition of a duty", recipient: d.To != ""}
		c.when(l, "when", in, func(cond *Condition) { c.p.Duties[i].When = cond })
		c.when(l, "unless", in, func(cond *Condition) { c.p.Duties[i].Unless = cond })
	}
	c.borrowed(f)
}

// dutyFor reads how often the duty exists: once for an incident, for the programme, or for each event.
func (c *compiler) dutyFor(l fields, d *Duty) {
	t := l.text("for")
	event, each := strings.CutPrefix(t.s, "each ")
	event = strings.TrimSpace(event)
	switch {
	case t.s == "" || t.s == "incident":
	case t.s == "programme" || t.s == "program":
		d.For = "programme"
	case each:
		d.For, d.Each = "each", event
		var events []string
		for _, e := range c.p.Events {
			events = append(events, e.ID)
		}
		if !slices.Contains(events, event) {
			c.errorf(t.pos, "unknown-reference", didYouMean(event, events, declareHint("events", events)), "there is no event %s", short(event))
		}
	default:
		c.errorf(t.pos, "bad-value", didYouMean(t.s, []string{"incident", "programme"}, "write incident, programme, or each EVENT"), "for: no duty exists for %s", short(t.s))
	}
	switch {
	case d.For == "incident" && d.Do == ReRead:
		c.errorf(l.at("do"), "bad-value", "write for: programme", "the policy is reviewed whatever happens: %s is no duty of an incident", d.ID)
	case d.For != "incident" && d.Do != "" && slices.Contains(verbs, string(d.Do)) && !slices.Contains(outside, d.Do):
		c.errorf(l.at("do"), "bad-value", "write do: perform, and say what in task", "do: %s belongs to an incident, and %s exists without one", d.Do, d.ID)
	}
}

// dutyOf reads the milestones that settle a decision, the fact that is answered, the task.
func (c *compiler) dutyOf(l fields, d *Duty) {
	for _, t := range l.texts("of") {
		d.Of = append(d.Of, t.s)
		if d.Do != Answer {
			if !slices.Contains(verbs, string(d.Do)) {
				continue // the verb has been reported
			}
			switch word := strings.TrimPrefix(strings.ToLower(t.s), "the "); word {
			case "severity", "level", "levels", "severities", "priority", "class":
				c.errorf(t.pos, "bad-value", "write "+levelHint, "of: %s is no milestone: a duty decides milestones, and answers set a level", short(t.s))
			default:
				c.anchors = append(c.anchors, reference{t.s, t.pos})
			}
			continue
		}
		var facts []string
		for _, fd := range c.p.Facts {
			facts = append(facts, fd.ID)
		}
		if !slices.Contains(facts, t.s) {
			c.errorf(t.pos, "unknown-reference", didYouMean(t.s, facts, declareHint("facts", facts)), "there is no fact %s", short(t.s))
		}
	}
	d.Task = strings.TrimSuffix(l.text("task").s, ".")
	takes := d.Do == Decide || d.Do == Reach || d.Do == Answer
	switch {
	case takes && !l.has("of"):
		hint := map[Verb]string{Decide: "write of: [confirmed, dismissed]", Reach: "write of: remediated", Answer: "write of: personal_data"}[d.Do]
		says := map[Verb]string{Decide: "decides", Reach: "reaches a milestone", Answer: "answers a question"}[d.Do]
		c.errorf(l.at("do"), "missing-key", hint, "the duty %s %s, and does not say what", d.ID, says)
	case d.Do == Answer && len(d.Of) > 1:
		c.errorf(l.at("of"), "bad-value", "write a duty for each", "do: answer is of one fact")
	case !takes && slices.Contains(verbs, string(d.Do)) && l.has("of"):
		c.errorf(l.at("of"), "unknown-key", "", "of belongs to do: decide, reach and answer; this duty does %s", d.Do)
	}
	switch {
	case d.Do == Perform && !l.has("task"):
		c.errorf(l.at("do"), "missing-key", `write task: "run a drill"`, "the duty %s performs something, and does not say what", d.ID)
	case d.Do != Perform && slices.Contains(verbs, string(d.Do)) && l.has("task"):
		c.errorf(l.at("task"), "unknown-key", "write say: for the words of the page", "task belongs to do: perform; this duty does %s", d.Do)
	}
}

// dutyTo reads who is told and what.
func (c *compiler) dutyTo(l fields, d *Duty) {
	to := l.text("to")
	d.To = to.s
	d.Via = c.channels(l, "via")
	for _, t := range l.texts("content") {
		switch {
		case !c.id(t.pos, t.s, "a content item"):
		case slices.Contains(d.Content, t.s):
			c.errorf(t.pos, "duplicate-value", "", "content: %s is named twice", t.s)
		default:
			d.Content = append(d.Content, t.s)
		}
	}
	if !d.Do.tells() {
		if !slices.Contains(verbs, string(d.Do)) {
			return // the verb has been reported, and what belongs to it is not known
		}
		for _, key := range []string{"to", "via", "content", "approve"} {
			if l.has(key) && d.Do != "" {
				c.errorf(l.at(key), "unknown-key", "", "%s belongs to do: notify; this duty does %s", key, d.Do)
			}
		}
		return
	}
	if !l.has("to") {
		c.errorf(l.at("do"), "missing-key", "write to: merchants.affected, or the id of a party", "the duty %s tells somebody, and does not say whom", d.ID)
	}
	if !l.has("content") {
		c.warnf(l.pos, "no-content", "write content: [what_happened, data_involved, our_measures, your_actions]", "the duty %s does not say what the notice must contain", d.ID)
	}
	if !l.has("approve") {
		c.warnf(l.pos, "no-approver", "write approve: [lead]", "nobody has to approve the notice of %s before it is sent", d.ID)
	}
	if to.s != "" && !strings.HasSuffix(to.s, ".to") {
		c.resolvable(to)
		if d.For != "incident" && strings.HasSuffix(to.s, ".affected") {
			c.errorf(to.pos, "bad-value", "write "+strings.TrimSuffix(to.s, ".affected")+".all", "to: %s are of an incident, and %s exists without one", short(to.s), d.ID)
		}
	}
}

// borrowed resolves DUTY.to, the recipients of another duty.
func (c *compiler) borrowed(f fields) {
	var ids []string
	at := map[string]int{}
	for i, d := range c.p.Duties {
		if d.Do.tells() {
			ids = append(ids, d.ID+".to")
		}
		at[d.ID] = i
	}
	for i := range c.p.Duties {
		d := &c.p.Duties[i]
		other, borrowed := strings.CutSuffix(d.To, ".to")
		if !borrowed {
			continue
		}
		pos := d.Pos
		if n := deref(f.vals["duties"]); n != nil {
			pos = valueAt(n, d.ID, "to", pos)
		}
		seen := map[string]bool{d.ID: true}
		for borrowed && !seen[other] {
			k, ok := at[other]
			if !ok || !c.p.Duties[k].Do.tells() {
				c.errorf(pos, "unknown-reference", didYouMean(d.To, ids, "write the party, or the id of a duty that tells somebody"), "to: %s tells nobody whose recipients could be taken", short(other))
				break
			}
			seen[other] = true
			d.To = c.p.Duties[k].To
			other, borrowed = strings.CutSuffix(d.To, ".to")
		}
		if borrowed && seen[other] && at[other] >= 0 && strings.HasSuffix(d.To, ".to") && len(seen) > 1 || other == d.ID {
			c.errorf(pos, "cycle", "name the party in one of them", "the recipients of %s are those of each other: nobody is named", d.ID)
		}
	}
}

// valueAt is where a value of a nested mapping stands.
func valueAt(n *yaml.Node, outer, inner string, otherwise Pos) Pos {
	for _, name := range []string{outer, inner} {
		var next *yaml.Node
		for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				next = n.Content[i+1]
			}
		}
		n = deref(next)
	}
	if n == nil {
		return otherwise
	}
	return nodePos(n)
}

// resolvable reports a recipient nobody can resolve.
func (c *compiler) resolvable(to text) {
	id, selector, selected := strings.Cut(to.s, ".")
	var ids, whole []string
	for _, p := range c.p.Parties {
		ids = append(ids, p.ID)
		if p.Affected {
			whole = append(whole, p.ID+".affected")
		}
		if p.All {
			whole = append(whole, p.ID+".all")
		}
		reached := !p.Affected && !p.All
		if reached {
			whole = append(whole, p.ID)
		}
		if p.ID != id {
			continue
		}
		switch {
		case selected && (selector == "affected" && p.Affected || selector == "all" && p.All):
			return
		case !selected && reached:
			return
		case !selected && (p.Affected || p.All):
			c.errorf(to.pos, "unknown-reference", "write "+id+".affected", "to: %s does not say which of them", short(to.s))
			return
		}
	}
	c.errorf(to.pos, "unknown-reference", didYouMean(to.s, append(whole, ids...), "parties are "+list(whole, "and")), "to: nobody can resolve the recipients %s", short(to.s))
}

// clocks reads a clock, or a list of them.
func (c *compiler) clocks(l fields, key string) []Clock {
	var out []Clock
	for _, t := range l.texts(key) {
		if k, ok := c.clock(t); ok {
			k.Pos = c.pos(k.Pos)
			out = append(out, k)
		}
	}
	// A law or a contract that nobody knows is kept promptly, from where the other clocks start, unless
	// one of those sets a time itself.
	imported := func(k Clock) bool { return k.Kind == "law" || k.Kind == "contract" }
	timed := slices.ContainsFunc(out, func(k Clock) bool { return !imported(k) && k.Kind != "open" })
	for i := range out {
		if !imported(out[i]) {
			continue
		}
		if timed {
			out[i].Beside, out[i].Span = true, calendar.Span{}
		}
		if len(out[i].Anchor.Names) > 0 {
			continue
		}
		out[i].Anchor = Anchor{Names: []string{c.starting()}}
		for _, k := range out {
			if k.Kind == "after" && !k.From {
				out[i].Anchor = k.Anchor
				break
			}
		}
	}
	return out
}

// dutyDue reads the clocks.
func (c *compiler) dutyDue(l fields, d *Duty) {
	if d.For != "incident" {
		c.start = "applies"
		defer func() { c.start = "" }()
	}
	d.Due = c.clocks(l, "due")
	d.Floor = c.clocks(l, "not_before")
	for _, k := range d.Floor {
		if k.Kind == "law" || k.Kind == "contract" || k.Kind == "open" || k.Kind == "after" && k.Span.Limit == nil {
			c.errorf(k.Pos, "bad-clock", "write not_before: 30d after closed", "not_before: %q names no instant before which it must not be done", short(k.Text))
		}
	}
	if e := l.text("every"); e.s != "" {
		d.Every = c.cadence(e)
	}
	if u := l.text("until"); u.s != "" {
		if length, start, after := strings.Cut(u.s, " after "); after && calendarLength(length) {
			c.errorf(u.pos, "bad-clock", "write until: watched, and a duty that reaches it: { who: lead, do: reach, of: watched, not_before: "+short(strings.TrimSpace(length))+" after "+short(strings.TrimSpace(start))+", due: … }", "until: %q is a length of time, and until names an instant", short(u.s))
		} else if a, ok := c.anchor(u, 0, u.s); ok {
			d.Until = &a
		}
		if !l.has("every") {
			c.errorf(l.at("until"), "unknown-key", "write every: 1d as well", "until ends what is repeated; this duty has no every")
		}
	}
	if d.Do == Announce && !l.has("every") {
		c.errorf(l.at("do"), "missing-key", "write every: 4h, or do: notify to tell once", "the duty %s updates, and does not say how often", d.ID)
	}
	switch {
	case len(l.texts("due")) > 0 || l.lost["due"]:
	case !l.has("every"):
		c.undue[d.ID] = l.pos
	case d.For == "incident":
		c.undue[d.ID] = l.at("every")
	}
}

// cadence reads what stands behind every.
func (c *compiler) cadence(e text) *Cadence {
	span, err := calendar.ParsePeriod(e.s)
	if err != nil {
		var periods []string
		for _, p := range calendar.Periods() {
			periods = append(periods, string(p))
		}
		if near := nearest(strings.TrimSpace(e.s), periods); near != "" {
			c.errorf(e.pos, "bad-clock", "did you mean "+near+"?", "every: there is no period %s", short(e.s))
			return nil
		}
		if meant := periodMeant(e.s); meant != "" {
			c.errorf(e.pos, "bad-clock", "write "+meant, "every: %q cannot be read as a period", short(e.s))
			return nil
		}
		c.parseError(e.pos, "bad-clock", err)
		return nil
	}
	if !c.business(e.pos, span) {
		return nil
	}
	out := &Cadence{Span: span, Text: strings.Join(strings.Fields(e.s), " "), Pos: c.pos(e.pos)}
	if p := calendar.Period(strings.TrimSpace(e.s)); p.Known() {
		out.Period = string(p)
	}
	return out
}

// asked makes a duty of every question: somebody has to answer it. One that does not say when is
// asked promptly from where the policy's clocks start, so that it is put to somebody with a clock.
func (c *compiler) asked() {
	taken, answered := map[string]bool{}, map[string]bool{}
	for i := range c.p.Duties {
		taken[c.p.Duties[i].ID] = true
		if c.p.Duties[i].Do == Answer {
			for _, fact := range c.p.Duties[i].Of {
				answered[fact] = true
			}
		}
	}
	for _, fact := range c.p.Facts {
		if taken["ask_"+fact.ID] || answered[fact.ID] {
			continue
		}
		due := fact.Due
		if len(due) == 0 {
			target := c.p.Promptly
			due = []Clock{{Kind: "after", Text: "promptly after " + c.starting(), Prompt: true, Span: calendar.Span{Target: &target}, Anchor: Anchor{Names: []string{c.starting()}}, Pos: fact.Pos}}
		}
		c.p.Duties = append(c.p.Duties, Duty{ID: "ask_" + fact.ID, Who: fact.By, Do: Answer, For: "incident", Of: []string{fact.ID}, Due: due, Asked: true, Pos: fact.Pos})
	}
}

// due reports duties that neither say when they are due nor are told by a table.
func (c *compiler) due() {
	for _, d := range c.p.Duties {
		pos, undue := c.undue[d.ID]
		switch {
		case !undue || len(d.Due) > 0:
		case d.Every != nil && d.For == "incident":
			c.errorf(pos, "missing-key", "write due: 4h after confirmed as well", "the duty %s is repeated, and has no due for the first time", d.ID)
		case d.Every == nil && len(c.tabled[d.ID]) == 0:
			c.errorf(pos, "missing-key", clockHint, "the duty %s has no due", d.ID)
		}
	}
}

// dutyLate reads who is paged when the duty is still unmet: a length after the limit, or before it
// when it begins with a minus.
func (c *compiler) dutyLate(l fields, d *Duty) {
	if !l.has("late") {
		return
	}
	for _, e := range c.entries(l.vals["late"], "late") {
		s, before := strings.CutPrefix(strings.TrimSpace(e.key), "-")
		length, err := calendar.ParseLength(s)
		if err != nil {
			c.parseError(e.pos, "bad-clock", err)
			continue
		}
		if !c.business(e.pos, calendar.Span{Limit: &length}) {
			continue
		}
		if before {
			length.N = -length.N
		}
		for _, t := range c.texts(e.val, "late: "+short(e.key)) {
			d.Late = append(d.Late, Escalation{After: length, Role: c.role(t)})
		}
	}
}

// calendarLength reports whether a text is a length of time.
func calendarLength(s string) bool {
	_, err := calendar.ParseLength(strings.TrimSpace(s))
	return err == nil
}
