// Package baseline notices an actor, a credential, a merchant, an endpoint or an address that does
// far more than it usually does at this hour of the week: events, distinct customers, records,
// bytes, breadth of merchants, errors, in ten minutes.
//
// # What is usual
//
// For each hour of the week an entity has the level that the busiest ten minutes of that hour
// usually reach. A week moves a level by a fifth at most, upwards or downwards, however far the
// week was from it: a burst does not raise it, a drift does. So nobody is seen who grows by less
// than a fifth a week and never crosses a floor; that is how slow a poisoner has to be, and to reach
// ten times the usual takes three months. Nothing is learned while an alarm lasts.
//
// An hour that was never seen is judged by the same hour of other days, and for the first three
// days of an entity there are fixed caps.
//
// # Strangers
//
// Apart from that, what a credential does from a network that it never used is counted on its own and
// judged by floors, for the volume of a busy credential hides a thief: the floors are low when the
// program is new to it too, and twice as high when it is not, for people travel with their machines.
// The same is counted for the address, which may use many credentials. A credential that slept for a
// month and wakes where it was never used, in a program it never used, is reported at its first event.
//
// # Order
//
// The window of an entity ends at its newest event. An event that is out of order but within the
// window counts in its minute. An older one is counted in Stats.Late and neither judged nor
// learned. An event whose ID was seen in the window of its credential counts once.
//
// The package is pure: time is the time of the events. A Detector is not safe for concurrent use.
package baseline

