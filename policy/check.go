package policy

import (
	"slices"
	"strings"
)

// references reports names that rules use and nothing declares.
func (c *compiler) references() {
	var roles, milestones, instants, checks, actions []string
	for _, r := range c.p.Roles {
		roles = append(roles, r.ID)
	}
	milestones = slices.Clone(Universal)
	for _, m := range c.p.Milestones {
		milestones = append(milestones, m.ID)
	}
	for _, d := range c.p.Duties {
		for _, at := range dutyInstants {
			instants = append(instants, d.ID+"."+at)
		}
	}
	for _, k := range slices.Concat(c.p.Checks, c.p.Proofs) {
		checks = append(checks, k.ID)
	}
	for _, a := range c.p.Actions {
		actions = append(actions, a.ID)
	}
	c.undeclaredRoles(roles)
	all := slices.Concat(milestones, instants)
	for _, ref := range c.anchors {
		if slices.Contains(all, ref.name) {
			continue
		}
		if duty, _, dotted := strings.Cut(ref.name, "."); dotted {
			if fact, ok := strings.CutPrefix(ref.name, "fact."); ok && slices.ContainsFunc(c.p.Facts, func(f FactDecl) bool { return f.ID == fact }) {
				c.errorf(ref.pos, "unknown-reference", "write ask_"+fact+".met: the instant at which it is answered", "there is no instant %s", short(ref.name))
				continue
			}
			c.errorf(ref.pos, "unknown-reference", didYouMean(ref.name, instants, "instants of a duty are "+short(duty)+".applies, .started, .met, .late, .missed and .waived"), "there is no instant %s", short(ref.name))
			continue
		}
		c.errorf(ref.pos, "unknown-reference", c.milestoneHint(ref.name, all), "there is no milestone %s", short(ref.name))
	}
	c.undeclaredChecks(checks)
	for _, ref := range c.guardRefs {
		if all := slices.Concat(guarded, actions); ref.name != "" && !slices.Contains(all, ref.name) {
			if d, ok := find(c.p.Duties, ref.name, func(d Duty) string { return d.ID }); ok && d.Do.tells() {
				c.errorf(ref.pos, "bad-value", "of one notice, say who signs it in its duty: approve: [lead]; what holds for every notice is guards: notify", "no gate can guard the notice of %s alone", short(ref.name))
				continue
			}
			c.errorf(ref.pos, "bad-value", didYouMean(ref.name, all, "gates guard "+list(guarded, "and")+", or the id of an action"), "no gate can guard %s", short(ref.name))
		}
	}
	for _, id := range sortedKeys(c.wait) {
		for _, t := range c.wait[id] {
			if t.s != "snapshot" && !slices.Contains(actions, t.s) {
				c.errorf(t.pos, "unknown-reference", didYouMean(t.s, append(actions, "snapshot"), declareHint("actions", actions)), "there is no action %s", short(t.s))
			}
		}
	}
}

// milestoneHint says which instant was most likely meant.
func (c *compiler) milestoneHint(name string, all []string) string {
	if slices.ContainsFunc(c.p.Events, func(e EventDecl) bool { return e.ID == name }) {
		return "write applies: a duty for each " + name + " counts from it"
	}
	bare := strings.ToLower(name)
	if meant := otherMilestones[bare]; meant != "" {
		if bare == "incident" || bare == "report" { // what is decided of it
			return "milestones are such as " + meant + ", confirmed and dismissed"
		}
		return "write " + meant
	}
	if slices.ContainsFunc(c.p.Duties, func(d Duty) bool { return d.ID == name }) {
		return "write " + name + ".met: the instant at which the duty is done"
	}
	return didYouMean(name, all, "declare it under milestones; those of every incident are "+list(Universal, "and"))
}

