// Package ask puts a scope's question to the columns of the access log: to a child process that
// holds the column engine, with limits of its own, so that a question that goes wrong takes
// neither ingest nor kill switches with it. What goes over is a query and names of files, never a
// statement; what comes back is counted.
//
// The protocol is one line of JSON each way. The child answers one question at a time and ends
// with its input.
package ask

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Limits of the protocol.
const (
	MaxQuestion = 16 << 20 // bytes of a line
	MaxAnswer   = 256 << 20
	MaxFiles    = 100_000
)

// ErrUnavailable says that the columns cannot answer a question, and nothing is wrong with it: it
// has to be answered another way.
var ErrUnavailable = errors.New("ask: the columns cannot answer this")

// Question is what the child is asked.
type Question struct {
	Files []string    `json:"files"`
	Query tally.Query `json:"query"` // as Normal returned it
	Wide  tally.Query `json:"wide"`  // whose matches are looked at, too, for what the query leaves out
	UpTo  int64       `json:"up_to"` // newest position that counts
	Pairs int         `json:"pairs"` // addresses and agents listed on either side
}

// Answer is what it counted. Before it come lines that say how far the child is, and nothing else.
type Answer struct {
	Progress  *Progress        `json:"progress,omitempty"`
	Error     string           `json:"error,omitempty"` // why it could not: whoever asked counts in another way
	Parts     []Part           `json:"parts"`
	Customers map[string]int64 `json:"customers"` // distinct, by merchant
	Regions   map[string]int64 `json:"regions"`   // distinct, by region
	Known     int64            `json:"known"`     // distinct, of whom a region is known
	Hours     []Hour           `json:"hours"`
	In        []Pair           `json:"in"`
	Out       []Pair           `json:"out"`
}

// Hour is what happened in a UTC hour.
type Hour struct {
	At      int64 `json:"at"` // hours since 1970
	Events  int64 `json:"events"`
	Records int64 `json:"records"`
}

// Part is what events of one merchant, store, list of data types and file supplied later add up to.
type Part struct {
	Supplied string   `json:"supplied,omitempty"`
	Merchant string   `json:"merchant"`
	Store    string   `json:"store"`
	Types    []string `json:"types"`
	Events   int64    `json:"events"`
	Records  int64    `json:"records"`
	AtLeast  bool     `json:"at_least"`
	First    int64    `json:"first"` // nanoseconds
	Last     int64    `json:"last"`
}

// Pair is what one address with one agent did.
type Pair struct {
	IP        string `json:"ip"`
	Agent     string `json:"agent"`
	Events    int64  `json:"events"`
	Merchants int64  `json:"merchants"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
}

// Tally is the answer in the form in which everything else counts.
func (a *Answer) Tally() *tally.Tally {
	t := new(tally.Tally)
	for _, p := range a.Parts {
		t.AddPart(tally.Part{
			Merchant: p.Merchant, Store: p.Store, DataTypes: p.Types, Supplied: p.Supplied, Events: p.Events, Records: p.Records, AtLeast: p.AtLeast,
			First: time.Unix(0, p.First).UTC(), Last: time.Unix(0, p.Last).UTC(),
		})
	}
	for merchant, n := range a.Customers {
		t.AddCustomers(merchant, n)
	}
	for _, h := range a.Hours {
		t.AddHour(h.At, h.Events, h.Records)
	}
	t.AddRegions(a.Regions, a.Known)
	return t
}

// Check says whether a question is one that the columns answer.
func (q *Question) Check() error {
	if len(q.Files) > MaxFiles {
		return fmt.Errorf("%w: it reads more than %d files", ErrUnavailable, MaxFiles)
	}
	for _, list := range [][]tally.Clause{q.Query.Any, q.Query.Not, q.Wide.Any} {
		for _, c := range list {
			for _, values := range [][]string{c.Credential, c.Actor, c.IP, c.Agent, c.Endpoint, c.Merchant, c.Action} {
				for _, v := range values {
					if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
						return fmt.Errorf("%w: a value is not text", ErrUnavailable)
					}
				}
			}
			for _, v := range c.DataType {
				if !plain(v) {
					return fmt.Errorf("%w: a data type has an uncommon name", ErrUnavailable)
				}
			}
		}
	}
	return nil
}

// plain says whether a name of a data type stands in a JSON array as it is.
func plain(v string) bool {
	for _, c := range []byte(v) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == ':', c == '/':
		default:
			return false
		}
	}
	return v != ""
}
