package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// cell is one entry of a table: what a duty's clock is at one level.
type cell struct {
	by, level string
	is        string // the condition that the level holds
	pos       Pos
	due       []text // a length or a whole clock; none
	every     text
	bare      bool // one text: the cadence of a duty that is repeated
	none      bool
}

// axis is what a table goes by: its levels, and the condition that one of them holds.
type axis struct {
	levels []string
	name   string // as conditions call it
	quoted bool   // levels are texts
}

func (a axis) is(level string) string {
	if !a.quoted {
		level = map[string]string{"true": "true", "false": "false"}[level]
		return a.name + " == " + level
	}
	return a.name + " == '" + level + "'"
}

func (a axis) none(levels []string) string {
	if !a.quoted {
		return "!(" + a.name + " in [" + strings.Join(levels, ", ") + "])"
	}
	return "!(" + a.name + " in ['" + strings.Join(levels, "', '") + "'])"
}

// axis finds what a table may go by: severity, class, a scale, or a fact of a few answers.
func (p *Program) axis(by string) (axis, bool) {
	ids := func(levels []Level) (out []string) {
		for _, l := range levels {
			out = append(out, l.ID)
		}
		return out
	}
	switch by {
	case "severity":
		return axis{ids(p.Severities), by, true}, true
	case "class":
		a := axis{nil, by, true}
		for _, k := range p.Classes {
			a.levels = append(a.levels, k.ID)
		}
		return a, true
	}
	for _, s := range p.Scales {
		if by == s.ID || by == "scale."+s.ID {
			return axis{ids(s.Levels), "scale." + s.ID, true}, true
		}
	}
	for _, f := range p.Facts {
		switch {
		case by != "fact."+f.ID && by != f.ID:
		case f.Type == "bool":
			return axis{[]string{"true", "false"}, "fact." + f.ID, false}, true
		case f.Type == "choice":
			return axis{f.Values, "fact." + f.ID, true}, true
		}
	}
	return axis{}, false
}

// axes lists what a table may go by.
func (p *Program) axes() []string {
	out := []string{"severity", "class"}
	for _, s := range p.Scales {
		out = append(out, s.ID)
	}
	for _, f := range p.Facts {
		if f.Type == "bool" || f.Type == "choice" {
			out = append(out, "fact."+f.ID)
		}
	}
	return out
}

// tables reads clocks by severity, class, another scale or a fact into the duties they fill. A bare
// cell is the cadence of a duty that is repeated, and else the length of its clocks at that level;
// none means that the duty is not due there. Where no cell says otherwise the duty's own clock holds.
func (c *compiler) tables(f fields) {
	c.tabled = map[string][]cell{}
	node := deref(f.vals["tables"])
	if node == nil {
		return
	}
	if node.Kind != yaml.SequenceNode {
		c.errorf(nodePos(node), "wrong-type", "begin each table with - by: severity", "tables is a list; this is %s", kindOf(node))
		return
	}
	for _, item := range node.Content {
		c.table(item)
	}
	for i := range c.p.Duties {
		if own := c.tabled[c.p.Duties[i].ID]; len(own) > 0 {
			c.fill(&c.p.Duties[i], own)
		}
	}
}

