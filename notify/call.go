package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"strings"
	"time"
)

// Call is what a person is called for: a clock that presses, or a signature that others wait for.
type Call struct {
	Installation string // id of this installation; part of the Message-ID
	Org          string // name of the vendor
	From         string // address with an optional name
	Incident     string // "" for the programme, which is no incident
	Page         string // id of the page
	Person       string // id of the person
	Name         string
	Address      string
	Role         string
	Ask          string    // what is owed, such as "Confirm or dismiss"
	Gate         string    // the gate whose signature is missing; "" for a clock
	Glass        bool      // an owner has come on the list of a private incident, because nobody of it acted
	Suspicion    bool      // somebody of the staff suspects a breach, and nobody has acknowledged it
	Everybody    bool      // such a call goes to all who can act
	HandOver     bool      // the role is offered to the person, who does not hold it yet
	Overdue      bool      // a corrective action that the person owns is overdue
	Due          time.Time // zero: the policy sets no limit
	Now          time.Time // domain time; the letter's date
	Zone         *time.Location
	PublicURL    string
}

// String hides the call: it names a person.
func (Call) String() string { return "[redacted]" }

// GoString hides the call.
func (Call) GoString() string { return "[redacted]" }

// LogValue hides the call.
func (Call) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// ComposeCall writes a call as a short mail. It says what is asked and by when; what the incident is
// about stays behind the sign-in that its link leads to.
func ComposeCall(c Call) (Letter, error) {
	from, err := mail.ParseAddress(c.From)
	if err != nil || !plainAddress(from.Address) {
		return Letter{}, errors.New("call: the sender is not an address: set mail.from")
	}
	if !plainAddress(c.Address) {
		return Letter{}, fmt.Errorf("call: the address of %s is not one: tocsin people email", c.Person)
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	what, at := "the programme of "+line(c.Org, maxName), strings.TrimSuffix(line(c.PublicURL, 300), "/")
	where := "tocsin programme"
	if c.Incident != "" {
		what, where = "incident "+c.Incident, "tocsin incident show "+c.Incident
		if at != "" {
			at += "/incidents/" + url.PathEscape(c.Incident)
		}
	} else if at != "" {
		at += "/"
	}
	ask := line(c.Ask, maxSubject)
	subject := ask
	text := []string{"What is owed: " + ask + "."}
	if c.Gate != "" {
		subject = "Your signature is missing: " + line(c.Gate, maxName)
		text = []string{"The gate " + line(c.Gate, maxName) + " waits for a signature of the role " + line(c.Role, maxName) + ".", "What waits behind it: " + ask + "."}
	}
	if c.Suspicion {
		subject = "Somebody of the staff suspects a breach"
		text = []string{"Somebody of the staff of " + line(c.Org, maxName) + " reported that they suspect a breach: " + what + ". What they saw stands there.",
			"You are called again until somebody acknowledges it."}
	}
	if c.HandOver {
		subject = "You are asked to take over the role " + line(c.Role, maxName)
		text = []string{"The role " + line(c.Role, maxName) + " in " + what + " is offered to you. Who holds it goes on holding it until you accept."}
	}
	if c.Glass {
		subject = "An owner came on the list of a private incident"
		text = []string{"Nobody on the list of " + what + " had done anything for a day, and an owner has put themselves on it. Who it was, and why, stands in its timeline."}
	}
	switch {
	case c.HandOver, c.Glass, c.Suspicion:
	case c.Due.IsZero():
		text = append(text, "The policy sets no limit for it; it waits now.")
	default:
		by := c.Due.In(c.Zone).Format("Mon 2 Jan 2006 15:04") + " " + zone(c.Zone)
		subject += ", by " + by
		word := "It is due by "
		if !c.Now.Before(c.Due) {
			word = "It was due by "
		}
		text = append(text, word+by+".")
	}
	switch {
	case c.HandOver, c.Glass:
	case c.Suspicion && c.Everybody:
		text = append(text, "You are called because you can act in it and nobody has answered yet.")
	case c.Overdue:
		text = append(text, "You are called because it is yours in "+what+". When it is done, or takes longer, say so there: until then it stands as overdue.")
	default:
		text = append(text, "You are called because you hold the role "+line(c.Role, maxName)+" in "+what+".")
	}
	if at != "" {
		where = at
	}
	text = append(text, "See it and act: "+where)
	prefix := "[" + line(c.Org, maxName) + "] "
	if c.Incident != "" {
		prefix = "[" + c.Incident + "] "
	}
	h := sha256.New()
	for _, part := range []string{"tocsin-call/1", c.Installation, c.Incident, c.Page, c.Person} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return Letter{
		MessageID: hex.EncodeToString(h.Sum(nil)[:16]) + "@" + from.Address[strings.LastIndexByte(from.Address, '@')+1:],
		Date:      c.Now.UTC().Truncate(time.Second), FromName: line(from.Name, maxName), From: from.Address,
		ToName: line(c.Name, maxName), To: c.Address, Subject: line(prefix+subject, maxSubject),
		Text: strings.Join(text, "\n\n") + "\n", Incident: c.Incident,
	}, nil
}

func zone(z *time.Location) string {
	if z == time.UTC {
		return "UTC"
	}
	return z.String()
}
