package desk

import "sync"

// queued remembers which retries this process has handed to the runner and has not seen end, so that
// a look at thousands of recipients does not offer the runner each of them again. The runner would
// skip them, at the price of one statement each. It need not survive: the next start queues
// everything that is owed.
type queued struct {
	mu  sync.Mutex
	ids map[string]bool
}

// add reports whether the job was not there yet.
func (q *queued) add(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ids[id] {
		return false
	}
	if q.ids == nil {
		q.ids = map[string]bool{}
	}
	q.ids[id] = true
	return true
}

func (q *queued) remove(ids ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		delete(q.ids, id)
	}
}
