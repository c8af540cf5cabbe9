package desk

import (
	"context"
	"errors"

	"github.com/tocsin-ir/tocsin/ledger"
)

// MerchantNames looks names up in the directory. Whoever is not in it, or has no name, is left out.
func (d *Desk) MerchantNames(ctx context.Context, ids []string) (map[string]string, error) {
	names := make(map[string]string, len(ids))
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		for _, id := range ids {
			m, err := r.Merchant(id)
			if errors.Is(err, ledger.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if m.Name != "" {
				names[id] = m.Name
			}
		}
		return nil
	})
	return names, err
}
