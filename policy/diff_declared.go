package policy

import (
	"slices"
	"strings"
)

func nothing[T any](T) []string { return nil }

func levelID(l Level) string { return l.ID }

func checkID(c CheckDecl) string { return c.ID }

func describeLevel(_ *Program, l Level) string {
	return "the level " + spaced(l.ID) + ": " + clauseOf(l.Means)
}

func describeScale(_ *Program, s Scale) string {
	levels := make([]string, len(s.Levels))
	for i, l := range s.Levels {
		levels[i] = spaced(l.ID)
	}
	return "incidents are also graded by " + spaced(s.ID) + ": " + list(levels, "or")
}

func describeCheck(_ *Program, c CheckDecl) string { return "we check: " + clauseOf(c.Means) }

func means[T any](of func(T) string) worded[T] {
	return valued("Means", "meaning", Reworded, func(_ *Program, t T) string { return quoted(of(t)) })
}

var levelWords = []worded[Level]{
	means(func(l Level) string { return l.Means }),
	{"When", func(x *differ, rule string, a, b Level) {
		_, id, _ := strings.Cut(rule, " ")
		x.condition(rule, a.When, b.When, Changed, Changed, "when", "an incident is at least "+spaced(id))
	}},
}

var scaleOrder = worded[*Program]{"Scales", func(x *differ, _ string, a, b *Program) {
	for _, s := range b.Scales {
		if o, ok := find(a.Scales, s.ID, func(s Scale) string { return s.ID }); ok {
			levels := func(s Scale) func(*Program) []Level { return func(*Program) []Level { return s.Levels } }
			var old, now []string
			for _, l := range levels(o)(a) {
				if _, both := find(s.Levels, l.ID, levelID); both {
					old = append(old, spaced(l.ID))
				}
			}
			for _, l := range levels(s)(b) {
				if _, both := find(o.Levels, l.ID, levelID); both {
					now = append(now, spaced(l.ID))
				}
			}
			if !slices.Equal(old, now) {
				x.add(Changed, "scale "+s.ID, "the order of %s is now %s instead of %s", spaced(s.ID), list(now, "and"), list(old, "and"))
			}
		}
	}
}}

var scaleWords = []worded[Scale]{
	means(func(s Scale) string { return s.Means }),
	{"Levels", func(x *differ, rule string, a, b Scale) {
		all := func(p *Program) []Level {
			if p == x.a {
				return a.Levels
			}
			return b.Levels
		}
		promise, pos := x.promise, x.pos
		several("Levels", strings.TrimPrefix(rule, "scale "), all, levelID, describeLevel, nothing[Level], func(l Level) Pos { return l.Pos }, levelWords).say(x, rule, x.a, x.b)
		x.promise, x.pos = promise, pos
	}},
}

var classWords = []worded[Class]{
	means(func(c Class) string { return c.Means }),
	setOf("Signals", func(c Class) []string { return spacedAll(c.Signals) }, Stricter, Laxer, "is now also opened by %s", "is no longer opened by %s"),
	promises(func(c Class) []string { return c.Promise }),
}

var eventWords = []worded[EventDecl]{
	means(func(e EventDecl) string { return e.Means }),
	promises(func(e EventDecl) []string { return e.Promise }),
}

var factWords = []worded[FactDecl]{
	valued("Type", "type", Changed, func(_ *Program, f FactDecl) string { return f.Type }),
	setOf("Values", func(f FactDecl) []string { return spacedAll(f.Values) }, Changed, Changed, "may now be answered with %s", "may no longer be answered with %s"),
	valued("Ask", "question", Reworded, func(_ *Program, f FactDecl) string { return quoted(f.Ask) }),
	{"By", func(x *differ, rule string, a, b FactDecl) {
		if a.By != b.By {
			x.add(Changed, rule, "the %s now answers instead of the %s: %s", spaced(b.By), spaced(a.By), b.Ask)
		}
	}},
	{"Due", func(x *differ, rule string, a, b FactDecl) {
		x.clocks(rule, "it is now answered", a.Due, b.Due, Duty{}, Duty{})
	}},
	valued("Say", "wording", Reworded, func(_ *Program, f FactDecl) string { return quoted(f.Say) }),
	valued("Presume", "presumption", Changed, func(_ *Program, f FactDecl) string {
		switch {
		case f.Presume == nil:
			return ""
		case *f.Presume:
			return "that " + f.Say
		}
		return "that it is not so that " + f.Say
	}),
}

