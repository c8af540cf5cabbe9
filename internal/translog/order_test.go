package translog

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tessera "github.com/transparency-dev/tessera"
)

// rival is the library's queue at its worst. It takes out what has waited for age, or is size leaves, and
// of what it has taken out it writes the newest first, when nothing more has come for a while.
type rival struct {
	age  time.Duration
	size int

	mu      sync.Mutex
	waiting []*written
	taken   [][]*written
	next    uint64
}

type written struct {
	done chan struct{}
	at   uint64
}

func (r *rival) add(_ context.Context, _ *tessera.Entry) tessera.IndexFuture {
	time.Sleep(700 * time.Microsecond) // a busy machine
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &written{done: make(chan struct{})}
	if r.waiting = append(r.waiting, w); len(r.waiting) == 1 {
		time.AfterFunc(r.age, r.take)
	}
	if len(r.waiting) == r.size {
		go r.take()
	}
	return func() (tessera.Index, error) {
		<-w.done
		return tessera.Index{Index: w.at}, nil
	}
}

func (r *rival) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 {
		r.taken = append(r.taken, r.waiting)
		r.waiting = nil
		time.AfterFunc(10*r.age, r.write)
	}
}

func (r *rival) write() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.taken) > 0 {
		last := r.taken[len(r.taken)-1]
		r.taken = r.taken[:len(r.taken)-1]
		for _, w := range last {
			w.at = r.next
			r.next++
			close(w.done)
		}
	}
}

// What the library takes out of its queue apart it may write in another order. Leaves of one append stand
// in the order in which they were given all the same: a log in which they did not was never sealed to again.
//
// promise: INV-3
func TestLeavesOfAnAppendStandInItsOrderWhateverTheLibraryWritesFirst(t *testing.T) {
	for _, n := range []int{1, 7, 40, 100} {
		synctest.Test(t, func(t *testing.T) {
			r := &rival{age: 5 * time.Millisecond, size: 40}
			l := &Log{origin: "test", storage: folder(t.TempDir()), add: r.add, age: r.age, batch: uint(r.size)}
			for range 3 {
				indexes, err := l.AppendMany(t.Context(), make([][]byte, n))
				if err != nil {
					t.Fatal(err)
				}
				for i := range indexes {
					if indexes[i] != indexes[0]+uint64(i) {
						t.Fatalf("of %d leaves the %dth is leaf %d of the log and the first leaf %d", n, i+1, indexes[i], indexes[0])
					}
				}
			}
		})
	}
}
