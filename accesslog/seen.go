package accesslog

import (
	"context"
	"fmt"
	"time"
)

// Heard is a source, the time of the newest event it sent as it happened, and since when it has been
// quiet although it usually is not at such a time.
type Heard struct {
	Name   string
	Newest time.Time // zero: all of it was supplied later
	Quiet  time.Time // zero: it is not
}

// Heard lists every source that ever sent an event, by name. It waits until what was acknowledged
// before the call is counted, so that somebody who just sent an event finds it.
func (s *Store) Heard(ctx context.Context) ([]Heard, error) {
	s.caughtUp(ctx)
	rows, err := s.read.QueryContext(ctx, `SELECT n.s, o.newest FROM source o JOIN name n ON n.id = o.source ORDER BY n.s`)
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	defer rows.Close()
	var all []Heard
	for rows.Next() {
		var h Heard
		var at int64
		if err := rows.Scan(&h.Name, &at); err != nil {
			return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		if at != suppliedOnly.UnixNano() {
			h.Newest = time.Unix(0, at).UTC()
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return all, s.quiet(ctx, all)
}
