package org_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/org"
)

var start = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)

// chain gives commands to a state the way a desk does, and keeps the facts.
type chain struct {
	state *org.State
	facts []incident.Fact
	now   time.Time
}

func (c *chain) give(by incident.Principal, access incident.Access, command org.Command) (incident.Reason, error) {
	d, err := org.Decide(c.state, command, incident.Context{Now: c.now, Env: "drill", Actor: incident.Actor{Principal: by, Access: access}})
	if err != nil {
		return "", err
	}
	for _, f := range d.Facts {
		f.ID = fmt.Sprintf("01J%05d", len(c.facts))
		c.facts = append(c.facts, f)
		if c.state, err = org.Fold(c.state, f); err != nil {
			return "", err
		}
	}
	return d.Reason, nil
}

func founded(t interface{ Fatal(...any) }) *chain {
	c := &chain{now: start}
	if _, err := c.give("service:tocsin", incident.Service, org.Found{ID: "javabeanai", Title: "PickAndPack", Owner: "lena", OwnerName: "Lena", CodeHash: org.Hash("code")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.give("service:join", incident.Service, org.Join{CodeHash: org.Hash("code"), TokenID: "tok-1", TokenHash: org.Hash("token")}); err != nil {
		t.Fatal(err)
	}
	return c
}

func reasonOf(err error) incident.Reason {
	var r *incident.Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// promise: PRO-11
func TestRefusalsAreNamed(t *testing.T) {
	for _, c := range []struct {
		name    string
		by      incident.Principal
		access  incident.Access
		command org.Command
		want    incident.Reason
	}{
		{"a responder invites", "person:omar", incident.Responder, org.Invite{Person: "eve", FullName: "Eve", Access: incident.Viewer, CodeHash: org.Hash("x")}, org.NeedsOwner},
		{"a service invites although an owner is there", "service:tocsin", incident.Service, org.Invite{Person: "lena", FullName: "Lena", Access: incident.Owner, CodeHash: org.Hash("x")}, org.NeedsOwner},
		{"an invitation gives service access", "person:lena", incident.Owner, org.Invite{Person: "eve", FullName: "Eve", Access: incident.Service, CodeHash: org.Hash("x")}, org.InvalidField},
		{"a known person is invited with other access", "person:lena", incident.Owner, org.Invite{Person: "lena", FullName: "Lena", Access: incident.Viewer, CodeHash: org.Hash("x")}, org.NotUnique},
		{"a code is given out twice", "person:lena", incident.Owner, org.Invite{Person: "eve", FullName: "Eve", Access: incident.Viewer, CodeHash: org.Hash("code")}, org.NotUnique},
		{"a used code", "service:join", incident.Service, org.Join{CodeHash: org.Hash("code"), TokenID: "tok-2", TokenHash: org.Hash("t2")}, org.CodeUsed},
		{"a code nobody gave out", "service:join", incident.Service, org.Join{CodeHash: org.Hash("no"), TokenID: "tok-2", TokenHash: org.Hash("t2")}, org.CodeUnknown},
		{"the last owner is revoked", "person:lena", incident.Owner, org.RevokePerson{Person: "lena"}, org.LastOwner},
		{"the last owner steps down", "person:lena", incident.Owner, org.ChangePerson{Person: "lena", Access: incident.Responder}, org.LastOwner},
		{"a stranger is revoked", "person:lena", incident.Owner, org.RevokePerson{Person: "nobody"}, org.UnknownPerson},
		{"another person's token", "person:omar", incident.Responder, org.RevokeToken{TokenID: "tok-1"}, org.NeedsOwner},
		{"a key for nothing", "person:lena", incident.Owner, org.IssueKey{KeyID: "k", KeyHash: org.Hash("k"), Purpose: "all"}, org.InvalidField},
		{"an ingest key without a source", "person:lena", incident.Owner, org.IssueKey{KeyID: "k", KeyHash: org.Hash("k"), Purpose: org.PurposeIngest, App: "a"}, org.InvalidField},
		{"a token opens a second door", "person:lena", incident.Owner, org.IssueKey{KeyID: "k", KeyHash: org.Hash("token"), Purpose: org.PurposeSwitch}, org.NotUnique},
		{"a viewer flips a switch", "person:vic", incident.Viewer, org.FlipSwitch{Merchant: "*", State: "off", Reason: "r"}, org.NeedsResponder},
		{"a flip without a reason", "person:lena", incident.Owner, org.FlipSwitch{Merchant: "*", State: "off", Reason: " "}, org.InvalidField},
		{"a second founding", "service:tocsin", incident.Service, org.Found{ID: "x"}, org.AlreadyFounded},
		{"a name with control characters", "person:lena", incident.Owner, org.Invite{Person: "eve", FullName: "Eve\x1b[2J", Access: incident.Viewer, CodeHash: org.Hash("x")}, org.InvalidField},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := founded(t)
			before := len(ch.facts)
			if _, err := ch.give(c.by, c.access, c.command); reasonOf(err) != c.want {
				t.Errorf("got %v, want reason %s", err, c.want)
			}
			if len(ch.facts) != before {
				t.Error("a refused command left facts")
			}
		})
	}
}

func TestKeyForIngestWithoutAppOrSourceSaysHowToNameThem(t *testing.T) {
	c := founded(t)
	for field, key := range map[string]org.IssueKey{"app": {Source: "web"}, "source": {App: "a"}} {
		key.KeyID, key.KeyHash, key.Purpose = "k", org.Hash("k"), org.PurposeIngest
		_, err := c.give("person:lena", incident.Owner, key)
		var refused *incident.Refusal
		if !errors.As(err, &refused) || refused.Reason != org.InvalidField || len(refused.Missing) != 1 || !strings.Contains(refused.Missing[0].Do, "--"+field) {
			t.Errorf("no %s: %+v", field, err)
		}
	}
}

func TestInvitationExpires(t *testing.T) {
	c := founded(t)
	if _, err := c.give("person:lena", incident.Owner, org.Invite{Person: "omar", FullName: "Omar", Access: incident.Responder, CodeHash: org.Hash("omar")}); err != nil {
		t.Fatal(err)
	}
	join := org.Join{CodeHash: org.Hash("omar"), TokenID: "tok-2", TokenHash: org.Hash("t2")}
	c.now = start.Add(org.InviteLife)
	if _, err := c.give("service:join", incident.Service, join); reasonOf(err) != org.CodeExpired {
		t.Fatalf("at its end: %v", err)
	}
	c.now = start.Add(org.InviteLife - time.Nanosecond)
	if _, err := c.give("service:join", incident.Service, join); err != nil {
		t.Fatalf("just before its end: %v", err)
	}
}

func TestNewInvitationVoidsTheOld(t *testing.T) {
	c := founded(t)
	for _, code := range []string{"first", "second"} {
		if _, err := c.give("person:lena", incident.Owner, org.Invite{Person: "omar", FullName: "Omar", Access: incident.Responder, CodeHash: org.Hash(code)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.give("service:join", incident.Service, org.Join{CodeHash: org.Hash("first"), TokenID: "t2", TokenHash: org.Hash("t2")}); reasonOf(err) != org.CodeUnknown {
		t.Errorf("the first link: %v", err)
	}
	if _, err := c.give("service:join", incident.Service, org.Join{CodeHash: org.Hash("second"), TokenID: "t2", TokenHash: org.Hash("t2")}); err != nil {
		t.Errorf("the second link: %v", err)
	}
}

func TestFirstOwnerCanBeInvitedAgainUntilJoined(t *testing.T) {
	c := &chain{now: start}
	setup := func(command org.Command) error {
		_, err := c.give("service:tocsin", incident.Service, command)
		return err
	}
	if err := setup(org.Found{ID: "o", Title: "O", Owner: "lena", OwnerName: "Lena", CodeHash: org.Hash("a")}); err != nil {
		t.Fatal(err)
	}
	again := org.Invite{Person: "lena", FullName: "Lena", Access: incident.Owner, CodeHash: org.Hash("b")}
	if err := setup(again); err != nil {
		t.Fatalf("before anybody joined: %v", err)
	}
	if err := setup(org.Invite{Person: "eve", FullName: "Eve", Access: incident.Owner, CodeHash: org.Hash("c")}); reasonOf(err) != org.NeedsOwner {
		t.Errorf("another person: %v", err)
	}
	if err := setup(org.Join{CodeHash: org.Hash("b"), TokenID: "t", TokenHash: org.Hash("t")}); err != nil {
		t.Fatal(err)
	}
	again.CodeHash = org.Hash("d")
	if err := setup(again); reasonOf(err) != org.NeedsOwner {
		t.Errorf("after the owner joined: %v", err)
	}
}

// promise: PRO-4
func TestRevokedPersonIsRefusedAtOnce(t *testing.T) {
	c := founded(t)
	give := func(by incident.Principal, access incident.Access, command org.Command) {
		t.Helper()
		if _, err := c.give(by, access, command); err != nil {
			t.Fatal(err)
		}
	}
	give("person:lena", incident.Owner, org.Invite{Person: "omar", FullName: "Omar", Access: incident.Responder, CodeHash: org.Hash("c")})
	give("service:join", incident.Service, org.Join{CodeHash: org.Hash("c"), TokenID: "t2", TokenHash: org.Hash("t2")})
	give("person:omar", incident.Responder, org.IssueToken{TokenID: "t3", TokenHash: org.Hash("t3")})
	for _, token := range []string{"t2", "t3"} {
		if _, _, err := c.state.Bearer(org.Hash(token), c.now); err != nil {
			t.Fatalf("%s: %v", token, err)
		}
	}
	give("person:lena", incident.Owner, org.RevokePerson{Person: "omar"})
	for _, token := range []string{"t2", "t3"} {
		if _, _, err := c.state.Bearer(org.Hash(token), c.now); reasonOf(err) != org.NotSignedIn {
			t.Errorf("%s after revocation: %v", token, err)
		}
	}
}

func TestUnknownAndForeignFacts(t *testing.T) {
	c := founded(t)
	before, err := json.Marshal(c.state)
	if err != nil {
		t.Fatal(err)
	}
	if c.state, err = org.Fold(c.state, incident.Fact{ID: "x", Kind: org.PersonRevoked, Chain: "INC-1", Body: json.RawMessage(`{"person":"lena"}`)}); err != nil {
		t.Fatal(err)
	}
	after, err := json.Marshal(c.state)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("a fact of another chain changed the state")
	}
	if c.state, err = org.Fold(c.state, incident.Fact{ID: "y", Kind: "person.promoted", Chain: org.Chain, Body: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if c.state.Unknown["person.promoted"] != 1 || c.state.Head != "y" {
		t.Errorf("an unknown kind was not kept: %+v", c.state.Unknown)
	}
}

// anyCommand draws a command by anybody, sensible or not.
func anyCommand(t *rapid.T, i int) (incident.Principal, incident.Access, org.Command) {
	ids := rapid.SampledFrom([]string{"lena", "omar", "eve", "vic"})
	access := rapid.SampledFrom([]incident.Access{incident.Viewer, incident.Responder, incident.Owner, incident.Service, "root"})
	fresh := fmt.Sprint("secret-", i)
	old := org.Hash(fmt.Sprint("secret-", rapid.IntRange(0, i).Draw(t, "old")))
	roles := rapid.SliceOfN(rapid.SampledFrom([]string{"lead", "counsel"}), 0, 2)
	by := incident.Principal("person:" + ids.Draw(t, "by"))
	held := access.Draw(t, "held")
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0, 1:
		return by, held, org.Invite{Person: ids.Draw(t, "id"), FullName: "N", Access: access.Draw(t, "access"), Roles: roles.Draw(t, "roles"), CodeHash: org.Hash(fresh)}
	case 2, 3:
		return "service:join", incident.Service, org.Join{CodeHash: old, TokenID: "tok-" + fresh, TokenHash: org.Hash("t" + fresh)}
	case 4:
		return by, held, org.ChangePerson{Person: ids.Draw(t, "id"), Access: access.Draw(t, "access"), Roles: roles.Draw(t, "roles")}
	case 5:
		return by, held, org.RevokePerson{Person: ids.Draw(t, "id")}
	case 6:
		return by, held, org.RevokeToken{TokenID: "tok-secret-" + fmt.Sprint(rapid.IntRange(0, i).Draw(t, "n"))}
	case 7:
		return by, held, org.IssueKey{KeyID: "k-" + fresh, KeyHash: org.Hash("k" + fresh), Purpose: rapid.SampledFrom([]string{"ingest", "switch", "all"}).Draw(t, "purpose"), Source: "app", App: "a"}
	}
	return by, held, org.FlipSwitch{Merchant: rapid.SampledFrom([]string{"*", "m_1", "m_2", ""}).Draw(t, "merchant"), State: rapid.SampledFrom([]string{"on", "off"}).Draw(t, "state"), Reason: "r"}
}

// After any commands by anybody: an owner is left, no decision is without a reason, nobody's access
// was given by somebody with less, every refusal is named, and the state survives JSON.
func TestWhateverIsAskedAnOwnerIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := founded(t)
		for i := range rapid.IntRange(1, 25).Draw(t, "n") {
			by, held, command := anyCommand(t, i)
			before := len(c.facts)
			reason, err := c.give(by, held, command)
			if err != nil {
				if reasonOf(err) == "" {
					t.Fatalf("%s: not a refusal: %v", command.Name(), err)
				}
				continue
			}
			if reason == "" {
				t.Fatalf("%s was decided without a reason", command.Name())
			}
			if len(c.facts) > before && held != incident.Owner && held != incident.Service && slices.Contains([]string{"invite", "change-person", "revoke-person", "issue-key"}, command.Name()) {
				t.Fatalf("%s was done with %s access", command.Name(), held)
			}
			for _, f := range c.facts[before:] {
				for _, secret := range []string{"secret-", "tsecret-", "ksecret-"} {
					if strings.Contains(strings.ReplaceAll(string(f.Body), `"tok-secret-`, ""), `"`+secret) {
						t.Fatalf("a secret stands in %s", f.Body)
					}
				}
			}
			if c.state.Owners() == 0 {
				t.Fatalf("%s left no owner", command.Name())
			}
			for _, p := range c.state.People {
				if p.Access != incident.Viewer && p.Access != incident.Responder && p.Access != incident.Owner {
					t.Fatalf("%s holds %q", p.ID, p.Access)
				}
			}
			c.now = c.now.Add(time.Hour)
		}
		raw, err := json.Marshal(c.state)
		if err != nil {
			t.Fatal(err)
		}
		var back *org.State
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		if string(raw) != string(again) {
			t.Fatal("the state does not survive JSON")
		}
		// Snapshot and tail equal the whole fold.
		cut := rapid.IntRange(0, len(c.facts)).Draw(t, "cut")
		var part *org.State
		for i, f := range c.facts {
			if i == cut && part != nil {
				raw, err := json.Marshal(part)
				if err != nil {
					t.Fatal(err)
				}
				part = nil
				if err := json.Unmarshal(raw, &part); err != nil {
					t.Fatal(err)
				}
			}
			if part, err = org.Fold(part, f); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(part, c.state) {
			t.Fatalf("snapshot and tail differ from the whole fold")
		}
	})
}

// An address is known to the desk alone: it stands in no header of a fact and is never printed.
func TestAnAddressIsSealedAndNeverPrinted(t *testing.T) {
	const address = "omar.private@mail.example"
	c := founded(t)
	if _, err := c.give("person:lena", incident.Owner, org.Invite{Person: "omar", FullName: "Omar", Access: incident.Responder, CodeHash: org.Hash("omar")}); err != nil {
		t.Fatal(err)
	}
	give := func(by incident.Principal, access incident.Access, email org.Address) incident.Reason {
		reason, err := c.give(by, access, org.SetAddress{Person: "omar", Email: email})
		if err != nil {
			if strings.Contains(err.Error(), string(email)) && email != "" {
				t.Errorf("a refusal repeats the address: %v", err)
			}
			return reasonOf(err)
		}
		return reason
	}
	for _, step := range []struct {
		by     incident.Principal
		access incident.Access
		email  org.Address
		want   incident.Reason
	}{
		{"person:nora", incident.Responder, address, org.NeedsOwner},
		{"person:omar", incident.Responder, "Omar <" + address + ">", org.InvalidField},
		{"person:omar", incident.Responder, "a@b.example,c@d.example", org.InvalidField},
		{"person:omar", incident.Responder, address, org.Changed},
		{"person:lena", incident.Owner, address, org.NothingToDo},
	} {
		if got := give(step.by, step.access, step.email); got != step.want {
			t.Errorf("%s: %s, want %s", step.by, got, step.want)
		}
	}
	if got := c.state.People["omar"].Email.Reveal(); got != address {
		t.Errorf("the address is %q", got)
	}
	for _, f := range c.facts {
		if strings.Contains(string(f.Body), address) {
			t.Errorf("the address stands in the header of %s", f.Kind)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", c.state.People["omar"], *c.state.People["omar"], *c.state.People["omar"], c.state.People["omar"].Email); strings.Contains(printed, address) {
		t.Errorf("printed: %s", printed)
	}
	if _, err := c.give("person:lena", incident.Owner, org.RevokePerson{Person: "omar", Reason: "left"}); err != nil || c.state.People["omar"].Email != "" {
		t.Errorf("who has left is still called: %v", err)
	}
}

// A new link for somebody who is known changes nothing that it does not say.
func TestANewLinkKeepsNameAndAccess(t *testing.T) {
	c := founded(t)
	for i, in := range []org.Invite{
		{Person: "vera", FullName: "Vera Klein", Access: incident.Viewer, Email: "vera@example.com"},
		{Person: "vera"},
		{Person: "new"},
	} {
		in.CodeHash = org.Hash(string(rune('p' + i)))
		if _, err := c.give("person:lena", incident.Owner, in); err != nil {
			t.Fatal(err)
		}
	}
	if p := c.state.People["vera"]; p.Name != "Vera Klein" || p.Access != incident.Viewer || p.Email.Reveal() != "vera@example.com" {
		t.Errorf("after a new link: %s, %s", p.Name, p.Access)
	}
	if p := c.state.People["new"]; p.Name != "new" || p.Access != incident.Responder {
		t.Errorf("somebody new: %s, %s", p.Name, p.Access)
	}
	// Whoever has left does not come back with what they had.
	if _, err := c.give("person:lena", incident.Owner, org.Invite{Person: "ines", Access: incident.Owner, CodeHash: org.Hash("w")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.give("person:lena", incident.Owner, org.RevokePerson{Person: "ines", Reason: "left"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.give("person:lena", incident.Owner, org.Invite{Person: "ines", CodeHash: org.Hash("x")}); err != nil || c.state.People["ines"].Access != incident.Responder {
		t.Errorf("back with %s: %v", c.state.People["ines"].Access, err)
	}
}
