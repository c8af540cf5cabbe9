// Package client is the Go client of Tocsin's API. It imports only the standard library, so that
// other people's programs can use it at no cost.
//
// Writes carry an idempotency key and are repeated with the same key when the connection breaks or
// the server says that it is busy: the command is given once, however often it is sent.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Token is a bearer token. It prints as [redacted].
type Token string

func (Token) String() string       { return "[redacted]" }
func (Token) GoString() string     { return "[redacted]" }
func (Token) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base    string
	token   Token
	http    *http.Client
	tries   int
	backoff time.Duration
	agent   string
	told    func(until time.Time, refused *Error) // nil: no patience
}

// Option changes how a Client works.
type Option func(*Client)

// WithToken sets the bearer token.
func WithToken(t Token) Option { return func(c *Client) { c.token = t } }

// WithHTTPClient sets the client that makes the requests. It is not used for unix sockets.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithTries sets how often a request that may be repeated is sent at most (default 4) and how long
// to wait before the first repetition (default 100 ms, doubled each time).
func WithTries(n int, first time.Duration) Option {
	return func(c *Client) { c.tries, c.backoff = max(n, 1), first }
}

// WithPatience waits as long and as often as the server asks for with 429 and Retry-After, which is
// otherwise waited for as long as there are tries and for 30 seconds at most. It is for a sender of much
// under a quota. told is called before each wait.
func WithPatience(told func(until time.Time, refused *Error)) Option {
	return func(c *Client) { c.told = told }
}

// WithAgent sets the User-Agent.
func WithAgent(a string) Option { return func(c *Client) { c.agent = a } }

// New makes a client of a server: http://HOST:PORT, https://HOST, or unix:///PATH (also written
// http+unix:///PATH) for the socket in a data folder.
func New(server string, options ...Option) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("client: the server's address cannot be read; use http://HOST:PORT or unix:///PATH")
	}
	c := &Client{tries: 4, backoff: 100 * time.Millisecond, agent: "tocsin-client"}
	for _, option := range options {
		option(c)
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" || u.User != nil {
			return nil, errors.New("client: the server's address needs a host and no user; use https://HOST")
		}
		c.base = strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/")
		if c.http == nil {
			c.http = &http.Client{CheckRedirect: noRedirect}
		}
	case "unix", "http+unix":
		path := u.Path
		if path == "" {
			return nil, errors.New("client: the socket's path is missing; use unix:///PATH/tocsin.sock")
		}
		dialer := &net.Dialer{Timeout: 5 * time.Second}
		c.base = "http://tocsin"
		c.http = &http.Client{CheckRedirect: noRedirect, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", path)
			},
		}}
	default:
		return nil, fmt.Errorf("client: addresses begin with http, https or unix, not %q", u.Scheme)
	}
	return c, nil
}

// A redirect would carry the token to another place.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Missing is one thing that stands in the way of a command, and what to do about it.
type Missing struct {
	What string `json:"what"`
	Do   string `json:"do"`
	Rule string `json:"rule,omitempty"`
}

// Error is the server's answer to a request that it did not accept.
type Error struct {
	Status  int       `json:"status"`
	Title   string    `json:"title"`
	Detail  string    `json:"detail"`
	Reason  string    `json:"reason"`
	Missing []Missing `json:"missing,omitempty"`
}

func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if text == "" {
		text = "status " + strconv.Itoa(e.Status)
	}
	for i, m := range e.Missing {
		if i == 0 {
			text += ": " + m.What
		} else {
			text += "; " + m.What
		}
	}
	return text
}

// UnavailableError says that no answer came: the server is not there, or went away.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "the server does not answer: " + e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }

// NewKey makes an idempotency key.
func NewKey() string { return rand.Text() }

type keyContext struct{}

// WithKey makes every write under ctx carry this idempotency key instead of a new one. It is for
// callers that repeat a command across restarts of their own.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyContext{}, key)
}

// maxAnswer bounds the answers that are read into memory.
const maxAnswer = 256 << 20

// Do sends one request with a JSON body (nil: none) and decodes the JSON answer into out (nil: it
// is thrown away). The error is an *Error when the server answered and an *UnavailableError when
// it did not.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	contentType := ""
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("client: encode the request: %w", err)
		}
		contentType = "application/json"
	}
	answer, err := c.send(ctx, request{method: method, path: path, body: body, contentType: contentType})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil || answer.StatusCode == http.StatusNoContent {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // lets the connection be used again
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return &UnavailableError{Err: fmt.Errorf("the answer was cut short: %w", err)}
	}
	return nil
}

// request is one request that may be repeated, because its body is in memory.
type request struct {
	method, path, contentType string
	body                      []byte
	header                    http.Header
}

// send sends a request until it is answered with something final.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	key := ""
	if r.method != http.MethodGet && r.method != http.MethodHead {
		if key, _ = ctx.Value(keyContext{}).(string); key == "" {
			key = NewKey()
		}
	}
	wait := c.backoff
	for try := 1; ; try++ {
		answer, err := c.once(ctx, r, key)
		var refused *Error
		again := err != nil && (!errors.As(err, &refused) || refused.Status == http.StatusTooManyRequests ||
			refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusBadGateway)
		var asked *retryAfter
		patient := c.told != nil && errors.As(err, &asked) && refused.Status == http.StatusTooManyRequests
		if patient {
			try--
		}
		if !again || try >= c.tries || ctx.Err() != nil {
			return answer, err
		}
		pause := wait
		if errors.As(err, &asked) && asked.after > pause {
			pause = min(asked.after, 30*time.Second)
		}
		if patient {
			pause = asked.after
			c.told(time.Now().Add(pause), refused)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		case <-timer.C:
		}
		if !patient {
			wait *= 2
		}
	}
}

// retryAfter is a refusal whose answer said when to come back.
type retryAfter struct {
	refused *Error
	after   time.Duration
}

func (e *retryAfter) Error() string { return e.refused.Error() }
func (e *retryAfter) Unwrap() error { return e.refused }

func (c *Client) once(ctx context.Context, r request, key string) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, body)
	if err != nil {
		return nil, fmt.Errorf("client: %s %s cannot be asked for", r.method, pathOnly(r.path))
	}
	for name, values := range r.header {
		q.Header[name] = values
	}
	c.dress(q, r.contentType, key)
	return c.answer(q)
}

func (c *Client) dress(q *http.Request, contentType, key string) {
	q.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	if contentType != "" {
		q.Header.Set("Content-Type", contentType)
	}
	if key != "" {
		q.Header.Set("Idempotency-Key", key)
	}
}

// answer sends one request and turns everything but success into an error.
func (c *Client) answer(q *http.Request) (*http.Response, error) {
	answer, err := c.http.Do(q)
	if err != nil {
		// The url in url.Error may carry a code in its query; only the cause is kept.
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		return nil, &UnavailableError{Err: err}
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	refused := &Error{Status: answer.StatusCode}
	if text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20)); err == nil {
		_ = json.Unmarshal(text, refused) // an answer that is no problem JSON keeps its status alone
	}
	refused.Status = answer.StatusCode
	if refused.Title == "" {
		refused.Title = http.StatusText(answer.StatusCode)
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		return nil, &retryAfter{refused: refused, after: time.Duration(seconds) * time.Second}
	}
	return nil, refused
}

func pathOnly(p string) string {
	before, _, _ := strings.Cut(p, "?")
	return before
}
