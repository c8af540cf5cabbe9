package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/policy"
)

// send carries one notice to one recipient. The attempt, with the digest of the very bytes, is a
// fact before the first of them leaves.
func (d *Desk) send(ctx context.Context, s *incident.State, eff incident.Effect) error {
	who := worker("notify")
	n := noticeByID(s, eff.Notice)
	if n == nil || n.Deliveries[eff.Party] == nil {
		return fmt.Errorf("desk: effect %s names an unknown delivery", eff.ID)
	}
	in, err := d.input(ctx, s, n, eff.Party, n.Deliveries[eff.Party].Address)
	if err != nil {
		return err
	}
	failed := func(code, detail string) error {
		if ok, err := d.attempt(ctx, who, incident.ReportAttempt{Effect: eff}); err != nil || !ok {
			return err
		}
		return d.report(ctx, who, incident.ReportResult{Effect: eff, Outcome: incident.Failed, Code: code, Detail: detail})
	}
	if len(in.Recipient.Addresses) == 0 {
		return failed("no_address", "the directory has no address for this recipient")
	}
	letter, err := d.o.Compose(in)
	if err != nil {
		return failed("not_composed", err.Error())
	}
	how, digested, to := d.o.Mail, d.o.Digest, letter.To
	if c := d.o.Channels[letter.Channel]; letter.Channel != "" && c != nil {
		how, digested, to = c, c.Digest, letter.Channel+" "+letter.To
	} else if d.o.Mail == nil || letter.Channel != "" {
		return failed("no_relay", "tocsin.yaml has no mail.relay")
	}
	digest, err := digested(letter)
	if err != nil {
		return failed("not_composed", err.Error())
	}
	ok, err := d.attempt(ctx, who, incident.ReportAttempt{
		Effect: eff, Address: to, Via: letter.Channel, Message: letter.MessageID, Digest: digest, Point: in.Checkpoint, Scopes: len(s.Scopes),
	})
	if err != nil || !ok {
		return err
	}
	// A crash from here on leaves an attempt without a result: the next start calls it uncertain,
	// and one more attempt is made under the same Message-ID.
	res := guarded(d, eff, notify.Receipt{Outcome: incident.Uncertain, Code: "panic"}, func() notify.Receipt { return how.Send(ctx, letter) })
	r := incident.ReportResult{
		Effect: eff, Outcome: res.Outcome, Code: res.Code, Detail: res.Detail, At: res.At, Addresses: len(in.Recipient.Addresses),
	}
	if r.Outcome == incident.Deferred {
		wait, more := d.retryIn(eff.Attempt)
		if letter.Channel != "" {
			// Whoever is told in a channel is told at once: there are other places for what it does not take.
			more = more && (eff.Attempt < channelTries || in.Address+1 == len(in.Recipient.Addresses))
		} else if in.Address > 0 {
			wait, more = d.retryIn(max(1, eff.Attempt-channelTries*in.Address))
		}
		if more {
			r.Retry = time.Now().UTC().Add(max(wait, res.Wait))
		} else {
			r.Outcome = incident.Failed
		}
	}
	return d.report(ctx, who, r)
}

// channelTries is how often a place in a channel is tried before the next place is.
const channelTries = 3

// retryIn is the wait after an attempt that was deferred, and false when there is no further one.
func (d *Desk) retryIn(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > len(d.o.MailRetry) {
		return 0, false
	}
	return d.o.MailRetry[attempt-1], true
}

