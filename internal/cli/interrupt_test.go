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
