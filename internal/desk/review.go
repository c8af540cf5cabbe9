package desk

import (
	"context"
	"fmt"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/review"
)

// review drafts the review from the facts as they stand and renders it.
func (d *Desk) review(ctx context.Context, s *incident.State, format string) ([]byte, error) {
	lines, err := d.renderedFacts(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	note, _, err := d.o.FactLog.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	p := d.program(s)
	doc := review.Draft(review.Input{
		State: s, Program: p, Lines: lines, Org: d.o.OrgName, Zone: p.Zone, Now: d.o.Clock.Now(), Checkpoint: string(note),
	})
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
