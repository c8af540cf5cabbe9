package policy

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Version names the policy as the page does: the first twelve digits of its hash.
func (p *Program) Version() string {
	h := strings.TrimPrefix(p.Hash, "sha256:")
	return h[:min(12, len(h))]
}

// stamp is the line that says which text this is.
func (p *Program) stamp() string {
	s := "Version " + p.Version()
	if day, err := time.Parse(time.DateOnly, p.Updated); err == nil {
		s = "Last updated: " + day.Format("2 January 2006") + " · " + s
	}
	return s
}

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
func (p *Program) Markdown() []byte {
	var b bytes.Buffer
	safe := strings.NewReplacer("<", "&lt;")
	fmt.Fprintf(&b, "# %s\n\n%s · %s\n", safe.Replace(oneLine(p.Title)), safe.Replace(oneLine(p.Owner)), p.stamp())
	item := false
	for _, l := range p.Page {
		now := isItem(l.Text)
		switch {
		case l.Same:
			b.WriteByte(' ')
		case now && item:
			b.WriteByte('\n')
		default:
			b.WriteString("\n\n")
		}
		b.WriteString(safe.Replace(oneLine1(l.Text)))
		for _, t := range l.Tags {
			fmt.Fprintf(&b, " [%s]", t)
		}
		if !l.Same {
			item = now
		}
	}
	b.WriteByte('\n')
	// The title's own line ends already; one blank line parts it from what follows.
	return bytes.Replace(b.Bytes(), []byte("\n\n\n"), []byte("\n\n"), 1)
}

func isItem(s string) bool { return strings.HasPrefix(s, "- ") || strings.HasPrefix(s, "* ") }

// oneLine1 keeps a line a line without cutting it.
func oneLine1(s string) string { return strings.Join(strings.Fields(s), " ") }

// HTML is the public page as a document that stands alone: it loads nothing, runs nothing, prints,
// and follows the reader's light or dark setting.
func (p *Program) HTML() []byte {
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
	fmt.Fprintf(&b, "<title>%s · %s</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n", html.EscapeString(oneLine(p.Title)), html.EscapeString(oneLine(p.Owner)), style)
	b.Write(p.HTMLBody())
	b.WriteString("</main>\n</body>\n</html>\n")
	return b.Bytes()
}

// HTMLBody is what HTML holds between its main tags, for a page that has a frame of its own.
func (p *Program) HTMLBody() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<h1>%s</h1>\n<p class=\"stamp\">%s · %s</p>\n", html.EscapeString(oneLine(p.Title)), html.EscapeString(oneLine(p.Owner)), html.EscapeString(p.stamp()))
	anchored := map[string]bool{}
	open := "" // the element that is open: p, li or none
	inList := false
	closeLine := func() {
		if open != "" {
			fmt.Fprintf(&b, "</%s>\n", open)
			open = ""
		}
	}
	for _, l := range p.Page {
		mark := marker(l.Text)
		if l.Same && open != "" {
			b.WriteByte(' ')
			inline(&b, oneLine1(l.Text))
			tags(&b, l.Tags, anchored)
			continue
		}
		closeLine()
		item := isItem(l.Text)
		if inList && !item {
			b.WriteString("</ul>\n")
			inList = false
		}
		body := oneLine1(l.Text[len(mark):])
		switch {
		case strings.HasPrefix(mark, "#"):
			open = "h" + itoa(min(6, max(2, strings.Count(mark, "#"))))
		case item:
			if !inList {
				b.WriteString("<ul>\n")
				inList = true
			}
			open = "li"
		default:
			open, body = "p", oneLine1(l.Text)
		}
		fmt.Fprintf(&b, "<%s>", open)
		inline(&b, body)
		tags(&b, l.Tags, anchored)
	}
	closeLine()
	if inList {
		b.WriteString("</ul>\n")
	}
	return b.Bytes()
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
.rule { font: .78em ui-monospace, monospace; border: 1px solid var(--line); border-radius: .3em; padding: 0 .35em; white-space: nowrap; }
.rule:target { outline: 2px solid var(--link); }
@media print { main { max-width: none; padding: 0; } h2, h3 { break-after: avoid; } a { color: inherit; } }
`
