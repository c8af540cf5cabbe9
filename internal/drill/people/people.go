// Package people is the hands of the drill's scripted responders: it speaks the public API with
// each person's own token, as a phone or a command line would, and asks again with the same
// Idempotency-Key when the server went away in between.
package people

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// maxAnswer is the largest answer that is read, in bytes. Evidence goes to a writer instead.
const maxAnswer = 64 << 20

// Token is a person's token; it prints as "[redacted]".
type Token string

// String hides the token.
func (Token) String() string { return "[redacted]" }

// GoString hides the token.
func (Token) GoString() string { return "[redacted]" }

// LogValue hides the token.
func (Token) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Server is where the API is. It is asked anew for every attempt, because a drill may kill and
// restart it.
type Server struct {
	Base    func() string
	Client  *http.Client
	Patient time.Duration                    // how long an answer is waited for over restarts; default 15 s
	Acked   func(incident string, f FactRef) // called for every fact a command was answered with
	Retried func()                           // called when a command is given again under its key
	Pause   func(attempt int) time.Duration  // real time between attempts; default 20 ms rising to 200 ms
}

// FactRef is a fact the server said it has recorded.
type FactRef struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Recorded time.Time `json:"recorded"`
	Hash     string    `json:"hash"`
}

// Outcome is the answer to a command.
type Outcome struct {
	Incident string    `json:"incident"`
	Version  int       `json:"version"`
	Reason   string    `json:"reason"`
	Facts    []FactRef `json:"facts"`
	Replayed bool      `json:"replayed"`
}

// Person is somebody with a token of their own.
type Person struct {
	ID, Name string
	Access   string
	Roles    []string
	Token    Token
	Server   *Server
}

// Holds says whether the person has a role of the policy.
func (p *Person) Holds(role string) bool {
	for _, r := range p.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// Missing is one thing that stood in the way of a command.
type Missing struct {
	What string `json:"what"`
	Do   string `json:"do"`
	Rule string `json:"rule"`
}

// Refused is an answer that was no.
type Refused struct {
	Status  int       `json:"status"`
	Reason  string    `json:"reason"`
	Detail  string    `json:"detail"`
	Title   string    `json:"title"`
	Missing []Missing `json:"missing"`
	Path    string    `json:"-"`
}

func (r *Refused) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: HTTP %d %s: %s", r.Path, r.Status, r.Reason, r.Detail)
	for _, m := range r.Missing {
		b.WriteString("; " + m.What)
	}
	return b.String()
}

// Do gives a command to an incident.
func (p *Person) Do(ctx context.Context, incident, command string, body any) (Outcome, error) {
	var out Outcome
	err := p.Call(ctx, http.MethodPost, "/v1/incidents/"+incident+"/"+command, body, &out)
	return out, err
}

// Call sends JSON and reads JSON. A nil body is an empty object for POST and nothing for GET; a
// []byte body is sent as it is. The whole call, over all attempts, is one command to the server.
func (p *Person) Call(ctx context.Context, method, path string, body, into any) error {
	raw, kind, err := encode(method, body)
	if err != nil {
		return err
	}
	answer, err := p.attempts(ctx, method, path, kind, raw)
	if err != nil {
		return err
	}
	if w, ok := into.(io.Writer); ok {
		_, err := w.Write(answer)
		return err
	}
	if into == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: the answer is not the JSON expected: %w", method, path, err)
	}
	var acked struct {
		Outcome
		Inner Outcome `json:"outcome"`
	}
	if method != http.MethodGet && p.Server.Acked != nil && json.Unmarshal(answer, &acked) == nil {
		for _, o := range []Outcome{acked.Outcome, acked.Inner} {
			for _, f := range o.Facts {
				p.Server.Acked(o.Incident, f)
			}
		}
	}
	return nil
}

func encode(method string, body any) (raw []byte, kind string, err error) {
	switch b := body.(type) {
	case nil:
		if method == http.MethodGet {
			return nil, "", nil
		}
		return []byte(`{}`), "application/json", nil
	case []byte:
		return b, "application/octet-stream", nil
	case CSV:
		return b, "text/csv", nil
	case NDJSON:
		return b, "application/x-ndjson", nil
	default:
		raw, err := json.Marshal(b)
		return raw, "application/json", err
	}
}

// CSV and NDJSON are bodies sent under their own content type.
type (
	CSV    []byte
	NDJSON []byte
)

func (p *Person) attempts(ctx context.Context, method, path, kind string, raw []byte) ([]byte, error) {
	key := "drill-" + rand.Text()
	patient := p.Server.Patient
	if patient == 0 {
		patient = 15 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	for attempt := 0; ; attempt++ {
		answer, again, err := p.once(ctx, method, path, kind, key, raw)
		if err == nil || !again {
			return answer, err
		}
		if p.Server.Retried != nil {
			p.Server.Retried()
		}
		wait := min(time.Duration(attempt+1)*20*time.Millisecond, 200*time.Millisecond)
		if p.Server.Pause != nil {
			wait = p.Server.Pause(attempt)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("%s %s: gave up after %d attempts: %w", method, path, attempt+1, err)
		case <-t.C:
		}
	}
}

// once makes one attempt; again says whether the same command may be given again.
func (p *Person) once(ctx context.Context, method, path, kind, key string, raw []byte) (answer []byte, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, p.Server.Base()+path, bytes.NewReader(raw))
	if err != nil {
		return nil, false, err
	}
	if p.Token != "" {
		req.Header.Set("Authorization", "Bearer "+string(p.Token))
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if method != http.MethodGet {
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Tocsin-Batch", key)
	}
	resp, err := p.Server.Client.Do(req)
	if err != nil {
		return nil, ctx.Err() == nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, ctx.Err() == nil, err // cut off in the middle: the key makes asking again safe
	}
	if resp.StatusCode < 300 {
		return body, false, nil
	}
	r := &Refused{Path: method + " " + path}
	if json.Unmarshal(body, r) != nil || r.Reason == "" {
		r.Reason = "unreadable"
		r.Detail = strings.TrimSpace(string(body[:min(len(body), 300)]))
	}
	r.Status = resp.StatusCode
	switch resp.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway:
		return nil, true, r
	}
	return nil, false, r
}

// IsRefused says whether the error is the server's no, and gives it.
func IsRefused(err error) (*Refused, bool) {
	var r *Refused
	ok := errors.As(err, &r)
	return r, ok
}
