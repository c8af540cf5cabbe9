// Package killswitch lets a program obey Tocsin's kill switches: one per merchant and one for all.
//
//	sw, err := killswitch.Connect(ctx, killswitch.Options{URL: "https://tocsin.example", Key: key, App: "acme_app", Instance: "web-1"})
//	handler = sw.Middleware(merchantOf)(handler)
//	if reason, off := sw.Paused("m_214"); off { … }
//
// The program holds a stream open and gets the whole set of switches with every change; a set is in
// force as soon as it has been read. Where a stream cannot be held the program asks every few
// seconds. Each set that is in force is reported back, so that Tocsin can measure how long a switch
// took to reach every instance.
//
// # When the server is away
//
// The last known set stays in force: a switch that was off stays off, and one that was on stays on.
// With Options.File the set is kept on disk and is in force from the first request of the next
// process. Without a file, a process that starts while the server is away knows of no switch and
// serves everyone, unless Options.StartPaused says otherwise. State tells how old the knowledge is.
//
// The package uses the standard library only.
package killswitch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// All is the merchant of the switch that holds for everyone.
const All = "*"

// Key is the switch key. It prints as "[redacted]".
type Key string

// String hides the key.
func (Key) String() string { return "[redacted]" }

// GoString hides the key.
func (Key) GoString() string { return "[redacted]" }

