package org

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// The bodies of the facts. Headers hold ids, hashes and counts; names and reasons stand in parts,
// because parts are sealed and headers are not.
type (
	foundedBody struct {
		ID string `json:"id"`
	}
	invitedBody struct {
		Person  string          `json:"person"`
		Access  incident.Access `json:"access"`
		Roles   []string        `json:"roles,omitempty"`
		Code    string          `json:"code"` // hash
		Expires time.Time       `json:"expires"`
	}
	joinedBody struct {
		Person string `json:"person"`
		Code   string `json:"code"` // hash
	}
	changedBody struct {
		Person string          `json:"person"`
		Access incident.Access `json:"access"`
		Roles  []string        `json:"roles,omitempty"`
	}
	personBody struct {
		Person string `json:"person"`
	}
	tokenBody struct {
		Person  string    `json:"person,omitempty"`
		Token   string    `json:"token"`
		Hash    string    `json:"hash,omitempty"`
		Expires time.Time `json:"expires,omitzero"`
	}
	keyBody struct {
		Key     string `json:"key"`
		Hash    string `json:"hash,omitempty"`
		Purpose string `json:"purpose,omitempty"`
		Source  string `json:"source,omitempty"`
		App     string `json:"app,omitempty"`
	}
	importBody struct {
		Count    int    `json:"count"`
		Rejected int    `json:"rejected"`
		Digest   string `json:"digest"`
	}
	policyBody struct {
		Policy string `json:"policy"`
		Hash   string `json:"hash"`
	}
	secretBody struct {
		Secret string `json:"secret"`
	}
	reportBody struct {
		Subject string `json:"subject"`
		State   string `json:"state,omitempty"`
		Digest  string `json:"digest,omitempty"`
		Count   int64  `json:"count,omitempty"`
	}
	switchBody struct {
		State    string `json:"state"`
		All      bool   `json:"all,omitempty"` // the global one; otherwise the part names the merchant
		Incident string `json:"incident,omitempty"`
	}
	textPart struct {
		Name   string  `json:"name,omitempty"`
		Reason string  `json:"reason,omitempty"`
		Label  string  `json:"label,omitempty"`
		Email  Address `json:"email,omitempty"`
	}
)

// Fold applies one fact to s and returns it; a nil s starts a new state. Facts of another chain
// change nothing; facts of an unknown kind are counted and otherwise leave the state alone. An
// error means that a fact of a known kind cannot be read, and s must not be used any more.
func Fold(s *State, f incident.Fact) (*State, error) {
	if s == nil {
		s = &State{
			People: map[string]*Person{}, Invites: map[string]*Invitation{}, Tokens: map[string]*Token{},
			Keys: map[string]*Key{}, Secrets: map[string]Written{}, Switches: map[string]*Switch{},
		}
	}
	if f.Chain != Chain {
		return s, nil
	}
	apply, known := folds[f.Kind]
	if incident.OfProgramme(f.Kind) {
		var err error
		if s.Programme, err = incident.Fold(s.Programme, f); err != nil {
			return nil, fmt.Errorf("org: fact %s (%s): %w", f.ID, f.Kind, err)
		}
	} else if !known {
		if s.Unknown == nil {
			s.Unknown = map[incident.Kind]int{}
		}
		s.Unknown[f.Kind]++
	} else if err := apply(s, f); err != nil {
		return nil, fmt.Errorf("org: fact %s (%s): %w", f.ID, f.Kind, err)
	}
	s.Version++
	s.Head = f.ID
	return s, nil
}

var folds = map[incident.Kind]func(*State, incident.Fact) error{
	OrganisationFounded: foldFounded,
	PersonInvited:       foldInvited,
	PersonJoined:        foldJoined,
	PersonChanged:       foldChanged,
	PersonRevoked:       foldRevoked,
	PersonAddressed:     foldAddressed,
	TokenIssued:         foldTokenIssued,
	TokenRevoked:        foldTokenRevoked,
	KeyIssued:           foldKeyIssued,
	KeyRevoked:          foldKeyRevoked,
	MerchantsImported:   foldImported,
	PolicyPublished:     foldPublished,
	SecretPut:           foldSecret,
	SwitchFlipped:       foldSwitch,

	InstallationRestored: foldReport,
	BaselineRecorded:     foldReport,
	BaselineSigned:       foldReport,
	BaselineRestored:     foldReport,
	ProbeTurned:          foldReport,
	BackupTaken:          foldReport,
	BackupFailed:         foldReport,
	ErasureOrdered:       foldErasure,

	EpochClosed: foldEpochClosed,
	EpochPruned: foldEpochPruned,
}

// read decodes the header body and the header's own part. A part that was withheld leaves text empty.
func read(f incident.Fact, body any) (textPart, error) {
	var text textPart
	if err := json.Unmarshal(f.Body, body); err != nil {
		return text, fmt.Errorf("body: %w", err)
	}
	for _, p := range f.Parts {
		if len(p.Body) == 0 {
			continue
		}
		if err := json.Unmarshal(p.Body, &text); err != nil {
			return text, fmt.Errorf("part %d: %w", p.Index, err)
		}
		break
	}
	return text, nil
}

