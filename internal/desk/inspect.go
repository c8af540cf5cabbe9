package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// InspectProjections folds the facts of an incident from the first on, and says which of what is kept to
// read them faster is not what they give; "" when all of it is. Rebuild makes it again.
func (d *Desk) InspectProjections(ctx context.Context, chain string) (what string, err error) {
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		at, engine, body, err := r.Snapshot(chain)
		if errors.Is(err, ledger.ErrNotFound) || engine != EngineVersion {
			at = -1
		} else if err != nil {
			return err
		}
		var s *incident.State
		var newest incident.Fact
		for f, err := range d.factsAfter(r, chain, 0) {
			if err != nil {
				return err
			}
			if s, err = incident.Fold(s, f); err != nil {
				return fmt.Errorf("desk: fact %s: %w", f.ID, err)
			}
			newest = f
			if s.Version == at {
				made, err := json.Marshal(s)
				if err != nil {
					return err
				}
				if !bytes.Equal(made, body) {
					what = fmt.Sprintf("the state of %s as of fact %d, which it is read from, is not what its facts give", chain, at)
					return nil
				}
				at = -1
			}
		}
		if s == nil {
			return nil
		}
		if at >= 0 {
			what = fmt.Sprintf("a state of %s is kept as of fact %d, and it has %d", chain, at, s.Version)
			return nil
		}
		want, err := d.row(s, newest.Recorded)
		if err != nil {
			return err
		}
		row, err := r.Row(boardProjection, chain)
		if errors.Is(err, ledger.ErrNotFound) || err == nil && (row.Rank != want.Rank || !bytes.Equal(row.Body, want.Body)) {
			what = "the row of " + chain + " on the board is not what its facts give"
			return nil
		}
		return err
	})
	return what, err
}
