package httprevoke_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/contain/httprevoke"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"go.yaml.in/yaml/v3"
)

const (
	token = "shpat_the-stolen-token"
	admin = "admin-password"
)

// app is a service with a real token and a revoke address that can go wrong in named ways.
type app struct {
	*httptest.Server
	mu      sync.Mutex
	revoked bool
	calls   int
	keys    []string
	fault   string // noop, lost, lost-before, 500, 403, late, down
	probes  int
}

func newApp(t *testing.T) *app {
	a := &app{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.URL.Path == "/orders" {
		a.probes++
		switch {
		case a.fault == "down":
			w.WriteHeader(503)
		case a.revoked || r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(401)
		}
		return
	}
	a.calls++
	a.keys = append(a.keys, r.Header.Get("Idempotency-Key"))
	var in struct{ Credential string }
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Authorization") != "Bearer "+admin || json.Unmarshal(body, &in) != nil || in.Credential != "tok_9f" {
		w.WriteHeader(400)
		return
	}
	switch a.fault {
	case "noop":
	case "lost":
		a.revoked = true
		panic(http.ErrAbortHandler)
	case "lost-before":
		panic(http.ErrAbortHandler)
	case "500":
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(500)
	case "403":
		w.WriteHeader(403)
	case "late":
		time.AfterFunc(100*time.Millisecond, func() { a.mu.Lock(); a.revoked = true; a.mu.Unlock() })
	default:
		a.revoked = true
	}
}

var target = contain.Target{"credential": "tok_9f"}

func connector(t *testing.T, a *app) *httprevoke.Connector {
	t.Helper()
	var c httprevoke.Config
	err := yaml.Unmarshal([]byte(strings.ReplaceAll(`
revoke: { method: POST, url: "URL/admin/tokens/revoke", header: { Authorization: "Bearer ${secret:app_admin}" }, body: '{"credential":"${target.credential}"}', expect: [200, 204] }
probe:  { method: GET, url: "URL/orders?merchant=m_001", header: { Authorization: "Bearer ${secret}" }, refused: [401, 403], within: 300ms }
`, "URL", a.URL)), &c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate("connectors.app_tokens"); err != nil {
		t.Fatal(err)
	}
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 2 * time.Second})
	t.Cleanup(out.Close)
	return httprevoke.New(c, out, func(name string) (contain.Secret, error) {
		if name != "app_admin" {
			return contain.Secret{}, contain.ErrNoSecret
		}
		return contain.NewSecret(admin), nil
	})
}

func check(t *testing.T, what string, got contain.Result, want incident.Outcome, code string) {
	t.Helper()
	if got.Outcome != want || got.Code != code || got.At.IsZero() {
		t.Errorf("%s: %+v, want %s %s", what, got, want, code)
	}
	if all := fmt.Sprintf("%+v", got); strings.Contains(all, token) || strings.Contains(all, admin) {
		t.Errorf("%s: the result holds a secret: %s", what, all)
	}
}

// promise: CON-1
func TestTheOldTokenIsProvenDead(t *testing.T) {
	a := newApp(t)
	c := connector(t, a)
	plan, err := c.Plan(t.Context(), target, contain.NewSecret(token))
	if err != nil || len(plan.Steps) != 3 || plan.Blast == "" || plan.Undo == "" {
		t.Fatalf("%+v %v", plan, err)
	}
	if a.calls+a.probes != 0 {
		t.Error("planning reached the app")
	}
	check(t, "confirm before apply", c.Confirm(t.Context(), target, contain.NewSecret(token)), incident.Failed, "http 200")
	check(t, "apply", c.Apply(t.Context(), target, contain.NewSecret(token), "apply/INC-1/ACT-1/1"), incident.Done, "http 200")
	res := c.Confirm(t.Context(), target, contain.NewSecret(token))
	check(t, "confirm", res, incident.Done, "http 401")
	if !strings.Contains(res.Proof, "was refused with http 401 at 20") {
		t.Errorf("proof: %s", res.Proof)
	}
	check(t, "apply again", c.Apply(t.Context(), target, contain.NewSecret(token), "apply/INC-1/ACT-1/1"), incident.Done, "already_refused")
	if a.calls != 1 || a.keys[0] != "apply/INC-1/ACT-1/1" {
		t.Errorf("%d revoke calls with keys %v", a.calls, a.keys)
	}
	check(t, "undo", c.Undo(t.Context(), target, "undo/INC-1/ACT-1/1"), incident.Failed, "cannot_undo")
	if printed := fmt.Sprintf("%+v", plan); strings.Contains(printed, token) || strings.Contains(printed, admin) {
		t.Errorf("the plan holds a secret: %s", printed)
	}
}

