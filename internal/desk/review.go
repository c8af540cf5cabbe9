package desk

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/review"
)

// ReviewQuery chooses a text of a review.
type ReviewQuery struct {
	Version string // of incident.ReviewVersions; "" is the internal one
	N       int    // which publication; 0 is the draft as it stands now
	Format  string // md, html or pdf
}

// ReviewPlan is a version of a review as it would be published now.
type ReviewPlan struct {
	Version  string             `json:"version"`
	N        int                `json:"n" doc:"which publication of the version it would be"`
	Digest   string             `json:"digest" doc:"of the Markdown; give it with publish, which is refused when the text is another by then"`
	Markdown string             `json:"markdown"`
	Document review.Document    `json:"-"`
	Withheld []review.Withheld  `json:"withheld" nullable:"false" doc:"what was written and the version does not say"`
	Missing  []incident.Missing `json:"missing" nullable:"false" doc:"what it cannot be published without"`
	Lacks    []string           `json:"lacks" nullable:"false" doc:"what would be worth saying and is not, one sentence each"`
	Changed  bool               `json:"changed" doc:"it differs from the newest publication"`
}

// Review renders a text of the review as md, html or pdf.
func (d *Desk) Review(ctx context.Context, inc string, q ReviewQuery) ([]byte, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return nil, notFound(err)
	}
	if q.N > 0 {
		doc, _, err := d.published(s, q.Version, q.N)
		if err != nil {
			return nil, err
		}
		return renderReview(doc, q.Format)
	}
	doc, err := d.draftReview(ctx, s, q.Version, true)
	if err != nil {
		return nil, err
	}
	return renderReview(doc, q.Format)
}

// review renders the draft of the internal version, which an export holds.
func (d *Desk) review(ctx context.Context, s *incident.State, format string) ([]byte, error) {
	doc, err := d.draftReview(ctx, s, incident.VersionInternal, true)
	if err != nil {
		return nil, err
	}
	return renderReview(doc, format)
}

func renderReview(doc review.Document, format string) ([]byte, error) {
	switch format {
	case "md":
		return doc.Markdown(), nil
	case "html":
		return doc.HTML(), nil
	case "pdf":
		return doc.PDF()
	}
	return nil, fmt.Errorf("%w: format: has to be md, html or pdf", ErrInvalid)
}

// draftReview drafts a version from the facts as they stand. A draft that is handed out carries the signed
// state of the facts log; one that is to be published does not, because it has to be the same text when it
// is published as when it was looked at.
func (d *Desk) draftReview(ctx context.Context, s *incident.State, version string, checkpoint bool) (review.Document, error) {
	version = cmp.Or(version, incident.VersionInternal)
	if !slices.Contains(incident.ReviewVersions, version) {
		return review.Document{}, fmt.Errorf("%w: version: has to be %s", ErrInvalid, strings.Join(incident.ReviewVersions, ", "))
	}
	p := d.program(s)
	in := review.Input{State: s, Program: p, Org: d.o.OrgName, Zone: p.Zone, Now: d.o.Clock.Now(), Version: version, Link: d.o.PublicURL}
	people, err := d.Org(asDesk(ctx))
	if err != nil {
		return review.Document{}, err
	}
	in.Names = people.Names()
	if version == incident.VersionInternal {
		if in.Lines, err = d.renderedFacts(ctx, s.ID); err != nil {
			return review.Document{}, err
		}
		if checkpoint {
			note, _, err := d.o.FactLog.Checkpoint(ctx)
			if err != nil {
				return review.Document{}, err
			}
			in.Checkpoint = string(note)
		}
	} else if in.Secret, err = d.secretOf(ctx, s); err != nil {
		return review.Document{}, err
	}
	return review.Draft(in), nil
}

