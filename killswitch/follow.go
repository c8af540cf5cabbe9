package killswitch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// maxSet is the largest set that is read, in bytes.
const maxSet = 8 << 20

// A server that has just gone is mostly back soon, and a switch may be thrown at once then: for so long
// it is looked for often.
const (
	justGone  = 30 * time.Second
	lookAgain = 250 * time.Millisecond
)

// follow keeps the set fresh: it holds a stream, and when the stream ends or cannot be opened it
// asks once and tries again after a pause. Everything is in one goroutine, so sets are put in
// force in the order in which they were read.
func (s *Switches) follow(ctx context.Context) {
	defer s.done.Done()
	pause := 50 * time.Millisecond
	answered := time.Now()
	for ctx.Err() == nil {
		got, err := s.stream(ctx)
		s.connected(false)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.fail(err)
		}
		most := s.o.PollEvery
		if got {
			pause, answered = 50*time.Millisecond, time.Now()
		} else if err := s.poll(ctx); err == nil {
			answered = time.Now()
		} else {
			s.fail(err)
			if time.Since(answered) < justGone {
				most = min(most, lookAgain)
			}
		}
		pause = min(2*pause, most)
		if !sleep(ctx, pause/2+rand.N(pause/2+1)) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (s *Switches) request(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	q := url.Values{"app": {s.o.App}, "env": {s.o.Env}, "instance": {s.o.Instance}}
	req, err := http.NewRequestWithContext(ctx, method, s.o.URL+path+"?"+q.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("killswitch: Options.URL is not an address")
	}
	req.Header.Set("Authorization", "Bearer "+string(s.o.Key))
	req.Header.Set("Cache-Control", "no-cache")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("killswitch: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body.Close()
		return nil, fmt.Errorf("killswitch: %s answered HTTP %d", path, resp.StatusCode)
	}
	return resp, nil
}

// stream reads sets until the stream ends. It reports whether at least one arrived.
func (s *Switches) stream(ctx context.Context) (got bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(s.o.Idle, cancel)
	defer idle.Stop()
	resp, err := s.request(ctx, http.MethodGet, "/v1/switches/stream", nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		return false, errors.New("killswitch: /v1/switches/stream is not a stream of events here: asking at intervals instead")
	}
	s.connected(true)
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxSet)
	var data []byte
	for lines.Scan() {
		idle.Reset(s.o.Idle) // a comment counts: it says that the server is there
		line := lines.Bytes()
		if len(line) == 0 {
			if len(data) == 0 {
				continue
			}
			if err := s.take(data); err != nil {
				return got, err
			}
			got, data = true, data[:0]
			continue
		}
		if rest, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if len(data)+len(rest) > maxSet {
				return got, fmt.Errorf("killswitch: a set is larger than %d bytes", maxSet)
			}
			data = append(append(data, bytes.TrimPrefix(rest, []byte(" "))...), '\n')
		}
	}
	if err := lines.Err(); err != nil {
		return got, fmt.Errorf("killswitch: the stream broke off: %w", err)
	}
	return got, nil
}

// poll asks for the set once.
func (s *Switches) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := s.request(ctx, http.MethodGet, "/v1/switches", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxSet))
	if err != nil {
		return fmt.Errorf("killswitch: the answer broke off: %w", err)
	}
	return s.take(b)
}

// take reads a set and puts it in force. One that cannot be read changes nothing.
func (s *Switches) take(b []byte) error {
	var in struct {
		Version  *int64   `json:"version"`
		Switches []Switch `json:"switches"`
	}
	if err := json.Unmarshal(b, &in); err != nil || in.Version == nil {
		return errors.New("killswitch: what the server sent is not a set of switches: the last known set stays in force")
	}
	s.apply(Set{Version: *in.Version, Switches: in.Switches}, true)
	return nil
}

// report tells the server which version is in force here. A report that fails is repeated until a
// newer version replaces it; a switch never waits for it.
func (s *Switches) report(ctx context.Context) {
	defer s.done.Done()
	for {
		var version int64
		select {
		case <-ctx.Done():
			return
		case version = <-s.seen:
		}
		for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
			err := s.tell(ctx, version)
			if err == nil {
				break
			}
			s.fail(err)
			t := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case version = <-s.seen:
				pause = 50 * time.Millisecond
			case <-t.C:
			}
			t.Stop()
		}
	}
}

func (s *Switches) tell(ctx context.Context, version int64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]any{"instance": s.o.Instance, "version": version})
	if err != nil {
		return fmt.Errorf("killswitch: %w", err)
	}
	resp, err := s.request(ctx, http.MethodPost, "/v1/switches/seen", body)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	return resp.Body.Close()
}
