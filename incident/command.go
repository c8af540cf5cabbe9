package incident

import (
	"encoding/json"
	"time"
)

// Open starts an incident. The chain must be empty.
type Open struct {
	Class    string    `json:"class"` // of the policy, or "unclassified"
	Title    string    `json:"title"` // shown to responders; sealed
	Summary  string    `json:"summary,omitempty"`
	Apps     []string  `json:"apps,omitempty"`
	Severity string    `json:"severity,omitempty"`
	Suspect  time.Time `json:"suspected,omitzero"` // when it is thought to have begun; default now
	Signal   *Signal   `json:"signal,omitempty"`   // what raised it, when a detector did

	Private bool        `json:"private,omitempty"` // known only to the people on its list
	Readers []Principal `json:"readers,omitempty"` // the list of a private one, besides whoever opens it
	Reach   bool        `json:"reach,omitempty"`   // staff suspects a breach: the lead is called until somebody acknowledges it
	About   []Principal `json:"about,omitempty"`   // members of staff whom a private one is about: never on the list

	Split *Split `json:"-"` // the desk's: it begins with signals of another incident
}

// Signal is a detector's finding. Signals are deduplicated by class, subject and window.
type Signal struct {
	ID       string            `json:"id"`
	Class    string            `json:"class"`   // such as unusual_volume
	Subject  string            `json:"subject"` // such as credential:tok_9f
	App      string            `json:"app,omitempty"`
	At       time.Time         `json:"at"`               // of the event that crossed the line
	Noticed  time.Time         `json:"noticed,omitzero"` // when its log came in, if that was supplied later; zero: it was noticed as it happened
	From     time.Time         `json:"from"`
	To       time.Time         `json:"to"`
	Sentence string            `json:"sentence"` // why, in one sentence with numbers and units
	Events   []string          `json:"events,omitempty"`
	Facets   map[string]string `json:"facets,omitempty"` // credential, ip, user_agent, …
	Ended    time.Time         `json:"ended,omitzero"`   // what it saw was over then; zero: it goes on, or nobody looks
}

// noticed is when the vendor could first know of a signal. A log that was supplied later tells of its
// events when it comes in, however long ago they were.
func (g *Signal) noticed() time.Time {
	if g.Noticed.IsZero() {
		return g.At
	}
	return g.Noticed
}

// suspicion is when what a signal shows began, and not before anybody could suspect it.
func (g *Signal) suspicion() time.Time {
	if g.Noticed.IsZero() {
		return g.From
	}
	return g.Noticed
}

// Probed is the facet of a signal that names the probe that raised it. The probe is then a check of
// the incident, beside those of its policy: what was seen to fail has to be seen to work.
const Probed = "probe"

// EndSignal says that what a signal saw is over: its probe passes again.
type EndSignal struct {
	Signal string    `json:"signal"` // the signal's id
	At     time.Time `json:"at"`
	Says   string    `json:"says"` // what was observed, in one sentence
}

// AddSignal links a further signal to the incident.
type AddSignal struct {
	Signal Signal `json:"signal"`
	Of     string `json:"of,omitempty"` // the incident a person took it out of
}

// Acknowledge says that the caller is on it.
type Acknowledge struct{}

// Confirm decides that this is an incident; Dismiss, that it is not.
type Confirm struct {
	Reason string `json:"reason"`
}

// Dismiss closes a false alarm. Its clocks stop by name.
type Dismiss struct {
	Reason string `json:"reason"`
}

// Mark records a milestone that has no command of its own (assessed, determined, watched, …).
type Mark struct {
	Milestone string    `json:"milestone"`
	At        time.Time `json:"at,omitzero"` // default now; never in the future
	Reason    string    `json:"reason"`
}

// Correct moves a milestone that was recorded. Both times stay. Moving an anchor later needs the
// owner or a role the policy names.
type Correct struct {
	Milestone string    `json:"milestone"`
	At        time.Time `json:"at"`
	Reason    string    `json:"reason"`
}

// Answer records a judgement the policy asks for, such as personal_data.
type Answer struct {
	Fact   string `json:"fact"`
	Value  any    `json:"value"` // bool, number or string, as the policy declares
	Reason string `json:"reason"`
}

// SetSeverity raises freely; lowering needs the lead.
type SetSeverity struct {
	Severity string `json:"severity"`
	Reason   string `json:"reason"`
}

// Assign gives a role of the policy to a person for this incident.
type Assign struct {
	Role   string    `json:"role"`
	Person Principal `json:"person"`
}

