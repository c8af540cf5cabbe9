package client

import (
	"context"
	"net/http"
	"time"
)

// Erasure asks that access events about people, or about a whole merchant, go out of the table that
// questions are asked of. The sealed log keeps them until their day is forgotten.
type Erasure struct {
	Merchant string   `json:"merchant"`
	All      bool     `json:"all,omitempty"` // everything of the merchant; People is empty then
	People   []Erased `json:"people,omitempty"`
	Basis    string   `json:"basis"` // in which right; no name of a customer
	Reason   string   `json:"reason"`
	Plan     string   `json:"plan,omitempty"` // of a plan that was looked at: refused when it is stale
}

// Erased is a customer, by everything that the apps may have named them by. It becomes pseudonyms when
// it arrives.
type Erased struct {
	Account string `json:"account,omitempty"`
	Email   string `json:"email,omitempty"`
	Phone   string `json:"phone,omitempty"`
}

// ErasureTaken is what came of it.
type ErasureTaken struct {
	Erasure string `json:"erasure"` // such as ERS-1; "" when nothing can be known of anybody named
	Reason  string `json:"reason"`
	Fact    string `json:"fact,omitempty"`
	People  int    `json:"people"`
	Unknown int    `json:"unknown"` // of whom the log cannot know anything
}

// ErasurePlan is what an erasure would do as of now.
type ErasurePlan struct {
	Plan     string    `json:"plan,omitempty"` // what confirms it; "" when there is nothing to erase or a hold stands in the way
	Until    time.Time `json:"until,omitzero"` // until when it can be confirmed
	Merchant string    `json:"merchant"`
	All      bool      `json:"all"`
	Names    int       `json:"names"` // pseudonyms; a person may have several
	People   int       `json:"people"`
	Unknown  int       `json:"unknown"` // of whom the log cannot know anything
	Events   int       `json:"events"`  // whose rows are concerned
	Whole    int       `json:"whole"`   // of these, rows that go as a whole
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	AtLeast  bool      `json:"at_least"` // there may be more events
	Key      bool      `json:"key"`      // the key of the merchant's pseudonyms is destroyed with it
	Holds    []Missing `json:"holds"`    // what stands in the way
}

// ErasureRow is an erasure that was ordered.
type ErasureRow struct {
	ID       string    `json:"id"`
	Merchant string    `json:"merchant"`
	All      bool      `json:"all"`
	Names    int       `json:"names"` // pseudonyms; a person may have several
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Basis    string    `json:"basis"`
	Reason   string    `json:"reason"`
	Fact     string    `json:"fact"`
}

// Erasures is what was erased, newest first. Files is how many files of the table are still being
// written anew; questions find none of what they hold.
type Erasures struct {
	Erasures []ErasureRow `json:"erasures"`
	Files    int          `json:"files"`
}

// Erase erases. It takes an owner, and is refused while a hold covers the merchant.
func (c *Client) Erase(ctx context.Context, e Erasure) (ErasureTaken, error) {
	var out ErasureTaken
	err := c.Do(ctx, http.MethodPost, at("erasures"), e, &out)
	return out, err
}

// PlanErasure says what an erasure would do, and does nothing. It takes an owner.
func (c *Client) PlanErasure(ctx context.Context, e Erasure) (ErasurePlan, error) {
	var out ErasurePlan
	err := c.Do(ctx, http.MethodPost, at("erasures", "plan"), e, &out)
	return out, err
}

// Erasures lists what was erased.
func (c *Client) Erasures(ctx context.Context) (Erasures, error) {
	var out Erasures
	err := c.Do(ctx, http.MethodGet, at("erasures"), nil, &out)
	return out, err
}
