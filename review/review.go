// Package review drafts the post-incident review from the facts: what happened when, why, whom it
// touched, how long everything took against what was promised, and what is to change. People
// write the parts that need judgement; the draft shows which are missing. A draft is rendered as
// Markdown, as one HTML file and as PDF.
//
// What the draft derives are totals: it names no merchant and no customer. The lines of the timeline
// and what people wrote stand as they are, so somebody reads the review before it is published.
package review

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// Input is what a review is drafted from.
type Input struct {
	State      *incident.State
	Program    *policy.Program
	Lines      []incident.Line // the timeline, oldest first
	Org        string
	Zone       *time.Location    // of every time shown; nil is the policy's, else UTC
	Now        time.Time         // domain time of the draft
	Checkpoint string            // newest signed checkpoint of the facts log; "" for none
	Version    string            // of incident.ReviewVersions; "" is the internal one
	Secret     Secret            // what a version for people outside must not say
	Names      map[string]string // of people by their ids
	Link       string            // address of the console, which entries of the internal timeline link to; "" for none
}

// Document is a review before it is text.
type Document struct {
	Title    string     `json:"title"`
	Footer   string     `json:"footer"`
	Created  time.Time  `json:"created"`
	Head     []Block    `json:"head"`
	Sections []Section  `json:"sections"`
	Missing  []string   `json:"-"` // what a complete review still needs, one sentence each
	Withheld []Withheld `json:"-"` // what people wrote and the version does not say
}

// Section is one part of a review.
type Section struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Blocks  []Block  `json:"blocks"`
	Missing []string `json:"-"` // what this part still needs
}

// Block is a paragraph, a list or a table; one of the fields that hold text is set.
type Block struct {
	Text    string     `json:"text,omitempty"`
	Note    bool       `json:"note,omitempty"`    // Text is a remark of the system, such as that a part is missing
	Items   []string   `json:"items,omitempty"`   // a list
	Rows    [][]string `json:"rows,omitempty"`    // a table whose first row is its head
	Links   []string   `json:"links,omitempty"`   // what the first cell of each row links to
	Wide    []float64  `json:"wide,omitempty"`    // shares of the columns
	Code    string     `json:"code,omitempty"`    // verbatim
	Spans   []Span     `json:"spans,omitempty"`   // a line that people wrote
	Heading int        `json:"heading,omitempty"` // Spans are a heading inside a part, from 1
	Quote   bool       `json:"quote,omitempty"`   // Spans are a quotation
	Points  []Point    `json:"points,omitempty"`  // a list that people wrote
}

// MaxLines is the number of timeline lines in a review; the evidence export has them all.
const MaxLines = 1000

// parts are the parts the system knows how to fill. A policy may ask for others, which people write.
var parts = map[string]string{
	"timeline": "Timeline", "root_cause": "Root cause", "impact": "Impact", "response": "Response", "prevention": "Prevention",
}

var order = []string{"timeline", "root_cause", "impact", "response", "prevention"}

// drafter holds what the parts are made from.
type drafter struct {
	Input
	s       *incident.State
	missing []string
}

// Draft drafts a version of the review. It never fails: what is not known is said to be missing. The text
// depends on the facts alone and not on when it is asked for, so that it can be looked at and then
// published as it was looked at; only a checkpoint, when one is given, is of the moment.
func Draft(in Input) Document {
	if in.Zone == nil && in.Program != nil {
		in.Zone = in.Program.Zone
	}
	if in.Zone == nil {
		in.Zone = time.UTC
	}
	d := &drafter{Input: in, s: in.State}
	if in.Version != "" && in.Version != incident.VersionInternal {
		return d.outward()
	}
	doc := Document{
		Title:  fmt.Sprintf("Review of incident %s: %s", d.s.ID, oneLine(d.s.Title)),
		Footer: d.s.ID + " · review", Created: in.Now.UTC(),
	}
	for _, id := range d.wanted() {
		before := len(d.missing)
		sec := Section{ID: id, Title: titleOf(id)}
		sec.Blocks = append(d.written(id, sec.Title), d.derived(id)...)
		sec.Missing = slices.Clone(d.missing[before:])
		doc.Sections = append(doc.Sections, sec)
	}
	doc.Sections = append(doc.Sections, Section{ID: "evidence", Title: "Evidence", Blocks: d.evidence()})
	doc.Missing = d.missing
	doc.Head = d.head()
	return doc
}

