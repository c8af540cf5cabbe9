package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ReviewText names a text of a review: the draft of a version, or its n-th publication.
type ReviewText struct {
	Version string // internal, client or public; "" is internal
	N       int    // 0 is the draft
	Format  string // md, html or pdf
}

// ReviewPlan is a version of a review as it would be published now.
type ReviewPlan struct {
	Version  string     `json:"version"`
	N        int        `json:"n"`
	Digest   string     `json:"digest"`
	Markdown string     `json:"markdown"`
	Withheld []Withheld `json:"withheld"`
	Missing  []Missing  `json:"missing"`
	Lacks    []string   `json:"lacks"`
	Changed  bool       `json:"changed"`
}

// Withheld says what was written and a version does not say.
type Withheld struct {
	What string `json:"what"`
	In   string `json:"in"`
	N    int    `json:"n"`
}

// Corrective is a corrective action of an incident.
type Corrective struct {
	Incident string    `json:"incident"`
	Title    string    `json:"title"`
	ID       string    `json:"id"`
	Text     string    `json:"text"`
	Owner    string    `json:"owner"`
	Due      time.Time `json:"due"`
	State    string    `json:"state"`
	At       time.Time `json:"at"`
	Note     string    `json:"note,omitempty"`
	Reopened int       `json:"reopened,omitempty"`
	Fact     string    `json:"fact,omitempty"`
	Overdue  bool      `json:"overdue"`
}

// Review copies a text of the review to w.
func (c *Client) Review(ctx context.Context, incident string, t ReviewText, w io.Writer) error {
	q := url.Values{"format": {t.Format}}
	if t.Version != "" {
		q.Set("version", t.Version)
	}
	if t.N > 0 {
		q.Set("n", strconv.Itoa(t.N))
	}
	answer, err := c.send(ctx, request{method: http.MethodGet, path: at("incidents", incident, "review") + "?" + q.Encode()})
	if err != nil {
		return err
	}
	return copyAll(w, answer)
}

// PlanReview shows a version of the review as it would be published now.
func (c *Client) PlanReview(ctx context.Context, incident, version string) (ReviewPlan, error) {
	var out ReviewPlan
	err := c.Do(ctx, http.MethodGet, at("incidents", incident, "review", "plan")+"?version="+url.QueryEscape(version), nil, &out)
	return out, err
}

// ReviewDiff says what changed between two publications of a version; 0 is the draft.
func (c *Client) ReviewDiff(ctx context.Context, incident, version string, from, to int) (string, error) {
	var out struct {
		Changes string `json:"changes"`
	}
	q := url.Values{"version": {version}, "from": {strconv.Itoa(from)}, "to": {strconv.Itoa(to)}}
	err := c.Do(ctx, http.MethodGet, at("incidents", incident, "review", "diff")+"?"+q.Encode(), nil, &out)
	return out.Changes, err
}

// Correctives lists the corrective actions of all incidents the caller may know of.
func (c *Client) Correctives(ctx context.Context) ([]Corrective, error) {
	var out struct {
		Correctives []Corrective `json:"correctives"`
	}
	err := c.Do(ctx, http.MethodGet, at("correctives"), nil, &out)
	return out.Correctives, err
}
