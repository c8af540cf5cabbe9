package policy

import (
	"slices"
	"strings"
)

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
		if before := strings.TrimSpace(b.String()); before == "" || strings.HasSuffix(before, "**:") {
			says = upperFirst(says)
		}
		b.WriteString(says)
		sentence = sentence[m[1]:]
	}
	b.WriteString(sentence)
	return b.String()
}

// dutyParts are what a page may say of a duty alone.
var dutyParts = []string{"due", "every", "until", "not_before", "content", "to", "via", "who", "when", "unless", "approve", "late"}

// gateParts are the same of a gate.
var gateParts = []string{"need", "sign", "attest", "override", "otherwise"}

// own resolves the words a duty gives itself: {due} is its own, and so are the other parts.
func (w *pageWriter) own(t text, duty string) string {
	s := refForm.ReplaceAllStringFunc(strings.TrimSuffix(oneLine(t.s), "."), func(m string) string {
		part := strings.TrimSpace(m[1 : len(m)-1])
		says, ok := w.dutyReference(duty, part, &PageLine{})
		if !ok || !slices.Contains(dutyParts, part) {
			w.errorf(t.pos, "unknown-reference", didYouMean(part, dutyParts, "a duty has {due}, {content}, {to}, {who}, {when} and {every}"), "say refers to {%s}, which the duty %s does not have", short(part), duty)
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
	all := w.referable()
	for _, section := range []string{"duties.", "gates.", "actions.", "facts.", "roles.", "parties."} {
		if slices.Contains(all, section+ref) {
			w.errorf(pos, "unknown-reference", "did you mean "+section+ref+"?", "the page refers to {%s}, which is nothing", short(ref))
			return
		}
	}
	w.errorf(pos, "unknown-reference", didYouMean(ref, all, "references are such as {duties.tell_merchants.due}, {contact.email}, {classes} or {phases}"), "the page refers to {%s}, which is nothing", short(ref))
}

// referable lists what a page may refer to.
func (w *pageWriter) referable() []string {
	p := w.p
	out := []string{"title", "owner", "updated", "review", "contact.email", "contact.url", "time.promptly", "time.business", "time.zone"}
	out = append(out, blocks...)
	add := func(section, id string, parts ...string) {
		out = append(out, section+"."+id)
		for _, part := range parts {
			out = append(out, section+"."+id+"."+part)
		}
	}
	for _, d := range p.Duties {
		add("duties", d.ID, dutyParts...)
	}
	for _, g := range p.Gates {
		add("gates", g.ID, gateParts...)
	}
	for _, a := range p.Actions {
		add("actions", a.ID)
	}
	for _, c := range p.Classes {
		add("classes", c.ID)
	}
	for _, e := range p.Events {
		add("events", e.ID)
	}
	for _, s := range p.Scales {
		add("scales", s.ID)
	}
	for _, m := range p.Milestones {
		add("milestones", m.ID)
	}
	for _, f := range p.Facts {
		add("facts", f.ID, "ask", "by", "due")
	}
	for _, r := range p.Roles {
		add("roles", r.ID, "does", "backup")
	}
	for _, c := range slices.Concat(p.Checks, p.Proofs) {
		add("checks", c.ID)
	}
	for _, q := range p.Parties {
		add("parties", q.ID, "via")
	}
	for _, t := range p.Tables {
		add("tables", t.By)
	}
	return out
}

// reference is what one reference says.
func (w *pageWriter) reference(ref string, line *PageLine) (string, bool) {
	p := w.p
	section, rest, _ := strings.Cut(ref, ".")
	id, part, _ := strings.Cut(rest, ".")
	switch section {
	case "title", "owner", "updated", "review":
		says := map[string]string{"title": p.Title, "owner": p.Owner, "updated": p.Updated, "review": list(spacedAll(p.Review), "and")}[section]
		return says, says != "" && rest == ""
	case "contact":
		says := map[string]string{"contact.email": p.Contact.Email, "contact.url": p.Contact.URL}[ref]
		return says, says != ""
	case "time":
		says := map[string]string{"time.promptly": p.Promptly.Words(), "time.business": p.businessHours(), "time.zone": p.Zone.String()}[ref]
		return says, says != ""
	case "duties":
		return w.dutyReference(id, part, line)
	case "gates":
		return w.gateReference(id, part, line)
	case "facts":
		return w.factReference(id, part)
	}
	return w.declared(section, id, part, line)
}

// declared is what the page says of a declaration that has few parts.
func (w *pageWriter) declared(section, id, part string, line *PageLine) (string, bool) {
	p := w.p
	switch section {
	case "actions":
		if a, ok := find(p.Actions, id, func(a ActionDecl) string { return a.ID }); ok && part == "" {
			w.shown["action "+id] = true
			tag(line, id, a.Promise)
			return a.Means, true
		}
	case "classes":
		if k, ok := find(p.Classes, id, func(k Class) string { return k.ID }); ok && part == "" {
			w.shown["class "+id] = true
			tag(line, id, k.Promise)
			return k.Means, true
		}
	case "events":
		if e, ok := find(p.Events, id, func(e EventDecl) string { return e.ID }); ok && part == "" {
			w.shown["event "+id] = true
			tag(line, id, e.Promise)
			return clauseOf(e.Means), true
		}
	case "milestones":
		if m, ok := find(p.Milestones, id, func(m MilestoneDecl) string { return m.ID }); ok && part == "" {
			return clauseOf(m.Means), true
		}
	case "roles":
		if r, ok := find(p.Roles, id, func(r Role) string { return r.ID }); ok {
			says := map[string]string{"": "the " + spaced(id), "does": r.Does, "backup": theRoles(r.Backup)}[part]
			return says, says != ""
		}
	case "checks":
		if k, ok := find(slices.Concat(p.Checks, p.Proofs), id, func(k CheckDecl) string { return k.ID }); ok && part == "" {
			return k.Means, true
		}
	case "parties":
		if q, ok := find(p.Parties, id, func(q Party) string { return q.ID }); ok {
			says := map[string]string{"": q.Name, "via": p.via(Duty{To: id})}[part]
			return says, says != ""
		}
	}
	return "", false
}

func find[T any](in []T, id string, of func(T) string) (T, bool) {
	for _, t := range in {
		if of(t) == id {
			return t, true
		}
	}
	var none T
	return none, false
}

func (w *pageWriter) gateReference(id, part string, line *PageLine) (string, bool) {
	p := w.p
	g, ok := find(p.Gates, id, func(g Gate) string { return g.ID })
	if !ok {
		return "", false
	}
	says := ""
	switch part {
	case "":
		says = p.refusal(g)
	case "need":
		says = needWords(g)
	case "sign":
		if len(g.Sign) > 0 {
			says = p.signers(g.Sign) + " signed"
		}
	case "attest":
		says = strings.TrimSuffix(g.Attest, ".")
	case "override":
		if g.Override != nil {
			says = p.signers(g.Override.Sign) + " signed and " + recorded(g.Override.Record) + " is recorded"
		}
	case "otherwise":
		says = strings.TrimSuffix(g.Otherwise, ".")
	}
	if says == "" {
		return "", false
	}
	w.shown["gate "+id] = true
	tag(line, id, g.Promise)
	return says, true
}

func (w *pageWriter) factReference(id, part string) (string, bool) {
	f, ok := find(w.p.Facts, id, func(f FactDecl) string { return f.ID })
	if !ok {
		return "", false
	}
	says := map[string]string{"": f.Say, "ask": f.Ask, "by": "the " + spaced(f.By), "due": w.p.earliest(f.Due, nil)}[part]
	return says, says != ""
}

func (w *pageWriter) dutyReference(id, part string, line *PageLine) (string, bool) {
	d, ok := find(w.p.Duties, id, func(d Duty) string { return d.ID })
	if !ok {
		return "", false
	}
	says := w.dutySays(d, part)
	if says == "" {
		return "", false
	}
	// Who does it or what is said is not the promise yet: its time is, or the whole sentence.
	if slices.Contains([]string{"", "due", "every", "not_before"}, part) {
		w.shown["duty "+id] = true
	}
	tag(line, id, d.Promise)
	return says, true
}

// dutySays is one part of a duty in words; "" when the duty does not have it.
func (w *pageWriter) dutySays(d Duty, part string) string {
	p := &w.program
	switch part {
	case "":
		return w.clauses[d.ID]
	case "due":
		return p.dues(d)
	case "not_before":
		return p.floor(d)
	case "content":
		return contentWords(d.Content)
	case "to":
		return p.recipients(d.To)
	case "who":
		return "the " + spaced(d.Who)
	case "approve":
		return d.approval()
	case "late":
		return d.escalation()
	}
	switch {
	case part == "every" && d.Every != nil:
		return p.cadence(d)
	case part == "until" && d.Until != nil:
		return "until " + p.reached(*d.Until, &d)
	case part == "via" && d.To != "":
		return p.via(d)
	case part == "when" && d.When != nil:
		return p.condition(d)
	case part == "unless" && d.Unless != nil:
		return "unless " + d.Unless.Say
	}
	return ""
}
