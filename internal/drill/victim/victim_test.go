package victim

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/attacker"
	"github.com/tocsin-ir/tocsin/internal/drill/world"
)

var start = time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)

type fixture struct {
	*testing.T
	victim *Victim
	server *httptest.Server
	c      Config
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	env := filepath.Join(dir, "app.env")
	if err := os.WriteFile(env, []byte("# app\nSHOPIFY_WEBHOOK_SECRET=old-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Seed: 7, Merchants: 20, Start: start, Tokens: []Token{{world.BackOffice, "stolen"}, {world.SyncWorker, "sync"}}, Admin: "admin", EnvFile: env, Log: filepath.Join(dir, "requests.ndjson"), App: "pickandpack"}
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(v.Handler())
	t.Cleanup(func() { s.Close(); v.Close() })
	return &fixture{t, v, s, c}
}

func (f *fixture) do(method, path, token, body string, header ...string) (*http.Response, string) {
	f.Helper()
	req, err := http.NewRequest(method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp, string(data)
}

func (f *fixture) lines() []Line {
	f.Helper()
	f.victim.log.flush()
	data, err := os.ReadFile(f.c.Log)
	if err != nil {
		f.Fatal(err)
	}
	var out []Line
	for l := range strings.Lines(string(data)) {
		var line Line
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			f.Fatal(err)
		}
		out = append(out, line)
	}
	return out
}

func TestAnAnsweredAccessIsLoggedWithItsEventIdAndCustomers(t *testing.T) {
	f := newFixture(t)
	at := start.Add(time.Hour)
	resp, body := f.do("GET", "/orders?merchant=m_001&page=1", "stolen", "", "Drill-Time", at.Format(time.RFC3339), "X-Forwarded-For", "203.0.113.9", "User-Agent", "curl/8")
	if resp.StatusCode != 200 || !strings.Contains(body, "@mail.example") {
		t.Fatal(resp.Status, body)
	}
	l := f.lines()
	if len(l) != 1 || l[0].ID != resp.Header.Get("Event-Id") || len(l[0].ID) != 26 || !l[0].Time.Equal(at) || l[0].IP != "203.0.113.9" || l[0].Agent != "curl/8" || len(l[0].Customers) == 0 {
		t.Fatalf("%+v", l)
	}
	if l[0].Credential != CredentialID("stolen") || strings.Contains(l[0].Credential, "stolen") {
		t.Fatalf("the log names the credential as %q", l[0].Credential)
	}
}

func TestARevokedTokenIsRefusedAndOthersGoOn(t *testing.T) {
	f := newFixture(t)
	if resp, _ := f.do("POST", "/admin/tokens/revoke", "guess", `{"credential":"x"}`); resp.StatusCode != 401 {
		t.Fatalf("a stranger revokes: %s", resp.Status)
	}
	if resp, _ := f.do("POST", "/admin/tokens/revoke", "admin", `{"credential":"`+CredentialID("stolen")+`"}`); resp.StatusCode != 204 {
		t.Fatal(resp.Status)
	}
	for path, want := range map[string]int{"/orders?merchant=m_001": 401, "/session": 401} {
		if resp, body := f.do("GET", path, "stolen", ""); resp.StatusCode != want || strings.Contains(body, "@") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	if resp, _ := f.do("GET", "/orders?merchant=m_001", "sync", ""); resp.StatusCode != 200 {
		t.Errorf("the other token: %s", resp.Status)
	}
	resp, body := f.do("POST", "/admin/tokens", "admin", `{"name":"back-office"}`)
	var issued struct{ Token string }
	if err := json.Unmarshal([]byte(body), &issued); err != nil || resp.StatusCode != 201 {
		t.Fatal(resp.Status, err)
	}
	if resp, _ := f.do("GET", "/orders?merchant=m_001", issued.Token, ""); resp.StatusCode != 200 {
		t.Errorf("the new token: %s", resp.Status)
	}
}

func TestAWebhookCountsOnlyUnderTheSecretThatStandsInTheFileNow(t *testing.T) {
	f := newFixture(t)
	ping := func(secret string) int {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(`{}`))
		resp, _ := f.do("POST", "/webhooks/ping", "", `{}`, "X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		return resp.StatusCode
	}
	if ping("old-secret") != 200 || ping("new-secret") != 401 {
		t.Fatal("before the rotation")
	}
	if err := os.WriteFile(f.c.EnvFile, []byte("SHOPIFY_WEBHOOK_SECRET=\"new-secret\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ping("old-secret") != 401 || ping("new-secret") != 200 {
		t.Fatal("after the rotation")
	}
}

// inbox takes events as the responder's door does.
type inbox struct {
	mu     sync.Mutex
	events []map[string]any
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/events" {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"version":1,"switches":[]}`)
		return
	}
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	n := 0
	for d := json.NewDecoder(body); ; n++ {
		var e map[string]any
		if d.Decode(&e) != nil {
			break
		}
		i.mu.Lock()
		i.events = append(i.events, e)
		i.mu.Unlock()
	}
	json.NewEncoder(w).Encode(map[string]any{"accepted": n, "duplicates": 0, "rejected": []any{}})
}

func TestBulkAccessesTakeTheSamePathAndAreDurableWhenAnswered(t *testing.T) {
	f := newFixture(t)
	in := &inbox{}
	tocsin := httptest.NewServer(in)
	defer tocsin.Close()
	connection, _ := json.Marshal(Connection{URL: tocsin.URL, IngestKey: "k", SwitchKey: "s"})
	if resp, body := f.do("POST", "/drill/connect", "admin", string(connection)); resp.StatusCode != 204 {
		t.Fatal(resp.Status, body)
	}
	var body bytes.Buffer
	w := world.New(world.Options{Seed: 7, Merchants: 20, Start: start})
	accesses := w.Traffic(start.Add(8*time.Hour), start.Add(10*time.Hour))
	known := 0
	for _, a := range accesses {
		json.NewEncoder(&body).Encode(a)
		if a.Credential == world.BackOffice || a.Credential == world.SyncWorker {
			known++
		}
	}
	if resp, text := f.do("POST", "/drill/accesses", "admin", body.String()); resp.StatusCode != 200 {
		t.Fatal(resp.Status, text)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	listed := 0
	for _, e := range in.events {
		if e["kind"] == "pii_access" {
			listed++
		}
	}
	ok := 0
	for _, l := range f.lines() {
		if l.Path == "/orders" && l.Status == 200 {
			ok++
		}
	}
	if known == 0 || listed != known || ok != known {
		t.Fatalf("%d accesses with a known token, %d events, %d answered lines", known, listed, ok)
	}
}

func TestTheAttackerRemembersExactlyWhatItReceivedUntilItIsRefused(t *testing.T) {
	f := newFixture(t)
	a := attacker.New(attacker.Config{Target: f.server.URL, Token: "stolen", Seed: 1, Merchants: []attacker.Account{{ID: "m_001", Pages: 4}, {ID: "m_002", Pages: 4}}})
	o := attacker.Order{ID: 1, IP: "203.0.113.9", Agent: "x", From: start, To: start.Add(time.Hour), Count: 5}
	if r := a.Obey(context.Background(), o); r.Taken != 5 || r.Refused != 0 {
		t.Fatalf("%+v", r)
	}
	f.do("POST", "/admin/tokens/revoke", "admin", `{"credential":"`+CredentialID("stolen")+`"}`)
	if r := a.Obey(context.Background(), o); r.Taken != 0 || r.Refused != 1 {
		t.Fatalf("%+v", r)
	}
	want := map[string]int{}
	for _, l := range f.lines() {
		if l.ID != "" {
			want[l.ID] = len(l.Customers)
		}
	}
	truth := a.Truth().Events
	if len(truth) != 5 || len(want) != 5 {
		t.Fatalf("truth of %d events, log of %d", len(truth), len(want))
	}
	for _, e := range truth {
		if want[e.ID] != len(e.Customers) {
			t.Errorf("event %s: %d customers received, %d logged", e.ID, len(e.Customers), want[e.ID])
		}
	}
}
