// Package planted makes the access events of a simulated company that serves thousands of merchants,
// with attacks planted among them, and says which event belongs to which attack. It knows nothing of
// any detector, so that a detector can be measured on it; internal/arrows keeps it so.
//
// What is ordinary: integrations that work through the orders of all merchants by day and in
// nightly batches, staff in office hours and now and then at night, merchants' own tokens, sales
// that multiply the traffic of some merchants for a day, growth, deploys that change versions and
// fail for some minutes, machines that are replaced, retries that repeat events or bring them late, and new
// merchants whose past is imported.
package planted

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Event is one access. Attack names the attack it belongs to, "" for none.
type Event struct {
	ID                                                       string
	Time                                                     time.Time
	Actor, Credential, Merchant, Endpoint, IP, Agent, Attack string
	Customers                                                [][]byte
	Records, Bytes                                           int64
	Failed                                                   bool
}

// Attack is what was planted.
type Attack struct {
	Name, Kind string
	From, To   time.Time
	// By whom: a signal about one of these is about the attack.
	Credential, Actor, IP string

	shop    int    // of a merchant dump
	program string // of a mimic
}

// World says what is made. The same world is made from the same numbers.
type World struct {
	Seed      uint64
	Merchants int // default 5,000
	Weeks     int // default 52
	From      time.Time
	Quiet     int // weeks at the beginning without attacks; default 4
	// Light makes a tenth of the ordinary events, for a test.
	Light bool
}

// Kinds of attacks.
const (
	StolenToken  = "stolen token"  // an integration's token, from elsewhere, walks the merchants
	Mimic        = "mimic"         // the same with the integration's own program, faster
	Insider      = "insider"       // a member of staff reads far more than the job needs
	OutOfHours   = "out of hours"  // the same at night, less of it
	MerchantDump = "merchant dump" // one merchant's token takes everything of that merchant
	Guessing     = "guessing"      // refused attempts from one address
	Spray        = "spray"         // one address uses many merchants' tokens
)

var attackKinds = []string{StolenToken, Mimic, Insider, OutOfHours, MerchantDump, Guessing, Spray}

type integration struct {
	name, credential, agent, endpoint string
	hosts                             []string
	perHour                           float64 // at noon, in the beginning
	growth                            float64 // a week
	customers                         int     // in one event
}

type staff struct {
	name, credential, ip, agent string
	perHour                     float64
	from, to                    int // office hours, UTC
	started                     int // week
}

// sale multiplies the traffic of one merchant for a day.
type sale struct {
	shop   int
	factor float64
}

type maker struct {
	w            World
	r            *rand.Rand
	integrations []integration
	staff        []staff
	versions     []int
	sales        []sale // of today
	next         int
	attacks      []Attack
}

func (w World) withDefaults() World {
	if w.Merchants <= 0 {
		w.Merchants = 5000
	}
	if w.Weeks <= 0 {
		w.Weeks = 52
	}
	if w.Quiet <= 0 {
		w.Quiet = 4
	}
	if w.From.IsZero() {
		w.From = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) // a Monday
	}
	return w
}

// Attacks lists what is planted, in order of time.
func (w World) Attacks() []Attack { return newMaker(w).attacks }

// Events makes the events in the order in which they arrive, an hour at a time.
func (w World) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		m := newMaker(w)
		var held []Event    // late ones and repeats
		var carried []Event // of the next hours
		for h := range m.w.Weeks * 7 * 24 {
			hour := m.w.From.Add(time.Duration(h) * time.Hour)
			events := append(carried, m.hour(h, hour)...)
			carried = nil
			end := hour.Add(time.Hour)
			events = slices.DeleteFunc(events, func(e Event) bool {
				later := !e.Time.Before(end)
				if later {
					carried = append(carried, e)
				}
				return later
			})
			slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
			for _, e := range events {
				for len(held) > 0 && held[0].Time.Add(3*time.Minute).Before(e.Time) {
					if !yield(held[0]) {
						return
					}
					held = held[1:]
				}
				switch x := m.r.IntN(2000); {
				case x == 0: // it arrives three minutes late
					held = append(held, e)
					continue
				case x == 1: // a retry brings it again
					held = append(held, e)
				}
				if !yield(e) {
					return
				}
			}
		}
	}
}

