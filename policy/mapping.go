package policy

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file reads mappings, texts and lists from nodes, and reports what does not fit.

// text is a scalar and where it stands.
type text struct {
	s    string
	pos  Pos
	node *yaml.Node
}

// entry is one key of a mapping with its value.
type entry struct {
	key string
	pos Pos
	val *yaml.Node
}

// entries reads a mapping of any keys, and reports keys that come twice.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	n = deref(n)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		hint := mappingHint(n, what)
		r.errorf(nodePos(n), "wrong-type", hint, "%s is a mapping; this is %s", what, kindOf(n))
		return nil
	}
	var out []entry
	seen := map[string]Pos{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := deref(n.Content[i]), n.Content[i+1]
		pos := nodePos(n.Content[i])
		if k.Kind != yaml.ScalarNode {
			r.errorf(pos, "wrong-type", "", "a key of %s is a name; this is %s", what, kindOf(k))
			continue
		}
		if k.Value == "<<" {
			r.errorf(pos, "merge-key", "write the keys out, so that a reader finds them where they count", "merge keys are not part of the language")
			continue
		}
		if first, twice := seen[k.Value]; twice {
			r.errorf(pos, "duplicate-key", "", "%s has the key %s twice; the first is on line %d", what, short(k.Value), first.Line)
			continue
		}
		seen[k.Value] = pos
		out = append(out, entry{k.Value, pos, v})
	}
	return out
}

// mappingHint says how to write a mapping where something else stands.
func mappingHint(n *yaml.Node, what string) string {
	s := shapes[what]
	switch {
	case null(n):
		return "remove the key, or write what belongs below it"
	case what == "late":
		return "write { 15min: lead }: how long after the limit, and who is called"
	case n.Kind == yaml.SequenceNode && s == nil:
		return "write NAME: … for each, without the - or the brackets"
	case n.Kind == yaml.SequenceNode:
		return "write its keys, without the - or the brackets"
	case s == nil || len(s.keys) == 0:
		return ""
	}
	var parts []string
	for _, k := range s.keys {
		if k.need || len(parts) == 0 && !slices.ContainsFunc(s.keys, func(o key) bool { return o.need }) {
			says := "…"
			if len(parts) == 0 && len(n.Value) > 0 && len(n.Value) < 60 {
				says = strconv.Quote(n.Value)
				if k.form != aText {
					says = n.Value
				}
			}
			parts = append(parts, k.name+": "+says)
		}
	}
	return "write { " + strings.Join(parts, ", ") + " }"
}

// fields is a mapping whose keys are known.
type fields struct {
	r    *reader
	what string
	pos  Pos
	vals map[string]*yaml.Node
	keys map[string]Pos
	lost map[string]bool // keys whose absence has been reported in other words
}

// fields reads a mapping with the keys of its shape, or with the given ones, and reports the others.
func (r *reader) fields(n *yaml.Node, what string, known ...string) fields {
	if len(known) == 0 {
		known = keysOf(what)
	}
	f := fields{r: r, what: what, pos: nodePos(n), vals: map[string]*yaml.Node{}, keys: map[string]Pos{}, lost: map[string]bool{}}
	if d := deref(n); d != nil && d.Kind != yaml.MappingNode {
		for _, k := range known {
			f.lost[k] = true
		}
	}
	var before entry
	for _, e := range r.entries(n, what) {
		key := spelling(what, e.key)
		last := before
		before = e
		switch {
		case slices.Contains(known, key) && f.vals[key] != nil:
			r.errorf(e.pos, "duplicate-key", "remove one of the two", "%s has %s twice", what, key)
		case slices.Contains(known, key):
			f.vals[key], f.keys[key] = e.val, e.pos
		default:
			r.errorf(e.pos, "unknown-key", f.keyHint(n, last, e, known), "%s has no key %s", what, short(e.key))
		}
	}
	return f
}

// keyHint says what an unknown key was most likely meant to be.
func (f *fields) keyHint(n *yaml.Node, last, e entry, known []string) string {
	if deref(n).Style&yaml.FlowStyle != 0 && null(deref(e.val)) && strings.ContainsAny(e.key, " .?") {
		// Inside braces a comma ends a text; what follows it is read as a key without a value.
		if v := deref(last.val); v != nil && v.Kind == yaml.ScalarNode && v.Value != "" {
			return "inside { } a text with a comma needs quotes: " + inQuotes(v.Value+", "+e.key)
		}
		if f.what == "a line of the page" {
			f.lost["text"] = true
			return "a line that begins with { needs quotes: \"{" + short(e.key) + "}\""
		}
		return "inside { } a text with a comma needs quotes"
	}
	if f.what == "a line of the page" && strings.ContainsAny(e.key, " {}") {
		f.lost["text"] = true
		return "a text with a colon needs quotes"
	}
	if hint := otherKeys[f.what][strings.ToLower(e.key)]; hint != "" {
		if meant, ok := strings.CutPrefix(hint, "write "); ok {
			word, _, _ := strings.Cut(meant, " ")
			f.lost[strings.TrimRight(word, ":,;")] = true
		}
		return hint
	}
	if near := nearest(e.key, known); near != "" {
		f.lost[near] = true // that it is missing follows from how it is spelt
		return "did you mean " + near + "?"
	}
	return "keys are " + list(slices.Sorted(slices.Values(known)), "and")
}

// at is where key stands, or where the whole stands when it is absent.
func (f fields) at(key string) Pos {
	if p, ok := f.keys[key]; ok {
		return p
	}
	return f.pos
}

