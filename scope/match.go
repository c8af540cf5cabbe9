package scope

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Person is a line of a vendor's own list of customers: whose customer, what is known of who it is,
// and where that person lives.
type Person struct {
	Line     int64
	Merchant string
	Account  string
	Email    string
	Phone    string
	Region   string // ISO 3166-1 or 3166-2, such as DE or US-CA; another text counts as unknown
}

// Matched says who of a list is affected. It names lines and no person, so that it can be kept where
// the list cannot.
type Matched struct {
	Lines     int64    `json:"lines"`     // of the list
	Affected  int64    `json:"affected"`  // lines whose customer is in the scope
	People    int64    `json:"people"`    // those lines, each account counted once
	Customers int64    `json:"customers"` // customer accounts in the scope
	Unmatched int64    `json:"unmatched"` // of those, in no line: nobody knows from this list where they live
	AtLeast   bool     `json:"at_least"`  // the scope counted accesses that do not name all their customers
	Regions   []Region `json:"regions"`   // most people first
	Hits      []int64  `json:"hits"`      // the affected lines, ascending
	Erased    []Erased `json:"erased,omitempty"`
}

// Erased is a merchant of a scope that was erased whole after the scope was recorded. Its key is destroyed:
// its customers stay counted in what was recorded, and can be compared with no list any more.
type Erased struct {
	Merchant string    `json:"merchant"`
	Erasure  string    `json:"erasure"` // such as ERS-2
	At       time.Time `json:"at"`
	Lines    int64     `json:"lines,omitempty"` // of the list that name it, and can be neither affected nor not
}

// Region is how many of those affected live in one place.
type Region struct {
	Region string `json:"region"` // "" is unknown
	People int64  `json:"people"`
}

// Pseudonyms gives the pseudonym of somebody whom the access log may know. The answer is "" when it
// cannot: nothing of that merchant was ever logged, or the key was destroyed. It keeps nothing.
type Pseudonyms interface {
	Pseudonym(merchant, kind, id string) (string, error)
}

// MaxMatched is how many customer accounts of a scope are compared with a list at a time, and how many
// are counted one by one in the memory of the server when the columns cannot count them; 16 bytes each
// and their share of a table, some 400 MB in all. The child that counts has no such bound.
const MaxMatched = 5_000_000

// Match compares a vendor's own list with those whom a query takes in, over the first size leaves.
// next returns io.EOF after the last line; hit is called when the line that it gave last is affected.
// Nothing of the list is kept or written.
func Match(ctx context.Context, src Source, ids Pseudonyms, q Query, size uint64, next func() (Person, error), hit func() error) (Matched, error) {
	in, least, err := customers(ctx, src, q, size)
	if err != nil {
		return Matched{}, err
	}
	out := Matched{AtLeast: least, Hits: []int64{}, Regions: []Region{}}
	for _, m := range in {
		out.Customers += int64(len(m))
	}
	found := map[string]map[string]struct{}{}
	regions := map[string]int64{}
	for {
		p, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Matched{}, err
		}
		if out.Lines++; out.Lines%4096 == 0 && ctx.Err() != nil {
			return Matched{}, ctx.Err()
		}
		theirs := in[p.Merchant]
		if theirs == nil {
			continue
		}
		affected, first := false, false
		for _, id := range []struct{ kind, id string }{{"account", p.Account}, {"email", p.Email}, {"phone", p.Phone}} {
			if id.id == "" {
				continue
			}
			token, err := ids.Pseudonym(p.Merchant, id.kind, id.id)
			if err != nil {
				return Matched{}, err
			}
			if _, ok := theirs[token]; !ok || token == "" {
				continue
			}
			if found[p.Merchant] == nil {
				found[p.Merchant] = map[string]struct{}{}
			}
			if _, again := found[p.Merchant][token]; !again {
				found[p.Merchant][token], first = struct{}{}, true
			}
			affected = true
		}
		if affected {
			if err := hit(); err != nil {
				return Matched{}, err
			}
			out.Affected++
			out.Hits = append(out.Hits, p.Line)
		}
		if first {
			out.People++
			regions[tally.Place(p.Region)]++
		}
	}
	out.Unmatched = out.Customers
	for _, m := range found {
		out.Unmatched -= int64(len(m))
	}
	for region := range maps.Keys(regions) {
		out.Regions = append(out.Regions, Region{region, regions[region]})
	}
	slices.SortFunc(out.Regions, func(a, b Region) int { return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.Region, b.Region)) })
	return out, nil
}

// customers collects the pseudonyms that a query takes in, by merchant.
func customers(ctx context.Context, src Source, q Query, size uint64) (in map[string]map[string]struct{}, least bool, err error) {
	q, err = q.Normal()
	if err != nil {
		return nil, false, err
	}
	m, err := tally.NewMatcher(q)
	if err != nil {
		return nil, false, err
	}
	in = map[string]map[string]struct{}{}
	n := 0
	_, err = src.Scan(ctx, q, size, func(e *tally.Event) error {
		if !e.Exposes() || !m.Candidate(e) || m.Excluded(e) {
			return nil
		}
		least = least || e.Records > int64(len(e.Customers))
		theirs := in[e.Merchant]
		if theirs == nil {
			theirs = map[string]struct{}{}
			in[strings.Clone(e.Merchant)] = theirs
		}
		for _, c := range e.Customers {
			if _, ok := theirs[c]; ok {
				continue
			}
			if n++; n > MaxMatched {
				return &InvalidError{Field: "query", Reason: fmt.Sprintf("takes in more than %d customer accounts: match in parts, such as by merchant", MaxMatched)}
			}
			theirs[strings.Clone(c)] = struct{}{}
		}
		return nil
	})
	return in, least, err
}
