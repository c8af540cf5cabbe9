package judge

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"
)

// agent is how the judge shows up in the application's log.
const agent = "drill-judge/1"

// every is the pause between two trials, in real time.
const every = 20 * time.Millisecond

// Sightings is what the judge found out by itself.
type Sightings struct {
	Token, Webhook, Session Sighting
}

// Sighting is the history of one credential as the judge saw it.
type Sighting struct {
	Tried        int
	Accepted     int
	Refused      int
	FirstRefusal time.Time // domain time, as last told
	RefusedReal  time.Time // the machine's
	Relapsed     bool      // accepted again after a refusal
	LastAccepted time.Time // the machine's
}

func (s *Sighting) note(status int, now, real time.Time) {
	s.Tried++
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		s.Refused++
		if s.FirstRefusal.IsZero() {
			s.FirstRefusal, s.RefusedReal = now, real
		}
	case status >= 200 && status < 300:
		s.Accepted++
		s.LastAccepted = real
		s.Relapsed = s.Relapsed || !s.FirstRefusal.IsZero()
	}
}

type watcher struct {
	c      Config
	client *http.Client
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu  sync.Mutex
	now time.Time
	s   Sightings
}

// watch starts to try; with no target it only keeps the time.
func watch(ctx context.Context, c Config) *watcher {
	w := &watcher{c: c, now: c.Now, client: &http.Client{Timeout: 2 * time.Second}}
	ctx, w.cancel = context.WithCancel(ctx)
	if c.Target != "" {
		w.done.Go(func() { w.loop(ctx) })
	}
	return w
}

func (w *watcher) loop(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			w.client.CloseIdleConnections()
			return
		case <-tick.C:
		}
		w.try(ctx, &w.s.Token, func() (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.c.Target+"/session", nil)
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+string(w.c.Token))
			}
			return req, err
		})
		if n%4 == 0 {
			w.try(ctx, &w.s.Webhook, func() (*http.Request, error) {
				return w.ping(ctx, "/webhooks/ping", "X-Shopify-Hmac-Sha256", w.c.WebhookSecret)
			})
			w.try(ctx, &w.s.Session, func() (*http.Request, error) {
				return w.ping(ctx, "/sessions/ping", "X-Session-Signature", w.c.SessionSecret)
			})
		}
	}
}

// ping is a request signed with a secret.
func (w *watcher) ping(ctx context.Context, path, header string, secret Secret) (*http.Request, error) {
	const body = `{"ping":"judge"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.c.Target+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	req.Header.Set(header, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}

func (w *watcher) try(ctx context.Context, s *Sighting, make func() (*http.Request, error)) {
	req, err := make()
	if err != nil {
		return
	}
	w.mu.Lock()
	now := w.now // before the request: a refusal is never dated earlier than it was asked for
	w.mu.Unlock()
	req.Header.Set("User-Agent", agent)
	resp, err := w.client.Do(req)
	if err != nil {
		return // the application is away; that refuses nothing
	}
	resp.Body.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	s.note(resp.StatusCode, now, time.Now().UTC())
}

func (w *watcher) setNow(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = t
}

func (w *watcher) stop() {
	w.cancel()
	w.done.Wait()
}

// Sightings is what was seen so far.
func (w *watcher) Sightings() Sightings {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.s
}
