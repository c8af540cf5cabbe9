package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// lint warns of what compiles and does not mean what its author thinks.
func (c *compiler) lint() {
	c.unread()
	c.neverMissed()
	c.neverCalled()
	c.contradictory()
	c.phasesReached()
	c.beforeGate()
	c.tooEarly()
	c.levels("severity", c.p.Severities)
	for _, s := range c.p.Scales {
		c.levels(s.ID, s.Levels)
	}
	for _, d := range c.p.Duties {
		c.neverTrue(d.When, "the duty "+d.ID+" is never due")
	}
	for _, l := range c.p.Severities {
		c.neverTrue(l.When, "no incident is ever "+spaced(l.ID)+" by its condition")
	}
	for _, a := range c.p.Actions {
		c.neverTrue(a.When, "the action "+a.ID+" is never proposed")
	}
	for _, g := range c.p.Gates {
		c.neverOpens(g)
	}
	c.laxer()
}

// levels warns of levels that nothing brings about: one without a condition above one that has one, and
// one whose condition holds only when a worse level's does.
func (c *compiler) levels(scale string, all []Level) {
	lowest := -1 // the last level with a condition
	for i, l := range all {
		if l.When != nil {
			lowest = i
		}
	}
	for i, l := range all {
		if l.When == nil {
			if lowest >= 0 && i < len(all)-1 {
				c.warnf(l.Pos, "level-by-hand", "write when: what makes it so, or remove the level; only the last one needs no condition", "the level %s of %s has no condition, and others have one: it stands only when somebody sets it", l.ID, scale)
			}
			continue
		}
		for _, worse := range all[:i] {
			if worse.When == nil {
				continue
			}
			if satisfiable([]*Condition{l.When}) && !possible([]*Condition{l.When, worse.When}, []bool{true, false}) {
				c.warnf(l.When.Pos, "level-never", "levels stand worst first, and the worst that holds counts; swap them, or write what differs", "the level %s of %s is never the one that counts: whenever it holds, %s does", l.ID, scale, worse.ID)
				break
			}
		}
	}
}

// tooEarly warns of duties whose limit falls before the earliest instant at which they may be done.
func (c *compiler) tooEarly() {
	for _, d := range c.p.Duties {
		for _, floor := range d.Floor {
			for _, k := range d.Due {
				if k.Kind != "after" || floor.Kind != "after" || k.None || k.Span.Limit == nil || floor.Span.Limit == nil || !slices.Equal(k.Anchor.Names, floor.Anchor.Names) || k.Anchor.End != floor.Anchor.End {
					continue
				}
				if floor.Span.Limit.Roughly() > k.Span.Limit.Roughly() {
					c.warnf(floor.Pos, "too-early", "give it a limit behind the instant before which it may not be done", "%s is due %s, and may not be done before %s: it can only be missed", d.ID, k.Text, floor.Text)
				}
			}
		}
	}
}

// everyCondition calls f with every condition of the program.
func (p *Program) everyCondition(f func(*Condition)) {
	for _, scale := range append([]Scale{{Levels: p.Severities}}, p.Scales...) {
		for _, l := range scale.Levels {
			f(l.When)
		}
	}
	for _, d := range p.Duties {
		f(d.When)
		f(d.Unless)
		for _, k := range d.Due {
			f(k.When)
		}
		if d.Every != nil {
			for _, cell := range d.Every.Cells {
				f(cell.When)
			}
		}
	}
	for _, g := range p.Gates {
		f(g.When)
		for _, n := range g.Need {
			f(n)
		}
	}
	for _, a := range p.Actions {
		f(a.When)
	}
}

// unread warns of questions whose answer changes nothing.
func (c *compiler) unread() {
	read := map[string]bool{}
	c.p.everyCondition(func(cond *Condition) {
		for _, id := range cond.Reads() {
			read[id] = true
		}
	})
	for _, f := range c.p.Facts {
		if !read["fact."+f.ID] && !c.readByLaw(f) {
			hint := "write when: fact." + f.ID + " where it matters, or remove it"
			if f.Type == "string" && slices.ContainsFunc(c.p.Duties, Duty.byLaw) {
				hint = "if it asks where those affected live, call it " + RegionsFact + ": laws read that; else remove it"
			}
			c.warnf(f.Pos, "unread-fact", hint, "somebody is asked for %s, and no condition reads the answer", f.ID)
		}
	}
}

