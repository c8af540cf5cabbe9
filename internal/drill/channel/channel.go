// Package channel is where a vendor's clients talk with it, as far as telling them something goes: the
// Web API and the incoming webhooks of Slack, and the message boards of Basecamp, with their tokens,
// limits and errors as both document them. Drills run it as a process of its own, and tests of whatever
// posts there run it in theirs. It keeps a log of its own of every attempt, which the judge believes and
// the responder never sees.
package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Config is the first JSON document on standard input.
type Config struct {
	Slack    Slack     `json:"slack"`
	Basecamp Basecamp  `json:"basecamp"`
	Log      string    `json:"log"`       // NDJSON of Line
	DropEach int       `json:"drop_each"` // every n-th message is kept and its connection dropped unanswered; 0: never
	Now      time.Time `json:"now"`       // domain time, moved by orders
}

// Secret prints as "[redacted]".
type Secret string

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Ready is the first answer.
type Ready struct {
	Ready    bool   `json:"ready"`
	Slack    string `json:"slack"` // host:port
	Basecamp string `json:"basecamp"`
}

// Line is one attempt to tell somebody something.
type Line struct {
	Time     time.Time `json:"time"` // domain time
	Real     time.Time `json:"real"`
	Platform string    `json:"platform"` // slack or basecamp
	Channel  string    `json:"channel"`  // a channel, or a message board
	Message  string    `json:"message,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Text     string    `json:"text,omitempty"`  // as people read it
	Error    string    `json:"error,omitempty"` // why it was not taken
	Seen     bool      `json:"seen"`            // clients can read it
	Dropped  bool      `json:"dropped,omitempty"`
}

// order is a message on standard input after the configuration.
type order struct {
	ID  int       `json:"id"`
	Now time.Time `json:"now"`
}

// Platforms are both of them while they run.
type Platforms struct {
	c    Config
	tick func() time.Time

	mu     sync.Mutex
	now    time.Time
	log    *os.File
	failed error // of the log
	lines  []Line
	kept   int
	last   map[string]time.Time // of a Slack channel's newest message
	calls  []time.Time          // to Basecamp, the newest
	posts  map[int64]*Line      // messages on boards that clients cannot read yet
	next   int64
}

// New makes them. tick reads the machine's clock; nil is time.Now.
func New(c Config, tick func() time.Time) (*Platforms, error) {
	if tick == nil {
		tick = time.Now
	}
	p := &Platforms{c: c, tick: tick, now: c.Now, last: map[string]time.Time{}, posts: map[int64]*Line{}, next: 9_000_000_000}
	if c.Log != "" {
		var err error
		if p.log, err = os.OpenFile(c.Log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return nil, fmt.Errorf("channel: %w", err)
		}
	}
	return p, nil
}

// Lines is the log so far.
func (p *Platforms) Lines() []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Line(nil), p.lines...)
}

// note writes a line of the log; the caller holds the lock.
func (p *Platforms) note(l Line) {
	l.Time, l.Real = p.now, p.tick().UTC()
	p.lines = append(p.lines, l)
	if p.log == nil {
		return
	}
	raw, err := json.Marshal(l)
	if err == nil {
		_, err = p.log.Write(append(raw, '\n'))
	}
	p.failed = errors.Join(p.failed, err)
}

// drops says whether the message that was just kept is one whose sender hears nothing; the caller holds
// the lock.
func (p *Platforms) drops() bool {
	p.kept++
	return p.c.DropEach > 0 && p.kept%p.c.DropEach == 0
}

// hangUp ends a connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // which ends it too
	}
	conn.Close()
}

// Main serves until standard input ends or ctx does.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	in, out := json.NewDecoder(stdin), json.NewEncoder(stdout)
	var c Config
	if err := in.Decode(&c); err != nil {
		return fmt.Errorf("channel: configuration on standard input: %w", err)
	}
	p, err := New(c, nil)
	if err != nil {
		return err
	}
	ready := Ready{Ready: true}
	var running sync.WaitGroup
	defer running.Wait() // last, when each of them is closed
	for _, s := range []struct {
		h  http.Handler
		at *string
	}{{p.SlackHandler(), &ready.Slack}, {p.BasecampHandler(), &ready.Basecamp}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("channel: listen: %w", err)
		}
		*s.at = l.Addr().String()
		server := &http.Server{Handler: s.h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
		running.Go(func() { _ = server.Serve(l) }) // it ends when it is closed
		defer server.Close()
	}
	if err := out.Encode(ready); err != nil {
		return err
	}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return p.end()
			}
			return errors.Join(fmt.Errorf("channel: order: %w", err), p.end())
		}
		p.mu.Lock()
		if !o.Now.IsZero() {
			p.now = o.Now
		}
		p.mu.Unlock()
		if err := out.Encode(map[string]any{"id": o.ID, "ok": true}); err != nil {
			return err
		}
	}
}

// end closes the log.
func (p *Platforms) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log == nil {
		return p.failed
	}
	err := errors.Join(p.failed, p.log.Close())
	p.log = nil
	return err
}
