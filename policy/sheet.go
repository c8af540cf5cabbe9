package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ElementKind is a kind of element of a sheet.
type ElementKind int

// The kinds of element.
const (
	Heading   ElementKind = iota // Level 2 and below; the title is the sheet's
	Paragraph                    // one or more sentences
	Item                         // one item of a list; those that follow each other are one list
	Grid                         // a table, with its caption
	Small                        // what is beside the text: which version this is
)

// Element is one piece of the public page, from top to bottom.
type Element struct {
	Kind      ElementKind
	Level     int
	Anchor    string     // of a Heading: what a link to it leads to
	Sentences []Sentence // of a Grid: its caption
	Table     *PageTable
}

// Sentence is a text, with **bold**, `code` and links, and the rules it came from.
type Sentence struct {
	Text string
	Tags []Tag
}

// Sheet is the public page of a policy, before it is written as HTML, as Markdown or on paper.
type Sheet struct {
	Title, Owner, Stamp, Hash string
	Elements                  []Element
	Open                      []string // texts in it that somebody still has to fill in
}

// Sheet is the public page. since is what was published before, or nil: the page then ends with
// what has changed, in words.
func (p *Program) Sheet(since *Program) Sheet {
	s := Sheet{Title: oneLine(p.Title), Owner: oneLine(p.Owner), Stamp: p.stamp(), Hash: p.Hash, Open: p.openTexts()}
	for _, l := range p.Page {
		switch {
		case l.Block == "laws":
			s.Elements = append(s.Elements, p.lawElements()...)
			continue
		case l.Table != nil:
			s.Elements = append(s.Elements, Element{Kind: Grid, Sentences: []Sentence{{Text: l.Text}}, Table: l.Table})
			continue
		case l.Same && len(s.Elements) > 0:
			last := &s.Elements[len(s.Elements)-1]
			last.Sentences = append(last.Sentences, Sentence{collapse(l.Text), l.Tags})
			continue
		}
		mark := marker(l.Text)
		e := Element{Kind: Paragraph}
		text := l.Text
		switch {
		case strings.HasPrefix(mark, "#"):
			e.Kind, e.Level, text = Heading, min(4, max(2, strings.Count(mark, "#"))), l.Text[len(mark):]
		case isItem(l.Text):
			e.Kind, text = Item, l.Text[len(mark):]
		}
		e.Sentences = []Sentence{{collapse(text), l.Tags}}
		s.Elements = append(s.Elements, e)
	}
	if since != nil {
		s.Elements = append(s.Elements, p.changeElements(since)...)
	}
	return s
}

// openTexts are what the page shows as still to be filled in.
func (p *Program) openTexts() []string {
	out := []string{nobody}
	for _, o := range p.Open {
		if t := collapse(o.Text); len(t) > 1 {
			out = append(out, t)
		}
	}
	return out
}

// collapse keeps a line a line without cutting it.
func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

func isItem(s string) bool { return strings.HasPrefix(s, "- ") || strings.HasPrefix(s, "* ") }

// Version names the policy as the page does: the first twelve digits of its hash.
func (p *Program) Version() string {
	h := strings.TrimPrefix(p.Hash, "sha256:")
	return h[:min(12, len(h))]
}

// stamp is the line that says which text this is.
func (p *Program) stamp() string {
	s := "Version " + p.Version()
	if p.Updated != "" {
		s = "Last updated: " + dateWords(p.Updated) + " · " + s
	}
	return s
}

// dateWords writes a date as a reader does: 22 November 2026.
func dateWords(date string) string {
	if day, err := time.Parse(time.DateOnly, date); err == nil {
		return day.Format("2 January 2006")
	}
	return date
}

