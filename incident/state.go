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
	Reopened time.Time `json:"reopened,omitzero"` // the last time it was
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
	Pages   map[string]*Page         `json:"pages"`           // calls for a person, by id
	Reach   *Reach                   `json:"reach,omitempty"` // somebody of the staff suspects a breach
	Tally   map[string]*Tally        `json:"tally"`           // what the instances of a duty add up to, by duty

	Switches   map[string]*Switch  `json:"switches"`   // flipped for this incident, by merchant or *
	Signatures map[string][]Signed `json:"signatures"` // given to a gate and not used up, by gate

	Fix        *Signed      `json:"fix"`
	FixProof   *Signed      `json:"fix_proof"`
	Assessment *Assessment  `json:"assessment"`
	Snapshots  []SnapshotOf `json:"snapshots"`
	Review     ReviewState  `json:"review"`
	Exports    []ExportOf   `json:"exports"`
	Refusals   []RefusalOf  `json:"refusals"` // what gates refused: shown, and never erased

	UnknownKinds map[Kind]int `json:"unknown_kinds,omitempty"`

	Scales    map[string]*LevelOf   `json:"scales,omitempty"`    // levels of the policy's own scales, by scale
	Directory map[string]*Recipient `json:"directory,omitempty"` // what the directory said of merchants, as decisions saw it
	Done      []DoneOf              `json:"done,omitempty"`      // acts that somebody recorded as done, oldest first
	Passed    map[string]time.Time  `json:"passed,omitempty"`    // turning points of conditions that were passed, by clock
	Attested  map[string][]Signed   `json:"attested,omitempty"`  // declarations given to a gate and not used up, by gate
	Waivers   map[string][]Signed   `json:"waivers,omitempty"`   // signatures to override a gate that are not used up, by gate
	Overrides []OverrideOf          `json:"overrides,omitempty"` // gates that were passed although shut: shown, and never erased
	Moves     []PolicyMove          `json:"moves,omitempty"`     // policies this ran under before

	// Programme says that this is no incident: it holds the duties a policy has without one. Their
	// facts stand in the chain of the organisation.
	Programme bool      `json:"programme,omitempty"`
	Events    []EventOf `json:"events,omitempty"` // of the programme, oldest first

	Unlinked    []Unlinked        `json:"unlinked,omitempty"`    // signals that were taken out, oldest first
	Offers      map[string]*Offer `json:"offers,omitempty"`      // roles that are being handed over, by role
	Holds       []*Hold           `json:"holds,omitempty"`       // oldest first, released ones too
	Attachments []Attachment      `json:"attachments,omitempty"` // files kept as evidence, oldest first

	Merged  []*Merged  `json:"merged,omitempty"`   // incidents that were merged into this one, oldest first
	Into    *MergedTo  `json:"into,omitempty"`     // it ended as a part of another; nil: it did not
	Splits  []SplitTo  `json:"splits,omitempty"`   // signals that left for an incident of their own
	SplitOf *SplitFrom `json:"split_of,omitempty"` // where it began, when it was split off another

	Private *Privacy `json:"private,omitempty"` // who may know of it; nil: everybody who is signed in

	SeverityBy Principal `json:"severity_by,omitempty"` // who set Severity last
	Computed   Versions  `json:"computed"`              // versions of the newest fact: another policy or engine looks at everything again

	owing  []Owing  // what is owed by Duties, when it is listed
	listed bool     // whether it is
	shared *sharing // what a fork has in common with its original; nil: nothing
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
	Fact   string       `json:"fact"`           // id of the fact that set it
	Auto   bool         `json:"auto,omitempty"` // a rule of the engine set it: it follows what it was derived from
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
	Fact  string    `json:"fact,omitempty"`
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
	Regions    []Residents     `json:"regions,omitempty"`
	Supplied   []Supplied      `json:"supplied,omitempty"` // what was not logged live, by file
	Added      int             `json:"added"`              // merchants not in the version before
	Removed    int             `json:"removed"`            // merchants of the version before not in this one
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
	Key       string `json:"key"`                 // duty, or duty/recipient
	Recipient string `json:"recipient,omitempty"` // merchant id or party id
	Proof     string `json:"proof,omitempty"`     // id of the fact that met it
	*Standing        // never nil in a State; shared by all that one fact brought to the same
}

