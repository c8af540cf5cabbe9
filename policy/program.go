// Package policy holds the policy language: it parses a policy, checks it, and compiles it to a
// Program, the pure data that the engine runs and that the public page is rendered from.
//
// The package is pure: it reads no clock, no file and no network.
package policy

import (
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
)

// Pos is a place in the policy's source text. Line and Col count from 1.
type Pos struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Program is a compiled policy. It is immutable: an incident that has started under a Program
// goes on under it, named by Hash, until a signed command moves it to another.
type Program struct {
	ID     string // snake_case name of the policy, such as pickandpack
	Title  string
	Owner  string
	Hash   string // "sha256:" and the hex digest of Source
	Source []byte // the text that was compiled, byte for byte

	Updated string // the date of the last change as the author gave it, 2006-01-02; "" when not given

	Zone     *time.Location  // the zone of dates and business time where nothing else is said
	Hours    calendar.Hours  // opening hours and holidays, in Zone
	Promptly calendar.Length // the target behind "promptly" and "without undue delay"
	Starts   string          // the milestone a clock starts at when it names none

	Places []string // where those live whose data is held: ISO 3166-1 or -2, or EU; nil: anywhere. Laws of other places are left out

	Severities []Level // worst first
	Scales     []Scale // further axes beside the severity, such as the maturity of the evidence
	Classes    []Class
	Events     []EventDecl // what happens to the programme and not to an incident
	Facts      []FactDecl
	Milestones []MilestoneDecl // a policy's own, beside the universal ones
	Parties    []Party
	Roles      []Role
	Duties     []Duty
	Tables     []Table // as written; Duties hold what they come to
	Gates      []Gate
	Actions    []ActionDecl
	Checks     []CheckDecl
	Proofs     []CheckDecl // checks a connector makes itself after its action; the action's state proven is their result
	Phases     []Phase
	Review     []string // ids of the parts a review must have
	Contact    Contact
	Page       []PageLine

	// Open are texts that somebody still has to fill in: "[company name]", "?". They compile, are
	// warned about, and show as open.
	Open []Placeholder

	tabulated bool // the page has the table of clocks, and sentences refer to it

	// Laws answers for clocks that are written "as law"; nil: no catalogue is at hand, and such a
	// clock runs promptly and says so. It is part of what a decision depended on: facts carry its
	// version.
	Laws Laws
}

// Scale is an ordered axis of the policy's own, worst first. It is set by people, never derived,
// unless its levels carry conditions.
type Scale struct {
	ID, Means string
	Levels    []Level
	Pos       Pos
}

// EventDecl is something that happens to the programme: a subprocessor is added, the law changes,
// a report comes in. A duty "for: each ID" exists once for each time it is recorded.
type EventDecl struct {
	ID, Means string
	Promise   []string
	Pos       Pos
}

// Placeholder is a text that is still open.
type Placeholder struct {
	Text string
	Pos  Pos
}

// Level is one level of the severity scale. A level with a condition is proposed when the
// condition is proved; people may raise freely and lower with a signature.
type Level struct {
	ID, Means string
	When      *Condition
	Pos       Pos
}

// Class is a kind of incident the policy names.
type Class struct {
	ID, Means string
	Signals   []string // the signal classes that open an incident of this class
	Promise   []string
	Pos       Pos
}

// FactDecl is a judgement that conditions may read. Until it is answered it is unknown.
type FactDecl struct {
	ID, Type string   // Type is bool, int, string or choice
	Values   []string // of a choice: what may be answered
	Ask, By  string   // the question, and the role it is put to
	Due      []Clock  // when it has to be answered: the duty ask_ID; without one, promptly after Starts
	Say      string   // the words a condition prints as
	Presume  *bool    // what the page assumes until it is answered; never what the engine assumes
	Pos      Pos
}

// MilestoneDecl is a policy's own milestone.
type MilestoneDecl struct {
	ID, Means string
	Implies   []string
	Pos       Pos
}

// Party is somebody who can be told: a group of recipients and the channels that reach them.
type Party struct {
	ID        string
	Affected  bool     // the selector .affected resolves to the merchants in scope
	All       bool     // the selector .all resolves to every merchant
	Broadcast bool     // told all at once, by publishing: a status page, the press
	Kind      string   // what law calls it: controller, authority, individuals, platform, insurer, police, media, …; "" where no law asks
	Address   []string // fixed addresses, in order of preference, for a platform or an authority
	Via       []string // channels, the first by default
	Fallback  []string // channels to turn to, in order, when there is no address or it bounced
	Contract  string   // where each merchant's own terms stand; "" is the directory's contract_hours
	Name      string   // how the page names the party
	Pos       Pos
}

// Role is held by people. Holder "?" means still open: it compiles and is warned about.
type Role struct {
	ID, Does, Holder string
	Holders          []string // everybody who holds the role, Holder first; nil while it is open
	Backup           []string
	Pos              Pos
}