func (c *compiler) table(item *yaml.Node) {
	by := text{}
	entries := c.entries(item, "a table")
	for _, e := range entries {
		if e.key == "by" {
			by, _ = c.text(e.val, "a table: by")
		}
	}
	if by.s == "" {
		c.errorf(nodePos(item), "missing-key", "write by: severity", "a table does not say by what")
		return
	}
	on, ok := c.p.axis(by.s)
	if !ok {
		c.errorf(by.pos, "unknown-reference", didYouMean(by.s, c.p.axes(), "tables go by "+list(c.p.axes(), "or")), "no table can go by %s", short(by.s))
		return
	}
	var duties []string
	for _, d := range c.p.Duties {
		duties = append(duties, d.ID)
	}
	t := Table{By: strings.TrimPrefix(on.name, "scale."), Pos: c.pos(nodePos(item))}
	for _, row := range entries {
		if row.key == "by" {
			continue
		}
		if !slices.Contains(on.levels, row.key) {
			hint := didYouMean(row.key, on.levels, declaredHint(on.levels))
			if slices.Contains(duties, row.key) && len(on.levels) > 0 {
				hint = "each row is a level, with the duties in it: " + on.levels[0] + ": { " + row.key + ": 24h }"
			}
			c.errorf(row.pos, "unknown-reference", hint, "there is no %s %s", t.By, short(row.key))
			continue
		}
		r := TableRow{Level: row.key, Pos: c.pos(row.pos)}
		for _, e := range c.entries(row.val, "a row of a table") {
			if !slices.Contains(duties, e.key) {
				c.errorf(e.pos, "unknown-reference", didYouMean(e.key, duties, declareHint("duties", duties)), "there is no duty %s", short(e.key))
				continue
			}
			cl, says, ok := c.cell(e)
			if !ok {
				continue
			}
			cl.by, cl.level, cl.is = t.By, row.key, on.is(row.key)
			if other := c.tabled[e.key]; len(other) > 0 && other[0].by != cl.by || slices.ContainsFunc(other, func(o cell) bool { return o.level == row.key }) {
				hint := "one table fills a duty: keep one cell for it in the row " + row.key
				if other[0].by != cl.by {
					hint = "one table fills a duty: move its cells into the table by " + other[0].by + ", or write the duty twice, one for each table, each with its own when"
				}
				c.errorf(e.pos, "duplicate-value", hint, "another table fills %s already", e.key)
				continue
			}
			c.tabled[e.key] = append(c.tabled[e.key], cl)
			r.Cells = append(r.Cells, TableCell{Duty: e.key, Text: says, Pos: c.pos(cl.pos)})
		}
		t.Rows = append(t.Rows, r)
	}
	c.p.Tables = append(c.p.Tables, t)
}

// cell reads one cell: a text, a list of clocks, or a mapping of due and every.
func (c *compiler) cell(e entry) (cl cell, says string, ok bool) {
	cl.pos = nodePos(e.val)
	if d := deref(e.val); d != nil && d.Kind == yaml.MappingNode {
		l := c.fields(e.val, "a cell of a table")
		cl.due, cl.every = l.texts("due"), l.text("every")
		if !l.has("due") && !l.has("every") {
			c.errorf(cl.pos, "missing-key", "write due, every, or both", "the cell of %s says nothing", e.key)
			return cl, "", false
		}
		if l.has("every") {
			says = ", every " + cl.every.s
		}
	} else if cl.due = c.texts(e.val, "a cell of a table"); len(cl.due) == 0 {
		return cl, "", false
	} else {
		cl.bare = len(cl.due) == 1
	}
	var due []string
	for _, t := range cl.due {
		due = append(due, strings.Join(strings.Fields(t.s), " "))
	}
	cl.none = len(due) == 1 && due[0] == "none"
	return cl, strings.TrimPrefix(strings.Join(due, " or ")+says, ", "), true
}

// fill puts the cells of a duty into its clocks: one clock for each, which counts only at its
// level, and the duty's own clocks everywhere else.
func (c *compiler) fill(d *Duty, cells []cell) {
	on, _ := c.p.axis(cells[0].by)
	own := slices.Clone(d.Due)
	var filled []Clock
	var clocked []string // levels at which a cell says the due
	for _, cl := range cells {
		from := Cell{By: cl.by, Level: cl.level, Pos: c.pos(cl.pos)}
		due := cl.due
		if d.Every != nil {
			// A bare cell says how often; a mapping may say both.
			every := cl.every
			if cl.bare {
				every, due = due[0], nil
			}
			if every.s != "" && !c.recur(d, cl, every, from) {
				continue
			}
		} else if cl.every.s != "" {
			c.errorf(cl.every.pos, "unknown-key", "write every in the duty as well, for the other levels", "the duty %s is not repeated", d.ID)
			continue
		}
		if cl.none {
			k := Clock{Kind: "after", None: true, Text: "none", Cell: from, Pos: from.Pos}
			if len(own) > 0 {
				k.Anchor = own[0].Anchor
			}
			filled = append(filled, k)
			clocked = append(clocked, cl.level)
			c.only(d.ID, len(filled)-1, text{s: cl.is, pos: cl.pos})
			continue
		}
		for _, t := range due {
			before := len(filled)
			if filled = append(filled, c.celled(d, own, t)...); len(filled) > before {
				clocked = append(clocked, cl.level)
			}
			for i := before; i < len(filled); i++ {
				filled[i].Cell, filled[i].Pos = from, c.pos(t.pos)
				c.only(d.ID, i, text{s: cl.is, pos: cl.pos})
			}
		}
	}
	for _, base := range own {
		filled = append(filled, base)
		if len(clocked) > 0 {
			c.only(d.ID, len(filled)-1, text{s: on.none(clocked), pos: base.Pos})
		}
	}
	d.Due = filled
}

