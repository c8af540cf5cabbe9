package review

import (
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/tocsin-ir/tocsin/review/pdf"
)

// Markdown renders the review. What people wrote stands as text: none of it acts as markup.
func (d Document) Markdown() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", markdown(d.Title))
	blocks(&b, d.Head)
	for _, s := range d.Sections {
		fmt.Fprintf(&b, "## %s\n\n", markdown(s.Title))
		blocks(&b, s.Blocks)
	}
	return []byte(b.String())
}

func blocks(b *strings.Builder, list []Block) {
	for _, k := range list {
		switch {
		case k.Heading > 0:
			fmt.Fprintf(b, "%s %s\n", strings.Repeat("#", 2+k.Heading), markSpans(k.Spans, " "))
		case k.Spans != nil:
			quote := ""
			if k.Quote {
				quote = "> "
			}
			b.WriteString(quote + markSpans(k.Spans, "  \n"+quote) + "\n")
		case k.Points != nil:
			for _, p := range k.Points {
				mark := "-"
				if p.Number > 0 {
					mark = fmt.Sprintf("%d.", p.Number)
				}
				fmt.Fprintf(b, "%s%s %s\n", strings.Repeat("   ", p.Depth), mark, markSpans(p.Spans, " "))
			}
		case k.Rows != nil:
			for i, r := range k.Rows {
				var cells []string
				for n, c := range r {
					cell := markdown(oneLine(c))
					if n == 0 && i < len(k.Links) && k.Links[i] != "" {
						cell = "[" + cell + "](<" + k.Links[i] + ">)"
					}
					cells = append(cells, cell)
				}
				fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
				if i == 0 {
					b.WriteString(strings.Repeat("| --- ", len(r)) + "|\n")
				}
			}
		case k.Items != nil:
			for _, i := range k.Items {
				fmt.Fprintf(b, "- %s\n", markdown(oneLine(i)))
			}
		case k.Code != "":
			for line := range strings.Lines(k.Code) {
				b.WriteString("    " + strings.TrimRight(line, "\r\n") + "\n")
			}
		case k.Note:
			fmt.Fprintf(b, "_%s_\n", markdown(oneLine(k.Text)))
		default:
			var lines []string
			for line := range strings.Lines(k.Text) {
				lines = append(lines, markdown(strings.TrimSpace(line)))
			}
			b.WriteString(strings.Join(lines, "  \n") + "\n")
		}
		b.WriteString("\n")
	}
}

// markSpans writes a line that people wrote. All of its text is escaped: only what was read as emphasis,
// code or a link acts as that again.
func markSpans(spans []Span, newline string) string {
	var b strings.Builder
	for _, s := range spans {
		if s.Code {
			fence := "`"
			for strings.Contains(s.Text, fence) {
				fence += "`"
			}
			fmt.Fprintf(&b, "%s %s %s", fence, oneLine(s.Text), fence)
			continue
		}
		// Emphasis does not begin or end with a space.
		bare := strings.TrimSpace(s.Text)
		if bare == "" {
			b.WriteString(s.Text)
			continue
		}
		before, after, _ := strings.Cut(s.Text, bare)
		var lines []string
		for line := range strings.Lines(bare) {
			lines = append(lines, markdown(strings.TrimSpace(line)))
		}
		text := strings.Join(lines, newline)
		if s.Em {
			text = "_" + text + "_"
		}
		if s.Strong {
			text = "**" + text + "**"
		}
		if s.Link != "" {
			text = "[" + text + "](<" + strings.NewReplacer("<", "%3C", ">", "%3E").Replace(s.Link) + ">)"
		}
		b.WriteString(before + text + after)
	}
	return strings.TrimSpace(b.String())
}

var marks = regexp.MustCompile("[\\\\`*_\\[\\]<>|&~]")
var lead = regexp.MustCompile(`^(\s*)([#+=-]|\d+[.)])`)