func (f fields) has(key string) bool { return f.vals[key] != nil }

// text reads key as text; "" when it is absent.
func (f fields) text(key string) text {
	n, ok := f.vals[key]
	if !ok {
		return text{pos: f.pos}
	}
	t, _ := f.r.text(n, f.what+": "+key)
	return t
}

// need reads key as text and reports its absence.
func (f fields) need(key, example string) text {
	if !f.has(key) && f.lost[key] {
		return text{pos: f.pos}
	}
	if !f.has(key) && f.pos.Line > 0 {
		f.r.errorf(f.pos, "missing-key", "write "+key+": "+example, "%s has no %s", f.what, key)
		return text{pos: f.pos}
	}
	return f.text(key)
}

// texts reads key as a text or a list of texts.
func (f fields) texts(key string) []text {
	n, ok := f.vals[key]
	if !ok {
		return nil
	}
	return f.r.texts(n, f.what+": "+key)
}

// text reads a scalar; ok is false after it reported something else or nothing.
func (r *reader) text(n *yaml.Node, what string) (t text, ok bool) {
	pos := nodePos(n)
	n = deref(n)
	if n == nil || n.Kind != yaml.ScalarNode {
		hint := ""
		if n != nil && n.Style&yaml.FlowStyle != 0 {
			hint = "a text that begins with [ or { needs quotes"
		}
		if h := oneOnly[what]; h != "" && n != nil && n.Kind == yaml.SequenceNode {
			hint = h
		}
		r.errorf(pos, "wrong-type", hint, "%s is a text; this is %s", what, kindOf(n))
		return text{pos: pos}, false
	}
	if null(n) && !(n.Style&yaml.TaggedStyle != 0 && !strings.HasPrefix(n.Tag, "!!")) {
		hint := "remove the key, or write its value"
		if pos.Line >= 1 && pos.Line <= len(r.lines) {
			rest := string([]rune(string(r.lines[pos.Line-1]))[min(max(0, pos.Col-1), len([]rune(string(r.lines[pos.Line-1])))):])
			if text := strings.TrimSpace(rest); strings.HasPrefix(text, "##") || strings.HasPrefix(text, "# ") && strings.HasPrefix(what, "an item") {
				hint = "# begins a comment; put quotes around a heading: " + inQuotes(text)
			}
		}
		r.errorf(pos, "empty-value", hint, "%s has no value", what)
		return text{pos: pos}, false
	}
	if n.Style&yaml.TaggedStyle != 0 {
		hint := "remove the tag"
		if !strings.HasPrefix(n.Tag, "!!") {
			hint = "a text that begins with ! needs quotes: " + inQuotes(strings.TrimSpace(n.Tag+" "+n.Value))
		}
		r.errorf(pos, "tag", hint, "%s: tags such as %s are not part of the language", what, short(n.Tag))
		return text{pos: pos}, false
	}
	return text{s: n.Value, pos: pos, node: n}, true
}

func (r *reader) texts(n *yaml.Node, what string) []text {
	d := deref(n)
	if d == nil || d.Kind != yaml.SequenceNode {
		if t, ok := r.text(n, what); ok {
			return []text{t}
		}
		return nil
	}
	var out []text
	for _, item := range d.Content {
		if t, ok := r.text(item, "an item of "+what); ok {
			out = append(out, t)
		}
	}
	return out
}

// truth reads key as true or false.
func (f fields) truth(key string) (value, ok bool) {
	n, there := f.vals[key]
	if !there {
		return false, false
	}
	t, ok := f.r.text(n, f.what+": "+key)
	if !ok {
		return false, false
	}
	switch t.s {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	f.r.errorf(t.pos, "wrong-type", "write true or false", "%s: %s is true or false; this is the text %q", f.what, key, short(t.s))
	return false, false
}

var idForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// isID is idForm without its cost: every id of a policy is looked at.
func isID(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// celReserved are names that CEL keeps for itself.
var celReserved = []string{"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"}

// id checks the form of an id and reports what is wrong with it.
func (r *reader) id(pos Pos, s, what string) bool {
	if !isID(s) {
		better := idMeant(s)
		hint := "ids are snake_case: small letters, digits and _"
		if idForm.MatchString(better) {
			hint = "ids are snake_case; write " + better
		}
		if name, _, braced := strings.Cut(s, " {"); braced {
			hint = "write a colon behind " + short(name)
		}
		r.errorf(pos, "bad-id", hint, "%q is not an id of %s", short(s), what)
		return false
	}
	if slices.Contains(celReserved, s) {
		r.errorf(pos, "bad-id", "choose another name", "%s is a word of the condition language and cannot be an id of %s", s, what)
		return false
	}
	return true
}

// idMeant is a text as an id would write it.
func idMeant(s string) string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9_]+`).ReplaceAllString(strings.ToLower(s), "_"), "_")
}

// named reads a mapping from ids to values, in the order of the source.
func (r *reader) named(n *yaml.Node, section, what string) []entry {
	var out []entry
	for _, e := range r.entries(n, section) {
		if !r.id(e.pos, e.key, what) {
			// It is read under the id it was told to have, so that what names it is not reported as well.
			if strings.Contains(e.key, "{") {
				continue
			}
			if e.key = idMeant(e.key); !isID(e.key) || slices.Contains(celReserved, e.key) || slices.ContainsFunc(out, func(o entry) bool { return o.key == e.key }) {
				continue
			}
		}
		out = append(out, e)
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
