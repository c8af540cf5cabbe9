package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Reject is one line that was not taken in.
type Reject struct {
	Line   int    `json:"line"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// Receipt says what was taken in.
type Receipt struct {
	Accepted   int      `json:"accepted"`
	Duplicates int      `json:"duplicates"`
	Rejected   []Reject `json:"rejected"`
	Skipped    int      `json:"skipped,omitempty"`        // entries that are no access events and not wrong either
	Unchecked  int      `json:"unchecked,omitempty"`      // older than the seven days over which ids are compared
	Ignored    []string `json:"ignored_fields,omitempty"` // fields that were dropped: those no event has, and values that are none
}

// Checkpoints are the newest signed notes of both logs.
type Checkpoints struct {
	Facts      string `json:"facts"`
	Events     string `json:"events"`
	FactsKey   string `json:"facts_key"`
	EventsKey  string `json:"events_key"`
	FactsSize  uint64 `json:"facts_size"`
	EventsSize uint64 `json:"events_size"`
	FactsAge   int64  `json:"facts_age_seconds"`
	EventsAge  int64  `json:"events_age_seconds"`
}

// BacktestQuery asks what rules would have found in the stored log.
type BacktestQuery struct {
	Rules []RuleText `json:"rules"`
	From  time.Time  `json:"from"`
	To    time.Time  `json:"to"`
}

// RuleText is a rule file.
type RuleText struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Backtest is what rules would have found.
type Backtest struct {
	Rules    int            `json:"rules"`
	Events   int64          `json:"events"`
	Unread   int64          `json:"unread"`
	Late     int64          `json:"late"`
	Total    int64          `json:"total"`
	Found    []BacktestFind `json:"found"`
	Problems []string       `json:"problems"`
}

// BacktestFind is one finding.
type BacktestFind struct {
	Time     time.Time         `json:"time"`
	Event    string            `json:"event,omitempty"`
	Rule     string            `json:"rule"`
	RuleID   string            `json:"rule_id,omitempty"`
	Level    string            `json:"level,omitempty"`
	Class    string            `json:"class,omitempty"`
	Sentence string            `json:"sentence"`
	Group    map[string]string `json:"group,omitempty"`
	Events   []string          `json:"events,omitempty"`
}

// Backtest says what rules would have found in the stored log; nothing is raised.
func (c *Client) Backtest(ctx context.Context, q BacktestQuery) (Backtest, error) {
	var out Backtest
	err := c.Do(ctx, http.MethodPost, at("detect", "backtest"), q, &out)
	return out, err
}

// Export copies an evidence export to w and says how many bytes it has.
func (c *Client) Export(ctx context.Context, incident, recipient string, w io.Writer) (int64, error) {
	body, err := json.Marshal(map[string]string{"recipient": recipient})
	if err != nil {
		return 0, err
	}
	answer, err := c.send(ctx, request{method: http.MethodPost, path: at("incidents", incident, "export"), body: body, contentType: "application/json"})
	if err != nil {
		return 0, err
	}
	return answer.ContentLength, copyAll(w, answer)
}

// Attach attaches a file to an incident as evidence, with what it is and where it comes from.
func (c *Client) Attach(ctx context.Context, incident, name, note string, file []byte) (Outcome, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	err := errors.Join(form.WriteField("name", name), form.WriteField("note", note))
	part, wrong := form.CreateFormFile("file", "file")
	if wrong == nil {
		_, wrong = part.Write(file)
	}
	if err = errors.Join(err, wrong, form.Close()); err != nil {
		return Outcome{}, fmt.Errorf("client: encode the request: %w", err)
	}
	answer, err := c.send(ctx, request{method: http.MethodPost, path: at("incidents", incident, "attachments"), body: body.Bytes(), contentType: form.FormDataContentType()})
	if err != nil {
		return Outcome{}, err
	}
	defer answer.Body.Close()
	var out Outcome
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&out); err != nil {
		return Outcome{}, &UnavailableError{Err: fmt.Errorf("the answer was cut short: %w", err)}
	}
	return out, nil
}

// Attachment copies an attached file to w.
func (c *Client) Attachment(ctx context.Context, incident, id string, w io.Writer) error {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: at("incidents", incident, "attachments", id)})
	if err != nil {
		return err
	}
	return copyAll(w, answer)
}

// copyAll copies an answer whose length is known, and fails when less came.
func copyAll(w io.Writer, answer *http.Response) error {
	defer answer.Body.Close()
	n, err := io.Copy(w, answer.Body)
	if err == nil && answer.ContentLength >= 0 && n != answer.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return &UnavailableError{Err: fmt.Errorf("the answer was cut short after %d bytes: %w", n, err)}
	}
	return nil
}

// Ingest sends access events: body is one event a line or a JSON array, at most what the server
// takes in one request. The same batch key sent again counts as duplicates, so a lost answer is
// repeated by sending the same bytes with the same key; other bytes under that key are refused.
func (c *Client) Ingest(ctx context.Context, batch, format string, body []byte) (Receipt, error) {
	return c.Supply(ctx, "", batch, format, body)
}

// Supply is Ingest of a part of a file whose events were not logged live: each of them carries the
// file's digest, "sha256:HEX". An empty digest is that of no file.
func (c *Client) Supply(ctx context.Context, digest, batch, format string, body []byte) (Receipt, error) {
	header := http.Header{}
	header.Set("Tocsin-Batch", batch)
	if digest != "" {
		header.Set("Tocsin-Supplied", digest)
	}
	answer, err := c.send(ctx, request{method: http.MethodPost, path: at("events") + "?format=" + url.QueryEscape(format),
		body: body, contentType: "application/x-ndjson", header: header})
	if err != nil {
		return Receipt{}, err
	}
	defer answer.Body.Close()
	var out Receipt
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&out); err != nil {
		return Receipt{}, &UnavailableError{Err: fmt.Errorf("the receipt was cut short: %w", err)}
	}
	return out, nil
}

// Rejected writes the entries that were refused in the last seven days to w, one JSON object a line.
// With raw each holds what was sent.
func (c *Client) Rejected(ctx context.Context, raw bool, w io.Writer) error {
	path := at("rejected")
	if raw {
		path += "?raw=1"
	}
	answer, err := c.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	return copyAll(w, answer)
}

// ProveEvent writes the proof of one access event, which tocsin-verify checks, to w. With since, the
// leaves that a checkpoint covers which somebody kept, it proves as well that the log was not
// rewritten since.
func (c *Client) ProveEvent(ctx context.Context, id string, since uint64, w io.Writer) error {
	path := at("events", id, "proof")
	if since > 0 {
		path += "?since=" + strconv.FormatUint(since, 10)
	}
	answer, err := c.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	return copyAll(w, answer)
}

// Checkpoints reads the newest checkpoint of both logs.
func (c *Client) Checkpoints(ctx context.Context) (Checkpoints, error) {
	var out Checkpoints
	err := c.Do(ctx, http.MethodGet, at("checkpoints"), nil, &out)
	return out, err
}

// LogDays are the days of the access log, newest first.
type LogDays struct {
	Keep string   `json:"keep"` // how long a day is kept, such as 13 months
	Days []LogDay `json:"days"`
}

// LogDay is a UTC day of the access log.
type LogDay struct {
	Day    string    `json:"day"`
	State  string    `json:"state"` // open, kept, held or removed
	Leaves uint64    `json:"leaves"`
	Events int64     `json:"events"`
	Until  time.Time `json:"until"` // when its time is over
	Held   []Held    `json:"held,omitempty"`
	Closed string    `json:"closed,omitempty"` // the fact that says where it stands in the log
	Fact   string    `json:"fact,omitempty"`   // the fact that says that it was removed
	At     time.Time `json:"at,omitzero"`
	Basis  string    `json:"basis,omitempty"`
	Left   bool      `json:"left,omitempty"` // some of it is still there
	Why    string    `json:"why"`            // all of that in words
}

// Held is why a day is kept: an incident that is not settled, or a hold.
type Held struct {
	Incident string    `json:"incident"`
	Hold     string    `json:"hold,omitempty"`
	Basis    string    `json:"basis,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// LogDays reads which days of the access log are kept, how long and why, and which were removed.
func (c *Client) LogDays(ctx context.Context) (LogDays, error) {
	var out LogDays
	err := c.Do(ctx, http.MethodGet, at("evidence", "days"), nil, &out)
	return out, err
}
