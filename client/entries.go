package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// EntryQuery chooses entries of the merged timeline. Fields that are set must all match.
type EntryQuery struct {
	After    string // Next of the page before, or From of an entry to begin at
	Limit    int    // at most 5000; 0: 1000
	Sources  []string
	Kinds    []string
	Text     string
	From, To time.Time
}

// Entry is one fact, access or line of a log.
type Entry struct {
	Line
	From string `json:"from"`
}

// EntryPage is a page of the merged timeline; Next is After of the next page, "" at the end.
type EntryPage struct {
	Entries []Entry   `json:"entries"`
	Next    string    `json:"next,omitempty"`
	Until   time.Time `json:"until,omitzero"` // how far was looked, when the page ends before it is full
}

func (q EntryQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"after": q.After, "source": strings.Join(q.Sources, ","), "kind": strings.Join(q.Kinds, ","), "text": q.Text} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// Entries reads a page of the merged timeline, nothing folded together.
func (c *Client) Entries(ctx context.Context, incident string, q EntryQuery) (EntryPage, error) {
	var out EntryPage
	err := c.Do(ctx, http.MethodGet, at("incidents", incident, "timeline", "entries")+"?"+q.values().Encode(), nil, &out)
	return out, err
}

// TimelineFile copies the whole merged timeline to w: form is csv or ndjson.
func (c *Client) TimelineFile(ctx context.Context, incident, form string, q EntryQuery, w io.Writer) error {
	v := q.values()
	v.Set("form", form)
	answer, err := c.send(ctx, request{method: http.MethodGet, path: at("incidents", incident, "timeline", "file") + "?" + v.Encode()})
	if err != nil {
		return err
	}
	return copyAll(w, answer)
}
