package incident

import "time"

// This file holds the bodies of facts about what is owed and done: duties, actions, notices,
// checks and pages. Each carries the state it led to, so that a fold never has to guess what the
// engine that recorded it decided.

// DutyBody is the body of every duty fact. One fact speaks for all recipients that share it: a
// duty to merchants has one empty part per merchant, a duty to a party names it in Recipient.
type DutyBody struct {
	Duty      string    `json:"duty"`
	Recipient string    `json:"recipient,omitempty"` // party id; never a merchant
	Round     int       `json:"round,omitempty"`     // cadences: 2 for the second, …; 0 means the first
	State     DutyState `json:"state"`
	N         int       `json:"n"` // instances it speaks for
	Anchor    string    `json:"anchor,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	Target    time.Time `json:"target,omitzero"`
	Due       time.Time `json:"due,omitzero"`
	AtOnce    time.Time `json:"at_once,omitzero"` // the limit had passed when the duty first applied, here
	Unknown   []string  `json:"unknown,omitempty"`
	At        time.Time `json:"at,omitzero"`       // met, missed: when
	Proof     *Proof    `json:"proof,omitempty"`   // met: by what
	Trigger   string    `json:"trigger,omitempty"` // met: "system" or "person"
	Cause     string    `json:"cause,omitempty"`   // moved, stopped, ruled out, resumed: a word why
	Applies   time.Time `json:"applies,omitzero"`  // started: when the duty first applied
	Floor     time.Time `json:"floor,omitzero"`    // an act before it does not meet the duty
	Cell      string    `json:"cell,omitempty"`    // the table's cell the clock came from
	Law       string    `json:"law,omitempty"`     // the law's clock that runs
	Again     time.Time `json:"again,omitzero"`    // the dismissal that met it was taken back here: it counts from here

	From    string    `json:"from,omitempty"` // a carried one: the incident in which it was owed
	Carried time.Time `json:"carried,omitzero"`
	// Of duty.carried alone: what stays of its life there.
	Earliest time.Time `json:"earliest,omitzero"`
	Missed   time.Time `json:"missed,omitzero"`
	Late     time.Time `json:"late,omitzero"`
	Called   []string  `json:"called,omitempty"` // calls that were made for it
}

// Proof names what met a duty. The fold turns it into the id of the fact.
type Proof struct {
	Milestone string `json:"milestone,omitempty"`
	Notice    string `json:"notice,omitempty"` // its delivery to the same recipient
	Answer    string `json:"answer,omitempty"` // the fact that was answered
	Done      int    `json:"done,omitempty"`   // the n-th act recorded as done, from 1
}

// DutyText is the clock in words, or why there is none.
type DutyText struct {
	Why string `json:"why"`
}

// ActionBody is the body of every action fact.
type ActionBody struct {
	Action  string      `json:"action"`
	State   ActionState `json:"state"` // after this fact
	Decl    string      `json:"decl,omitempty"`
	Uses    string      `json:"uses,omitempty"`
	Secret  string      `json:"secret,omitempty"` // a name, never a value
	Expires time.Time   `json:"expires,omitzero"`
	Roles   []string    `json:"roles,omitempty"` // approved: what the signer signs for
	Effect  string      `json:"effect,omitempty"`
	Code    string      `json:"code,omitempty"`
	Seen    time.Time   `json:"seen,omitzero"`  // protocol time of the observation
	Retry   time.Time   `json:"retry,omitzero"` // protocol time
}

// PlannedText is the plan, in the part of the merchant it is about, if it is about one.
type PlannedText struct {
	Target map[string]string `json:"target"`
	Steps  []string          `json:"steps"`
	Blast  string            `json:"blast"`
	Undo   string            `json:"undo"`
	Reason string            `json:"reason"`
}

// ResultText is what a worker observed, or the reason a person gave.
type ResultText struct {
	Proof  string `json:"proof,omitempty"`
	Detail string `json:"detail,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// NoticeBody is the body of notice.drafted, notice.approved and notice.sending.
type NoticeBody struct {
	Notice  string      `json:"notice"`
	State   NoticeState `json:"state"`
	Duty    string      `json:"duty,omitempty"`
	Items   []string    `json:"items,omitempty"` // content items that have a text
	Roles   []string    `json:"roles,omitempty"`
	Attest  bool        `json:"attest,omitempty"`
	Open    []string    `json:"open,omitempty"`    // items it says are not known yet
	N       int         `json:"n,omitempty"`       // recipients
	Parties []string    `json:"parties,omitempty"` // recipients that are no merchants

	Corrects string `json:"corrects,omitempty"` // drafted: the notice that it corrects
}

// NoticeText is the text.
type NoticeText struct {
	Subject string            `json:"subject"`
	Content map[string]string `json:"content"`
}

// DeliveryBody is the body of every delivery fact. The merchant stands in the part.
type DeliveryBody struct {
	Notice string        `json:"notice"`
	State  DeliveryState `json:"state"`
	Party  string        `json:"party,omitempty"` // a recipient that is no merchant
	N      int           `json:"n,omitempty"`     // withdrawn: recipients
	Code   string        `json:"code,omitempty"`
	Seen   time.Time     `json:"seen,omitzero"`
	Retry  time.Time     `json:"retry,omitzero"`
	Via    string        `json:"via,omitempty"` // the channel, when it is not mail
}

// DeliveryPart is the recipient's part of a delivery fact.
type DeliveryPart struct {
	Effect    string `json:"effect,omitempty"`
	Address   string `json:"address,omitempty"`
	Index     int    `json:"index,omitempty"` // of the address among the recipient's, from 0
	MessageID string `json:"message_id,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Point     string `json:"checkpoint,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Proof     string `json:"proof,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// CheckBody is the body of every check fact.
type CheckBody struct {
	Check  string    `json:"check"`
	State  string    `json:"state"`
	Run    int       `json:"run"`
	Effect string    `json:"effect,omitempty"`
	Code   string    `json:"code,omitempty"`
	Seen   time.Time `json:"seen,omitzero"`
	Retry  time.Time `json:"retry,omitzero"`
}

// PageBody is the body of every page fact.
type PageBody struct {
	Page   string      `json:"page"`
	State  string      `json:"state"`
	Duty   string      `json:"duty,omitempty"`
	Role   string      `json:"role,omitempty"`
	Due    time.Time   `json:"due,omitzero"`
	Round  int         `json:"round,omitempty"`
	N      int         `json:"n,omitempty"`     // instances it is about
	Party  string      `json:"party,omitempty"` // a recipient that is no merchant
	To     []Principal `json:"to,omitempty"`    // who is called
	For    []Principal `json:"for,omitempty"`   // whom it is for, when not for everybody who holds the role
	Effect string      `json:"effect,omitempty"`
	Code   string      `json:"code,omitempty"`
	Seen   time.Time   `json:"seen,omitzero"`
	Retry  time.Time   `json:"retry,omitzero"`
}
