package tally

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/tocsin-ir/tocsin/leaf"
)

// Event is what a scope needs to know of an access event.
type Event struct {
	Time       time.Time
	Kind       string
	Credential string
	Actor      string
	IP, Agent  string
	Endpoint   string
	Action     string
	Outcome    string
	Merchant   string
	Store      string
	DataTypes  []string
	Records    int64
	Customers  []string // pseudonyms that count, see Customers
	Regions    []string // where each of them lives, see Place; nil when nothing is known of any
	Supplied   string   // digest of the file it was supplied in later; "" when it was logged live
}

// FromLeaf takes what a scope needs from an event's stored form.
func FromLeaf(e leaf.Event) Event {
	customers, regions := Customers(e.Subjects)
	return Event{
		Time: e.Time, Kind: e.Kind, Credential: e.Credential, Actor: e.Actor.ID, IP: e.Source.IP,
		Agent: e.Source.UserAgent, Endpoint: e.Endpoint, Action: e.Action, Outcome: e.Outcome,
		Merchant: e.Merchant, Store: e.Store, DataTypes: e.DataTypes, Records: e.Records,
		Customers: customers, Regions: regions, Supplied: e.Supplied,
	}
}

// Customers returns the pseudonyms of an event that count as customers: those of its accounts; of
// an event that names no account, its e-mail addresses; of one without these, its telephone
// numbers. One person named by account and by address is thus counted once. With them it returns
// where each of them lives; nil when the event says so of none.
func Customers(subjects []leaf.Subject) (tokens, regions []string) {
	for _, kind := range []string{"account", "email", "phone"} {
		known := false
		for _, s := range subjects {
			if s.Kind == kind {
				region := Place(s.Region)
				known = known || region != ""
				tokens, regions = append(tokens, s.Token), append(regions, region)
			}
		}
		if !known {
			regions = nil
		}
		if len(tokens) > 0 {
			return tokens, regions
		}
	}
	return nil, nil
}

// Exposes says whether an event showed anyone's data: a denied access did not, a failed one only
// when it names subjects.
func (e *Event) Exposes() bool {
	switch e.Outcome {
	case "denied":
		return false
	case "error":
		return len(e.Customers) > 0
	}
	return true
}

// What one row may hold. Whoever sends events chooses their stores, types and numbers; without a
// bound one of them could make a scope too large or too great to be recorded, and nobody could be
// told. A row whose list was cut is marked AtLeast; sums stop at MaxCount.
const (
	MaxStores = 100
	MaxTypes  = 128
	MaxFiles  = 50        // supplied later
	MaxCount  = 1<<53 - 1 // the largest integer that JSON keeps exactly
)

// Row is one merchant's share. Lists are sorted and never nil. It has the fields and the JSON of
// incident.Exposure, which this package may not import.
type Row struct {
	Merchant  string     `json:"merchant"`
	Stores    []string   `json:"stores"`
	DataTypes []string   `json:"data_types"`
	Customers int64      `json:"customers"`
	Records   int64      `json:"records"`
	Events    int64      `json:"events"`
	AtLeast   bool       `json:"at_least,omitempty"`
	First     time.Time  `json:"first"`
	Last      time.Time  `json:"last"`
	Supplied  []Supplied `json:"supplied,omitempty"` // what of the events was not logged live, by file
}

