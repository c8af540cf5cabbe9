package policy

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
)

func (c *compiler) updated(f fields) {
	t := f.text("updated")
	if t.s == "" {
		return
	}
	if _, err := time.Parse(time.DateOnly, t.s); err != nil {
		c.errorf(t.pos, "bad-value", "write 2026-11-22", "updated: %q is not a date", short(t.s))
		return
	}
	c.p.Updated = t.s
}

func (c *compiler) time(f fields) {
	if !f.has("time") {
		return
	}
	t := c.fields(f.vals["time"], "time")
	if z := t.text("zone"); z.s != "" {
		zone, err := time.LoadLocation(z.s)
		if err != nil || z.s == "Local" {
			c.errorf(z.pos, "bad-value", "write a name of the IANA list, such as Europe/Berlin", "there is no time zone %s", short(z.s))
		} else {
			c.p.Zone = zone
		}
	}
	if b := t.text("business"); b.s != "" {
		h, err := calendar.ParseHours(b.s, c.p.Zone)
		if err != nil {
			c.parseError(b.pos, "bad-value", err)
			h = calendar.Always(c.p.Zone) // so that clocks in business time are not reported as well
		}
		c.p.Hours = h
	}
	for _, h := range t.texts("holidays") {
		c.holiday(h)
	}
	c.p.Hours.Zone = c.p.Zone
	if p := t.text("promptly"); p.s != "" {
		if l, err := calendar.ParseLength(p.s); err != nil {
			c.parseError(p.pos, "bad-value", err)
		} else if c.business(p.pos, calendar.Span{Target: &l}) {
			c.p.Promptly = l
		}
	}
	if s := t.text("starts"); s.s != "" {
		c.p.Starts = s.s
		c.anchors = append(c.anchors, reference{s.s, s.pos})
	}
}

// holiday reads the name of a calendar of holidays, or one date.
func (c *compiler) holiday(h text) {
	if _, err := time.Parse(time.DateOnly, h.s); err == nil {
		if c.p.Hours.Holidays == nil {
			c.p.Hours.Holidays = map[string]bool{}
		}
		c.p.Hours.Holidays[h.s] = true
		return
	}
	switch region := regexp.MustCompile(`^[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?$`).MatchString(h.s); {
	case calendar.KnownRegion(h.s):
		if !slices.Contains(c.p.Hours.Regions, h.s) {
			c.p.Hours.Regions = append(c.p.Hours.Regions, h.s)
		}
	case region:
		country, _, part := strings.Cut(strings.ToUpper(h.s), "-")
		hint := "list the dates: [2026-12-25, 2027-01-01]"
		switch {
		case calendar.KnownRegion(strings.ToUpper(h.s)):
			hint = "did you mean " + strings.ToUpper(h.s) + "?"
		case part && calendar.KnownRegion(country):
			hint = "write " + country + ", and the dates of your own beside it"
		}
		c.errorf(h.pos, "unknown-reference", hint, "holidays: there is no calendar %s", h.s)
	default:
		c.errorf(h.pos, "bad-value", "write a date such as 2026-12-25, or a calendar such as DE-BE", "holidays: %q is not a date", short(h.s))
	}
}

func (c *compiler) scales(f fields) {
	for _, scale := range c.named(f.vals["scales"], "scales", "a scale") {
		sc := Scale{ID: scale.key, Pos: c.pos(scale.pos)}
		for _, e := range c.named(scale.val, "scales: "+scale.key, "a level of "+scale.key) {
			what := "a level"
			if scale.key == "severity" {
				what = "a severity level"
			}
			l := c.fields(e.val, what, keysOf("a severity level")...)
			i := len(sc.Levels)
			means := l.need("means", `"what makes an incident `+e.key+`"`)
			c.typedTimes(means)
			sc.Levels = append(sc.Levels, Level{ID: e.key, Means: means.s, Pos: c.pos(e.pos)})
			in := context{what: "the condition of a level", no: "scale." + scale.key}
			if scale.key == "severity" {
				in = context{what: "the condition of a severity level", no: "severity"}
			}
			c.when(l, "when", in, func(cond *Condition) { c.level(scale.key, i, cond) })
		}
		switch {
		case scale.key == "severity":
			c.p.Severities = sc.Levels
		case slices.Contains(reservedNames, scale.key) || slices.Contains(Universal, scale.key):
			c.errorf(scale.pos, "bad-id", "choose another name", "%s means something else in conditions and cannot name a scale", scale.key)
		default:
			c.p.Scales = append(c.p.Scales, sc)
		}
	}
}

// reservedNames are what conditions begin with; nothing that conditions name without a prefix may
// be called so.
var reservedNames = []string{"actions", "checks", "class", "duty", "evidence", "fact", "fix", "milestone", "passed", "recipient", "review", "scale", "scope", "severity"}

// level puts the condition of a level where it belongs.
func (c *compiler) level(scale string, i int, cond *Condition) {
	if scale == "severity" {
		c.p.Severities[i].When = cond
		return
	}
	for k := range c.p.Scales {
		if c.p.Scales[k].ID == scale {
			c.p.Scales[k].Levels[i].When = cond
		}
	}
}