// Standing is how a duty stands for those to whom it stands the same. One fact may bring a duty to
// the same standing for thousands of recipients, who then share it. It is never changed: a fact puts
// another in its place.
type Standing struct {
	Duty      string    `json:"duty"`
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
	Trigger   string    `json:"trigger,omitempty"`   // system or person: whose act met it
	Fact      string    `json:"fact,omitempty"`      // id of the fact that last changed it
	Escalated []string  `json:"escalated,omitempty"` // ids of pages already owed
	Round     int       `json:"round,omitempty"`     // cadences: which time; 0 is the first
	AtOnce    time.Time `json:"at_once,omitzero"`    // due at once, late by discovery: when it first applied, its limit had passed
	Cause     string    `json:"cause,omitempty"`     // why it last moved, stopped or was ruled out, in a word
	Applies   time.Time `json:"applies,omitzero"`    // when the duty first applied to this recipient
	Floor     time.Time `json:"floor,omitzero"`      // an act before it does not meet the duty; zero: none, or its anchor has not happened
	Cell      string    `json:"cell,omitempty"`      // the cell of a table its clock came from: "severity critical"
	Law       string    `json:"law,omitempty"`       // id of the law's clock that runs, such as eu-gdpr-authority
	Late      time.Time `json:"late,omitzero"`       // when its limit passed, or its target where it has no limit
	Waived    time.Time `json:"waived,omitzero"`
	From      string    `json:"from,omitempty"` // carried: the incident in which it was owed
	Carried   time.Time `json:"carried,omitzero"`
	Again     time.Time `json:"again,omitzero"` // the reopening that took back the dismissal which met it: its clocks count from here
}

// Tally is what the instances of one duty add up to. It lets a duty be anchored on another, and
// keeps the question "is everyone told" from being a walk over every merchant.
type Tally struct {
	Open         int       `json:"open"` // still owed
	Met          int       `json:"met"`  // met or met late
	FirstStarted time.Time `json:"first_started,omitzero"`
	FirstMissed  time.Time `json:"first_missed,omitzero"`
	LastMet      time.Time `json:"last_met,omitzero"`
	FirstApplies time.Time `json:"first_applies,omitzero"`
	FirstLate    time.Time `json:"first_late,omitzero"`
	LastWaived   time.Time `json:"last_waived,omitzero"`
}

// Switch is a kill switch flipped for this incident.
type Switch struct {
	Merchant string    `json:"merchant"`
	State    string    `json:"state"` // on or off
	By       Principal `json:"by"`
	At       time.Time `json:"at"`
	Why      string    `json:"why"`
}

// Page is one call for a person: a role is told that a duty is still unmet.
type Page struct {
	ID        string      `json:"id"`
	Duty      string      `json:"duty"`
	Role      string      `json:"role"`
	Due       time.Time   `json:"due"`
	State     string      `json:"state"` // owed, sending, sent, failed
	N         int         `json:"n"`     // instances it is about
	At        time.Time   `json:"at"`
	Attempts  int         `json:"attempts"`
	Attempted string      `json:"attempted,omitempty"`
	NextTry   time.Time   `json:"next_try,omitzero"` // protocol time
	Unsure    int         `json:"unsure,omitempty"`
	Code      string      `json:"code,omitempty"`
	To        []Principal `json:"to,omitempty"`  // who was called at the last attempt
	For       []Principal `json:"for,omitempty"` // whom it is for, when not for everybody who holds the role
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
	Applies   int               `json:"applies,omitempty"` // attempts to apply, of Attempts
	Unsure    int               `json:"unsure,omitempty"`  // uncertain outcomes in a row
	Prior     ActionState       `json:"prior,omitempty"`   // undoing: what a failed undo goes back to
	UndoWhy   string            `json:"undo_why,omitempty"`
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

	Roles []string `json:"roles,omitempty"` // signatures: the roles it may count for
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
	Deliveries map[string]*Delivery `json:"deliveries"`           // by recipient
	Authors    []Principal          `json:"authors,omitempty"`    // everyone who wrote it: none of them may sign it
	Open       int                  `json:"open,omitempty"`       // deliveries that are not settled
	OpenItems  []string             `json:"open_items,omitempty"` // content items it says are not known yet
	Corrects   string               `json:"corrects,omitempty"`   // the notice that it corrects; "" for a first one
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
	Channel   string        `json:"channel,omitempty"` // how the recipient was reached, when not by mail
	Told      *Exposure     `json:"told,omitempty"`    // the recipient's own numbers at the last attempt; nil: there were none
	Outside   bool          `json:"outside,omitempty"` // at the last attempt the recipient was not in scope any more
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
	DeliveryWithdrawn DeliveryState = "withdrawn" // not sent: the recipient left the scope, or it was a false alarm
)

