package policy

import (
	"regexp"
	"slices"
	"strings"
)

func (c *compiler) roles(f fields) {
	for _, e := range c.named(f.vals["roles"], "roles", "a role") {
		l := c.fields(e.val, "a role")
		does := l.need("does", `"decides, signs"`)
		c.typedTimes(does)
		r := Role{ID: e.key, Does: does.s, Holder: "?", Pos: c.pos(e.pos)}
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
		} else if !slices.ContainsFunc(holders, func(h text) bool { return h.s != "?" }) && !l.lost["does"] {
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
		l := c.fields(e.val, "a party")
		p := Party{ID: e.key, Name: l.text("name").s, Contract: l.text("contract").s, Pos: c.pos(e.pos)}
		selector := func(key, only string) bool {
			t := l.text(key)
			if t.s != "" && t.s != only {
				c.errorf(t.pos, "bad-value", "write "+key+": "+only, "%s: the only source so far is %s", key, only)
			}
			return t.s != ""
		}
		p.Affected, p.All = selector("affected", "scope.merchants"), selector("all", "directory.merchants")
		p.Broadcast, _ = l.truth("broadcast")
		p.Via, p.Fallback = c.channels(l, "via"), c.channels(l, "fallback")
		if len(p.Via) == 0 {
			p.Via = []string{"email"}
		}
		for _, t := range l.texts("fallback") {
			if slices.Contains(p.Via, t.s) {
				c.errorf(t.pos, "duplicate-value", "name another, or leave fallback out", "%s falls back on %s, the channel that did not reach them", p.ID, short(t.s))
			}
		}
		if t := l.text("kind"); t.s != "" {
			p.Kind = t.s
			if !slices.Contains(kinds, t.s) {
				c.errorf(t.pos, "bad-value", didYouMean(t.s, kinds, "kinds are "+list(kinds, "and")), "kind: there is no kind of party %s", short(t.s))
			}
		}
		c.partyAddresses(l, &p)
		if p.Name == "" {
			p.Name = spaced(p.ID)
		}
		c.p.Parties = append(c.p.Parties, p)
	}
}

// partyAddresses reads where a party is reached, and reports one that nobody can reach.
func (c *compiler) partyAddresses(l fields, p *Party) {
	mailed := slices.Contains(p.Via, "email") || slices.Contains(p.Fallback, "email")
	other := slices.ContainsFunc(slices.Concat(p.Via, p.Fallback), func(ch string) bool { return ch != "email" })
	for _, t := range l.texts("address") {
		if !emailForm.MatchString(t.s) && !other {
			c.errorf(t.pos, "bad-value", "write name@example.com", "address: %q is not an e-mail address", short(t.s))
			continue
		}
		p.Address = append(p.Address, t.s)
	}
	merchants := p.Affected || p.All
	if merchants && p.Kind == "" {
		p.Kind = "controller" // the app processes data of the merchants' customers for the merchants
	}
	switch {
	case merchants && len(p.Address) > 0:
		c.errorf(l.at("address"), "bad-value", "make it two parties", "a party of merchants has the addresses of the directory, and no others")
	case merchants && p.Broadcast:
		c.errorf(l.at("broadcast"), "bad-value", "make it two parties", "a party is told one by one or all at once, and not both")
	case merchants || p.Broadcast || l.has("address"):
		if l.has("address") && mailed && len(p.Address) > 0 && p.Via[0] == "email" && !slices.ContainsFunc(p.Address, emailForm.MatchString) {
			c.errorf(l.at("address"), "bad-value", "write name@example.com first", "%s is told by e-mail, and none of its addresses is one", p.ID)
		}
	case p.Via[0] == "email":
		c.errorf(l.pos, "missing-key", "write address: [security@example.com], or affected: scope.merchants", "nobody can resolve the recipients of %s", p.ID)
	}
}

// channels reads the names of channels. One nobody connects is for a person to use, and that is said.
func (c *compiler) channels(l fields, key string) []string {
	var out []string
	connected := c.connected
	if connected == nil {
		connected = []string{"email"}
	}
	for _, t := range l.texts(key) {
		i := slices.IndexFunc(channelDocs, func(ch channelDoc) bool { return ch.name == t.s })
		switch {
		case i < 0:
			c.errorf(t.pos, "bad-value", didYouMean(t.s, channelNames(), "channels are "+list(channelNames(), "and")), "%s: there is no channel %s", key, short(t.s))
			continue
		case slices.Contains(out, t.s):
			c.errorf(t.pos, "duplicate-value", "", "%s: %s is named twice", key, t.s)
			continue
		case !channelDocs[i].byHand && !slices.Contains(connected, t.s):
			c.warnf(t.pos, "not-connected", "somebody sends it and records that; or connect it in the configuration", "%s: nothing sends by %s yet", key, t.s)
		}
		out = append(out, t.s)
	}
	return out
}

func (c *compiler) contact(f fields) {
	if !f.has("contact") {
		c.warnf(f.pos, "no-contact", "write contact: { email: security@example.com }", "the policy names no contact for reports")
		return
	}
	l := c.fields(f.vals["contact"], "contact")
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
