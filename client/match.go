package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Matched says who of a list of customers is affected.
type Matched struct {
	Lines     int64    `json:"lines"`     // of the list
	Affected  int64    `json:"affected"`  // lines whose customer is in the scope
	People    int64    `json:"people"`    // those lines, each account counted once
	Customers int64    `json:"customers"` // customer accounts in the scope
	Unmatched int64    `json:"unmatched"` // of those, in no line
	AtLeast   bool     `json:"at_least"`  // the scope counted accesses that do not name all their customers
	Regions   []Region `json:"regions"`   // most people first
	Hits      []int64  `json:"hits"`      // the affected lines, ascending
}

// Region is how many of those affected live in one place, ISO 3166; "" is unknown.
type Region struct {
	Region string `json:"region"`
	People int64  `json:"people"`
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
