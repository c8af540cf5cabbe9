// Package piilog sends a program's accesses to protected customer data to Tocsin.
//
// It is an slog handler: records of kind pii_access (and http_access, auth, config_change,
// db_query) are batched and posted to the ingest address; every other record goes to the handler
// behind it. A request that logs an access never waits for the network or the disk.
//
//	h, err := piilog.New(piilog.Options{Endpoint: "https://tocsin.example/v1/events", Key: key, App: "acme_app", SpillDir: "/var/lib/acme/piilog", Next: slog.Default().Handler()})
//	logger := slog.New(h)
//	piilog.Access(ctx, logger, piilog.Event{Actor: piilog.Actor{Type: "user", ID: "worker-3"}, Action: "read", Merchant: "m_214"})
//	defer h.Close(ctx)
//
// # What can be lost
//
// A batch is posted at most 200 ms after its first event and is repeated under the same batch key
// until the server has said that it is durable, so that no event is counted twice. Once an attempt
// has failed, what waits goes to SpillDir within a second, which is read again at the next start.
// A kill of the process loses what is in memory: up to 200 ms of events while the server answers,
// up to a second of them while it is away, up to Timeout of them when it has just stopped to answer,
// and without SpillDir all that waits.
// Beyond MaxMemory or MaxSpill events are counted as lost in Stats, never silently dropped.
//
// The package uses the standard library only.
package piilog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Key is the ingest key. It prints as "[redacted]".
type Key string

// String hides the key.
func (Key) String() string { return "[redacted]" }

// GoString hides the key.
func (Key) GoString() string { return "[redacted]" }

// LogValue hides the key.
func (Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Options says where events go and how much may wait.
type Options struct {
	Endpoint string // the ingest address, ending in /v1/events; https, or http to a loopback address
	Key      Key    // ingest key, sent as a bearer token
	App, Env string // put on events that have none

	SpillDir string       // folder (0700) for batches that wait for a server that is away, or for which there is no memory; "" keeps them in memory only
	Next     slog.Handler // gets every record that is not an access event; nil drops them

	MaxMemory int64         // bytes of events in memory; default 16 MiB, at least 64 KiB
	MaxSpill  int64         // bytes of batches in SpillDir; default 1 GiB
	MaxBatch  int           // events in a batch; default and limit 500
	MaxDelay  time.Duration // the longest an event waits for company; default 200 ms
	Timeout   time.Duration // of one post; default 10 s
	MaxWait   time.Duration // the longest pause between two attempts; default 30 s
	Insecure  bool          // allow plain http to an address that is not loopback

	Client *http.Client // default: TLS 1.2 or newer, no redirects
}

func (o *Options) fill() error {
	if o.Key == "" {
		return errors.New("piilog: Options.Key is empty: give the ingest key")
	}
	if strings.ContainsAny(string(o.Key), "\r\n\x00 ") {
		return errors.New("piilog: Options.Key has a space or line break in it: give the key alone")
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" {
		return errors.New("piilog: Options.Endpoint is not an address: give one such as https://tocsin.example/v1/events")
	}
	if u.User != nil {
		return errors.New("piilog: Options.Endpoint holds a user name: give the key in Options.Key")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && (o.Insecure || loopback(u.Hostname())):
	default:
		return fmt.Errorf("piilog: Options.Endpoint uses %q: access events name people, so use https (or http to a loopback address)", u.Scheme)
	}
	if o.MaxBatch < 0 || o.MaxBatch > 500 {
		return fmt.Errorf("piilog: Options.MaxBatch is %d: it may be 1 to 500", o.MaxBatch)
	}
	setDefault(&o.MaxMemory, 16<<20)
	setDefault(&o.MaxSpill, 1<<30)
	setDefault(&o.MaxBatch, 500)
	setDefault(&o.MaxDelay, 200*time.Millisecond)
	setDefault(&o.Timeout, 10*time.Second)
	setDefault(&o.MaxWait, 30*time.Second)
	o.MaxMemory = max(o.MaxMemory, 2*MaxEvent)
	if o.Client == nil {
		o.Client = newClient()
	}
	return nil
}

func setDefault[T int | int64 | time.Duration](p *T, v T) {
	if *p <= 0 {
		*p = v
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Handler is the slog handler. Copies made by WithAttrs and WithGroup share one sender.
type Handler struct {
	sender *sender
	next   slog.Handler
	attrs  []slog.Attr // of WithAttrs, names qualified by the groups open at the time
	group  string      // open groups, each followed by a dot
}

var _ slog.Handler = (*Handler)(nil)

// New starts a handler. It reads batches that an earlier process left in SpillDir and sends them
// first. Call Close before the program ends.
func New(o Options) (*Handler, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s, err := newSender(o)
	if err != nil {
		return nil, err
	}
	return &Handler{sender: s, next: o.Next}, nil
}

// Enabled reports true at every level: whether a record is an access event is known only later.
// Records that are not keep the level of the handler behind.
func (h *Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle takes an access event into memory, or passes the record on. It does not block on the
// network or the disk and does not return an error for an event that could not be kept: see Stats.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if e, ok := h.event(r); ok {
		h.sender.add(e)
		return nil
	}
	if h.next == nil || !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs returns a handler whose events and records all carry attrs.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		c.attrs = append(c.attrs, a)
	}
	if h.next != nil {
		c.next = h.next.WithAttrs(attrs)
	}
	return &c
}

// WithGroup returns a handler whose later attributes are qualified by name.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group = h.group + name + "."
	if h.next != nil {
		c.next = h.next.WithGroup(name)
	}
	return &c
}

// Stats says what became of the events.
func (h *Handler) Stats() Stats { return h.sender.stats() }

// Flush returns when every event given before the call is durable on the server, or with an error
// that says how many are not when ctx ends first.
func (h *Handler) Flush(ctx context.Context) error { return h.sender.flush(ctx) }

// Close flushes and stops. What is not delivered when ctx ends is written to SpillDir for the next
// start; without SpillDir it is lost, and the error says how many.
func (h *Handler) Close(ctx context.Context) error { return h.sender.close(ctx) }

// String names the handler without its key.
func (h *Handler) String() string { return "piilog handler to " + h.sender.o.Endpoint }

// GoString is String: the default would print the key.
func (h *Handler) GoString() string { return h.String() }

func isKind(s string) bool {
	switch s {
	case PIIAccess, HTTPAccess, Auth, Config, DBQuery:
		return true
	}
	return false
}

// event reads an access event out of a record: one given by Access, or one written as attributes
// with the names of the event's JSON ("merchant", "actor.id", …). Other attributes are kept in
// Attributes.
func (h *Handler) event(r slog.Record) (Event, bool) {
	kind := ""
	if isKind(r.Message) {
		kind = r.Message
	}
	var given *Event
	r.Attrs(func(a slog.Attr) bool {
		if c, ok := a.Value.Any().(carried); ok {
			given = c.event
			return false
		}
		if a.Key == "kind" && isKind(a.Value.String()) {
			kind = a.Value.String()
		}
		return true
	})
	if given == nil && kind == "" {
		return Event{}, false
	}
	e := Event{Time: r.Time, Kind: kind}
	if given != nil {
		e = *given
	} else {
		r.Attrs(func(a slog.Attr) bool { e.set(h.group, a); return true })
	}
	for _, a := range h.attrs {
		e.setMissing(a)
	}
	if e.ID == "" {
		e.ID = newID(time.Now())
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.App == "" {
		e.App = h.sender.o.App
	}
	if e.Env == "" {
		e.Env = h.sender.o.Env
	}
	return e, true
}
