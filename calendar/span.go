// Package calendar holds due-by arithmetic: lengths of time as policies write them, business
// hours, and the instant at which a length counted from an anchor runs out.
//
// The package is pure. It never reads a clock; every instant is an argument.
package calendar

import "time"

// Unit is the unit of a Length. Minutes and hours are elapsed time. Days, weeks, months and
// years move the local date and keep the wall clock, so 24h and 1d differ across a change of
// daylight saving time.
type Unit string

// The units a policy may write.
const (
	Minute Unit = "min"
	Hour   Unit = "h"
	Day    Unit = "d"
	Week   Unit = "w"
	Month  Unit = "mo"
	Year   Unit = "y"
)

// Length is an amount of one unit. Business lengths count open time only (hours) or working
// days (days); they are never combined with weeks, months or years.
type Length struct {
	N        int  `json:"n"`
	Unit     Unit `json:"unit"`
	Business bool `json:"business,omitempty"`
}

// Span is what a policy promises: a target it aims for, a limit it must not pass, or both.
// A Span with neither is open: elapsed time is shown and nothing is ever missed.
type Span struct {
	Target *Length `json:"target,omitempty"`
	Limit  *Length `json:"limit,omitempty"`
}

// Open reports whether the span sets no limit and no target.
func (s Span) Open() bool { return s.Target == nil && s.Limit == nil }

// Hours says when a place is open. The zero value is never open; use Always for elapsed time.
type Hours struct {
	Zone     *time.Location
	Week     [7][]Interval   // indexed by time.Weekday
	Holidays map[string]bool // local dates, 2006-01-02, on which the place is shut
	Regions  []string        // calendars of public holidays, such as DE-BE, on which it is shut as well
}

// Interval is a part of a local day, in minutes after local midnight; Close is exclusive.
type Interval struct{ Open, Close int }