// promise: CON-1
func TestFaultsOfTheRevokeCall(t *testing.T) {
	for _, c := range []struct {
		fault          string
		apply          incident.Outcome
		applyCode      string
		confirm        incident.Outcome
		confirmCode    string
		retry          time.Duration
		proofMustNotBe string
	}{
		{fault: "noop", apply: incident.Done, applyCode: "http 200", confirm: incident.Failed, confirmCode: "http 200"},
		{fault: "lost", apply: incident.Done, applyCode: "broken", confirm: incident.Done, confirmCode: "http 401"},
		{fault: "lost-before", apply: incident.Uncertain, applyCode: "broken", confirm: incident.Failed, confirmCode: "http 200"},
		{fault: "500", apply: incident.Deferred, applyCode: "http 500", confirm: incident.Failed, confirmCode: "http 200", retry: 9 * time.Second},
		{fault: "403", apply: incident.Failed, applyCode: "http 403", confirm: incident.Failed, confirmCode: "http 200"},
		{fault: "late", apply: incident.Done, applyCode: "http 200", confirm: incident.Done, confirmCode: "http 401"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			a := newApp(t)
			a.fault = c.fault
			con := connector(t, a)
			res := con.Apply(t.Context(), target, contain.NewSecret(token), "e1")
			check(t, "apply", res, c.apply, c.applyCode)
			if c.retry != 0 && res.Retry != c.retry {
				t.Errorf("retry %v, want %v", res.Retry, c.retry)
			}
			check(t, "confirm", con.Confirm(t.Context(), target, contain.NewSecret(token)), c.confirm, c.confirmCode)
		})
	}
}

func TestAServerThatIsDownProvesNothing(t *testing.T) {
	a := newApp(t)
	a.fault = "down"
	c := connector(t, a)
	check(t, "confirm", c.Confirm(t.Context(), target, contain.NewSecret(token)), incident.Deferred, "http 503")
	a.Close()
	check(t, "confirm", c.Confirm(t.Context(), target, contain.NewSecret(token)), incident.Deferred, "connect")
	check(t, "apply", c.Apply(t.Context(), target, contain.NewSecret(token), "e1"), incident.Deferred, "connect")
}

func TestPlanSaysWhatIsMissing(t *testing.T) {
	c := connector(t, newApp(t))
	if _, err := c.Plan(t.Context(), target, contain.Secret{}); err == nil || !strings.Contains(err.Error(), "names no secret") {
		t.Errorf("without a secret: %v", err)
	}
	if _, err := c.Plan(t.Context(), contain.Target{}, contain.NewSecret(token)); err == nil || !strings.Contains(err.Error(), "${target.credential}") {
		t.Errorf("without a target: %v", err)
	}
}

func TestConfigurationNamesTheField(t *testing.T) {
	good := func() httprevoke.Config {
		return httprevoke.Config{
			Revoke: contain.Call{Template: egress.Template{Method: "POST", URL: "https://x/revoke"}, Expect: []int{200}},
			Probe:  contain.Probe{Template: egress.Template{Method: "GET", URL: "https://x/", Header: map[string]string{"A": "${secret}"}}, Refused: []int{401}},
		}
	}
	if err := good().Validate("connectors.c"); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*httprevoke.Config){
		"connectors.c.revoke.expect":                 func(c *httprevoke.Config) { c.Revoke.Expect = nil },
		"connectors.c.revoke.url":                    func(c *httprevoke.Config) { c.Revoke.URL = "" },
		"connectors.c.probe.refused":                 func(c *httprevoke.Config) { c.Probe.Refused = []int{40} },
		"connectors.c.probe.accepted":                func(c *httprevoke.Config) { c.Probe.Accepted = []int{401} },
		"connectors.c.probe: it does not use ${sec":  func(c *httprevoke.Config) { c.Probe.Header = nil },
		"connectors.c.probe.within: 1h0m0s is not b": func(c *httprevoke.Config) { c.Probe.Within = time.Hour },
	} {
		c := good()
		change(&c)
		if err := c.Validate("connectors.c"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v does not begin with %q", err, want)
		}
	}
}

func TestConfirmStopsWithItsContext(t *testing.T) {
	c := connector(t, newApp(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, "confirm", c.Confirm(ctx, target, contain.NewSecret(token)), incident.Deferred, "cancelled")
}
