package policy

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

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
		l := c.fields(item, "a gate")
		if l.pos.Line == 0 || len(l.vals) == 0 {
			continue
		}
		g := Gate{Otherwise: l.text("otherwise").s, Attest: l.text("attest").s, Promise: c.promise(l), Pos: c.pos(nodePos(item))}
		guards := l.need("guards", "restore")
		g.Guards = guards.s
		c.guardRefs = append(c.guardRefs, reference{guards.s, guards.pos})
		if t := l.text("id"); t.s != "" {
			c.id(t.pos, t.s, "a gate")
			g.ID = t.s
		} else if seen[g.Guards]++; seen[g.Guards] == 1 {
			g.ID = g.Guards
		} else {
			g.ID = g.Guards + "_" + strconv.Itoa(seen[g.Guards])
		}
		g.Sign = c.signatures(l)
		if l.has("override") {
			o := c.fields(l.vals["override"], "an override")
			g.Override = &Override{Sign: c.signatures(o), Record: "reason"}
			if t := o.text("record"); t.s != "" {
				g.Override.Record = t.s
			}
			if len(g.Override.Sign) == 0 {
				c.errorf(o.pos, "missing-key", "write sign: [lead]", "the override of %s is signed by nobody", short(g.Guards))
			}
		}
		if !l.has("need") && !l.has("sign") && !l.has("attest") {
			c.errorf(l.pos, "missing-key", "write need, sign or attest", "the gate of %s asks for nothing", short(g.Guards))
		}
		if _, twice := c.ids["gate "+g.ID]; twice {
			c.errorf(l.at("id"), "duplicate-id", "", "there are two gates %s", g.ID)
		}
		c.ids["gate "+g.ID] = rule{"gate", g.Promise, nodePos(item)}
		i := len(c.p.Gates)
		c.p.Gates = append(c.p.Gates, g)
		for _, t := range l.texts("need") {
			c.wantAll(t, context{what: "the need of a gate"}, func(cond *Condition) { c.p.Gates[i].Need = append(c.p.Gates[i].Need, cond) })
		}
		c.when(l, "when", context{what: "the condition of a gate"}, func(cond *Condition) { c.p.Gates[i].When = cond })
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
		l := c.fields(e.val, "an action")
		a := ActionDecl{ID: e.key, Means: meaning(l, e.key), Promise: c.promise(l), Pos: c.pos(e.pos)}
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
		c.when(l, "when", context{what: "the condition of an action"}, func(cond *Condition) { c.p.Actions[i].When = cond })
	}
}

// connectorForm accepts an id, or two with a dot between them.
func connectorForm(s string) bool {
	a, b, dotted := strings.Cut(s, ".")
	return idForm.MatchString(a) && (!dotted || idForm.MatchString(b))
}

// meaning is what a rule says of itself; left out, its id in words.
func meaning(l fields, id string) string {
	if l.has("means") {
		return l.text("means").s
	}
	return spaced(id)
}

func (c *compiler) checks(f fields) {
	for _, e := range c.named(f.vals["checks"], "checks", "a check") {
		l := c.fields(e.val, "a check")
		d := CheckDecl{ID: e.key, Means: meaning(l, e.key), Pos: c.pos(e.pos)}
		if t := l.need("probe", "http"); t.s != "" {
			d.Probe = t.s
			if !slices.Contains(probes, t.s) {
				c.errorf(t.pos, "bad-value", didYouMean(t.s, probes, "probes are "+list(probes, "and")), "probe: there is no kind of check %s", short(t.s))
			}
		}
		if l.has("with") {
			d.With = c.settings(l.vals["with"])
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
			if name, bare := bareItem(item, "title", "until", "tasks", "says", "promise"); bare {
				c.errorf(nodePos(item), "wrong-type", "write - "+name+": { title: …, until: … }", "a phase stands under its own name")
				continue
			}
			all = append(all, c.named(item, "an item of phases", "a phase")...)
		}
	} else {
		all = c.named(node, "phases", "a phase")
	}
	for _, e := range all {
		l := c.fields(e.val, "a phase")
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
		c.ids["phase "+ph.ID] = rule{"phase", ph.Promise, e.pos}
		c.p.Phases = append(c.p.Phases, ph)
	}
}

// bareItem reports whether an item of a list has the keys of a thing where its name should stand, and
// the name that it most likely has.
func bareItem(item *yaml.Node, keys ...string) (name string, bare bool) {
	name = "recovery"
	n := deref(item)
	if n == nil || n.Kind != yaml.MappingNode {
		return name, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i].Value, deref(n.Content[i+1])
		if val == nil || val.Kind == yaml.MappingNode {
			continue
		}
		switch {
		case key == "id" || key == "name":
			if bare = true; idForm.MatchString(val.Value) {
				name = val.Value
			}
		case slices.Contains(keys, key):
			bare = true
		}
	}
	return name, bare
}

// settings reads what a check is told: a mapping of texts, or one text, which names a file.
func (c *compiler) settings(n *yaml.Node) map[string]string {
	if d := deref(n); d != nil && d.Kind == yaml.ScalarNode {
		t, _ := c.text(n, "with")
		return map[string]string{"file": t.s}
	}
	out := map[string]string{}
	for _, w := range c.entries(n, "with") {
		if t, ok := c.text(w.val, "with: "+short(w.key)); ok {
			out[w.key] = t.s
		}
	}
	return out
}