func newMaker(w World) *maker {
	w = w.withDefaults()
	m := &maker{w: w, r: rand.New(rand.NewPCG(w.Seed, 0x746f6373696e))}
	for i := range 12 {
		n := integration{
			name: fmt.Sprintf("worker-%d", i), credential: fmt.Sprintf("tok_worker_%d", i), agent: fmt.Sprintf("worker%d", i),
			endpoint: []string{"GET /orders", "GET /customers", "GET /shipments"}[i%3],
			perHour:  30 * math.Exp(m.r.Float64()*2.5), growth: 0.01 * m.r.Float64(), customers: 1 + i%4,
		}
		for h := range 3 {
			n.hosts = append(n.hosts, fmt.Sprintf("198.51.%d.%d", 100+i, 10+h))
		}
		m.integrations = append(m.integrations, n)
		m.versions = append(m.versions, 1)
	}
	for i := range 40 {
		from := 6 + m.r.IntN(4)
		s := staff{
			name: fmt.Sprintf("staff-%d", i), credential: fmt.Sprintf("tok_staff_%d", i), ip: fmt.Sprintf("203.0.%d.%d", 113+i%3, 20+i), agent: "Mozilla/5.0 helpdesk",
			perHour: 4 + 20*m.r.Float64(), from: from, to: from + 8,
		}
		if i >= 34 {
			s.started = (i - 33) * w.Weeks / 8
		}
		m.staff = append(m.staff, s)
	}
	// Attacks are drawn apart from the rest: three a week, none in the first weeks, each alone.
	r := rand.New(rand.NewPCG(w.Seed, 0x61747461636b))
	for week := w.Quiet; week < w.Weeks; week++ {
		for _, day := range []int{r.IntN(2), 2 + r.IntN(2), 4 + r.IntN(3)} {
			m.attacks = append(m.attacks, m.plan(r, len(m.attacks), week, day))
		}
	}
	return m
}

// plan draws one attack.
func (m *maker) plan(r *rand.Rand, n, week, day int) Attack {
	a := Attack{Name: fmt.Sprintf("a%03d", n), Kind: attackKinds[n%len(attackKinds)]}
	hour := r.IntN(23)
	long := 5 + r.IntN(50) // minutes
	elsewhere := fmt.Sprintf("192.0.2.%d", 1+n%250)
	switch a.Kind {
	case StolenToken, Mimic:
		i := r.IntN(len(m.integrations))
		a.Credential, a.Actor, a.IP = m.integrations[i].credential, m.integrations[i].name, elsewhere
		a.program = m.integrations[i].agent
	case Insider, OutOfHours:
		s := m.staff[r.IntN(30)]
		a.Credential, a.Actor, a.IP = s.credential, s.name, s.ip
		if hour = s.from + 1 + r.IntN(6); a.Kind == OutOfHours {
			hour = (s.to + 5 + r.IntN(6)) % 24
		}
	case MerchantDump:
		x := r.IntN(m.w.Merchants * 9 / 10)
		a.shop = x
		a.Credential, a.Actor, a.IP = fmt.Sprintf("tok_m_%d", x), fmt.Sprintf("merchant-%d", x), elsewhere
	case Guessing, Spray:
		a.IP = elsewhere
	}
	a.From = m.w.From.Add(time.Duration(week*7*24+day*24+hour)*time.Hour + time.Duration(r.IntN(60*60))*time.Second)
	a.To = a.From.Add(time.Duration(long) * time.Minute)
	return a
}