var milestoneWords = []worded[MilestoneDecl]{
	means(func(m MilestoneDecl) string { return m.Means }),
	setOf("Implies", func(m MilestoneDecl) []string { return spacedAll(m.Implies) }, Changed, Changed, "now implies %s", "no longer implies %s"),
}

func yes(v bool, what string) []string {
	if v {
		return []string{what}
	}
	return nil
}

var partyWords = []worded[Party]{
	setOf("Affected", func(q Party) []string { return yes(q.Affected, "the merchants in scope") }, Changed, Changed, "now includes %s", "no longer includes %s"),
	setOf("All", func(q Party) []string { return yes(q.All, "every merchant of the directory") }, Changed, Changed, "now includes %s", "no longer includes %s"),
	setOf("Broadcast", func(q Party) []string { return yes(q.Broadcast, "publishing") }, Changed, Changed, "is now told by %s", "is no longer told by %s"),
	valued("Kind", "kind", Changed, func(_ *Program, q Party) string { return spaced(q.Kind) }),
	valued("Address", "address", Changed, func(_ *Program, q Party) string { return list(q.Address, "or else") }),
	valued("Via", "channel", Changed, func(_ *Program, q Party) string { return channelWords(q.Via, "or") }),
	setOf("Fallback", func(q Party) []string { return []string{channelWords(q.Fallback, "or else")} }, Changed, Changed, "is now told %s where that does not reach it", "is no longer told %s where that does not reach it"),
	valued("Contract", "place of the contracts", Changed, func(_ *Program, q Party) string { return q.Contract }),
	valued("Name", "name", Reworded, func(_ *Program, q Party) string { return quoted(q.Name) }),
}

var roleWords = []worded[Role]{
	valued("Does", "task", Reworded, func(_ *Program, r Role) string { return quoted(r.Does) }),
	setOf("Holder", func(r Role) []string { return yes(r.Holder == "?", "open") }, Changed, Changed, "is now %s", "is no longer %s"),
	setOf("Holders", func(r Role) []string { return r.Holders }, Changed, Changed, "is now held by %s", "is no longer held by %s"),
	setOf("Backup", func(r Role) []string { return spacedAll(r.Backup) }, Changed, Changed, "now has the stand-in %s", "no longer has the stand-in %s"),
}

var checkWords = []worded[CheckDecl]{
	means(func(c CheckDecl) string { return c.Means }),
	valued("Probe", "kind", Changed, func(_ *Program, c CheckDecl) string { return c.Probe }),
	valued("With", "setting", Changed, func(_ *Program, c CheckDecl) string {
		var out []string
		for _, k := range sortedKeys(c.With) {
			out = append(out, k+": "+c.With[k])
		}
		return list(out, "and")
	}),
}

var phaseWords = []worded[Phase]{
	valued("Title", "title", Reworded, func(_ *Program, ph Phase) string { return quoted(ph.Title) }),
	valued("Until", "end", Changed, func(_ *Program, ph Phase) string { return spaced(ph.Until) }),
	valued("Says", "text", Reworded, func(_ *Program, ph Phase) string { return quoted(strings.Join(ph.Says, " ")) }),
	setOf("Tasks", func(ph Phase) []string { return spacedAll(ph.Tasks) }, Stricter, Laxer, "now has the task %s", "no longer has the task %s"),
	promises(func(ph Phase) []string { return ph.Promise }),
}

var contactWords = []worded[Contact]{
	valued("Email", "address for reports", Changed, func(_ *Program, c Contact) string { return c.Email }),
	valued("URL", "place for reports", Changed, func(_ *Program, c Contact) string { return c.URL }),
}

