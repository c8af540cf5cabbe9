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
	text      text
}

// tables reads clocks by severity or class into the duties they fill. A cell is the length of the
// duty's own clocks at its level; none means that the duty is not due there. Where no cell says
// otherwise the duty's own length holds.
func (c *compiler) tables(f fields) {
	node := deref(f.vals["tables"])
	if node == nil {
		return
	}
	if node.Kind != yaml.SequenceNode {
		c.errorf(nodePos(node), "wrong-type", "begin each table with - by: severity", "tables is a list; this is %s", kindOf(node))
		return
	}
	cells := map[string][]cell{}
	for _, item := range node.Content {
		c.table(item, cells)
	}
	for i := range c.p.Duties {
		if own := cells[c.p.Duties[i].ID]; len(own) > 0 {
			c.fill(&c.p.Duties[i], own)
		}
	}
}

func (c *compiler) table(item *yaml.Node, cells map[string][]cell) {
	by, levels := text{}, []string(nil)
	entries := c.entries(item, "a table")
	for _, e := range entries {
		if e.key == "by" {
			by, _ = c.text(e.val, "a table: by")
		}
	}
	switch by.s {
	case "severity":
		for _, l := range c.p.Severities {
			levels = append(levels, l.ID)
		}
	case "class":
		for _, k := range c.p.Classes {
			levels = append(levels, k.ID)
		}
	case "":
		c.errorf(nodePos(item), "missing-key", "write by: severity", "a table does not say by what")
		return
	default:
		c.errorf(by.pos, "not-yet", "write by: severity, or by: class", "tables by %s are not run yet", short(by.s))
		return
	}
	var duties []string
	for _, d := range c.p.Duties {
		duties = append(duties, d.ID)
	}
	for _, row := range entries {
		if row.key == "by" {
			continue
		}
		if !slices.Contains(levels, row.key) {
			c.errorf(row.pos, "unknown-reference", didYouMean(row.key, levels, declaredHint(levels)), "there is no %s %s", by.s, short(row.key))
			continue
		}
		for _, e := range c.entries(row.val, "a row of a table") {
			if !slices.Contains(duties, e.key) {
				c.errorf(e.pos, "unknown-reference", didYouMean(e.key, duties, declareHint("duties", duties)), "there is no duty %s", short(e.key))
				continue
			}
			t, ok := c.text(e.val, "a cell of a table")
			if !ok {
				continue
			}
			if other := cells[e.key]; len(other) > 0 && other[0].by != by.s || slices.ContainsFunc(other, func(o cell) bool { return o.level == row.key }) {
				c.errorf(e.pos, "duplicate-value", "one table fills a duty", "another table fills %s already", e.key)
				continue
			}
			cells[e.key] = append(cells[e.key], cell{by.s, row.key, t})
		}
	}
}

// fill puts the cells of a duty into its clocks: one clock for each, which counts only at its
// level, and the duty's own clocks everywhere else.
func (c *compiler) fill(d *Duty, cells []cell) {
	if d.Every != nil {
		c.errorf(cells[0].text.pos, "not-yet", "give the duty one every for all levels", "tables: %s is repeated; how often cannot depend on a level yet", d.ID)
		return
	}
	own := slices.Clone(d.Due)
	levels := make([]string, len(cells))
	var filled []Clock
	for i, cl := range cells {
		levels[i] = cl.level
		if strings.TrimSpace(cl.text.s) == "none" {
			d.never = append(d.never, reference{cl.by + " " + cl.level, cl.text.pos})
			continue
		}
		k := Clock{}
		if !c.span(cl.text, cl.text.s, &k) {
			continue
		}
		for _, base := range own {
			if base.Kind != "after" && base.Kind != "before" {
				c.errorf(cl.text.pos, "bad-clock", "write due: 72h after confirmed", "the clock %q of %s has no length a table could fill", base.Text, d.ID)
				return
			}
			at := base
			at.Span, at.Prompt, at.Pos = k.Span, k.Prompt, c.pos(cl.text.pos)
			at.Text = fmt.Sprintf("%s %s %s", strings.TrimSpace(cl.text.s), base.Kind, strings.Join(base.Anchor.Names, joint(base.Anchor)))
			filled = append(filled, at)
			c.only(d.ID, len(filled)-1, text{s: cl.by + " == '" + cl.level + "'", pos: cl.text.pos})
		}
	}
	for _, base := range own {
		filled = append(filled, base)
		c.only(d.ID, len(filled)-1, text{s: "!(" + cells[0].by + " in ['" + strings.Join(levels, "', '") + "'])", pos: base.Pos})
	}
	d.Due = filled
}

func joint(a Anchor) string {
	if a.All {
		return " and "
	}
	return " or "
}

// only has the condition of one clock compiled later.
func (c *compiler) only(duty string, clock int, t text) {
	c.later = append(c.later, func() {
		for i := range c.p.Duties {
			if c.p.Duties[i].ID == duty {
				c.p.Duties[i].Due[clock].When = c.x.compile(t, context{what: "the level of a table"})
			}
		}
	})
}

// tabled writes the clocks of a duty that a table fills: "within 1 hour of detecting it where the
// severity is critical, not at all where the severity is low, and otherwise within …".
func (p *Program) tabled(d Duty) string {
	var parts, otherwise []string
	for _, k := range d.Due {
		if k.When == nil {
			continue // its condition was reported
		}
		if strings.HasPrefix(k.When.Source, "!(") {
			otherwise = append(otherwise, p.phrase(k))
			continue
		}
		parts = append(parts, p.phrase(k)+" where "+k.When.Say)
	}
	for _, n := range d.never {
		by, level, _ := strings.Cut(n.name, " ")
		parts = append(parts, "not at all where "+map[string]string{"severity": "the severity", "class": "the class of the incident"}[by]+" is "+spaced(level))
	}
	return strings.Join(parts, ", ") + ", and otherwise " + list(otherwise, "or")
}
