package docs

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM))

// block is a fenced block of a document.
type block struct {
	info string // the words after the fence, such as "yaml policy"
	text string
	line int // of its first line, counted from 1
}

// page is what the tests look at in one document.
type page struct {
	name   string
	links  []piece // destinations
	spans  []piece // inline code
	prose  []piece // text outside code
	blocks []block
	slugs  map[string]bool // anchors of headings, as GitHub makes them
}

// piece is some text of a document and where it stands.
type piece struct {
	text string
	line int
}

func parsePages(t *testing.T) []page {
	t.Helper()
	var out []page
	for _, f := range documents(t) {
		out = append(out, parsePage(f))
	}
	return out
}

func parsePage(f file) page {
	src := []byte(f.text)
	p := page{name: f.name, slugs: map[string]bool{}}
	for _, m := range explicitAnchor.FindAllStringSubmatch(f.text, -1) {
		p.slugs[m[1]] = true
	}
	used := map[string]int{}
	line := 1
	_ = ast.Walk(markdown.Parser().Parse(text.NewReader(src)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if n.Type() == ast.TypeBlock && n.Lines() != nil && n.Lines().Len() > 0 {
			line = lineOf(src, n.Lines().At(0).Start)
		}
		switch n := n.(type) {
		case *ast.Heading:
			slug := slugOf(plain(n, src))
			if i := used[slug]; i > 0 {
				p.slugs[slug+"-"+string(rune('0'+i))] = true
			} else {
				p.slugs[slug] = true
			}
			used[slug]++
		case *ast.Link:
			p.links = append(p.links, piece{string(n.Destination), line})
		case *ast.Image:
			p.links = append(p.links, piece{string(n.Destination), line})
		case *ast.CodeSpan:
			p.spans = append(p.spans, piece{plain(n, src), line})
			return ast.WalkSkipChildren, nil
		case *ast.FencedCodeBlock:
			b := block{line: line}
			if n.Info != nil {
				b.info = string(n.Info.Segment.Value(src))
			}
			var text strings.Builder
			for i := range n.Lines().Len() {
				at := n.Lines().At(i)
				text.Write(at.Value(src))
			}
			b.text = text.String()
			p.blocks = append(p.blocks, b)
		case *ast.Text:
			line = lineOf(src, n.Segment.Start)
			p.prose = append(p.prose, piece{string(n.Segment.Value(src)), line})
		}
		return ast.WalkContinue, nil
	})
	return p
}

var explicitAnchor = regexp.MustCompile(`<a (?:id|name)="([^"]+)">`)

func lineOf(src []byte, at int) int { return bytes.Count(src[:at], []byte("\n")) + 1 }

func plain(n ast.Node, src []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := c.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(src))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// slugOf is the anchor GitHub gives a heading.
func slugOf(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

func TestPageFindsWhatStandsInIt(t *testing.T) {
	p := parsePage(file{name: "x.md", text: "# One, `two`!\n\nSee [it](a.md#b) and `tocsin drill`.\n\n```yaml policy\na: 1\n```\n\n| a | b |\n|---|---|\n| `c` | [d](e.md) |\n"})
	if len(p.links) != 2 || p.links[0].text != "a.md#b" || p.links[0].line != 3 || p.links[1].text != "e.md" {
		t.Errorf("links: %v", p.links)
	}
	if !p.slugs["one-two"] {
		t.Errorf("slugs: %v", p.slugs)
	}
	if len(p.spans) != 3 || p.spans[1].text != "tocsin drill" || p.spans[2].text != "c" || p.spans[2].line != 11 {
		t.Errorf("spans: %v", p.spans)
	}
	if len(p.blocks) != 1 || p.blocks[0].info != "yaml policy" || p.blocks[0].text != "a: 1\n" || p.blocks[0].line != 6 {
		t.Errorf("blocks: %+v", p.blocks)
	}
}
