package desk

import (
	"maps"
	"slices"
	"sync"
)

// queued remembers which effects queueOwed has handed to the runner and has not seen end, so that
// a look at thousands of recipients does not offer the runner each of them again. The runner would
// skip them, at the price of one statement each. It need not survive: the next start queues
// everything that is owed.
type queued struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (q *queued) add(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ids == nil {
		q.ids = map[string]bool{}
	}
	q.ids[id] = true
}

// len is how many are with the runner.
func (q *queued) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ids)
}

func (q *queued) has(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ids[id]
}

func (q *queued) remove(ids ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		delete(q.ids, id)
	}
}

// backlog remembers incidents of which more is owed than one transaction queues. It need not survive: the next
// start queues everything that is owed. Commands run one after the other, so what is noted inside of one is looked
// at after its commit.
type backlog struct {
	mu     sync.Mutex
	chains map[string]bool
}

func (b *backlog) add(chain string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.chains == nil {
		b.chains = map[string]bool{}
	}
	b.chains[chain] = true
}

func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.chains) == 0
}

// list gives the incidents, in order.
func (b *backlog) list() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.chains))
}

func (b *backlog) remove(chain string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.chains, chain)
}