// titleOf is the heading of a part.
func titleOf(id string) string { return cmp.Or(parts[id], words(id)) }

// wanted lists the parts in order: those the policy asks for, then those it does not but the facts fill.
func (d *drafter) wanted() []string {
	var out []string
	if d.Program != nil {
		out = slices.Clone(d.Program.Review)
	}
	for _, id := range order {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// asked reports whether the policy asks for a part; without a policy it asks for all.
func (d *drafter) asked(id string) bool {
	return d.Program == nil || len(d.Program.Review) == 0 || slices.Contains(d.Program.Review, id)
}

// written is what people wrote for a part.
func (d *drafter) written(id, title string) []Block {
	p := d.s.Review.Parts[id]
	if p == nil || strings.TrimSpace(p.Text) == "" {
		if !d.asked(id) {
			return nil
		}
		d.missing = append(d.missing, fmt.Sprintf("The part %q is not written.", title))
		return []Block{{Note: true, Text: "This part is not written yet."}}
	}
	return append(prose(p.Text), Block{Note: true, Text: fmt.Sprintf("Written by %s, %s.", d.who(p.By), d.stamp(p.At))})
}

func (d *drafter) derived(id string) []Block {
	switch id {
	case "timeline":
		return d.timeline()
	case "root_cause":
		return d.cause()
	case "impact":
		return d.impact()
	case "response":
		return d.response()
	case "prevention":
		return d.prevention()
	}
	return nil
}

func (d *drafter) head() []Block {
	rows := [][]string{{"", ""}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("Organisation", oneLine(d.Org))
	add("Applications", strings.Join(d.s.Apps, ", "))
	add("Class", words(d.s.Class))
	add("Severity", words(d.s.Severity))
	add("Opened", d.stamp(d.s.Opened))
	add("Status", string(d.s.Status))
	if d.s.Env != "" && d.s.Env != "production" {
		add("Environment", d.s.Env)
	}
	if d.Program != nil {
		add("Policy", fmt.Sprintf("%s (%s)", oneLine(d.Program.Title), d.s.Policy))
	}
	if at := d.s.Review.PublishedAt; !at.IsZero() {
		add("First published", fmt.Sprintf("by %s, %s", d.who(d.s.Review.PublishedBy), d.stamp(at)))
	}
	add("Facts until", d.stamp(d.s.Updated))
	add("Times", fmt.Sprintf("in %s", d.Zone))
	out := []Block{{Rows: rows, Wide: []float64{1, 4}}}
	if s := oneLine(d.s.Summary); s != "" {
		out = append(out, Block{Text: s})
	}
	if len(d.missing) > 0 {
		out = append(out, Block{Note: true, Text: "Still missing:"}, Block{Items: d.missing})
	}
	return out
}

func (d *drafter) timeline() []Block {
	type mark struct {
		name string
		*incident.Milestone
	}
	var marks []mark
	for name, m := range d.s.Milestones {
		marks = append(marks, mark{name, m})
	}
	slices.SortFunc(marks, func(a, b mark) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.name, b.name)) })
	rows := [][]string{{"Milestone", "When", "By", "Why"}}
	for _, m := range marks {
		why := oneLine(m.Why)
		for _, c := range m.Before {
			why += fmt.Sprintf(" (first recorded as %s by %s)", d.stamp(c.At), d.who(c.By))
		}
		rows = append(rows, []string{words(m.name), d.stamp(m.At), d.who(m.By), why})
	}
	out := []Block{{Rows: rows, Wide: []float64{2, 3, 2, 5}}}
	if len(d.s.Review.Entries) > 0 {
		return append(out, d.curated(incident.VersionInternal))
	}
	lines := [][]string{{"When", "Who", "What"}}
	story := condense(d.Lines)
	for i, l := range story {
		if i == MaxLines {
			break
		}
		lines = append(lines, []string{d.stamp(l.At), d.who(l.Principal), oneLine(l.Text)})
	}
	if len(lines) > 1 {
		out = append(out, Block{Rows: lines, Wide: []float64{3, 2, 7}})
	}
	if more := len(story) - MaxLines; more > 0 {
		out = append(out, Block{Note: true, Text: fmt.Sprintf("%d more lines are in the evidence export.", more)})
	}
	return out
}

