package desk

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope"
)

// MatchFunc compares a vendor's list of customers with those whom a query takes in; see scope.Match.
type MatchFunc func(ctx context.Context, q scope.Query, size uint64, next func() (scope.Person, error), hit func() error) (scope.Matched, error)

// CompareFunc sets what a query takes in beside what is usual; see scope.Compare.
type CompareFunc func(ctx context.Context, q scope.Query) (scope.Comparison, error)

// CompareScope answers what of a query is unusual for the credentials and actors that it names, and
// records nothing.
func (d *Desk) CompareScope(ctx context.Context, q scope.Query) (scope.Comparison, error) {
	if d.o.Compare == nil {
		return scope.Comparison{}, fmt.Errorf("%w: there is no access log to compare with", ErrInvalid)
	}
	select {
	case d.matching <- struct{}{}:
		defer func() { <-d.matching }()
	case <-ctx.Done():
		return scope.Comparison{}, ctx.Err()
	}
	c, err := d.o.Compare(ctx, q)
	return c, invalidQuery(err)
}

// listColumns are the columns of a vendor's own list of customers. One of account, email and phone
// is needed beside merchant.
var listColumns = []string{"merchant", "account", "email", "phone", "region"}

// MaxList bounds a list of customers; ten million lines are about that long.
const MaxList = 256 << 20

// MatchScope compares a vendor's own list of customers, CSV, with a recorded scope of an incident:
// version, or the newest for 0. Nothing of the list is kept, logged or repeated in an error.
func (d *Desk) MatchScope(ctx context.Context, inc string, version int, list io.Reader) (scope.Matched, error) {
	return d.MatchLines(ctx, inc, version, list, io.Discard)
}

// MatchLines is MatchScope, and writes the header and the affected lines to out while it reads. What was
// written is worth nothing when it fails.
func (d *Desk) MatchLines(ctx context.Context, inc string, version int, list io.Reader, out io.Writer) (scope.Matched, error) {
	rec, err := d.ScopeRecord(ctx, inc, version)
	if err != nil {
		return scope.Matched{}, err
	}
	v := rec.Version
	if d.o.Match == nil {
		return scope.Matched{}, fmt.Errorf("%w: there is no access log to compare with", ErrInvalid)
	}
	var q scope.Query
	if err := json.Unmarshal(v.Query, &q); err != nil {
		return scope.Matched{}, fmt.Errorf("desk: query of scope %d of %s: %w", v.N, inc, err)
	}
	lines := csv.NewWriter(out)
	next, hit, err := readList(list, lines)
	if err != nil {
		return scope.Matched{}, err
	}
	// One at a time: the customers of a scope may take some hundred megabytes.
	select {
	case d.matching <- struct{}{}:
		defer func() { <-d.matching }()
	case <-ctx.Done():
		return scope.Matched{}, ctx.Err()
	}
	m, err := d.o.Match(ctx, q, v.Size, func() (scope.Person, error) {
		p, err := next()
		for i := range rec.Erased {
			if err == nil && rec.Erased[i].Merchant == p.Merchant {
				rec.Erased[i].Lines++
			}
		}
		return p, err
	}, hit)
	if lines.Flush(); err == nil {
		err = lines.Error()
	}
	m.Erased = rec.Erased
	return m, invalidQuery(err)
}

func scopeVersion(s *incident.State, version int) (incident.ScopeVersion, error) {
	if len(s.Scopes) == 0 {
		return incident.ScopeVersion{}, fmt.Errorf("%w: %s has no recorded scope yet: record one first", ErrInvalid, s.ID)
	}
	if version == 0 {
		return s.Scopes[len(s.Scopes)-1], nil
	}
	for _, v := range s.Scopes {
		if v.N == version {
			return v, nil
		}
	}
	return incident.ScopeVersion{}, fmt.Errorf("%w: version: %s has %d recorded scopes", ErrInvalid, s.ID, len(s.Scopes))
}

// readList reads a list of customers line by line. Its header is written to out, and with hit the line that
// next gave last.
func readList(list io.Reader, out *csv.Writer) (next func() (scope.Person, error), hit func() error, err error) {
	in, err := spreadsheet(list)
	if err != nil {
		return nil, nil, err
	}
	in.ReuseRecord = true
	head, err := in.Read()
	if bad := new(csv.ParseError); err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &bad) {
		return nil, nil, err // the sender ended, or the list is too long
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: line 1: no CSV header: the first line has to be %s", ErrInvalid, strings.Join(listColumns, ","))
	}
	at := map[string]int{}
	for i, name := range head {
		at[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	_, merchant := at["merchant"]
	_, account := at["account"]
	_, email := at["email"]
	_, phone := at["phone"]
	if !merchant || !account && !email && !phone {
		return nil, nil, fmt.Errorf("%w: line 1: the columns merchant and one of account, email and phone are needed: the columns are %s", ErrInvalid, strings.Join(listColumns, ","))
	}
	out.Comma = in.Comma
	if err := out.Write(head); err != nil {
		return nil, nil, err
	}
	var row []string
	return func() (scope.Person, error) {
		var err error
		if row, err = in.Read(); errors.Is(err, io.EOF) {
			return scope.Person{}, io.EOF
		}
		if bad := new(csv.ParseError); errors.As(err, &bad) {
			return scope.Person{}, fmt.Errorf("%w: line %d: %w: nothing was compared beyond it", ErrInvalid, bad.StartLine, bad.Err)
		}
		if err != nil {
			return scope.Person{}, err
		}
		line, _ := in.FieldPos(0)
		get := func(name string) string {
			if i, ok := at[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		return scope.Person{Line: int64(line), Merchant: get("merchant"), Account: get("account"), Email: get("email"), Phone: get("phone"), Region: get("region")}, nil
	}, func() error { return out.Write(row) }, nil
}