// Verb is what a duty obliges somebody to do. The verb decides which facts meet the duty.
type Verb string

// The verbs, with what meets a duty of each.
const (
	Contain  Verb = "contain" // the milestone contained
	Decide   Verb = "decide"  // any milestone of Duty.Of
	Assess   Verb = "assess"  // the assessment is recorded (milestone determined)
	Scope    Verb = "scope"   // the milestone scoped
	Notify   Verb = "notify"  // per recipient: a notice covering Duty.Content was accepted by the recipient's server
	Verify   Verb = "verify"  // the milestone verified
	Restore  Verb = "restore" // the milestone restored
	Review   Verb = "review"  // the milestone reviewed
	ReRead   Verb = "review_policy"
	Announce Verb = "update"
	Answer   Verb = "answer"  // the fact of Duty.Of is answered
	Reach    Verb = "reach"   // every milestone of Duty.Of; for acts that have no verb of their own
	Perform  Verb = "perform" // somebody records that Duty.Task is done, with a note
)

// Duty is an obligation with a clock.
type Duty struct {
	ID      string
	Who     string // role
	Do      Verb
	For     string   // "incident" (default), "programme", or "each": once for each Each that is recorded
	Each    string   // the event, for "each"
	Of      []string // Decide: the milestones that settle it; Reach: the milestones; Answer: the fact
	Task    string   // Perform: what is to be done, as the page says it
	To      string   // "merchants.affected", a party id, or "" when nobody is told; "DUTY.to" is resolved by the compiler
	Via     []string // channels, where they differ from the party's
	When    *Condition
	Unless  *Condition // stands the duty down while it is proved true; unknown does not
	Due     []Clock    // the earliest runs
	Floor   []Clock    // not before: the last of them counts; nil: none
	Every   *Cadence
	Until   *Anchor  // ends the cadence; nil: never
	Content []string // ids of content items a notice must carry
	Approve []string // roles that must sign, one signature each, distinct people
	Late    []Escalation
	Promise []string
	Say     string // the clause the page prints for this duty
	Asked   bool   // the compiler made it, to have a fact answered
	Pos     Pos
}

// Cadence says how often a duty recurs: a length since it was last done, or once in each calendar
// period in the policy's zone. Cells of a table give other lengths at some levels.
type Cadence struct {
	Span   calendar.Span
	Period string // day, week, month, quarter or year: once in each, until its end; "" for Span
	Cells  []CadenceCell
	Text   string // as written
	Pos    Pos
}

// CadenceCell is the cadence at one level. None: not repeated there.
type CadenceCell struct {
	When *Condition
	Span calendar.Span
	None bool
	Cell Cell
}

// Table is a table of clocks as the policy wrote it, for the page and for explaining.
type Table struct {
	By   string // severity, class, the id of a scale, or fact.ID
	Rows []TableRow
	Pos  Pos
}

// TableRow is one level of a table: duty id to what the cell says.
type TableRow struct {
	Level string
	Cells []TableCell
	Pos   Pos
}

// TableCell is one cell as written: "1h..2h business", "none".
type TableCell struct {
	Duty, Text string
	Pos        Pos
}

// Cell names the cell a clock came from; the zero value is no cell. Table and Row index
// Program.Tables.
type Cell struct {
	By, Level string
	Pos       Pos
}

// Clock says how long after which instant a duty is due.
type Clock struct {
	Kind   string        // "after", "before", "by", "law", "contract" or "open"
	Span   calendar.Span // for after and before; for law and contract what stands behind it when none is known
	Anchor Anchor
	Text   string     // as written, for messages and for the page
	Prompt bool       // the span came from "promptly": a target the policy sets, no number promised
	From   bool       // the policy names no start: Anchor is Program.Starts, or applies outside an incident
	When   *Condition // nil: always; else a table's cell, which counts only where this is not false
	None   bool       // of a cell: not due at this level
	Beside bool       // of a law or contract: another clock of the list runs, so nothing stands behind it when none is known
	Cell   Cell       // the table's cell it came from
	Pos    Pos
}

// Anchor is an instant a clock counts from: a milestone, or another duty's started, met or missed.
// Of several names, Any takes the first to happen and All the last.
type Anchor struct {
	Names []string // "confirmed", "tell_merchants.met", "applies", …
	All   bool
	End   string // business day, day, week, month, quarter or year: the end of the one it falls in, in the policy's zone; "" for the instant itself
}

// Escalation pages a role when a duty is still unmet this long before (negative) or after its limit.
type Escalation struct {
	After calendar.Length
	Role  string
}

// Gate may refuse a command. Need holds the top-level conjuncts, so that a refusal can list
// exactly those that are not satisfied. Unknown is shut.
type Gate struct {
	ID        string
	Guards    string     // restore, close, notify, rotate, dismiss, lower (a severity), publish, waive (a duty), or the id of an action
	When      *Condition // the gate stands only while this is not proved false; nil: always
	Need      []*Condition
	Sign      []Signature
	Attest    string    // what whoever gives the command declares, for a rule that no machine can test
	Override  *Override // how it may be passed although shut; nil: never
	Otherwise string    // what a reader of the refusal is told beside the list
	Promise   []string
	Pos       Pos
}