// Gap is a time in which a source said nothing although it usually would have. It has the fields
// and the JSON of incident.Gap.
type Gap struct {
	Source string    `json:"source"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
}

// Tally adds events up. The zero value is ready to use.
type Tally struct {
	rows  map[string]*sums
	hours map[int64]*amount // since 1970
	held  int               // entries of all sets of customers
	lives map[string]int64  // customers by region that an engine has counted; known is of how many
	known int64
}

type sums struct {
	row       Row
	customers map[string]struct{}
	counted   int64 // customers beside those, all distinct
	stores    map[string]struct{}
	types     map[string]struct{}
	supplied  map[string]int64               // events by file
	lives     map[string]map[string]struct{} // customers by region
}

// Add counts one event that is in scope.
func (t *Tally) Add(e *Event) {
	s := t.of(e.Merchant, e.Time, e.Time)
	s.row.Events++
	s.row.Records = plus(s.row.Records, e.Records)
	if e.Records > int64(len(e.Customers)) {
		s.row.AtLeast = true
	}
	if e.Time.Before(s.row.First) {
		s.row.First = e.Time
	}
	if e.Time.After(s.row.Last) {
		s.row.Last = e.Time
	}
	before := len(s.customers)
	for _, c := range e.Customers {
		s.customers[c] = struct{}{}
	}
	t.held += len(s.customers) - before
	s.live(e.Customers, e.Regions)
	s.supply(e.Supplied, 1)
	t.AddHour(hourOf(e.Time), 1, e.Records)
	if e.Store != "" {
		s.stores[e.Store] = struct{}{}
	}
	for _, d := range e.DataTypes {
		s.types[d] = struct{}{}
	}
}

// of returns the sums of a merchant, and makes them when there are none.
func (t *Tally) of(merchant string, first, last time.Time) *sums {
	s := t.rows[merchant]
	if s == nil {
		if t.rows == nil {
			t.rows = map[string]*sums{}
		}
		s = &sums{
			row:       Row{Merchant: merchant, First: first, Last: last},
			customers: map[string]struct{}{}, stores: map[string]struct{}{}, types: map[string]struct{}{},
		}
		t.rows[merchant] = s
	}
	return s
}

// Part is what an engine counted already: events of one merchant and store with one list of data
// types. Its customers come by AddCustomers.
type Part struct {
	Merchant  string
	Store     string
	DataTypes []string
	Supplied  string // the file all of them were supplied in later; "" when they were logged live
	Events    int64
	Records   int64
	AtLeast   bool
	First     time.Time
	Last      time.Time
}

// AddPart counts events that an engine has added up.
func (t *Tally) AddPart(p Part) {
	s := t.of(p.Merchant, p.First, p.Last)
	s.row.Events += p.Events
	s.row.Records = plus(s.row.Records, min(p.Records, MaxCount))
	s.row.AtLeast = s.row.AtLeast || p.AtLeast
	s.supply(p.Supplied, p.Events)
	if p.First.Before(s.row.First) {
		s.row.First = p.First
	}
	if p.Last.After(s.row.Last) {
		s.row.Last = p.Last
	}
	if p.Store != "" {
		s.stores[p.Store] = struct{}{}
	}
	for _, d := range p.DataTypes {
		s.types[d] = struct{}{}
	}
}

// AddCustomers counts customers of a merchant that an engine has found to be distinct. A merchant
// is given once, and has parts.
func (t *Tally) AddCustomers(merchant string, n int64) {
	if s := t.rows[merchant]; s != nil {
		s.counted += n
	}
}

// Rows returns the rows of all merchants, sorted by merchant. Events without a merchant expose no
// merchant's data and have no row; Totals counts them.
func (t *Tally) Rows() []Row {
	out := make([]Row, 0, len(t.rows))
	for merchant, s := range t.rows {
		if merchant != "" {
			out = append(out, s.finish())
		}
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(a.Merchant, b.Merchant) })
	return out
}

func (s *sums) finish() Row {
	r := s.row
	r.Customers = int64(len(s.customers)) + s.counted
	var some, few, cut bool
	r.Stores, some = sorted(s.stores, MaxStores)
	r.DataTypes, few = sorted(s.types, MaxTypes)
	r.Supplied, cut = suppliedIn(s.supplied)
	r.AtLeast = r.AtLeast || some || few || cut
	r.First, r.Last = r.First.UTC(), r.Last.UTC()
	return r
}

// sorted lists a set in order, and says whether it was cut.
func sorted(m map[string]struct{}, most int) (list []string, cut bool) {
	out := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(out)
	return out[:min(most, len(out))], len(out) > most
}

// plus adds two counts and stops at MaxCount.
func plus(a, b int64) int64 {
	if b > MaxCount-a {
		return MaxCount
	}
	return a + b
}

// Totals is the sum over all events, those without a merchant too. Its Merchant is empty, and
// Customers is a sum over merchants: an upper bound on people, because each merchant has
// pseudonyms of its own.
func (t *Tally) Totals() Row {
	total := Row{Stores: []string{}, DataTypes: []string{}}
	types, stores, files := map[string]struct{}{}, map[string]struct{}{}, map[string]int64{}
	for _, s := range t.rows {
		r := s.row
		total.Events += r.Events
		total.Records = plus(total.Records, r.Records)
		total.Customers += int64(len(s.customers)) + s.counted
		total.AtLeast = total.AtLeast || r.AtLeast || len(s.stores) > MaxStores || len(s.types) > MaxTypes || len(s.supplied) > MaxFiles
		if total.First.IsZero() || r.First.Before(total.First) {
			total.First = r.First.UTC()
		}
		if total.Last.IsZero() || r.Last.After(total.Last) {
			total.Last = r.Last.UTC()
		}
		maps.Copy(types, s.types)
		maps.Copy(stores, s.stores)
		for file, n := range s.supplied {
			files[file] += n
		}
	}
	total.Supplied, _ = suppliedIn(files)
	total.DataTypes, _ = sorted(types, MaxTypes)
	total.Stores, _ = sorted(stores, MaxStores)
	return total
}

// Digest is "sha256:" and the hex digest of the RFC 8785 JSON of {"query","rows","size"}. Query
// and rows are given as JSON, so that a reader can check what stands in a file and not what a
// struct of another version makes of it.
func Digest(query, rows json.RawMessage, size uint64) (string, error) {
	raw, err := json.Marshal(struct {
		Query json.RawMessage `json:"query"`
		Rows  json.RawMessage `json:"rows"`
		Size  uint64          `json:"size"`
	}{query, rows, size})
	if err != nil {
		return "", fmt.Errorf("scope: digest: %w", err)
	}
	canonical, err := jcs.Transform(raw)
	if err != nil {
		return "", fmt.Errorf("scope: digest: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Held is how many distinct customers the sums hold one by one: some hundred bytes each.
func (t *Tally) Held() int { return t.held }
