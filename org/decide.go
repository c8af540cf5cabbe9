package org

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
)

// The reasons of this package. They are stable: tests, facts and pages use them.
const (
	WasFounded      incident.Reason = "founded"
	Invited         incident.Reason = "invited"
	Joined          incident.Reason = "joined"
	Changed         incident.Reason = "changed"
	Revoked         incident.Reason = "revoked"
	Issued          incident.Reason = "issued"
	Imported        incident.Reason = "imported"
	PolicyInForce   incident.Reason = "published"
	SecretWritten   incident.Reason = "secret_written"
	Flipped         incident.Reason = "flipped"
	ReportTaken     incident.Reason = "reported"
	NothingToDo     incident.Reason = "already_so"
	NotFounded      incident.Reason = "not_founded"
	AlreadyFounded  incident.Reason = "already_founded"
	NeedsOwner      incident.Reason = "needs_owner"
	NeedsResponder  incident.Reason = "needs_responder"
	NeedsSelf       incident.Reason = "needs_self"
	ExceedsOwn      incident.Reason = "exceeds_own_access"
	LastOwner       incident.Reason = "last_owner"
	UnknownPerson   incident.Reason = "unknown_person"
	PersonIsRevoked incident.Reason = "person_revoked"
	UnknownToken    incident.Reason = "unknown_token"
	UnknownKey      incident.Reason = "unknown_key"
	CodeUnknown     incident.Reason = "code_unknown"
	CodeUsed        incident.Reason = "code_used"
	CodeExpired     incident.Reason = "code_expired"
	NotSignedIn     incident.Reason = "not_signed_in"
	TokenExpired    incident.Reason = "token_expired"
	NotUnique       incident.Reason = "not_unique"
	InvalidField    incident.Reason = "invalid_field"
)

func refuse(r incident.Reason, message string, missing ...incident.Missing) error {
	return &incident.Refusal{Reason: r, Message: message, Missing: missing}
}

func invalid(field, why string) error {
	return refuse(InvalidField, "the command cannot be taken", incident.Missing{What: field + " " + why, Do: "correct " + field})
}

// Decide turns a command into facts, or into a refusal (always an *incident.Refusal). A decision
// without facts means that what was asked is so already.
func Decide(s *State, c Command, ctx incident.Context) (incident.Decision, error) {
	d := decider{s: s, ctx: ctx}
	if f, ok := c.(Found); ok {
		return d.found(f)
	}
	if s == nil || s.Founded.IsZero() {
		return incident.Decision{}, refuse(NotFounded, "this installation has not been set up yet",
			incident.Missing{What: "no organisation", Do: "start the server once: tocsin serve"})
	}
	switch c := c.(type) {
	case Invite:
		return d.invite(c)
	case Join:
		return d.join(c)
	case ChangePerson:
		return d.change(c)
	case SetAddress:
		return d.setAddress(c)
	case RevokePerson:
		return d.revokePerson(c)
	case IssueToken:
		return d.issueToken(c)
	case RevokeToken:
		return d.revokeToken(c)
	case IssueKey:
		return d.issueKey(c)
	case RevokeKey:
		return d.revokeKey(c)
	case ImportMerchants:
		return d.importMerchants(c)
	case PublishPolicy:
		return d.publish(c)
	case PutSecret:
		return d.putSecret(c)
	case FlipSwitch:
		return d.flip(c)
	case Report:
		return d.report(c)
	case OrderErasure:
		return d.orderErasure(c)
	case CloseEpoch:
		return d.closeEpoch(c)
	case PruneEpoch:
		return d.pruneEpoch(c)
	}
	return incident.Decision{}, refuse(InvalidField, fmt.Sprintf("there is no command %q here", c.Name()))
}

type decider struct {
	s   *State
	ctx incident.Context
}

// fact makes one fact of the chain, with at most one part of free text.
func (d decider) fact(kind incident.Kind, body any, merchant string, text textPart) incident.Fact {
	f := incident.Fact{
		Kind: kind, Chain: Chain, Env: d.ctx.Env, Principal: d.ctx.Actor.Principal,
		Occurred: d.ctx.Now, Recorded: d.ctx.Now, Versions: d.ctx.Versions, Causes: d.ctx.Causes,
		Body: encode(body),
	}
	if text != (textPart{}) || merchant != "" {
		f.Parts = []incident.Part{{Merchant: merchant, Body: encode(text)}}
	}
	return f
}

