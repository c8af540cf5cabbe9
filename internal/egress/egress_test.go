package egress_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/egress"
	"pgregory.net/rapid"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func get(t *testing.T, c *egress.Client, address string) (egress.Response, error) {
	t.Helper()
	t.Cleanup(c.Close)
	r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Send(t.Context(), r)
}

func TestSpecialAddressesAreRefusedBeforeAByteLeaves(t *testing.T) {
	hit := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = true }))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		_, err := get(t, egress.New(egress.Options{}), "http://"+host+":"+port+"/?token=abc")
		var e *egress.Error
		if !errors.As(err, &e) || e.Code != "refused_address" || e.Sent {
			t.Errorf("%s: error %v", host, err)
		}
		if strings.Contains(fmt.Sprint(err), "abc") {
			t.Errorf("the error carries the query: %v", err)
		}
	}
	if hit {
		t.Error("a request arrived")
	}
	for _, a := range []string{"10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "224.0.0.1", "255.255.255.255", "0.0.0.0"} {
		if !egress.Special(netip.MustParseAddr(a)) {
			t.Errorf("%s counts as public", a)
		}
	}
	for _, a := range []string{"1.1.1.1", "93.184.216.34", "2606:4700:4700::1111"} {
		if egress.Special(netip.MustParseAddr(a)) {
			t.Errorf("%s counts as special", a)
		}
	}
}

func TestAnAllowedPrefixIsReached(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(429)
		io.WriteString(w, "slow down")
	}))
	defer s.Close()
	resp, err := get(t, egress.New(egress.Options{Allow: loopback}), s.URL)
	if err != nil || resp.Status != 429 || string(resp.Body) != "slow down" || resp.RetryAfter != 7*time.Second {
		t.Errorf("%+v %v", resp, err)
	}
}

func TestRedirectsDoNotLeaveTheHost(t *testing.T) {
	var away *httptest.Server
	reached := false
	away = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer away.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, away.URL, http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	}))
	defer s.Close()
	_, err := get(t, egress.New(egress.Options{Allow: loopback}), s.URL+"/away")
	var e *egress.Error
	if !errors.As(err, &e) || e.Code != "redirect" || reached {
		t.Errorf("redirect to another host: %v, reached %v", err, reached)
	}
	if resp, err := get(t, egress.New(egress.Options{Allow: loopback}), s.URL+"/here"); err != nil || resp.Status != 200 {
		t.Errorf("redirect on the host: %v %v", resp.Status, err)
	}
}

func TestErrorsSayWhetherTheRequestWasSent(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-hang
		case "/large":
			w.Write(make([]byte, 5000))
		case "/drop":
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	defer close(hang)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		address, code string
		sent          bool
	}{
		{s.URL + "/hang", "timeout", true},
		{s.URL + "/large", "too_large", true},
		{s.URL + "/drop", "broken", true},
		{"http://" + closed.Addr().String(), "connect", false},
	} {
		_, err := get(t, egress.New(egress.Options{Allow: loopback, Timeout: 100 * time.Millisecond, MaxBody: 4000}), c.address)
		var e *egress.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Sent != c.sent {
			t.Errorf("%s: got %v, want code %s sent %v", c.address, err, c.code, c.sent)
		}
	}
}

func TestTLSIsChecked(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer s.Close()
	_, err := get(t, egress.New(egress.Options{Allow: loopback}), s.URL)
	var e *egress.Error
	if !errors.As(err, &e) || e.Code != "tls" || e.Sent {
		t.Errorf("an unknown certificate gives %v", err)
	}
}

