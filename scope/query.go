// Package scope answers the question "who is affected": a query over the stored access events, a
// result that anyone can recompute, and the digest that binds the two to a log checkpoint.
package scope

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Query asks which accesses are in scope; see tally.Query, where it lives so that an offline
// verifier can evaluate it too.
type Query = tally.Query

// Clause matches an event when every field that is set has the event's value among its own.
type Clause = tally.Clause

// InvalidError says which field of a query is wrong and why, and never repeats its value.
type InvalidError = tally.FieldError

// Result is the answer. Rows are canonical: sorted by merchant, sets sorted, so that Digest can be
// recomputed by anyone who has the events.
type Result struct {
	Query      Query                `json:"query"`
	Log        string               `json:"log"`        // origin of the event log
	Size       uint64               `json:"size"`       // leaves the query is defined on
	Checkpoint string               `json:"checkpoint"` // signed note
	Digest     string               `json:"digest"`     // "sha256:" over the RFC 8785 JSON of query, size and rows
	Events     int64                `json:"events"`
	Records    int64                `json:"records"`
	Customers  int64                `json:"customers"` // customer accounts, an upper bound on people
	AtLeast    bool                 `json:"at_least"`
	DataTypes  []string             `json:"data_types"`
	First      time.Time            `json:"first"`
	Last       time.Time            `json:"last"`
	Gaps       []incident.Gap       `json:"gaps,omitempty"`
	Rows       []incident.Exposure  `json:"rows"`
	Regions    []incident.Residents `json:"regions,omitempty"`  // where customer accounts live; none when no event says so
	Supplied   []incident.Supplied  `json:"supplied,omitempty"` // what of the events was not logged live but supplied later, by file
	Step       int64                `json:"step,omitempty"`     // seconds of a bucket: an hour, of a long time more
	Timeline   []tally.Bucket       `json:"timeline,omitempty"`
	RowsRead   int64                `json:"rows_read"`
	Excluded   []Seen               `json:"excluded,omitempty"` // addresses and agents of the credential that the query left out
	Included   []Seen               `json:"included,omitempty"` // addresses and agents that it took in
}

// Seen is an (address, agent) pair and how much it did.
type Seen struct {
	IP        string    `json:"ip"`
	Agent     string    `json:"agent"`
	Events    int64     `json:"events"`
	Merchants int64     `json:"merchants"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
}

// Known refuses a new query for a kind of event, or for an action of accesses to customers' data,
// that no event can have: a slip of the pen would be answered with nobody affected. What was recorded
// before is computed again as it stands.
func Known(q Query) error {
	if !slices.Contains(kinds, q.Kind) {
		return &InvalidError{Field: "kind", Reason: "is not one of " + strings.Join(kinds, ", ")}
	}
	if q.Kind != tally.DefaultKind {
		return nil
	}
	for name, list := range map[string][]Clause{"any": q.Any, "not": q.Not} {
		for i, c := range list {
			for _, a := range c.Action {
				if !slices.Contains(actions, a) {
					return &InvalidError{Field: fmt.Sprintf("%s[%d].action", name, i), Reason: "has a value that is not one of " + strings.Join(actions, ", ")}
				}
			}
		}
	}
	return nil
}

var (
	kinds   = []string{"pii_access", "auth", "config_change", "http_access", "db_query", "cloud_audit", "order", "metric"}
	actions = []string{"read", "list", "export", "update", "delete"}
)
