package incident

import (
	"encoding/json"
	"time"
)

// State is what the facts of one incident fold to. It is plain data: it survives a round trip
// through JSON, so that it can be kept as a snapshot. The fold owns it; nobody else writes to it.
type State struct {
	ID       string    `json:"id"`
	Version  int       `json:"version"` // number of facts folded
	Head     string    `json:"head"`    // id of the newest fact
	Env      string    `json:"env"`
	Apps     []string  `json:"apps"`
	Policy   string    `json:"policy"` // Program.Hash it runs under
	Opened   time.Time `json:"opened"`
	Updated  time.Time `json:"updated"`
	Title    string    `json:"title"`
	Summary  string    `json:"summary"`
	Class    string    `json:"class"`
	Severity string    `json:"severity"`
	Status   Status    `json:"status"`

	Milestones map[string]*Milestone `json:"milestones"`
	Answers    map[string]*AnswerOf  `json:"answers"`
	Signals    []Signal              `json:"signals"`
	Roles      map[string]Principal  `json:"roles"`

	Scopes    []ScopeVersion       `json:"scopes"`    // oldest first; the last counts
	Exposures map[string]*Exposure `json:"exposures"` // of the newest scope, by merchant
	Adjusted  map[string]*Adjusted `json:"adjusted"`  // by merchant

	Duties  map[string]*DutyInstance `json:"duties"` // by Key
	Actions []*Action                `json:"actions"`
	Notices []*Notice                `json:"notices"`
	Checks  map[string]*Check        `json:"checks"`

	Fix        *Signed      `json:"fix"`
	FixProof   *Signed      `json:"fix_proof"`
	Assessment *Assessment  `json:"assessment"`
	Snapshots  []SnapshotOf `json:"snapshots"`
	Review     ReviewState  `json:"review"`
	Exports    []ExportOf   `json:"exports"`
	Refusals   []RefusalOf  `json:"refusals"` // what gates refused: shown, and never erased

	UnknownKinds map[Kind]int `json:"unknown_kinds,omitempty"`
}

// Status is whether the incident is open.
type Status string

// The statuses.
const (
	StatusOpen      Status = "open"
	StatusDismissed Status = "dismissed"
	StatusClosed    Status = "closed"
)

// Milestone is an instant of an incident's life. Corrections keep every earlier time.
type Milestone struct {
	At     time.Time    `json:"at"`
	By     Principal    `json:"by"`
	Set    time.Time    `json:"set"` // when it was recorded
	Why    string       `json:"why"`
	Fact   string       `json:"fact"` // id of the fact that set it
	Before []Correction `json:"before,omitempty"`
}

// Correction is an earlier time of a milestone.
type Correction struct {
	At   time.Time `json:"at"`
	By   Principal `json:"by"`
	Set  time.Time `json:"set"`
	Why  string    `json:"why"`
	Fact string    `json:"fact"`
}

// AnswerOf is a recorded judgement.
type AnswerOf struct {
	Value any       `json:"value"`
	By    Principal `json:"by"`
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
}

// ScopeVersion is one computed scope; the per-merchant rows of the newest are in State.Exposures.
type ScopeVersion struct {
	N          int             `json:"n"`
	Fact       string          `json:"fact"`
	At         time.Time       `json:"at"`
	By         Principal       `json:"by"`
	Query      json.RawMessage `json:"query"`
	Log        string          `json:"log"`
	Size       uint64          `json:"size"`
	Checkpoint string          `json:"checkpoint"`
	Digest     string          `json:"digest"`
	Merchants  int64           `json:"merchants"`
	Customers  int64           `json:"customers"`
	Events     int64           `json:"events"`
	Records    int64           `json:"records"`
	AtLeast    bool            `json:"at_least"`
	DataTypes  []string        `json:"data_types"`
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Gaps       []Gap           `json:"gaps,omitempty"`
	Added      int             `json:"added"`   // merchants not in the version before
	Removed    int             `json:"removed"` // merchants of the version before not in this one
	Why        string          `json:"why,omitempty"`
}

// Adjusted is a merchant included or excluded by hand.
type Adjusted struct {
	Include bool      `json:"include"`
	By      Principal `json:"by"`
	At      time.Time `json:"at"`
	Why     string    `json:"why"`
}

