package killswitch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-ir/tocsin/killswitch"
)

const key = "sw_very_secret"

// server is Tocsin as far as a program sees it.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	set      killswitch.Set
	changed  chan struct{}
	seen     map[string]int64
	noStream bool
	broken   bool
	drop     chan struct{} // closed to end open streams
}

func newServer(t *testing.T) *server {
	s := &server{set: killswitch.Set{Version: 1, Switches: []killswitch.Switch{}}, changed: make(chan struct{}), seen: map[string]int64{}, drop: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/switches", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.broken {
			fmt.Fprint(w, "<html>maintenance</html>")
			return
		}
		json.NewEncoder(w).Encode(s.set)
	})
	mux.HandleFunc("POST /v1/switches/seen", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Instance string
			Version  int64
		}
		json.NewDecoder(r.Body).Decode(&in)
		s.mu.Lock()
		s.seen[in.Instance] = in.Version
		s.mu.Unlock()
	})
	mux.HandleFunc("GET /v1/switches/stream", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		refuse, drop := s.noStream || s.broken, s.drop
		s.mu.Unlock()
		if refuse {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			s.mu.Lock()
			b, changed := mustJSON(s.set), s.changed
			s.mu.Unlock()
			fmt.Fprintf(w, ": hello\nevent: set\ndata: %s\n\n", b)
			w.(http.Flusher).Flush()
			select {
			case <-changed:
			case <-drop:
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (s *server) flip(switches ...killswitch.Switch) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = killswitch.Set{Version: s.set.Version + 1, Switches: append([]killswitch.Switch{}, switches...)}
	close(s.changed)
	s.changed = make(chan struct{})
	return s.set.Version
}

func off(merchant string) killswitch.Switch {
	return killswitch.Switch{Merchant: merchant, State: "off", Reason: "stolen token tok_9f", Since: time.Unix(0, 0).UTC()}
}

func connect(t *testing.T, s *server, change func(*killswitch.Options)) *killswitch.Switches {
	t.Helper()
	o := killswitch.Options{URL: s.URL, Key: key, App: "shop", Instance: "web-1", PollEvery: 20 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	sw, err := killswitch.Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sw.Close)
	return sw
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("within 10 s it did not come true that %s", what)
		}
	}
}

func isOff(sw *killswitch.Switches, merchant string) bool {
	_, off := sw.Paused(merchant)
	return off
}

