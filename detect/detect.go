// Package detect notices a credential that does far more than it usually does. It compares each
// credential with its own past: how many merchants, customers, records, bytes and requests it
// reached in ten minutes, against the same hour of earlier days and weeks.
//
// The package is pure: time is the time of the events, and what it has learned is saved and loaded
// as bytes. A Detector is not safe for concurrent use.
//
// # Order
//
// The window of a credential ends at its newest event. An event that is out of order but inside
// the window counts in its place. One that is older than the window changes neither the window nor
// what was learned, and is counted in Stats.Late: an hour's backlog of one credential arrives in its own order and is
// judged as it comes, and a stray old line cannot raise an alarm about now. An event whose ID was
// seen in the window counts once.
package detect

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// Observation is what the detector needs to know of one access event.
type Observation struct {
	ID         string // "" is never a duplicate
	Time       time.Time
	App        string
	Credential string // when empty, IP is judged in its place
	Merchant   string
	IP, Agent  string
	Customers  [][]byte // pseudonyms
	Records    int64
	Bytes      int64
	Denied     bool
	Historic   bool // learned from and never reported: events imported after the fact
}

// Metric is something that is counted over the window.
type Metric int

// The metrics.
const (
	Merchants Metric = iota // distinct
	Customers               // distinct accounts
	Records
	Bytes
	Requests
	Denied // requests that were refused
	metrics
)

// Limit says when a metric is unusual. With base the largest usual value at this hour, a value is
// unusual when it is over Floor, over Factor times base, and over base plus Spread times its square
// root (the noise of counting). While every address and agent in the window is familiar, Steady
// stands in the place of Spread: a sale doubles the work of the usual machines, and a thief comes
// from elsewhere. A credential with too little history is judged against Cap alone.
type Limit struct {
	Floor, Factor, Spread, Steady, Cap float64
}

// Options tune a detector. The zero value of a field is its default.
type Options struct {
	Window         time.Duration // default 10 min
	Learn          time.Duration // history before a credential is judged against its own past; default 72 h
	Remember       time.Duration // how far back the past goes; default 28 days
	Calm           time.Duration // how long it has to be usual again before it is reported again; default 30 min
	Familiar       time.Duration // an address or agent seen for longer is not new; default 24 h
	MaxCredentials int           // the least recently used are forgotten beyond it; default 10,000
	MaxMembers     int           // events, customers and merchants in all windows together; default 2,000,000, some 200 MB
	Limits         [metrics]Limit
}

// The classes of signals.
const (
	UnusualVolume = "unusual_volume"
	DeniedAccess  = "denied_access"
)

// Bounds of what is kept of one credential.
const (
	bucket     = 15 * time.Second
	maxSet     = 50_000  // members of a distinct count; beyond it the count stands still, far over any limit
	maxSources = 64      // addresses, and agents, that are remembered
	maxSource  = 256     // bytes of an address or an agent
	shedEvery  = 10_000  // events between two looks at MaxMembers
	maxEvents  = 50      // ids a signal names
	maxAmount  = 1 << 40 // of records or bytes that one event counts for: far over any limit, and no sum overflows
)

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{
		{&o.Window, 10 * time.Minute}, {&o.Learn, 72 * time.Hour}, {&o.Remember, 28 * 24 * time.Hour},
		{&o.Calm, 30 * time.Minute}, {&o.Familiar, 24 * time.Hour},
	} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
	if o.MaxCredentials <= 0 {
		o.MaxCredentials = 10_000
	}
	if o.MaxMembers <= 0 {
		o.MaxMembers = 2_000_000
	}
	for m, l := range [metrics]Limit{
		Merchants: {Floor: 20, Factor: 1, Spread: 4, Steady: 7, Cap: 100},
		Customers: {Floor: 150, Factor: 5, Cap: 1000},
		Records:   {Floor: 2000, Factor: 8, Cap: 20_000},
		Bytes:     {Floor: 50 << 20, Factor: 8, Cap: 500 << 20},
		Requests:  {Floor: 1000, Factor: 8, Cap: 10_000},
		Denied:    {Floor: 30, Factor: 5, Cap: 60},
	} {
		if o.Limits[m] == (Limit{}) {
			o.Limits[m] = l
		}
	}
	return o
}

// Stats counts what the detector did with its events.
type Stats struct {
	Seen, Duplicate, Late, Ignored int64 // Ignored: neither credential nor address, or no time
	Forgotten                      int64 // credentials dropped beyond MaxCredentials
}

// Detector watches the credentials of one installation.
type Detector struct {
	o     Options
	known map[string]*past // by app and subject
	stats Stats
}

// New makes a detector that knows nothing yet.
func New(o Options) *Detector {
	return &Detector{o: o.withDefaults(), known: map[string]*past{}}
}

// Stats gives the counts so far.
func (d *Detector) Stats() Stats { return d.stats }

// Observe takes one event and gives the signals it raises, at most one per class.
func (d *Detector) Observe(o Observation) []incident.Signal {
	subject := "credential:" + o.Credential
	if o.Credential == "" {
		subject = "address:" + o.IP
	}
	if o.Time.IsZero() || o.Credential == "" && o.IP == "" {
		d.stats.Ignored++
		return nil
	}
	key := o.App + "\x00" + subject
	p := d.known[key]
	if p == nil {
		p = newPast(subject, o.Time)
		d.known[key] = p
		d.forget()
	}
	switch d.take(p, o) {
	case taken:
		if d.stats.Seen++; d.stats.Seen%shedEvery == 0 {
			d.shed()
		}
	case duplicate:
		d.stats.Duplicate++
		return nil
	case late:
		d.stats.Late++
		return nil
	}
	return d.judge(p, o)
}

// appOf is the app in a key of known.
func appOf(key string) string {
	app, _, _ := strings.Cut(key, "\x00")
	return app
}

// shed bounds what the windows of all credentials hold together.
func (d *Detector) shed() {
	for {
		members := 0
		for _, p := range d.known {
			members += len(p.IDs.Last) + len(p.Customers.Last) + len(p.Merchants.Last)
		}
		if members <= d.o.MaxMembers || len(d.known) <= 1 {
			return
		}
		d.forgetTenth()
	}
}

func (d *Detector) forget() {
	if len(d.known) > d.o.MaxCredentials {
		d.forgetTenth()
	}
}

// forgetTenth drops the least recently used tenth of the app with the most credentials: an app
// that invents credentials loses its own past and no other app's.
func (d *Detector) forgetTenth() {
	type entry struct {
		key  string
		last int64
	}
	count := map[string]int{}
	most := ""
	for k := range d.known {
		app := appOf(k)
		if count[app]++; count[app] > count[most] || count[app] == count[most] && app < most {
			most = app
		}
	}
	all := make([]entry, 0, count[most])
	for k, p := range d.known {
		if appOf(k) == most {
			all = append(all, entry{k, p.Now})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.last, b.last), cmp.Compare(a.key, b.key)) })
	for _, e := range all[:max(1, len(all)/10)] {
		delete(d.known, e.key)
		d.stats.Forgotten++
	}
}
