package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AccessQuery chooses accesses of the log. Fields that are set must all match.
type AccessQuery struct {
	Kind, Actor, Credential, Merchant, IP, Outcome, Source string
	Store, DataType, Endpoint                              string
	Incident                                               string // with Scope: only accesses that this recorded version of its scope counts
	Scope                                                  int
	Run                                                    string // only accesses that the query of this run counts
	From, To                                               time.Time
	Before                                                 int64 // position: only older ones
	Limit                                                  int
}

// Access is one event of the access log, without anything that names a customer.
type Access struct {
	Seq        int64     `json:"seq"`
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Received   time.Time `json:"received"`
	Source     string    `json:"source"`
	Kind       string    `json:"kind"`
	App        string    `json:"app,omitempty"`
	ActorType  string    `json:"actor_type,omitempty"`
	Actor      string    `json:"actor,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Action     string    `json:"action,omitempty"`
	Endpoint   string    `json:"endpoint,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	Merchant   string    `json:"merchant,omitempty"`
	Store      string    `json:"store,omitempty"`
	Customers  int       `json:"customers"`
	DataTypes  []string  `json:"data_types,omitempty"`
	Records    int64     `json:"records"`
	Bytes      int64     `json:"bytes"`
	Outcome    string    `json:"outcome,omitempty"`
	IP         string    `json:"ip,omitempty"`
	Late       bool      `json:"late,omitempty"`
	Skewed     bool      `json:"skewed,omitempty"`
	Supplied   string    `json:"supplied,omitempty"`
	Sealed     bool      `json:"sealed,omitempty"`
	Leaf       uint64    `json:"leaf,omitempty"`
}

// AccessPage is a page of accesses, newest first; Next is the position the next page lies before, 0
// when this is the last.
type AccessPage struct {
	Accesses []Access `json:"accesses"`
	Next     int64    `json:"next"`
}

// Accesses lists accesses, the newest first.
func (c *Client) Accesses(ctx context.Context, q AccessQuery) (AccessPage, error) {
	v := url.Values{}
	if q.Scope > 0 {
		v.Set("scope", strconv.Itoa(q.Scope))
	}
	for name, value := range map[string]string{"kind": q.Kind, "actor": q.Actor, "credential": q.Credential, "merchant": q.Merchant, "ip": q.IP, "outcome": q.Outcome, "source": q.Source,
		"store": q.Store, "data_type": q.DataType, "endpoint": q.Endpoint, "incident": q.Incident, "run": q.Run} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Before > 0 {
		v.Set("before", strconv.FormatInt(q.Before, 10))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out AccessPage
	err := c.Do(ctx, http.MethodGet, at("accesses")+"?"+v.Encode(), nil, &out)
	return out, err
}

// Access is one access by its id.
func (c *Client) Access(ctx context.Context, id string) (Access, error) {
	var out Access
	err := c.Do(ctx, http.MethodGet, at("accesses", id), nil, &out)
	return out, err
}
