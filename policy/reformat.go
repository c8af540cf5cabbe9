package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Reformat lays a policy out in the one usual way: two spaces for each level, a space inside { and
// after a comma, at most one blank line, no spaces at the end of a line. It keeps comments, the order
// of keys and how texts are quoted, and it changes no meaning: where it cannot be sure of that, the
// text comes back as it was. What is not YAML is an error with its place; what is YAML and no policy
// is laid out all the same.
func Reformat(file string, src []byte) ([]byte, []Diagnostic) {
	r := &reader{report: &report{file: file, last: 1 + bytes.Count(src, []byte("\n"))}, src: src}
	root := r.parse()
	if root == nil {
		return nil, r.sorted()
	}
	out, ok := r.layout(src)
	if !ok {
		return src, nil
	}
	again := &reader{report: &report{file: file, last: 1 + bytes.Count(out, []byte("\n"))}, src: out}
	twice, ok := again.layout(out)
	if !ok || !bytes.Equal(twice, out) {
		return src, nil
	}
	return out, nil
}

// layout prints src anew; ok is false where the result would not read as src does.
func (r *reader) layout(src []byte) (out []byte, ok bool) {
	r.lines = bytes.Split(src, []byte("\n"))
	doc, _, err := decode(src)
	if err != nil || doc == nil || len(doc.Content) == 0 || bytes.Contains(src, []byte("\r")) {
		return nil, false
	}
	p := &printer{lines: r.lines}
	p.comment(doc.HeadComment, 0)
	if doc.HeadComment != "" && len(p.b.Bytes()) > 0 {
		p.b.WriteByte('\n')
	}
	p.block(doc.Content[0], 0)
	if doc.FootComment != "" {
		p.b.WriteByte('\n')
		p.comment(doc.FootComment, 0)
	}
	out = p.b.Bytes()
	after, more, err := decode(out)
	if p.failed || err != nil || more != nil || after == nil || !same(doc, after) || !slices.Equal(comments(doc), comments(after)) {
		return nil, false
	}
	return out, true
}

// same reports whether two trees read alike.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Anchor != b.Anchor || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// comments lists the lines of all comments of a tree, sorted: the reader may hang one on another
// node than before, and none may be lost.
func comments(n *yaml.Node) []string {
	var out []string
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for _, c := range []string{n.HeadComment, n.LineComment, n.FootComment} {
			for line := range strings.Lines(c) {
				if line = strings.TrimSpace(line); line != "" {
					out = append(out, line)
				}
			}
		}
		for _, child := range n.Content {
			walk(child)
		}
	}
	walk(n)
	slices.Sort(out)
	return out
}

type printer struct {
	b      bytes.Buffer
	lines  [][]byte
	failed bool
}

func (p *printer) indent(depth int) { p.b.WriteString(strings.Repeat("  ", depth)) }

// comment writes comment lines, each on its own.
func (p *printer) comment(c string, depth int) {
	for line := range strings.Lines(c) {
		if line = strings.TrimSpace(line); line == "" {
			p.b.WriteByte('\n')
			continue
		}
		p.indent(depth)
		p.b.WriteString(line + "\n")
	}
}

// gap writes the blank line that stands before n in the source, once.
func (p *printer) gap(n *yaml.Node) {
	at := n.Line - 1
	if n.HeadComment != "" {
		at -= strings.Count(n.HeadComment, "\n") + 1
	}
	if at < 1 || at > len(p.lines) || p.b.Len() == 0 || len(bytes.TrimSpace(p.lines[at-1])) > 0 || bytes.HasSuffix(p.b.Bytes(), []byte("\n\n")) {
		return
	}
	p.b.WriteByte('\n')
}

// block writes a mapping or list whose items each have lines of their own.
func (p *printer) block(n *yaml.Node, depth int) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if i > 0 || depth == 0 {
				p.gap(k)
			}
			p.comment(k.HeadComment, depth)
			p.indent(depth)
			p.entry(k, v, depth)
			p.foot(k, v, depth)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if i > 0 {
				p.gap(item)
			}
			p.item(item, depth)
		}
	default:
		p.failed = true
	}
}

func (p *printer) foot(k, v *yaml.Node, depth int) {
	for _, c := range []string{k.FootComment, v.FootComment} {
		if c != "" {
			p.comment(c, depth)
			p.b.WriteByte('\n')
		}
	}
}

// entry writes one key and what stands behind it.
func (p *printer) entry(k, v *yaml.Node, depth int) {
	p.b.WriteString(p.inline(k) + ":")
	if p.blockish(v) {
		if v.Anchor != "" {
			p.b.WriteString(" &" + v.Anchor)
		}
		p.line(k.LineComment, v.LineComment)
		p.comment(v.HeadComment, depth+1)
		p.block(v, depth+1)
		return
	}
	if v.HeadComment != "" {
		p.failed = true
	}
	p.value(v, depth)
	p.line(k.LineComment, v.LineComment)
}