func (d *drafter) cause() []Block {
	rows := [][]string{{"", ""}}
	add := func(name, text string, by incident.Principal, at time.Time) {
		if oneLine(text) != "" {
			rows = append(rows, []string{name, fmt.Sprintf("%s (%s, %s)", oneLine(text), d.who(by), d.stamp(at))})
		}
	}
	if a := d.s.Assessment; a != nil {
		add("Way in", a.Vector, a.By, a.At)
		add("Cause", a.RootCause, a.By, a.At)
		add("Risk", a.Risk, a.By, a.At)
	} else {
		d.missing = append(d.missing, "The assessment (way in, cause, risk) is not recorded.")
	}
	if f := d.s.Fix; f != nil {
		add("Fix", f.Text, f.By, f.At)
	} else {
		d.missing = append(d.missing, "No fix is recorded.")
	}
	if f := d.s.FixProof; f != nil {
		add("Proof of the fix", f.Text, f.By, f.At)
	}
	if len(rows) == 1 {
		return nil
	}
	return []Block{{Rows: rows, Wide: []float64{1, 4}}}
}

func (d *drafter) impact() []Block {
	if len(d.s.Scopes) == 0 {
		d.missing = append(d.missing, "No scope has been computed.")
		return nil
	}
	s := d.s.Scopes[len(d.s.Scopes)-1]
	least := ""
	if s.AtLeast {
		least = "at least "
	}
	rows := [][]string{{"", ""},
		{"Merchants", fmt.Sprintf("%s%d", least, s.Merchants)},
		{"Customer accounts (upper bound on people)", fmt.Sprintf("%s%d", least, s.Customers)},
		{"Records", fmt.Sprintf("%s%d", least, s.Records)},
		{"Accesses", fmt.Sprintf("%s%d", least, s.Events)},
		{"Kinds of data", strings.Join(s.DataTypes, ", ")},
		{"First access", d.stamp(s.First)},
		{"Last access", d.stamp(s.Last)},
		{"Computed", fmt.Sprintf("%s, version %d of %d, by %s", d.stamp(s.At), s.N, len(d.s.Scopes), d.who(s.By))},
	}
	for _, r := range s.Regions {
		where := r.Region
		if where == "" {
			where = "an unknown place"
		}
		rows = append(rows, []string{"Customer accounts in " + where, fmt.Sprint(r.Customers)})
	}
	in, out := 0, 0
	for _, a := range d.s.Adjusted {
		if a.Include {
			in++
		} else {
			out++
		}
	}
	if in+out > 0 {
		rows = append(rows, []string{"By hand", fmt.Sprintf("%d merchants included, %d excluded, each with a reason in the log", in, out)})
	}
	blocks := []Block{{Rows: rows, Wide: []float64{2, 3}}}
	if s.AtLeast {
		blocks = append(blocks, Block{Note: true, Text: "A source was incomplete, so the numbers are the least there were."})
	}
	var gaps []string
	for _, g := range s.Gaps {
		gaps = append(gaps, fmt.Sprintf("%s was silent from %s to %s.", g.Source, d.stamp(g.From), d.stamp(g.To)))
	}
	if len(gaps) > 0 {
		blocks = append(blocks, Block{Items: gaps})
	}
	var later []string
	for _, f := range s.Supplied {
		later = append(later, fmt.Sprintf("%d of the accesses were not logged live but supplied later, in the file %s.", f.Events, f.File))
	}
	if len(later) > 0 {
		blocks = append(blocks, Block{Items: later})
	}
	return blocks
}