var actionWords = []worded[ActionDecl]{
	valued("Uses", "connector", Changed, func(_ *Program, a ActionDecl) string { return a.Uses }),
	means(func(a ActionDecl) string { return a.Means }),
	whenOf(func(a ActionDecl) *Condition { return a.When }, ruleHolds),
	setOf("After", func(a ActionDecl) []string { return spacedAll(a.After) }, Stricter, Laxer, "now waits for %s", "no longer waits for %s"),
	setOf("Approve", func(a ActionDecl) []string { return spacedAll(a.Approve) }, Stricter, Laxer, "is now approved by the %s", "is no longer approved by the %s"),
	valued("Confirm", "proof", Changed, func(_ *Program, a ActionDecl) string { return spaced(a.Confirm) }),
	promises(func(a ActionDecl) []string { return a.Promise }),
}

var gateWords = []worded[Gate]{
	{"Guards", func(x *differ, rule string, a, b Gate) {
		if a.Guards != b.Guards {
			x.add(Changed, rule, "the %s now means that %s, and no longer that %s", strings.ReplaceAll(rule, "_", " "), x.b.guards(b), x.a.guards(a))
		}
	}},
	whenOf(func(g Gate) *Condition { return g.When }, ruleHolds),
	{"Need", func(x *differ, rule string, a, b Gate) {
		say := func(g Gate) (out []string) {
			for _, n := range g.Need {
				out = append(out, n.Say)
			}
			return out
		}
		if slices.EqualFunc(a.Need, b.Need, func(m, n *Condition) bool { return m.Source == n.Source && m.Say == n.Say }) {
			return
		}
		before := len(x.out)
		x.set(rule, say(a), say(b), Stricter, Laxer, x.b.guards(b)+" now also until %s", x.b.guards(b)+" no longer until %s")
		if len(x.out) == before {
			x.add(Changed, rule, "what the %s needs is written differently: %s", strings.ReplaceAll(rule, "_", " "), needWords(b))
		}
	}},
	{"Sign", func(x *differ, rule string, a, b Gate) { x.signatures(rule, a.Sign, b.Sign, "is opened") }},
	valued("Attest", "attestation", Changed, func(_ *Program, g Gate) string { return quoted(g.Attest) }),
	{"Override", func(x *differ, rule string, a, b Gate) {
		name := "the " + strings.ReplaceAll(rule, "_", " ")
		switch {
		case a.Override == nil && b.Override == nil:
		case a.Override == nil:
			x.add(Laxer, rule, "%s may now be passed all the same once %s signed and %s is recorded", name, x.b.signers(b.Override.Sign), recorded(b.Override.Record))
		case b.Override == nil:
			x.add(Stricter, rule, "%s can no longer be passed while it is shut", name)
		default:
			for _, w := range overrideWords {
				w.say(x, rule, *a.Override, *b.Override)
			}
		}
	}},
	valued("Otherwise", "reason for the refusal", Reworded, func(_ *Program, g Gate) string { return quoted(g.Otherwise) }),
	promises(func(g Gate) []string { return g.Promise }),
}

var overrideWords = []worded[Override]{
	{"Sign", func(x *differ, rule string, a, b Override) {
		x.signatures(rule, a.Sign, b.Sign, "may be passed while it is shut")
	}},
	valued("Record", "record of passing it all the same", Changed, func(_ *Program, o Override) string { return spaced(o.Record) }),
}

// signatures says who signs now.
func (x *differ) signatures(rule string, a, b []Signature, what string) {
	if slices.Equal(a, b) {
		return
	}
	kind, people := Changed, func(s []Signature) (n int) {
		for _, one := range s {
			n += one.N
		}
		return n
	}
	switch {
	case people(b) > people(a):
		kind = Stricter
	case people(b) < people(a):
		kind = Laxer
	}
	who := func(s []Signature) string {
		if len(s) == 0 {
			return "nobody"
		}
		out := make([]string, len(s))
		for i, one := range s {
			out[i] = signerWords(one)
		}
		return list(out, "and")
	}
	x.add(kind, rule, "the %s now %s with the signature of %s instead of %s", strings.ReplaceAll(rule, "_", " "), what, who(b), who(a))
}