// markdown escapes a line of text.
func markdown(s string) string {
	s = marks.ReplaceAllString(s, `\$0`)
	return lead.ReplaceAllStringFunc(s, func(m string) string {
		return m[:len(m)-1] + `\` + m[len(m)-1:]
	})
}

const style = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2rem}table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid #8886;padding:.25rem .5rem;text-align:start;vertical-align:top;overflow-wrap:anywhere}pre{font:.8rem/1.4 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
blockquote{margin:.5rem 0;padding-inline-start:1rem;border-inline-start:.2rem solid #8886}.note{font-style:italic;opacity:.8}p{white-space:pre-line}@media print{body{margin:0;max-width:none}h2,tr{break-inside:avoid}}`

// HTML renders the review as one file that needs nothing else.
func (d Document) HTML() []byte {
	var b strings.Builder
	e := html.EscapeString
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%s</title><style>%s</style></head>\n<body>\n<h1>%s</h1>\n", e(d.Title), style, e(d.Title))
	htmlBlocks(&b, d.Head)
	for _, s := range d.Sections {
		fmt.Fprintf(&b, "<section id=\"%s\"><h2>%s</h2>\n", e(s.ID), e(s.Title))
		htmlBlocks(&b, s.Blocks)
		b.WriteString("</section>\n")
	}
	b.WriteString("</body></html>\n")
	return []byte(b.String())
}

// HTML renders the blocks of a part, to stand under a heading of a level on another page.
func (s Section) HTML(under int) string {
	var b strings.Builder
	htmlUnder(&b, s.Blocks, under)
	return b.String()
}

func htmlBlocks(b *strings.Builder, list []Block) { htmlUnder(b, list, 2) }

func htmlUnder(b *strings.Builder, list []Block, under int) {
	e := html.EscapeString
	for _, k := range list {
		switch {
		case k.Heading > 0:
			fmt.Fprintf(b, "<h%d dir=\"auto\">%s</h%[1]d>\n", min(under+k.Heading, 6), htmlSpans(k.Spans))
		case k.Quote:
			fmt.Fprintf(b, "<blockquote dir=\"auto\"><p>%s</p></blockquote>\n", htmlSpans(k.Spans))
		case k.Spans != nil:
			fmt.Fprintf(b, "<p dir=\"auto\">%s</p>\n", htmlSpans(k.Spans))
		case k.Points != nil:
			htmlPoints(b, k.Points)
		case k.Rows != nil:
			htmlTable(b, k)
		case k.Items != nil:
			b.WriteString("<ul>\n")
			for _, i := range k.Items {
				fmt.Fprintf(b, "<li dir=\"auto\">%s</li>\n", e(i))
			}
			b.WriteString("</ul>\n")
		case k.Code != "":
			fmt.Fprintf(b, "<pre>%s</pre>\n", e(k.Code))
		case k.Note:
			fmt.Fprintf(b, "<p class=\"note\">%s</p>\n", e(k.Text))
		default:
			fmt.Fprintf(b, "<p dir=\"auto\">%s</p>\n", e(k.Text))
		}
	}
}

// htmlTable writes a table. One whose head is empty has its heads at the side.
func htmlTable(b *strings.Builder, k Block) {
	aside := strings.Join(k.Rows[0], "") == ""
	b.WriteString("<table>\n")
	for i, r := range k.Rows {
		switch {
		case i == 0 && aside:
			b.WriteString("<tbody>\n")
			continue
		case i == 0:
			b.WriteString("<thead>\n")
		}
		b.WriteString("<tr>")
		for c, cell := range r {
			text := html.EscapeString(cell)
			if c == 0 && i < len(k.Links) && k.Links[i] != "" {
				text = "<a href=\"" + html.EscapeString(k.Links[i]) + "\">" + text + "</a>"
			}
			switch {
			case i == 0:
				fmt.Fprintf(b, "<th scope=\"col\" dir=\"auto\">%s</th>", text)
			case c == 0 && aside:
				fmt.Fprintf(b, "<th scope=\"row\" dir=\"auto\">%s</th>", text)
			default:
				fmt.Fprintf(b, "<td dir=\"auto\">%s</td>", text)
			}
		}
		b.WriteString("</tr>\n")
		if i == 0 {
			b.WriteString("</thead>\n<tbody>\n")
		}
	}
	b.WriteString("</tbody></table>\n")
}

func htmlSpans(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		text := strings.ReplaceAll(html.EscapeString(s.Text), "\n", "<br>")
		if s.Code {
			text = "<code>" + text + "</code>"
		}
		if s.Em {
			text = "<em>" + text + "</em>"
		}
		if s.Strong {
			text = "<strong>" + text + "</strong>"
		}
		if s.Link != "" {
			text = "<a rel=\"noreferrer\" href=\"" + html.EscapeString(s.Link) + "\">" + text + "</a>"
		}
		b.WriteString(text)
	}
	return b.String()
}

// htmlPoints writes a list; its depth is the nesting of lists.
func htmlPoints(b *strings.Builder, points []Point) {
	var open []string
	for _, p := range points {
		tag := "ul"
		if p.Number > 0 {
			tag = "ol"
		}
		for len(open) > p.Depth+1 {
			b.WriteString("</li></" + open[len(open)-1] + ">")
			open = open[:len(open)-1]
		}
		switch {
		case len(open) == p.Depth+1 && open[p.Depth] != tag:
			fmt.Fprintf(b, "</li></%s>\n<%s>", open[p.Depth], tag)
			open[p.Depth] = tag
		case len(open) == p.Depth+1:
			b.WriteString("</li>\n")
		}
		for len(open) < p.Depth+1 {
			b.WriteString("<" + tag + ">")
			open = append(open, tag)
		}
		if p.Number > 0 {
			fmt.Fprintf(b, "<li dir=\"auto\" value=\"%d\">%s", p.Number, htmlSpans(p.Spans))
		} else {
			fmt.Fprintf(b, "<li dir=\"auto\">%s", htmlSpans(p.Spans))
		}
	}
	for i := len(open) - 1; i >= 0; i-- {
		b.WriteString("</li></" + open[i] + ">")
	}
	b.WriteString("\n")
}

// plainSpans is a line for print: an address that its text does not say stands behind it.
func plainSpans(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.Text)
		if s.Link != "" && s.Link != s.Text && s.Link != "mailto:"+s.Text {
			b.WriteString(" (" + s.Link + ")")
		}
	}
	return b.String()
}