// readByLaw reports whether a law behind a clock of the policy asks for a fact, or runs only for those
// who answer it with yes.
func (c *compiler) readByLaw(f FactDecl) bool {
	if c.p.Laws == nil {
		return false
	}
	asks := func(q LawQuestion) bool {
		return slices.ContainsFunc(c.p.Laws.Clocks(q), func(k LawClock) bool { return slices.Contains(k.Applies.Missing, "fact."+f.ID) })
	}
	for _, d := range c.p.Duties {
		if !d.byLaw() {
			continue
		}
		q := c.p.lawQuestion(d)
		without := len(c.p.Laws.Clocks(q))
		if f.ID == RegionsFact || asks(q) {
			return true
		}
		if q.Facts = map[string]any{f.ID: true}; len(c.p.Laws.Clocks(q)) != without {
			return true
		}
	}
	return false
}

// neverMissed warns of clocks that wait for a limit to be missed where there is none.
func (c *compiler) neverMissed() {
	for _, d := range c.p.Duties {
		for _, k := range slices.Concat(d.Due, d.Floor) {
			for _, n := range k.Anchor.Names {
				on, at, _ := strings.Cut(n, ".")
				if at != "missed" && at != "late" {
					continue
				}
				i := slices.IndexFunc(c.p.Duties, func(o Duty) bool { return o.ID == on })
				if i < 0 || c.p.Duties[i].Limited() {
					continue
				}
				if at == "late" && slices.ContainsFunc(c.p.Duties[i].Due, func(k Clock) bool { return k.Span.Target != nil }) {
					continue
				}
				c.warnf(k.Pos, "never-missed", "give "+on+" a limit, such as promptly..24h", "the clock of %s waits for %s to be %s, and %s has no limit", d.ID, on, at, on)
			}
		}
	}
}

// neverCalled warns of people who are to be called at a limit that no clock of the duty has.
func (c *compiler) neverCalled() {
	for _, d := range c.p.Duties {
		if len(d.Late) > 0 && len(d.Due) > 0 && !d.Limited() && !d.aimed() && (d.Every == nil || d.Every.Period == "") {
			c.warnf(d.Pos, "never-called", "give it a limit, such as 2d after detected, or a target: promptly after detected", "late calls nobody: no clock of %s has a limit or a target to count from", d.ID)
		}
	}
}

// aimed reports whether a duty has a target.
func (d *Duty) aimed() bool {
	return d.Every != nil && d.Every.Span.Target != nil || slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Span.Target != nil })
}

// Limited reports whether a duty can be missed.
func (d *Duty) Limited() bool {
	return d.Every != nil && d.Every.Span.Limit != nil || slices.ContainsFunc(d.Due, func(k Clock) bool {
		return k.Span.Limit != nil || k.Kind == "by" || k.Kind == "before" || k.Kind == "law" || k.Kind == "contract"
	})
}

// contradictory reports two rules for the same act and recipient that name different deadlines: the
// earlier runs, and a reader of the page is told both.
func (c *compiler) contradictory() {
	chained := func(d *Duty) bool {
		return slices.ContainsFunc(d.Due, func(k Clock) bool {
			return slices.ContainsFunc(k.Anchor.Names, func(n string) bool { return strings.Contains(n, ".") || n == "applies" })
		})
	}
	source := func(c *Condition) string {
		if c == nil {
			return ""
		}
		return c.Source
	}
	texts := func(d *Duty) (out []string) {
		for _, k := range d.Due {
			out = append(out, k.Text)
		}
		return out
	}
	earlier := map[string][]*Duty{} // by what they oblige to, to whom and when
	for i := range c.p.Duties {
		d := &c.p.Duties[i]
		if d.Do == "" || len(d.Due) == 0 || chained(d) {
			continue
		}
		key := strings.Join([]string{string(d.Do), d.To, d.For, d.Each, d.Task, source(d.When), sorted(d.Of), sorted(d.Content)}, "\x00")
		for _, o := range earlier[key] {
			if !d.Asked && !slices.Equal(texts(o), texts(d)) {
				c.warnf(d.Pos, "contradiction", "remove one of them, or give them conditions that exclude each other", "%s and %s oblige to the same with two deadlines, %s and %s: the earlier runs", o.ID, d.ID, list(texts(o), "or"), list(texts(d), "or"))
			}
		}
		earlier[key] = append(earlier[key], d)
	}
}

