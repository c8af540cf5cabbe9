package desk

import (
	"container/list"
	"sync"
)

// cacheSize is how many incidents stay folded. One that falls out is folded again when it is asked
// for: from its newest snapshot and the facts after that.
const cacheSize = 1024

// cache keeps the values that were used last. Losing one costs a fold and nothing else.
type cache[V any] struct {
	mu    sync.Mutex
	most  int
	order *list.List // of *cached[V]; the one used last is in front
	byKey map[string]*list.Element
}

type cached[V any] struct {
	key   string
	value V
}

func newCache[V any](most int) *cache[V] {
	return &cache[V]{most: most, order: list.New(), byKey: map[string]*list.Element{}}
}

// get returns the value of key and notes that it was used.
func (c *cache[V]) get(key string) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached[V]).value, true
}

// put stores v under key.
func (c *cache[V]) put(key string, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(key, v)
}

// getOr returns the value of key, and stores what make returns when there is none.
func (c *cache[V]) getOr(key string, make func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*cached[V]).value
	}
	v := make()
	c.store(key, v)
	return v
}

func (c *cache[V]) store(key string, v V) {
	if e, ok := c.byKey[key]; ok {
		e.Value.(*cached[V]).value = v
		c.order.MoveToFront(e)
		return
	}
	c.byKey[key] = c.order.PushFront(&cached[V]{key, v})
	if c.order.Len() > c.most {
		oldest := c.order.Back()
		delete(c.byKey, c.order.Remove(oldest).(*cached[V]).key)
	}
}

func (c *cache[V]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}
