package desk

import (
	"maps"
	"slices"
	"sync"
)

// names is a set that workers and loops share.
//
// Desk.queued are the effects that queueOwed has handed to the runner and has not seen end, so that a look at
// thousands of recipients does not offer the runner each of them again: it would skip them, at the price of one
// statement each. Desk.backlog are the incidents of which more is owed than one transaction queues; commands run one
// after the other, so that what is noted inside of one is looked at after its commit. Neither need survive: the
// next start queues everything that is owed.
type names struct {
	mu  sync.Mutex
	set map[string]bool
}

func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.set == nil {
		n.set = map[string]bool{}
	}
	n.set[name] = true
}

func (n *names) has(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set[name]
}

func (n *names) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.set)
}

// list gives them in order.
func (n *names) list() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.set))
}

func (n *names) remove(list ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range list {
		delete(n.set, name)
	}
}
