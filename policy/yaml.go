package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits on what Compile reads. A policy is written and read by people; what is larger is not one.
const (
	maxBytes   = 1 << 20
	maxNodes   = 20_000 // aliases count as what they stand for
	maxDepth   = 32
	maxText    = 16 << 10 // bytes of one text
	maxAliases = 100
)

// A reader turns YAML nodes into text, lists and mappings with places. It reads YAML 1.2: only
// true and false are truth values, and on, NO or 1:30 are the texts they look like.
type reader struct {
	*report
	src   []byte
	lines [][]byte
}

// parse reads the one document of src; nil after an error that it has reported.
func (r *reader) parse() *yaml.Node {
	if len(r.src) > maxBytes {
		r.errorf(Pos{}, "too-large", "split what is not policy into other documents", "the policy has %d bytes; at most %d are read", len(r.src), maxBytes)
		return nil
	}
	// A line or a comma parts two values at most, so this bounds what the YAML library makes.
	if n := bytes.Count(r.src, []byte("\n")) + bytes.Count(r.src, []byte(",")); n > 2*maxNodes {
		r.errorf(Pos{}, "too-large", "split what is not policy into other documents", "the policy has more than %d values", maxNodes)
		return nil
	}
	if pos, ok := invalidUTF8(r.src); ok {
		r.errorf(pos, "not-utf8", "save the file as UTF-8", "the text is not UTF-8 here")
		return nil
	}
	if pos, what, ok := oddBreak(r.src); ok {
		r.errorf(pos, "line-break", "end lines with a line feed", "there is %s here, which some editors take for the end of a line and others do not", what)
		return nil
	}
	r.lines = bytes.Split(r.src, []byte("\n"))
	doc, more, err := decode(r.src)
	if err != nil {
		r.syntax(err)
		return nil
	}
	if doc == nil || len(doc.Content) == 0 {
		r.errorf(Pos{}, "empty", "a policy begins with: policy: my_policy", "the policy is empty")
		return nil
	}
	if more != nil {
		r.errorf(nodePos(more), "two-documents", "one file holds one policy; remove the line ---", "a second YAML document begins here")
		return nil
	}
	c := counter{}
	if n, why := c.walk(doc.Content[0], 1); why != "" {
		r.errorf(nodePos(n), "too-large", "", "%s", why)
		return nil
	}
	return doc.Content[0]
}