// item writes one item of a list.
func (p *printer) item(v *yaml.Node, depth int) {
	head := v.HeadComment
	if p.blockish(v) && v.Kind == yaml.MappingNode && head == "" && len(v.Content) > 0 {
		head = v.Content[0].HeadComment
	}
	p.comment(head, depth)
	p.indent(depth)
	p.b.WriteString("-")
	if !p.blockish(v) {
		p.value(v, depth)
		p.line(v.LineComment)
		if v.FootComment != "" {
			p.comment(v.FootComment, depth)
			p.b.WriteByte('\n')
		}
		return
	}
	if v.Kind != yaml.MappingNode || v.Anchor != "" || v.LineComment != "" {
		p.failed = true // a list in a list, or an anchor: nobody writes them in a policy
		return
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k, val := v.Content[i], v.Content[i+1]
		if i == 0 {
			p.b.WriteString(" ")
		} else {
			p.gap(k)
			p.comment(k.HeadComment, depth+1)
			p.indent(depth + 1)
		}
		p.entry(k, val, depth+1)
		p.foot(k, val, depth+1)
	}
	if v.FootComment != "" {
		p.comment(v.FootComment, depth)
		p.b.WriteByte('\n')
	}
}

// line ends a line, with the comment that stands on it.
func (p *printer) line(notes ...string) {
	said := false
	for _, c := range notes {
		if c == "" {
			continue
		}
		if said || strings.Contains(c, "\n") {
			p.failed = true
			return
		}
		said = true
		p.b.WriteString(" " + strings.TrimSpace(c))
	}
	p.b.WriteByte('\n')
}

// blockish reports whether n takes lines of its own: it was written so, or holds comments that a
// line could not.
func (p *printer) blockish(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return false
	}
	if n.Style&yaml.FlowStyle == 0 {
		return true
	}
	for _, child := range n.Content {
		if len(comments(child)) > 0 {
			return true
		}
	}
	return false
}

// value writes what stands behind a colon or a dash on its line.
func (p *printer) value(n *yaml.Node, depth int) {
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		p.literal(n, depth)
		return
	}
	if s := p.inline(n); s != "" {
		p.b.WriteString(" " + s)
	}
}

// literal copies a block of text with its mark; the lines keep how far they are indented against
// each other.
func (p *printer) literal(n *yaml.Node, depth int) {
	head := string(p.lines[n.Line-1])
	runes := []rune(head)
	if n.Column < 1 || n.Column > len(runes) || n.Anchor != "" || n.LineComment != "" {
		p.failed = true
		return
	}
	mark := strings.TrimSpace(string(runes[n.Column-1:]))
	if strings.Trim(mark, "|>+-") != "" {
		p.failed = true // an indentation that is written as a number
		return
	}
	p.b.WriteString(" " + mark)
	own := len(head) - len(strings.TrimLeft(head, " "))
	var body []string
	least := -1
	for _, l := range p.lines[n.Line:] {
		s := string(l)
		in := len(s) - len(strings.TrimLeft(s, " "))
		if strings.TrimSpace(s) == "" {
			body = append(body, "")
			continue
		}
		if in <= own && !strings.HasPrefix(strings.TrimLeft(head, " "), "- ") || in <= own {
			break
		}
		if least < 0 || in < least {
			least = in
		}
		body = append(body, s)
	}
	for len(body) > 0 && body[len(body)-1] == "" {
		body = body[:len(body)-1]
	}
	for _, l := range body {
		p.b.WriteByte('\n')
		if l != "" {
			p.indent(depth + 1)
			p.b.WriteString(l[min(max(least, 0), len(l)):])
		}
	}
}

// inline writes a node on one line.
func (p *printer) inline(n *yaml.Node) string {
	anchor := ""
	if n.Anchor != "" {
		anchor = "&" + n.Anchor + " "
	}
	switch n.Kind {
	case yaml.AliasNode:
		return "*" + n.Value
	case yaml.ScalarNode:
		return anchor + p.scalar(n)
	case yaml.SequenceNode:
		items := make([]string, len(n.Content))
		for i, item := range n.Content {
			items[i] = p.inline(item)
			if item.Kind == yaml.MappingNode && len(item.Content) == 2 && item.Line == item.Content[0].Line && item.Column == item.Content[0].Column {
				items[i] = p.inline(item.Content[0]) + ": " + p.inline(item.Content[1]) // [ a: {} ]
			}
		}
		return anchor + "[" + strings.Join(items, ", ") + "]"
	case yaml.MappingNode:
		if len(n.Content) == 0 {
			return anchor + "{}"
		}
		var items []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			items = append(items, strings.TrimRight(p.inline(n.Content[i])+": "+p.inline(n.Content[i+1]), " "))
		}
		return anchor + "{ " + strings.Join(items, ", ") + " }"
	}
	p.failed = true
	return ""
}

func (p *printer) scalar(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle != 0 {
		p.failed = true
		return ""
	}
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0 && !strings.ContainsAny(n.Value, "\n\t"):
		return "'" + strings.ReplaceAll(n.Value, "'", "''") + "'"
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return doubleQuoted(n.Value)
	case strings.Contains(n.Value, "\n"):
		p.failed = true
		return ""
	}
	return n.Value
}

func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
