package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
