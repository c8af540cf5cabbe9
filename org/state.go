// Package org is the chain of facts that belongs to no incident: who the people are and what they
// may do, which keys machines hold, which policy is published, which merchants are known, and the
// kill switches.
//
// The package is pure. It never reads a clock, a file or a source of randomness: codes and tokens
// are made at the edge, and only their SHA-256 comes in.
package org

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// Chain is the chain all facts of this package stand in.
const Chain = "org"

// The kinds of facts of the chain.
const (
	OrganisationFounded incident.Kind = "organisation.founded"
	PersonInvited       incident.Kind = "person.invited"
	PersonJoined        incident.Kind = "person.joined"
	PersonChanged       incident.Kind = "person.changed"
	PersonRevoked       incident.Kind = "person.revoked"
	PersonAddressed     incident.Kind = "person.addressed"
	TokenIssued         incident.Kind = "token.issued"
	TokenRevoked        incident.Kind = "token.revoked"
	KeyIssued           incident.Kind = "key.issued"
	KeyRevoked          incident.Kind = "key.revoked"
	MerchantsImported   incident.Kind = "merchants.imported"
	PolicyPublished     incident.Kind = "policy.published"
	SecretPut           incident.Kind = "secret.put"
	SwitchFlipped       incident.Kind = "switch.flipped"

	InstallationRestored incident.Kind = "installation.restored"
	BaselineRecorded     incident.Kind = "baseline.recorded"
	BaselineSigned       incident.Kind = "baseline.signed" // by the first of two people
	BaselineRestored     incident.Kind = "baseline.restored"
	ProbeTurned          incident.Kind = "probe.turned"
	BackupTaken          incident.Kind = "backup.taken"
	BackupFailed         incident.Kind = "backup.failed"

	ErasureOrdered incident.Kind = "erasure.ordered"
)

// InviteLife is how long an invitation can be used.
const InviteLife = 72 * time.Hour

// State is what the facts of the chain fold to. It is plain data and survives a round trip through
// JSON. The fold owns it; nobody else writes to it.
type State struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Founded time.Time `json:"founded,omitzero"`
	Version int       `json:"version"` // number of facts folded
	Head    string    `json:"head"`    // id of the newest fact

	People  map[string]*Person     `json:"people"`  // by id, such as lena
	Invites map[string]*Invitation `json:"invites"` // by the hash of the code
	Tokens  map[string]*Token      `json:"tokens"`  // by the hash of the secret
	Keys    map[string]*Key        `json:"keys"`    // by the hash of the secret

	Policies []Published           `json:"policies"` // oldest first; the last is in force
	Imports  []Import              `json:"imports"`
	Secrets  map[string]Written    `json:"secrets"`           // by name; never a value
	Switches map[string]*Switch    `json:"switches"`          // by merchant, "*" for the global one
	Flips    int64                 `json:"flips"`             // number of flips folded: a version of the switches
	Reports  map[string]Reported   `json:"reports,omitempty"` // the newest of each kind and subject
	Unknown  map[incident.Kind]int `json:"unknown_kinds,omitempty"`
	Erasures []Erasure             `json:"erasures,omitempty"` // oldest first

	Epochs map[string]*Epoch `json:"epochs,omitempty"` // days of the access log that are over

	Programme *incident.State `json:"programme,omitempty"` // duties without an incident; nil before a policy began them
}

// Person is somebody with an account.
type Person struct {
	ID      string             `json:"id"`
	Name    string             `json:"name"`
	Access  incident.Access    `json:"access"`
	Roles   []string           `json:"roles,omitempty"`
	Email   Address            `json:"email,omitempty"` // where calls go; "" when there is none
	Invited time.Time          `json:"invited"`
	By      incident.Principal `json:"by"`
	Joined  time.Time          `json:"joined,omitzero"`  // zero: has not used an invitation yet
	Revoked time.Time          `json:"revoked,omitzero"` // zero: has not been revoked
}

// Principal is the principal of the person's facts.
func (p Person) Principal() incident.Principal { return incident.Principal("person:" + p.ID) }

// Active reports whether the person has joined and has not been revoked.
func (p Person) Active() bool { return !p.Joined.IsZero() && p.Revoked.IsZero() }

// Invitation is an invitation that can be used once.
type Invitation struct {
	Person  string    `json:"person"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"`
	Void    time.Time `json:"void,omitzero"` // a newer invitation or a revocation has replaced it
}

