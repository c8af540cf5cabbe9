package client

import (
	"context"
	"net/http"
	"time"
)

// Probe is a check that runs by itself, with how it stands.
type Probe struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Service  string    `json:"service"`
	Signal   string    `json:"signal"`
	Every    string    `json:"every"`
	After    int       `json:"after"`
	State    string    `json:"state"` // unknown, passing, failing or out
	Since    time.Time `json:"since,omitzero"`
	Failures int       `json:"failures"`
	Ran      time.Time `json:"ran,omitzero"`
	Code     string    `json:"code,omitempty"`
	Saw      string    `json:"saw,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	Incident string    `json:"incident,omitempty"`
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
}

// Probes lists the probes of the configuration.
func (c *Client) Probes(ctx context.Context) ([]Probe, error) {
	var out struct {
		Probes []Probe `json:"probes"`
	}
	err := c.Do(ctx, http.MethodGet, at("probes"), nil, &out)
	return out.Probes, err
}

// CheckProbe runs a probe now.
func (c *Client) CheckProbe(ctx context.Context, name string) (Probe, error) {
	var out Probe
	err := c.Do(ctx, http.MethodPost, at("probes", name, "check"), nil, &out)
	return out, err
}
