package policy

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/calendar"
)

// verbs are what a duty may oblige somebody to do, with the keys only they have.
var verbs = []string{"contain", "decide", "assess", "scope", "notify", "update", "verify", "restore", "review", "review_policy"}

// tells reports whether meeting a duty of the verb means that somebody has been told.
func (v Verb) tells() bool { return v == Notify || v == Announce }

// settles says which milestones meeting a duty of a verb records.
var settles = map[Verb][]string{
	Contain: {"contained"}, Assess: {"determined"}, Scope: {"scoped"}, Verify: {"verified"},
	Restore: {"restored"}, Review: {"reviewed"}, Notify: {"notified"},
}

func (c *compiler) duties(f fields) {
	for _, e := range c.named(f.vals["duties"], "duties", "a duty") {
		l := c.fields(e.val, "a duty", "who", "do", "for", "of", "to", "when", "due", "every", "until", "content", "approve", "late", "promise", "say")
		d := Duty{ID: e.key, For: "incident", Pos: c.pos(e.pos)}
		d.Who = c.role(l.need("who", "lead"))
		if t := l.need("do", "notify"); t.s != "" {
			if !slices.Contains(verbs, t.s) {
				c.errorf(t.pos, "bad-value", didYouMean(t.s, verbs, "verbs are "+list(verbs, "and")), "do: there is no verb %s", short(t.s))
			}
			d.Do = Verb(t.s)
		}
		if t := l.text("for"); t.s != "" {
			d.For = t.s
			if t.s != "incident" && t.s != "programme" {
				c.errorf(t.pos, "bad-value", didYouMean(t.s, []string{"incident", "programme"}, "write incident or programme"), "for: a duty cannot exist once for each %s", short(t.s))
			}
		}
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
		c.when(l, context{what: "the condition of a duty", recipient: d.To != ""}, func(cond *Condition) { c.p.Duties[i].When = cond })
	}
}

// dutyOf reads the milestones that settle a decision.
func (c *compiler) dutyOf(l fields, d *Duty) {
	for _, t := range l.texts("of") {
		d.Of = append(d.Of, t.s)
		c.anchors = append(c.anchors, reference{t.s, t.pos})
	}
	switch {
	case d.Do == Decide && !l.has("of"):
		c.errorf(l.at("do"), "missing-key", "write of: [confirmed, dismissed]", "the duty %s decides, and does not say what", d.ID)
	case d.Do != Decide && d.Do != "" && l.has("of"):
		c.errorf(l.at("of"), "unknown-key", "", "of belongs to do: decide; this duty does %s", d.Do)
	}
}

// dutyTo reads who is told and what.
func (c *compiler) dutyTo(l fields, d *Duty) {
	to := l.text("to")
	d.To = to.s
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
		for _, key := range []string{"to", "content", "approve"} {
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
	if to.s != "" {
		c.resolvable(to)
	}
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
		if len(p.Address) > 0 {
			whole = append(whole, p.ID)
		}
		if p.ID != id {
			continue
		}
		switch {
		case selected && (selector == "affected" && p.Affected || selector == "all" && p.All):
			return
		case !selected && len(p.Address) > 0:
			return
		case !selected && (p.Affected || p.All):
			c.errorf(to.pos, "unknown-reference", "write "+id+".affected", "to: %s does not say which of them", short(to.s))
			return
		}
	}
	if selected && selector == "to" {
		c.errorf(to.pos, "not-yet", "name the party", "to: the recipients of another duty are not known yet")
		return
	}
	c.errorf(to.pos, "unknown-reference", didYouMean(to.s, append(whole, ids...), "parties are "+list(whole, "and")), "to: nobody can resolve the recipients %s", short(to.s))
}