// secretOf gathers what people outside must not read in the text about an incident. It asks as the desk:
// who writes about one incident may not know of a private one, and the text must not name it all the same.
func (d *Desk) secretOf(ctx context.Context, s *incident.State) (review.Secret, error) {
	ctx = asDesk(ctx)
	var out review.Secret
	o, err := d.Org(ctx)
	if err != nil {
		return out, err
	}
	if o != nil {
		for _, p := range o.People {
			out.People = append(out.People, p.ID, p.Name)
		}
	}
	for _, who := range actorsOf(s) { // also who has left, or was never invited here
		if name, ok := strings.CutPrefix(string(who), "person:"); ok {
			out.People = append(out.People, name)
		}
	}
	for _, from := range []string{"0", "1"} {
		to := map[string]string{"0": "1"}[from]
		rows, err := d.boardRows(ctx, from, to, ledger.MaxRows)
		if err != nil {
			return out, err
		}
		for _, row := range rows {
			if b, err := d.decodeBoardRow(row); err != nil {
				return out, err
			} else if b.Private {
				out.Incidents = append(out.Incidents, b.ID, b.Title)
			} else {
				out.Known = append(out.Known, b.ID)
			}
		}
	}
	signals := slices.Clone(s.Signals)
	for _, a := range s.Actions {
		out.Tokens = append(out.Tokens, a.Target["credential"])
	}
	merchants := map[string]bool{}
	for _, m := range s.Merged { // what is known of a part is known of this
		for _, g := range m.Signals {
			signals = append(signals, g.Signal)
		}
		for _, a := range m.Actions {
			out.Tokens = append(out.Tokens, a.Target["credential"])
		}
		for id := range m.Tellings {
			merchants[id] = true
		}
	}
	for _, g := range signals {
		_, subject, _ := strings.Cut(g.Subject, ":")
		out.Tokens = append(out.Tokens, subject)
		for _, facet := range []string{"credential", "ip", "actor"} {
			out.Tokens = append(out.Tokens, g.Facets[facet])
		}
	}
	for id := range s.Rows() {
		merchants[id] = true
	}
	for id := range s.Adjusted {
		merchants[id] = true
	}
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		out.Merchants = slices.Collect(maps.Keys(merchants))
		return eachMerchant(r, merchants, func(m ledger.Merchant) {
			out.Merchants = append(out.Merchants, m.Name)
			for _, st := range m.Stores {
				out.Merchants = append(out.Merchants, st.ID, st.Domain)
			}
		})
	})
	slices.Sort(out.Merchants)
	return out, err
}

// actorsOf are the people whom an incident names.
func actorsOf(s *incident.State) []incident.Principal {
	var all []incident.Principal
	for _, who := range s.Roles {
		all = append(all, who)
	}
	for _, m := range s.Milestones {
		all = append(all, m.By)
	}
	for _, p := range s.Review.Parts {
		all = append(all, p.By)
	}
	for _, e := range s.Review.Entries {
		all = append(all, e.By)
	}
	for _, c := range s.Review.Corrective {
		all = append(all, c.Owner)
	}
	for _, n := range s.Notices {
		all = append(all, n.DraftedBy)
	}
	for _, a := range s.Actions {
		all = append(all, a.PlannedBy)
	}
	for _, m := range s.Merged {
		all = append(all, m.By)
		for _, n := range m.Notices {
			all = append(all, n.SentBy)
		}
	}
	if s.Private != nil {
		all = append(all, s.Private.About...)
		for _, r := range s.Private.Readers {
			all = append(all, r.Person)
		}
	}
	slices.Sort(all) // so that the same facts take out the same words in the same order
	return slices.Compact(all)
}

// published is a text that was published, and what the facts say of it.
func (d *Desk) published(s *incident.State, version string, n int) (review.Document, incident.Publication, error) {
	version = cmp.Or(version, incident.VersionInternal)
	for _, p := range s.Review.Published {
		if p.Version != version || p.N != n {
			continue
		}
		if p.Kept == "" {
			return review.Document{}, p, fmt.Errorf("%w: the text of this publication was not kept: an export of that time holds it", ErrNotFound)
		}
		raw, err := d.files().Get(p.Kept)
		if errors.Is(err, fs.ErrNotExist) {
			return review.Document{}, p, fmt.Errorf("%w: the published text is gone from the data folder: put it back from a copy", ErrNotFound)
		}
		if err != nil {
			return review.Document{}, p, err
		}
		doc, err := review.Kept(raw)
		return doc, p, err
	}
	return review.Document{}, incident.Publication{}, fmt.Errorf("%w: %s has no such publication of its review", ErrNotFound, s.ID)
}

// publications are the texts that were published and kept, for an export. One that is gone, or is rendered
// otherwise than when it was published, is not left out in silence.
func (d *Desk) publications(s *incident.State) ([]evidence.Publication, error) {
	var out []evidence.Publication
	for i, p := range s.Review.Published {
		if p.Kept == "" {
			continue // by an earlier release, which kept none
		}
		doc, _, err := d.published(s, p.Version, p.N)
		if err != nil {
			return nil, fmt.Errorf("desk: publication %d of the review of %s, %s: %w: nothing is exported without it", p.N, s.ID, p.Version, err)
		}
		text := doc.Markdown()
		if got := digestOf(text); got != p.Digest {
			return nil, fmt.Errorf("desk: publication %d of the review of %s, %s: its text has the digest %s, and %s was recorded: nothing is exported with it", p.N, s.ID, p.Version, got, p.Digest)
		}
		out = append(out, evidence.Publication{N: i + 1, Version: p.Version, Markdown: text})
	}
	return out, nil
}

