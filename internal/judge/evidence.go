package judge

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// request is one line of the application's own log.
type request struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Real       time.Time `json:"real"`
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Merchant   string    `json:"merchant"`
	Store      string    `json:"store"`
	Customers  []string  `json:"customers"`
	Credential string    `json:"credential"`
	IP         string    `json:"ip"`
	Agent      string    `json:"agent"`
	Status     int       `json:"status"`
}

func readRequests(name string) ([]request, error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("request log: %w", err)
	}
	var out []request
	for line := range bytes.Lines(raw) {
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("request log: line %d: %w", len(out)+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// merchant is what the vendor's own directory says of one.
type merchant struct {
	id, name string
	domains  []string
	stores   []string
	emails   []string
	slack    []string // channels
	boards   []string // message boards in Basecamp
}

// reached says whether one of the places is one where this merchant is told.
func (m *merchant) reached(places []string) bool {
	return slices.ContainsFunc(places, func(a string) bool {
		where, at, _ := strings.Cut(a, ":")
		switch where {
		case "slack":
			return slices.Contains(m.slack, at)
		case "basecamp":
			return slices.Contains(m.boards, at)
		}
		return slices.Contains(m.emails, strings.ToLower(a))
	})
}

func readMerchants(name string) (map[string]*merchant, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("merchants: %w", err)
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("merchants: not a CSV: %v", err)
	}
	column := map[string]int{}
	for i, c := range rows[0] {
		column[c] = i
	}
	get := func(row []string, c string) string {
		if i, ok := column[c]; ok && i < len(row) {
			return row[i]
		}
		return ""
	}
	out := map[string]*merchant{}
	for _, row := range rows[1:] {
		id := get(row, "merchant")
		m := out[id]
		if m == nil {
			m = &merchant{id: id, name: get(row, "name")}
			out[id] = m
		}
		for _, add := range []struct {
			to    *[]string
			value string
		}{{&m.domains, get(row, "domain")}, {&m.stores, get(row, "store")}, {&m.emails, strings.ToLower(get(row, "email"))}, {&m.emails, strings.ToLower(get(row, "email_2"))}, {&m.slack, get(row, "slack")}, {&m.boards, get(row, "basecamp")}} {
			if add.value != "" && !slices.Contains(*add.to, add.value) {
				*add.to = append(*add.to, add.value)
			}
		}
	}
	return out, nil
}

// matches says whether an event is in a query, by the published rules.
func (q query) matches(e event) bool {
	kind := q.Kind
	if kind == "" {
		kind = "pii_access"
	}
	v := e.Event
	if v.Kind != kind || v.Time.Before(q.From) || !v.Time.Before(q.To) {
		return false
	}
	if v.Outcome == "denied" || v.Outcome == "error" && len(v.Subjects) == 0 {
		return false // it exposes nothing
	}
	if len(q.Any) > 0 && !slices.ContainsFunc(q.Any, func(c clause) bool { return c.matches(e) }) {
		return false
	}
	return !slices.ContainsFunc(q.Not, func(c clause) bool { return c.matches(e) })
}

func (c clause) matches(e event) bool {
	v := e.Event
	for _, f := range []struct {
		want []string
		have string
	}{
		{c.Credential, v.Credential}, {c.Actor, v.Actor.ID}, {c.Agent, v.Source.Agent}, {c.Endpoint, v.Endpoint}, {c.Merchant, v.Merchant}, {c.Action, v.Action},
	} {
		if len(f.want) > 0 && !slices.Contains(f.want, f.have) {
			return false
		}
	}
	if len(c.IP) > 0 && !slices.ContainsFunc(c.IP, func(p string) bool { return holds(p, v.Source.IP) }) {
		return false
	}
	return len(c.DataType) == 0 || slices.ContainsFunc(c.DataType, func(d string) bool { return slices.Contains(v.DataTypes, d) })
}

// holds says whether an address or prefix contains an address.
func holds(p, ip string) bool {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	a = a.Unmap()
	if prefix, err := netip.ParsePrefix(p); err == nil {
		return prefix.Contains(a)
	}
	b, err := netip.ParseAddr(p)
	return err == nil && b.Unmap() == a
}

// customers is the distinct customers of an event: accounts, else e-mail addresses, else telephones.
func (e event) customers() []string {
	for _, kind := range []string{"account", "email", "phone"} {
		var out []string
		for _, s := range e.Event.Subjects {
			if s.Kind == kind {
				out = append(out, s.Token)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}
