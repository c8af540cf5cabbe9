package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/ledger"
)

// heart is what came of the beats so far.
type heart struct {
	mu      sync.Mutex
	newest  time.Time
	failing string
}

func (h *heart) seen(configured bool) doctor.Heartbeat {
	h.mu.Lock()
	defer h.mu.Unlock()
	return doctor.Heartbeat{Configured: configured, Newest: h.newest, Failing: h.failing}
}

// beats asks the address elsewhere for as long as facts can be read. A beat that does not arrive is
// not tried again: the next one is near, and who waits there allows for one that is lost. A crash
// means that there is no next one, which is what it is for.
func (a *App) beats(ctx context.Context) {
	t := time.NewTicker(a.cfg.Heartbeat.Every)
	defer t.Stop()
	for {
		err := a.beatOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		a.beat.mu.Lock()
		was := a.beat.failing
		if err != nil {
			a.beat.failing = oneSentence(err)
		} else {
			a.beat.newest, a.beat.failing = time.Now(), ""
		}
		now := a.beat.failing
		a.beat.mu.Unlock()
		if now != "" && was == "" {
			a.o.Log.Warn("the heartbeat does not arrive", "error", now)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// beatOnce beats if the facts can be read. Its errors do not name the address, which may hold a secret.
func (a *App) beatOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := a.store.View(ctx, func(r ledger.Reader) error { _, err := r.Heads("", 1); return err }); err != nil {
		return fmt.Errorf("the facts cannot be read, so there was no beat: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.cfg.Heartbeat.URL, nil)
	if err != nil {
		return errors.New("the address cannot be used")
	}
	got, err := a.out.Send(ctx, r)
	if err != nil {
		return err
	}
	if got.Status >= 300 {
		return fmt.Errorf("it answered %d", got.Status)
	}
	return nil
}