// Token is a person's bearer token. Only its hash is known.
type Token struct {
	ID      string    `json:"id"`
	Person  string    `json:"person"`
	Label   string    `json:"label,omitempty"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Revoked time.Time `json:"revoked,omitzero"`
}

// Key is a machine's key. Only its hash is known.
type Key struct {
	ID      string             `json:"id"`
	Purpose string             `json:"purpose"` // PurposeIngest or PurposeSwitch
	Source  string             `json:"source,omitempty"`
	App     string             `json:"app,omitempty"`
	Issued  time.Time          `json:"issued"`
	By      incident.Principal `json:"by"`
	Revoked time.Time          `json:"revoked,omitzero"`
}

// The purposes of a key.
const (
	PurposeIngest = "ingest" // may append access events of one source
	PurposeSwitch = "switch" // may read the kill switches and say which version it obeys
)

// Published is a version of the policy that was put in force.
type Published struct {
	ID   string             `json:"id"`
	Hash string             `json:"hash"`
	At   time.Time          `json:"at"`
	By   incident.Principal `json:"by"`
}

// Import is one import of the merchant directory.
type Import struct {
	Count    int                `json:"count"`
	Rejected int                `json:"rejected"`
	Digest   string             `json:"digest"` // of the file's bytes
	At       time.Time          `json:"at"`
	By       incident.Principal `json:"by"`
}

// Written says when a named secret was last written, and by whom.
type Written struct {
	At time.Time          `json:"at"`
	By incident.Principal `json:"by"`
}

// Switch is a kill switch as it was last flipped.
type Switch struct {
	Merchant string             `json:"merchant"` // "*" for the global one
	State    string             `json:"state"`    // on or off
	Reason   string             `json:"reason"`
	Since    time.Time          `json:"since"`
	By       incident.Principal `json:"by"`
	Incident string             `json:"incident,omitempty"` // whose containment it is
}

// Hash is the only form in which codes, tokens and keys are kept: "sha256:" and the hex digest of
// the secret. The secrets are 32 random bytes, so a plain digest cannot be searched.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Bearer finds the person a token belongs to. It returns a refusal when the token is unknown,
// revoked or expired, or when its person has been revoked; the refusal never says which of the
// first two it was. Looking up by hash leaks nothing about other secrets through its timing.
func (s *State) Bearer(hash string, now time.Time) (*Person, *Token, error) {
	if s == nil {
		return nil, nil, refuse(NotSignedIn, "this token is not valid here")
	}
	t, ok := s.Tokens[hash]
	if !ok || !t.Revoked.IsZero() {
		return nil, nil, refuse(NotSignedIn, "this token is not valid here")
	}
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return nil, nil, refuse(TokenExpired, "this token has expired")
	}
	p := s.People[t.Person]
	if p == nil || !p.Active() {
		return nil, nil, refuse(NotSignedIn, "this token is not valid here")
	}
	return p, t, nil
}

// MachineKey finds a key by its hash, and refuses one that is unknown or revoked.
func (s *State) MachineKey(hash string) (*Key, error) {
	if s != nil {
		if k, ok := s.Keys[hash]; ok && k.Revoked.IsZero() {
			return k, nil
		}
	}
	return nil, refuse(NotSignedIn, "this key is not valid here")
}

// Names are the names of people by their ids. Those that two people have are followed by the id.
func (s *State) Names() map[string]string {
	out, have := map[string]string{}, map[string]int{}
	if s == nil {
		return out
	}
	for _, p := range s.People {
		have[p.Name]++
	}
	for id, p := range s.People {
		if out[id] = p.Name; have[p.Name] > 1 {
			out[id] += " (" + id + ")"
		}
	}
	return out
}

// Owners counts the owners who have joined and have not been revoked.
func (s *State) Owners() int {
	n := 0
	for _, p := range s.People {
		if p.Access == incident.Owner && p.Active() {
			n++
		}
	}
	return n
}

// Policy is the version of the policy in force, and false when none was ever published.
func (s *State) Policy() (Published, bool) {
	if s == nil || len(s.Policies) == 0 {
		return Published{}, false
	}
	return s.Policies[len(s.Policies)-1], true
}

// Reported is the newest report of a kind on a subject.
type Reported struct {
	Kind    incident.Kind      `json:"kind"`
	Subject string             `json:"subject"`
	State   string             `json:"state,omitempty"`
	Digest  string             `json:"digest,omitempty"`
	Count   int64              `json:"count,omitempty"`
	Detail  string             `json:"detail,omitempty"`
	At      time.Time          `json:"at"`
	By      incident.Principal `json:"by"`
	Fact    string             `json:"fact"`
}

// Reported is the newest report of a kind on a subject, and whether there is one.
func (s *State) Reported(kind incident.Kind, subject string) (Reported, bool) {
	if s == nil {
		return Reported{}, false
	}
	r, ok := s.Reports[string(kind)+"/"+subject]
	return r, ok
}
