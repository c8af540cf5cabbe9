package incident

import (
	"encoding/json"
	"fmt"
	"time"
)

// This file holds the bodies of facts about the incident as a whole. A type named …Body is a
// fact's header body, in the clear; a type named …Text is a part, sealed by the ledger.

// OpenedBody is the body of incident.opened.
type OpenedBody struct {
	Class    string `json:"class"`
	Severity string `json:"severity,omitempty"`
	Policy   string `json:"policy"`
	Reach    bool   `json:"reach,omitempty"` // the lead is called until somebody acknowledges it
}

// OpenedText is its free text.
type OpenedText struct {
	Title   string `json:"title"`
	Summary string `json:"summary,omitempty"`
}

// Reasoned is the part of facts that carry a person's reason and nothing else.
type Reasoned struct {
	Reason string `json:"reason"`
}

// PlainText is the part of facts that carry one text.
type PlainText struct {
	Text string `json:"text"`
}

// SignalBody is the body of signal.linked.
type SignalBody struct {
	Signal string    `json:"signal"`
	Class  string    `json:"class"`
	App    string    `json:"app,omitempty"`
	At     time.Time `json:"at"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Of     string    `json:"of,omitempty"` // the incident a person took it out of
	// Noticed is when the log came in that shows it, if that was supplied later. Facts of before it was
	// recorded have none.
	Noticed time.Time `json:"noticed,omitzero"`
}

// SignalText is the signal itself: its subject and facets may be personal data.
type SignalText struct {
	Signal Signal `json:"signal"`
}

// MilestoneBody is the body of milestone.set and milestone.corrected.
type MilestoneBody struct {
	Milestone string    `json:"milestone"`
	At        time.Time `json:"at"`
	Before    time.Time `json:"before,omitzero"` // corrected: the time it had
	Auto      bool      `json:"auto,omitempty"`  // set by a rule of the engine, not by a person
}

// AnswerBody is the body of answer.recorded.
type AnswerBody struct {
	Fact string `json:"fact"`
}

// AnswerText is the answer, which may be free text.
type AnswerText struct {
	Value  any    `json:"value"`
	Reason string `json:"reason"`
}

// SeverityBody is the body of severity.set.
type SeverityBody struct {
	From     string `json:"from,omitempty"`
	Severity string `json:"severity"`
}

// AssignedBody is the body of role.assigned.
type AssignedBody struct {
	Role   string    `json:"role"`
	Person Principal `json:"person"`
}

// SwitchBody is the body of switch.flipped. The merchant stands in the part.
type SwitchBody struct {
	State string `json:"state"`
	All   bool   `json:"all,omitempty"` // the global switch
}

// ScopeBody is the body of scope.computed. Every merchant's Exposure stands in a part of its own.
type ScopeBody struct {
	N          int       `json:"n"`
	Log        string    `json:"log"`
	Size       uint64    `json:"size"`
	Checkpoint string    `json:"checkpoint"`
	Digest     string    `json:"digest"`
	Merchants  int64     `json:"merchants"`
	Customers  int64     `json:"customers"`
	Events     int64     `json:"events"`
	Records    int64     `json:"records"`
	AtLeast    bool      `json:"at_least"`
	DataTypes  []string  `json:"data_types"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Gaps       []Gap     `json:"gaps,omitempty"`

	Regions  []Residents `json:"regions,omitempty"`
	Supplied []Supplied  `json:"supplied,omitempty"`

	Added   int `json:"added"`
	Removed int `json:"removed"`
}

// ScopeText is the query, which names credentials and addresses, and why it was asked.
type ScopeText struct {
	Query  json.RawMessage `json:"query"`
	Reason string          `json:"reason,omitempty"`
}

// AdjustedBody is the body of scope.adjusted. The merchant stands in the part.
type AdjustedBody struct {
	Include bool `json:"include"`
}

// RefusedBody is the body of gate.refused.
type RefusedBody struct {
	Command string   `json:"command"`
	Reason  Reason   `json:"reason"`
	Subject string   `json:"subject,omitempty"` // id of the action or notice it was about
	Gates   []string `json:"gates,omitempty"`   // ids of the policy's gates that were shut
	N       int      `json:"n"`                 // things missing
}

// RefusedText lists what was missing.
type RefusedText struct {
	Missing []Missing `json:"missing"`
}

// GateSignedBody is the body of gate.signed.
type GateSignedBody struct {
	Gate  string   `json:"gate"`
	Roles []string `json:"roles"` // roles the signer held that the gate asks for
}

// SnapshotBody is the body of evidence.snapshot.
type SnapshotBody struct {
	Log        string `json:"log"`
	Size       uint64 `json:"size"`
	Checkpoint string `json:"checkpoint"`
}

