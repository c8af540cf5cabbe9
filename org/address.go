package org

import (
	"log/slog"
	"maps"
	"net/mail"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
)

// Address is where a person gets mail. It is personal data: it stands in sealed parts of facts only,
// and printing it shows that there is one and not which.
type Address string

// String hides the address.
func (Address) String() string { return "[redacted]" }

// GoString hides the address.
func (Address) GoString() string { return "[redacted]" }

// LogValue hides the address.
func (Address) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Reveal is the address itself, for the letter.
func (a Address) Reveal() string { return string(a) }

// checkAddress accepts an address and nothing around it; the refusal does not repeat it.
func checkAddress(a Address) error {
	s := string(a)
	if s == "" {
		return nil
	}
	odd := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' || r == ',' })
	if parsed, err := mail.ParseAddress(s); len(s) > 254 || odd || err != nil || parsed.Name != "" || parsed.Address != s {
		return invalid("email", "is not one e-mail address")
	}
	return nil
}

// setAddress says where a person is called. Owners may say it of everybody, and people of themselves.
func (d decider) setAddress(c SetAddress) (incident.Decision, error) {
	if d.ctx.Actor.Principal != incident.Principal("person:"+c.Person) {
		if err := d.owner("changing where another person is called"); err != nil {
			return incident.Decision{}, err
		}
	}
	if err := checkAddress(c.Email); err != nil {
		return incident.Decision{}, err
	}
	p, err := d.person(c.Person)
	if err != nil {
		return incident.Decision{}, err
	}
	if !p.Revoked.IsZero() {
		return incident.Decision{}, refuse(PersonIsRevoked, c.Person+" has been revoked",
			incident.Missing{What: "the account is closed", Do: "invite the person again"})
	}
	if p.Email == c.Email {
		return one(NothingToDo)
	}
	return one(Changed, d.fact(PersonAddressed, personBody{Person: p.ID}, "", textPart{Email: c.Email}))
}

func foldAddressed(s *State, f incident.Fact) error {
	var b personBody
	text, err := read(f, &b)
	if err != nil {
		return err
	}
	if p := s.People[b.Person]; p != nil {
		p.Email = text.Email
	}
	return nil
}

// Holders are the people who hold a role and have joined, in the order of their ids; also names
// those who have taken the role in an incident.
func (s *State) Holders(role string, also ...incident.Principal) []*Person {
	if s == nil {
		return nil
	}
	var out []*Person
	for _, id := range slices.Sorted(maps.Keys(s.People)) {
		p := s.People[id]
		if p.Active() && (slices.Contains(p.Roles, role) || slices.Contains(also, p.Principal())) {
			out = append(out, p)
		}
	}
	return out
}

// Acting are the people who have joined and can act in an incident, by id.
func (s *State) Acting() []*Person {
	if s == nil {
		return nil
	}
	var out []*Person
	for _, id := range slices.Sorted(maps.Keys(s.People)) {
		if p := s.People[id]; p.Active() && (p.Access == incident.Responder || p.Access == incident.Owner) {
			out = append(out, p)
		}
	}
	return out
}

// Named lists the people of these principals who are with the organisation, by id.
func (s *State) Named(who []incident.Principal) []*Person {
	return s.Holders("", who...)
}
