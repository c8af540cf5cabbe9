package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

// doorstep is a server that remembers the lines it was sent, and does not take a batch twice.
type doorstep struct {
	url, token string

	mu       sync.Mutex
	keys     map[string]bool
	lines    []string
	supplied map[string]bool
	die      func() // called once, after the next batch was taken and before it is answered
}

func newDoorstep(t *testing.T, o httpapi.Options) *doorstep {
	t.Helper()
	d, _ := desktest.New(now)
	s := &doorstep{keys: map[string]bool{}, supplied: map[string]bool{}, token: filepath.Join(t.TempDir(), "token")}
	d.Taken = func(_ desk.Key, how desk.Delivery, body io.Reader) (desk.Receipt, error) {
		raw, err := io.ReadAll(body)
		if err != nil {
			return desk.Receipt{}, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		n := bytes.Count(raw, []byte{'\n'})
		s.supplied[how.Supplied] = true
		if s.keys[how.Batch] {
			return desk.Receipt{Duplicates: n}, nil
		}
		s.keys[how.Batch] = true
		s.lines = append(s.lines, strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")...)
		if s.die != nil {
			s.die()
			s.die = nil
			return desk.Receipt{}, desk.ErrUnavailable
		}
		return desk.Receipt{Accepted: n}, nil
	}
	server := httptest.NewServer(httpapi.New(d, o))
	t.Cleanup(server.Close)
	s.url = server.URL
	if err := os.WriteFile(s.token, []byte(d.MachineKey("ingest", "app", "pickandpack")), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *doorstep) run(ctx context.Context, args ...string) (int, string) {
	var out bytes.Buffer
	root := cli.New(cli.Deps{Out: &out, Err: &out})
	return cli.Run(ctx, root, append([]string{"--server", s.url, "--token-file", s.token, "ingest"}, args...)), out.String()
}

func (s *doorstep) wait(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		n := len(s.lines)
		s.mu.Unlock()
		if n >= want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d lines arrived, want %d", n, want)
		}
	}
}

func appendLines(t *testing.T, path string, from, to int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := from; i < to; i++ {
		fmt.Fprintf(f, `203.0.113.9 - - [22/Nov/2026:03:02:11 +0000] "GET /n/%d HTTP/1.1" 200 1 "-" "curl/8"`+"\n", i)
	}
}

// A sender over its quota says until when it waits, and Ctrl-C ends the wait.
func TestWhoWaitsForTheQuotaSaysUntilWhenAndMayBeInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	s := newDoorstep(t, httpapi.Options{Quota: 1})
	log := filepath.Join(t.TempDir(), "access.log")
	appendLines(t, log, 0, 3*5000) // three requests: the first puts it 83 minutes in debt
	var out bytes.Buffer
	errs := &heard{to: &out, word: "waiting until", then: func() { interrupt(errors.New("interrupt signal received")) }} // as signal.NotifyContext does
	code := cli.Run(ctx, cli.New(cli.Deps{Out: &out, Err: errs}), []string{"--server", s.url, "--token-file", s.token, "ingest", log})
	said := out.String()
	if code != cli.ExitUnavailable || strings.Count(said, "waiting until ") != 1 || !strings.Contains(said, " UTC: this key sent more than its quota of 1 events a second\n") ||
		!strings.Contains(said, "interrupted while it waited for its quota") || !strings.Contains(said, "5,000 events were taken in before this") || strings.Contains(said, "is it running") {
		t.Errorf("%d: %s", code, said)
	}
}

// heard is a writer that calls then when a word is written to it.
type heard struct {
	to   io.Writer
	word string
	then func()
}

func (h *heard) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(h.word)) {
		h.then()
	}
	return h.to.Write(p)
}

// A log is followed over a stop between the request and its answer, over a restart and over a
// rotation: every line arrives once, in order, and none of it is called supplied later.
func TestAFollowedLogArrivesOnceOverRestartsAndRotations(t *testing.T) {
	s := newDoorstep(t, httpapi.Options{})
	dir := t.TempDir()
	log, position := filepath.Join(dir, "access.log"), filepath.Join(dir, "place")
	follow := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.run(ctx, "--follow", "--position", position, log)
		}()
		s.mu.Lock()
		s.die = func() { cancel() } // the first batch of each run is taken, and the answer lost
		s.mu.Unlock()
		return func() { cancel(); <-done }
	}
	appendLines(t, log, 0, 100)
	stop := follow()
	s.wait(t, 100)
	stop()
	appendLines(t, log, 100, 150)
	stop = follow() // sends the first hundred again, which are recognised
	s.wait(t, 150)
	stop()
	s.mu.Lock()
	s.die = nil
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx, "--follow", "--position", position, log)
	}()
	appendLines(t, log, 150, 160)
	s.wait(t, 160)
	appendLines(t, log, 160, 170)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	appendLines(t, log, 170, 200)
	s.wait(t, 200)
	cancel()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) != 200 {
		t.Fatalf("%d lines arrived", len(s.lines))
	}
	for i, l := range s.lines {
		if !strings.Contains(l, fmt.Sprintf("/n/%d ", i)) {
			t.Fatalf("line %d is %q", i, l)
		}
	}
	if len(s.supplied) != 1 || !s.supplied[""] {
		t.Errorf("marked as supplied: %v", s.supplied)
	}
}

// A file is marked with its digest; rejects are named by the line of the file, whatever requests it
// was sent in; a mapping's own rejects are among them.
func TestAFileIsMarkedAndItsRejectsAreNamedByItsOwnLines(t *testing.T) {
	s := newDoorstep(t, httpapi.Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "x.log")
	mapping := filepath.Join(dir, "m.yaml")
	if err := os.WriteFile(mapping, []byte("record: text\npattern: '^(?P<at>\\S+) (?P<who>\\S+)$'\nskip: r.who == 'nobody'\nfields: {time: timestamp(r.at), kind: '\"auth\"', actor.id: r.who}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("2026-11-22T03:02:11Z jo\n\nwrong\n2026-11-22T03:02:11Z nobody\n2026-11-22T03:02:12Z jo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := s.run(t.Context(), "--format", mapping, file)
	if code != cli.ExitRefused || !strings.Contains(out, "2 events accepted") || !strings.Contains(out, "line 3: event does not match the pattern") ||
		!strings.Contains(out, "1 skipped") || !strings.Contains(out, "supplied later, in the file sha256:") || strings.Contains(out, "wrong") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if len(s.lines) != 2 || s.lines[0] != `{"actor":{"id":"jo"},"kind":"auth","time":"2026-11-22T03:02:11Z"}` {
		t.Errorf("sent %q", s.lines)
	}
	if code, out := s.run(t.Context(), "--format", mapping, file); code != cli.ExitRefused || !strings.Contains(out, "2 duplicates") {
		t.Errorf("the same file again: exit %d\n%s", code, out)
	}
	if code, _ := s.run(t.Context(), "--format", "xml", file); code == cli.ExitDone {
		t.Error("an unknown format was taken")
	}
}