// encode cannot fail: the bodies are structs of this package made of strings, numbers and times
// whose year has four digits (Decide takes now from the desk's clock).
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}

func one(r incident.Reason, facts ...incident.Fact) (incident.Decision, error) {
	return incident.Decision{Reason: r, Facts: facts}, nil
}

// rank orders what accounts may do. Service is no rank of a person: it can neither be given nor
// compared with.
func rank(a incident.Access) int {
	switch a {
	case incident.Viewer:
		return 1
	case incident.Responder:
		return 2
	case incident.Owner:
		return 3
	}
	return 0
}

func (d decider) owner(what string) error {
	if d.ctx.Actor.Access != incident.Owner {
		return refuse(NeedsOwner, what+" needs an owner",
			incident.Missing{What: "you are not an owner", Do: "ask an owner of this installation"})
	}
	return nil
}

func (d decider) responder(what string) error {
	if rank(d.ctx.Actor.Access) < rank(incident.Responder) {
		return refuse(NeedsResponder, what+" needs a responder",
			incident.Missing{What: "you may only read", Do: "ask an owner for responder access"})
	}
	return nil
}

func (d decider) found(c Found) (incident.Decision, error) {
	if d.s != nil && !d.s.Founded.IsZero() {
		return incident.Decision{}, refuse(AlreadyFounded, "this installation has been set up already")
	}
	if d.ctx.Actor.Access != incident.Service {
		return incident.Decision{}, refuse(NeedsOwner, "only the server itself sets an installation up")
	}
	if err := firstError(checkID("id", c.ID), checkText("name", c.Title, maxName), checkID("owner", c.Owner),
		checkText("owner_name", c.OwnerName, maxName), checkHash("code_hash", c.CodeHash)); err != nil {
		return incident.Decision{}, err
	}
	return one(WasFounded,
		d.fact(OrganisationFounded, foundedBody{ID: c.ID}, "", textPart{Name: c.Title}),
		d.fact(PersonInvited, invitedBody{Person: c.Owner, Access: incident.Owner, Code: c.CodeHash,
			Expires: d.ctx.Now.Add(InviteLife)}, "", textPart{Name: c.OwnerName}))
}

func (d decider) invite(c Invite) (incident.Decision, error) {
	if p := d.s.People[c.Person]; p != nil { // a new link changes nothing that it does not say
		c.FullName = cmp.Or(c.FullName, p.Name)
		if p.Revoked.IsZero() {
			c.Access = cmp.Or(c.Access, p.Access)
		}
	}
	c.FullName, c.Access = cmp.Or(c.FullName, c.Person), cmp.Or(c.Access, incident.Responder)
	if d.ctx.Actor.Access == incident.Service {
		p := d.s.People[c.Person]
		if d.s.Owners() > 0 || p == nil || p.Access != incident.Owner || c.Access != incident.Owner {
			return incident.Decision{}, refuse(NeedsOwner, "inviting people needs an owner")
		}
	} else {
		if err := d.owner("inviting people"); err != nil {
			return incident.Decision{}, err
		}
		if rank(c.Access) > rank(d.ctx.Actor.Access) {
			return incident.Decision{}, refuse(ExceedsOwn, "nobody can give more access than they hold")
		}
	}
	if err := firstError(checkID("id", c.Person), checkText("name", c.FullName, maxName), checkAccess(c.Access),
		checkRoles(c.Roles), checkAddress(c.Email), checkHash("code_hash", c.CodeHash)); err != nil {
		return incident.Decision{}, err
	}
	if d.hashTaken(c.CodeHash) {
		return incident.Decision{}, refuse(NotUnique, "this code was given out before", incident.Missing{What: "code_hash is not new", Do: "make another code"})
	}
	if p := d.s.People[c.Person]; p != nil && p.Revoked.IsZero() {
		if p.Access != c.Access || (len(c.Roles) > 0 && !slices.Equal(p.Roles, sorted(c.Roles))) {
			return incident.Decision{}, refuse(NotUnique, fmt.Sprintf("%s is a person here already, with %s access", c.Person, p.Access),
				incident.Missing{What: "a new link keeps the access a person has", Do: "change the person first, or choose another id"})
		}
		c.Roles = p.Roles
	}
	return one(Invited, d.fact(PersonInvited, invitedBody{Person: c.Person, Access: c.Access, Roles: sorted(c.Roles),
		Code: c.CodeHash, Expires: d.ctx.Now.Add(InviteLife)}, "", textPart{Name: c.FullName, Email: c.Email}))
}

