package review

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/tocsin-ir/tocsin/incident"
)

// headings are what the parts are called for people outside.
var headings = map[string]map[string]string{
	incident.VersionClient: {"impact": "What it means for you", "response": "What we did", "prevention": "What we change", "recommendations": "What we recommend you do"},
	incident.VersionPublic: {"impact": "Who is affected", "response": "What we did", "prevention": "What we change"},
}

// outward drafts a version for people outside. It says what was written for it, the entries of the
// timeline that it may show, and from the facts only when it happened, in which applications and what
// kinds of data: no title, no summary, no numbers of merchants, and nobody of ours. Everything that people
// wrote goes through the redactor, and what it took out is listed for whoever publishes it.
func (d *drafter) outward() Document {
	r := newRedactor(d.Secret)
	of := cmp.Or(oneLine(d.Org), "us")
	doc := Document{Title: "Security incident at " + of, Footer: of + " · incident report", Created: d.Now.UTC()}
	if d.s.Private == nil { // the number of a private incident tells that there is one
		doc.Title = "Security incident " + d.s.ID + " at " + of
		doc.Footer = d.s.ID + " · incident report"
	}
	if d.Program != nil {
		for _, id := range incident.ReviewParts(d.Program, d.Version) {
			sec, ok := d.section(id, r)
			if ok {
				doc.Sections = append(doc.Sections, sec)
				doc.Missing = append(doc.Missing, sec.Missing...)
			}
		}
	}
	doc.Withheld = r.withheld()
	rows := [][]string{{"", ""}, {"Organisation", of}}
	if len(d.s.Apps) > 0 {
		rows = append(rows, []string{"Applications", strings.Join(d.s.Apps, ", ")})
	}
	for _, m := range []struct{ name, say string }{{"confirmed", "Confirmed"}, {"contained", "Contained"}, {"restored", "Back to normal service"}} {
		if at := d.s.Milestones[m.name]; at != nil {
			rows = append(rows, []string{m.say, d.stamp(at.At)})
		}
	}
	if n := len(d.s.Scopes); n > 0 && len(d.s.Scopes[n-1].DataTypes) > 0 {
		rows = append(rows, []string{"Kinds of data", strings.Join(d.s.Scopes[n-1].DataTypes, ", ")})
	}
	if d.s.Env != "" && d.s.Env != "production" {
		rows = append(rows, []string{"Environment", d.s.Env})
	}
	rows = append(rows, []string{"Times", fmt.Sprintf("in %s", d.Zone)})
	doc.Head = []Block{{Rows: rows, Wide: []float64{1, 4}}}
	if len(doc.Missing) > 0 {
		doc.Head = append(doc.Head, Block{Note: true, Text: "Still missing:"}, Block{Items: doc.Missing})
	}
	return doc
}

// section is a part of a version for people outside, and whether it is in it at all.
func (d *drafter) section(id string, r *redactor) (Section, bool) {
	sec := Section{ID: id, Title: cmp.Or(headings[d.Version][id], titleOf(id))}
	r.part = sec.Title
	if p := d.s.Review.Parts[incident.PartKey(d.Version, id)]; p != nil && strings.TrimSpace(p.Text) != "" {
		sec.Blocks = r.blocks(prose(p.Text))
	} else if slices.Contains(incident.ReviewNeeds(d.Program, d.Version), id) {
		sec.Missing = []string{fmt.Sprintf("The part %q is not written.", sec.Title)}
		sec.Blocks = []Block{{Note: true, Text: "This part is not written yet."}}
	}
	if id == "timeline" {
		if k := d.curated(d.Version); len(k.Rows) > 1 {
			for i := range k.Rows[1:] {
				k.Rows[i+1][1] = r.text(k.Rows[i+1][1])
			}
			sec.Blocks = append(sec.Blocks, k)
		}
	}
	return sec, len(sec.Blocks) > 0
}

// curated is the timeline as people chose it. The internal version says what each entry speaks of and
// links to it.
func (d *drafter) curated(version string) Block {
	k := Block{Rows: [][]string{{"When", "What"}}, Wide: []float64{3, 9}}
	inside := version == incident.VersionInternal
	if inside {
		k.Rows[0] = append(k.Rows[0], "Fact")
		k.Links, k.Wide = []string{""}, []float64{3, 7, 3}
	}
	for _, e := range d.s.Review.Entries {
		if !e.Shows(version) {
			continue
		}
		row := []string{d.stamp(e.At), oneLine(e.Text)}
		if inside {
			row = append(row, cmp.Or(e.Of, "noted by "+d.who(e.By)))
			link := ""
			if e.Of != "" && d.Link != "" {
				link = strings.TrimSuffix(d.Link, "/") + EntryPath(d.s.ID, e)
			}
			k.Links = append(k.Links, link)
		}
		k.Rows = append(k.Rows, row)
	}
	return k
}

// EntryPath is the address, on the console, of what an entry speaks of: the timeline from its time on.
func EntryPath(inc string, e incident.Picked) string {
	return "/incidents/" + url.PathEscape(inc) + "/timeline?from=" + url.QueryEscape(e.At.UTC().Format(time.RFC3339)) + "#l-" + url.PathEscape(e.Of)
}

// Keep writes a document so that it can be rendered again, the same to the byte, whatever becomes of the
// facts and of this program.
func (d Document) Keep() ([]byte, error) { return json.Marshal(d) }

// Kept reads what Keep wrote.
func Kept(raw []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("review: the published text is damaged: %w", err)
	}
	return d, nil
}

// Diff says what changed between two texts, line by line, "" when nothing did.
func Diff(fromName, toName string, from, to []byte) string {
	if bytes.Equal(from, to) {
		return ""
	}
	return string(diff.Diff(fromName, from, toName, to))
}
