package incident

import "time"

// LevelOf is the level of one of the policy's own scales.
type LevelOf struct {
	Level string    `json:"level"`
	By    Principal `json:"by"`
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
}

// Recipient is what the directory of merchants said of one of them when a decision was taken.
// Conditions, laws and contracts read it from here and never from the directory itself, so that
// the facts alone say what was decided on.
type Recipient struct {
	Merchant      string `json:"merchant"`
	Country       string `json:"country,omitempty"`        // ISO 3166-1, upper case
	Region        string `json:"region,omitempty"`         // ISO 3166-2
	Zone          string `json:"zone,omitempty"`           // IANA
	Language      string `json:"language,omitempty"`       // BCP 47
	ContractHours int    `json:"contract_hours,omitempty"` // term of notice; 0: none is known
}

// DoneOf is an act that somebody recorded as done.
type DoneOf struct {
	Duty      string    `json:"duty"`
	Recipient string    `json:"recipient,omitempty"` // of a duty for each event: the event
	From      string    `json:"from,omitempty"`      // of a carried duty: the incident it comes from
	At        time.Time `json:"at"`
	By        Principal `json:"by"`
	Note      string    `json:"note"`
	Fact      string    `json:"fact"`
}

// EventOf is one event of the programme.
type EventOf struct {
	ID       string    `json:"id"` // such as subprocessor_added-1
	Event    string    `json:"event"`
	At       time.Time `json:"at"` // may lie in the future: notice in advance counts back from it
	Recorded time.Time `json:"recorded"`
	By       Principal `json:"by"`
	Note     string    `json:"note"`
	Fact     string    `json:"fact"`
}

// OverrideOf is a gate that was passed although it was shut.
type OverrideOf struct {
	Gate    string    `json:"gate"`
	Command string    `json:"command"`
	By      []Signed  `json:"by"` // who signed for it, each with the reason
	Missing []Missing `json:"missing"`
	At      time.Time `json:"at"`
	Fact    string    `json:"fact"`
}

// PolicyMove is a change of the policy an incident runs under.
type PolicyMove struct {
	From string    `json:"from"` // Program.Hash
	To   string    `json:"to"`
	By   Principal `json:"by"`
	At   time.Time `json:"at"`
	Why  string    `json:"why"`
}
