package desk

import (
	"context"

	"github.com/tocsin-ir/tocsin/incident"
)

func (d *Desk) review(ctx context.Context, s *incident.State, format string) ([]byte, error) {
	return nil, nil
}
