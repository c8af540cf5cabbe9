package columns

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// filter is what a question asks of a row, by columns.
type filter struct {
	wide, any, not []clause
	columns        []string // of text, that the clauses are about
	from, to       int64    // nanoseconds; to is not in it
}

// clause is the terms that have to hold together.
type clause []term

// term is what a clause asks of one column: whether a value is one of those it names.
type term struct {
	column string
	holds  func(value string) (bool, error)
}

func newFilter(q *ask.Question) (*filter, error) {
	f := &filter{from: q.Query.From.UnixNano(), to: q.Query.To.UnixNano()}
	for _, x := range []struct {
		into *[]clause
		list []tally.Clause
	}{{&f.wide, q.Wide.Any}, {&f.any, q.Query.Any}, {&f.not, q.Query.Not}} {
		for _, c := range x.list {
			terms, err := termsOf(c)
			if err != nil {
				return nil, err
			}
			for _, t := range terms {
				if !slices.Contains(f.columns, t.column) {
					f.columns = append(f.columns, t.column)
				}
			}
			*x.into = append(*x.into, terms)
		}
	}
	return f, nil
}

// termsOf takes a clause apart. Each term is asked of tally, by an event that has that value and nothing
// else, so that there is one meaning of a clause.
func termsOf(c tally.Clause) (clause, error) {
	var out clause
	add := func(column string, values []string, only tally.Clause, put func(*tally.Event, string) error) error {
		if len(values) == 0 {
			return nil
		}
		m, err := tally.NewMatcher(tally.Query{From: time.Unix(0, 0), To: time.Unix(1, 0), Kind: tally.DefaultKind, Any: []tally.Clause{only}})
		if err != nil {
			return err
		}
		out = append(out, term{column, func(value string) (bool, error) {
			e := tally.Event{Time: time.Unix(0, 0), Kind: tally.DefaultKind}
			if err := put(&e, value); err != nil {
				return false, err
			}
			return m.Candidate(&e), nil
		}})
		return nil
	}
	plain := func(at func(*tally.Event) *string) func(*tally.Event, string) error {
		return func(e *tally.Event, value string) error {
			*at(e) = value
			return nil
		}
	}
	types := func(e *tally.Event, value string) error {
		if err := json.Unmarshal([]byte(value), &e.DataTypes); err != nil {
			return fmt.Errorf("columns: a list of data types: %w", err)
		}
		return nil
	}
	for _, x := range []struct {
		column string
		values []string
		only   tally.Clause
		put    func(*tally.Event, string) error
	}{
		{"credential", c.Credential, tally.Clause{Credential: c.Credential}, plain(func(e *tally.Event) *string { return &e.Credential })},
		{"actor", c.Actor, tally.Clause{Actor: c.Actor}, plain(func(e *tally.Event) *string { return &e.Actor })},
		{"ip", c.IP, tally.Clause{IP: c.IP}, plain(func(e *tally.Event) *string { return &e.IP })},
		{"agent", c.Agent, tally.Clause{Agent: c.Agent}, plain(func(e *tally.Event) *string { return &e.Agent })},
		{"endpoint", c.Endpoint, tally.Clause{Endpoint: c.Endpoint}, plain(func(e *tally.Event) *string { return &e.Endpoint })},
		{"merchant", c.Merchant, tally.Clause{Merchant: c.Merchant}, plain(func(e *tally.Event) *string { return &e.Merchant })},
		{"action", c.Action, tally.Clause{Action: c.Action}, plain(func(e *tally.Event) *string { return &e.Action })},
		{"data_types", c.DataType, tally.Clause{DataType: c.DataType}, types},
	} {
		if err := add(x.column, x.values, x.only, x.put); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// compiled is clauses by the dictionaries of one group of rows.
type compiled [][]table

// table says of each value of a column whether it is one that is asked for.
type table struct {
	of   *texts
	want []bool
}

// compile asks the dictionaries of a group, and leaves out clauses that none of its rows can match.
func compile(list []clause, column func(name string) *texts) (compiled, error) {
	var out compiled
	for _, c := range list {
		var tables []table
		may := true
		for _, t := range c {
			x := table{of: column(t.column)}
			any := false
			for _, value := range x.of.values {
				holds, err := t.holds(value)
				if err != nil {
					return nil, err
				}
				x.want = append(x.want, holds)
				any = any || holds
			}
			may = may && any
			tables = append(tables, x)
		}
		if may {
			out = append(out, tables)
		}
	}
	return out, nil
}

func (c compiled) match(row int) bool {
next:
	for _, tables := range c {
		for i := range tables {
			if t := &tables[i]; !t.want[t.of.index[row]] {
				continue next
			}
		}
		return true
	}
	return false
}