// sorted is one text for a set of ids, whatever their order.
func sorted(ids []string) string { return strings.Join(slices.Sorted(slices.Values(ids)), " ") }

// obliged lists the milestones that somebody is obliged to reach, or that come by themselves.
func (p *Program) obliged() map[string]bool {
	// The first two are recorded when an incident opens; one that is not closed is in everybody's sight.
	reached := map[string]bool{"suspected": true, "detected": true, "closed": true}
	for _, d := range p.Duties {
		if d.Do == Answer {
			continue
		}
		for _, m := range slices.Concat(settles[d.Do], d.Of) {
			reached[m] = true
		}
	}
	reached["aware"] = reached["aware"] || reached["confirmed"] || reached["acknowledged"] // it defaults to the earlier of the two
	for range p.Milestones {                                                               // what implies another reaches it
		for _, m := range p.Milestones {
			if reached[m.ID] {
				for _, n := range m.Implies {
					reached[n] = true
				}
			}
		}
	}
	return reached
}

// phasesReached warns of phases behind one that nobody is obliged to end. The milestones of every
// incident come by commands; those of the policy's own come by a duty or not at all.
func (c *compiler) phasesReached() {
	reached := c.p.obliged()
	for i, ph := range c.p.Phases[:max(0, len(c.p.Phases)-1)] {
		var names []string
		lost := ph.Until != ""
		for _, w := range strings.Fields(ph.Until) {
			if w == "or" || w == "and" {
				continue
			}
			names = append(names, w)
			own := slices.ContainsFunc(c.p.Milestones, func(m MilestoneDecl) bool { return m.ID == w })
			lost = lost && own && !reached[w]
		}
		if lost && len(names) > 0 {
			c.warnf(ph.Pos, "unreached-phase", "add a duty: { who: lead, do: reach, of: "+names[0]+", due: … }", "the phase %s lasts until the incident is %s, which nobody is obliged to reach: %s is never reached", ph.ID, list(spacedAll(names), "or"), c.p.Phases[i+1].ID)
		}
	}
}

// opens names what a need waits for: the duties that bring it about, and whether it is something
// that only a duty can.
func (p *Program) opens(name string) (duties []Duty, only bool) {
	milestone, isMilestone := strings.CutPrefix(name, "milestone.")
	fact, isFact := strings.CutPrefix(name, "fact.")
	of, isDuty := strings.CutPrefix(name, "duty.")
	on, at, _ := strings.Cut(of, ".")
	for _, d := range p.Duties {
		switch {
		case isMilestone && d.Do != Answer && slices.Contains(slices.Concat(settles[d.Do], d.Of), milestone),
			isFact && d.Do == Answer && slices.Contains(d.Of, fact),
			isDuty && at == "met" && d.ID == on,
			name == "fix.verified" && d.Do == Verify:
			duties = append(duties, d)
		}
	}
	return duties, isMilestone || isDuty && at == "met"
}

// behind are the verbs whose act a gate may refuse.
var behind = map[string][]Verb{"restore": {Restore}, "notify": {Notify, Announce}, "publish": {Review}}

// beforeGate warns of limits that can fall before the gate in front of the act can open.
func (c *compiler) beforeGate() {
	for _, g := range c.p.Gates {
		for _, d := range c.p.Duties {
			closes := g.Guards == "close" && d.Do == Reach && slices.Contains(d.Of, "closed")
			if !closes && !slices.Contains(behind[g.Guards], d.Do) || d.For != "incident" {
				continue
			}
			for _, k := range d.Due {
				if k.Kind == "after" && k.Span.Limit != nil && !k.None {
					c.fallsBefore(g, d, k)
				}
			}
		}
	}
}

