package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/calendar"
)

// defaultPromptly is the target behind "promptly" where a policy sets none.
var defaultPromptly = calendar.Length{N: 4, Unit: calendar.Hour}

// Compile reads a policy. It reports everything it finds, in the order of the source; file only
// names the source in what it reports. The Program is nil when one of the diagnostics is an error.
// The same source always gives an equal Program with the same Hash.
func Compile(file string, src []byte) (*Program, []Diagnostic) {
	c := &compiler{reader: &reader{report: &report{file: file, last: 1 + bytes.Count(src, []byte("\n"))}, src: src}}
	root := c.parse()
	if root == nil {
		return nil, c.sorted()
	}
	c.p = &Program{Source: slices.Clone(src), Zone: time.UTC, Promptly: defaultPromptly, Starts: "detected"}
	sum := sha256.Sum256(src)
	c.p.Hash = "sha256:" + hex.EncodeToString(sum[:])
	c.policy(root)
	diags := c.sorted()
	if HasErrors(diags) {
		return nil, diags
	}
	return c.p, diags
}

// compiler turns nodes into a Program. It reads every section first, then compiles conditions,
// which may name anything declared, and then checks what only the whole can show.
type compiler struct {
	*reader
	p *Program
	x *expressions

	anchors      []reference        // instants that clocks and phases name
	roleRefs     []reference        // roles that rules name
	checkRefs    []reference        // checks that actions name
	later        []func()           // conditions to compile when every name is declared
	ids          map[string]rule    // duties, gates, actions: what the page must show
	wait         map[string][]text  // action id to the actions it waits for
	says         map[string]text    // duty id to its own words
	pageNode     *yaml.Node         // read last: it refers to everything
	phaseSays    map[string][]prose // by phase
	usesPromptly bool
}

// rule is something that may carry a promise which the page has to show.
type rule struct {
	kind    string
	promise []string
	pos     Pos
}

var sections = []string{"policy", "title", "owner", "updated", "time", "scales", "classes", "facts", "milestones", "parties",
	"roles", "duties", "tables", "gates", "actions", "checks", "phases", "review", "contact", "page"}

