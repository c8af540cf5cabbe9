package policy

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// prose is a text for the page with the promises it makes itself.
type prose struct {
	text    text
	promise []string
}

// proses reads a text, a list of texts, or a list of {text, promise}.
func (c *compiler) proses(n *yaml.Node, what string) []prose {
	d := deref(n)
	if d == nil {
		return nil
	}
	items := []*yaml.Node{n}
	if d.Kind == yaml.SequenceNode {
		items = d.Content
	}
	var out []prose
	for _, item := range items {
		if deref(item).Kind == yaml.MappingNode {
			l := c.fields(item, "a line of the page")
			out = append(out, prose{l.need("text", `"We …"`), c.promise(l)})
			continue
		}
		if t, ok := c.text(item, what); ok {
			out = append(out, prose{text: t})
		}
	}
	return out
}

// page builds the lines of the public page, and reports references to nothing, times typed by
// hand, and promised rules that no sentence shows.
func (c *compiler) page(f fields) {
	var lines []prose
	if f.has("page") {
		lines = c.proses(c.pageNode, "page")
	} else {
		for _, s := range c.standardPage() {
			lines = append(lines, prose{text: text{s: s, pos: f.pos}})
		}
	}
	w := &pageWriter{compiler: c, shown: map[string]bool{}, program: *c.p, clauses: map[string]string{}}
	w.program.tabulated = slices.ContainsFunc(lines, func(l prose) bool { return strings.Contains(l.text.s, "{tables") })
	for i := range c.p.Duties {
		d := &c.p.Duties[i]
		d.Say = c.p.clause(*d)
		w.clauses[d.ID] = d.Say
		if w.program.tabulated {
			w.clauses[d.ID] = w.program.clause(*d)
		}
		if own, ok := c.says[d.ID]; ok {
			d.Say = w.own(own, d.ID)
			w.clauses[d.ID] = d.Say
		}
	}
	w.shown = map[string]bool{} // what a duty says of itself is not on the page yet
	for _, l := range lines {
		w.line(l)
	}
	w.rest()
	c.p.Page = w.out
	for _, id := range sortedKeys(c.ids) {
		r := c.ids[id]
		if len(r.promise) == 0 || w.shown[id] {
			continue
		}
		_, name, _ := strings.Cut(id, " ")
		if r.kind == "class" || r.kind == "event" || r.kind == "phase" { // it says what something is, and obliges to nothing itself
			where := "{" + sectionOf[r.kind] + "." + name + "}"
			if r.kind == "phase" { // phases are shown all together
				where = "{phases}"
			}
			c.warnf(r.pos, "unshown-promise", "write "+where+" where the page says it", "the %s %s stands for %s, and the page does not show it", r.kind, name, list(r.promise, "and"))
			continue
		}
		c.errorf(r.pos, "unshown-promise", "write {"+sectionOf[r.kind]+"."+name+"} where the page says it", "the %s %s promises %s, and no sentence of the page shows it", r.kind, name, list(r.promise, "and"))
	}
	if c.usesPromptly && !c.promptlySet(f) {
		c.warnf(f.pos, "no-promptly", "write time: { promptly: 4h }", "a clock says promptly, and the policy sets no target for it: %s is assumed", c.p.Promptly)
	}
}

func (c *compiler) promptlySet(f fields) bool {
	n := deref(f.vals["time"])
	return n != nil && slices.ContainsFunc(n.Content, func(k *yaml.Node) bool { return k.Value == "promptly" })
}

var sectionOf = map[string]string{"duty": "duties", "gate": "gates", "action": "actions", "class": "classes", "event": "events", "phase": "phases"}

