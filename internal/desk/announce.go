package desk

import (
	"context"
	"crypto/rand"
	"net/mail"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/org"
)

// announceTime bounds how long an owner waits while another person is told what they do to the account.
const announceTime = 10 * time.Second

// announce tells a person by mail that somebody else is about to make a new sign-in link for their
// account, or to change where they are called: whoever has such a link signs in in their name. It goes to
// the address that is known before the command, and leaves before the command is recorded, so that no
// crash makes a link of which nobody was told. A mail that does not leave stops nothing: a new link is how
// a lost token is replaced, also while the relay is down. The fact that the command makes stays either way.
func (d *Desk) announce(ctx context.Context, who Caller, c org.Command) error {
	id, what := "", ""
	var to org.Address
	switch c := c.(type) {
	case org.Invite:
		id, what = c.Person, "a new sign-in link for your account"
	case org.SetAddress:
		id, to, what = c.Person, c.Email, "another address for the calls to you"
	default:
		return nil
	}
	if d.o.Mail == nil || who.Access != incident.Owner || who.Principal == incident.Principal("person:"+id) {
		return nil
	}
	s, err := d.Org(ctx)
	if err != nil || s == nil {
		return err
	}
	p := s.People[id]
	if p == nil || !p.Active() || p.Email == "" || p.Email == to {
		return nil
	}
	from, err := mail.ParseAddress(d.o.From)
	if err != nil {
		return nil // doctor says that the sender is none
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	by := who.Name
	if by == "" {
		by = strings.TrimPrefix(string(who.Principal), "person:")
	}
	now := d.o.Clock.Now()
	letter := notify.Letter{
		MessageID: "account-" + strings.ToLower(rand.Text()) + "@" + domain, Date: now, FromName: from.Name, From: from.Address, ToName: p.Name, To: p.Email.Reveal(),
		Subject: "Your account: " + what,
		Text: by + " makes " + what + " at " + d.o.OrgName + ", " + now.UTC().Format("2006-01-02 15:04 UTC") + ".\n\n" +
			"If you did not ask for it, tell somebody else than them: whoever opens a sign-in link acts in your name, and sees the private incidents that you see. " +
			"Your own tokens go on working. Who made which link stays in the record.\n",
	}
	ctx, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	if r := d.o.Mail.Send(ctx, letter); r.Outcome != incident.Done {
		d.o.Log.WarnContext(ctx, "a person was not told by mail what an owner does to their account", "person", id, "command", c.Name(), "outcome", r.Outcome, "code", r.Code)
	}
	return nil
}