func (c *compiler) classes(f fields) {
	for _, e := range c.named(f.vals["classes"], "classes", "a class") {
		if e.key == "unclassified" {
			c.errorf(e.pos, "bad-id", "", "unclassified is what an incident is before it has a class")
			continue
		}
		l := c.fields(e.val, "a class")
		class := Class{ID: e.key, Means: l.need("means", `"what happened"`).s, Promise: c.promise(l), Pos: c.pos(e.pos)}
		for _, s := range l.texts("signals") {
			if c.id(s.pos, s.s, "a signal") {
				class.Signals = append(class.Signals, s.s)
			}
		}
		c.ids["class "+e.key] = rule{"class", class.Promise, e.pos}
		c.p.Classes = append(c.p.Classes, class)
	}
}

var promiseForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)

// promise reads the ids of promises, one or a list.
func (c *compiler) promise(f fields) []string {
	var out []string
	for _, t := range f.texts("promise") {
		switch {
		case !promiseForm.MatchString(t.s):
			c.errorf(t.pos, "bad-value", "write NOT-1, or a list: [NOT-1, NOT-2]", "promise: %q is not the id of a promise", short(t.s))
		case slices.Contains(out, t.s):
			c.errorf(t.pos, "duplicate-value", "", "promise: %s is named twice", t.s)
		default:
			out = append(out, t.s)
		}
	}
	return out
}

func (c *compiler) facts(f fields) {
	for _, e := range c.named(f.vals["facts"], "facts", "a fact") {
		l := c.fields(e.val, "a fact")
		d := FactDecl{ID: e.key, Type: "bool", Pos: c.pos(e.pos)}
		if t := l.text("type"); t.s != "" {
			d.Type = t.s
			if !slices.Contains(factTypes, t.s) {
				hint := didYouMean(t.s, factTypes, "types are "+list(factTypes, "and"))
				if meant := otherTypes[strings.ToLower(t.s)]; meant != "" {
					hint = "write " + meant
				}
				c.errorf(t.pos, "bad-value", hint, "a fact cannot have the type %s", short(t.s))
			}
		}
		for _, t := range l.texts("values") {
			switch {
			case !c.id(t.pos, t.s, "an answer"):
			case slices.Contains(d.Values, t.s):
				c.errorf(t.pos, "duplicate-value", "", "values: %s is named twice", t.s)
			default:
				d.Values = append(d.Values, t.s)
			}
		}
		switch {
		case d.Type == "choice" && len(d.Values) < 2 && !l.has("values"):
			c.errorf(l.at("type"), "missing-key", "write values: [stolen, guessed]", "the fact %s is a choice, and does not say of what", e.key)
		case d.Type == "choice" && len(d.Values) == 1:
			c.errorf(l.at("values"), "bad-value", "name at least two, or make it a bool", "the fact %s has one answer: that is no choice", e.key)
		case d.Type != "choice" && l.has("values"):
			c.errorf(l.at("values"), "unknown-key", "write type: choice", "values belong to a fact of type choice; this is of type %s", short(d.Type))
		}
		d.Ask = l.need("ask", `"Is personal data involved?"`).s
		d.By = c.role(l.need("by", "lead"))
		d.Say = strings.TrimSuffix(l.need("say", `"personal data is involved"`).s, ".")
		d.Due = c.clocks(l, "due")
		if v, ok := l.truth("presume"); ok {
			d.Presume = &v
			if d.Type != "bool" {
				c.errorf(l.at("presume"), "bad-value", "", "only a fact of type bool can be presumed")
			}
		}
		c.p.Facts = append(c.p.Facts, d)
	}
}

// role notes that a rule names a role, and gives its id.
func (c *compiler) role(t text) string {
	if t.s != "" {
		c.roleRefs = append(c.roleRefs, reference{t.s, t.pos})
	}
	return t.s
}

func (c *compiler) milestones(f fields) {
	for _, e := range c.named(f.vals["milestones"], "milestones", "a milestone") {
		l := c.fields(e.val, "a milestone")
		if slices.Contains(Universal, e.key) {
			c.errorf(e.pos, "duplicate-id", "remove it, or give yours another name", "every incident has the milestone %s already", e.key)
			continue
		}
		m := MilestoneDecl{ID: e.key, Means: l.need("means", `"what has been reached"`).s, Pos: c.pos(e.pos)}
		for _, t := range l.texts("implies") {
			m.Implies = append(m.Implies, t.s)
			c.anchors = append(c.anchors, reference{t.s, t.pos})
		}
		c.p.Milestones = append(c.p.Milestones, m)
	}
}

func (c *compiler) events(f fields) {
	for _, e := range c.named(f.vals["events"], "events", "an event") {
		l := c.fields(e.val, "an event")
		event := EventDecl{ID: e.key, Means: l.need("means", `"what happens"`).s, Promise: c.promise(l), Pos: c.pos(e.pos)}
		c.ids["event "+e.key] = rule{"event", event.Promise, e.pos}
		c.p.Events = append(c.p.Events, event)
	}
}
