package scope_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// table is a Source in memory: it hands out everything, as a database may.
type table struct {
	events []tally.Event
	leaf   []uint64 // of each event
	size   uint64
	gaps   []tally.Gap
}

func (s *table) Checkpoint(context.Context) (string, []byte, uint64, error) {
	return "org/events", []byte("note"), s.size, nil
}

func (s *table) Scan(_ context.Context, _ scope.Query, size uint64, fn func(*tally.Event) error) (int64, error) {
	var n int64
	for i := range s.events {
		if s.leaf[i] < size {
			n++
			if err := fn(&s.events[i]); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (s *table) Gaps(context.Context, string, time.Time, time.Time) ([]tally.Gap, error) {
	return s.gaps, nil
}

func (s *table) add(leaf uint64, e tally.Event) {
	if e.Kind == "" {
		e.Kind = "pii_access"
	}
	if e.Time.IsZero() {
		e.Time = noon
	}
	s.events, s.leaf = append(s.events, e), append(s.leaf, leaf)
	s.size = max(s.size, leaf+1)
}

var window = scope.Query{From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}

func with(any, not []scope.Clause) scope.Query {
	q := window
	q.Any, q.Not = any, not
	return q
}

func compute(t *testing.T, s *table, q scope.Query) scope.Result {
	t.Helper()
	r, err := scope.Compute(t.Context(), s, q, scope.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// promise: INV-1
func TestAScopeCountsDistinctCustomersPerMerchant(t *testing.T) {
	s := &table{}
	s.add(0, tally.Event{Merchant: "m_2", Store: "s_2", Credential: "tok", Customers: []string{"a", "b"}, Records: 2, DataTypes: []string{"customer.email"}})
	s.add(0, tally.Event{Merchant: "m_1", Store: "s_1", Credential: "tok", Customers: []string{"a"}, Records: 1, Time: noon.Add(-time.Minute)})
	s.add(1, tally.Event{Merchant: "m_2", Store: "s_3", Credential: "tok", Customers: []string{"b", "c"}, Records: 2, DataTypes: []string{"order.address"}, Time: noon.Add(time.Minute)})
	s.add(1, tally.Event{Merchant: "m_3", Credential: "tok", Customers: []string{"z"}, Records: 1, Outcome: "denied"})
	s.add(1, tally.Event{Merchant: "m_3", Credential: "tok", Outcome: "error"})
	s.add(1, tally.Event{Merchant: "m_4", Credential: "tok", Customers: []string{"z"}, Records: 1, Kind: "auth"})
	s.add(1, tally.Event{Merchant: "m_5", Credential: "tok", Customers: []string{"z"}, Records: 1, Time: noon.Add(time.Hour)})
	s.gaps = []tally.Gap{{Source: "app", From: noon, To: noon.Add(time.Hour)}}
	r := compute(t, s, with([]scope.Clause{{Credential: []string{"tok"}}}, nil))
	want := []incident.Exposure{
		{Merchant: "m_1", Stores: []string{"s_1"}, DataTypes: []string{}, Customers: 1, Records: 1, Events: 1, First: noon.Add(-time.Minute), Last: noon.Add(-time.Minute)},
		{Merchant: "m_2", Stores: []string{"s_2", "s_3"}, DataTypes: []string{"customer.email", "order.address"}, Customers: 3, Records: 4, Events: 2, First: noon, Last: noon.Add(time.Minute)},
	}
	if fmt.Sprint(r.Rows) != fmt.Sprint(want) {
		t.Fatalf("rows %+v\nwant %+v", r.Rows, want)
	}
	if r.Customers != 4 || r.Events != 3 || r.Records != 5 || r.AtLeast || r.Size != 2 || len(r.Gaps) != 1 || r.Query.Kind != "pii_access" {
		t.Fatalf("totals %+v", r)
	}
}

func TestMoreRecordsThanCustomersNamedMeansAtLeast(t *testing.T) {
	s := &table{}
	s.add(0, tally.Event{Merchant: "m_1", Customers: []string{"a"}, Records: 50})
	s.add(0, tally.Event{Merchant: "m_2", Customers: []string{"a"}, Records: 1})
	r := compute(t, s, window)
	if !r.AtLeast || !r.Rows[0].AtLeast || r.Rows[1].AtLeast || r.Customers != 2 {
		t.Fatalf("result %+v", r)
	}
}

func TestClausesAreOrAndTheirFieldsAreAnd(t *testing.T) {
	s := &table{}
	add := func(m, credential, ip, agent string) {
		s.add(0, tally.Event{Merchant: m, Credential: credential, IP: ip, Agent: agent, Actor: "w", Customers: []string{"a"}, Records: 1})
	}
	add("m_1", "tok", "203.0.113.9", "curl")
	add("m_2", "tok", "198.51.100.7", "office")
	add("m_3", "tik", "203.0.113.200", "curl")
	add("m_4", "tak", "2001:db8::7", "curl")
	add("m_5", "tok", "", "")
	for _, c := range []struct {
		any, not []scope.Clause
		want     string
	}{
		{nil, nil, "m_1 m_2 m_3 m_4 m_5"},
		{[]scope.Clause{{Credential: []string{"tok"}}}, nil, "m_1 m_2 m_5"},
		{[]scope.Clause{{Credential: []string{"tok", "tik"}, Agent: []string{"curl"}}}, nil, "m_1 m_3"},
		{[]scope.Clause{{IP: []string{"203.0.113.0/24"}}, {IP: []string{"2001:db8::/32"}}}, nil, "m_1 m_3 m_4"},
		{[]scope.Clause{{IP: []string{"::ffff:203.0.113.9"}}}, nil, "m_1"},
		{[]scope.Clause{{Credential: []string{"tok"}}}, []scope.Clause{{IP: []string{"198.51.100.7"}}, {Agent: []string{"curl"}, Merchant: []string{"m_9"}}}, "m_1 m_5"},
		{[]scope.Clause{{Actor: []string{"w"}}}, []scope.Clause{{Agent: []string{"curl"}}, {Agent: []string{"office"}}}, "m_5"},
	} {
		var got []string
		for _, row := range compute(t, s, with(c.any, c.not)).Rows {
			got = append(got, row.Merchant)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("any %v not %v: %v, want %s", c.any, c.not, got, c.want)
		}
	}
	r := compute(t, s, with([]scope.Clause{{Credential: []string{"tok"}, Agent: []string{"curl"}}}, nil))
	if len(r.Included) != 1 || r.Included[0].Agent != "curl" || len(r.Excluded) < 2 {
		t.Errorf("a responder sees included %v and excluded %v", r.Included, r.Excluded)
	}
	if slices.ContainsFunc(r.Excluded, func(x scope.Seen) bool { return x.Agent == "curl" && x.IP == "203.0.113.9" }) {
		t.Errorf("what is included is not excluded: %v", r.Excluded)
	}
}

func TestAnEarlierScopeIsRecomputedToTheSameDigest(t *testing.T) {
	s := &table{}
	s.add(0, tally.Event{Merchant: "m_1", Customers: []string{"a"}, Records: 1})
	first := compute(t, s, window)
	s.add(1, tally.Event{Merchant: "m_1", Customers: []string{"b"}, Records: 1})
	if now := compute(t, s, window); now.Digest == first.Digest || now.Customers != 2 {
		t.Fatalf("the log grew and the scope is %+v", now)
	}
	again, err := scope.Compute(t.Context(), s, first.Query, scope.Options{Size: first.Size, Checkpoint: first.Checkpoint})
	if err != nil || again.Digest != first.Digest || again.Customers != 1 || again.Checkpoint != "note" {
		t.Fatalf("recomputed %+v, %v", again, err)
	}
}

func TestAQueryThatIsWrongNamesItsField(t *testing.T) {
	many := make([]string, tally.MaxValues+1)
	for i := range many {
		many[i] = "x"
	}
	for field, q := range map[string]scope.Query{
		"from":              {To: noon},
		"to":                {From: noon, To: noon},
		"any[0]":            with([]scope.Clause{{}}, nil),
		"any[1].ip":         with([]scope.Clause{{Actor: []string{"a"}}, {IP: []string{"SECRET"}}}, nil),
		"not[0].ip":         with(nil, []scope.Clause{{IP: []string{"203.0.113.0/99"}}}),
		"any[0].credential": with([]scope.Clause{{Credential: many}}, nil),
		"any[0].agent":      with([]scope.Clause{{Agent: []string{""}}}, nil),
	} {
		_, err := scope.Compute(t.Context(), &table{}, q, scope.Options{})
		var bad *scope.InvalidError
		if !errors.As(err, &bad) || bad.Field != field || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := scope.Compute(t.Context(), &table{size: 3}, window, scope.Options{Size: 4})
	var bad *scope.InvalidError
	if !errors.As(err, &bad) || bad.Field != "size" {
		t.Errorf("beyond the log: %v", err)
	}
}

// The order in which a database hands out events must not show.
func TestTheDigestDoesNotDependOnTheOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &table{}
		for i := range rapid.IntRange(0, 30).Draw(t, "events") {
			s.add(0, tally.Event{
				Merchant: rapid.SampledFrom([]string{"", "m_1", "m_2", "m_3"}).Draw(t, "merchant"),
				Store:    rapid.SampledFrom([]string{"", "s_1", "s_2"}).Draw(t, "store"),
				IP:       rapid.SampledFrom([]string{"", netip.MustParseAddr("192.0.2.1").String()}).Draw(t, "ip"),
				Outcome:  rapid.SampledFrom([]string{"", "ok", "denied", "error"}).Draw(t, "outcome"),
				Time:     noon.Add(time.Duration(rapid.IntRange(-4000, 4000).Draw(t, "at")) * time.Second),
				Customers: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", fmt.Sprint(i)}), 0, 3).
					Draw(t, "customers"),
				Records: int64(rapid.IntRange(0, 4).Draw(t, "records")),
			})
		}
		a, err := scope.Compute(context.Background(), s, window, scope.Options{})
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(s.events)
		b, err := scope.Compute(context.Background(), s, window, scope.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a.Digest != b.Digest || a.Customers != b.Customers || fmt.Sprint(a.Included) != fmt.Sprint(b.Included) {
			t.Fatalf("%+v\n%+v", a, b)
		}
		var sum int64
		for _, r := range a.Rows {
			sum += r.Customers
			if r.Merchant == "" {
				t.Fatal("a row without a merchant")
			}
		}
		if sum > a.Customers {
			t.Fatalf("rows have %d customers, the total %d", sum, a.Customers)
		}
	})
}