func (c *compiler) fallsBefore(g Gate, d Duty, k Clock) {
	for _, n := range g.Need {
		for _, name := range n.Reads() {
			if slices.ContainsFunc(k.Anchor.Names, func(a string) bool { return "milestone."+a == name || "duty."+a == name }) {
				continue // the clock starts when the gate opens
			}
			by, only := c.p.opens(name)
			if len(by) == 0 {
				if only {
					c.warnf(k.Pos, "before-gate", "oblige somebody to bring it about, or let the gate go without it", "the limit of %s can fall before its gate %s opens: nobody is obliged to bring about %s", d.ID, g.ID, name)
				}
				continue
			}
			late := ""
			for _, o := range by {
				if why := laterThan(o, k); why == "" {
					late = ""
					break
				} else {
					late = why
				}
			}
			if late != "" {
				c.warnf(k.Pos, "before-gate", "give "+by[0].ID+" a limit that falls earlier", "the limit of %s (%s) can fall before its gate %s opens: %s", d.ID, k.Text, g.ID, late)
			}
		}
	}
}

// laterThan says why o may be done only after the limit of k; "" where it is not known to.
func laterThan(o Duty, k Clock) string {
	var longest time.Duration
	for _, ok := range o.Due {
		switch {
		case ok.Span.Limit == nil && ok.Kind != "by" && ok.Kind != "before":
			return o.ID + " has no limit"
		case ok.Kind != "after" || !slices.Equal(ok.Anchor.Names, k.Anchor.Names):
			return ""
		}
		if d := ok.Span.Limit.Roughly(); longest == 0 || d < longest {
			longest = d
		}
	}
	if longest > k.Span.Limit.Roughly() {
		return o.ID + " is due " + o.Due[0].Text
	}
	return ""
}

// selfLocks are what a gate must not wait for: it comes only when the gate has opened.
var selfLocks = map[string]string{"restore": "restored", "close": "closed", "dismiss": "dismissed", "publish": "reviewed"}

// neverOpens warns of gates that no facts open.
func (c *compiler) neverOpens(g Gate) {
	for _, n := range g.Need {
		for _, name := range n.Reads() {
			own := strings.TrimPrefix(name, "milestone.")
			if own != name && own == selfLocks[g.Guards] && !strings.Contains(n.Source, "!") {
				c.warnf(n.Pos, "shut-gate", "a gate waits for what comes before it", "the gate %s waits for the incident to be %s, which it holds back itself", g.ID, spaced(own))
				return
			}
			custom := slices.ContainsFunc(c.p.Milestones, func(m MilestoneDecl) bool { return m.ID == own })
			if own != name && custom && !c.p.obliged()[own] && !strings.Contains(n.Source, "!") {
				c.warnf(n.Pos, "shut-gate", "add a duty: { who: lead, do: reach, of: "+own+", due: … }", "the gate %s waits for the incident to be %s, which nobody is obliged to reach", g.ID, spaced(own))
				return
			}
		}
	}
	if len(g.Need) > 0 && !satisfiable(g.Need) {
		c.warnf(g.Need[0].Pos, "shut-gate", "two of its needs exclude each other", "the gate %s can never open: no answers make all of it so", g.ID)
	}
}

// neverTrue warns of a condition that no answers make true.
func (c *compiler) neverTrue(cond *Condition, what string) {
	if cond != nil && !satisfiable([]*Condition{cond}) {
		c.warnf(cond.Pos, "never", "look for parts that exclude each other", "%s: no answers make the condition true", what)
	}
}

// mostTrials bounds how many answers are tried on one condition.
const mostTrials = 256

// satisfiable reports whether some answers make all conditions true. It tries them where the names
// are few and each has few values; elsewhere it says yes. A condition that reads each name once and
// has no constant is not tried.
func satisfiable(all []*Condition) bool { return possible(all, nil) }

