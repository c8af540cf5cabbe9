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

	Severities []Level // worst first
	Classes    []Class
	Facts      []FactDecl
	Milestones []MilestoneDecl // a policy's own, beside the universal ones
	Parties    []Party
	Roles      []Role
	Duties     []Duty
	Gates      []Gate
	Actions    []ActionDecl
	Checks     []CheckDecl
	Proofs     []CheckDecl // checks a connector makes itself after its action; the action's state proven is their result
	Phases     []Phase
	Review     []string // ids of the parts a review must have
	Contact    Contact
	Page       []PageLine
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
	ID, Type string // Type is bool, int or string
	Ask, By  string // the question, and the role it is put to
	Say      string // the words a condition prints as
	Presume  *bool  // what the page assumes until it is answered; never what the engine assumes
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
	ID       string
	Affected bool     // the selector .affected resolves to the merchants in scope
	All      bool     // the selector .all resolves to every merchant
	Address  []string // fixed addresses, in order of preference, for a platform or an authority
	Via      []string // channels; email is the only one so far
	Name     string   // how the page names the party
	Pos      Pos
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
)

// Duty is an obligation with a clock.
type Duty struct {
	ID      string
	Who     string // role
	Do      Verb
	For     string   // "incident" (default) or "programme"
	Of      []string // Decide: the milestones that settle it
	To      string   // "merchants.affected", a party id, or "" when nobody is told
	When    *Condition
	Due     []Clock // the earliest runs
	Every   *calendar.Span
	Until   string
	Content []string // ids of content items a notice must carry
	Approve []string // roles that must sign, one signature each, distinct people
	Late    []Escalation
	Promise []string
	Say     string // the clause the page prints for this duty
	Pos     Pos

	never []reference // levels at which a table says none, for the page
}

// Clock says how long after which instant a duty is due.
type Clock struct {
	Kind   string        // "after", "before", "by", "law", "contract" or "open"
	Span   calendar.Span // for after and before
	Anchor Anchor
	Text   string     // as written, for messages and for the page
	Prompt bool       // the span came from "promptly": a target the policy sets, no number promised
	When   *Condition // nil: always; else a table's cell, which counts only where this is not false
	Pos    Pos
}

// Anchor is an instant a clock counts from: a milestone, or another duty's started, met or missed.
// Of several names, Any takes the first to happen and All the last.
type Anchor struct {
	Names []string // "confirmed", "tell_merchants.met", …
	All   bool
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
	Guards    string // restore, close, notify, rotate
	Need      []*Condition
	Sign      []Signature
	Attest    string
	Otherwise string // what a reader of the refusal is told beside the list
	Promise   []string
	Pos       Pos
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
	Text    string   // Markdown with references already resolved, without the tags
	Promise []string // every promise of Tags and of the line itself, sorted
	Rule    string   // id of the rule the sentence came from, when it makes a promise
	Tags    []Tag    // every rule the sentence came from
	Same    bool     // it goes on in the paragraph of the line before
	Pos     Pos
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
	Customers, Records          int64
	DataTypes                   []string
}
