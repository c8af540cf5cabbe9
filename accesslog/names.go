package accesslog

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
)

// maxNames bounds the cache of strings; beyond it the cache starts over.
const maxNames = 200_000

// names is the cache of the table name, which gives every repeating string a number. Entries are
// put in only once the transaction that made them has committed.
type names struct {
	mu    sync.RWMutex
	byStr map[string]int64
}

func newNames() *names { return &names{byStr: map[string]int64{}} }

func (n *names) id(s string) (int64, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	id, ok := n.byStr[s]
	return id, ok
}

func (n *names) put(fresh map[string]int64) {
	if len(fresh) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.byStr)+len(fresh) > maxNames {
		clear(n.byStr)
	}
	for s, id := range fresh {
		n.byStr[s] = id
	}
}

// interner numbers strings inside one write transaction.
type interner struct {
	names  *names
	find   *sql.Stmt
	insert *sql.Stmt
	fresh  map[string]int64 // not yet committed
}

func (n *names) begin(tx *sql.Tx) (*interner, error) {
	find, err := tx.Prepare(`SELECT id FROM name WHERE s = ?`)
	if err != nil {
		return nil, err
	}
	insert, err := tx.Prepare(`INSERT INTO name (s) VALUES (?) RETURNING id`)
	if err != nil {
		return nil, err
	}
	return &interner{names: n, find: find, insert: insert, fresh: map[string]int64{}}, nil
}

func (t *interner) id(s string) (int64, error) {
	if id, ok := t.names.id(s); ok {
		return id, nil
	}
	if id, ok := t.fresh[s]; ok {
		return id, nil
	}
	var id int64
	err := t.find.QueryRow(s).Scan(&id)
	if err == sql.ErrNoRows {
		err = t.insert.QueryRow(s).Scan(&id)
	}
	if err != nil {
		return 0, err
	}
	t.fresh[s] = id
	return id, nil
}

// lookup numbers the strings of a question; strings that no event has are left out.
func (s *Store) lookup(ctx context.Context, values []string) ([]any, error) {
	var out []any
	for _, v := range values {
		id, ok := s.names.id(v)
		if !ok {
			err := s.read.QueryRowContext(ctx, `SELECT id FROM name WHERE s = ?`, v).Scan(&id)
			if err == sql.ErrNoRows {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
			}
			s.names.put(map[string]int64{v: id})
		}
		out = append(out, id)
	}
	return out, nil
}