func foldFounded(s *State, f incident.Fact) error {
	var b foundedBody
	text, err := read(f, &b)
	if err != nil {
		return err
	}
	s.ID, s.Name, s.Founded = b.ID, text.Name, f.Recorded
	return nil
}

func foldInvited(s *State, f incident.Fact) error {
	var b invitedBody
	text, err := read(f, &b)
	if err != nil {
		return err
	}
	for _, i := range s.Invites { // one open invitation a person
		if i.Person == b.Person && i.Used.IsZero() && i.Void.IsZero() {
			i.Void = f.Recorded
		}
	}
	p := s.People[b.Person]
	switch {
	case p == nil:
		p = &Person{ID: b.Person, Invited: f.Recorded, By: f.Principal}
		s.People[b.Person] = p
	case !p.Revoked.IsZero(): // comes back: has to join again
		p.Revoked, p.Joined, p.Invited, p.By = time.Time{}, time.Time{}, f.Recorded, f.Principal
	}
	p.Access, p.Roles = b.Access, b.Roles
	if text.Name != "" {
		p.Name = text.Name
	}
	if text.Email != "" {
		p.Email = text.Email
	}
	s.Invites[b.Code] = &Invitation{Person: b.Person, Made: f.Recorded, Expires: b.Expires}
	return nil
}

func foldJoined(s *State, f incident.Fact) error {
	var b joinedBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	if i := s.Invites[b.Code]; i != nil {
		i.Used = f.Recorded
	}
	if p := s.People[b.Person]; p != nil && p.Joined.IsZero() {
		p.Joined = f.Recorded
	}
	return nil
}

func foldChanged(s *State, f incident.Fact) error {
	var b changedBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	if p := s.People[b.Person]; p != nil {
		p.Access, p.Roles = b.Access, b.Roles
	}
	return nil
}

func foldRevoked(s *State, f incident.Fact) error {
	var b personBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	if p := s.People[b.Person]; p != nil {
		p.Revoked, p.Email = f.Recorded, "" // who has left is not called
	}
	for _, i := range s.Invites {
		if i.Person == b.Person && i.Used.IsZero() && i.Void.IsZero() {
			i.Void = f.Recorded
		}
	}
	for _, t := range s.Tokens {
		if t.Person == b.Person && t.Revoked.IsZero() {
			t.Revoked = f.Recorded
		}
	}
	return nil
}

func foldTokenIssued(s *State, f incident.Fact) error {
	var b tokenBody
	text, err := read(f, &b)
	if err != nil {
		return err
	}
	s.Tokens[b.Hash] = &Token{ID: b.Token, Person: b.Person, Label: text.Label, Issued: f.Recorded, Expires: b.Expires}
	return nil
}

func foldTokenRevoked(s *State, f incident.Fact) error {
	var b tokenBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	for _, t := range s.Tokens {
		if t.ID == b.Token && t.Revoked.IsZero() {
			t.Revoked = f.Recorded
		}
	}
	return nil
}

func foldKeyIssued(s *State, f incident.Fact) error {
	var b keyBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	s.Keys[b.Hash] = &Key{ID: b.Key, Purpose: b.Purpose, Source: b.Source, App: b.App, Issued: f.Recorded, By: f.Principal}
	return nil
}

func foldKeyRevoked(s *State, f incident.Fact) error {
	var b keyBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	for _, k := range s.Keys {
		if k.ID == b.Key && k.Revoked.IsZero() {
			k.Revoked = f.Recorded
		}
	}
	return nil
}

func foldImported(s *State, f incident.Fact) error {
	var b importBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	s.Imports = append(s.Imports, Import{Count: b.Count, Rejected: b.Rejected, Digest: b.Digest, At: f.Recorded, By: f.Principal})
	return nil
}

func foldPublished(s *State, f incident.Fact) error {
	var b policyBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	s.Policies = append(s.Policies, Published{ID: b.Policy, Hash: b.Hash, At: f.Recorded, By: f.Principal})
	return nil
}

func foldSecret(s *State, f incident.Fact) error {
	var b secretBody
	if _, err := read(f, &b); err != nil {
		return err
	}
	s.Secrets[b.Secret] = Written{At: f.Recorded, By: f.Principal}
	return nil
}

func foldSwitch(s *State, f incident.Fact) error {
	var b switchBody
	text, err := read(f, &b)
	if err != nil {
		return err
	}
	merchant := "*"
	if !b.All {
		if len(f.Parts) == 0 || f.Parts[0].Merchant == "" {
			return fmt.Errorf("a switch of one merchant without the merchant's part")
		}
		merchant = f.Parts[0].Merchant
	}
	s.Switches[merchant] = &Switch{Merchant: merchant, State: b.State, Reason: text.Reason, Since: f.Recorded, By: f.Principal, Incident: b.Incident}
	s.Flips++
	return nil
}

func foldReport(s *State, f incident.Fact) error {
	var b reportBody
	text, err := read(f, &b)
	if err != nil {
		return err
	}
	if s.Reports == nil {
		s.Reports = map[string]Reported{}
	}
	s.Reports[string(f.Kind)+"/"+b.Subject] = Reported{Kind: f.Kind, Subject: b.Subject, State: b.State, Digest: b.Digest,
		Count: b.Count, Detail: text.Reason, At: f.Recorded, By: f.Principal, Fact: f.ID}
	return nil
}