// DutyInstance is one duty for one recipient (or for the incident).
type DutyInstance struct {
	Key       string    `json:"key"` // duty, or duty/recipient
	Duty      string    `json:"duty"`
	Recipient string    `json:"recipient,omitempty"` // merchant id or party id
	State     DutyState `json:"state"`
	Anchor    string    `json:"anchor"`            // the instant's name
	Started   time.Time `json:"started,omitzero"`  // the anchor's time
	Target    time.Time `json:"target,omitzero"`   // what the policy aims for
	Due       time.Time `json:"due,omitzero"`      // the limit; zero: no limit
	Earliest  time.Time `json:"earliest,omitzero"` // the earliest due ever shown
	Met       time.Time `json:"met,omitzero"`
	Missed    time.Time `json:"missed,omitzero"` // when a limit was first passed; stays for ever
	Why       string    `json:"why"`             // the clock in words, or why not
	Unknown   []string  `json:"unknown,omitempty"`
	Proof     string    `json:"proof,omitempty"`     // id of the fact that met it
	Trigger   string    `json:"trigger,omitempty"`   // system or person: whose act met it
	Fact      string    `json:"fact,omitempty"`      // id of the fact that last changed it
	Escalated []string  `json:"escalated,omitempty"` // effect ids of pages already owed
}

// DutyState is where a duty stands. Unknown never silently drops a duty.
type DutyState string

// The states of a duty; docs/states.md draws the transitions.
const (
	DutyWaiting     DutyState = "waiting" // its anchor has not happened
	DutyRunning     DutyState = "running"
	DutyProvisional DutyState = "provisional" // running, unless an unknown is ruled out
	DutyAtRisk      DutyState = "at_risk"     // past its target, or less than a quarter of its time left
	DutyMissed      DutyState = "missed"      // past its limit and still owed
	DutyMet         DutyState = "met"
	DutyMetLate     DutyState = "met_late"
	DutyWaived      DutyState = "waived"
	DutyStopped     DutyState = "stopped" // the incident was dismissed
	DutyNot         DutyState = "not_applicable"
)

// Action is one planned containment or recovery action.
type Action struct {
	ID        string            `json:"id"` // ACT-1, …
	Decl      string            `json:"decl"`
	Uses      string            `json:"uses"`
	Target    map[string]string `json:"target"`
	Secret    string            `json:"secret,omitempty"`
	Steps     []string          `json:"steps"`
	Blast     string            `json:"blast"`
	UndoText  string            `json:"undo_text"`
	Reason    string            `json:"reason"`
	State     ActionState       `json:"state"`
	PlannedBy Principal         `json:"planned_by"`
	PlannedAt time.Time         `json:"planned_at"`
	Approvals []Signed          `json:"approvals"`
	Attempts  int               `json:"attempts"`
	Attempted string            `json:"attempted,omitempty"` // effect id in flight, "" when none
	AppliedAt time.Time         `json:"applied_at,omitzero"`
	ProvenAt  time.Time         `json:"proven_at,omitzero"`
	Proof     string            `json:"proof,omitempty"`
	Code      string            `json:"code,omitempty"`
	NextTry   time.Time         `json:"next_try,omitzero"` // protocol time
	Expires   time.Time         `json:"expires,omitzero"`
}

// ActionState is where an action stands.
type ActionState string

// The states of an action.
const (
	ActionPlanned   ActionState = "planned"
	ActionApproved  ActionState = "approved" // apply is owed
	ActionApplied   ActionState = "applied"  // confirm is owed
	ActionProven    ActionState = "proven"
	ActionUnproven  ActionState = "unproven" // applied, but the old credential or path still works
	ActionFailed    ActionState = "failed"
	ActionUncertain ActionState = "uncertain"
	ActionUndoing   ActionState = "undoing"
	ActionUndone    ActionState = "undone"
	ActionCancelled ActionState = "cancelled"
)

// Signed is something a person did under their own name.
type Signed struct {
	By   Principal `json:"by"`
	At   time.Time `json:"at"`
	Role string    `json:"role,omitempty"`
	Text string    `json:"text,omitempty"`
	Fact string    `json:"fact,omitempty"`
}

