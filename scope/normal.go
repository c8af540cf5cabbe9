package scope

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Comparison sets what a query takes in beside what the same credentials and actors usually do at the
// same hours, so that a responder sees what of it is the thief's and what is Tuesday's.
type Comparison struct {
	Query   Query     `json:"query"`   // what was compared: widened to the credentials and actors
	Since   time.Time `json:"since"`   // the earliest event that was looked at; zero when there was none before
	Every   int64     `json:"every"`   // seconds between the windows before
	Windows int       `json:"windows"` // how many of them were compared; 0: nothing is known of before
	Now     Amounts   `json:"now"`
	Usual   Amounts   `json:"usual"` // the median of the windows
	Most    Amounts   `json:"most"`  // the greatest of each
	New     []Novelty `json:"new"`   // what the window has and nothing before it had
	AtLeast bool      `json:"at_least"`
}

// Amounts are what a window has.
type Amounts struct {
	Events    int64 `json:"events"`
	Merchants int64 `json:"merchants"`
	Customers int64 `json:"customers"`
}

// Novelty is what was never seen before, of one sort: merchant, address, agent, endpoint, action or
// data_type. Values are at most fifty, of N.
type Novelty struct {
	Sort   string   `json:"sort"`
	N      int64    `json:"n"`
	Values []string `json:"values,omitempty"`
}

const (
	day          = 24 * time.Hour
	lookBack     = 28 * day
	fewestBefore = 4         // windows, when they are longer than a week
	maxNewValues = 50        // listed of one sort
	maxHeld      = 5_000_000 // customers and values held of all windows; beyond it counts are at least
)

var sorts = [...]string{"merchant", "address", "agent", "endpoint", "action", "data_type"}

// habit collects what a comparison needs.
type habit struct {
	seen  [len(sorts)]map[string]bool // value to whether it was there before the window
	at    []window                    // 0 is the window of the query, then backwards
	first time.Time
	held  int
	cut   bool
}

type window struct {
	events    int64
	merchants map[string]struct{}
	customers map[string]struct{}
}

// Compare answers what of a query is unusual for the credentials and actors that it names; of a query
// that names none, for whatever it takes in without its exclusions. A window of up to a day is compared
// with the same hours of the 28 days before, a longer one with windows of as many days.
func Compare(ctx context.Context, src Source, q Query) (Comparison, error) {
	q, err := q.Normal()
	if err != nil {
		return Comparison{}, err
	}
	every := q.To.Sub(q.From).Truncate(day)
	if every < q.To.Sub(q.From) {
		every += day
	}
	n := max(fewestBefore, int(lookBack/every))
	wide := widen(q)
	if wide.From = q.From.Add(-time.Duration(n) * every); wide.From.Year() < 1970 {
		wide.From = time.Unix(0, 0).UTC()
	}
	w, err := tally.NewMatcher(wide)
	if err != nil {
		return Comparison{}, err
	}
	_, _, size, err := src.Checkpoint(ctx)
	if err != nil {
		return Comparison{}, err
	}
	h := habit{at: make([]window, n+1)}
	for i := range h.seen {
		h.seen[i] = map[string]bool{}
	}
	length := q.To.Sub(q.From)
	_, err = src.Scan(ctx, wide, size, func(e *tally.Event) error {
		if e.Exposes() && w.Candidate(e) {
			h.add(e, q.From, every, length)
		}
		return nil
	})
	if err != nil {
		return Comparison{}, err
	}
	return h.answer(q, every), nil
}

func (h *habit) add(e *tally.Event, from time.Time, every, length time.Duration) {
	k, before := 0, e.Time.Before(from)
	if before {
		k = int((from.Sub(e.Time) + every - 1) / every)
		if h.first.IsZero() || e.Time.Before(h.first) {
			h.first = e.Time
		}
	}
	for i, v := range [...]string{e.Merchant, e.IP, e.Agent, e.Endpoint, e.Action} {
		h.see(i, v, before)
	}
	for _, v := range e.DataTypes {
		h.see(len(sorts)-1, v, before)
	}
	if before && !e.Time.Before(from.Add(-time.Duration(k)*every+length)) || k >= len(h.at) {
		return // at other hours
	}
	at := &h.at[k]
	at.events++
	if at.merchants == nil {
		at.merchants, at.customers = map[string]struct{}{}, map[string]struct{}{}
	}
	h.hold(at.merchants, "", e.Merchant)
	for _, c := range e.Customers {
		h.hold(at.customers, e.Merchant+"\x00", c)
	}
}

func (h *habit) see(sort int, v string, before bool) {
	if v == "" {
		return
	}
	if was, ok := h.seen[sort][v]; ok {
		if before && !was {
			h.seen[sort][v] = true
		}
		return
	}
	if h.held >= maxHeld {
		h.cut = true
		return
	}
	h.held++
	h.seen[sort][strings.Clone(v)] = before
}

func (h *habit) hold(set map[string]struct{}, prefix, v string) {
	if v == "" {
		return
	}
	if _, ok := set[prefix+v]; ok {
		return
	}
	if h.held >= maxHeld {
		h.cut = true
		return
	}
	h.held++
	set[prefix+v] = struct{}{}
}

func (h *habit) answer(q Query, every time.Duration) Comparison {
	c := Comparison{Query: widen(q), Since: h.first.UTC(), Every: int64(every / time.Second), New: []Novelty{}, AtLeast: h.cut, Now: h.at[0].amounts()}
	if h.first.IsZero() {
		c.Since = time.Time{}
		return c
	}
	// Windows before anything was known say nothing about what is usual.
	for k := 1; k < len(h.at) && !q.From.Add(-time.Duration(k-1)*every).Before(h.first); k++ {
		c.Windows = k
	}
	list := make([]Amounts, c.Windows)
	for k := range list {
		list[k] = h.at[k+1].amounts()
		c.Most.Events, c.Most.Merchants, c.Most.Customers = max(c.Most.Events, list[k].Events), max(c.Most.Merchants, list[k].Merchants), max(c.Most.Customers, list[k].Customers)
	}
	c.Usual = Amounts{
		Events:    median(list, func(a Amounts) int64 { return a.Events }),
		Merchants: median(list, func(a Amounts) int64 { return a.Merchants }),
		Customers: median(list, func(a Amounts) int64 { return a.Customers }),
	}
	for i, seen := range h.seen {
		n := Novelty{Sort: sorts[i]}
		for _, v := range slices.Sorted(maps.Keys(seen)) {
			if !seen[v] {
				if n.N++; n.N <= maxNewValues {
					n.Values = append(n.Values, v)
				}
			}
		}
		if n.N > 0 {
			c.New = append(c.New, n)
		}
	}
	return c
}

func (w *window) amounts() Amounts {
	return Amounts{Events: w.events, Merchants: int64(len(w.merchants)), Customers: int64(len(w.customers))}
}

// median rounds up, so that what happens every second time is usual.
func median(list []Amounts, of func(Amounts) int64) int64 {
	if len(list) == 0 {
		return 0
	}
	values := make([]int64, len(list))
	for i, a := range list {
		values[i] = of(a)
	}
	slices.Sort(values)
	return int64(math.Ceil(float64(values[(len(values)-1)/2]+values[len(values)/2]) / 2))
}
