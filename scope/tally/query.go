// Package tally is the arithmetic of a scope: which events a query takes in, what they add up to
// per merchant, and the digest that binds query, log size and rows.
//
// It is pure and stands on nothing but the standard library, a JSON canonicaliser and the stored
// form of an event, so that the program that computes a scope and the program that checks one
// offline run the same lines. docs/design/export.md says the same in words, for a third party
// that wants to trust neither.
package tally

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Query asks which accesses are in scope: those in the time window that match Any of the clauses
// (none: all) and None of the exclusions. It is defined on the first Size leaves of the event log.
type Query struct {
	From time.Time `json:"from"`           // inclusive
	To   time.Time `json:"to"`             // exclusive
	Kind string    `json:"kind,omitempty"` // default pii_access
	Any  []Clause  `json:"any,omitempty"`
	Not  []Clause  `json:"not,omitempty"`
}

// Clause matches an event when every field that is set has the event's value among its own.
type Clause struct {
	Credential []string `json:"credential,omitempty"`
	Actor      []string `json:"actor,omitempty"`
	IP         []string `json:"ip,omitempty"` // addresses or CIDR prefixes
	Agent      []string `json:"agent,omitempty"`
	Endpoint   []string `json:"endpoint,omitempty"`
	Merchant   []string `json:"merchant,omitempty"`
	Action     []string `json:"action,omitempty"`
	DataType   []string `json:"data_type,omitempty"`
}

// DefaultKind is the kind of events a query without one is about.
const DefaultKind = "pii_access"

// Limits of a query.
const (
	MaxClauses = 64
	MaxValues  = 1000
	maxValue   = 2048 // bytes; no field of an event is longer, so that any can be asked for
)

// FieldError names the field of a query that is wrong and why. It never repeats the value.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return "scope: " + e.Field + ": " + e.Reason }

// Normal checks a query and returns it in the form in which it is recorded: times in UTC, kind
// filled in, empty clauses refused. Errors are *FieldError.
func (q Query) Normal() (Query, error) {
	if q.From.IsZero() {
		return q, &FieldError{"from", "is missing: give the start of the window"}
	}
	if q.To.IsZero() {
		return q, &FieldError{"to", "is missing: give the end of the window"}
	}
	if !q.From.Before(q.To) {
		return q, &FieldError{"to", "is not after from"}
	}
	if y := q.From.Year(); y < 1970 || q.To.Year() > 2261 {
		return q, &FieldError{"from", "is outside 1970 to 2261"}
	}
	q.From, q.To = q.From.UTC().Round(0), q.To.UTC().Round(0)
	if q.Kind == "" {
		q.Kind = DefaultKind
	}
	for i, list := range [][]Clause{q.Any, q.Not} {
		name := []string{"any", "not"}[i]
		if len(list) > MaxClauses {
			return q, &FieldError{name, fmt.Sprintf("has more than %d clauses", MaxClauses)}
		}
		for j, c := range list {
			if err := c.check(fmt.Sprintf("%s[%d]", name, j)); err != nil {
				return q, err
			}
		}
	}
	return q, nil
}

// fields lists a clause's fields by the names they have in JSON.
func (c *Clause) fields() []field {
	return []field{
		{"credential", c.Credential}, {"actor", c.Actor}, {"ip", c.IP}, {"agent", c.Agent},
		{"endpoint", c.Endpoint}, {"merchant", c.Merchant}, {"action", c.Action}, {"data_type", c.DataType},
	}
}

type field struct {
	name   string
	values []string
}

func (c Clause) check(where string) error {
	set := false
	for _, f := range c.fields() {
		set = set || len(f.values) > 0
		if len(f.values) > MaxValues {
			return &FieldError{where + "." + f.name, fmt.Sprintf("has more than %d values", MaxValues)}
		}
		for _, v := range f.values {
			if v == "" || len(v) > maxValue {
				return &FieldError{where + "." + f.name, "has a value that is empty or too long"}
			}
			if f.name == "ip" {
				if _, err := parseIP(v); err != nil {
					return &FieldError{where + ".ip", "has a value that is neither an address nor a prefix such as 203.0.113.0/24"}
				}
			}
		}
	}
	if !set {
		return &FieldError{where, "is empty: it would match every event"}
	}
	return nil
}

// parseIP reads an address or a prefix. An IPv4 address written as IPv6 is the IPv4 address.
func parseIP(v string) (netip.Prefix, error) {
	if strings.Contains(v, "/") {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return p, err
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap()
	return a.Prefix(a.BitLen())
}

// Matcher decides whether an event is in scope.
type Matcher struct {
	query    Query
	any, not []clause
}

type clause struct {
	sets  []set
	ip    []netip.Prefix
	types map[string]bool
}

type set struct {
	of   func(*Event) string
	want map[string]bool
}

// NewMatcher compiles a query that Normal returned.
func NewMatcher(q Query) (*Matcher, error) {
	m := &Matcher{query: q}
	for _, c := range q.Any {
		m.any = append(m.any, compile(c))
	}
	for _, c := range q.Not {
		m.not = append(m.not, compile(c))
	}
	if _, err := q.Normal(); err != nil {
		return nil, err
	}
	return m, nil
}

func compile(c Clause) clause {
	var out clause
	add := func(values []string, of func(*Event) string) {
		if len(values) > 0 {
			out.sets = append(out.sets, set{of, asSet(values)})
		}
	}
	add(c.Credential, func(e *Event) string { return e.Credential })
	add(c.Actor, func(e *Event) string { return e.Actor })
	add(c.Agent, func(e *Event) string { return e.Agent })
	add(c.Endpoint, func(e *Event) string { return e.Endpoint })
	add(c.Merchant, func(e *Event) string { return e.Merchant })
	add(c.Action, func(e *Event) string { return e.Action })
	if len(c.DataType) > 0 {
		out.types = asSet(c.DataType)
	}
	for _, v := range c.IP {
		if p, err := parseIP(v); err == nil {
			out.ip = append(out.ip, p)
		}
	}
	return out
}

func asSet(values []string) map[string]bool {
	m := make(map[string]bool, len(values))
	for _, v := range values {
		m[v] = true
	}
	return m
}

func (c *clause) matches(e *Event) bool {
	for _, s := range c.sets {
		if !s.want[s.of(e)] {
			return false
		}
	}
	if c.types != nil && !slices.ContainsFunc(e.DataTypes, func(t string) bool { return c.types[t] }) {
		return false
	}
	if len(c.ip) > 0 {
		a, err := netip.ParseAddr(e.IP)
		if err != nil {
			return false
		}
		a = a.Unmap()
		return slices.ContainsFunc(c.ip, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return true
}

// Candidate says whether the event is in the window, of the kind, and matches Any: what would be
// in scope were nothing excluded.
func (m *Matcher) Candidate(e *Event) bool {
	if e.Kind != m.query.Kind || e.Time.Before(m.query.From) || !e.Time.Before(m.query.To) {
		return false
	}
	return len(m.any) == 0 || slices.ContainsFunc(m.any, func(c clause) bool { return c.matches(e) })
}

// Excluded says whether an exclusion takes the event out.
func (m *Matcher) Excluded(e *Event) bool {
	return slices.ContainsFunc(m.not, func(c clause) bool { return c.matches(e) })
}