// PDF renders the review for print. The same document gives the same bytes.
func (d Document) PDF() ([]byte, error) {
	p, err := pdf.New(d.Title, d.Footer, d.Created)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Footer, err)
	}
	p.Heading(1, d.Title)
	pdfBlocks(p, d.Head)
	for _, s := range d.Sections {
		p.Heading(2, s.Title)
		pdfBlocks(p, s.Blocks)
	}
	b, err := p.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Footer, err)
	}
	return b, nil
}

func pdfBlocks(p *pdf.Document, list []Block) {
	for _, k := range list {
		switch {
		case k.Heading > 0:
			p.Heading(3, plainSpans(k.Spans))
		case k.Spans != nil:
			p.Paragraph(plainSpans(k.Spans), pdf.Regular)
		case k.Points != nil:
			for _, x := range k.Points {
				text := plainSpans(x.Spans)
				if x.Number > 0 {
					text = fmt.Sprintf("%d. %s", x.Number, text)
				}
				p.Bullet(strings.Repeat("\u00a0\u00a0\u00a0", x.Depth) + text)
			}
		case k.Rows != nil:
			p.Table(k.Rows, k.Wide)
		case k.Items != nil:
			for _, i := range k.Items {
				p.Bullet(i)
			}
		case k.Code != "":
			p.Small(k.Code, pdf.Mono)
		case k.Note:
			p.Small(k.Text, pdf.Regular)
		default:
			p.Paragraph(k.Text, pdf.Regular)
		}
	}
}