// possible reports whether some answers make each condition what is wanted of it; nil: all true.
func possible(all []*Condition, want []bool) bool {
	var names []*name
	times := map[string]int{}
	constant := false
	for _, cond := range all {
		ev := cond.evaluator
		if ev == nil || ev.checked == nil {
			return true
		}
		ast.PostOrderVisit(ev.checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
			switch {
			case e.Kind() == ast.IdentKind:
				times[e.AsIdent()]++
			case e.Kind() == ast.LiteralKind && e.AsLiteral().Type() == types.BoolType:
				constant = true
			}
		}))
		for _, n := range ev.reads {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	twice := constant && len(names) == 0
	trials := 1
	for _, n := range names {
		twice = twice || times[n.id] > 1
		switch {
		case n.typ.IsExactType(cel.BoolType):
			trials *= 2
		case len(n.values) > 0:
			trials *= len(n.values)
		default:
			return true
		}
		if trials > mostTrials {
			return true
		}
	}
	if !twice {
		return true
	}
	vals := make(map[string]any, len(names))
	for trial := range trials {
		rest := trial
		for _, n := range names {
			if n.typ.IsExactType(cel.BoolType) {
				vals[n.id], rest = rest%2 == 1, rest/2
			} else {
				vals[n.id], rest = n.values[rest%len(n.values)], rest/len(n.values)
			}
		}
		found := true
		for i, cond := range all {
			so, known := cond.evaluator.holds(vals)
			found = found && (!known || so == (want == nil || want[i]))
		}
		if found {
			return true
		}
	}
	return false
}

// holds evaluates a condition on given values; known is false for what cannot be decided.
func (e *evaluator) holds(vals map[string]any) (so, known bool) {
	e.once.Do(e.plan)
	if e.broken != nil {
		return false, false
	}
	out, _, err := e.program.Eval(vals)
	b, ok := out.(types.Bool)
	return bool(b), err == nil && ok
}

// laxer warns where the law gives less time than the policy takes. It asks with nothing known, so
// that every clock that may run is looked at.
func (c *compiler) laxer() {
	if c.p.Laws == nil {
		return
	}
	for _, d := range c.p.Duties {
		if d.Do != Notify || d.For != "incident" {
			continue
		}
		if !slices.ContainsFunc(d.Due, func(k Clock) bool {
			return !slices.ContainsFunc(k.Anchor.Names, func(n string) bool { return strings.Contains(n, ".") })
		}) {
			continue // it follows another notice, which is the one the law asks for
		}
		id, _, _ := strings.Cut(d.To, ".")
		i := slices.IndexFunc(c.p.Parties, func(p Party) bool { return p.ID == id })
		if i < 0 {
			continue
		}
		imported := slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Kind == "law" })
		var laws []LawClock
		if c.p.Parties[i].Kind != "" {
			laws = c.p.Laws.Clocks(LawQuestion{Do: d.Do, Party: c.p.Parties[i].Kind, Within: c.p.Places})
		}
		if imported {
			if len(laws) == 0 {
				c.warnf(d.Pos, "no-law", "write kind: authority, individuals, controller or platform in the party, or a length of your own", "no law of the catalogue speaks of telling %s: as law runs promptly", c.p.Parties[i].Name)
			}
			continue
		}
		for _, law := range laws {
			if why := c.laxerThan(d, law); why != "" {
				c.warnf(d.Pos, "laxer-than-law", "write due: ["+d.Due[0].Text+", as law]: the earliest runs", "%s, and a law may say %s", why, law.Text)
				break
			}
		}
	}
}

// laxerThan says how a duty gives more time than a law; "" where it does not.
func (c *compiler) laxerThan(d Duty, law LawClock) string {
	if law.Span.Limit == nil {
		return ""
	}
	lawful := law.Span.Limit.Roughly()
	least, text := time.Duration(-1), ""
	for _, k := range d.Due {
		if k.Kind != "after" || k.Span.Limit == nil || k.None {
			continue
		}
		at := k.Span.Limit.Roughly()
		if later(k.Anchor.Names, law.Anchor) {
			at += time.Hour // the same length from a later start
		}
		if least < 0 || at < least {
			least, text = at, k.Text
		}
	}
	switch {
	case least < 0:
		return fmt.Sprintf("the duty %s has no limit", d.ID)
	case least > lawful:
		return fmt.Sprintf("the duty %s is due %s", d.ID, text)
	}
	return ""
}

// later reports whether all names are milestones that come after m in the order of Universal.
func later(names []string, m string) bool {
	at := slices.Index(Universal, m)
	return at >= 0 && len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return slices.Index(Universal, n) <= at })
}