// ExportedBody is the body of evidence.exported.
type ExportedBody struct {
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// ExportedText says who took the evidence out.
type ExportedText struct {
	Recipient string `json:"recipient"`
}

// AssessedText is the part of assessment.recorded.
type AssessedText struct {
	Vector    string `json:"vector"`
	RootCause string `json:"root_cause"`
	Risk      string `json:"risk"`
}

// ReviewBody is the body of review.edited.
type ReviewBody struct {
	Part    string `json:"part"`
	Version string `json:"version,omitempty"` // "" is the internal one
}

// EntryBody is the body of review.entry_picked and review.entry_dropped.
type EntryBody struct {
	Entry string    `json:"entry"`
	At    time.Time `json:"at,omitzero"`
	Of    string    `json:"of,omitempty"`
	Show  string    `json:"show,omitempty"` // "" is internal
}

// PublishedBody is the body of review.published. Facts of earlier releases have an empty one.
type PublishedBody struct {
	Version string `json:"version,omitempty"` // "" is the internal one
	N       int    `json:"n,omitempty"`       // which publication of the version, from 1
	Digest  string `json:"digest,omitempty"`  // of its Markdown
	Kept    string `json:"kept,omitempty"`    // of the document as it is kept
}

// CorrectiveBody is the body of corrective.added and corrective.moved.
type CorrectiveBody struct {
	Corrective string    `json:"corrective,omitempty"` // its id; facts of earlier releases have none and are counted
	Owner      Principal `json:"owner,omitempty"`
	Due        time.Time `json:"due,omitzero"`
	State      string    `json:"state,omitempty"` // moved: the state it is in now
}

// own makes the header's own part.
func own(body any) Part { return part("", body) }

// part makes a merchant's part. A body that cannot be written is a bug of this package: bodies
// are plain data, and raw JSON is checked before it gets here.
func part(merchant string, body any) Part {
	b, err := json.Marshal(body)
	if err != nil {
		b = json.RawMessage(`{}`)
	}
	return Part{Merchant: merchant, Body: b}
}

var emptyBody = json.RawMessage(`{}`)

// header decodes a fact's header body. Unknown fields are ignored: a newer engine may say more.
func header(f Fact, into any) error {
	if len(f.Body) == 0 {
		return nil
	}
	if err := json.Unmarshal(f.Body, into); err != nil {
		return fmt.Errorf("incident: fact %s: body of %s: %w", f.ID, f.Kind, err)
	}
	return nil
}

// text decodes the header's own part. A part that is withheld or erased leaves into as it is: the
// incident goes on without its words.
func text(f Fact, into any) error { return partOf(f, "", into) }

func partOf(f Fact, merchant string, into any) error {
	for _, p := range f.Parts {
		if p.Merchant == merchant {
			return decodePart(f, p, into)
		}
	}
	return nil
}

func decodePart(f Fact, p Part, into any) error {
	if p.Withheld || len(p.Body) == 0 {
		return nil
	}
	if err := json.Unmarshal(p.Body, into); err != nil {
		return fmt.Errorf("incident: fact %s: part %d of %s: %w", f.ID, p.Index, f.Kind, err)
	}
	return nil
}

// ScaleBody is the body of scale.set.
type ScaleBody struct {
	Scale string `json:"scale"`
	From  string `json:"from,omitempty"`
	Level string `json:"level"`
}

// DirectoryBody is the body of directory.read. What is known of a merchant stands in its part.
type DirectoryBody struct {
	N int `json:"n"`
}

// DoneBody is the body of act.done.
type DoneBody struct {
	Duty      string    `json:"duty"`
	Recipient string    `json:"recipient,omitempty"` // an event's id; never a merchant
	From      string    `json:"from,omitempty"`      // of a carried duty: the incident it comes from
	At        time.Time `json:"at"`
}

// PassedBody is the body of instant.passed.
type PassedBody struct {
	Clock string    `json:"clock"` // as written: "4h after confirmed"
	At    time.Time `json:"at"`
}

// OverriddenBody is the body of gate.overridden.
type OverriddenBody struct {
	Gate    string `json:"gate"`
	Command string `json:"command"`
	Subject string `json:"subject,omitempty"`
	N       int    `json:"n"` // things that were missing
}

// PolicyMovedBody is the body of policy.moved.
type PolicyMovedBody struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// ProgrammeBody is the body of programme.begun.
type ProgrammeBody struct {
	Policy string `json:"policy"`
}

// EventBody is the body of event.recorded.
type EventBody struct {
	ID    string    `json:"id"`
	Event string    `json:"event"`
	At    time.Time `json:"at"`
}
