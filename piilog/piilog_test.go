package piilog_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/piilog"
)

// door is an ingest address that counts an event once, by batch key and by id.
type door struct {
	*httptest.Server
	mu      sync.Mutex
	answer  func(n int) int // status of the n-th post, from 0; nil is always 200
	posts   int
	keys    []string
	ids     map[string]int
	batches map[string][]byte
	auth    string
	lines   []map[string]any
	hang    chan struct{} // posts wait for it when not nil
}

func newDoor(t *testing.T, answer func(int) int) *door {
	d := &door{answer: answer, ids: map[string]int{}, batches: map[string][]byte{}}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if d.hang != nil {
		select {
		case <-d.hang:
		case <-r.Context().Done():
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.posts
	d.posts++
	key := r.Header.Get("Tocsin-Batch")
	d.keys = append(d.keys, key)
	d.auth = r.Header.Get("Authorization")
	status := http.StatusOK
	if d.answer != nil {
		status = d.answer(n)
	}
	if status != http.StatusOK && status != lostAnswer {
		w.WriteHeader(status)
		return
	}
	events, again := 0, 0
	if old, ok := d.batches[key]; ok && !bytes.Equal(old, body) {
		w.WriteHeader(http.StatusConflict)
		return
	}
	d.batches[key] = body
	for s := bufio.NewScanner(bytes.NewReader(body)); s.Scan(); {
		var line map[string]any
		if json.Unmarshal(s.Bytes(), &line) != nil {
			continue
		}
		id := line["id"].(string)
		if d.ids[id]++; d.ids[id] > 1 {
			again++
			continue
		}
		events++
		d.lines = append(d.lines, line)
	}
	if status == lostAnswer {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"accepted":%d,"duplicates":%d,"rejected":[]}`, events, again)
}

// lostAnswer makes the door keep the batch and drop the connection.
const lostAnswer = -1

func (d *door) distinct() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids)
}

const secretKey = "ik_very_secret_value"

func start(t *testing.T, d *door, change func(*piilog.Options)) *piilog.Handler {
	t.Helper()
	o := piilog.Options{Endpoint: d.URL + "/v1/events", Key: secretKey, App: "shop", Env: "drill", MaxDelay: 10 * time.Millisecond, MaxWait: 50 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	h, err := piilog.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctx, stop := context.WithCancel(context.Background()); stop(); _ = h.Close(ctx) })
	return h
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), d)
	t.Cleanup(stop)
	return ctx
}

// promise: DET-1
func TestAccessArrivesInTheSharedShape(t *testing.T) {
	d := newDoor(t, nil)
	h := start(t, d, nil)
	id := piilog.Access(t.Context(), slog.New(h), piilog.Event{
		Actor: piilog.Actor{Type: "user", ID: "worker-3"}, Credential: "tok_9f", Action: "list", Merchant: "m_214", Store: "s_1",
		Subjects:  []piilog.Subject{{Kind: "account", ID: "191167", Region: "US-CA"}, {Kind: "account", ID: "191168"}},
		DataTypes: []string{"customer.email"}, Outcome: "ok", Source: piilog.Source{IP: "203.0.113.9", UserAgent: "curl/8"},
	})
	if err := h.Flush(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if len(d.lines) != 1 {
		t.Fatalf("%d events arrived, want 1", len(d.lines))
	}
	got := d.lines[0]
	if got["id"] != id || len(id) != 26 || got["kind"] != "pii_access" || got["app"] != "shop" || got["env"] != "drill" || got["merchant"] != "m_214" || got["records"] != 2.0 {
		t.Errorf("event arrived as %v", got)
	}
	if a := got["actor"].(map[string]any); a["type"] != "user" || a["id"] != "worker-3" {
		t.Errorf("actor arrived as %v", a)
	}
	if s := got["subjects"].([]any)[0].(map[string]any); s["kind"] != "account" || s["id"] != "191167" || s["region"] != "US-CA" {
		t.Errorf("subject arrived as %v", s)
	}
	if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
		t.Errorf("time: %v", err)
	}
	if d.auth != "Bearer "+secretKey {
		t.Errorf("authorization is %q", d.auth)
	}
}

func TestARefusedBatchIsRepeatedUnderItsKeyAndCountedOnce(t *testing.T) {
	d := newDoor(t, func(n int) int { return []int{503, 429, lostAnswer, 500, 200}[min(n, 4)] })
	h := start(t, d, nil)
	logger := slog.New(h)
	for range 20 {
		piilog.Access(t.Context(), logger, piilog.Event{Action: "read", Merchant: "m_1"})
	}
	if err := h.Flush(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if d.distinct() != 20 {
		t.Errorf("%d distinct events on the server, want 20", d.distinct())
	}
	for _, k := range d.keys[:5] {
		if k != d.keys[0] || k == "" {
			t.Fatalf("batch keys changed between attempts: %q", d.keys)
		}
	}
	st := h.Stats()
	if st.Retries != 4 || st.Waiting != 0 || st.Lost != 0 || st.Accepted+st.Duplicates != 20 {
		t.Errorf("stats %+v", st)
	}
}

func TestARequestNeverWaitsForASilentServer(t *testing.T) {
	d := newDoor(t, nil)
	d.hang = make(chan struct{})
	h := start(t, d, func(o *piilog.Options) { o.MaxMemory = 1 << 20 })
	logger := slog.New(h)
	begin := time.Now()
	for range 20_000 {
		piilog.Access(t.Context(), logger, piilog.Event{Action: "read", Merchant: "m_1"})
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("20,000 calls took %v while the server hangs", took)
	}
	st := h.Stats()
	if st.Lost == 0 || st.Lost+st.Waiting != 20_000 {
		t.Errorf("bounded memory must count what it cannot hold: %+v", st)
	}
	close(d.hang)
	if err := h.Flush(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := int64(d.distinct()); got != 20_000-st.Lost {
		t.Errorf("%d events arrived, %d were promised", got, 20_000-st.Lost)
	}
}

func TestWhatTheServerDoesNotTakeSurvivesARestart(t *testing.T) {
	down := true
	d := newDoor(t, func(int) int {
		if down {
			return 503
		}
		return 200
	})
	dir := filepath.Join(t.TempDir(), "spill")
	h := start(t, d, func(o *piilog.Options) { o.SpillDir = dir; o.MaxMemory = 128 << 10 })
	logger := slog.New(h)
	for i := range 3000 {
		piilog.Access(t.Context(), logger, piilog.Event{ID: fmt.Sprint("e", i), Action: "read", Merchant: "m_1"})
		if i%200 == 0 {
			waitFor(t, func() bool { return h.Stats().Waiting*140-h.Stats().Spilled < 100<<10 })
		}
	}
	if err := h.Close(within(t, 50*time.Millisecond)); err == nil {
		t.Fatal("closing while the server is away must say that events are left")
	}
	if st := h.Stats(); st.Lost != 0 || st.Waiting != 3000 {
		t.Fatalf("stats at the end of the first process: %+v", st)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("spill folder: %v %v", info, err)
	}
	d.mu.Lock()
	down = false
	d.mu.Unlock()

	h = start(t, d, func(o *piilog.Options) { o.SpillDir = dir })
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if d.distinct() != 3000 {
		t.Errorf("%d of 3000 events arrived after the restart", d.distinct())
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 0 {
		t.Errorf("spill files stay behind: %v", left)
	}
}

// A spill folder that somebody removes takes what was in it, which is counted; what comes after that is
// kept in a new one.
func TestASpillFolderThatWasRemovedIsMadeAnew(t *testing.T) {
	var up atomic.Bool
	d := newDoor(t, func(int) int {
		if up.Load() {
			return 200
		}
		return 503
	})
	dir := filepath.Join(t.TempDir(), "spill")
	h := start(t, d, func(o *piilog.Options) { o.SpillDir = dir; o.MaxBatch = 10 })
	send := func(from, to int) {
		for i := from; i < to; i++ {
			piilog.Access(t.Context(), slog.New(h), piilog.Event{ID: fmt.Sprint("e", i), Action: "read", Merchant: "m_1"})
		}
	}
	files := func() int {
		found, _ := filepath.Glob(filepath.Join(dir, "*.ndjson"))
		return len(found)
	}
	send(0, 50)
	waitFor(t, func() bool { return files() >= 4 })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	send(50, 100)
	waitFor(t, func() bool { return files() >= 5 })
	up.Store(true)
	err := h.Flush(within(t, 20*time.Second))
	st := h.Stats()
	if st.Accepted+st.Lost != 100 || st.Waiting != 0 || st.Lost > 50 || st.Lost < 40 || int64(d.distinct()) != st.Accepted {
		t.Errorf("%d arrived, stats %+v, %v", d.distinct(), st, err)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come true within 10 s")
		}
	}
}

func TestADamagedSpillFileIsCountedAndSetAside(t *testing.T) {
	d := newDoor(t, nil)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "01AAAA.2.ndjson"), []byte("{\"id\":\"a\"}\n{\"id\""), 0o600); err != nil {
		t.Fatal(err)
	}
	h := start(t, d, func(o *piilog.Options) { o.SpillDir = dir })
	waitFor(t, func() bool { return h.Stats().Waiting == 0 })
	if st := h.Stats(); st.Lost != 2 || !strings.Contains(st.LastError, "01AAAA.2.ndjson") {
		t.Errorf("stats %+v", st)
	}
}

func TestATooLargeBatchIsHalved(t *testing.T) {
	d := newDoor(t, nil)
	d.answer = func(int) int {
		return 200
	}
	inner := d.Config.Handler
	d.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 1500 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		inner.ServeHTTP(w, r)
	})
	h := start(t, d, func(o *piilog.Options) { o.MaxDelay = 50 * time.Millisecond })
	logger := slog.New(h)
	for range 64 {
		piilog.Access(t.Context(), logger, piilog.Event{Action: "read", Merchant: "m_1"})
	}
	if err := h.Flush(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if d.distinct() != 64 {
		t.Errorf("%d events arrived, want 64", d.distinct())
	}
}

func TestOtherRecordsGoToTheHandlerBehindAndNeverCarryTheEvent(t *testing.T) {
	d := newDoor(t, nil)
	var out bytes.Buffer
	h := start(t, d, func(o *piilog.Options) {
		o.Next = slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})
	})
	logger := slog.New(h).With("merchant", "m_7")
	logger.Info("quiet")
	logger.Warn("loud")
	e := piilog.Event{Action: "read", Subjects: []piilog.Subject{{Kind: "email", ID: "ann@example.com"}}}
	logger.Warn("a mistake", "event", e, "subject", e.Subjects[0])
	logger.Info("pii_access", "actor", "worker-1", slog.Group("source", "ip", "203.0.113.9"), "action", "read", "order", "17", "records", 3)
	if err := h.Flush(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Contains(s, "quiet") || !strings.Contains(s, "loud") || strings.Contains(s, "ann@example.com") {
		t.Errorf("the handler behind wrote %q", s)
	}
	got := d.lines[0]
	if got["merchant"] != "m_7" || got["records"] != 3.0 || got["source"].(map[string]any)["ip"] != "203.0.113.9" || got["attributes"].(map[string]any)["order"] != "17" {
		t.Errorf("event from attributes arrived as %v", got)
	}
}

func TestKeyNeverPrints(t *testing.T) {
	d := newDoor(t, func(int) int { return 401 })
	h := start(t, d, nil)
	piilog.Access(t.Context(), slog.New(h), piilog.Event{Action: "read", Merchant: "m_1"})
	err := h.Flush(within(t, 200*time.Millisecond))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "401") {
		t.Errorf("flush against a refusing server: %v", err)
	}
	if h.Stats().Waiting != 1 {
		t.Errorf("a wrong key must not lose events: %+v", h.Stats())
	}
	printed := fmt.Sprintf("%v %+v %#v %s %v %#v %+v", h, h, h, piilog.Key(secretKey), err, piilog.Options{Key: secretKey}, h.Stats())
	if strings.Contains(printed, secretKey) {
		t.Errorf("the key prints: %s", printed)
	}
}

func TestOptionsNameTheWrongField(t *testing.T) {
	for _, c := range []struct {
		o    piilog.Options
		want string
	}{
		{piilog.Options{Endpoint: "https://x/v1/events"}, "Options.Key"},
		{piilog.Options{Key: "k", Endpoint: "http://tocsin.example/v1/events"}, "https"},
		{piilog.Options{Key: "k", Endpoint: "nonsense"}, "Options.Endpoint"},
		{piilog.Options{Key: "k\r\nX: y", Endpoint: "https://x/v1/events"}, "Options.Key"},
		{piilog.Options{Key: "k", Endpoint: "https://x/", MaxBatch: 501}, "Options.MaxBatch"},
	} {
		if _, err := piilog.New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v does not name %s", err, c.want)
		}
	}
}

func TestMiddlewareRecordsRouteOutcomeAndBytes(t *testing.T) {
	d := newDoor(t, nil)
	h := start(t, d, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("GET /secret", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	wrap := piilog.Middleware(slog.New(h), func(r *http.Request, e *piilog.Event) { e.Merchant = "m_1" })
	app := httptest.NewServer(wrap(mux))
	defer app.Close()
	for _, path := range []string{"/orders/7?token=abc", "/secret"} {
		resp, err := http.Get(app.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if err := h.Flush(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	// The event of a request is logged when its handler returns, which may be after the answer.
	waitFor(t, func() bool { return d.distinct() == 2 })
	d.mu.Lock()
	defer d.mu.Unlock()
	first, second := d.lines[0], d.lines[1]
	if first["endpoint"] != "GET /orders/{id}" || first["bytes"] != 5.0 || first["outcome"] != "ok" || first["kind"] != "http_access" || first["merchant"] != "m_1" {
		t.Errorf("first request recorded as %v", first)
	}
	if second["outcome"] != "denied" || second["attributes"].(map[string]any)["status"] != "403" {
		t.Errorf("second request recorded as %v", second)
	}
}
