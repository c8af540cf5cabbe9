package policy

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// String is the tag as the page prints it: "tell_merchants · NOT-1, NOT-2".
func (t Tag) String() string {
	switch {
	case t.Rule == "":
		return strings.Join(t.Promise, ", ")
	case len(t.Promise) == 0:
		return t.Rule
	}
	return t.Rule + " · " + strings.Join(t.Promise, ", ")
}

// Markdown is the public page as Markdown. It holds no HTML, whatever the policy says.
func (p *Program) Markdown() []byte { return p.Sheet(nil).Markdown() }

// HTML is the public page as a document that stands alone: it loads nothing, runs nothing, prints,
// and follows the reader's light or dark setting.
func (p *Program) HTML() []byte { return p.Sheet(nil).HTML() }

// HTMLBody is what HTML holds between its main tags, for a page that has a frame of its own.
func (p *Program) HTMLBody() []byte { return p.Sheet(nil).HTMLBody() }

// Markdown writes the sheet as Markdown without any HTML.
func (s Sheet) Markdown() []byte {
	var b bytes.Buffer
	safe := strings.NewReplacer("<", "&lt;")
	fmt.Fprintf(&b, "# %s\n\n%s · %s\n", safe.Replace(s.Title), safe.Replace(s.Owner), s.Stamp)
	for i, e := range s.Elements {
		if i == 0 || e.Kind != Item || s.Elements[i-1].Kind != Item {
			b.WriteByte('\n')
		}
		if e.Kind == Grid {
			markdownTable(&b, e, safe)
			continue
		}
		b.WriteString(map[ElementKind]string{Heading: strings.Repeat("#", e.Level) + " ", Item: "- "}[e.Kind])
		for j, part := range e.Sentences {
			if j > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(safe.Replace(part.Text))
			for _, t := range part.Tags {
				fmt.Fprintf(&b, " [%s]", t)
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%s\n", s.imprint())
	return b.Bytes()
}

// imprint says what exactly was rendered.
func (s Sheet) imprint() string {
	return "This page was made from the policy whose text has the digest " + s.Hash + "."
}

func markdownTable(b *bytes.Buffer, e Element, safe *strings.Replacer) {
	cell := strings.NewReplacer("|", "\\|")
	fmt.Fprintf(b, "%s:\n\n|", safe.Replace(e.Sentences[0].Text))
	for _, h := range e.Table.Head {
		fmt.Fprintf(b, " %s |", cell.Replace(safe.Replace(h)))
	}
	b.WriteString("\n" + strings.Repeat("| --- ", len(e.Table.Head)) + "|\n")
	for _, r := range e.Table.Rows {
		name := r.Name
		for _, t := range r.Tags {
			name += " [" + t.String() + "]"
		}
		fmt.Fprintf(b, "| %s |", cell.Replace(safe.Replace(name)))
		for _, c := range r.Cells {
			fmt.Fprintf(b, " %s |", cell.Replace(safe.Replace(c)))
		}
		b.WriteByte('\n')
	}
}

// HTML writes the sheet as a document that stands alone.
func (s Sheet) HTML() []byte {
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
	fmt.Fprintf(&b, "<title>%s · %s</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n", html.EscapeString(s.Title), html.EscapeString(s.Owner), style)
	b.Write(s.HTMLBody())
	b.WriteString("</main>\n</body>\n</html>\n")
	return b.Bytes()
}

// HTMLBody is what HTML holds between its main tags.
func (s Sheet) HTMLBody() []byte {
	w := &htmlWriter{anchored: map[string]bool{}, open: s.Open}
	fmt.Fprintf(w, "<h1>")
	w.inline(s.Title)
	fmt.Fprintf(w, "</h1>\n<p class=\"stamp\">")
	w.inline(s.Owner + " · " + s.Stamp)
	fmt.Fprintf(w, "</p>\n")
	for i, e := range s.Elements {
		list := e.Kind == Item
		if list && (i == 0 || s.Elements[i-1].Kind != Item) {
			w.WriteString("<ul>\n")
		}
		w.element(e)
		if list && (i == len(s.Elements)-1 || s.Elements[i+1].Kind != Item) {
			w.WriteString("</ul>\n")
		}
	}
	fmt.Fprintf(w, "<p class=\"stamp\">%s</p>\n", html.EscapeString(s.imprint()))
	return w.Bytes()
}

// htmlWriter writes elements; the first sentence of each rule is what a link to it leads to.
type htmlWriter struct {
	bytes.Buffer
	anchored map[string]bool
	open     []string
}

func (w *htmlWriter) element(e Element) {
	if e.Kind == Grid {
		w.table(e)
		return
	}
	start, end := "<p>", "</p>\n"
	switch e.Kind {
	case Heading:
		start, end = fmt.Sprintf("<h%d>", e.Level), fmt.Sprintf("</h%d>\n", e.Level)
		if e.Anchor != "" {
			start = fmt.Sprintf("<h%d id=\"%s\">", e.Level, html.EscapeString(e.Anchor))
		}
	case Item:
		start, end = "<li>", "</li>\n"
	case Small:
		start = `<p class="stamp">`
	}
	w.WriteString(start)
	for i, s := range e.Sentences {
		if i > 0 {
			w.WriteByte(' ')
		}
		w.inline(s.Text)
		tags(&w.Buffer, s.Tags, w.anchored)
	}
	w.WriteString(end)
}

// table scrolls by itself where the window is narrow, and can be reached by keyboard.
func (w *htmlWriter) table(e Element) {
	caption := html.EscapeString(e.Sentences[0].Text)
	fmt.Fprintf(w, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s\">\n<table>\n<caption>%s</caption>\n<thead><tr>", caption, caption)
	for _, h := range e.Table.Head {
		fmt.Fprintf(w, "<th scope=\"col\">%s</th>", html.EscapeString(h))
	}
	w.WriteString("</tr></thead>\n<tbody>\n")
	for _, r := range e.Table.Rows {
		w.WriteString("<tr><th scope=\"row\">")
		w.inline(r.Name)
		tags(&w.Buffer, r.Tags, w.anchored)
		w.WriteString("</th>")
		for _, c := range r.Cells {
			w.WriteString("<td>")
			w.inline(c)
			w.WriteString("</td>")
		}
		w.WriteString("</tr>\n")
	}
	w.WriteString("</tbody>\n</table>\n</div>\n")
}

// inline writes text, and marks what is still open.
func (w *htmlWriter) inline(s string) {
	for s != "" {
		at, found := -1, ""
		for _, o := range w.open {
			if i := strings.Index(s, o); i >= 0 && (at < 0 || i < at || i == at && len(o) > len(found)) {
				at, found = i, o
			}
		}
		if at < 0 {
			break
		}
		inline(&w.Buffer, s[:at])
		fmt.Fprintf(w, "<mark class=\"open\">%s</mark>", html.EscapeString(found))
		s = s[at+len(found):]
	}
	inline(&w.Buffer, s)
}

// tags prints the rules of a sentence; the first of each rule is what a link to it leads to.
func tags(b *bytes.Buffer, all []Tag, anchored map[string]bool) {
	for _, t := range all {
		id := ""
		if t.Rule != "" && !anchored[t.Rule] {
			anchored[t.Rule] = true
			id = fmt.Sprintf(" id=\"rule-%s\"", html.EscapeString(t.Rule))
		}
		fmt.Fprintf(b, " <span class=\"rule\"%s>%s</span>", id, html.EscapeString(t.String()))
	}
}

var inlineForm = regexp.MustCompile("\\*\\*([^*]+)\\*\\*|`([^`]+)`|\\[([^\\[\\]]+)\\]\\(((?:https://|mailto:)[^\\s()<>\"]+)\\)|(https://[^\\s<>\"()]*[^\\s<>\"().,;:])|([A-Za-z0-9._+-]+@(?:[A-Za-z0-9-]+\\.)+[A-Za-z]{2,})")

// inline writes text with bold, code and links; everything else is escaped.
func inline(b *bytes.Buffer, s string) {
	for {
		m := inlineForm.FindStringSubmatchIndex(s)
		if m == nil {
			break
		}
		b.WriteString(html.EscapeString(s[:m[0]]))
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return html.EscapeString(s[m[2*i]:m[2*i+1]])
		}
		switch {
		case m[2] >= 0:
			fmt.Fprintf(b, "<strong>%s</strong>", group(1))
		case m[4] >= 0:
			fmt.Fprintf(b, "<code>%s</code>", group(2))
		case m[6] >= 0:
			fmt.Fprintf(b, "<a href=\"%s\">%s</a>", group(4), group(3))
		case m[10] >= 0:
			fmt.Fprintf(b, "<a href=\"%s\">%s</a>", group(5), group(5))
		default:
			fmt.Fprintf(b, "<a href=\"mailto:%s\">%s</a>", group(6), group(6))
		}
		s = s[m[1]:]
	}
	b.WriteString(html.EscapeString(s))
}

// style is small enough to be read. Nothing in it is loaded from anywhere.
const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --quiet: #57606a; --line: #d0d7de; --link: #0757ba; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a; --quiet: #a3adb8; --line: #3b434b; --link: #86b7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
p, ul { margin: .5rem 0; }
a { color: var(--link); }
.stamp, .rule { color: var(--quiet); }
.rule { font: .78em ui-monospace, monospace; border: 1px solid var(--line); border-radius: .3em; padding: 0 .35em; overflow-wrap: anywhere; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.rule:target { outline: 2px solid var(--link); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: start; font-weight: 600; padding: .3rem 0; }
th, td { border: 1px solid var(--line); padding: .35rem .5rem; text-align: start; vertical-align: top; font-size: .92em; }
.scroll { overflow-x: auto; margin: .8rem 0; }
.scroll table { min-width: 28rem; }
mark { background: #ffe9a8; color: #1b1f24; padding: 0 .2em; }
@media print { .scroll { overflow: visible; } .scroll table { min-width: 0; } tr, li { break-inside: avoid; } main { max-width: none; padding: 0; } h2, h3 { break-after: avoid; } a { color: inherit; } }
`
