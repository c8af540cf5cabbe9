package cli_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/cli"
)

// Who presses Ctrl-C while a server counts is not told that the server is away, and the server sees
// that nobody waits any more.
func TestWhoInterruptsACommandIsNotToldThatTheServerIsAway(t *testing.T) {
	asked, left := make(chan struct{}, 8), make(chan struct{}, 8)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("tok"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		interrupt(errors.New("interrupt signal received")) // as signal.NotifyContext does
	}()
	var out bytes.Buffer
	root := cli.New(cli.Deps{In: strings.NewReader(""), Out: &out, Err: &out})
	code := cli.Run(ctx, root, []string{"--server", server.URL, "--token-file", token, "access", "list"})
	if code != cli.ExitUnavailable || !strings.Contains(out.String(), "interrupted before the server answered") || strings.Contains(out.String(), "is it running") {
		t.Errorf("%d: %s", code, out.String())
	}
	<-left
}

// Ctrl-C while a scope is followed ends the run on the server, by the id it was started under.
func TestWhoInterruptsAScopeEndsItsRunOnTheServer(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	ended := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"id":"run-7","state":"running"}`))
		case http.MethodGet:
			_, _ = w.Write([]byte(`{"id":"run-7","state":"running"}` + "\n"))
			_ = http.NewResponseController(w).Flush()
			interrupt(errors.New("interrupt signal received"))
			<-r.Context().Done()
		case http.MethodDelete:
			ended <- r.URL.Path
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("tok"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	root := cli.New(cli.Deps{In: strings.NewReader(""), Out: &out, Err: &out})
	code := cli.Run(ctx, root, []string{"--server", server.URL, "--token-file", token, "scope", "--credential", "tok", "--from", "2026-11-22T03:00Z", "--to", "2026-11-22T04:00Z"})
	if code == 0 || !strings.Contains(out.String(), "the server counts no further") {
		t.Errorf("%d: %s", code, out.String())
	}
	select {
	case path := <-ended:
		if !strings.HasSuffix(path, "/v1/scope/runs/run-7") {
			t.Errorf("ended %s", path)
		}
	default:
		t.Error("no run was ended")
	}
}
