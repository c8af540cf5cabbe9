package probe

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Schedule is when a probe runs by itself and when its failures count. It stands beside the settings
// of its kind.
type Schedule struct {
	Every   time.Duration `yaml:"every"`   // 10 s to 24 h; default 1 min
	After   int           `yaml:"after"`   // so many failures in a row are an outage; 1 to 100, default 3
	Signal  string        `yaml:"signal"`  // what an outage is signalled as; default by kind, such as dns_failure
	Service string        `yaml:"service"` // what it is about: outages of one service are one incident; default the probe's name
}

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// IsName says whether a probe may have this name: policies name checks like this.
func IsName(s string) bool { return identifier.MatchString(s) }

// With fills in what was left out of the schedule of a probe.
func (s Schedule) With(name, kind string) Schedule {
	if s.Every == 0 {
		s.Every = time.Minute
	}
	if s.After == 0 {
		s.After = 3
	}
	if s.Signal == "" {
		s.Signal = map[string]string{"dns": "dns_failure", "tls": "tls_failure"}[kind]
	}
	if s.Signal == "" {
		s.Signal = "service_failure"
	}
	if s.Service == "" {
		s.Service = name
	}
	return s
}

// Validate checks a schedule that With has filled in; field names it in errors, such as "probes.shop".
func (s Schedule) Validate(field string) error {
	switch {
	case s.Every < 10*time.Second || s.Every > 24*time.Hour:
		return fmt.Errorf("%s.every: %v is not between 10s and 24h", field, s.Every)
	case s.After < 1 || s.After > 100:
		return fmt.Errorf("%s.after: %d is not between 1 and 100", field, s.After)
	case !identifier.MatchString(s.Signal):
		return fmt.Errorf("%s.signal: it is not a name of small letters, digits and _, such as checkout_failure", field)
	case !isLabel(s.Service) || strings.ContainsAny(s.Service, " :"):
		return fmt.Errorf("%s.service: it is not a name of 1 to %d printable characters without spaces and colons", field, maxName)
	}
	return nil
}

// State is how a probe stands.
type State string

// The states of a probe.
const (
	Unknown State = "unknown" // it has not run yet
	Passing State = "passing"
	Failing State = "failing" // it failed, and not yet often enough to be an outage
	Out     State = "out"
)

// Outage is one stretch of failures that was long enough to be signalled, and what became of it. It is
// kept until the next one.
type Outage struct {
	Signal   string    `json:"signal"`             // id of its signal, from the probe and its first failure: taking it in twice is harmless
	From     time.Time `json:"from"`               // the first failure
	At       time.Time `json:"at"`                 // the one that made it an outage
	Failures int       `json:"failures"`           // in a row by then
	Code     string    `json:"code"`               // of that one
	Saw      string    `json:"saw"`                // what it saw
	Incident string    `json:"incident,omitempty"` // that took the signal in; "" while it is not taken in
	Ended    time.Time `json:"ended,omitzero"`     // the first run that passed again
	Passed   string    `json:"passed,omitempty"`   // what that one saw
	Told     bool      `json:"told,omitempty"`     // the incident knows that it is over
}

// Standing is everything that is kept of a probe: its state, its newest run and its newest outage. Runs
// before those are not kept, and none of them is a fact; that an outage began and ended is.
type Standing struct {
	State    State     `json:"state"`
	Since    time.Time `json:"since,omitzero"` // of the state
	Failures int       `json:"failures,omitempty"`
	First    time.Time `json:"first,omitzero"` // of the failures in a row
	Ran      time.Time `json:"ran,omitzero"`
	Code     string    `json:"code,omitempty"`
	Saw      string    `json:"saw,omitempty"`
	Outage   *Outage   `json:"outage,omitempty"`
}

// maxSaw bounds what is kept of a run's words, in bytes.
const maxSaw = 1000

// After is the standing after a run that ended now. name is the probe's.
func (s Standing) After(name string, how Schedule, r Result, now time.Time) Standing {
	state := Passing
	s.Ran, s.Code, s.Saw = now, bounded(r.Code, 64), bounded(r.Observed, maxSaw)
	switch o := s.Outage; {
	case r.Passed:
		if o != nil && o.Ended.IsZero() {
			ended := *o // whoever holds the earlier standing keeps it
			ended.Ended, ended.Passed = now, s.Saw
			s.Outage = &ended
		}
		s.Failures, s.First = 0, time.Time{}
	default:
		if s.Failures++; s.Failures == 1 {
			s.First = now
		}
		state = Failing
		if o != nil && o.Ended.IsZero() {
			state = Out
			break
		}
		if s.Failures >= how.After {
			state = Out
			s.Outage = &Outage{
				Signal: fmt.Sprintf("probe-%s-%s", name, s.First.UTC().Format("20060102T150405Z")), From: s.First, At: now,
				Failures: s.Failures, Code: s.Code, Saw: s.Saw,
			}
		}
	}
	if s.State != state {
		s.State, s.Since = state, now
		if state == Failing || state == Out {
			s.Since = s.First
		}
	}
	return s
}

// Untold says whether an incident has still to hear of the outage's beginning or end.
func (s Standing) Untold() bool {
	o := s.Outage
	return o != nil && (o.Incident == "" || !o.Ended.IsZero() && !o.Told)
}

// Says is the outage in one sentence.
func (o Outage) Says(name string) string {
	times := "once"
	if o.Failures > 1 {
		times = fmt.Sprintf("%d times in a row since %s", o.Failures, o.From.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return fmt.Sprintf("The probe %s failed %s: %s.", name, times, strings.TrimSuffix(o.Saw, "."))
}

// bounded is a text of at most so many bytes that is valid everywhere it is kept.
func bounded(s string, most int) string {
	if len(s) > most {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
