package accesslog

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tocsin-ir/tocsin/leaf"
)

// A stretch is consecutive leaves of one epoch, which is the UTC day in which their events came. A day
// has one, or a few where batches of two days mingled around midnight.

// stretches notes what leaves add to the stretches; they follow those noted before.
func stretches(ctx context.Context, tx *sql.Tx, indexes []uint64, headers []leaf.Header) error {
	for i := 0; i < len(headers); {
		n := i + 1
		for n < len(headers) && headers[n].Epoch == headers[i].Epoch {
			n++
		}
		first, last := headers[i].First, headers[n-1].Last
		done, err := tx.ExecContext(ctx, `UPDATE stretch SET leaves = leaves + ?, last = ? WHERE idx = (SELECT max(idx) FROM stretch) AND epoch = ?`,
			n-i, last, headers[i].Epoch)
		if err != nil {
			return err
		}
		if changed, err := done.RowsAffected(); err != nil || changed > 0 {
			if err != nil {
				return err
			}
			i = n
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO stretch (idx, leaves, first, last, epoch) VALUES (?, ?, ?, ?, ?)`,
			indexes[i], n-i, first, last, headers[i].Epoch); err != nil {
			return err
		}
		i = n
	}
	return nil
}

// fillStretches makes the stretches of a database that an earlier version wrote. A crash: none of them
// are there, and the next start makes them.
func (s *Store) fillStretches(ctx context.Context) error {
	var known bool
	err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM stretch) OR NOT EXISTS (SELECT 1 FROM leaf)`).Scan(&known)
	if err == nil && !known {
		_, err = s.write.ExecContext(ctx, `INSERT INTO stretch (idx, leaves, first, last, epoch)
			SELECT min(idx), count(*), min(first), max(last), epoch FROM (
				SELECT idx, first, last, epoch, idx - row_number() OVER (PARTITION BY epoch ORDER BY idx) AS run FROM leaf)
			GROUP BY epoch, run`)
	}
	if err != nil {
		return fmt.Errorf("accesslog: prepare %s: %w", fileName, err)
	}
	return nil
}