// roleHint says which role was most likely meant, also where a person is named.
func (c *compiler) roleHint(name string, roles []string) string {
	for _, r := range c.p.Roles {
		if slices.Contains(r.Holders, name) {
			return name + " is a person; write the role " + r.ID
		}
	}
	word, role, ok := strings.Cut(name, " ")
	if n := numberWords[word]; ok && (n != "" || strings.Trim(word, "0123456789") == "") {
		if n == "" {
			n = word
		}
		if near := nearest(strings.TrimPrefix(role, "of "), roles); near != "" {
			return "write " + n + " of " + near
		}
	}
	return didYouMean(name, roles, declareHint("roles", roles))
}

// undeclaredRoles reports misspelt roles. What resembles no declared role is taken for one that is
// still open: it is added, and warned about, as a role without a holder is.
func (c *compiler) undeclaredRoles(roles []string) {
	for _, ref := range c.roleRefs {
		switch {
		case slices.ContainsFunc(c.p.Roles, func(r Role) bool { return r.ID == ref.name }):
		case nearest(ref.name, roles) != "" || !idForm.MatchString(ref.name) || slices.ContainsFunc(c.p.Roles, func(r Role) bool { return slices.Contains(r.Holders, ref.name) }):
			c.errorf(ref.pos, "unknown-reference", c.roleHint(ref.name, roles), "there is no role %s", short(ref.name))
		default:
			c.warnf(ref.pos, "undeclared-role", "write roles: { "+ref.name+": { does: … } }", "the role %s is declared nowhere: it stands open", ref.name)
			c.p.Roles = append(c.p.Roles, Role{ID: ref.name, Does: "still to be described", Holder: "?", Pos: c.pos(ref.pos)})
		}
	}
}

// undeclaredChecks does the same of the checks that actions are confirmed by: undeclared, such a
// check is the proof that the connector makes itself.
func (c *compiler) undeclaredChecks(checks []string) {
	for _, ref := range c.checkRefs {
		switch {
		case slices.ContainsFunc(slices.Concat(c.p.Checks, c.p.Proofs), func(k CheckDecl) bool { return k.ID == ref.name }):
		case nearest(ref.name, checks) != "" || !idForm.MatchString(ref.name):
			c.errorf(ref.pos, "unknown-reference", didYouMean(ref.name, checks, declareHint("checks", checks)), "there is no check %s", short(ref.name))
		default:
			c.warnf(ref.pos, "undeclared-check", "write checks: { "+ref.name+": { probe: connector, means: … } }", "the check %s is declared nowhere: the connector's own proof is meant", ref.name)
			c.p.Proofs = append(c.p.Proofs, CheckDecl{ID: ref.name, Probe: "connector", Means: spaced(ref.name), Pos: c.pos(ref.pos)})
		}
	}
}

func declareHint(section string, declared []string) string {
	if len(declared) == 0 {
		return "declare it under " + section
	}
	return section + " are " + list(declared, "and")
}

// consistency reports what only the whole policy shows.
func (c *compiler) consistency(f fields) {
	c.unique()
	c.cycles()
	c.people()
	if !HasErrors(c.diags) {
		c.undecided()
		c.lint() // what follows from an error would only hide it
	}
	if c.expecting {
		c.expected(f)
	}
	if len(c.p.Severities) == 0 && !f.has("scales") {
		c.warnf(f.pos, "no-severity", "write scales: { severity: { critical: { means: … } } }", "the policy has no severity scale")
	}
	if len(c.p.Roles) == 0 && !f.has("roles") {
		c.warnf(f.pos, "no-roles", "write roles: { lead: { does: … } }", "the policy has no roles")
	}
	for _, g := range c.p.Gates {
		for _, n := range g.Need {
			if len(c.p.Checks) == 0 && slices.Contains(n.reads, "checks") {
				c.warnf(n.Pos, "no-checks", "declare the checks that must pass, under checks", "the gate of %s asks for checks, and none is declared", g.Guards)
			}
		}
	}
}

