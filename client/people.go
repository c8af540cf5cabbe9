package client

import (
	"context"
	"net/http"
	"time"
)

// People lists the people with an account.
func (c *Client) People(ctx context.Context) ([]Person, error) {
	var out struct {
		People []Person `json:"people"`
	}
	err := c.Do(ctx, http.MethodGet, at("people"), nil, &out)
	return out.People, err
}

// Invite invites a person and gives the link, which works once. email is where calls go; "" leaves
// what is known.
func (c *Client) Invite(ctx context.Context, id, name, access string, roles []string, email string) (link string, expires time.Time, err error) {
	var out struct {
		Link    string    `json:"link"`
		Expires time.Time `json:"expires"`
	}
	body := map[string]any{"id": id, "roles": roles, "email": email}
	if name != "" {
		body["name"] = name
	}
	if access != "" {
		body["access"] = access
	}
	err = c.Do(ctx, http.MethodPost, at("people"), body, &out)
	return out.Link, out.Expires, err
}

// SetEmail says where a person is called; "" takes the address away.
func (c *Client) SetEmail(ctx context.Context, id, address string) error {
	return c.Do(ctx, http.MethodPost, at("people", id, "email"), map[string]string{"email": address}, nil)
}

// Join uses an invitation's code.
func (c *Client) Join(ctx context.Context, code string) (person string, token Token, err error) {
	var out struct {
		Person string `json:"person"`
		Token  string `json:"token"`
	}
	err = c.Do(ctx, http.MethodPost, at("join"), map[string]string{"code": code}, &out)
	return out.Person, Token(out.Token), err
}

// RevokePerson ends an account.
func (c *Client) RevokePerson(ctx context.Context, id, reason string) error {
	return c.Do(ctx, http.MethodPost, at("people", id, "revoke"), map[string]string{"reason": reason}, nil)
}

// Whoami says whose token this is.
func (c *Client) Whoami(ctx context.Context) (Caller, error) {
	var out Caller
	err := c.Do(ctx, http.MethodGet, at("whoami"), nil, &out)
	return out, err
}

// NewMachineKey makes a key for a machine: purpose ingest or switch.
func (c *Client) NewMachineKey(ctx context.Context, purpose, source, app string) (id string, key Token, err error) {
	var out struct {
		ID  string `json:"id"`
		Key string `json:"key"`
	}
	err = c.Do(ctx, http.MethodPost, at("keys"), map[string]string{"purpose": purpose, "source": source, "app": app}, &out)
	return out.ID, Token(out.Key), err
}

// MachineKey is a machine's key as others see it; the key itself is shown once and not kept.
type MachineKey struct {
	ID      string    `json:"id"`
	Purpose string    `json:"purpose"`
	Source  string    `json:"source,omitempty"`
	App     string    `json:"app,omitempty"`
	Issued  time.Time `json:"issued"`
	By      string    `json:"by"`
	Revoked time.Time `json:"revoked,omitzero"`
	Used    time.Time `json:"used,omitzero"` // zero: not since the server started
}

// PersonToken is somebody's token as owners see it.
type PersonToken struct {
	ID      string    `json:"id"`
	Person  string    `json:"person"`
	Label   string    `json:"label,omitempty"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Revoked time.Time `json:"revoked,omitzero"`
	Used    time.Time `json:"used,omitzero"` // zero: not since the server started
}

// Bearers are the tokens of people and the keys of machines.
type Bearers struct {
	Since  time.Time     `json:"since"` // since when uses are noted
	Tokens []PersonToken `json:"tokens"`
	Keys   []MachineKey  `json:"keys"`
}

// Bearers lists every token and key with when it was last used; the secrets are not part of it.
func (c *Client) Bearers(ctx context.Context) (Bearers, error) {
	var out Bearers
	err := c.Do(ctx, http.MethodGet, at("bearers"), nil, &out)
	return out, err
}

// RevokeToken ends a token: your own or, as an owner, anybody's.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodPost, at("tokens", id, "revoke"), struct{}{}, nil)
}

// Finding is one precondition of the policy's promises.
type Finding struct {
	ID       string   `json:"id"`
	Promises []string `json:"promises"`
	State    string   `json:"state"` // ok, warn or fail
	Say      string   `json:"say"`
	Do       string   `json:"do,omitempty"`
}

// Checkup is what a running server found when it looked at itself.
type Checkup struct {
	At       time.Time `json:"at"`
	Served   bool      `json:"served"`
	Policy   string    `json:"policy,omitempty"`
	Findings []Finding `json:"findings"`
}

// Doctor asks the server to look at what the promises of its policy rest on.
func (c *Client) Doctor(ctx context.Context) (Checkup, error) {
	var out Checkup
	err := c.Do(ctx, http.MethodGet, at("doctor"), nil, &out)
	return out, err
}

// SetupStep is one step of the first hour.
type SetupStep struct {
	ID    string `json:"id"`
	State string `json:"state"` // done, skipped or open
	Say   string `json:"say"`
	Do    string `json:"do"`
}

// Setup says how far the first hour is.
func (c *Client) Setup(ctx context.Context) ([]SetupStep, error) {
	var out struct {
		Steps []SetupStep `json:"steps"`
	}
	err := c.Do(ctx, http.MethodGet, at("setup"), nil, &out)
	return out.Steps, err
}

// SkipStep puts a step of the first hour off, or asks for it again.
func (c *Client) SkipStep(ctx context.Context, step string, again bool) error {
	return c.Do(ctx, http.MethodPost, at("setup", step, "skip"), map[string]bool{"again": again}, nil)
}

// RevokeMachineKey ends a machine's key.
func (c *Client) RevokeMachineKey(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodPost, at("keys", id, "revoke"), struct{}{}, nil)
}