// promise: CON-3
func TestASwitchStopsTheRunningServiceForItsMerchantAtOnce(t *testing.T) {
	s := newServer(t)
	sw := connect(t, s, nil)
	app := httptest.NewServer(sw.Middleware(func(r *http.Request) string { return r.URL.Query().Get("merchant") })(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served") })))
	defer app.Close()
	get := func(merchant string) *http.Response {
		resp, err := http.Get(app.URL + "/?merchant=" + merchant)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if r := get("m_1"); r.StatusCode != 200 {
		t.Fatalf("before any switch: %d", r.StatusCode)
	}
	version := s.flip(off("m_1"))
	waitFor(t, "the server has measured that web-1 follows", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.seen["web-1"] == version
	})
	r := get("m_1")
	var body map[string]string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || body["error"] != "service_paused" {
		t.Errorf("switched off: %d %v %v", r.StatusCode, r.Header, body)
	}
	if strings.Contains(fmt.Sprint(body), "tok_9f") {
		t.Error("the answer tells the caller, perhaps the attacker, why")
	}
	if r := get("m_2"); r.StatusCode != 200 {
		t.Errorf("another merchant is refused too: %d", r.StatusCode)
	}
	s.flip(off("*"))
	waitFor(t, "the switch for all holds", func() bool { return get("m_2").StatusCode == 503 && get("").StatusCode == 503 })
	s.flip()
	waitFor(t, "service is back", func() bool { return get("m_1").StatusCode == 200 })
}

// promise: CON-3
func TestWithoutAStreamTheProgramAsksAtIntervals(t *testing.T) {
	s := newServer(t)
	s.noStream = true
	sw := connect(t, s, nil)
	if !sw.State().Known {
		t.Fatal("the first set was not read")
	}
	s.flip(off("m_1"))
	waitFor(t, "m_1 is off", func() bool { return isOff(sw, "m_1") })
}

func TestTheLastKnownSetStaysInForceWhileTheServerIsAway(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "switches.json")
	sw := connect(t, s, func(o *killswitch.Options) { o.File = file })
	s.flip(off("m_1"))
	waitFor(t, "m_1 is off", func() bool { return isOff(sw, "m_1") })
	s.mu.Lock()
	s.broken = true
	close(s.drop)
	s.mu.Unlock()
	waitFor(t, "the failure shows", func() bool { return strings.Contains(sw.State().LastError, "not a set") })
	if !isOff(sw, "m_1") || isOff(sw, "m_2") {
		t.Error("an answer that is not a set changed the switches")
	}
	waitFor(t, "the file holds the set", func() bool { b, _ := os.ReadFile(file); return strings.Contains(string(b), "m_1") })

	again := connect(t, s, func(o *killswitch.Options) { o.File = file; o.Wait = -1 })
	if !isOff(again, "m_1") {
		t.Error("a new process forgot the switch")
	}
	if !again.State().Read.IsZero() {
		t.Error("knowledge from the file must not count as confirmed by the server")
	}
}

func TestStartPausedServesNobodyUntilASetIsKnown(t *testing.T) {
	s := newServer(t)
	s.broken = true
	sw := connect(t, s, func(o *killswitch.Options) { o.StartPaused = true; o.Wait = -1 })
	if !isOff(sw, "m_1") {
		t.Fatal("serving although nothing is known")
	}
	s.mu.Lock()
	s.broken = false
	s.mu.Unlock()
	waitFor(t, "service runs once the set is known", func() bool { return !isOff(sw, "m_1") })
}

func TestADamagedFileIsRefusedRatherThanGuessed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "switches.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := killswitch.Connect(context.Background(), killswitch.Options{URL: "http://127.0.0.1:1", Key: key, File: file})
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error is %v", err)
	}
}

func TestASilentStreamIsOpenedAnew(t *testing.T) {
	s := newServer(t)
	sw := connect(t, s, func(o *killswitch.Options) { o.Idle = 30 * time.Millisecond })
	waitFor(t, "the stream broke off for silence", func() bool { return strings.Contains(sw.State().LastError, "broke off") })
	s.flip(off("m_1"))
	waitFor(t, "m_1 is off", func() bool { return isOff(sw, "m_1") })
}

// away is a server that refuses connections. It counts how often it was looked for.
type away struct{ looked atomic.Int64 }

func (a *away) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/v1/switches/stream" {
		a.looked.Add(1)
	}
	return nil, errors.New("connection refused")
}

func TestAServerThatHasJustGoneIsLookedForOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a away
		s, err := killswitch.Connect(t.Context(), killswitch.Options{URL: "https://tocsin.example", Key: key, App: "app", HTTPTransport: &a, Wait: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(30 * time.Second)
		if n := a.looked.Load(); n < 110 || n > 260 {
			t.Fatalf("in the first half minute it was looked for %d times", n)
		}
		before := a.looked.Load()
		time.Sleep(10 * time.Minute)
		if n := a.looked.Load() - before; n < 290 || n > 620 {
			t.Fatalf("in the ten minutes after it was looked for %d times", n)
		}
	})
}

func TestKeyNeverPrints(t *testing.T) {
	s := newServer(t)
	sw := connect(t, s, func(o *killswitch.Options) { o.Key = "wrong" + key; o.Wait = -1 })
	waitFor(t, "the refusal shows", func() bool { return strings.Contains(sw.State().LastError, "401") })
	if out := fmt.Sprintf("%+v %#v %v", killswitch.Options{Key: key}, killswitch.Options{Key: key}, sw.State()); strings.Contains(out, key) {
		t.Errorf("the key prints: %s", out)
	}
}

func BenchmarkPaused(b *testing.B) {
	sw, err := killswitch.Connect(b.Context(), killswitch.Options{URL: "http://127.0.0.1:1", Key: key, Wait: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer sw.Close()
	for b.Loop() {
		sw.Paused("m_1")
	}
}
