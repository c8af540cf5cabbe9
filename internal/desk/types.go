// Package desk is the one place where the engine meets the world. Whatever wants to change an
// incident goes through Submit; whatever the engine owes the world is done by the desk's workers,
// and what came of it goes back through the same door.
package desk

import (
	"errors"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// Caller is a person (or a service of ours) that the desk has authenticated.
type Caller struct {
	Principal incident.Principal `json:"principal"`
	Name      string             `json:"name"`
	Access    incident.Access    `json:"access"`
	Roles     []string           `json:"roles,omitempty"`
	Token     string             `json:"token,omitempty"` // id of the token, never the secret
}

// Key is a machine's key: it may do one thing and is no person.
type Key struct {
	ID      string `json:"id"`
	Purpose string `json:"purpose"` // ingest or switch
	Source  string `json:"source,omitempty"`
	App     string `json:"app,omitempty"`
}

// Identity is who a bearer token belongs to. Exactly one of the two is set.
type Identity struct {
	Person *Caller
	Key    *Key
}

// Request is one command to one incident.
type Request struct {
	ID       string // idempotency key; "" means none
	Incident string
	Command  incident.Command
	Caller   Caller
	Causes   []string // ids of the facts, signals or commands that led here

	// asked is what the caller gave, when the desk has worked the command out from it: the
	// idempotency key stands for that. A command worked out again later may say something else.
	asked any

	directory map[string]incident.Recipient // of the merchants that the command brings into the scope
}

// Outcome is what came of a command that was accepted. Replayed says that the answer is the
// remembered one of an earlier request with the same idempotency key.
type Outcome struct {
	Incident string          `json:"incident"`
	Version  int             `json:"version"`
	Reason   incident.Reason `json:"reason"`
	Facts    []FactRef       `json:"facts"`
	Replayed bool            `json:"replayed,omitempty"`
	DryRun   bool            `json:"dry_run,omitempty"` // nothing was recorded
	Plan     []string        `json:"plan,omitempty"`    // dry run: which clocks would move, in words
	Versions map[string]int  `json:"versions,omitempty" doc:"dry run of a merging: the versions of both incidents, by id, that confirm its plan"`
}

// FactRef names a fact that was recorded.
type FactRef struct {
	ID       string        `json:"id"`
	Kind     incident.Kind `json:"kind"`
	Recorded time.Time     `json:"recorded"`
	Hash     string        `json:"hash"`
}

// BoardRow is one incident on the board.
type BoardRow struct {
	ID         string               `json:"id"`
	Title      string               `json:"title"`
	Class      string               `json:"class"`
	Severity   string               `json:"severity"`
	Status     incident.Status      `json:"status"`
	Env        string               `json:"env"`
	Apps       []string             `json:"apps,omitempty"`
	Opened     time.Time            `json:"opened"`
	Updated    time.Time            `json:"updated"`
	Lead       string               `json:"lead,omitempty"`      // name of the person who holds the role lead
	Milestones map[string]time.Time `json:"milestones"`          // those that happened
	Next       *ClockRow            `json:"next,omitempty"`      // the most urgent clock
	MoreClocks int                  `json:"more_clocks"`         // running clocks beside Next
	Missed     int                  `json:"missed"`              // duties whose limit passed and that are still owed
	Closed     []string             `json:"closed,omitempty"`    // commands whose gate is shut
	People     int64                `json:"people,omitempty"`    // customer accounts in the newest scope, an upper bound on people
	Merchants  int64                `json:"merchants,omitempty"` // merchants in the newest scope

	Correctives int `json:"correctives,omitempty"` // corrective actions, whatever became of them
	Notices     int `json:"notices,omitempty"`     // notices, drafts with them

	Into    string               `json:"into,omitempty"`    // the incident that it was merged into
	Private bool                 `json:"private,omitempty"` // known to its readers alone
	Readers []incident.Principal `json:"readers,omitempty"` // the list of a private incident
}

// ClockRow is one duty as a person reads it. Duties that differ in their recipient alone are one
// row with a Count.
type ClockRow struct {
	Incident  string               `json:"incident"`
	Duty      string               `json:"duty"`
	Recipient string               `json:"recipient,omitempty"`
	Count     int                  `json:"count,omitempty"` // recipients; 0: the duty has none
	State     incident.DutyState   `json:"state"`
	Say       string               `json:"say"` // what is owed, such as "Tell 214 merchants"
	Due       time.Time            `json:"due,omitzero"`
	Target    time.Time            `json:"target,omitzero"`
	Started   time.Time            `json:"started,omitzero"`
	Met       time.Time            `json:"met,omitzero"`
	Why       string               `json:"why"`
	Holder    string               `json:"holder,omitempty"`    // role that owes it
	Called    string               `json:"called,omitempty"`    // who was called about it, in words; "" when nobody was
	CalledTo  []incident.Principal `json:"called_to,omitempty"` // whom that call reached
	Missing   []incident.Missing   `json:"missing,omitempty"`
	From      string               `json:"from,omitempty"` // the incident that it was carried from, when that was merged in
	Law       string               `json:"law,omitempty"`  // id of the law's duty in the catalogue, where a law sets the clock

	// Where clocks of several incidents stand together:
	Title  string `json:"title,omitempty"`  // of the incident
	To     string `json:"to,omitempty"`     // who has to be told
	Person string `json:"person,omitempty"` // who holds the role
}

// GateRow is one gate: whether the command would be let through now, and what is missing.
type GateRow struct {
	Command string             `json:"command"`
	Open    bool               `json:"open"`
	Missing []incident.Missing `json:"missing,omitempty"`
}

// TimelineLine is one line of the merged timeline.
type TimelineLine struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Recorded  time.Time `json:"recorded"`
	Source    string    `json:"source"` // fact, event or log
	Kind      string    `json:"kind"`
	Principal string    `json:"principal,omitempty"`
	Text      string    `json:"text"`
	Fact      string    `json:"fact,omitempty"`     // id of the fact, when the line is one
	Supplied  string    `json:"supplied,omitempty"` // digest of the file it was supplied in later
}

