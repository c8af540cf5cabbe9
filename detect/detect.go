// Package detect notices in the access log what should be looked at: it shows each event to the
// baselines of who did it, to the rules, and to the streams of numbers it belongs to, and says in one
// sentence what it found. Each of the three has a package of its own below this one; here they
// become one detector with one position in the log.
//
// The package is pure: time is the time of the events, and what was learned is saved and loaded as
// bytes. A Detector is not safe for concurrent use.
//
// # Order
//
// Entries come in the order of the log, which is that of their arrival. What was late on the way is
// put in its place by each part as far as its window reaches: ten minutes for a baseline, the
// timespan and fifteen minutes for a correlation, a minute for a stream. What is later is counted and
// raises nothing about now; a rule about a single event is asked of it all the same, for what it
// found is as true as ever. An entry at or before the position that was reached is not looked at again.
package detect

import (
	"time"

	"github.com/tocsin-ir/tocsin/detect/baseline"
	"github.com/tocsin-ir/tocsin/detect/metric"
	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/incident"
)

// Entry is what the detectors need to know of one event of the access log.
type Entry struct {
	Position   int64  // in the log, from 1
	ID         string // "" is never a duplicate
	Time       time.Time
	Received   time.Time
	Kind       string
	App        string
	Actor      string
	Credential string
	Session    string
	Merchant   string
	Endpoint   string
	IP, Agent  string
	Customers  [][]byte // pseudonyms, told apart within a merchant
	Records    int64
	Bytes      int64
	Outcome    string // ok, denied or error
	Historic   bool   // taught and never reported
	Supplied   bool   // came in a file that was supplied later: it is noticed when it was received
	// Text is the event as the rules read it: its JSON in the form that Tocsin keeps. Without it the
	// rules are not asked.
	Text []byte
}

// Options tune a detector. The zero value of a field is its default.
type Options struct {
	Baseline baseline.Options
	Rules    []sigma.File
	// Level is the lowest level of a rule that raises a signal; default high. What a rule below it
	// finds is worth a look when somebody is looking and wakes nobody.
	Level string
	// Calm is how long a rule has to find nothing more about a subject before it is reported again
	// about it; default 30 min.
	Calm time.Duration
	// Budgets are what credentials may cost, by credential.
	Budgets map[string]metric.Budget
	// MaxStreams bounds the streams of numbers; default 400, some 100 MB when all are a week old.
	MaxStreams int
}

const (
	defaultCalm    = 30 * time.Minute
	defaultStreams = 400
	maxAlarms      = 50_000 // of rules, by rule and subject; the oldest are forgotten beyond it
)

var levels = []string{"informational", "low", "medium", "high", "critical"}

// Stats counts what the parts did with the events.
type Stats struct {
	Baseline    baseline.Stats
	Rules       sigma.Stats
	Unreadable  int64 // events whose text the rules could not read
	Below       int64 // what rules below the level found
	LateStreams int64 // events that came after the interval of their stream was closed
}

// Detector watches the access log of one installation.
type Detector struct {
	o       Options
	usual   *baseline.Detector
	rules   *sigma.Engine
	event   sigma.Event // of the entry at hand
	read    bool        // the rules could read it
	numbers *metric.Streams
	s       state
}

// state is what the detector remembers beside its parts. Its fields are exported for the snapshot.
type state struct {
	Position   int64
	Alarms     map[string]time.Time // of rules, by rule and subject: when it last matched
	Flows      map[string]*flow     // by app: the interval that is being counted
	Spending   map[string]*flow     // by credential
	Unreadable int64
	Below      int64
	Late       int64
}

// New makes a detector that knows nothing yet. Problems name the rules that cannot be used; the
// others are.
func New(o Options) (*Detector, []*sigma.Problem, error) {
	if o.Level == "" {
		o.Level = "high"
	}
	if o.Calm <= 0 {
		o.Calm = defaultCalm
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = defaultStreams
	}
	budgets := map[string]metric.Budget{}
	for credential, b := range o.Budgets {
		budgets["credential:"+credential] = b
	}
	numbers, err := metric.NewStreams(o.MaxStreams, budgets, metric.Options{Learn: learnRows})
	if err != nil {
		return nil, nil, err
	}
	d := &Detector{o: o, usual: baseline.New(o.Baseline), numbers: numbers}
	d.s.mend()
	var problems []*sigma.Problem
	d.rules, problems = sigma.Load(o.Rules, sigma.Options{Keep: kept})
	return d, problems, nil
}

func (s *state) mend() {
	if s.Alarms == nil {
		s.Alarms = map[string]time.Time{}
	}
	if s.Flows == nil {
		s.Flows = map[string]*flow{}
	}
	if s.Spending == nil {
		s.Spending = map[string]*flow{}
	}
}

// Position is how far in the log the detector has come.
func (d *Detector) Position() int64 { return d.s.Position }

// Stats gives the counts so far.
func (d *Detector) Stats() Stats {
	return Stats{Baseline: d.usual.Stats(), Rules: d.rules.Stats(), Unreadable: d.s.Unreadable, Below: d.s.Below, LateStreams: d.s.Late}
}

// Stopped lists the rules that cost too much and are asked no more.
func (d *Detector) Stopped() []sigma.Stopped { return d.rules.Stopped() }

// Observe takes the next entry and gives the signals that it raises.
func (d *Detector) Observe(e Entry) (found []incident.Signal) {
	if e.Position > 0 {
		if e.Position <= d.s.Position {
			return nil
		}
		d.s.Position = e.Position
	}
	found = d.usual.Observe(observed(e))
	found = append(found, d.ask(e)...)
	found = append(found, d.measure(e)...)
	if e.Historic {
		return nil
	}
	for i := range found {
		if found[i].App == "" {
			found[i].App = e.App
		}
		if e.Supplied {
			found[i].Noticed = e.Received.UTC()
		}
	}
	return found
}

// observed is an entry as the baselines take it. Only what people and programs do with the app is
// compared with what they usually do; a cloud's audit log is for rules, numbers are for streams.
func observed(e Entry) baseline.Event {
	switch e.Kind {
	case "pii_access", "auth", "http_access", "db_query":
	default:
		return baseline.Event{}
	}
	return baseline.Event{
		ID: e.ID, Time: e.Time, App: e.App, Actor: e.Actor, Credential: e.Credential, Merchant: e.Merchant, Endpoint: e.Endpoint,
		IP: e.IP, Agent: e.Agent, Customers: e.Customers, Records: e.Records, Bytes: e.Bytes,
		// A page that is not there says nothing about who asked for it.
		Failed: e.Outcome == "denied" || e.Outcome == "error" && e.Kind != "http_access", Historic: e.Historic,
	}
}
