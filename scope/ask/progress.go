package ask

import (
	"context"
	"time"
)

// Progress is how far a question is.
type Progress struct {
	What string `json:"what"`           // in words
	Done int64  `json:"done"`           // of Of, or a number that grows
	Of   int64  `json:"of,omitempty"`   // 0: nobody knows how much there is
	Unit string `json:"unit,omitempty"` // of Done: steps or events
}

type reportKey struct{}

// Report returns a context under which whoever answers a question says how far it is. fn is called
// by one goroutine at a time, some times a second at most, and must not wait for anything.
//
// It is part of the context, as a trace of a request is, because between the one who asks and the
// one who counts stand several that have nothing to say about it.
func Report(ctx context.Context, fn func(Progress)) context.Context {
	return context.WithValue(ctx, reportKey{}, fn)
}

// Tell says how far a question is to whoever wants to know.
func Tell(ctx context.Context, p Progress) {
	if fn, ok := ctx.Value(reportKey{}).(func(Progress)); ok {
		fn(p)
	}
}

// Paced is Tell at most some times a second, for what is counted one by one.
func Paced(ctx context.Context) func(Progress) {
	if _, ok := ctx.Value(reportKey{}).(func(Progress)); !ok {
		return func(Progress) {}
	}
	var last time.Time
	return func(p Progress) {
		if now := time.Now(); now.Sub(last) >= tellEvery { // protocol time: how often a person is told
			last = now
			Tell(ctx, p)
		}
	}
}

const tellEvery = 200 * time.Millisecond