// Letter is a notice as one recipient gets it.
type Letter struct {
	From    string            `json:"from"`
	To      string            `json:"to"`
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	Headers map[string]string `json:"headers,omitempty"`
}

// Switch is one kill switch. Merchant "*" is the global one.
type Switch struct {
	Merchant string       `json:"merchant"`
	State    string       `json:"state"` // on or off
	Reason   string       `json:"reason,omitempty"`
	Since    time.Time    `json:"since"`
	Incident string       `json:"incident,omitempty"`
	Seen     []SwitchSeen `json:"seen,omitempty"`
}

// SwitchSeen is one instance of an app saying which version of the switches it obeys.
type SwitchSeen struct {
	Instance string    `json:"instance"`
	Version  int64     `json:"version"`
	At       time.Time `json:"at"`
}

// Receipt is what the door of the access log answers once the events are durable.
type Receipt struct {
	Accepted   int      `json:"accepted"`
	Duplicates int      `json:"duplicates"`
	Rejected   []Reject `json:"rejected,omitempty"`
	Skipped    int      `json:"skipped,omitempty"`        // entries that are no access events and not wrong either
	Unchecked  int      `json:"unchecked,omitempty"`      // older than the seven days over which ids are compared
	Ignored    []string `json:"ignored_fields,omitempty"` // fields that were dropped: those no event has, and values that are none
}

// Delivery is how a batch of access events comes.
type Delivery struct {
	Batch    string // batch key; a batch that was taken in within 24 hours counts as duplicates, other bytes under its key are invalid
	Format   string // of package accesslog/format
	Supplied string // "sha256:HEX" of the file when its events were not logged live but are supplied later
}

// Reject is one line that was not taken in. It names the field and the reason, never the line.
type Reject struct {
	Line   int    `json:"line"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// Checkpoints are the newest signed notes of both logs and the keys that verify them.
type Checkpoints struct {
	Facts      string `json:"facts"`
	Events     string `json:"events"`
	FactsKey   string `json:"facts_key"`
	EventsKey  string `json:"events_key"`
	FactsSize  uint64 `json:"facts_size"`
	EventsSize uint64 `json:"events_size"`
	FactsAge   int64  `json:"facts_age_seconds"` // since the checkpoint was written, by the machine's clock; -1: not known
	EventsAge  int64  `json:"events_age_seconds"`
}

// Errors that the faces turn into an answer of their own. Whatever wraps none of these, and is no
// refusal, is an internal error: its text goes to the log and not to the caller.
var (
	ErrUnauthenticated = errors.New("not signed in")
	ErrForbidden       = errors.New("not allowed")
	ErrNotFound        = errors.New("not found")
	ErrInvalid         = errors.New("invalid")
	ErrTooLarge        = errors.New("too large")
	ErrBusy            = errors.New("busy, try again shortly")
	ErrUnavailable     = errors.New("not available now")
	ErrReadOnly        = errors.New("this installation is read-only")
)

// Said is what an error says to a caller, without the word for its kind at one of its ends: the face says
// that in a form of its own.
func Said(err error) string {
	text := err.Error()
	for _, kind := range []error{ErrInvalid, ErrForbidden, ErrNotFound} {
		if errors.Is(err, kind) {
			text = strings.TrimSuffix(strings.TrimPrefix(text, kind.Error()+": "), ": "+kind.Error())
		}
	}
	return text
}
