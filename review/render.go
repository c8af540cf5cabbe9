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
		case k.Rows != nil:
			for i, r := range k.Rows {
				var cells []string
				for _, c := range r {
					cells = append(cells, markdown(oneLine(c)))
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
.note{font-style:italic;opacity:.8}p{white-space:pre-line}@media print{body{margin:0;max-width:none}h2,tr{break-inside:avoid}}`

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

func htmlBlocks(b *strings.Builder, list []Block) {
	e := html.EscapeString
	for _, k := range list {
		switch {
		case k.Rows != nil:
			b.WriteString("<table>\n")
			for i, r := range k.Rows {
				if i == 0 && strings.Join(r, "") == "" {
					continue
				}
				b.WriteString("<tr>")
				for c, cell := range r {
					tag := "td"
					if i == 0 || c == 0 && strings.Join(k.Rows[0], "") == "" {
						tag = "th"
					}
					fmt.Fprintf(b, "<%s dir=\"auto\">%s</%s>", tag, e(cell), tag)
				}
				b.WriteString("</tr>\n")
			}
			b.WriteString("</table>\n")
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

// PDF renders the review for print. The same document gives the same bytes.
func (d Document) PDF() ([]byte, error) {
	p, err := pdf.New(d.Title, d.Incident+" · review", d.Created)
	if err != nil {
		return nil, fmt.Errorf("review of %s: %w", d.Incident, err)
	}
	p.Heading(1, d.Title)
	pdfBlocks(p, d.Head)
	for _, s := range d.Sections {
		p.Heading(2, s.Title)
		pdfBlocks(p, s.Blocks)
	}
	b, err := p.Bytes()
	if err != nil {
		return nil, fmt.Errorf("review of %s: %w", d.Incident, err)
	}
	return b, nil
}

func pdfBlocks(p *pdf.Document, list []Block) {
	for _, k := range list {
		switch {
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