func (d decider) join(c Join) (incident.Decision, error) {
	if err := firstError(checkID("token_id", c.TokenID), checkHash("token_hash", c.TokenHash)); err != nil {
		return incident.Decision{}, err
	}
	ask := incident.Missing{What: "no invitation that can be used", Do: "ask an owner for a new link"}
	i := d.s.Invites[c.CodeHash]
	switch {
	case i == nil:
		return incident.Decision{}, refuse(CodeUnknown, "this link is not valid", ask)
	case !i.Used.IsZero():
		return incident.Decision{}, refuse(CodeUsed, "this link has been used already", ask)
	case !i.Void.IsZero():
		return incident.Decision{}, refuse(CodeUnknown, "this link has been replaced or withdrawn", ask)
	case !d.ctx.Now.Before(i.Expires):
		return incident.Decision{}, refuse(CodeExpired, "this link has expired", ask)
	}
	if d.hashTaken(c.TokenHash) || d.tokenByID(c.TokenID) != nil {
		return incident.Decision{}, refuse(NotUnique, "this token was given out before", incident.Missing{What: "token is not new", Do: "make another token"})
	}
	d.ctx.Actor.Principal = incident.Principal("person:" + i.Person)
	return one(Joined,
		d.fact(PersonJoined, joinedBody{Person: i.Person, Code: c.CodeHash}, "", textPart{}),
		d.fact(TokenIssued, tokenBody{Person: i.Person, Token: c.TokenID, Hash: c.TokenHash}, "", textPart{}))
}

func (d decider) change(c ChangePerson) (incident.Decision, error) {
	if err := firstError(d.owner("changing what a person may do"), checkAccess(c.Access), checkRoles(c.Roles)); err != nil {
		return incident.Decision{}, err
	}
	p, err := d.person(c.Person)
	if err != nil {
		return incident.Decision{}, err
	}
	if !p.Revoked.IsZero() {
		return incident.Decision{}, refuse(PersonIsRevoked, fmt.Sprintf("%s has been revoked", c.Person),
			incident.Missing{What: "the account is closed", Do: "invite the person again"})
	}
	roles := sorted(c.Roles)
	if p.Access == c.Access && slices.Equal(p.Roles, roles) {
		return one(NothingToDo)
	}
	if rank(c.Access) > rank(d.ctx.Actor.Access) {
		return incident.Decision{}, refuse(ExceedsOwn, "nobody can give more access than they hold")
	}
	if c.Access != incident.Owner {
		if err := d.keepsOwner(p); err != nil {
			return incident.Decision{}, err
		}
	}
	return one(Changed, d.fact(PersonChanged, changedBody{Person: p.ID, Access: c.Access, Roles: roles}, "", textPart{}))
}

func (d decider) revokePerson(c RevokePerson) (incident.Decision, error) {
	if err := firstError(d.owner("revoking a person"), checkOptional("reason", c.Reason, 2000)); err != nil {
		return incident.Decision{}, err
	}
	p, err := d.person(c.Person)
	if err != nil {
		return incident.Decision{}, err
	}
	if !p.Revoked.IsZero() {
		return one(NothingToDo)
	}
	if err := d.keepsOwner(p); err != nil {
		return incident.Decision{}, err
	}
	return one(Revoked, d.fact(PersonRevoked, personBody{Person: p.ID}, "", textPart{Reason: c.Reason}))
}

// keepsOwner refuses to take the last owner away.
func (d decider) keepsOwner(p *Person) error {
	if p.Access == incident.Owner && p.Active() && d.s.Owners() == 1 {
		return refuse(LastOwner, fmt.Sprintf("%s is the last owner", p.ID),
			incident.Missing{What: "no other owner has joined", Do: "invite another owner and let them join first"})
	}
	return nil
}