// input gathers what a letter is composed from.
func (d *Desk) input(ctx context.Context, s *incident.State, n *incident.Notice, party string, address int) (notify.Input, error) {
	p := d.program(s)
	decl := dutyDecl(p, n.Duty)
	in := notify.Input{
		Installation: d.o.Installation, Org: d.o.OrgName, From: d.o.From, Incident: s.ID, Notice: n, Duty: *decl,
		Address: address, Now: d.o.Clock.Now(), Zone: p.Zone, PublicURL: d.o.PublicURL, Contact: p.Contact.Email,
		ContentTitles: contentTitles,
	}
	note, _, err := d.o.FactLog.Checkpoint(ctx)
	if err != nil {
		return in, err
	}
	in.Checkpoint = string(note)
	if who, ok := partyOf(p, party); ok && !strings.HasPrefix(decl.To, "merchants.") {
		in.Recipient = notify.Recipient{ID: who.ID, Name: who.Name, Addresses: notify.Mail(who.Address...)}
		return in, nil
	}
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		m, err := r.Merchant(party)
		if errors.Is(err, ledger.ErrNotFound) {
			in.Recipient = notify.Recipient{ID: party, Merchant: true}
			return nil
		}
		if err != nil {
			return err
		}
		in.Recipient = notify.Recipient{ID: m.ID, Name: m.Name, Addresses: d.places(p, decl, m), Merchant: true, Stores: map[string]string{}}
		for _, st := range m.Stores {
			in.Recipient.Stores[st.ID] = st.Domain
		}
		if zone, err := time.LoadLocation(m.Zone); err == nil && m.Zone != "" {
			in.Zone = zone
		}
		return nil
	})
	in.Exposure = s.Row(party)
	if n.Corrects != "" {
		in.Outside = !incident.InScope(s, party)
		if d, by := incident.LastTold(s, n.Duty, party); d != nil && by != n {
			in.Told = &notify.Told{At: d.At, Exposure: d.Told}
		}
	}
	return in, err
}

// places is where a merchant is told by a duty: in the channels that the policy names, as far as they are
// connected and the directory knows the merchant's place in them; then by mail, which is what every
// policy falls back on here, so that nobody is left out because a channel is not connected yet.
func (d *Desk) places(p *policy.Program, decl *policy.Duty, m ledger.Merchant) []notify.Place {
	id, _, _ := strings.Cut(decl.To, ".")
	party, _ := partyOf(p, id)
	ways := decl.Via
	if len(ways) == 0 {
		ways = party.Via
	}
	var out []notify.Place
	mailed := false
	for _, way := range slices.Concat(ways, party.Fallback) {
		switch at := m.Channels[way]; {
		case way == "email" && !mailed:
			out, mailed = append(out, notify.Mail(m.Emails...)...), true
		case at != "" && d.o.Channels[way] != nil:
			out = append(out, notify.Place{Channel: way, Address: at})
		}
	}
	if !mailed {
		out = append(out, notify.Mail(m.Emails...)...)
	}
	return out
}

// Outdated lists the merchants that were told something that is not so any more, by duty.
func (d *Desk) Outdated(s *incident.State) map[string][]string {
	return incident.OutdatedByDuty(d.program(s), s)
}

// contentTitles are the headings of the content items that policies name most; any other item gets
// its id in words.
var contentTitles = map[string]string{
	"what_happened": "What happened",
	"data_involved": "What data was involved",
	"our_measures":  "What we are doing about it",
	"your_actions":  "What we recommend you do",
}

func noticeByID(s *incident.State, id string) *incident.Notice {
	for _, n := range s.Notices {
		if n.ID == id {
			return n
		}
	}
	return nil
}

func partyOf(p *policy.Program, id string) (policy.Party, bool) {
	for _, x := range p.Parties {
		if x.ID == id {
			return x, true
		}
	}
	return policy.Party{}, false
}

// Preview is the letter as one real recipient would get it now. Nothing is sent or recorded.
func (d *Desk) Preview(ctx context.Context, inc, notice, party string) (Letter, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return Letter{}, notFound(err)
	}
	n := noticeByID(s, notice)
	if n == nil {
		return Letter{}, fmt.Errorf("%w: incident %s has no notice %s", ErrNotFound, inc, notice)
	}
	if party == "" {
		all := incident.RecipientsOf(d.program(s), s, n)
		if len(all) == 0 {
			return Letter{}, fmt.Errorf("%w: notice %s has no recipient yet: compute the scope first", ErrInvalid, notice)
		}
		party = all[0]
	}
	in, err := d.input(ctx, s, n, party, 0)
	if err != nil {
		return Letter{}, err
	}
	l, err := d.o.Compose(in)
	if err != nil {
		return Letter{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	out := Letter{From: l.FromName + " <" + l.From + ">", To: l.To, Subject: l.Subject, Text: l.Text, Headers: map[string]string{"Message-ID": "<" + l.MessageID + ">"}}
	if l.ToName != "" {
		out.To = l.ToName + " <" + l.To + ">"
	}
	if l.Checkpoint != "" {
		out.Headers["Tocsin-Checkpoint"] = l.Checkpoint
	}
	return out, nil
}