// celled is what a cell makes of a duty's own clocks: their length where it writes a length, and
// clocks of its own where it writes those.
func (c *compiler) celled(d *Duty, own []Clock, t text) []Clock {
	s := " " + strings.Join(strings.Fields(t.s), " ") + " "
	if strings.Contains(s, " after ") || strings.Contains(s, " before ") || strings.HasPrefix(s, " by ") || strings.HasPrefix(s, " as ") || strings.HasPrefix(s, " open ") {
		k, ok := c.clock(t)
		if !ok {
			return nil
		}
		if k.Kind == "law" || k.Kind == "contract" && len(k.Anchor.Names) == 0 {
			k.Anchor = Anchor{Names: []string{c.starting()}}
			if len(own) > 0 {
				k.Anchor = own[0].Anchor
			}
		}
		return []Clock{k}
	}
	k, said := Clock{}, len(c.diags)
	if !c.span(t, t.s, &k) {
		if hint := cellMeant(t.s); hint != "" && len(c.diags) > said && !strings.HasPrefix(c.diags[len(c.diags)-1].Hint, "did you mean") {
			c.diags[len(c.diags)-1].Hint = hint
		}
		return nil
	}
	if len(own) == 0 {
		if bare, ok := c.clock(t); ok { // which says where it counts from
			return []Clock{bare}
		}
		return nil
	}
	var out []Clock
	for _, base := range own {
		if base.Kind != "after" && base.Kind != "before" {
			if len(own) == 1 {
				c.errorf(t.pos, "bad-clock", "write due: 72h after confirmed", "the clock %q of %s has no length a table could fill", base.Text, d.ID)
				return nil
			}
			out = append(out, base) // what a law or a contract says holds at every level
			continue
		}
		at := base
		at.Span, at.Prompt = k.Span, k.Prompt
		at.Text = fmt.Sprintf("%s %s %s", strings.TrimSpace(t.s), base.Kind, base.Anchor.text())
		out = append(out, at)
	}
	return out
}

// cellMeant says what to write for a cell that is no length; "" where that cannot be told.
func cellMeant(s string) string {
	s = strings.ToLower(strings.Join(strings.Fields(s), " "))
	if slices.Contains(noClock, s) {
		return "write none: not due at this level"
	}
	if meant := lengthMeant(leadingWords.ReplaceAllString(s, "")); meant != "" {
		return "write " + meant
	}
	return ""
}

// recur puts a cell into the cadence of a duty.
func (c *compiler) recur(d *Duty, cl cell, every text, from Cell) bool {
	out := CadenceCell{Cell: from}
	if strings.TrimSpace(every.s) == "none" {
		out.None = true
	} else {
		own := c.cadence(every)
		if own == nil {
			if slices.Contains(noClock, strings.ToLower(strings.TrimSpace(every.s))) && len(c.diags) > 0 {
				c.diags[len(c.diags)-1].Hint = "write none: not due at this level"
			}
			return false
		}
		out.Span = own.Span
	}
	i := len(d.Every.Cells)
	d.Every.Cells = append(d.Every.Cells, out)
	id := d.ID
	c.want(text{s: cl.is, pos: cl.pos}, context{what: "the level of a table"}, func(cond *Condition) {
		for k := range c.p.Duties {
			if c.p.Duties[k].ID == id {
				c.p.Duties[k].Every.Cells[i].When = cond
			}
		}
	})
	return true
}

// text writes an anchor as a policy does.
func (a Anchor) text() string {
	s := strings.Join(a.Names, joint(a))
	if a.End != "" {
		s = "end of " + a.End + " of " + s
	}
	return s
}

func joint(a Anchor) string {
	if a.All {
		return " and "
	}
	return " or "
}

// only has the condition of one clock compiled later.
func (c *compiler) only(duty string, clock int, t text) {
	c.want(t, context{what: "the level of a table"}, func(cond *Condition) {
		for i := range c.p.Duties {
			if c.p.Duties[i].ID == duty {
				c.p.Duties[i].Due[clock].When = cond
			}
		}
	})
}