// Check is the newest result of a declared check.
type Check struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // owed, running, passed, failed, stale
	Run     int       `json:"run"`
	At      time.Time `json:"at,omitzero"`
	Observe string    `json:"observed,omitempty"`
	Code    string    `json:"code,omitempty"`
	Fact    string    `json:"fact,omitempty"`

	Attempts  int       `json:"attempts,omitempty"`
	Attempted string    `json:"attempted,omitempty"` // effect id in flight
	NextTry   time.Time `json:"next_try,omitzero"`   // protocol time
	Unsure    int       `json:"unsure,omitempty"`
}

// The states of a check.
const (
	CheckOwed    = "owed"
	CheckRunning = "running"
	CheckPassed  = "passed"
	CheckFailed  = "failed"
	CheckStale   = "stale" // passed, but something changed since
)

// The states of a page.
const (
	PageOwed    = "owed"
	PageSending = "sending"
	PageSent    = "sent"
	PageFailed  = "failed"
)

// Assessment is what the review needs to know (INV-4).
type Assessment struct {
	Vector, RootCause, Risk string
	By                      Principal
	At                      time.Time
	Fact                    string
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
	Parts       map[string]*Signed `json:"parts"` // by PartKey; Text is the part
	Corrective  []Corrective       `json:"corrective"`
	PublishedBy Principal          `json:"published_by,omitempty"` // the internal version, first
	PublishedAt time.Time          `json:"published_at,omitzero"`
	Entries     []Picked           `json:"entries,omitempty"`   // of the curated timeline, in the order of their times
	Picked      int                `json:"picked,omitempty"`    // entries there ever were
	Published   []Publication      `json:"published,omitempty"` // oldest first
	Written     int                `json:"written,omitempty"`   // changes so far: of parts, entries and corrective actions
}

// Picked is an entry of the curated timeline.
type Picked struct {
	ID   string    `json:"id"` // such as TL-1
	At   time.Time `json:"at"`
	Text string    `json:"text"`
	Of   string    `json:"of,omitempty"` // the fact or line it speaks of; "" for a note of somebody's own
	Show string    `json:"show"`         // the widest version that shows it
	By   Principal `json:"by"`
	Fact string    `json:"fact"`
}

// Publication is a version of the review that was published. Its text is kept and never changes.
type Publication struct {
	Version string    `json:"version"`
	N       int       `json:"n"`
	Digest  string    `json:"digest,omitempty"` // of the Markdown; "" for one of a release that kept none
	Kept    string    `json:"kept,omitempty"`
	By      Principal `json:"by"`
	At      time.Time `json:"at"`
	Fact    string    `json:"fact"`
	Written int       `json:"written,omitempty"` // changes of the review that it holds
}

// Corrective is a corrective action.
type Corrective struct {
	ID       string    `json:"id"` // such as CA-1
	Text     string    `json:"text"`
	Owner    Principal `json:"owner"`
	Due      time.Time `json:"due"`
	State    string    `json:"state"` // open, done or dropped
	At       time.Time `json:"at"`    // when it came into this state
	Note     string    `json:"note,omitempty"`
	Reopened int       `json:"reopened,omitempty"` // how often it was done and is not any more
	Fact     string    `json:"fact,omitempty"`     // that added it
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
