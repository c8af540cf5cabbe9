package org

import (
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// Command is what somebody wants done to the organisation's chain.
type Command interface{ Name() string }

// Found starts the chain and invites the first owner. Only the program itself gives it.
type Found struct {
	ID        string `json:"id"`   // of the organisation
	Title     string `json:"name"` // its name
	Owner     string `json:"owner"`
	OwnerName string `json:"owner_name"`
	CodeHash  string `json:"code_hash"` // of the invitation's code
}

// Invite makes an invitation. For a person who is known already it makes a new link with the same
// access (a lost token, another device); a person who was revoked comes back with what is given.
// While no owner has joined, the program itself may invite the first owner again.
type Invite struct {
	Person   string          `json:"id"`
	FullName string          `json:"name"`
	Access   incident.Access `json:"access"`
	Roles    []string        `json:"roles,omitempty"`
	Email    Address         `json:"email,omitempty"` // where calls go; "" leaves what is known
	CodeHash string          `json:"code_hash"`
}

// Join uses an invitation. The new token's secret is known to the joiner alone.
type Join struct {
	CodeHash  string `json:"code_hash"`
	TokenID   string `json:"token_id"`
	TokenHash string `json:"token_hash"`
}

// ChangePerson changes what a person may do.
type ChangePerson struct {
	Person string          `json:"id"`
	Access incident.Access `json:"access"`
	Roles  []string        `json:"roles"`
}

// SetAddress says where a person is called; "" takes the address away.
type SetAddress struct {
	Person string  `json:"id"`
	Email  Address `json:"email"`
}

// RevokePerson ends an account: every token of it is refused from the next request on.
type RevokePerson struct {
	Person string `json:"id"`
	Reason string `json:"reason"`
}

// IssueToken gives the caller a further token of their own.
type IssueToken struct {
	TokenID   string    `json:"token_id"`
	TokenHash string    `json:"token_hash"`
	Label     string    `json:"label,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
}

// RevokeToken ends one token, the caller's own or, for an owner, anybody's.
type RevokeToken struct {
	TokenID string `json:"token_id"`
}

// IssueKey gives a machine a key.
type IssueKey struct {
	KeyID   string `json:"key_id"`
	KeyHash string `json:"key_hash"`
	Purpose string `json:"purpose"`
	Source  string `json:"source,omitempty"` // ingest: the name its events come in under
	App     string `json:"app,omitempty"`
}

// RevokeKey ends a machine's key.
type RevokeKey struct {
	KeyID string `json:"key_id"`
}

// ImportMerchants records that the directory was imported. The directory itself is no fact.
type ImportMerchants struct {
	Count    int    `json:"count"`
	Rejected int    `json:"rejected"`
	Digest   string `json:"digest"`
}

// PublishPolicy puts a version of the policy in force.
type PublishPolicy struct {
	Policy string `json:"policy"`
	Hash   string `json:"hash"`
}

// PutSecret records that a named secret was written. The value never comes near a fact.
type PutSecret struct {
	Secret string `json:"name"`
}

// FlipSwitch flips a kill switch, for an incident or outside one.
type FlipSwitch struct {
	Merchant string `json:"merchant"` // "*" for the global one
	State    string `json:"state"`    // on or off
	Reason   string `json:"reason"`
	Incident string `json:"incident,omitempty"` // whose containment it is; it stays off until that is restored
}

// OrderErasure takes rows out of the table of access events, for good: those of some customers of a
// merchant, or all of a merchant's. The sealed log keeps its events until their day is forgotten.
type OrderErasure struct {
	Merchant  string   `json:"merchant"`
	All       bool     `json:"all"`       // of the merchant: Customers is empty
	Customers []string `json:"customers"` // their pseudonyms at the merchant: 32 hexadecimal digits each
	Basis     string   `json:"basis"`     // in which right, such as "Art. 17 GDPR, request of 2026-11-20"
	Reason    string   `json:"reason"`
	Key       string   `json:"key"`   // with All: name of the pseudonym key that is destroyed; "" for none
	UpTo      int64    `json:"up_to"` // newest position of the access log that it is about
	Held      []Held   `json:"held"`  // standing holds that cover the merchant

	Plan *ErasurePlan `json:"plan,omitempty"` // the plan that is confirmed; nil: nobody looked at one
}

// Held is a hold of an incident that covers what should be erased.
type Held struct {
	Incident string    `json:"incident"` // "": one that who asks may not know of
	Hold     string    `json:"hold"`
	Until    time.Time `json:"until,omitzero"` // zero: until it is released
}

// Report records what an organ of the installation did or found, outside any incident: that it was
// restored from a backup, that a baseline was recorded or files were written back, that a probe began
// to fail or passes again.
type Report struct {
	Kind    incident.Kind `json:"kind"`             // one of the kinds of reports
	Subject string        `json:"subject"`          // the baseline, the probe, the backup
	State   string        `json:"state,omitempty"`  // what it is now, such as failing
	Digest  string        `json:"digest,omitempty"` // sha256:HEX of what the report rests on
	Count   int64         `json:"count,omitempty"`  // of files, or facts
	Detail  string        `json:"detail,omitempty"` // a sentence, sealed
}

// Name and its siblings name the commands; the names are stable.
func (Found) Name() string           { return "found" }
func (Invite) Name() string          { return "invite" }
func (Join) Name() string            { return "join" }
func (ChangePerson) Name() string    { return "change-person" }
func (RevokePerson) Name() string    { return "revoke-person" }
func (SetAddress) Name() string      { return "set-address" }
func (IssueToken) Name() string      { return "issue-token" }
func (RevokeToken) Name() string     { return "revoke-token" }
func (IssueKey) Name() string        { return "issue-key" }
func (RevokeKey) Name() string       { return "revoke-key" }
func (ImportMerchants) Name() string { return "import-merchants" }
func (PublishPolicy) Name() string   { return "publish-policy" }
func (PutSecret) Name() string       { return "put-secret" }
func (FlipSwitch) Name() string      { return "flip-switch" }
func (Report) Name() string          { return "report" }
func (OrderErasure) Name() string    { return "order-erasure" }

// Outcome is what came of a command that was accepted.
type Outcome struct {
	Reason   incident.Reason `json:"reason"`
	Version  int             `json:"version"`
	Fact     string          `json:"fact,omitempty"` // id of the last fact, "" when nothing changed
	Person   string          `json:"person,omitempty"`
	Replayed bool            `json:"replayed,omitempty"`
}
