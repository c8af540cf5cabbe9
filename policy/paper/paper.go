// Package paper sets the public page of a policy as PDF, for readers who file what they signed.
package paper

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/review/pdf"
)

// Of is the public page of a policy on paper, ending with what has changed since another version was
// published, when there is one.
func Of(p, since *policy.Program) ([]byte, error) {
	updated, err := time.Parse(time.DateOnly, p.Updated)
	if err != nil {
		updated = time.Unix(0, 0) // a policy without a date is the same file whenever it is printed
	}
	return PDF(p.Sheet(since), updated)
}

// PDF is the sheet on paper, with the id of the rule behind each sentence and the version at the foot
// of each page. updated is the date the file says it was made; the same sheet and date give the same
// bytes.
func PDF(s policy.Sheet, updated time.Time) ([]byte, error) {
	d, err := pdf.New(s.Title, s.Owner+" · "+s.Stamp, updated)
	if err != nil {
		return nil, fmt.Errorf("policy as PDF: %w", err)
	}
	d.Heading(1, s.Title)
	d.Paragraph(s.Owner+" · "+s.Stamp, pdf.Regular)
	for _, e := range s.Elements {
		text := sentences(e.Sentences)
		switch e.Kind {
		case policy.Heading:
			d.Heading(e.Level, text)
		case policy.Item:
			d.Bullet(text)
		case policy.Small:
			d.Small(text, pdf.Regular)
		case policy.Grid:
			d.Paragraph(text, pdf.Bold)
			d.Table(rows(e.Table))
		default:
			d.Paragraph(text, pdf.Regular)
		}
	}
	d.Space(8)
	d.Small("This page was made from the policy whose text has the digest", pdf.Regular)
	d.Small(s.Hash, pdf.Mono)
	if len(s.Open) > 0 {
		if open := used(s); len(open) > 0 {
			d.Small("Still to be filled in: "+strings.Join(open, ", "), pdf.Bold)
		}
	}
	b, err := d.Bytes()
	if err != nil {
		return nil, fmt.Errorf("policy as PDF: %w", err)
	}
	return b, nil
}

// used are the open texts that stand somewhere on the sheet.
func used(s policy.Sheet) []string {
	var all bytes.Buffer
	all.WriteString(s.Title + s.Owner)
	for _, e := range s.Elements {
		for _, t := range e.Sentences {
			all.WriteString("\n" + t.Text)
		}
	}
	var out []string
	for _, o := range s.Open {
		if strings.Contains(all.String(), o) {
			out = append(out, o)
		}
	}
	return out
}

var marks = regexp.MustCompile("\\*\\*([^*]+)\\*\\*|`([^`]+)`")

var link = regexp.MustCompile(`\[([^\[\]]+)\]\(((?:https://|mailto:)[^\s()<>"]+)\)`)

// plain is a text without the marks of Markdown; a link shows where it leads.
func plain(s string) string {
	return link.ReplaceAllString(marks.ReplaceAllString(s, "$1$2"), "$1 ($2)")
}

func sentences(all []policy.Sentence) string {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(plain(s.Text))
		for _, t := range s.Tags {
			b.WriteString(" [" + t.String() + "]")
		}
	}
	return b.String()
}

func rows(t *policy.PageTable) (out [][]string, widths []float64) {
	out = append(out, t.Head)
	for _, r := range t.Rows {
		name := plain(r.Name)
		for _, g := range r.Tags {
			name += " [" + g.String() + "]"
		}
		row := []string{name}
		for _, c := range r.Cells {
			row = append(row, plain(c))
		}
		out = append(out, row)
	}
	for range t.Head {
		widths = append(widths, 1)
	}
	return out, widths
}
