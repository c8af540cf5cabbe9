// Package attack holds no code: its tests attack a running server from outside, as somebody with
// each kind of token would. Each test is named for what the attacker does not get.
package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/policies"
)

// target is a production server with somebody of each access.
type target struct {
	t     *testing.T
	app   *app.App
	dir   string
	token map[string]string // by name: owner, responder, second, viewer, ingest, switch
}

const config = `organisation: { id: example, name: Example }
listen: 127.0.0.1:0
apps: [ { id: example_app, name: Example } ]
policy: policies/policy.yaml
connectors:
  shop_switch: { type: switch }
`

// serve starts a server in a folder of its own; more is added to its configuration.
func serve(t *testing.T, more string) *target {
	t.Helper()
	dir, err := os.MkdirTemp("", "tocsin-attack-*") // a socket's path has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if _, err := app.CreateFolder(dir, "production", time.Now()); err != nil {
		t.Fatal(err)
	}
	source, err := policies.FS.ReadFile("pickandpack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"policies/policy.yaml": string(source), "tocsin.yaml": config + more} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &target{t: t, dir: dir, token: map[string]string{}}
	s.start()
	t.Cleanup(s.stop)
	_, code, _ := strings.Cut(s.app.Link(), "code=")
	s.token["owner"] = s.join(code)
	for name, access := range map[string]string{"responder": "responder", "second": "responder", "viewer": "viewer"} {
		s.token[name] = s.join(s.invite(name, access))
	}
	for _, purpose := range []string{"ingest", "switch"} {
		body := map[string]any{"purpose": purpose}
		if purpose == "ingest" {
			body["source"], body["app"] = "app_1", "example_app"
		}
		var made struct{ Key string }
		s.must("owner", "POST", "/v1/keys", body, &made)
		s.token[purpose] = made.Key
	}
	s.merchants("m_1", "m_2")
	return s
}

func (s *target) start() {
	s.t.Helper()
	a, err := app.New(context.WithoutCancel(s.t.Context()), app.Options{Dir: s.dir})
	if err != nil {
		s.t.Fatal(err)
	}
	s.app = a
	if err := a.Start(context.WithoutCancel(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
}

func (s *target) stop() {
	s.t.Helper()
	if s.app == nil {
		return
	}
	if err := s.app.Stop(); err != nil {
		s.t.Errorf("stop: %v", err)
	}
	s.app = nil
}

func (s *target) invite(id, access string) (code string) {
	s.t.Helper()
	var made struct{ Link string }
	s.must("owner", "POST", "/v1/people", map[string]any{"id": id, "name": id, "access": access}, &made)
	_, code, _ = strings.Cut(made.Link, "code=")
	return code
}

func (s *target) join(code string) (token string) {
	s.t.Helper()
	var joined struct{ Token string }
	s.must("", "POST", "/v1/join", map[string]any{"code": code}, &joined)
	return joined.Token
}

func (s *target) merchants(ids ...string) {
	s.t.Helper()
	text := "merchant,name,email\n"
	for _, id := range ids {
		text += id + ",Shop " + id + "," + id + "@shop.example\n"
	}
	if status, body := s.raw("owner", "POST", "/v1/merchants", "text/csv", []byte(text)); status != http.StatusOK {
		s.t.Fatalf("import: %d %s", status, body)
	}
}

// raw makes one request as somebody; "" is a stranger.
func (s *target) raw(as, method, path, kind string, body []byte, headers ...string) (int, []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.app.Addr()+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+s.token[as])
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // redirects are answers here
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// call sends JSON and reads JSON.
func (s *target) call(as, method, path string, body, into any) (int, string) {
	s.t.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	status, answer := s.unhurried(as, method, path, raw)
	if into != nil && status < 300 {
		if err := json.Unmarshal(answer, into); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
		}
	}
	return status, string(answer)
}

// unhurried makes a request again until it is not put off for its rate: these tests ask more in a second
// than anybody may.
func (s *target) unhurried(as, method, path string, body []byte, headers ...string) (status int, answer []byte) {
	s.t.Helper()
	s.eventually(method+" "+path+" is answered", func() bool {
		status, answer = s.raw(as, method, path, "application/json", body, headers...)
		return status != http.StatusTooManyRequests
	})
	return status, answer
}

func (s *target) must(as, method, path string, body, into any) {
	s.t.Helper()
	if status, answer := s.call(as, method, path, body, into); status >= 300 {
		s.t.Fatalf("%s %s as %q: %d %s", method, path, as, status, answer)
	}
}

// event is an access event as an app sends it; change sets or removes (nil) fields.
func event(n int, credential, merchant string, change map[string]any) map[string]any {
	e := map[string]any{
		"id": fmt.Sprintf("%s-%s-%d-%d", credential, merchant, n, time.Now().UnixNano()), "time": time.Now().UTC().Format(time.RFC3339Nano),
		"kind": "pii_access", "app": "example_app", "actor": map[string]any{"id": "svc", "type": "service"},
		"credential": credential, "action": "read", "endpoint": "/orders", "merchant": merchant,
		"records": 1, "outcome": "ok", "source": map[string]any{"ip": "203.0.113.9", "user_agent": "app/1"},
	}
	for k, v := range change {
		if e[k] = v; v == nil {
			delete(e, k)
		}
	}
	return e
}

// receipt is what the door answers.
type receipt struct {
	Accepted   int
	Duplicates int
	Rejected   []struct {
		Line          int
		Field, Reason string
	}
}

func (s *target) send(events ...map[string]any) receipt {
	s.t.Helper()
	var b bytes.Buffer
	for _, e := range events {
		if err := json.NewEncoder(&b).Encode(e); err != nil {
			s.t.Fatal(err)
		}
	}
	status, answer := s.raw("ingest", "POST", "/v1/events", "application/x-ndjson", b.Bytes())
	var r receipt
	if err := json.Unmarshal(answer, &r); status != http.StatusOK || err != nil {
		s.t.Fatalf("ingest: %d %s", status, answer)
	}
	return r
}

// eventually waits for a condition that the server reaches by itself.
func (s *target) eventually(what string, ok func() bool) {
	s.t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			s.t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// incidents lists titles by id.
func (s *target) incidents() map[string]string {
	s.t.Helper()
	var board struct{ Incidents []struct{ ID, Title string } }
	s.must("viewer", "GET", "/v1/incidents", nil, &board)
	out := map[string]string{}
	for _, i := range board.Incidents {
		out[i.ID] = i.Title
	}
	return out
}
