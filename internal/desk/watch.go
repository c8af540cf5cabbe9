package desk

import "sync"

// watcher tells readers of live pages that something changed. A slow reader misses nothing: it is
// told once that it has to look again, however much has happened.
type watcher struct {
	mu   sync.Mutex
	subs map[chan struct{}]func(chains []string) bool
}

// subscribe returns a channel that receives when a commit matches, and a function that ends it.
func (w *watcher) subscribe(matches func([]string) bool) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs == nil {
		w.subs = map[chan struct{}]func([]string) bool{}
	}
	w.subs[ch] = matches
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subs, ch)
	}
}

func (w *watcher) tell(chains []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch, matches := range w.subs {
		if matches(chains) {
			nudge(ch)
		}
	}
}