// changeElements say what has changed since another version was published.
func (p *Program) changeElements(since *Program) []Element {
	version := "version " + since.Version()
	if since.Updated != "" {
		version += " of " + dateWords(since.Updated)
	}
	out := []Element{{Kind: Heading, Level: 2, Anchor: "changes", Sentences: []Sentence{{Text: "What has changed since " + version}}}}
	for _, c := range Diff(since, p) {
		text := upperFirst(c.Text)
		if c.Kind == Stricter || c.Kind == Laxer {
			text += " (" + string(c.Kind) + ")"
		}
		if !strings.HasSuffix(strings.TrimSuffix(text, "”"), ".") {
			text += "."
		}
		e := Element{Kind: Item, Sentences: []Sentence{{Text: text}}}
		if _, id, ok := strings.Cut(c.Rule, " "); ok {
			e.Sentences[0].Tags = []Tag{{id, c.Promise}}
		}
		out = append(out, e)
	}
	if len(out) == 1 {
		out = append(out, Element{Kind: Paragraph, Sentences: []Sentence{{Text: "Nothing that this page promises."}}})
	}
	return out
}

// checked says of how far the figure of a law was checked what that means.
var checked = map[string]string{
	"seen":      "the time limit was seen in the text of the law or on a page of its regulator",
	"partial":   "the duty was seen there, and some of its details were not",
	"secondary": "the figure is a quotation by somebody else",
	"unseen":    "the figure has not been checked",
}

// lawElements say which laws stand behind the clocks that are written "as law".
func (p *Program) lawElements() []Element {
	para := func(text string, tags ...Tag) Element {
		return Element{Kind: Paragraph, Sentences: []Sentence{{Text: text, Tags: tags}}}
	}
	var out []Element
	for _, d := range p.Duties {
		if !d.byLaw() {
			continue
		}
		tag := Tag{d.ID, d.Promise}
		act := "Where we " + p.infinitive(d)
		var clocks []LawClock
		if p.Laws != nil {
			clocks = p.Laws.Clocks(p.lawQuestion(d))
		}
		var items []Element
		for _, k := range clocks {
			if k.Applies.Value != False {
				items = append(items, Element{Kind: Item, Sentences: []Sentence{{Text: p.lawWords(k)}}})
			}
		}
		if len(items) == 0 {
			then := "we do it promptly"
			if slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Kind != "law" && k.Kind != "contract" }) {
				then = "our own limit stands"
			}
			out = append(out, para(act+", no law that we know of sets a time; "+then+".", tag))
			continue
		}
		out = append(out, para(act+", these laws may set the time; the earliest that applies runs:", tag))
		out = append(out, items...)
	}
	if len(p.Places) > 0 && len(out) > 0 {
		out = append(out, para("We hold data of people in "+list(placeNames(p.Places), "and")+" only, so laws of other places are left out."))
	}
	if p.Laws != nil && len(out) > 0 {
		out = append(out, Element{Kind: Small, Sentences: []Sentence{{Text: "Catalogue of laws: " + p.Laws.Version() + ". It is no legal advice."}}})
	}
	return out
}

func (d Duty) byLaw() bool {
	for _, k := range d.Due {
		if k.Kind == "law" {
			return true
		}
	}
	return false
}

// lawQuestion asks the catalogue about a duty while nothing is known of an incident.
func (p *Program) lawQuestion(d Duty) LawQuestion {
	q := LawQuestion{Do: d.Do, Facts: map[string]any{}, Within: p.Places}
	if party := p.party(d.To); party != nil {
		if q.Party = party.Kind; q.Party == "" && (party.Affected || party.All) {
			q.Party = "controller"
		}
	}
	return q
}

// lawWords is one law: its name, its clause, its figure, when it was read and how far it was checked.
func (p *Program) lawWords(k LawClock) string {
	clock := p.phrase(Clock{Kind: "after", Span: k.Span, Anchor: Anchor{Names: []string{k.Anchor}}}, nil)
	if k.Span.Open() {
		standard, _, told := strings.Cut(k.Text, " after "+k.Anchor)
		if !told || standard == "" {
			standard = "without a number of hours"
		}
		clock = standard + ", counted from " + p.instant(k.Anchor, nil).at()
	}
	clock = strings.Replace(clock, "(we aim for ", "(it expects no more than ", 1) // it is the law's figure, not ours
	s := fmt.Sprintf("**%s** (%s): %s.", k.Regime, k.Source, clock)
	if how := checked[k.Verified]; how != "" {
		s += " Read on " + dateWords(k.AsOf) + "; " + how + "."
	}
	return s
}
