package desktest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/review"
)

// draft is the real draft of an incident's fixed state.
func (d *Desk) draft(ctx context.Context, inc, version string) (review.Document, *incident.State, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return review.Document{}, nil, err
	}
	in := review.Input{State: s, Program: d.Program, Org: "PickAndPack", Now: d.Now, Version: version, Secret: review.Secret{People: []string{"lena", "omar"}}, Names: d.org.Names()}
	return review.Draft(in), s, nil
}

func (d *Desk) Review(ctx context.Context, inc string, q desk.ReviewQuery) ([]byte, error) {
	doc, s, err := d.draft(ctx, inc, q.Version)
	if err != nil {
		return nil, err
	}
	if q.N > len(s.Review.Published) {
		return nil, fmt.Errorf("no such publication: %w", desk.ErrNotFound)
	}
	switch q.Format {
	case "html":
		return doc.HTML(), nil
	case "pdf":
		return doc.PDF()
	}
	return doc.Markdown(), nil
}

func (d *Desk) PlanReview(ctx context.Context, inc, version string) (desk.ReviewPlan, error) {
	doc, s, err := d.draft(ctx, inc, version)
	if err != nil {
		return desk.ReviewPlan{}, err
	}
	text := doc.Markdown()
	plan := desk.ReviewPlan{Version: cmp.Or(version, incident.VersionInternal), N: 1, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(text)), Markdown: string(text), Document: doc,
		Withheld: append([]review.Withheld{}, doc.Withheld...), Lacks: append([]string{}, doc.Missing...), Changed: true, Missing: []incident.Missing{}}
	if last := s.Review.LastPublished(plan.Version); last != nil {
		plan.N = last.N + 1
	}
	if d.Program != nil {
		plan.Missing = append(plan.Missing, incident.PublishMissing(d.Program, s, plan.Version)...)
	}
	return plan, nil
}

func (d *Desk) ReviewDiff(ctx context.Context, inc, version string, from, to int) (string, error) {
	doc, s, err := d.draft(ctx, inc, version)
	if err != nil {
		return "", err
	}
	if max(from, to) > len(s.Review.Published) {
		return "", fmt.Errorf("no such publication: %w", desk.ErrNotFound)
	}
	return review.Diff("publication", "draft", []byte("# Before\n"), doc.Markdown()), nil
}

// Correctives lists those of the fixed incidents, in the order of the board.
func (d *Desk) Correctives(context.Context) ([]desk.CorrectiveRow, error) {
	out := []desk.CorrectiveRow{}
	for _, row := range d.Rows {
		s := d.States[row.ID]
		if s == nil {
			continue
		}
		for _, c := range s.Review.Corrective {
			out = append(out, desk.CorrectiveRow{Incident: s.ID, Title: s.Title, Corrective: c, Overdue: c.Overdue(d.Now)})
		}
	}
	return out, nil
}