func (c *compiler) policy(root *yaml.Node) {
	f := c.fields(root, "the policy", sections...)
	if deref(root).Kind != yaml.MappingNode {
		return
	}
	c.ids, c.wait, c.says, c.phaseSays = map[string]rule{}, map[string][]text{}, map[string]text{}, map[string][]prose{}
	if id := f.need("policy", "my_policy"); id.s != "" && c.id(id.pos, id.s, "a policy") {
		c.p.ID = id.s
	}
	c.p.Title = f.need("title", "Security Incident Response Policy").s
	c.p.Owner = f.need("owner", "Acme Ltd").s
	c.updated(f)
	c.time(f)
	c.scales(f)
	c.classes(f)
	c.facts(f)
	c.milestones(f)
	c.roles(f)
	c.parties(f)
	c.checks(f)
	c.actions(f)
	c.duties(f)
	c.tables(f)
	c.gates(f)
	c.phases(f)
	c.review(f)
	c.contact(f)
	c.pageNode = f.vals["page"]

	c.references()
	x, err := newExpressions(c.reader, conditionNames(c.p))
	if err != nil {
		c.errorf(Pos{}, "internal", "", "the condition language could not be set up: %v", err)
		return
	}
	c.x = x
	for _, compile := range c.later {
		compile()
	}
	c.consistency(f)
	c.page(f)
}

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
	t := c.fields(f.vals["time"], "time", "zone", "business", "holidays", "promptly", "starts")
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
		if _, err := time.Parse(time.DateOnly, h.s); err != nil {
			if regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`).MatchString(h.s) {
				c.errorf(h.pos, "not-yet", "list the dates: [2026-12-25, 2027-01-01]", "holidays: calendars by name such as %s are not known yet", h.s)
			} else {
				c.errorf(h.pos, "bad-value", "write 2026-12-25", "holidays: %q is not a date", short(h.s))
			}
			continue
		}
		if c.p.Hours.Holidays == nil {
			c.p.Hours.Holidays = map[string]bool{}
		}
		c.p.Hours.Holidays[h.s] = true
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

func (c *compiler) scales(f fields) {
	for _, scale := range c.named(f.vals["scales"], "scales", "a scale") {
		if scale.key != "severity" {
			c.errorf(scale.pos, "not-yet", "the scale severity is", "scales: %s is not run yet", scale.key)
			continue
		}
		for _, e := range c.named(scale.val, "scales: severity", "a severity level") {
			l := c.fields(e.val, "a severity level", "means", "when")
			i := len(c.p.Severities)
			c.p.Severities = append(c.p.Severities, Level{ID: e.key, Means: l.need("means", `"what makes an incident `+e.key+`"`).s, Pos: c.pos(e.pos)})
			c.when(l, context{what: "the condition of a severity level", no: "severity"}, func(cond *Condition) { c.p.Severities[i].When = cond })
		}
	}
}

// when has the condition of key "when" compiled later and handed to set.
func (c *compiler) when(f fields, in context, set func(*Condition)) {
	if t := f.text("when"); t.node != nil {
		c.later = append(c.later, func() { set(c.x.compile(t, in)) })
	}
}

func (c *compiler) pos(p Pos) Pos { p.File = c.file; return p }

func (c *compiler) classes(f fields) {
	for _, e := range c.named(f.vals["classes"], "classes", "a class") {
		if e.key == "unclassified" {
			c.errorf(e.pos, "bad-id", "", "unclassified is what an incident is before it has a class")
			continue
		}
		l := c.fields(e.val, "a class", "means", "signals", "promise")
		class := Class{ID: e.key, Means: l.need("means", `"what happened"`).s, Promise: c.promise(l), Pos: c.pos(e.pos)}
		for _, s := range l.texts("signals") {
			if c.id(s.pos, s.s, "a signal") {
				class.Signals = append(class.Signals, s.s)
			}
		}
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
		l := c.fields(e.val, "a fact", "type", "ask", "by", "presume", "say")
		d := FactDecl{ID: e.key, Type: "bool", Pos: c.pos(e.pos)}
		if t := l.text("type"); t.s != "" {
			d.Type = t.s
			if !slices.Contains([]string{"bool", "int", "string"}, t.s) {
				c.errorf(t.pos, "bad-value", didYouMean(t.s, []string{"bool", "int", "string"}, "types are bool, int and string"), "a fact cannot have the type %s", short(t.s))
			}
		}
		d.Ask = l.need("ask", `"Is personal data involved?"`).s
		d.By = c.role(l.need("by", "lead"))
		d.Say = strings.TrimSuffix(l.need("say", `"personal data is involved"`).s, ".")
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
		l := c.fields(e.val, "a milestone", "means", "implies")
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

func (c *compiler) roles(f fields) {
	for _, e := range c.named(f.vals["roles"], "roles", "a role") {
		l := c.fields(e.val, "a role", "does", "holder", "backup")
		r := Role{ID: e.key, Does: l.need("does", `"decides, signs"`).s, Holder: "?", Pos: c.pos(e.pos)}
		holders := l.texts("holder")
		for _, h := range holders {
			switch {
			case h.s == "?":
				if len(holders) > 1 {
					c.errorf(h.pos, "bad-value", "leave it out once somebody holds the role", "holder: ? stands alone")
				}
			case slices.Contains(r.Holders, h.s):
				c.errorf(h.pos, "duplicate-value", "", "holder: %s is named twice", h.s)
			case c.id(h.pos, h.s, "a person"):
				r.Holders = append(r.Holders, h.s)
			}
		}
		if len(r.Holders) > 0 {
			r.Holder = r.Holders[0]
		} else {
			c.warnf(l.at("holder"), "open-role", "people who are invited with the role hold it; name them here to have signatures checked", "nobody is named for the role %s", e.key)
		}
		for _, t := range l.texts("backup") {
			r.Backup = append(r.Backup, c.role(t))
		}
		c.p.Roles = append(c.p.Roles, r)
	}
}

var emailForm = regexp.MustCompile(`^[^\s@<>(),;:"\[\]\\]+@[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z0-9-]*[A-Za-z0-9]$`)

func (c *compiler) parties(f fields) {
	for _, e := range c.named(f.vals["parties"], "parties", "a party") {
		l := c.fields(e.val, "a party", "affected", "all", "address", "via", "name")
		p := Party{ID: e.key, Name: l.text("name").s, Via: []string{"email"}, Pos: c.pos(e.pos)}
		selector := func(key, only string) bool {
			t := l.text(key)
			if t.s != "" && t.s != only {
				c.errorf(t.pos, "bad-value", "write "+key+": "+only, "%s: the only source so far is %s", key, only)
			}
			return t.s != ""
		}
		p.Affected, p.All = selector("affected", "scope.merchants"), selector("all", "directory.merchants")
		for _, t := range l.texts("address") {
			if !emailForm.MatchString(t.s) {
				c.errorf(t.pos, "bad-value", "write name@example.com", "address: %q is not an e-mail address", short(t.s))
				continue
			}
			p.Address = append(p.Address, t.s)
		}
		for _, t := range l.texts("via") {
			if t.s != "email" {
				c.errorf(t.pos, "not-yet", "email is the only one so far", "via: the channel %s is not run yet", short(t.s))
			}
		}
		merchants := p.Affected || p.All
		switch {
		case merchants && len(p.Address) > 0:
			c.errorf(l.at("address"), "bad-value", "make it two parties", "a party of merchants has the addresses of the directory, and no others")
		case !merchants && len(p.Address) == 0 && !l.has("address"):
			c.errorf(l.pos, "missing-key", "write address: [security@example.com], or affected: scope.merchants", "nobody can resolve the recipients of %s", e.key)
		}
		if p.Name == "" {
			p.Name = spaced(p.ID)
		}
		c.p.Parties = append(c.p.Parties, p)
	}
}

func (c *compiler) review(f fields) {
	for _, t := range f.texts("review") {
		if !c.id(t.pos, t.s, "a part of the review") {
			continue
		}
		if slices.Contains(c.p.Review, t.s) {
			c.errorf(t.pos, "duplicate-value", "", "review: %s is named twice", t.s)
			continue
		}
		c.p.Review = append(c.p.Review, t.s)
	}
}

func (c *compiler) contact(f fields) {
	if !f.has("contact") {
		c.warnf(f.pos, "no-contact", "write contact: { email: security@example.com }", "the policy names no contact for reports")
		return
	}
	l := c.fields(f.vals["contact"], "contact", "email", "url")
	if t := l.text("email"); t.s != "" {
		if !emailForm.MatchString(t.s) {
			c.errorf(t.pos, "bad-value", "write name@example.com", "email: %q is not an e-mail address", short(t.s))
		}
		c.p.Contact.Email = t.s
	}
	if t := l.text("url"); t.s != "" {
		if !strings.HasPrefix(t.s, "https://") || strings.ContainsAny(t.s, " \t\"<>") {
			c.errorf(t.pos, "bad-value", "write https://example.com/security", "url: %q is not an https address", short(t.s))
		}
		c.p.Contact.URL = t.s
	}
}
