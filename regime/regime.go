// Package regime is the catalogue of notification law: who has to be told of a breach under which
// law, counted from when, and whether the law applies to an incident. It answers "as law" in a
// policy by implementing policy.Laws.
//
// The catalogue is data in our own words, with the clause, the date it was looked at and how far
// each figure was checked beside it. It is not legal advice.
//
// The package is pure: it parses bytes it is given and reads no clock.
package regime

import (
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
)

// Disclaimer stands wherever the catalogue is shown.
const Disclaimer = "Facts in our own words, not legal advice. Ask a lawyer before you rely on them."

// Catalogue is every regime that was loaded, in the order of their ids. It is immutable.
type Catalogue struct {
	Regimes    []Regime
	AsOf       string   // date of the research, 2006-01-02
	Notes      []string // what holds for all of it
	NotCovered []string // laws and platforms nobody has looked at
	version    string
	zones      map[string]*time.Location
}

// Version names the data: "regimes-2026-11-22-" and the first digits of its digest.
func (c *Catalogue) Version() string { return c.version }

// Regime is one law, or one contract that a platform lays on everybody.
type Regime struct {
	ID           string    `yaml:"id" json:"id"`
	Name         string    `yaml:"name" json:"name"`
	Jurisdiction []string  `yaml:"jurisdiction" json:"jurisdiction,omitempty"` // ISO 3166-1 or -2; none: a contract, in force wherever it is signed
	Citation     string    `yaml:"citation" json:"citation"`
	Status       string    `yaml:"status" json:"status"`
	Zone         string    `yaml:"zone" json:"zone,omitempty"` // IANA zone in which its days are counted; "": the policy's
	AppliesWhen  string    `yaml:"applies_when" json:"applies_when"`
	AppliesNote  string    `yaml:"applies_note" json:"applies_note,omitempty"`
	Confidence   string    `yaml:"confidence" json:"confidence"` // high, medium or low
	AsOf         string    `yaml:"as_of" json:"as_of"`
	Authority    Authority `yaml:"authority" json:"authority"`
	Notes        []string  `yaml:"notes" json:"notes,omitempty"`
	Unverified   []string  `yaml:"unverified" json:"unverified,omitempty"`
	Sources      []string  `yaml:"sources" json:"sources"`
	Duties       []Duty    `yaml:"duties" json:"duties"`
}

// Authority is who is told, and where.
type Authority struct {
	Name   string `yaml:"name" json:"name"`
	Portal string `yaml:"portal" json:"portal"`
}

// Duty is one duty to tell somebody.
type Duty struct {
	ID               string   `yaml:"id" json:"id"`
	From             string   `yaml:"from" json:"from"` // whose duty: controller, processor, app_developer, …
	To               string   `yaml:"to" json:"to"`     // who is told: authority, individuals, controller, platform, …
	AskedAs          []string `yaml:"asked_as" json:"asked_as,omitempty"`
	Told             string   `yaml:"told" json:"told,omitempty"`       // the authority, where it is another than the regime's
	Anchor           string   `yaml:"anchor" json:"anchor,omitempty"`   // milestone the law counts from
	Trigger          string   `yaml:"trigger" json:"trigger,omitempty"` // what it counts from where that is no milestone
	TriggerNote      string   `yaml:"trigger_note" json:"trigger_note,omitempty"`
	Span             string   `yaml:"span" json:"span,omitempty"` // 72h, 30d, 3 business d; "": no number in the law
	Qualifier        string   `yaml:"qualifier" json:"qualifier,omitempty"`
	OuterLimit       string   `yaml:"outer_limit" json:"outer_limit,omitempty"`
	Guidance         string   `yaml:"guidance" json:"guidance,omitempty"` // a regulator's own figure; a target, no limit
	Threshold        string   `yaml:"threshold" json:"threshold"`
	NotRun           string   `yaml:"not_run" json:"not_run,omitempty"` // why no clock comes of it; "": one does
	For              string   `yaml:"for" json:"for,omitempty"`         // fact about the vendor that has to be answered yes before the duty is looked at
	When             []string `yaml:"when" json:"when,omitempty"`       // facts that all have to hold: NAME, !NAME, NAME > 500
	Content          []string `yaml:"content" json:"content,omitempty"`
	Exemption        string   `yaml:"exemption" json:"exemption,omitempty"`
	Staged           bool     `yaml:"staged" json:"staged,omitempty"` // may be told in parts
	Citation         string   `yaml:"citation" json:"citation"`
	Verification     string   `yaml:"verification" json:"verification"` // seen, partial, secondary or unseen
	VerificationNote string   `yaml:"verification_note" json:"verification_note,omitempty"`

	span         calendar.Span
	when         []predicate
	source, text string // as a clock names them
	hours        calendar.Hours
}

// Runs reports whether a clock can come of the duty.
func (d Duty) Runs() bool { return d.NotRun == "" }

// Counting says in words how the duty's time is counted.
func (d Duty) Counting() string {
	l := d.span.Limit
	switch {
	case d.Span == "":
		return "no number: the policy's own target for promptly"
	case l == nil:
		return ""
	case l.Business:
		return "working days, Monday to Friday; public holidays are not in the data"
	case l.Unit == calendar.Hour || l.Unit == calendar.Minute:
		return "elapsed hours, through nights, weekends and holidays"
	case l.Unit == calendar.Month:
		return "calendar months: the same day of a later month"
	}
	return "calendar days, weekends and holidays among them"
}

// Find is the regime with an id, or the one that holds the duty with that id.
func (c *Catalogue) Find(id string) (Regime, bool) {
	for _, r := range c.Regimes {
		if r.ID == id {
			return r, true
		}
		for _, d := range r.Duties {
			if d.ID == id {
				return r, true
			}
		}
	}
	return Regime{}, false
}
