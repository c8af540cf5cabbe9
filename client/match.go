package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Matched says who of a list of customers is affected.
type Matched struct {
	Lines     int64            `json:"lines"`     // of the list
	Affected  int64            `json:"affected"`  // lines whose customer is in the scope
	People    int64            `json:"people"`    // those lines, each account counted once
	Customers int64            `json:"customers"` // customer accounts in the scope
	Unmatched int64            `json:"unmatched"` // of those, in no line
	AtLeast   bool             `json:"at_least"`  // the scope counted accesses that do not name all their customers
	Regions   []Region         `json:"regions"`   // most people first
	Hits      []int64          `json:"hits"`      // the affected lines, ascending
	Erased    []ErasedMerchant `json:"erased,omitempty"`
}

// ErasedMerchant is a merchant of a recorded scope that was erased whole since: its customers stay counted
// in what was recorded, and can be compared with no list any more.
type ErasedMerchant struct {
	Merchant string    `json:"merchant"`
	Erasure  string    `json:"erasure"`
	At       time.Time `json:"at"`
	Lines    int64     `json:"lines"` // of the list that name it
}

// Region is how many of those affected live in one place, ISO 3166; "" is unknown.
type Region struct {
	Region string `json:"region"`
	People int64  `json:"people"`
}

// Comparison sets what a query takes in beside what its credentials and actors usually do.
type Comparison struct {
	Query   Query     `json:"query"`
	Since   time.Time `json:"since"`   // the earliest event that was looked at; zero: there was none before
	Every   int64     `json:"every"`   // seconds between the windows before
	Windows int       `json:"windows"` // how many of them were compared
	Now     Amounts   `json:"now"`
	Usual   Amounts   `json:"usual"` // the median of the windows
	Most    Amounts   `json:"most"`
	New     []Novelty `json:"new"`
	AtLeast bool      `json:"at_least"`
}

// Amounts are what a window has.
type Amounts struct {
	Events    int64 `json:"events"`
	Merchants int64 `json:"merchants"`
	Customers int64 `json:"customers"`
}

// Novelty is what was never seen before, of one sort; at most fifty values, of N.
type Novelty struct {
	Sort   string   `json:"sort"`
	N      int64    `json:"n"`
	Values []string `json:"values,omitempty"`
}

// CompareScope says what of a query is unusual; nothing is recorded.
func (c *Client) CompareScope(ctx context.Context, q Query) (Comparison, error) {
	var out Comparison
	err := c.Do(ctx, http.MethodPost, at("scope", "compare"), q, &out)
	return out, err
}

// MatchScope compares a list of customers, CSV, with a recorded scope of an incident: a version, or
// the newest for 0. The server keeps nothing of the list.
func (c *Client) MatchScope(ctx context.Context, incident string, version int, list []byte) (Matched, error) {
	path := at("incidents", incident, "scope", "match")
	if version > 0 {
		path += "?version=" + strconv.Itoa(version)
	}
	answer, err := c.send(ctx, request{method: http.MethodPost, path: path, body: list, contentType: "text/csv"})
	if err != nil {
		return Matched{}, err
	}
	defer answer.Body.Close()
	var out Matched
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&out); err != nil {
		return Matched{}, &UnavailableError{Err: fmt.Errorf("the answer was cut short: %w", err)}
	}
	return out, nil
}