// LogValue hides the key.
func (Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Options says where the switches are and who is asking.
type Options struct {
	URL           string // of the Tocsin server, without a path; https, or http to a loopback address
	Key           Key    // switch key, sent as a bearer token
	App, Env      string // sent along, so that a server may answer for this app alone
	Instance      string // names this process in the record of propagation; default: host name and process id
	File          string // where the last known set is kept; "" keeps it in memory only
	StartPaused   bool   // be off for everyone until the first set is known
	OnChange      func(Set)
	Wait          time.Duration // how long Connect waits for the first set; default 3 s, negative: not at all
	PollEvery     time.Duration // pause between two questions where no stream can be held; default 2 s
	Idle          time.Duration // a stream that is silent this long is opened anew; default 1 min
	Insecure      bool          // allow plain http to an address that is not loopback
	HTTPTransport http.RoundTripper
}

// Switch is one switch.
type Switch struct {
	Merchant string    `json:"merchant"` // an id, or All
	State    string    `json:"state"`    // off: the service is switched off; anything else: it runs
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since,omitzero"`
}

// Set is every switch that is set, and the version that numbers the change.
type Set struct {
	Version  int64    `json:"version"`
	Switches []Switch `json:"switches"`
}

// State is what this process knows.
type State struct {
	Known     bool      // a set has been read, now or from Options.File
	Version   int64     // of the set in force
	Read      time.Time // when the server last confirmed it; zero: not in this process
	Connected bool      // a stream is open
	LastError string
}

// Switches is the connection. It is safe for concurrent use.
type Switches struct {
	o      Options
	client *http.Client
	now    atomic.Pointer[table]
	ready  chan struct{} // closed when the first set is known
	once   sync.Once
	cancel context.CancelFunc
	done   sync.WaitGroup
	seen   chan int64 // the version to report; the newest replaces an older one

	mu    sync.Mutex // guards state
	state State
}

// table is a set prepared for reading. It is never changed once it is published.
type table struct {
	set Set
	off map[string]string // merchant to reason
}

func tableOf(s Set) *table {
	t := &table{set: s, off: map[string]string{}}
	for _, sw := range s.Switches {
		if sw.State == "off" && sw.Merchant != "" {
			t.off[sw.Merchant] = sw.Reason
		}
	}
	return t
}

// Connect starts to follow the switches until ctx ends or Close is called. It waits up to
// Options.Wait for the first set; a server that is away is not an error.
func Connect(ctx context.Context, o Options) (*Switches, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &Switches{o: o, client: newClient(o), ready: make(chan struct{}), seen: make(chan int64, 1)}
	first := tableOf(Set{})
	if o.StartPaused {
		first.off[All] = "no switch is known yet"
	}
	s.now.Store(first)
	if err := s.load(); err != nil {
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.done.Add(2)
	go s.follow(ctx)
	go s.report(ctx)
	if o.Wait > 0 {
		t := time.NewTimer(o.Wait)
		defer t.Stop()
		select {
		case <-s.ready:
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return s, nil
}

func (o *Options) fill() error {
	if o.Key == "" || strings.ContainsAny(string(o.Key), "\r\n\x00 ") {
		return errors.New("killswitch: Options.Key is empty or has a space in it: give the switch key alone")
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("killswitch: Options.URL is not an address: give one such as https://tocsin.example")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && (o.Insecure || loopback(u.Hostname()))) {
		return fmt.Errorf("killswitch: Options.URL uses %q: use https (or http to a loopback address)", u.Scheme)
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	if o.Instance == "" {
		host, _ := os.Hostname()
		o.Instance = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if o.Wait == 0 {
		o.Wait = 3 * time.Second
	}
	if o.PollEvery <= 0 {
		o.PollEvery = 2 * time.Second
	}
	if o.Idle <= 0 {
		o.Idle = time.Minute
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func newClient(o Options) *http.Client {
	rt := o.HTTPTransport
	if rt == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		t.ResponseHeaderTimeout = 10 * time.Second
		rt = t
	}
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Paused says whether the service is switched off for a merchant, by its own switch or by the one
// for all, and why. It takes no lock and does no I/O. The reason is for staff: it may say what an
// attacker should not read.
func (s *Switches) Paused(merchant string) (reason string, off bool) {
	t := s.now.Load()
	if reason, off = t.off[All]; off {
		return reason, true
	}
	reason, off = t.off[merchant]
	return reason, off
}

// Set is the set in force. The caller must not change it.
func (s *Switches) Set() Set { return s.now.Load().set }

// State says what this process knows and since when.
func (s *Switches) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Close stops following. The last known set stays in force.
func (s *Switches) Close() {
	s.cancel()
	s.done.Wait()
}

// Middleware answers 503 with Retry-After and a JSON error while the service is switched off for
// the request's merchant. merchantOf may return "": then only the switch for all counts. A request
// that has begun is not interrupted. The answer never carries the reason of the switch.
func (s *Switches) Middleware(merchantOf func(*http.Request) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			merchant := ""
			if merchantOf != nil {
				merchant = merchantOf(r)
			}
			if _, off := s.Paused(merchant); !off {
				next.ServeHTTP(w, r)
				return
			}
			h := w.Header()
			h.Set("Retry-After", "60")
			h.Set("Content-Type", "application/json")
			h.Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":"service_paused","message":"This service is paused. Please try again later."}` + "\n"))
		})
	}
}

// apply puts a set in force. fresh is false for one read from the file.
func (s *Switches) apply(set Set, fresh bool) {
	old := s.now.Swap(tableOf(set))
	s.mu.Lock()
	first := !s.state.Known
	s.state.Known, s.state.Version = true, set.Version
	if fresh {
		s.state.Read = time.Now()
	}
	s.mu.Unlock()
	s.once.Do(func() { close(s.ready) })
	if !fresh {
		return
	}
	select { // an older version that was not reported yet gives way
	case <-s.seen:
	default:
	}
	s.seen <- set.Version
	if first || old.set.Version != set.Version {
		s.save(set)
		if s.o.OnChange != nil {
			s.o.OnChange(set)
		}
	}
}

// load reads the set of an earlier process. A file that is damaged is an error: to start as if no
// switch were off would be to guess.
func (s *Switches) load() error {
	if s.o.File == "" {
		return nil
	}
	b, err := os.ReadFile(s.o.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("killswitch: Options.File: %w", err)
	}
	var set Set
	if err := json.Unmarshal(b, &set); err != nil {
		return fmt.Errorf("killswitch: Options.File %s is damaged: remove it to start without a known set", s.o.File)
	}
	s.apply(set, false)
	return nil
}

// save keeps the set for the next process. A crash before the rename leaves the older set, which
// the first answer of the server replaces. A failure is shown in State and stops nothing.
func (s *Switches) save(set Set) {
	if s.o.File == "" {
		return
	}
	b, err := json.Marshal(set)
	if err == nil {
		err = replace(s.o.File, b)
	}
	if err != nil {
		s.fail(fmt.Errorf("killswitch: Options.File: %w", err))
	}
}

func replace(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".switches-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (s *Switches) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.LastError = err.Error()
}

func (s *Switches) connected(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Connected = yes
}