// Notice is one text to the recipients of a duty, with its delivery ledger.
type Notice struct {
	ID         string               `json:"id"` // NTC-1, …
	Duty       string               `json:"duty"`
	Subject    string               `json:"subject"`
	Content    map[string]string    `json:"content"`
	State      NoticeState          `json:"state"`
	DraftedBy  Principal            `json:"drafted_by"`
	DraftedAt  time.Time            `json:"drafted_at"`
	Approvals  []Signed             `json:"approvals"`
	SentBy     Principal            `json:"sent_by,omitempty"`
	SentAt     time.Time            `json:"sent_at,omitzero"`
	Deliveries map[string]*Delivery `json:"deliveries"` // by recipient
}

// NoticeState is where a notice stands.
type NoticeState string

// The states of a notice.
const (
	NoticeDraft    NoticeState = "draft"
	NoticeApproved NoticeState = "approved"
	NoticeSending  NoticeState = "sending"
	NoticeSent     NoticeState = "sent" // every delivery is settled
)

// Delivery is one recipient's row of the ledger.
type Delivery struct {
	Recipient string        `json:"recipient"`
	State     DeliveryState `json:"state"`
	Attempts  int           `json:"attempts"`
	Attempted string        `json:"attempted,omitempty"` // effect id in flight
	MessageID string        `json:"message_id,omitempty"`
	Digest    string        `json:"digest,omitempty"`
	Code      string        `json:"code,omitempty"`
	At        time.Time     `json:"at,omitzero"`       // of the last change, domain time
	NextTry   time.Time     `json:"next_try,omitzero"` // protocol time
	Address   int           `json:"address"`           // index into the recipient's addresses now being tried
	Unsure    int           `json:"unsure,omitempty"`  // how often the outcome was uncertain
	Fact      string        `json:"fact,omitempty"`
}

// DeliveryState is where one delivery stands.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryOwed      DeliveryState = "owed"
	DeliveryTrying    DeliveryState = "trying"
	DeliveryDeferred  DeliveryState = "deferred"
	DeliveryAccepted  DeliveryState = "accepted"
	DeliveryBounced   DeliveryState = "bounced"   // every address refused: a person has to act
	DeliveryUncertain DeliveryState = "uncertain" // resent once with the same Message-ID, then left to a person
	DeliveryNoAddress DeliveryState = "no_address"
)

// Check is the newest result of a declared check.
type Check struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // owed, running, passed, failed
	Run     int       `json:"run"`
	At      time.Time `json:"at,omitzero"`
	Observe string    `json:"observed,omitempty"`
	Code    string    `json:"code,omitempty"`
	Fact    string    `json:"fact,omitempty"`
}

// Assessment is what the review needs to know (INV-4).
type Assessment struct {
	Vector, RootCause, Risk string
	By                      Principal
	At                      time.Time
}

// SnapshotOf is a recorded checkpoint of the evidence.
type SnapshotOf struct {
	Log        string    `json:"log"`
	Size       uint64    `json:"size"`
	Checkpoint string    `json:"checkpoint"`
	At         time.Time `json:"at"`
}

// ReviewState is the review as far as it is written.
type ReviewState struct {
	Parts       map[string]*Signed `json:"parts"` // Text is the part
	Corrective  []Corrective       `json:"corrective"`
	PublishedBy Principal          `json:"published_by,omitempty"`
	PublishedAt time.Time          `json:"published_at,omitzero"`
}

// Corrective is a corrective action.
type Corrective struct {
	Text  string    `json:"text"`
	Owner Principal `json:"owner"`
	Due   time.Time `json:"due"`
}

// ExportOf is an evidence export that was handed out.
type ExportOf struct {
	Digest    string    `json:"digest"`
	Bytes     int64     `json:"bytes"`
	Recipient string    `json:"recipient"`
	By        Principal `json:"by"`
	At        time.Time `json:"at"`
}

// RefusalOf is a command a gate refused, kept because it is part of what happened.
type RefusalOf struct {
	Command string    `json:"command"`
	Reason  Reason    `json:"reason"`
	Missing []Missing `json:"missing"`
	By      Principal `json:"by"`
	At      time.Time `json:"at"`
	Fact    string    `json:"fact"`
}
