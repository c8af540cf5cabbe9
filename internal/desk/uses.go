package desk

import (
	"maps"
	"sync"
	"time"
)

// uses remembers when each token and key was last used. It is no fact and lives as long as the
// process: a fact for each request would drown those that count.
type uses struct {
	mu sync.Mutex
	at map[string]time.Time // by the id of the token or key
}

func (u *uses) note(id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at == nil {
		u.at = map[string]time.Time{}
	}
	u.at[id] = now
}

// Uses says since when uses are noted, and when each token and key was last used since then, by its
// id. Both are by the clock on the wall, UTC.
func (d *Desk) Uses() (since time.Time, last map[string]time.Time) {
	d.used.mu.Lock()
	defer d.used.mu.Unlock()
	return d.born, maps.Clone(d.used.at)
}