// dutyDue reads the clocks.
func (c *compiler) dutyDue(l fields, d *Duty) {
	for _, t := range l.texts("due") {
		if k, ok := c.clock(t); ok {
			k.Pos = c.pos(k.Pos)
			d.Due = append(d.Due, k)
		}
	}
	if e := l.text("every"); e.s != "" {
		span, err := calendar.ParsePeriod(e.s)
		switch {
		case err != nil:
			c.parseError(e.pos, "bad-clock", err)
		case c.business(e.pos, span):
			d.Every = &Cadence{Span: span, Text: e.s, Pos: c.pos(e.pos)}
		}
	}
	if u := l.text("until"); u.s != "" {
		d.Until = &Anchor{Names: []string{u.s}}
		c.anchors = append(c.anchors, reference{u.s, u.pos})
		if !l.has("every") {
			c.errorf(l.at("until"), "unknown-key", "write every: 1d as well", "until ends what is repeated; this duty has no every")
		}
	}
	switch {
	case d.For == "incident" && l.has("every") && !l.has("due"):
		c.errorf(l.at("every"), "missing-key", "write due: 4h after confirmed as well", "the duty %s is repeated, and has no due for the first time", d.ID)
	case d.Do == Announce && !l.has("every"):
		c.errorf(l.at("do"), "missing-key", "write every: 4h, or do: notify to tell once", "the duty %s updates, and does not say how often", d.ID)
	case d.Do == ReRead && d.For != "programme":
		c.errorf(l.at("do"), "bad-value", "write for: programme", "the policy is reviewed whatever happens: %s is no duty of an incident", d.ID)
	case d.For == "programme" && d.Do != ReRead && d.Do != "":
		c.errorf(l.at("do"), "not-yet", "do: review_policy is", "do: %s is not run as a duty of the programme yet", d.Do)
	case d.For == "programme" && l.has("due"):
		c.errorf(l.at("due"), "not-yet", "write every: year", "due: a duty of the programme has no incident to count from")
	case !l.has("due") && !l.has("every"):
		c.errorf(l.pos, "missing-key", clockHint, "the duty %s has no due", d.ID)
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

// guarded are the commands a gate can refuse.
var guarded = []string{"restore", "close", "notify", "rotate"}

func (c *compiler) gates(f fields) {
	node := deref(f.vals["gates"])
	if node == nil {
		return
	}
	if node.Kind != yaml.SequenceNode {
		c.errorf(nodePos(node), "wrong-type", "begin each gate with - guards: restore", "gates is a list; this is %s", kindOf(node))
		return
	}
	seen := map[string]int{}
	for _, item := range node.Content {
		l := c.fields(item, "a gate", "id", "guards", "need", "sign", "attest", "otherwise", "promise")
		if l.pos.Line == 0 || len(l.vals) == 0 {
			continue
		}
		g := Gate{Otherwise: l.text("otherwise").s, Attest: l.text("attest").s, Promise: c.promise(l), Pos: c.pos(nodePos(item))}
		guards := l.need("guards", "restore")
		g.Guards = guards.s
		if guards.s != "" && !slices.Contains(guarded, guards.s) {
			c.errorf(guards.pos, "bad-value", didYouMean(guards.s, guarded, "gates guard "+list(guarded, "and")), "no gate can guard %s", short(guards.s))
		}
		if t := l.text("id"); t.s != "" {
			c.id(t.pos, t.s, "a gate")
			g.ID = t.s
		} else if seen[g.Guards]++; seen[g.Guards] == 1 {
			g.ID = g.Guards
		} else {
			g.ID = g.Guards + "_" + strconv.Itoa(seen[g.Guards])
		}
		if g.Attest != "" && g.Guards != "notify" && g.Guards != "" {
			c.errorf(l.at("attest"), "not-yet", "only guards: notify asks for an attestation yet", "attest is not asked for %s yet", short(g.Guards))
		}
		g.Sign = c.signatures(l)
		if !l.has("need") && !l.has("sign") && !l.has("attest") {
			c.errorf(l.pos, "missing-key", "write need, sign or attest", "the gate of %s asks for nothing", short(g.Guards))
		}
		if _, twice := c.ids["gate "+g.ID]; twice {
			c.errorf(l.at("id"), "duplicate-id", "", "there are two gates %s", g.ID)
		}
		c.ids["gate "+g.ID] = rule{"gate", g.Promise, nodePos(item)}
		i := len(c.p.Gates)
		c.p.Gates = append(c.p.Gates, g)
		needs := l.texts("need")
		c.later = append(c.later, func() {
			for _, t := range needs {
				c.p.Gates[i].Need = append(c.p.Gates[i].Need, c.x.compileAll(t, context{what: "the need of a gate"})...)
			}
		})
	}
}

// signatures reads [lead, 2 of engineers].
func (c *compiler) signatures(l fields) []Signature {
	var out []Signature
	for _, t := range l.texts("sign") {
		s := Signature{N: 1}
		count, role, counted := strings.Cut(t.s, " of ")
		if !counted {
			role = t.s
		} else if n, err := strconv.Atoi(strings.TrimSpace(count)); err != nil || n < 1 || n > 100 {
			c.errorf(t.pos, "bad-value", "write lead, or 2 of engineers", "sign: %q is not a number of people", short(count))
			continue
		} else {
			s.N = n
		}
		s.Role = strings.TrimSpace(role)
		c.roleRefs = append(c.roleRefs, reference{s.Role, t.pos})
		out = append(out, s)
	}
	return out
}

func (c *compiler) actions(f fields) {
	for _, e := range c.named(f.vals["actions"], "actions", "an action") {
		if e.key == "snapshot" {
			c.errorf(e.pos, "bad-id", "gates ask for evidence.snapshot", "snapshot is what after: [snapshot] waits for, and no action")
			continue
		}
		l := c.fields(e.val, "an action", "uses", "means", "when", "after", "approve", "confirm", "promise")
		a := ActionDecl{ID: e.key, Means: l.need("means", `"what it does"`).s, Promise: c.promise(l), Pos: c.pos(e.pos)}
		if t := l.need("uses", "app_tokens"); t.s != "" {
			if !connectorForm(t.s) {
				c.errorf(t.pos, "bad-value", "write the name the configuration gives it, such as app_tokens", "uses: %q is not the name of a connector", short(t.s))
			}
			a.Uses = t.s
		}
		for _, t := range l.texts("approve") {
			a.Approve = append(a.Approve, c.role(t))
		}
		for _, t := range l.texts("after") {
			a.After = append(a.After, t.s)
			c.wait[a.ID] = append(c.wait[a.ID], t)
		}
		if t := l.text("confirm"); t.s != "" {
			a.Confirm = t.s
			c.checkRefs = append(c.checkRefs, reference{t.s, t.pos})
		}
		i := len(c.p.Actions)
		c.p.Actions = append(c.p.Actions, a)
		c.ids["action "+a.ID] = rule{"action", a.Promise, e.pos}
		c.when(l, context{what: "the condition of an action"}, func(cond *Condition) { c.p.Actions[i].When = cond })
	}
}

// connectorForm accepts an id, or two with a dot between them.
func connectorForm(s string) bool {
	a, b, dotted := strings.Cut(s, ".")
	return idForm.MatchString(a) && (!dotted || idForm.MatchString(b))
}

// probes are the kinds of check. A check of kind connector is the proof a connector makes itself
// when its action has been applied: that the old credential or path is refused.
var probes = []string{"http", "connector"}

func (c *compiler) checks(f fields) {
	for _, e := range c.named(f.vals["checks"], "checks", "a check") {
		l := c.fields(e.val, "a check", "probe", "means", "with")
		d := CheckDecl{ID: e.key, Means: l.need("means", `"the shop answers"`).s, Pos: c.pos(e.pos)}
		if t := l.need("probe", "http"); t.s != "" {
			d.Probe = t.s
			if !slices.Contains(probes, t.s) {
				c.errorf(t.pos, "bad-value", didYouMean(t.s, probes, "probes are "+list(probes, "and")), "probe: there is no kind of check %s", short(t.s))
			}
		}
		if l.has("with") {
			d.With = map[string]string{}
			for _, w := range c.entries(l.vals["with"], "with") {
				if t, ok := c.text(w.val, "with: "+short(w.key)); ok {
					d.With[w.key] = t.s
				}
			}
		}
		if d.Probe == "connector" {
			c.p.Proofs = append(c.p.Proofs, d)
		} else {
			c.p.Checks = append(c.p.Checks, d)
		}
	}
}

func (c *compiler) phases(f fields) {
	node := deref(f.vals["phases"])
	if node == nil {
		return
	}
	var all []entry
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			all = append(all, c.named(item, "an item of phases", "a phase")...)
		}
	} else {
		all = c.named(node, "phases", "a phase")
	}
	for _, e := range all {
		l := c.fields(e.val, "a phase", "title", "until", "says", "tasks", "promise")
		ph := Phase{ID: e.key, Title: l.text("title").s, Promise: c.promise(l), Pos: c.pos(e.pos)}
		if slices.ContainsFunc(c.p.Phases, func(o Phase) bool { return o.ID == ph.ID }) {
			c.errorf(e.pos, "duplicate-id", "", "there are two phases %s", ph.ID)
			continue
		}
		if ph.Title == "" {
			ph.Title = strings.ToUpper(ph.ID[:1]) + spaced(ph.ID[1:])
		}
		if t := l.text("until"); t.s != "" {
			ph.Until = t.s
			c.anchor(t, 0, t.s)
		}
		for _, t := range l.texts("tasks") {
			if c.id(t.pos, t.s, "a task") {
				ph.Tasks = append(ph.Tasks, t.s)
			}
		}
		for _, p := range c.proses(l.vals["says"], "says") {
			ph.Says = append(ph.Says, p.text.s)
			c.phaseSays[ph.ID] = append(c.phaseSays[ph.ID], p)
		}
		c.p.Phases = append(c.p.Phases, ph)
	}
}
