package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Progress is how far a scope is: Done of Of, or a number that grows when Of is 0.
type Progress struct {
	What string `json:"what"`
	Done int64  `json:"done"`
	Of   int64  `json:"of"`
	Unit string `json:"unit"`
}

// Run is a scope that the server computes in the background.
type Run struct {
	ID       string    `json:"id"`
	State    string    `json:"state"` // running, done, failed or cancelled
	By       string    `json:"by"`
	Incident string    `json:"incident,omitempty"`
	Query    Query     `json:"query"`
	Began    time.Time `json:"began"`
	Took     float64   `json:"took_seconds"`
	Progress Progress  `json:"progress"`
	Says     string    `json:"says,omitempty"` // why it failed
	Result   *Result   `json:"result,omitempty"`
	Outcome  *Outcome  `json:"outcome,omitempty"`
}

// ScopeVersion is one recorded version of an incident's scope.
type ScopeVersion struct {
	N          int             `json:"n"`
	Fact       string          `json:"fact"`
	At         time.Time       `json:"at"`
	By         string          `json:"by"`
	Query      json.RawMessage `json:"query"`
	Log        string          `json:"log"`
	Size       uint64          `json:"size"`
	Checkpoint string          `json:"checkpoint"`
	Digest     string          `json:"digest"`
	Merchants  int64           `json:"merchants"`
	Customers  int64           `json:"customers"`
	Events     int64           `json:"events"`
	Records    int64           `json:"records"`
	AtLeast    bool            `json:"at_least"`
	DataTypes  []string        `json:"data_types"`
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Gaps       []Gap           `json:"gaps,omitempty"`
	Regions    []Residents     `json:"regions,omitempty"`
	Supplied   []Supplied      `json:"supplied,omitempty"`
	Added      int             `json:"added"`
	Removed    int             `json:"removed"`
	Why        string          `json:"why,omitempty"`
}

// ScopeRecord is a recorded version with its merchants.
type ScopeRecord struct {
	Version ScopeVersion     `json:"version"`
	Rows    []Exposure       `json:"rows"`
	Erased  []ErasedMerchant `json:"erased,omitempty"` // since
}

// ScopeDiff is what changed from one recorded version to another.
type ScopeDiff struct {
	From    ScopeVersion  `json:"from"`
	To      ScopeVersion  `json:"to"`
	Added   []Exposure    `json:"added"`
	Removed []Exposure    `json:"removed"`
	Changed []ScopeChange `json:"changed"`
	Same    int           `json:"same"`
}

// ScopeChange is a merchant that is in both versions with other numbers.
type ScopeChange struct {
	Before Exposure `json:"before"`
	After  Exposure `json:"after"`
}

// StartScope begins to compute who is affected, and with an incident to record it there when it is done.
func (c *Client) StartScope(ctx context.Context, q Query, incident, reason string) (Run, error) {
	var out Run
	err := c.Do(ctx, http.MethodPost, at("scope", "runs"), map[string]any{"query": q, "incident": incident, "reason": reason}, &out)
	return out, err
}

// FollowScope calls fn with a run after every change, and returns it when it has ended.
func (c *Client) FollowScope(ctx context.Context, run string, fn func(Run)) (Run, error) {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: at("scope", "runs", run, "progress")})
	if err != nil {
		return Run{}, err
	}
	defer answer.Body.Close()
	in := bufio.NewReader(io.LimitReader(answer.Body, maxAnswer))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return Run{}, &UnavailableError{Err: fmt.Errorf("the answer was cut short: %w", errors.Join(ctx.Err(), err))}
		}
		var now Run
		if err := json.Unmarshal(line, &now); err != nil {
			return Run{}, &UnavailableError{Err: errors.New("the answer is not one of a run")}
		}
		if now.State != "running" {
			return now, nil
		}
		fn(now)
	}
}

// CancelScope ends a run.
func (c *Client) CancelScope(ctx context.Context, run string) error {
	return c.Do(ctx, http.MethodDelete, at("scope", "runs", run), nil, nil)
}

// ScopeFile copies the result of a run to w as a file: form is csv or parquet.
func (c *Client) ScopeFile(ctx context.Context, run, form string, w io.Writer) error {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: at("scope", "runs", run, "file") + "?form=" + url.QueryEscape(form)})
	if err != nil {
		return err
	}
	return copyAll(w, answer)
}

// ScopeRecord reads a recorded version of a scope.
func (c *Client) ScopeRecord(ctx context.Context, incident string, version int) (ScopeRecord, error) {
	var out ScopeRecord
	err := c.Do(ctx, http.MethodGet, at("incidents", incident, "scopes", strconv.Itoa(version)), nil, &out)
	return out, err
}

// ScopeRecordFile copies a recorded version of a scope to w as a file: form is csv or parquet.
func (c *Client) ScopeRecordFile(ctx context.Context, incident string, version int, form string, w io.Writer) error {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: at("incidents", incident, "scopes", strconv.Itoa(version), "file") + "?form=" + url.QueryEscape(form)})
	if err != nil {
		return err
	}
	return copyAll(w, answer)
}

// ScopeDiff says what changed from one recorded version to another; 0 for to is the newest, and 0 for
// from the one before.
func (c *Client) ScopeDiff(ctx context.Context, incident string, from, to int) (ScopeDiff, error) {
	q := url.Values{}
	if from > 0 {
		q.Set("from", strconv.Itoa(from))
	}
	if to > 0 {
		q.Set("to", strconv.Itoa(to))
	}
	var out ScopeDiff
	err := c.Do(ctx, http.MethodGet, at("incidents", incident, "scopes", "diff")+"?"+q.Encode(), nil, &out)
	return out, err
}