import (
	"net/netip"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// Event is what the detector needs to know of one access.
type Event struct {
	ID         string // "" is never a duplicate
	Time       time.Time
	App        string
	Actor      string
	Credential string
	Merchant   string
	Endpoint   string
	IP, Agent  string
	Customers  [][]byte // pseudonyms, told apart within a merchant
	Records    int64
	Bytes      int64
	Failed     bool // refused, or an error
	Historic   bool // learned from and never reported
}

// Kind is a kind of entity.
type Kind uint8

// The kinds.
const (
	Credential Kind = iota
	Actor
	Address
	Merchant
	Endpoint
	kinds
)

var kindNames = [kinds]string{"credential", "actor", "address", "merchant", "endpoint"}

// Metric is something that is counted over ten minutes.
type Metric uint8

// The metrics.
const (
	Customers Metric = iota // distinct
	Merchants               // distinct
	Records
	Bytes
	Events
	Errors
	metrics
)

// Limit says when a metric is unusual: over Floor and over Factor times its level and some noise.
// Cap holds for entities without a past, and Strange for what comes from a stranger: a network and a
// program that the credential never used, or twice of it from such a network alone.
type Limit struct{ Floor, Factor, Cap, Strange float64 }

// Options tune a detector. The zero value of a field is its default.
type Options struct {
	MaxEntities int           // of all kinds; beyond it the quiet of the most numerous kind are forgotten; default 1,000,000
	MaxWindows  int           // of entities that did something in the last minutes; default 200,000
	Learn       time.Duration // history before an entity is judged by its own past; default 72 h
	Calm        time.Duration // how long it has to be usual again before it is reported again; default 30 min
	Limits      [metrics]Limit
	Tolerance   [kinds]float64 // factor on the limits of a kind; default 1, merchants 6 and endpoints 10
}

// The classes of signals.
const (
	UnusualVolume = "unusual_volume"
	DeniedAccess  = "denied_access"
	Dormant       = "dormant_credential"
)

const (
	windowMinutes = 10
	week          = 7 * 24
	maxSources    = 64           // addresses and programs that are remembered of a credential
	maxCustomers  = 10_000       // of one event
	maxAmount     = 1 << 40      // of records or bytes that one event counts for
	settled       = 28 * 24 * 60 // minutes after which an address is judged although its only credential does what it usually does
	maxNamed      = 50           // ids a signal names
	maxName       = 256          // bytes of a name in a signal
	asleep        = 30 * 24 * 60 // minutes after which a credential that is used again has been asleep
)

func (o Options) withDefaults() Options {
	if o.MaxEntities <= 0 {
		o.MaxEntities = 1_000_000
	}
	if o.MaxWindows <= 0 {
		o.MaxWindows = 200_000
	}
	if o.Learn <= 0 {
		o.Learn = 72 * time.Hour
	}
	if o.Calm <= 0 {
		o.Calm = 30 * time.Minute
	}
	for m, l := range [metrics]Limit{
		Customers: {Floor: 150, Factor: 4, Cap: 1000, Strange: 50},
		Merchants: {Floor: 20, Factor: 4, Cap: 100, Strange: 6},
		Records:   {Floor: 2000, Factor: 6, Cap: 20_000, Strange: 1000},
		Bytes:     {Floor: 50 << 20, Factor: 6, Cap: 500 << 20, Strange: 50 << 20},
		Events:    {Floor: 1000, Factor: 6, Cap: 10_000, Strange: 1000},
		Errors:    {Floor: 30, Factor: 6, Cap: 12, Strange: 12},
	} {
		if o.Limits[m] == (Limit{}) {
			o.Limits[m] = l
		}
	}
	for k, t := range [kinds]float64{1, 1, 1, 6, 10} {
		if o.Tolerance[k] <= 0 {
			o.Tolerance[k] = t
		}
	}
	return o
}

// Stats counts what the detector did with its events.
type Stats struct {
	Seen, Duplicate, Late, Ignored int64 // Ignored: neither credential nor address, or no time
	Forgotten                      int64 // entities
}

// Detector watches the entities of one installation.
type Detector struct {
	o Options
	s state
}

// New makes a detector that knows nothing yet.
func New(o Options) *Detector {
	d := &Detector{o: o.withDefaults()}
	d.s.mend()
	return d
}

// Stats gives the counts so far.
func (d *Detector) Stats() Stats { return d.s.Stats }

// Over is when somebody or something of an app was last over a limit, zero for never: what the numbers
// of the whole app say about that time has been said already, and better.
func (d *Detector) Over(app string) time.Time {
	if m := d.s.Over[app]; m > 0 {
		return time.Unix(60*int64(m), 0).UTC()
	}
	return time.Time{}
}

// Entities is the number of entities that are known.
func (d *Detector) Entities() int { return len(d.s.Index) }

// Observe takes one event and gives the signals it raises, at most one per class: where several
// entities of the event are over their limits, the first in the order of the kinds is named and the
// others are part of its alarm.
func (d *Detector) Observe(e Event) []incident.Signal {
	if e.Time.Unix() <= 0 || e.Credential == "" && e.IP == "" {
		d.s.Stats.Ignored++
		return nil
	}
	var involved [kinds]*live
	first, weight, slept := true, 0, uint32(0)
	f := facts(e)
	for k, name := range [kinds]string{e.Credential, e.Actor, e.IP, e.Merchant, e.Endpoint} {
		if name == "" {
			continue
		}
		key := hash(e.App, kindNames[k], name)
		if known := d.s.Index[key]; known != nil && Kind(k) == Credential && f.minute > known.Minute {
			slept = f.minute - known.Minute
		}
		l := d.enter(Kind(k), key, f.minute, e.App)
		if f.minute+windowMinutes <= l.E.Minute {
			if first {
				d.s.Stats.Late++
				return nil
			}
			continue
		}
		if first { // the credential, or what stands in its place, knows the ids
			if e.ID != "" && !l.once(hash(e.ID), f.minute) {
				d.s.Stats.Duplicate++
				return nil
			}
			l.name(e.ID)
			if e.Credential != "" {
				weight = d.sources(l, e, f.minute)
			}
			first = false
		}
		if l.Stranger = weight; Kind(k) > Address {
			l.Stranger = 0
		}
		l.count(f)
		if Kind(k) == Address {
			l.with(e.Credential)
		}
		involved[k] = l
	}
	d.s.Stats.Seen++
	d.sweep(f.minute)
	out := d.judge(e, involved)
	if slept >= asleep && weight == 2 && len(out) == 0 {
		out = d.awake(e, involved, slept)
	}
	return out
}

// fact is an event in the form in which all of its entities count it.
type fact struct {
	minute         uint32 // Unix minutes
	merchant       uint64 // hash, 0 for none
	customers      []uint64
	records, bytes int64
	failed         bool
}

func facts(e Event) fact {
	f := fact{minute: uint32(e.Time.Unix() / 60), failed: e.Failed}
	if e.Merchant != "" {
		f.merchant = hash(e.Merchant)
	}
	f.customers = make([]uint64, 0, min(len(e.Customers), maxCustomers))
	for _, c := range e.Customers[:min(len(e.Customers), maxCustomers)] {
		h := f.merchant
		for _, b := range c {
			h = (h ^ uint64(b)) * 1099511628211
		}
		f.customers = append(f.customers, mix(h))
	}
	f.records = min(max(e.Records, int64(len(e.Customers)), 0), maxAmount)
	f.bytes = min(max(e.Bytes, 0), maxAmount)
	return f
}

// network is the part of an address that a neighbour shares: a machine that is replaced keeps it.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	n := 24
	if a.Is6() && !a.Is4In6() {
		n = 48
	} else {
		a = a.Unmap()
	}
	p, err := a.Prefix(n)
	if err != nil {
		return ip
	}
	return p.String()
}

// program is a user agent without its version: a deploy keeps it.
func program(agent string) string {
	name, _, _ := strings.Cut(agent, "/")
	return name
}
