package victim

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/piilog"
)

// link is the application's connection to the responder: events out, switches in.
type link struct {
	events *piilog.Handler
	logger *slog.Logger
	gate   gate
}

// gate says which merchants are switched off.
type gate interface {
	Off(merchant string) (reason string, off bool)
	Close() error
}

// Connection is where the responder is and what opens it.
type Connection struct {
	URL       string `json:"url"`
	IngestKey Secret `json:"ingest_key"`
	SwitchKey Secret `json:"switch_key"`
	App       string `json:"app"`
}

// postConnect gives the application its responder: before any traffic, and again when the responder has
// moved to another machine.
func (v *Victim) postConnect(w http.ResponseWriter, r *http.Request) {
	var c Connection
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&c); err != nil {
		http.Error(w, "not a connection", http.StatusBadRequest)
		return
	}
	if err := v.Connect(r.Context(), c); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Connect starts sending events and following switches.
func (v *Victim) Connect(ctx context.Context, c Connection) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old := v.link; old != nil {
		// What could not be delivered any more lies in the folder of its spill, from which the next one
		// sends it: that the old responder does not answer is why there is a new one.
		v.link = nil
		_ = old.close()
	}
	h, err := piilog.New(piilog.Options{
		Endpoint: strings.TrimRight(c.URL, "/") + "/v1/events", Key: piilog.Key(c.IngestKey), App: v.c.App, Env: "drill",
		SpillDir: v.c.SpillDir, MaxDelay: 40 * time.Millisecond, MaxWait: 200 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	g, err := openGate(ctx, c)
	if err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return errors.Join(err, h.Close(closing))
	}
	v.link = &link{events: h, logger: slog.New(h), gate: g}
	return nil
}

func (l *link) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return errors.Join(l.events.Close(ctx), l.gate.Close())
}

func (v *Victim) connected() *link {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.link
}

// emit hands one event to piilog; an application that is not connected keeps only its own log.
func (v *Victim) emit(e piilog.Event) {
	if l := v.connected(); l != nil {
		piilog.Access(context.Background(), l.logger, e)
	}
}

func (v *Victim) off(merchant string) (string, bool) {
	if l := v.connected(); l != nil && l.gate != nil {
		return l.gate.Off(merchant)
	}
	return "", false
}

func (v *Victim) flush(ctx context.Context) error {
	l := v.connected()
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return l.events.Flush(ctx)
}

// postFlush answers once every event given so far is durable at the responder, with what piilog
// counts.
func (v *Victim) postFlush(w http.ResponseWriter, r *http.Request) {
	v.log.flush()
	if err := v.flush(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var s piilog.Stats
	if l := v.connected(); l != nil {
		s = l.events.Stats()
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]int64{"accepted": s.Accepted, "duplicates": s.Duplicates, "rejected": s.Rejected, "lost": s.Lost, "waiting": s.Waiting})
}