// decode reads the first document and, if there is one, the second.
func decode(src []byte) (doc, more *yaml.Node, err error) {
	defer func() {
		// The YAML library reports what it cannot read as an error; should a hostile text make it
		// panic instead, that is still only a text that cannot be read.
		if p := recover(); p != nil {
			doc, more, err = nil, nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(src))
	var first, second yaml.Node
	if err := d.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	if err := d.Decode(&second); errors.Is(err, io.EOF) {
		return &first, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	return &first, &second, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax reports an error of the YAML library, with what it most often means.
func (r *reader) syntax(err error) {
	pos, message := Pos{Line: 1, Col: 1}, err.Error()
	if m := yamlLine.FindStringSubmatch(oneLine(message)); m != nil {
		message = m[2]
		pos.Line, _ = strconv.Atoi(m[1])
	}
	switch name, _, anchor := strings.Cut(strings.TrimPrefix(message, "unknown anchor '"), "'"); {
	case strings.HasPrefix(message, "did not find expected"):
		pos.Line++ // the library counts the line its parser stands on from 0, and that of its scanner from 1
	case anchor && strings.HasPrefix(message, "unknown anchor"):
		pos.Line = 1 + slices.IndexFunc(r.lines, func(l []byte) bool { return bytes.Contains(l, []byte("*"+name)) })
	}
	pos.Line = min(max(1, pos.Line), len(r.lines))
	line := string(r.lines[pos.Line-1])
	if i := strings.IndexFunc(line, func(c rune) bool { return c != ' ' }); i >= 0 {
		pos.Col = i + 1
	}
	hint := ""
	if trapped, why, ok := r.trap(pos, message, line); ok {
		r.errorf(trapped, "yaml", why, "this is not YAML: %s", message)
		return
	}
	switch {
	case strings.Contains(line, "\t") || strings.Contains(message, "cannot start any token"):
		hint = "indent with spaces, not tabs"
	case strings.Contains(message, "mapping values are not allowed"):
		hint = "put quotes around a text that contains a colon"
	case strings.Contains(message, "could not find expected ':'"):
		hint = "a key is followed by a colon and a space: owner: Acme Ltd"
	case strings.Contains(message, "did not find expected '-'"):
		hint = "either every line of a mapping begins with - or none does; duties, roles and facts take none"
	case strings.Contains(message, "did not find expected key"):
		hint = "the keys of one mapping begin in the same column"
	case strings.Contains(message, "did not find expected"):
		hint = "look for a bracket, brace or quote that is not closed; inside { } a text with , or ? needs quotes"
	case strings.Contains(message, "unknown anchor"):
		hint = "a text that begins with * or & needs quotes"
	}
	r.errorf(pos, "yaml", hint, "this is not YAML: %s", message)
}

// trap finds what most often stands behind an error of the YAML library, and where.
func (r *reader) trap(pos Pos, message, line string) (Pos, string, bool) {
	switch {
	case strings.Contains(line, "\t"):
		return Pos{}, "", false
	case strings.Contains(message, "mapping values are not allowed"), strings.Contains(message, "could not find expected ':'"):
		if col, hint, ok := blockTrap(line); ok {
			return Pos{Line: pos.Line, Col: col}, hint, true
		}
		if pos.Line > 1 { // the library stops at the line after
			if col, hint, ok := blockTrap(string(r.lines[pos.Line-2])); ok && strings.Contains(hint, "space behind") {
				return Pos{Line: pos.Line - 1, Col: col}, hint, true
			}
		}
	case strings.Contains(message, "did not find expected ',' or"), strings.Contains(message, "unexpected end of stream"):
		return flowTrap(r.lines, pos.Line-1)
	}
	return Pos{}, "", false
}

func invalidUTF8(src []byte) (Pos, bool) {
	if utf8.Valid(src) {
		return Pos{}, false
	}
	line, col := 1, 1
	for len(src) > 0 {
		c, size := utf8.DecodeRune(src)
		if c == utf8.RuneError && size == 1 {
			break
		}
		if col++; c == '\n' {
			line, col = line+1, 1
		}
		src = src[size:]
	}
	return Pos{Line: line, Col: col}, true
}

// oddBreak finds what YAML 1.1 readers take for the end of a line and YAML 1.2 readers do not, and
// carriage returns that stand alone: after either, no two programs count lines alike.
func oddBreak(src []byte) (pos Pos, what string, found bool) {
	line, col := 1, 1
	for i, c := range string(src) {
		what := ""
		switch c {
		case '\u0085':
			what = "a next-line character"
		case '\u2028':
			what = "a line separator"
		case '\u2029':
			what = "a paragraph separator"
		case '\r':
			if i+1 == len(src) || src[i+1] != '\n' {
				what = "a carriage return"
			}
		}
		if what != "" {
			return Pos{Line: line, Col: col}, what, true
		}
		if col++; c == '\n' {
			line, col = line+1, 1
		}
	}
	return Pos{}, "", false
}

// counter bounds the tree a document stands for, aliases unfolded.
type counter struct{ nodes, aliases int }

func (c *counter) walk(n *yaml.Node, depth int) (*yaml.Node, string) {
	if c.nodes++; c.nodes > maxNodes {
		return n, fmt.Sprintf("the policy has more than %d values", maxNodes)
	}
	if len(n.Value) > maxText {
		return n, fmt.Sprintf("this text has %d bytes; at most %d are read", len(n.Value), maxText)
	}
	if depth > maxDepth {
		return n, fmt.Sprintf("the policy is nested more than %d deep here", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		if c.aliases++; c.aliases > maxAliases {
			return n, fmt.Sprintf("the policy has more than %d aliases", maxAliases)
		}
		if at, why := c.walk(n.Alias, depth+1); why != "" {
			if at != n {
				at = n // the alias is what the author can change
			}
			return at, why
		}
	}
	for _, child := range n.Content {
		if at, why := c.walk(child, depth+1); why != "" {
			return at, why
		}
	}
	return nil, ""
}

func nodePos(n *yaml.Node) Pos {
	if n == nil {
		return Pos{}
	}
	return Pos{Line: n.Line, Col: n.Column}
}

// deref follows an alias; parse has bounded how far that can go.
func deref(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return n
}

// kindOf says in words what was read.
func kindOf(n *yaml.Node) string {
	switch n = deref(n); {
	case n == nil || null(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("the text %q", short(n.Value))
}

func null(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 &&
		(n.Value == "" || n.Value == "~" || n.Value == "null")
}

func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

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