// Note adds a line to the timeline.
type Note struct {
	Text string `json:"text"`
}

// RecordScope stores a computed scope. The desk computes it; the caller gives only the query.
type RecordScope struct {
	Query      json.RawMessage `json:"query"`      // canonical scope.Query
	Log        string          `json:"log"`        // origin of the event log
	Size       uint64          `json:"size"`       // leaves of the event log the query is defined on
	Checkpoint string          `json:"checkpoint"` // signed note of that size
	Digest     string          `json:"digest"`     // over the canonical result rows
	Events     int64           `json:"events"`
	Records    int64           `json:"records"`
	Customers  int64           `json:"customers"` // customer accounts, an upper bound on people
	AtLeast    bool            `json:"at_least"`  // a source was incomplete: counts are lower bounds
	DataTypes  []string        `json:"data_types"`
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Gaps       []Gap           `json:"gaps,omitempty"`
	Regions    []Residents     `json:"regions,omitempty"`  // none when no event says where a customer lives
	Supplied   []Supplied      `json:"supplied,omitempty"` // what was not logged live, by file
	Merchants  []Exposure      `json:"merchants"`
	Reason     string          `json:"reason,omitempty"`
}

// Gap is a time in which a source said nothing that it usually would have.
type Gap struct {
	Source string    `json:"source"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
}

// Exposure is one merchant's share of a scope. It stands in a part of its own.
type Exposure struct {
	Merchant  string    `json:"merchant"`
	Stores    []string  `json:"stores"`
	DataTypes []string  `json:"data_types"`
	Customers int64     `json:"customers"`
	Records   int64     `json:"records"`
	Events    int64     `json:"events"`
	AtLeast   bool      `json:"at_least,omitempty"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`

	Supplied []Supplied `json:"supplied,omitempty"`
}

// Supplied is what a file that was brought in later gave of the events of a scope: they were not
// logged when they happened.
type Supplied struct {
	File   string `json:"file"` // "sha256:" and the digest of the file
	Events int64  `json:"events"`
}

// Residents is how many customer accounts of a scope live in one place.
type Residents struct {
	Region    string `json:"region"` // ISO 3166-1 or 3166-2; "" is unknown
	Customers int64  `json:"customers"`
}

// AdjustScope includes or excludes a merchant by hand, with the reason.
type AdjustScope struct {
	Merchant string `json:"merchant"`
	Include  bool   `json:"include"`
	Reason   string `json:"reason"`
}

// PlanAction makes an action ready for approval. The desk asks the connector for Plan before it
// submits, so that the plan shown is what will be done. Secrets are named, never carried: Secret
// is a reference into the vault of the installation.
type PlanAction struct {
	Action  string            `json:"action"` // id of the policy's ActionDecl
	Target  map[string]string `json:"target"` // such as credential: tok_9f, merchant: m_214 or *
	Secret  string            `json:"secret,omitempty"`
	Steps   []string          `json:"steps"` // what will be done, one sentence each
	Blast   string            `json:"blast"` // what it stops or breaks, with numbers
	Undo    string            `json:"undo"`  // how it is undone, or why it cannot be
	Reason  string            `json:"reason"`
	Expires time.Time         `json:"expires,omitzero"`
}

// ApproveAction signs a planned action. The planner never counts, and nobody counts twice.
type ApproveAction struct {
	Action string `json:"action"` // the planned action's id, such as ACT-1
}

// CancelAction withdraws an action that has not been applied.
type CancelAction struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// UndoActionCmd asks for an applied action to be undone.
type UndoActionCmd struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// ReportAttempt is a worker saying that it is about to do Effect: the fact is durable before the
// bytes leave. A worker that gets reason "already_attempted" must not act.
type ReportAttempt struct {
	Effect  Effect      `json:"effect"`
	Address string      `json:"address,omitempty"`    // notices: sealed into the recipient's part
	Via     string      `json:"via,omitempty"`        // notices: the channel, when it is not mail
	Message string      `json:"message_id,omitempty"` // notices: Message-ID
	Digest  string      `json:"digest,omitempty"`     // notices: sha256 of the bytes to be sent
	Point   string      `json:"checkpoint,omitempty"` // notices: the checkpoint the mail carries
	Scopes  int         `json:"scopes,omitempty"`     // notices: how many scopes had been computed when the letter was written; 0: not said
	To      []Principal `json:"to,omitempty"`         // pages: who is called
}

// ReportResult is a worker saying what came of an effect.
type ReportResult struct {
	Effect  Effect    `json:"effect"`
	Outcome Outcome   `json:"outcome"`
	Detail  string    `json:"detail,omitempty"` // machine words only: codes and states; sealed
	Code    string    `json:"code,omitempty"`   // such as "250", "450", "http 401", "timeout"
	Proof   string    `json:"proof,omitempty"`  // confirmations and checks: what was observed, in one sentence
	At      time.Time `json:"at,omitzero"`      // protocol time of the observation
	Retry   time.Time `json:"retry,omitzero"`   // deferred: not before, protocol time

	Addresses int `json:"addresses,omitempty"` // notices that failed: how many addresses the recipient has; 0: unknown, and no further one is tried
}

// Outcome is what came of an effect.
type Outcome string

// The outcomes. Uncertain means the attempt may or may not have taken effect: it is never
// silently repeated and never assumed done.
const (
	Done      Outcome = "done"      // applied, accepted, passed, refused as it should be
	Failed    Outcome = "failed"    // did not take effect; final
	Deferred  Outcome = "deferred"  // did not take effect; try again at Retry
	Uncertain Outcome = "uncertain" // unknown
)

// DraftNotice writes or rewrites the notice of a duty. Content maps item id to text.
type DraftNotice struct {
	Duty     string            `json:"duty"`
	Notice   string            `json:"notice,omitempty"` // an existing draft to change; "" for a new one
	Subject  string            `json:"subject"`
	Content  map[string]string `json:"content"`
	Open     []string          `json:"open,omitempty"`     // items not known yet: a follow-up has to say them
	Corrects string            `json:"corrects,omitempty"` // a notice that was sent: this one goes only to those whom the duty told something that is not so any more
}

// ApproveNotice signs a notice. It is refused while a content item of the duty is empty.
type ApproveNotice struct {
	Notice string `json:"notice"`
	Attest bool   `json:"attest,omitempty"` // "says only what is known", where the policy asks
}

// SendNotice sends an approved notice to every recipient of the newest scope that has not had it; a
// correction, to everybody whom its duty told something that is not so any more.
type SendNotice struct {
	Notice string `json:"notice"`
}

// ResendNotice decides an uncertain or bounced delivery by hand.
type ResendNotice struct {
	Notice string `json:"notice"`
	Party  string `json:"party"`
	Reason string `json:"reason"`
}

// RunChecks asks for declared checks to run; none named means all.
type RunChecks struct {
	Checks []string `json:"checks,omitempty"`
}

// RecordFix says that the cause is fixed and how; VerifyFix, by another person, that it is proven.
type RecordFix struct {
	What string `json:"what"`
}

// VerifyFix refuses the person who recorded the fix.
type VerifyFix struct {
	How string `json:"how"`
}

// RestoreService asks for service to return. The restore gate may refuse.
type RestoreService struct {
	Reason string `json:"reason"`
}

// Assess records the assessment that the review needs (INV-4).
type Assess struct {
	Vector    string `json:"vector"`
	RootCause string `json:"root_cause"`
	Risk      string `json:"risk"`
}

// EditReview writes one part of one version of the review, in Markdown. Was guards what others wrote.
type EditReview struct {
	Part    string `json:"part"` // of ReviewParts
	Text    string `json:"text"`
	Version string `json:"version,omitempty" enum:"internal,client,public"` // "" is the internal one
	Was     string `json:"was,omitempty"`                                   // the fact of the text it was written over, or NoText: refused when there is another by now
}

// PickEntry puts an entry on the curated timeline of the review, or changes one that is there.
type PickEntry struct {
	Entry string    `json:"entry,omitempty"` // such as TL-1; "" for a new one
	At    time.Time `json:"at"`
	Text  string    `json:"text"`                                         // one sentence
	Of    string    `json:"of,omitempty"`                                 // the fact or the line of the timeline that it speaks of; "" for a note of one's own
	Show  string    `json:"show,omitempty" enum:"internal,client,public"` // the widest version that shows it; "" is internal
}

// DropEntry takes an entry off the curated timeline.
type DropEntry struct {
	Entry string `json:"entry"`
}

// AddCorrective adds a corrective action with an owner and a date.
type AddCorrective struct {
	Text  string    `json:"text"`
	Owner Principal `json:"owner"`
	Due   time.Time `json:"due"`
}

// MoveCorrective changes a corrective action: it is done, it is let go of, it is open again, or somebody
// else has it, or another date. What is left empty stays as it is.
type MoveCorrective struct {
	Corrective string    `json:"corrective"` // such as CA-1
	State      string    `json:"state,omitempty" enum:"open,done,dropped"`
	Owner      Principal `json:"owner,omitempty"`
	Due        time.Time `json:"due,omitzero"`
	Note       string    `json:"note"` // what was done and where it can be seen, or why
}

// PublishReview publishes a version of the review as it stands. It is refused while a part is missing.
// The desk keeps the very text before it asks for this, and fills in what names it.
type PublishReview struct {
	Version string `json:"version,omitempty" enum:"internal,client,public"` // "" is the internal one
	Digest  string `json:"digest,omitempty"`                                // of the Markdown that was looked at; refused when it would be another by now
	Kept    string `json:"kept,omitempty"`                                  // of the document as it is kept; the desk says it
	Written int    `json:"written,omitempty"`                               // changes of the review that the text holds; the desk says it
}

// Waive lets go of a duty, by name and reason.
type Waive struct {
	Duty   string `json:"duty"`
	Reason string `json:"reason"`
}

// Close ends the incident.
type Close struct {
	Reason string `json:"reason"`
}

// Reopen takes a dismissed or closed incident up again. Its clocks resume from their old anchors;
// what the dismissal met is owed again, counted from now.
type Reopen struct {
	Reason string `json:"reason"`
}

// Sign gives the caller's signature to a gate that asks for signatures. It is used up when the
// gate lets its command through.
type Sign struct {
	Gate string `json:"gate"`
}

// RecordSwitch notes that a kill switch was flipped for this incident. The desk flips it in the
// same transaction.
type RecordSwitch struct {
	Merchant string `json:"merchant"` // or *
	State    string `json:"state"`    // on or off
	Reason   string `json:"reason"`
}

// Tick looks at the clocks. The desk gives it at the instant NextWake named.
type Tick struct{}

// RecordExport says that an evidence export was made, with its digest and for whom.
type RecordExport struct {
	Digest    string `json:"digest"`
	Bytes     int64  `json:"bytes"`
	Recipient string `json:"recipient"`
}

// Snapshot records the checkpoint of the evidence at this instant (gates may need it).
type Snapshot struct {
	Log        string `json:"log"`
	Size       uint64 `json:"size"`
	Checkpoint string `json:"checkpoint"`
}

func (Open) Name() string           { return "open" }
func (AddSignal) Name() string      { return "signal" }
func (EndSignal) Name() string      { return "end-signal" }
func (Acknowledge) Name() string    { return "acknowledge" }
func (Confirm) Name() string        { return "confirm" }
func (Dismiss) Name() string        { return "dismiss" }
func (Mark) Name() string           { return "mark" }
func (Correct) Name() string        { return "correct" }
func (Answer) Name() string         { return "answer" }
func (SetSeverity) Name() string    { return "severity" }
func (Assign) Name() string         { return "assign" }
func (Note) Name() string           { return "note" }
func (RecordScope) Name() string    { return "record-scope" }
func (AdjustScope) Name() string    { return "adjust-scope" }
func (PlanAction) Name() string     { return "plan" }
func (ApproveAction) Name() string  { return "approve" }
func (CancelAction) Name() string   { return "cancel" }
func (UndoActionCmd) Name() string  { return "undo" }
func (ReportAttempt) Name() string  { return "report-attempt" }
func (ReportResult) Name() string   { return "report-result" }
func (DraftNotice) Name() string    { return "draft" }
func (ApproveNotice) Name() string  { return "approve-notice" }
func (SendNotice) Name() string     { return "send" }
func (ResendNotice) Name() string   { return "resend" }
func (RunChecks) Name() string      { return "check" }
func (RecordFix) Name() string      { return "fix" }
func (VerifyFix) Name() string      { return "verify-fix" }
func (RestoreService) Name() string { return "restore" }
func (Assess) Name() string         { return "assess" }
func (EditReview) Name() string     { return "review" }
func (AddCorrective) Name() string  { return "corrective" }
func (MoveCorrective) Name() string { return "move-corrective" }
func (PickEntry) Name() string      { return "pick" }
func (DropEntry) Name() string      { return "unpick" }
func (PublishReview) Name() string  { return "publish" }
func (Waive) Name() string          { return "waive" }
func (Close) Name() string          { return "close" }
func (Reopen) Name() string         { return "reopen" }
func (Sign) Name() string           { return "sign" }
func (RecordSwitch) Name() string   { return "record-switch" }
func (Tick) Name() string           { return "tick" }
func (RecordExport) Name() string   { return "record-export" }
func (Snapshot) Name() string       { return "snapshot" }