// unique reports ids that name two things where one name must be enough.
func (c *compiler) unique() {
	duties := map[string]bool{}
	for _, d := range c.p.Duties {
		duties[d.ID] = true
	}
	for _, m := range c.p.Milestones {
		if duties[m.ID] {
			c.errorf(m.Pos, "duplicate-id", "give one of them another name", "%s is a milestone and a duty", m.ID)
		}
	}
	for _, d := range c.p.Duties {
		if slices.Contains(Universal, d.ID) {
			c.errorf(d.Pos, "duplicate-id", "name the duty by what is done, such as tell_merchants", "%s is a milestone of every incident and cannot name a duty", d.ID)
		}
	}
}

// cycles reports duties whose clocks wait for each other, and the same of milestones and actions.
func (c *compiler) cycles() {
	places := map[string]Pos{}
	duties := map[string][]string{}
	for _, d := range c.p.Duties {
		places["duty "+d.ID] = d.Pos
		for _, k := range d.Due {
			for _, n := range k.Anchor.Names {
				// Only what waits for the end of another duty can wait for ever; started and
				// missed of a duty wait for its start.
				if on, _, dotted := strings.Cut(n, "."); dotted {
					duties[d.ID] = append(duties[d.ID], on)
				}
			}
		}
	}
	c.cycle("duty", duties, places, "the clocks of %s wait for each other: none of them can start")
	milestones := map[string][]string{}
	for _, m := range c.p.Milestones {
		places["milestone "+m.ID] = m.Pos
		milestones[m.ID] = m.Implies
	}
	c.cycle("milestone", milestones, places, "the milestones %s imply each other")
	actions := map[string][]string{}
	for _, a := range c.p.Actions {
		places["action "+a.ID] = a.Pos
		actions[a.ID] = a.After
	}
	c.cycle("action", actions, places, "the actions %s wait for each other: none of them can be applied")
}

// cycle reports each cycle of a graph once, at the first of its members.
func (c *compiler) cycle(kind string, edges map[string][]string, places map[string]Pos, message string) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(n string)
	visit = func(n string) {
		switch state[n] {
		case done:
			return
		case visiting:
			at := slices.Index(path, n)
			loop := slices.Clone(path[at:])
			if len(loop) == 1 {
				c.errorf(places[kind+" "+n], "cycle", "", "%s waits for itself: it can never start", n)
				return
			}
			c.errorf(places[kind+" "+loop[0]], "cycle", "", message, list(loop, "and"))
			return
		}
		state[n] = visiting
		path = append(path, n)
		for _, next := range edges[n] {
			visit(next)
		}
		path = path[:len(path)-1]
		state[n] = done
	}
	for _, n := range sortedKeys(edges) {
		visit(n)
	}
}

// people reports signatures that the people who are named cannot give. A role nobody is named for
// may be anybody's, so nothing is known of it.
func (c *compiler) people() {
	for _, g := range c.p.Gates {
		c.enough(g.Pos, "the gate of "+g.Guards, g.Sign, "")
	}
	for _, d := range c.p.Duties {
		var sign []Signature
		for _, role := range d.Approve {
			sign = append(sign, Signature{N: 1, Role: role})
		}
		// Who drafts cannot approve: with one person in the drafting role, that person is out.
		drafter := ""
		if people, known := c.holders(d.Who); known && len(people) == 1 && len(sign) > 0 {
			drafter = people[0]
		}
		c.enough(d.Pos, "the notice of "+d.ID, sign, drafter)
	}
	for _, a := range c.p.Actions {
		var sign []Signature
		for _, role := range a.Approve {
			sign = append(sign, Signature{N: 1, Role: role})
		}
		c.enough(a.Pos, "the action "+a.ID, sign, "")
	}
}

