// Package victim is the drill's vendor application: it serves merchants' orders to whoever holds
// a token, emits every answered access through piilog, obeys the kill switches, and keeps a log of
// its own requests that the judge later believes more than anything the responder says.
//
// It is a drill program. It trusts three headers that a real application would not: Drill-Time
// for the time of an event, X-Forwarded-For for the address and Drill-Actor for who sits behind a
// shared token. It listens on loopback only.
package victim

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/loopback"
	"github.com/tocsin-ir/tocsin/internal/drill/world"
)

// Config is the JSON document on standard input.
type Config struct {
	Listen    string    `json:"listen"`
	Seed      uint64    `json:"seed"`
	Merchants int       `json:"merchants"`
	Start     time.Time `json:"start"`
	Days      int       `json:"days"`
	Tokens    []Token   `json:"tokens"`
	Admin     Secret    `json:"admin"`    // bearer token of the admin and drill addresses
	EnvFile   string    `json:"env_file"` // holds SHOPIFY_WEBHOOK_SECRET
	Log       string    `json:"log"`      // requests, NDJSON
	App       string    `json:"app"`
	SpillDir  string    `json:"spill_dir"`
}

// Token is one bearer token and what it is called.
type Token struct {
	Name   string `json:"name"`
	Secret Secret `json:"secret"`
}

// Secret is a token or key; it prints as "[redacted]".
type Secret string

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// CredentialID names a token without giving it away: it is what events and revocations carry.
func CredentialID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "tok_" + hex.EncodeToString(sum[:6])
}

// Main serves until standard input ends or ctx does. It writes one line with its address.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := json.NewDecoder(stdin)
	var c Config
	if err := in.Decode(&c); err != nil {
		return fmt.Errorf("victim: configuration on standard input: %w", err)
	}
	v, err := New(c)
	if err != nil {
		return err
	}
	err = loopback.Serve(ctx, c.Listen, "it trusts drill headers", v.Handler(), io.MultiReader(in.Buffered(), stdin), stdout)
	if err = errors.Join(err, v.Close()); err != nil {
		return fmt.Errorf("victim: %w", err)
	}
	return nil
}

// Victim is the application.
type Victim struct {
	c     Config
	world *world.World
	log   *requestLog

	mu     sync.RWMutex
	tokens map[string]string // token to name
	link   *link             // to the responder; nil until connected
}

// New makes the application. Close it to flush its request log.
func New(c Config) (*Victim, error) {
	if c.Admin == "" {
		return nil, errors.New("victim: no admin token in the configuration")
	}
	v := &Victim{c: c, world: world.New(world.Options{Seed: c.Seed, Merchants: c.Merchants, Start: c.Start, Days: c.Days}), tokens: map[string]string{}}
	for _, t := range c.Tokens {
		v.tokens[string(t.Secret)] = t.Name
	}
	var err error
	v.log, err = openLog(c.Log)
	return v, err
}

// Close flushes what is on its way to the responder and closes the request log.
func (v *Victim) Close() error {
	v.mu.Lock()
	l := v.link
	v.link = nil
	v.mu.Unlock()
	var err error
	if l != nil {
		err = l.close()
	}
	return errors.Join(err, v.log.close())
}

// Handler serves the application's addresses.
func (v *Victim) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", v.getOrders)
	mux.HandleFunc("GET /session", v.getSession)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("POST /webhooks/ping", v.ping("SHOPIFY_WEBHOOK_SECRET", "X-Shopify-Hmac-Sha256"))
	mux.HandleFunc("POST /sessions/ping", v.ping("SESSION_SIGNING_SECRET", "X-Session-Signature"))
	mux.HandleFunc("POST /admin/tokens/revoke", v.admin(v.postRevoke))
	mux.HandleFunc("POST /admin/tokens", v.admin(v.postToken))
	mux.HandleFunc("POST /drill/connect", v.admin(v.postConnect))
	mux.HandleFunc("POST /drill/accesses", v.admin(v.postAccesses))
	mux.HandleFunc("POST /drill/flush", v.admin(v.postFlush))
	return mux
}

func (v *Victim) admin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(bearer(r)), []byte(v.c.Admin)) != 1 {
			v.noteAdmin(r, http.StatusUnauthorized)
			http.Error(w, "unauthorised", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

// holder is the name of a token that is valid now.
func (v *Victim) holder(token string) (string, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	name, ok := v.tokens[token]
	return name, ok
}