// PlanReview shows a version of the review as it would be published now, and what stands in its way.
func (d *Desk) PlanReview(ctx context.Context, inc, version string) (ReviewPlan, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return ReviewPlan{}, notFound(err)
	}
	doc, err := d.draftReview(ctx, s, version, false)
	if err != nil {
		return ReviewPlan{}, err
	}
	text := doc.Markdown()
	out := ReviewPlan{Version: cmp.Or(version, incident.VersionInternal), N: 1, Digest: digestOf(text), Markdown: string(text), Document: doc,
		Withheld: append([]review.Withheld{}, doc.Withheld...), Lacks: append([]string{}, doc.Missing...), Changed: true}
	if last := s.Review.LastPublished(out.Version); last != nil {
		out.N, out.Changed = last.N+1, last.Digest != out.Digest
	}
	out.Missing = append([]incident.Missing{}, incident.PublishMissing(d.program(s), s, out.Version)...)
	return out, nil
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// ReviewDiff says what changed from one publication of a version to another, line by line; n 0 is the draft.
func (d *Desk) ReviewDiff(ctx context.Context, inc, version string, from, to int) (string, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return "", notFound(err)
	}
	text := func(n int) ([]byte, string, error) {
		if n == 0 {
			doc, err := d.draftReview(ctx, s, version, false)
			return doc.Markdown(), "draft", err
		}
		doc, _, err := d.published(s, version, n)
		return doc.Markdown(), fmt.Sprintf("publication %d", n), err
	}
	was, wasName, err := text(from)
	if err != nil {
		return "", err
	}
	is, isName, err := text(to)
	if err != nil {
		return "", err
	}
	return review.Diff(wasName, isName, was, is), nil
}

// publishReview keeps the text and then records that it is out. A crash between the two leaves a text that
// no fact names, and never a fact whose text is missing. What is refused anyway keeps no text.
func (d *Desk) publishReview(ctx context.Context, req Request, c incident.PublishReview) (Outcome, error) {
	req.asked = c
	if out, found, err := d.answered(ctx, req); err != nil || found {
		return out, err
	}
	seen, err := d.Foresee(ctx, Request{Incident: req.Incident, Command: incident.PublishReview{Version: c.Version}, Caller: req.Caller})
	if err != nil || c.Digest == "" && seen.Reason == incident.ReasonAlreadyPublish {
		req.Command = incident.PublishReview{Version: c.Version} // refused, or nothing to do: the door says so and keeps it
		return d.submit(ctx, req, nil)
	}
	s, err := d.Incident(asDesk(ctx), req.Incident)
	if err != nil {
		return Outcome{}, notFound(err)
	}
	doc, err := d.draftReview(ctx, s, c.Version, false)
	if err != nil {
		return Outcome{}, err
	}
	digest := digestOf(doc.Markdown())
	if c.Digest != "" && c.Digest != digest {
		return Outcome{}, incident.StalePublication()
	}
	raw, err := doc.Keep()
	if err != nil {
		return Outcome{}, err
	}
	kept, _, err := d.files().Put(bytes.NewReader(raw))
	if err != nil {
		return Outcome{}, err
	}
	req.Command = incident.PublishReview{Version: c.Version, Digest: digest, Kept: kept, Written: s.Review.Written}
	return d.submit(ctx, req, nil)
}

// CorrectiveRow is a corrective action, of whichever incident.
type CorrectiveRow struct {
	Incident string `json:"incident"`
	Title    string `json:"title"` // of the incident
	incident.Corrective
	Overdue bool `json:"overdue"`
}

// mostCorrected bounds how many incidents a list of corrective actions is read from.
const mostCorrected = 2000

// Correctives lists the corrective actions of all incidents that the reader may know of: the open ones by
// their dates, then those that are over, the newest first.
func (d *Desk) Correctives(ctx context.Context) ([]CorrectiveRow, error) {
	var found []ledger.Row
	for _, from := range []string{"0", "1"} {
		rows, err := d.boardRows(ctx, from, map[string]string{"0": "1"}[from], ledger.MaxRows)
		if err != nil {
			return nil, err
		}
		found = append(found, rows...)
	}
	rows, err := d.seen(ctx, found)
	if err != nil {
		return nil, err
	}
	now := d.o.Clock.Now()
	out, read := []CorrectiveRow{}, 0
	for _, b := range rows {
		if b.Correctives == 0 {
			continue
		}
		if read++; read > mostCorrected {
			break
		}
		s, err := d.Incident(ctx, b.ID)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ledger.ErrNotFound) {
			continue // it became private in between
		}
		if err != nil {
			return nil, err
		}
		for _, c := range s.Review.Corrective {
			out = append(out, CorrectiveRow{Incident: s.ID, Title: s.Title, Corrective: c, Overdue: c.Overdue(now)})
		}
	}
	slices.SortStableFunc(out, func(a, b CorrectiveRow) int {
		over := func(r CorrectiveRow) int {
			if r.State == incident.CorrectiveOpen {
				return 0
			}
			return 1
		}
		if over(a) == 1 && over(b) == 1 {
			return b.At.Compare(a.At)
		}
		return cmp.Or(over(a)-over(b), a.Due.Compare(b.Due))
	})
	return out, nil
}