// holders are the people who can sign for a role: who holds it, and who holds its backups.
func (c *compiler) holders(role string) (people []string, known bool) {
	seen := map[string]bool{}
	known = true
	var add func(role string)
	add = func(role string) {
		if seen[role] {
			return
		}
		seen[role] = true
		i := slices.IndexFunc(c.p.Roles, func(r Role) bool { return r.ID == role })
		if i < 0 || len(c.p.Roles[i].Holders) == 0 {
			known = false
			return
		}
		for _, h := range c.p.Roles[i].Holders {
			if !slices.Contains(people, h) {
				people = append(people, h)
			}
		}
		for _, b := range c.p.Roles[i].Backup {
			add(b)
		}
	}
	add(role)
	return people, known
}

// enough reports when distinct people cannot be found for all signatures at once; except cannot
// give any of them.
func (c *compiler) enough(pos Pos, what string, sign []Signature, except string) {
	var slots [][]string // for each signature whose role is known, who could give it
	for _, s := range sign {
		people, known := c.holders(s.Role)
		if !known {
			continue
		}
		people = slices.DeleteFunc(slices.Clone(people), func(h string) bool { return h == except })
		for range s.N {
			slots = append(slots, people)
		}
		if len(people) < s.N {
			hint := "name more people for the role, or a backup"
			if except != "" && len(people) == 0 {
				hint = "who drafts a notice cannot approve it; name another person"
			}
			c.errorf(pos, "too-few-people", hint, "%s needs %s of %s, and there %s", what, counted(s.N, "signature"), s.Role, isAre(len(people)))
			return
		}
	}
	taken := map[string]int{}
	for i := range slots {
		if !assign(i, slots, taken, map[string]bool{}) {
			c.errorf(pos, "too-few-people", "one person signs once; name more people", "%s needs %s by different people, and the roles are held by fewer", what, counted(len(slots), "signature"))
			return
		}
	}
}

// assign finds somebody for slot i, moving others where that helps (augmenting paths).
func assign(i int, slots [][]string, taken map[string]int, tried map[string]bool) bool {
	for _, person := range slots[i] {
		if tried[person] {
			continue
		}
		tried[person] = true
		if j, busy := taken[person]; !busy || assign(j, slots, taken, tried) {
			taken[person] = i
			return true
		}
	}
	return false
}

func counted(n int, what string) string {
	words := []string{"no", "one", "two", "three", "four", "five"}
	if n < len(words) {
		if n == 1 {
			return "one " + what
		}
		return words[n] + " " + what + "s"
	}
	return "many " + what + "s"
}

func isAre(n int) string {
	switch n {
	case 0:
		return "is nobody"
	case 1:
		return "is one person"
	}
	return "are too few people"
}

// undecided warns of clocks that hang on a milestone nobody is obliged to reach: the quietest way
// a duty is lost.
func (c *compiler) undecided() {
	reached := c.p.obliged()
	declared := func(n string) bool { // what nothing declares has been reported as such
		return slices.Contains(Universal, n) || slices.ContainsFunc(c.p.Milestones, func(m MilestoneDecl) bool { return m.ID == n })
	}
	lost := func(k Clock) bool {
		return len(k.Anchor.Names) > 0 && !slices.ContainsFunc(k.Anchor.Names, func(n string) bool { return reached[n] || !declared(n) })
	}
	c.p.everyCondition(func(cond *Condition) {
		if cond == nil {
			return
		}
		for _, k := range cond.passes {
			if lost(k) {
				c.warnf(cond.Pos, "undecided", "add a duty: { who: lead, do: decide, of: ["+k.Anchor.Names[0]+"], due: … }", "the condition waits for %s to pass, and nobody is obliged to decide whether the incident is %s", k.Text, list(k.Anchor.Names, "or"))
			}
		}
	})
	for _, d := range c.p.Duties {
		for _, k := range slices.Concat(d.Due, d.Floor) {
			if lost(k) {
				c.warnf(k.Pos, "undecided", "add a duty: { who: lead, do: decide, of: ["+k.Anchor.Names[0]+"], due: … }", "the clock of %s starts when the incident is %s, and nobody is obliged to decide that", d.ID, list(k.Anchor.Names, "or"))
			}
		}
	}
}