// Override lets a shut gate be passed: with these signatures, and with what Record names recorded.
type Override struct {
	Sign   []Signature
	Record string // "reason"
}

// Signature asks for N distinct people who hold Role.
type Signature struct {
	N    int
	Role string
}

// ActionDecl is a containment or recovery action the policy names, with the connector it uses.
type ActionDecl struct {
	ID      string
	Uses    string // connector, such as http.revoke, envfile.rotate or switch
	Means   string
	When    *Condition
	After   []string
	Approve []string // roles; the planner never counts
	Confirm string   // the check that must now refuse
	Promise []string
	Pos     Pos
}

// CheckDecl is a named check of the restore gate.
type CheckDecl struct {
	ID, Probe, Means string
	With             map[string]string
	Pos              Pos
}

// Phase is a step of the published procedure.
type Phase struct {
	ID, Title string
	Until     string
	Says      []string // prose with {references}; already checked
	Tasks     []string
	Promise   []string
	Pos       Pos
}

// Contact is where problems are reported.
type Contact struct{ Email, URL string }

// PageLine is one sentence, heading or list item of the public page.
type PageLine struct {
	Text    string     // Markdown with references already resolved, without the tags
	Promise []string   // every promise of Tags and of the line itself, sorted
	Rule    string     // id of the rule the sentence came from, when it makes a promise
	Tags    []Tag      // every rule the sentence came from
	Same    bool       // it goes on in the paragraph of the line before
	Table   *PageTable // a table stands here, and Text is its caption
	Block   string     // laws: what stands here is known when the page is rendered
	Pos     Pos
}

// PageTable is a table of the public page: Head[0] is above the rows' own names.
type PageTable struct {
	Head []string
	Rows []PageRow
}

// PageRow is one row: what it is about, the rules it came from, and a cell below each further head.
type PageRow struct {
	Name  string
	Tags  []Tag
	Cells []string
}

// Tag ties a sentence of the page to the rule it came from. Rule is "" for a promise that the page
// itself makes.
type Tag struct {
	Rule    string
	Promise []string
}

// Tri is a truth value that may be unknown. Unknown never silently drops a duty.
type Tri int8

// The three truth values.
const (
	Unknown Tri = iota
	False
	True
)

// Verdict is the outcome of a condition, with the reason.
type Verdict struct {
	Value   Tri
	Missing []string // for Unknown: the names that were not recorded, such as fact.personal_data
	Why     string   // the condition in words, with the values read
}

// View is everything a condition may read. A nil or absent entry is unknown, except instants:
// they are closed-world, and an instant that is not recorded has not happened.
type View struct {
	Class     string
	Severity  string         // "" is unknown
	Facts     map[string]any // answered judgements: bool, int64 or string
	Instants  map[string]time.Time
	Scope     *ScopeView // nil: no scope has been computed
	Checks    []CheckView
	Snapshot  bool // evidence.snapshot: an evidence checkpoint has been recorded for this incident
	FixDone   bool // fix.recorded
	FixProven bool // fix.verified
	Actions   []ActionView
	Review    ReviewView
	Recipient *RecipientView // nil outside per-recipient conditions

	Scales map[string]string   // levels that are set, by scale; absent is unknown
	Duties map[string]DutyView // what conditions may read of duties beside their instants

	// Passed says whether an instant has been reached, for the one function that reads the time:
	// passed('4h after confirmed'). The engine answers from the same arithmetic as its clocks and
	// wakes at the turning point. nil: unknown.
	Passed func(Clock) (passed, known bool)
}

// DutyView is what conditions may read of one duty: of the recipient's own instance where there is
// one, else of the duty as a whole.
type DutyView struct {
	OpenItems  int64  // content items that its notices have left open: staged notice
	Recipients int64  // to whom it is owed or was
	Told       int64  // of them, who was told
	Delivery   string // of this recipient: owed, trying, accepted, bounced, uncertain, no_address or ""
}

// ScopeView is what conditions see of the newest scope.
type ScopeView struct {
	Merchants, Customers int64
	DataTypes            []string
}

// CheckView is one declared check. A check that has not run since the last change has Passed false.
type CheckView struct {
	ID     string
	Passed bool
}

// ActionView is one planned action.
type ActionView struct {
	ID, Uses, State string
}

// ReviewView is what conditions see of the review.
type ReviewView struct {
	Missing []string
}

// RecipientView is one recipient of a duty.
type RecipientView struct {
	Merchant, Country, Language string
	Region, Zone                string // ISO 3166-2 region; IANA zone; "" is unknown
	Contract                    *bool  // the directory knows a term of notice; nil: unknown
	Exposure                    string // shown, possible or ruled_out; "" is unknown
	Customers, Records          int64
	DataTypes                   []string
}