// standardPage is the page of a policy that writes none: everything it promises, in order.
func (c *compiler) standardPage() []string {
	p := c.p
	var out []string
	section := func(title string, lines ...string) {
		if len(lines) > 0 {
			out = append(append(out, "## "+title), lines...)
		}
	}
	block := func(n int, ref string) []string {
		if n == 0 {
			return nil
		}
		return []string{ref}
	}
	section("What is a security incident", block(len(p.Classes), "{classes}")...)
	section("Severity", block(len(p.Severities), "{severities}")...)
	for _, s := range p.Scales {
		section(upperFirst(spaced(s.ID)), "{scales."+s.ID+"}")
	}
	section("Clocks by level", block(len(p.Tables), "{tables}")...)
	section("Roles", block(len(p.Roles), "{roles}")...)
	section("Procedure", block(len(p.Phases), "{phases}")...)
	var duties, programme, escalations, gates, actions []string
	law, terms := false, false
	for _, d := range p.Duties {
		law = law || slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Kind == "law" })
		terms = terms || slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Prompt })
		if d.Asked {
			continue // the block of the facts says it
		}
		line := "- {duties." + d.ID + "}."
		if len(d.Approve) > 0 {
			line += " {duties." + d.ID + ".approve}."
		}
		if d.For == "incident" {
			duties = append(duties, line)
		} else {
			programme = append(programme, line)
		}
		if len(d.Late) > 0 {
			escalations = append(escalations, "- **"+upperFirst(spaced(d.ID))+"**: {duties."+d.ID+".late}.")
		}
	}
	for _, a := range p.Actions {
		actions = append(actions, "- {actions."+a.ID+"}.")
	}
	for _, g := range p.Gates {
		gates = append(gates, "- {gates."+g.ID+"}.")
	}
	section("What we promise", duties...)
	section("What we find out first", block(len(p.Facts), "{facts}")...)
	section("What we can do at once", actions...)
	section("What we do not do too early", gates...)
	section("Escalation", escalations...)
	section("What we do all the year round", programme...)
	if len(p.Review) > 0 {
		section("Review", "The review covers {review}.")
	}
	if law {
		section("The law behind this page", "{laws}")
	}
	if len(p.Milestones) > 0 || terms || !p.Hours.Never() || slices.ContainsFunc(p.Duties, settledByDismissal) {
		section("What the words mean", "{terms}")
	}
	if p.Contact.Email != "" {
		section("Contact", "Report a problem to {contact.email}.")
	}
	return out
}

// pageWriter resolves the references of prose and keeps which rules it has shown.
type pageWriter struct {
	*compiler
	out     []PageLine
	shown   map[string]bool
	program Program           // as the page words it: a clock of a table is where the table is
	clauses map[string]string // of each duty
}

var refForm = regexp.MustCompile(`\{([^{}]*)\}`)

// line adds the lines of one paragraph, heading, list item or block.
func (w *pageWriter) line(p prose) {
	s := strings.TrimSpace(p.text.s)
	if m := refForm.FindStringSubmatch(s); m != nil && m[0] == s && w.block(strings.TrimSpace(m[1]), p) {
		return
	}
	prefix := marker(s)
	same := false
	sentences := split(s[len(prefix):])
	for i, sentence := range sentences {
		line := PageLine{Same: same, Pos: w.pos(p.text.pos)}
		text := w.resolve(p.text, sentence, &line)
		if i == 0 {
			text = prefix + text
		}
		line.Text = text
		if i == len(sentences)-1 && len(p.promise) > 0 {
			tag(&line, "", p.promise)
		}
		w.out = append(w.out, line)
		same = true
	}
	w.typedTimes(p.text)
}

var markerForm = regexp.MustCompile(`^(#{1,4} +|[-*] +|\d{1,3}\. +)`)

// marker is the Markdown at the beginning of a line that makes it a heading or a list item.
func marker(s string) string { return markerForm.FindString(s) }

// split cuts a paragraph into sentences.
func split(s string) []string {
	s = strings.Join(strings.Fields(s), " ")
	var out []string
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		case '.', '?':
			if depth == 0 && i+2 < len(s) && s[i+1] == ' ' && (s[i+2] >= 'A' && s[i+2] <= 'Z' || s[i+2] == '{') {
				out = append(out, s[:i+1])
				s = s[i+2:]
				i = -1
			}
		}
	}
	return append(out, s)
}

// tag ties a line to a rule once.
func tag(line *PageLine, rule string, promise []string) {
	if slices.ContainsFunc(line.Tags, func(t Tag) bool { return t.Rule == rule }) {
		return
	}
	line.Tags = append(line.Tags, Tag{rule, promise})
	if line.Rule == "" {
		line.Rule = rule
	}
	for _, p := range promise {
		if !slices.Contains(line.Promise, p) {
			line.Promise = append(line.Promise, p)
		}
	}
	slices.Sort(line.Promise)
}

// timeForm finds a time typed by hand. What a reference brings is not looked at.
var timeForm = regexp.MustCompile(`(?i)\b(?:\d+|one|two|three|four|five|six|seven|eight|twelve|fourteen|thirty|sixty|ninety|twenty-four|forty-eight|seventy-two)[ -]?(?:business |working |calendar )?(?:minutes?|mins?|hours?|hrs?|h|days?|weeks?|months?|years?)\b|\b(?:annually|yearly|quarterly|monthly|weekly|daily|hourly)\b`)

// typedTimes warns of times in a text that no rule keeps.
func (c *compiler) typedTimes(t text) {
	if t.node == nil {
		return // not written by the author
	}
	plain := refForm.ReplaceAllStringFunc(t.s, func(m string) string { return strings.Repeat("\x00", len(m)) })
	for _, at := range timeForm.FindAllStringIndex(plain, 8) {
		c.warnf(c.inside(t, 0, t.s, 1, len([]rune(t.s[:at[0]]))), "typed-time", "take it from the rule, such as {duties.tell_merchants.due}", "%q is typed by hand: the page could say one time and the clock count another", t.s[at[0]:at[1]])
	}
}