func (d decider) issueToken(c IssueToken) (incident.Decision, error) {
	if err := firstError(checkID("token_id", c.TokenID), checkHash("token_hash", c.TokenHash), checkOptional("label", c.Label, 80)); err != nil {
		return incident.Decision{}, err
	}
	id, ok := strings.CutPrefix(string(d.ctx.Actor.Principal), "person:")
	p := d.s.People[id]
	if !ok || p == nil || !p.Active() {
		return incident.Decision{}, refuse(NeedsSelf, "a token is issued to the person who asks for it")
	}
	if !c.Expires.IsZero() && !c.Expires.After(d.ctx.Now) {
		return incident.Decision{}, invalid("expires", "lies in the past")
	}
	if d.hashTaken(c.TokenHash) || d.tokenByID(c.TokenID) != nil {
		return incident.Decision{}, refuse(NotUnique, "this token was given out before", incident.Missing{What: "token is not new", Do: "make another token"})
	}
	return one(Issued, d.fact(TokenIssued, tokenBody{Person: id, Token: c.TokenID, Hash: c.TokenHash, Expires: c.Expires.UTC()}, "", textPart{Label: c.Label}))
}

func (d decider) revokeToken(c RevokeToken) (incident.Decision, error) {
	t := d.tokenByID(c.TokenID)
	own := t != nil && incident.Principal("person:"+t.Person) == d.ctx.Actor.Principal
	if !own && d.ctx.Actor.Access != incident.Owner {
		return incident.Decision{}, refuse(NeedsOwner, "revoking another person's token needs an owner")
	}
	if t == nil {
		return incident.Decision{}, refuse(UnknownToken, "there is no such token")
	}
	if !t.Revoked.IsZero() {
		return one(NothingToDo)
	}
	return one(Revoked, d.fact(TokenRevoked, tokenBody{Token: t.ID}, "", textPart{}))
}

func (d decider) issueKey(c IssueKey) (incident.Decision, error) {
	if err := firstError(d.owner("making a key"), checkID("key_id", c.KeyID), checkHash("key_hash", c.KeyHash)); err != nil {
		return incident.Decision{}, err
	}
	switch c.Purpose {
	case PurposeIngest:
		for _, of := range []struct{ field, id, says string }{{"source", c.Source, "name its events come in under"}, {"app", c.App, "app the key is for"}} {
			if of.id == "" {
				return incident.Decision{}, refuse(InvalidField, "a key for ingest needs a "+of.field, incident.Missing{What: of.field + " is empty", Do: "name the " + of.says + ": --" + of.field + ", or " + of.field + " in the API"})
			}
			if err := checkID(of.field, of.id); err != nil {
				return incident.Decision{}, err
			}
		}
	case PurposeSwitch:
		if c.App != "" {
			if err := checkID("app", c.App); err != nil {
				return incident.Decision{}, err
			}
		}
	default:
		return incident.Decision{}, invalid("purpose", "must be ingest or switch")
	}
	if d.hashTaken(c.KeyHash) || d.keyByID(c.KeyID) != nil {
		return incident.Decision{}, refuse(NotUnique, "this key was given out before", incident.Missing{What: "key is not new", Do: "make another key"})
	}
	return one(Issued, d.fact(KeyIssued, keyBody{Key: c.KeyID, Hash: c.KeyHash, Purpose: c.Purpose, Source: c.Source, App: c.App}, "", textPart{}))
}

func (d decider) revokeKey(c RevokeKey) (incident.Decision, error) {
	if err := d.owner("revoking a key"); err != nil {
		return incident.Decision{}, err
	}
	k := d.keyByID(c.KeyID)
	if k == nil {
		return incident.Decision{}, refuse(UnknownKey, "there is no such key")
	}
	if !k.Revoked.IsZero() {
		return one(NothingToDo)
	}
	return one(Revoked, d.fact(KeyRevoked, keyBody{Key: k.ID}, "", textPart{}))
}

func (d decider) importMerchants(c ImportMerchants) (incident.Decision, error) {
	if err := firstError(d.owner("importing merchants"), checkHash("digest", c.Digest)); err != nil {
		return incident.Decision{}, err
	}
	if c.Count < 0 || c.Rejected < 0 {
		return incident.Decision{}, invalid("count", "is negative")
	}
	return one(Imported, d.fact(MerchantsImported, importBody{Count: c.Count, Rejected: c.Rejected, Digest: c.Digest}, "", textPart{}))
}

