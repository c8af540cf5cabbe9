package review

import (
	"net/url"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Span is a piece of a line that people wrote, with what Markdown says about it.
type Span struct {
	Text   string `json:"text"`
	Strong bool   `json:"strong,omitempty"`
	Em     bool   `json:"em,omitempty"`
	Code   bool   `json:"code,omitempty"`
	Link   string `json:"link,omitempty"` // http, https or mailto; anything else stays text
}

// Point is an item of a list that people wrote.
type Point struct {
	Depth  int    `json:"depth,omitempty"`
	Number int    `json:"number,omitempty"` // 0: a bullet
	Spans  []Span `json:"spans"`
}

// MaxDepth is how deep lists nest; what lies deeper is set at this depth.
const MaxDepth = 4

// prose reads what people wrote as CommonMark. It gives blocks and never markup: HTML in it is text, an
// address of a scheme that could run something is text, and a picture is what it says about itself.
func prose(source string) []Block {
	raw := []byte(strings.ReplaceAll(source, "\r\n", "\n"))
	r := reading{source: raw}
	r.blocks(goldmark.DefaultParser().Parse(text.NewReader(raw)), false)
	return r.out
}

type reading struct {
	source []byte
	out    []Block
}

func (r *reading) blocks(parent ast.Node, quoted bool) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Heading:
			r.out = append(r.out, Block{Spans: r.spans(n), Heading: min(max(n.Level, 1), 3)})
		case *ast.List:
			var points []Point
			r.points(n, 0, &points)
			for i := range points { // a list inside a list stands in one of its items
				before := -1
				if i > 0 {
					before = points[i-1].Depth
				}
				points[i].Depth = min(points[i].Depth, before+1)
			}
			if len(points) > 0 {
				r.out = append(r.out, Block{Points: points})
			}
		case *ast.Blockquote:
			r.blocks(n, true)
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			r.out = append(r.out, Block{Code: r.lines(n)})
		case *ast.HTMLBlock:
			all := r.lines(n)
			if n.HasClosure() {
				all += string(n.ClosureLine.Value(r.source))
			}
			if t := strings.TrimSpace(all); t != "" {
				r.out = append(r.out, Block{Spans: []Span{{Text: t}}, Quote: quoted})
			}
		case *ast.ThematicBreak:
		default:
			if spans := r.spans(n); len(spans) > 0 {
				r.out = append(r.out, Block{Spans: spans, Quote: quoted})
			}
		}
	}
}

func (r *reading) points(list *ast.List, depth int, out *[]Point) {
	number := list.Start
	for item := list.FirstChild(); item != nil; item = item.NextSibling() {
		p := Point{Depth: min(depth, MaxDepth)}
		if list.IsOrdered() {
			p.Number = number
			number++
		}
		for n := item.FirstChild(); n != nil; n = n.NextSibling() {
			if inner, ok := n.(*ast.List); ok {
				if len(p.Spans) > 0 {
					*out = append(*out, p)
					p.Spans = nil
				}
				r.points(inner, depth+1, out)
				continue
			}
			spans := r.spans(n)
			if spans == nil && n.Lines() != nil {
				spans = []Span{{Text: strings.TrimSpace(r.lines(n)), Code: true}}
			}
			if len(p.Spans) > 0 && len(spans) > 0 {
				p.Spans = append(p.Spans, Span{Text: " "})
			}
			p.Spans = append(p.Spans, spans...)
		}
		if len(p.Spans) > 0 {
			*out = append(*out, p)
		}
	}
}

func (r *reading) lines(n ast.Node) string {
	var b strings.Builder
	for i := range n.Lines().Len() {
		at := n.Lines().At(i)
		b.Write(at.Value(r.source))
	}
	return b.String()
}

// spans flattens the text of a block. Neighbours of one kind are one span.
func (r *reading) spans(n ast.Node) []Span {
	var out []Span
	add := func(s Span) {
		if s.Text == "" {
			return
		}
		if k := len(out) - 1; k >= 0 {
			last := out[k]
			last.Text = s.Text
			if last == s {
				out[k].Text += s.Text
				return
			}
		}
		out = append(out, s)
	}
	var walk func(n ast.Node, as Span)
	walk = func(n ast.Node, as Span) {
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			s := as
			switch c := c.(type) {
			case *ast.Text:
				raw := c.Segment.Value(r.source)
				if !c.IsRaw() && !as.Code {
					raw = util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(raw)))
				}
				s.Text = string(raw)
				if c.HardLineBreak() {
					s.Text += "\n"
				} else if c.SoftLineBreak() {
					s.Text += " "
				}
				add(s)
			case *ast.String:
				s.Text = string(c.Value)
				add(s)
			case *ast.RawHTML:
				for i := range c.Segments.Len() {
					at := c.Segments.At(i)
					s.Text += string(at.Value(r.source))
				}
				add(s)
			case *ast.AutoLink:
				s.Text = string(c.Label(r.source))
				s.Link = safe(string(c.URL(r.source)))
				add(s)
			case *ast.Emphasis:
				if c.Level == 2 {
					s.Strong = true
				} else {
					s.Em = true
				}
				walk(c, s)
			case *ast.CodeSpan:
				s.Code = true
				walk(c, s)
			case *ast.Link:
				s.Link = safe(string(c.Destination))
				walk(c, s)
			default: // an image stands for what it says about itself
				walk(c, s)
			}
		}
	}
	walk(n, Span{})
	return out
}

// safe is an address that a reader may be led to, or "".
func safe(link string) string {
	u, err := url.Parse(link)
	if err != nil || len(link) > 2000 {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" || u.User != nil {
			return ""
		}
	case "mailto":
	default:
		return ""
	}
	return u.String()
}
