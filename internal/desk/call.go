package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/org"
)

// page calls the people who hold a role, by mail: a clock presses, or a signature is missing. Who is
// called is a fact before the first byte leaves.
//
// A crash before the attempt is durable has called nobody, and the page is still owed. A crash after
// it leaves an attempt without a result: the next start calls it uncertain, and it is made once more
// under the same Message-IDs, as a notice is.
func (d *Desk) page(ctx context.Context, s *incident.State, eff incident.Effect) error {
	who := worker("page")
	o, err := d.Org(ctx)
	if err != nil {
		return err
	}
	p := incident.PageOf(s, eff)
	if p == nil {
		return fmt.Errorf("desk: effect %s names an unknown page", eff.ID)
	}
	attempt := incident.ReportAttempt{Effect: eff}
	var letters []notify.Letter
	var unwritten error // why somebody's letter could not be written; it names no address
	holders := d.holders(s, o, p)
	for _, person := range holders {
		if person.Email == "" {
			continue
		}
		l, err := notify.ComposeCall(d.callOf(s, p, person))
		if err != nil {
			unwritten = err
			continue
		}
		attempt.To, letters = append(attempt.To, person.Principal()), append(letters, l)
	}
	if ok, err := d.attempt(ctx, who, attempt); err != nil || !ok {
		return err
	}
	failed := func(code, detail string) error {
		return d.report(ctx, who, incident.ReportResult{Effect: eff, Outcome: incident.Failed, Code: code, Detail: detail})
	}
	addressed := slices.ContainsFunc(holders, func(p *org.Person) bool { return p.Email != "" })
	switch {
	case len(holders) == 0:
		return failed("nobody_holds_the_role", "nobody who has joined holds the role")
	case !addressed:
		return failed("no_address", "nobody who holds the role has an address: tocsin people email")
	case d.o.Mail == nil:
		return failed("no_relay", "tocsin.yaml has no mail.relay")
	case len(letters) == 0:
		return failed("not_composed", unwritten.Error())
	}
	// The role is called when one of its holders is. Of several answers the one that asks for least
	// counts: nobody who was reached is called again because another was not.
	best := notify.Receipt{Outcome: incident.Failed}
	for i, l := range letters {
		got := guarded(d, eff, notify.Receipt{Outcome: incident.Uncertain, Code: "panic"}, func() notify.Receipt { return d.o.Mail.Send(ctx, l) })
		if i == 0 || weight(got.Outcome) > weight(best.Outcome) {
			best = got
		}
	}
	r := incident.ReportResult{Effect: eff, Outcome: best.Outcome, Code: best.Code, Detail: best.Detail, At: best.At}
	if r.Outcome == incident.Deferred {
		wait, more := d.retryIn(eff.Attempt)
		if more {
			r.Retry = time.Now().UTC().Add(wait)
		} else {
			r.Outcome = incident.Failed
		}
	}
	return d.report(ctx, who, r)
}

func weight(o incident.Outcome) int {
	return slices.Index([]incident.Outcome{incident.Failed, incident.Deferred, incident.Uncertain, incident.Done}, o)
}

// callOf words a page for one person.
func (d *Desk) callOf(s *incident.State, p *incident.Page, who *org.Person) notify.Call {
	program := d.program(s)
	row := ClockRow{Duty: p.Duty}
	for _, o := range s.Owing() {
		if o.Of.Duty == p.Duty && o.Of.Recipient != "" {
			row.Count += o.N
		}
	}
	c := notify.Call{
		Installation: d.o.Installation, Org: d.o.OrgName, From: d.o.From, Incident: s.ID, Page: p.ID, Person: who.ID, Name: who.Name,
		Address: who.Email.Reveal(), Role: strings.ReplaceAll(p.Role, "_", " "), Ask: saySomething(program, &row), Due: p.Due,
		Now: d.o.Clock.Now(), Zone: program.Zone, PublicURL: d.o.PublicURL,
	}
	if s.Programme {
		c.Incident = ""
	}
	if p.HandsOver() {
		c.Ask, c.HandOver = "Take over the role "+c.Role, true
	}
	if p.Glass() {
		c.Ask, c.Glass = "See who came on the list of this incident", true
	}
	if n, ok := p.Reaches(); ok {
		c.Ask, c.Suspicion, c.Everybody = "Acknowledge what somebody of the staff saw", true, n >= incident.ReachAll
	}
	if id := p.CallsOwner(); id != "" {
		c.Ask, c.Overdue = "Finish the corrective action "+id, true
	}
	if gate, ok := strings.CutPrefix(p.ID, "gate/"); ok {
		gate, _, _ = strings.Cut(gate, "/")
		c.Gate = strings.ReplaceAll(gate, "_", " ")
	}
	return c
}

// called says of a duty's newest page what became of it, in words, and whom it reached; "" when nobody was called.
func called(s *incident.State, duty string) (text string, to []incident.Principal) {
	var last *incident.Page
	for _, p := range s.Pages {
		if p.Duty == duty && (last == nil || p.At.After(last.At) || p.At.Equal(last.At) && p.ID > last.ID) {
			last = p
		}
	}
	if last == nil {
		return "", nil
	}
	role := strings.ReplaceAll(last.Role, "_", " ")
	switch last.State {
	case incident.PageSent:
		names := make([]string, len(last.To))
		for i, to := range last.To {
			names[i] = strings.TrimPrefix(string(to), "person:")
		}
		return role + " called by mail: " + strings.Join(names, ", "), last.To
	case incident.PageFailed:
		return "the call to " + role + " was not delivered: " + strings.ReplaceAll(last.Code, "_", " "), nil
	}
	return role + " is being called", nil
}