func (d decider) publish(c PublishPolicy) (incident.Decision, error) {
	if d.ctx.Actor.Access != incident.Service {
		if err := d.owner("publishing a policy"); err != nil {
			return incident.Decision{}, err
		}
	}
	if err := firstError(checkID("policy", c.Policy), checkHash("hash", c.Hash)); err != nil {
		return incident.Decision{}, err
	}
	if now, ok := d.s.Policy(); ok && now.Hash == c.Hash && now.ID == c.Policy {
		return one(NothingToDo)
	}
	return one(PolicyInForce, d.fact(PolicyPublished, policyBody{Policy: c.Policy, Hash: c.Hash}, "", textPart{}))
}

func (d decider) putSecret(c PutSecret) (incident.Decision, error) {
	if err := firstError(d.responder("writing a secret"), checkID("name", c.Secret)); err != nil {
		return incident.Decision{}, err
	}
	return one(SecretWritten, d.fact(SecretPut, secretBody{Secret: c.Secret}, "", textPart{}))
}

func (d decider) flip(c FlipSwitch) (incident.Decision, error) {
	if err := firstError(d.responder("flipping a switch"), checkOptional("reason", c.Reason, 2000)); err != nil {
		return incident.Decision{}, err
	}
	if c.State != "on" && c.State != "off" {
		return incident.Decision{}, invalid("state", "must be on or off")
	}
	if strings.TrimSpace(c.Reason) == "" {
		return incident.Decision{}, invalid("reason", "is empty; say why in one sentence")
	}
	if c.Incident != "" {
		if err := checkID("incident", c.Incident); err != nil {
			return incident.Decision{}, err
		}
	}
	body, merchant := switchBody{State: c.State, All: true, Incident: c.Incident}, ""
	if c.Merchant != "*" {
		if err := checkMerchant("merchant", c.Merchant); err != nil {
			return incident.Decision{}, err
		}
		body.All, merchant = false, c.Merchant
	}
	now := d.s.Switches[c.Merchant]
	// A switch that is off already is taken over by the incident that needs it off, so that it stays
	// off until that is restored.
	takenOver := now != nil && c.State == "off" && now.State == "off" && now.Incident == "" && c.Incident != ""
	if !takenOver && (now != nil && now.State == c.State || now == nil && c.State == "on") {
		return one(NothingToDo)
	}
	return one(Flipped, d.fact(SwitchFlipped, body, merchant, textPart{Reason: c.Reason}))
}

func (d decider) person(id string) (*Person, error) {
	if p := d.s.People[id]; p != nil {
		return p, nil
	}
	return nil, refuse(UnknownPerson, "there is no such person", incident.Missing{What: "the id is not known here", Do: "list people: tocsin people list"})
}

func (d decider) tokenByID(id string) *Token {
	for _, t := range d.s.Tokens {
		if t.ID == id {
			return t
		}
	}
	return nil
}

func (d decider) keyByID(id string) *Key {
	for _, k := range d.s.Keys {
		if k.ID == id {
			return k
		}
	}
	return nil
}

// hashTaken reports whether a secret was ever given out under this hash, for whatever purpose: one
// secret never opens two doors.
func (d decider) hashTaken(hash string) bool {
	return d.s.Invites[hash] != nil || d.s.Tokens[hash] != nil || d.s.Keys[hash] != nil
}

func sorted(roles []string) []string {
	if len(roles) == 0 {
		return nil
	}
	out := slices.Clone(roles)
	slices.Sort(out)
	return slices.Compact(out)
}

func (d decider) report(c Report) (incident.Decision, error) {
	if d.ctx.Actor.Access != incident.Service {
		if err := d.responder("recording a report"); err != nil {
			return incident.Decision{}, err
		}
	}
	if !slices.Contains(reports, c.Kind) {
		return incident.Decision{}, refuse(InvalidField, fmt.Sprintf("kind: there are no reports of the kind %q", c.Kind))
	}
	if err := firstError(checkOptional("subject", c.Subject, 200), checkOptional("state", c.State, 50), checkOptional("detail", c.Detail, 2000)); err != nil {
		return incident.Decision{}, err
	}
	if c.Digest != "" {
		if err := checkHash("digest", c.Digest); err != nil {
			return incident.Decision{}, err
		}
	}
	body := reportBody{Subject: c.Subject, State: c.State, Digest: c.Digest, Count: c.Count}
	return one(ReportTaken, d.fact(c.Kind, body, "", textPart{Reason: c.Detail}))
}

// reports are the kinds that Report records.
var reports = []incident.Kind{InstallationRestored, BaselineRecorded, BaselineSigned, BaselineRestored, ProbeTurned, BackupTaken, BackupFailed}