func (d *drafter) prevention() []Block {
	if len(d.s.Review.Corrective) == 0 {
		d.missing = append(d.missing, "No corrective action is recorded.")
		return nil
	}
	rows := [][]string{{"Corrective action", "What", "Owner", "Due", "State"}}
	for _, c := range d.s.Review.Corrective {
		state := c.State
		if c.State != incident.CorrectiveOpen {
			state += ", " + d.stamp(c.At)
		}
		if c.Note != "" {
			state += ": " + oneLine(c.Note)
		}
		if c.Reopened > 0 {
			state += fmt.Sprintf(" (opened again %d times)", c.Reopened)
		}
		rows = append(rows, []string{c.ID, oneLine(c.Text), d.who(c.Owner), d.stamp(c.Due), state})
	}
	return []Block{{Rows: rows, Wide: []float64{2, 5, 2, 3, 4}}}
}

func (d *drafter) evidence() []Block {
	rows := [][]string{{"", ""}}
	if n := len(d.s.Scopes); n > 0 {
		s := d.s.Scopes[n-1]
		rows = append(rows, []string{"Scope digest", s.Digest}, []string{"Event log", fmt.Sprintf("%s, %d leaves", s.Log, s.Size)})
	}
	for _, s := range d.s.Snapshots {
		rows = append(rows, []string{"Snapshot", fmt.Sprintf("%s, %d leaves, %s", s.Log, s.Size, d.stamp(s.At))})
	}
	for _, e := range d.s.Exports {
		rows = append(rows, []string{"Export", fmt.Sprintf("%s, %d bytes, by %s, %s", e.Digest, e.Bytes, d.who(e.By), d.stamp(e.At))})
	}
	var out []Block
	if len(rows) > 1 {
		out = append(out, Block{Rows: rows, Wide: []float64{1, 5}})
	}
	if note := strings.TrimSpace(d.Checkpoint); note != "" {
		out = append(out, Block{Text: "The signed state of the fact log when this was drafted:"}, Block{Code: note})
	}
	if len(out) == 0 {
		out = append(out, Block{Note: true, Text: "No checkpoint of the evidence is recorded."})
	}
	return out
}

// stamp writes an instant in the review's zone to the second, with its offset.
func (d *drafter) stamp(t time.Time) string {
	if t.IsZero() {
		return "not recorded"
	}
	return t.In(d.Zone).Format("2 Jan 2006 15:04:05 -07:00")
}

// who names a principal as people do: by name, where it is known.
func (d *drafter) who(p incident.Principal) string {
	if p == "" {
		return "nobody named"
	}
	kind, name, ok := strings.Cut(string(p), ":")
	if known := d.Names[name]; kind == "person" && known != "" {
		return oneLine(known)
	}
	if !ok || kind == "person" {
		return oneLine(cmp.Or(name, kind))
	}
	return oneLine(fmt.Sprintf("%s (%s)", name, kind))
}

// words turns an id into words.
func words(id string) string {
	return incident.Capital(strings.ReplaceAll(id, "_", " "))
}

// oneLine makes any text one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// length writes a duration in the two largest units.
func length(t time.Duration) string {
	if t < 0 {
		t = -t
	}
	switch {
	case t < time.Minute:
		return fmt.Sprintf("%d s", int(t.Seconds()))
	case t < time.Hour:
		return fmt.Sprintf("%d min %d s", int(t.Minutes()), int(t.Seconds())%60)
	case t < 100*time.Hour: // policies say 72 h
		return fmt.Sprintf("%d h %d min", int(t.Hours()), int(t.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(t.Hours())/24, int(t.Hours())%24)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
