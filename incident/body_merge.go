package incident

import "time"

// Two incidents that turn out to be one are merged: the one goes into the other, which goes on. Facts
// stay where they were recorded. What the one that goes on has to know is copied into one fact of its
// chain, with the head of the other chain, so that the copy can be checked against what it copies.

// MergedInBody is the body of incident.merged_in. Each merchant's exposure, and what the other
// incident told it, stand in the merchant's part.
type MergedInBody struct {
	Incident   string               `json:"incident"` // the one that was merged in
	Also       []string             `json:"also,omitempty"`
	Head       string               `json:"head"` // id of its newest fact before
	Hash       string               `json:"hash"` // and that fact's hash, as the facts log has it
	Version    int                  `json:"version"`
	Opened     time.Time            `json:"opened"`
	Class      string               `json:"class"`
	Severity   string               `json:"severity,omitempty"`
	Milestones map[string]time.Time `json:"milestones,omitempty"`
	Scope      *ScopeTotals         `json:"scope,omitempty"`
	Scopes     int                  `json:"scopes"` // how many scopes this incident had itself
	Merchants  int                  `json:"merchants"`
}

// ScopeTotals is the newest scope of an incident without its merchants.
type ScopeTotals struct {
	N         int      `json:"n"`
	Digest    string   `json:"digest"`
	Merchants int64    `json:"merchants"`
	Customers int64    `json:"customers"`
	DataTypes []string `json:"data_types"`
	AtLeast   bool     `json:"at_least,omitempty"`
}

// MergedInText is what stands in the other incident, in its own words.
type MergedInText struct {
	Reason      string         `json:"reason"`
	Title       string         `json:"title"`
	Signals     []SignalIn     `json:"signals,omitempty"`
	Actions     []ActionIn     `json:"actions,omitempty"`
	Notices     []NoticeIn     `json:"notices,omitempty"`
	Holds       []HoldIn       `json:"holds,omitempty"`
	Attachments []AttachmentIn `json:"attachments,omitempty"`
}

// SignalIn is a signal and the incident that recorded it.
type SignalIn struct {
	In string `json:"in"`
	Signal
}

// ActionIn is an action as it stood.
type ActionIn struct {
	In       string            `json:"in"`
	ID       string            `json:"id"`
	Decl     string            `json:"decl"`
	Target   map[string]string `json:"target,omitempty"`
	State    ActionState       `json:"state"`
	ProvenAt time.Time         `json:"proven_at,omitzero"`
	Proof    string            `json:"proof,omitempty"`
}

// NoticeIn is a notice as it stood. Content lists the items it says something to.
type NoticeIn struct {
	In      string      `json:"in"`
	ID      string      `json:"id"`
	Duty    string      `json:"duty"`
	Subject string      `json:"subject"`
	State   NoticeState `json:"state"`
	Content []string    `json:"content,omitempty"`
	SentBy  Principal   `json:"sent_by,omitempty"`
	Told    int         `json:"told"`
}

// HoldIn is a hold and the incident that placed it, where it is released too.
type HoldIn struct {
	In string `json:"in"`
	Hold
}

// AttachmentIn is a file and the incident that keeps it.
type AttachmentIn struct {
	In string `json:"in"`
	Attachment
}

// MergedInPart is what the other incident knows of one merchant and has told it.
type MergedInPart struct {
	Exposure *Exposure `json:"exposure,omitempty"`
	Told     []ToldIn  `json:"told,omitempty"`
}

// ToldIn is a delivery that the recipient accepted, with the numbers it was told.
type ToldIn struct {
	In     string    `json:"in"`
	Notice string    `json:"notice"`
	At     time.Time `json:"at"`
	Said   *Exposure `json:"said,omitempty"`
}

// MergedBody is the body of incident.merged: the incident ends as a part of another.
type MergedBody struct {
	Into string `json:"into"`
}

// SplitBody is the body of incident.split: signals left for an incident of their own.
type SplitBody struct {
	Into    string   `json:"into"`
	Signals []string `json:"signals"`
}

// SplitFromBody is the body of incident.split_from, in the new incident.
type SplitFromBody struct {
	From    string `json:"from"`
	Head    string `json:"head"` // id of its newest fact before
	Hash    string `json:"hash"`
	Version int    `json:"version"`
}

// SplitFromText is why, and what of the first incident hangs on the signals that left it.
type SplitFromText struct {
	Reason  string     `json:"reason"`
	Actions []ActionIn `json:"actions,omitempty"`
}

// Merged is an incident that was merged into this one. What it knew is shown here and stays there.
type Merged struct {
	MergedInBody
	MergedInText
	At        time.Time            `json:"at"`
	By        Principal            `json:"by"`
	Fact      string               `json:"fact"`
	Exposures map[string]*Exposure `json:"exposures,omitempty"` // by merchant
	Tellings  map[string][]ToldIn  `json:"tellings,omitempty"`  // by merchant
}

// MergedTo says of an incident that it ended as a part of another.
type MergedTo struct {
	Into string    `json:"into"`
	At   time.Time `json:"at"`
	By   Principal `json:"by"`
	Why  string    `json:"why"`
	Fact string    `json:"fact"`
}

// SplitTo says that signals left for an incident of their own.
type SplitTo struct {
	SplitBody
	At  time.Time `json:"at"`
	By  Principal `json:"by"`
	Why string    `json:"why"`
}

// SplitFrom says where an incident began.
type SplitFrom struct {
	SplitFromBody
	SplitFromText
	At time.Time `json:"at"`
	By Principal `json:"by"`
}
