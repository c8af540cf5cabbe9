package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
)

func serve(t *testing.T, h http.HandlerFunc, options ...client.Option) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, append([]client.Option{client.WithToken("tsc_token_secret"), client.WithTries(3, time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWriteIsRepeatedWithTheSameKeyAndBody(t *testing.T) {
	var keys, bodies []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(body))
		switch len(keys) {
		case 1: // the connection breaks after the server took the command
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `{"incident":"INC-1","reason":"confirmed","replayed":true}`)
		}
	})
	out, err := c.Command(t.Context(), "INC-1", "confirm", map[string]string{"reason": "r"})
	if err != nil || !out.Replayed {
		t.Fatalf("%+v %v", out, err)
	}
	if len(keys) != 3 || keys[0] == "" || keys[0] != keys[1] || keys[1] != keys[2] || bodies[0] != bodies[2] {
		t.Errorf("keys %q, bodies %q", keys, bodies)
	}
}

func TestRefusalIsNotRepeated(t *testing.T) {
	var n atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"status":409,"title":"Conflict","detail":"restore is refused","reason":"gate_shut","missing":[{"what":"no fix","do":"fix it"}]}`)
	})
	_, err := c.Command(t.Context(), "INC-1", "restore", nil)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Reason != "gate_shut" || refused.Missing[0].What != "no fix" || err.Error() != "restore is refused: no fix" {
		t.Errorf("%v", err)
	}
	if n.Load() != 1 {
		t.Errorf("sent %d times", n.Load())
	}
}

func TestKeyOfTheCaller(t *testing.T) {
	var keys []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		fmt.Fprint(w, `{}`)
	})
	for range 2 {
		if _, err := c.Open(client.WithKey(t.Context(), "mine"), map[string]string{"class": "c"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Board(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys[0] != "mine" || keys[1] != "mine" || keys[2] != "" {
		t.Errorf("%q", keys)
	}
}

func TestUnixSocketInBothSpellings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tocsin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"name":%q}`, r.URL.Path+" "+r.Header.Get("Authorization"))
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	for _, scheme := range []string{"unix://", "http+unix://"} {
		c, err := client.New(scheme+path, client.WithToken("t"))
		if err != nil {
			t.Fatal(err)
		}
		me, err := c.Whoami(t.Context())
		if err != nil || me.Name != "/v1/whoami Bearer t" {
			t.Errorf("%s: %+v %v", scheme, me, err)
		}
	}
}

// promise: PRO-12
func TestTokenIsNeverPrintedOrCarriedElsewhere(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the token went elsewhere: %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.Board(t.Context())
	if err == nil {
		t.Error("a redirect was followed")
	}
	for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%v %+v %#v", client.Token("tsc_token_secret"), client.Token("tsc_token_secret"), client.Token("tsc_token_secret"))} {
		if strings.Contains(text, "tsc_token_secret") {
			t.Errorf("the token stands in %q", text)
		}
	}
	gone, err := client.New("http://127.0.0.1:1", client.WithTries(1, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = gone.Join(t.Context(), "tsc_join_secret")
	var away *client.UnavailableError
	if !errors.As(err, &away) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestExportThatIsCutShortIsAnError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "tocsin-export/v1\n")
	})
	var file bytes.Buffer
	if _, err := c.Export(t.Context(), "INC-1", "the insurer", &file); err == nil {
		t.Error("half an export was taken for a whole one")
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Board(ctx)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests {
		t.Errorf("%v", err)
	}
}

// Who sends under a quota waits as often as it is asked to, however few tries there are, and is told
// before each wait.
func TestPatienceOutlastsTheTries(t *testing.T) {
	asked := 0
	var waits []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked > 3 {
			io.WriteString(w, `{"accepted":1}`)
			return
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"detail":"over the quota"}`)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, client.WithTries(1, 0), client.WithPatience(func(until time.Time, refused *client.Error) {
		if left := time.Until(until); left <= 0 || left > time.Second {
			t.Errorf("waits for %v", left)
		}
		waits = append(waits, refused.Detail)
	}))
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := c.Ingest(t.Context(), "b", "native", []byte("{}"))
	if err != nil || receipt.Accepted != 1 || len(waits) != 3 || waits[0] != "over the quota" {
		t.Errorf("%+v %v, told of %q", receipt, err, waits)
	}
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[string]bool{"http://127.0.0.1:8080": true, "https://security.example.com/": true, "unix:///x/tocsin.sock": true,
		"": false, "ftp://x": false, "https://": false, "https://user:pass@x": false, "unix://": false, "127.0.0.1:8080": false, "::": false} {
		if _, err := client.New(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		} else if err != nil && strings.Contains(err.Error(), "pass") {
			t.Errorf("%q: the error shows the password: %v", address, err)
		}
	}
}
