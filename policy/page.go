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
	w := &pageWriter{compiler: c, shown: map[string]bool{}}
	for i := range c.p.Duties {
		d := &c.p.Duties[i]
		d.Say = c.p.clause(*d)
		if own, ok := c.says[d.ID]; ok {
			d.Say = w.own(own, d.ID)
		}
	}
	w.shown = map[string]bool{} // what a duty says of itself is not on the page yet
	if f.has("page") {
		for _, p := range c.proses(c.pageNode, "page") {
			w.line(p)
		}
	} else {
		for _, s := range c.standardPage() {
			w.line(prose{text: text{s: s, pos: f.pos}})
		}
	}
	w.rest()
	c.p.Page = w.out
	for _, id := range sortedKeys(c.ids) {
		r := c.ids[id]
		if len(r.promise) == 0 || w.shown[id] {
			continue
		}
		_, name, _ := strings.Cut(id, " ")
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

var sectionOf = map[string]string{"duty": "duties", "gate": "gates", "action": "actions"}

// standardPage is the page of a policy that writes none: everything it promises, in order.
func (c *compiler) standardPage() []string {
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
	section("What is a security incident", block(len(c.p.Classes), "{classes}")...)
	section("Severity", block(len(c.p.Severities), "{severities}")...)
	section("Roles", block(len(c.p.Roles), "{roles}")...)
	section("Procedure", block(len(c.p.Phases), "{phases}")...)
	var duties, gates, actions []string
	for _, d := range c.p.Duties {
		duties = append(duties, "- {duties."+d.ID+"}.")
	}
	for _, a := range c.p.Actions {
		actions = append(actions, "- {actions."+a.ID+"}.")
	}
	for _, g := range c.p.Gates {
		gates = append(gates, "- {gates."+g.ID+"}.")
	}
	section("What we promise", duties...)
	section("What we can do at once", actions...)
	section("What we do not do too early", gates...)
	if len(c.p.Review) > 0 {
		section("Review", "The review covers {review}.")
	}
	if c.p.Contact.Email != "" {
		section("Contact", "Report a problem to {contact.email}.")
	}
	return out
}

// pageWriter resolves the references of prose and keeps which rules it has shown.
type pageWriter struct {
	*compiler
	out   []PageLine
	shown map[string]bool
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

// marker is the Markdown at the beginning of a line that makes it a heading or a list item.
func marker(s string) string {
	if m := regexp.MustCompile(`^(#{1,4} +|[-*] +|\d{1,3}\. +)`).FindString(s); m != "" {
		return m
	}
	return ""
}

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

// resolve replaces the references of a sentence, and tags its line with the rules they name.
func (w *pageWriter) resolve(t text, sentence string, line *PageLine) string {
	var b strings.Builder
	for {
		m := refForm.FindStringSubmatchIndex(sentence)
		if m == nil {
			break
		}
		b.WriteString(sentence[:m[0]])
		ref := strings.TrimSpace(sentence[m[2]:m[3]])
		says, ok := w.reference(ref, line)
		if !ok {
			w.unknown(t, sentence[m[0]:m[1]], ref)
			says = sentence[m[0]:m[1]]
		}
		if strings.TrimSpace(b.String()) == "" {
			says = upperFirst(says)
		}
		b.WriteString(says)
		sentence = sentence[m[1]:]
	}
	b.WriteString(sentence)
	return b.String()
}

// own resolves the words a duty gives itself: {due} is its own, and so are the other parts.
func (w *pageWriter) own(t text, duty string) string {
	parts := []string{"due", "every", "content", "to", "who", "when"}
	s := refForm.ReplaceAllStringFunc(strings.TrimSuffix(oneLine(t.s), "."), func(m string) string {
		part := strings.TrimSpace(m[1 : len(m)-1])
		says, ok := w.dutyReference(duty, part, &PageLine{})
		if !ok || !slices.Contains(parts, part) {
			w.errorf(t.pos, "unknown-reference", didYouMean(part, parts, "a duty has {due}, {content}, {to}, {who}, {when} and {every}"), "say refers to {%s}, which the duty %s does not have", short(part), duty)
		}
		return says
	})
	w.typedTimes(t)
	return s
}

// unknown reports a reference to nothing.
func (w *pageWriter) unknown(t text, written, ref string) {
	pos := t.pos
	if i := strings.Index(t.s, written); i >= 0 && t.node != nil {
		pos = w.inside(t, 0, t.s, 1, len([]rune(t.s[:i]))+1)
	}
	w.errorf(pos, "unknown-reference", didYouMean(ref, w.referable(), "references are such as {duties.tell_merchants.due}, {contact.email}, {classes} or {phases}"), "the page refers to {%s}, which is nothing", short(ref))
}

// referable lists what a page may refer to.
func (w *pageWriter) referable() []string {
	out := []string{"title", "owner", "updated", "review", "contact.email", "contact.url", "time.promptly", "classes", "severities", "roles", "phases", "checks"}
	for _, d := range w.p.Duties {
		out = append(out, "duties."+d.ID)
		for _, part := range []string{"due", "every", "content", "to", "who", "when"} {
			out = append(out, "duties."+d.ID+"."+part)
		}
	}
	for _, g := range w.p.Gates {
		out = append(out, "gates."+g.ID, "gates."+g.ID+".need")
	}
	for _, a := range w.p.Actions {
		out = append(out, "actions."+a.ID)
	}
	for _, c := range w.p.Classes {
		out = append(out, "classes."+c.ID)
	}
	for _, f := range w.p.Facts {
		out = append(out, "facts."+f.ID)
	}
	for _, r := range w.p.Roles {
		out = append(out, "roles."+r.ID, "roles."+r.ID+".does")
	}
	for _, c := range slices.Concat(w.p.Checks, w.p.Proofs) {
		out = append(out, "checks."+c.ID)
	}
	for _, p := range w.p.Parties {
		out = append(out, "parties."+p.ID)
	}
	return out
}

// reference is what one reference says.
func (w *pageWriter) reference(ref string, line *PageLine) (string, bool) {
	p := w.p
	path := strings.Split(ref, ".")
	id, part := "", ""
	if len(path) > 1 {
		id = path[1]
	}
	if len(path) > 2 {
		part = path[2]
	}
	if len(path) > 3 {
		return "", false
	}
	switch path[0] {
	case "title", "owner", "updated", "review":
		if len(path) > 1 {
			return "", false
		}
		says := map[string]string{"title": p.Title, "owner": p.Owner, "updated": p.Updated, "review": list(spacedAll(p.Review), "and")}[ref]
		return says, says != ""
	case "contact":
		says := map[string]string{"contact.email": p.Contact.Email, "contact.url": p.Contact.URL}[ref]
		return says, says != ""
	case "time":
		return p.Promptly.Words(), ref == "time.promptly"
	case "duties":
		return w.dutyReference(id, part, line)
	case "gates":
		if i := slices.IndexFunc(p.Gates, func(g Gate) bool { return g.ID == id }); i >= 0 && (part == "" || part == "need") {
			g := p.Gates[i]
			w.shown["gate "+id] = true
			tag(line, id, g.Promise)
			if part == "need" {
				return needWords(g), true
			}
			return p.refusal(g), true
		}
	case "actions":
		if i := slices.IndexFunc(p.Actions, func(a ActionDecl) bool { return a.ID == id }); i >= 0 && part == "" {
			w.shown["action "+id] = true
			tag(line, id, p.Actions[i].Promise)
			return p.Actions[i].Means, true
		}
	case "classes":
		if i := slices.IndexFunc(p.Classes, func(k Class) bool { return k.ID == id }); i >= 0 && part == "" {
			tag(line, id, p.Classes[i].Promise)
			return p.Classes[i].Means, true
		}
	case "facts":
		if i := slices.IndexFunc(p.Facts, func(f FactDecl) bool { return f.ID == id }); i >= 0 && part == "" {
			return p.Facts[i].Say, true
		}
	case "roles":
		if i := slices.IndexFunc(p.Roles, func(r Role) bool { return r.ID == id }); i >= 0 {
			switch part {
			case "":
				return "the " + spaced(id), true
			case "does":
				return p.Roles[i].Does, true
			}
		}
	case "checks":
		if all := slices.Concat(p.Checks, p.Proofs); part == "" {
			if i := slices.IndexFunc(all, func(k CheckDecl) bool { return k.ID == id }); i >= 0 {
				return all[i].Means, true
			}
		}
	case "parties":
		if i := slices.IndexFunc(p.Parties, func(q Party) bool { return q.ID == id }); i >= 0 && part == "" {
			return p.Parties[i].Name, true
		}
	}
	return "", false
}

func (w *pageWriter) dutyReference(id, part string, line *PageLine) (string, bool) {
	i := slices.IndexFunc(w.p.Duties, func(d Duty) bool { return d.ID == id })
	if i < 0 {
		return "", false
	}
	d := w.p.Duties[i]
	says := ""
	switch part {
	case "":
		says = d.Say
	case "due":
		says = w.p.dues(d)
	case "every":
		if d.Every != nil {
			says = everyWords(d.Every.Span)
		}
	case "content":
		says = contentWords(d.Content)
	case "to":
		says = w.p.recipients(d.To)
	case "who":
		says = "the " + spaced(d.Who)
	case "when":
		if d.When != nil {
			says = "if " + d.When.Say
		}
	}
	if says == "" {
		return "", false
	}
	w.shown["duty "+id] = true
	tag(line, id, d.Promise)
	return says, true
}

// block adds the lines a whole section stands for; ok is false when ref is no block.
func (w *pageWriter) block(ref string, at prose) bool {
	item := func(text string, rule string, promise []string) {
		line := PageLine{Text: "- " + text, Pos: w.pos(at.text.pos)}
		if len(promise) > 0 {
			tag(&line, rule, promise)
		}
		w.out = append(w.out, line)
	}
	switch ref {
	case "classes":
		for _, k := range w.p.Classes {
			item(k.Means, k.ID, k.Promise)
		}
	case "severities":
		for _, l := range w.p.Severities {
			says := "**" + upperFirst(spaced(l.ID)) + "**: " + l.Means
			if l.When != nil {
				says = strings.TrimSuffix(says, ".") + ". An incident is at least " + spaced(l.ID) + " when " + l.When.Say + "."
			}
			item(says, "", nil)
		}
	case "roles":
		for _, r := range w.p.Roles {
			item("**"+upperFirst(spaced(r.ID))+"**: "+r.Does, "", nil)
		}
	case "checks":
		for _, k := range w.p.Checks {
			item(k.Means, "", nil)
		}
	case "phases":
		for i, ph := range w.p.Phases {
			w.phase(i, ph, at)
		}
	default:
		return false
	}
	return true
}

// phase adds one step of the procedure.
func (w *pageWriter) phase(i int, ph Phase, at prose) {
	w.out = append(w.out, PageLine{Text: "### " + itoa(i+1) + ". " + ph.Title, Pos: ph.Pos})
	first := len(w.out)
	for _, p := range w.phaseSays[ph.ID] {
		w.line(p)
	}
	if len(ph.Tasks) > 0 {
		w.line(prose{text: text{s: "Tasks: " + list(spacedAll(ph.Tasks), "and") + ".", pos: at.text.pos}})
	}
	if len(ph.Promise) == 0 {
		return
	}
	if len(w.out) == first {
		first-- // a phase that says nothing promises by its title
	}
	tag(&w.out[first], ph.ID, ph.Promise)
}

// timeForm finds a time typed by hand. What a reference brings is not looked at.
var timeForm = regexp.MustCompile(`(?i)\b(?:\d+|one|two|three|four|five|six|seven|eight|twelve|fourteen|thirty|sixty|ninety|twenty-four|forty-eight|seventy-two)[ -]?(?:business |working |calendar )?(?:minutes?|mins?|hours?|hrs?|h|days?|weeks?|months?|years?)\b|\b(?:annually|yearly|quarterly|monthly|weekly|daily|hourly)\b`)

func (w *pageWriter) typedTimes(t text) {
	if t.node == nil {
		return // not written by the author
	}
	plain := refForm.ReplaceAllStringFunc(t.s, func(m string) string { return strings.Repeat("\x00", len(m)) })
	for _, at := range timeForm.FindAllStringIndex(plain, 8) {
		w.warnf(w.inside(t, 0, t.s, 1, len([]rune(t.s[:at[0]]))), "typed-time", "take it from the rule, such as {duties.tell_merchants.due}", "%q is typed by hand: the page could say one time and the clock count another", t.s[at[0]:at[1]])
	}
}