func TestTemplatesNameTheWrongField(t *testing.T) {
	ok := egress.Template{Method: "POST", URL: "https://app.example/t/${target.credential}?a=${target.x}", Header: map[string]string{"Authorization": "Bearer ${secret:app_admin}"}, Body: `{"c":"${target.credential}"}`}
	if err := ok.Validate("revoke"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(ok.Secrets(), ok.Targets(), ok.Place()); got != "[app_admin] [credential x]POST https://app.example/t/${target.credential}" {
		t.Errorf("template reads %s", got)
	}
	for want, change := range map[string]func(*egress.Template){
		"revoke.method":             func(t *egress.Template) { t.Method = "get" },
		"revoke.url: it is not":     func(t *egress.Template) { t.URL = "ftp://x/" },
		"revoke.url: a ${":          func(t *egress.Template) { t.URL = "https://${target.host}/" },
		"revoke.url: a user":        func(t *egress.Template) { t.URL = "https://u:p@x/" },
		"revoke.url: ${secrets}":    func(t *egress.Template) { t.URL = "https://x/${secrets}" },
		"revoke.header: \"A B\"":    func(t *egress.Template) { t.Header = map[string]string{"A B": "c"} },
		"revoke.header: host":       func(t *egress.Template) { t.Header = map[string]string{"host": "c"} },
		"revoke.body: it is not":    func(t *egress.Template) { t.Body = `{"c":${target.credential}}` },
		"revoke.body: a ${…} may":   func(t *egress.Template) { t.Body = `c ${secret}` },
		"revoke.body: a ${ has":     func(t *egress.Template) { t.Body = `{"c":"${secret"` },
		"revoke.hmac.secret: write": func(t *egress.Template) { t.HMAC = &egress.HMAC{Header: "X", Secret: "plain"} },
	} {
		bad := ok
		change(&bad)
		if err := bad.Validate("revoke"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %q does not begin with %q", err, want)
		}
	}
}

// A value can never leave the place where it stands, whatever characters it holds.
func TestValuesStayInTheirPlace(t *testing.T) {
	tpl := egress.Template{Method: "POST", URL: "https://app.example/tokens/${target.v}/end?a=${target.v}&b=1", Header: map[string]string{"X-Value": "v=${target.v}"}, Body: `{"v":"${target.v}","w":1}`}
	if err := tpl.Validate("t"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.String(), rapid.StringMatching(`[./?#&%"\\ \r\n:@]{1,8}`)).Draw(t, "value")
		r, err := tpl.Request(context.Background(), egress.Values{Target: map[string]string{"v": v}})
		if err != nil {
			return // refused: nothing leaves
		}
		if r.URL.Host != "app.example" || r.URL.Fragment != "" || len(r.URL.Query()) != 2 || r.URL.Query().Get("a") != v || r.URL.Query().Get("b") != "1" {
			t.Fatalf("address became %s", r.URL)
		}
		if parts := strings.Split(r.URL.EscapedPath(), "/"); len(parts) != 4 || parts[1] != "tokens" || parts[3] != "end" || parts[2] == "." || parts[2] == ".." {
			t.Fatalf("path became %s", r.URL.EscapedPath())
		}
		if got := r.Header.Get("X-Value"); got != "v="+v {
			t.Fatalf("header became %q", got)
		}
		body, _ := io.ReadAll(r.Body)
		var in map[string]any
		if err := json.Unmarshal(body, &in); err != nil || len(in) != 2 || in["v"] != v {
			t.Fatalf("body became %s", body)
		}
	})
}

func TestHMACSignsTheBodyThatIsSent(t *testing.T) {
	tpl := egress.Template{Method: "POST", URL: "https://x/ping", Body: `{"ping":true}`, HMAC: &egress.HMAC{Header: "X-Shopify-Hmac-Sha256", Secret: "${secret}"}}
	r, err := tpl.Request(t.Context(), egress.Values{Secret: egress.NewSecret("shh")})
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("shh"))
	body, _ := io.ReadAll(r.Body)
	mac.Write(body)
	if got := r.Header.Get("X-Shopify-Hmac-Sha256"); got != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q", got)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	s := egress.NewSecret("hunter2")
	type hidden struct{ inner egress.Secret }
	js, _ := json.Marshal(map[string]any{"s": s})
	out := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v %s", s, s, s, s, s, s, s, hidden{s}, egress.Values{Secret: s}, js)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "values", egress.Values{Secret: s})
	for _, form := range []string{"hunter2", "68756e74657232"} {
		if strings.Contains(out+log.String(), form) {
			t.Errorf("the secret prints: %s %s", out, log.String())
		}
	}
	_, err := egress.Template{Method: "GET", URL: "https://x/", Header: map[string]string{"A": "${secret}"}}.Request(t.Context(), egress.Values{Secret: egress.NewSecret("hunter2\r\nX: y")})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret with a line break: %v", err)
	}
}
