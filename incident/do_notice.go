package incident

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/policy"
)

func (w *work) draftNotice(c DraftNotice) (Reason, error) {
	d := dutyOf(w.p, c.Duty)
	if d == nil || d.To == "" {
		return "", invalid("duty", "the policy has no duty of that name that tells somebody")
	}
	if err := needText("subject", c.Subject, maxTitle); err != nil {
		return "", err
	}
	if strings.ContainsFunc(c.Subject, func(r rune) bool { return r < ' ' }) {
		return "", invalid("subject", "must be one line")
	}
	if err := checkMap("content", c.Content, maxText); err != nil {
		return "", err
	}
	if err := w.checkOpen(d, c); err != nil {
		return "", err
	}
	if err := w.checkCorrects(c); err != nil {
		return "", err
	}
	id := c.Notice
	if id == "" {
		id = fmt.Sprintf("NTC-%d", len(w.base.Notices)+1)
	} else {
		n, err := w.findNotice(id)
		if err != nil {
			return "", err
		}
		if !noticeMachine.leads(string(n.State), KindNoticeDrafted) {
			return "", refuse(RefusedState, fmt.Sprintf("%s is %s: what was sent stays as it was", n.ID, n.State),
				Missing{What: "a notice that was not sent", Do: w.do("draft a new one", "draft", n.Duty)})
		}
		if n.Duty != c.Duty {
			return "", invalid("duty", "is not the duty of this notice")
		}
		if c.Corrects != "" && n.Corrects != c.Corrects {
			return "", invalid("corrects", "cannot be changed: draft another notice")
		}
		if n.Subject == c.Subject && sameContent(n.Content, c.Content) && slices.Equal(n.OpenItems, c.Open) {
			return ReasonNothingChanged, nil
		}
	}
	var items []string
	for _, k := range sortedKeys(c.Content) {
		if strings.TrimSpace(c.Content[k]) != "" {
			items = append(items, k)
		}
	}
	w.fact(KindNoticeDrafted, NoticeBody{Notice: id, Duty: c.Duty, State: NoticeDraft, Items: items, Open: c.Open, Corrects: c.Corrects},
		own(NoticeText{Subject: c.Subject, Content: c.Content}))
	return ReasonDrafted, nil
}

// checkOpen lets content items be left open only where the policy obliges somebody to fill them:
// a duty of it reads how many are open.
func (w *work) checkOpen(d *policy.Duty, c DraftNotice) error {
	if len(c.Open) == 0 {
		return nil
	}
	filled := anyCondition(w.p, func(k *policy.Condition) bool { return strings.Contains(k.Source, d.ID+".open_items") })
	if !filled {
		return invalid("open", "no duty of the policy follows up on what a notice of %s leaves open", d.ID)
	}
	for i, item := range c.Open {
		switch {
		case !slices.Contains(d.Content, item):
			return invalid("open", "names an item that the duty does not ask for")
		case strings.TrimSpace(c.Content[item]) != "":
			return invalid("open", "names an item that has a text")
		case slices.Contains(c.Open[:i], item):
			return invalid("open", "names one item twice")
		}
	}
	return nil
}

func sameContent(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if got, ok := b[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func (w *work) findNotice(id string) (*Notice, error) {
	if n := w.base.notice(id); n != nil {
		return n, nil
	}
	return nil, refuse(RefusedUnknown, fmt.Sprintf("there is no notice %q in %s", id, w.base.ID),
		Missing{What: "a drafted notice of that id", Do: w.do("draft it", "draft", "DUTY")})
}

// approveNotice takes one signature. A notice that lacks an item its duty asks for cannot be
// signed, whatever the policy's gates say; nobody who wrote it can sign it.
func (w *work) approveNotice(c ApproveNotice) (Reason, error) {
	n, err := w.findNotice(c.Notice)
	if err != nil {
		return "", err
	}
	me := w.ctx.Actor.Principal
	if hasSigned(n.Approvals, me) {
		return ReasonAlreadySigned, nil
	}
	if n.State != NoticeDraft {
		return ReasonAlreadyApproved, nil
	}
	d := dutyOf(w.p, n.Duty)
	if d == nil {
		return "", invalid("notice", "its duty is not in the policy any more")
	}
	missing := w.contentMissing(d, n)
	reason := RefusedContent
	need := slices.Clone(d.Approve)
	if len(need) == 0 {
		need = []string{""}
	}
	signed := append(slices.Clone(n.Approvals), Signed{By: me, Roles: w.slots(need)})
	before, after := unsigned(need, n.Approvals), unsigned(need, signed)
	switch {
	case slices.Contains(n.Authors, me):
		if len(missing) == 0 {
			reason = RefusedOwnWork
		}
		missing = append(missing, Missing{What: "the signature of somebody who did not write it", Do: w.do("ask another responder", "approve-notice", n.ID), Rule: d.ID})
	case len(after) == len(before):
		if len(missing) == 0 {
			reason = RefusedRole
		}
		missing = append(missing, w.signatures(before, "approve-notice "+n.ID, d.ID)...)
	}
	var gates []string
	v := w.view(w.base)
	for _, g := range w.p.Gates {
		if guardNames("send", g.Guards) && g.Attest != "" && !c.Attest && g.When.Eval(v).Value != policy.False {
			gates = append(gates, g.ID)
			if len(missing) == 0 {
				reason = RefusedGate
			}
			missing = append(missing, Missing{What: "the signer's word: " + g.Attest, Do: w.do("give it", "approve-notice", n.ID+" --attest"), Rule: g.ID})
		}
	}
	if len(missing) > 0 {
		return w.refuseGate("approve-notice", n.ID, reason, n.ID+" cannot be approved", gates, missing...)
	}
	body := NoticeBody{Notice: n.ID, State: NoticeDraft, Roles: w.slots(need), Attest: c.Attest}
	if len(after) > 0 {
		w.fact(KindNoticeApproved, body)
		return ReasonSigned, nil
	}
	body.State = NoticeApproved
	w.fact(KindNoticeApproved, body)
	return ReasonApproved, nil
}

// noticeTooEarly names the floors of a duty that sending its notice now would come before: of a
// duty that may be told to some recipients already, the ones to wait for are not sent to.
func (w *work) noticeTooEarly(d *policy.Duty) []Missing {
	if len(d.Floor) == 0 {
		return nil
	}
	recipients := []string{partyOf(d)}
	if toMerchants(w.p, d) {
		recipients = Affected(w.base)
	}
	var missing []Missing
	for _, r := range recipients {
		if missing = w.floorMissing(d, r, w.now); len(missing) == 0 {
			return nil
		}
	}
	return missing
}

func (w *work) contentMissing(d *policy.Duty, n *Notice) []Missing {
	var missing []Missing
	for _, item := range d.Content {
		if strings.TrimSpace(n.Content[item]) == "" && !slices.Contains(n.OpenItems, item) {
			missing = append(missing, Missing{What: "the notice does not say: " + item, Do: w.do("write it", "draft", n.Duty+" --notice "+n.ID+" --content "+item+"=…"), Rule: d.ID})
		}
	}
	return missing
}

// sendNotice makes a notice owed to every recipient that has not had one of this duty that was
// accepted, and is not about to get one.
func (w *work) sendNotice(c SendNotice) (Reason, error) {
	n, err := w.findNotice(c.Notice)
	if err != nil {
		return "", err
	}
	d := dutyOf(w.p, n.Duty)
	if d == nil {
		return "", invalid("notice", "its duty is not in the policy any more")
	}
	if n.State == NoticeDraft {
		missing := w.contentMissing(d, n)
		need := d.Approve
		if len(need) == 0 {
			need = []string{""}
		}
		missing = append(missing, w.signatures(unsigned(need, n.Approvals), "approve-notice "+n.ID, d.ID)...)
		return w.refuseGate("send", n.ID, RefusedState, n.ID+" is not approved", nil, missing...)
	}
	v := w.view(w.base)
	if shut, missing := gateMissing(w.p, w.base, &v, w.ctx.Actor, "send"); len(missing) > 0 {
		return w.refuseGate("send", n.ID, RefusedGate, n.ID+" cannot be sent yet", shut, missing...)
	}
	if missing := w.noticeTooEarly(d); len(missing) > 0 {
		return w.refuseGate("send", n.ID, RefusedTooEarly, "it is too early to send "+n.ID, nil, missing...)
	}
	all := RecipientsOf(w.p, w.base, n)
	if len(all) == 0 && n.Corrects != "" {
		return ReasonNobodyLeft, nil
	}
	if len(all) == 0 {
		return w.refuseGate("send", n.ID, RefusedRecipients, "nobody is known to be owed "+n.ID, nil,
			Missing{What: "recipients", Do: "compute the scope: tocsin scope --incident " + w.base.ID, Rule: d.ID})
	}
	body := NoticeBody{Notice: n.ID, Duty: n.Duty, State: NoticeSending}
	var parts []Part
	merchants := toMerchants(w.p, d)
	for _, r := range all {
		if w.hadIt(n, r) {
			continue
		}
		body.N++
		if merchants {
			parts = append(parts, Part{Merchant: r, Body: emptyBody})
		} else {
			body.Parties = append(body.Parties, r)
		}
	}
	if body.N == 0 {
		return ReasonNobodyLeft, nil
	}
	w.through("send", n.ID, &v, "send")
	w.fact(KindNoticeSending, body, parts...)
	return ReasonSending, nil
}

// checkCorrects lets a notice correct one of the same duty that has left the house.
func (w *work) checkCorrects(c DraftNotice) error {
	if c.Corrects == "" {
		return nil
	}
	n, err := w.findNotice(c.Corrects)
	switch {
	case err != nil:
		return err
	case n.Duty != c.Duty:
		return invalid("corrects", "names a notice of another duty")
	case n.State != NoticeSending && n.State != NoticeSent:
		return refuse(RefusedState, fmt.Sprintf("%s is %s: there is nothing to correct yet", n.ID, n.State),
			Missing{What: "a notice that was sent", Do: w.do("rewrite the draft instead", "draft", n.Duty+" --notice "+n.ID)})
	}
	return nil
}

// hadIt reports whether a recipient has had, or is about to get, a notice of this duty.
func (w *work) hadIt(n *Notice, recipient string) bool {
	for _, other := range w.base.Notices {
		if other.Duty != n.Duty {
			continue
		}
		if d := other.Deliveries[recipient]; d != nil {
			if n.Corrects != "" && other.ID != n.ID && d.unsettled() == 0 {
				continue // a correction goes to those who had something else
			}
			if d.unsettled() > 0 || d.State == DeliveryAccepted && (other.ID == n.ID || !w.dueAgain(n.Duty, recipient, d)) {
				return true
			}
			if other.ID == n.ID && d.State != DeliveryWithdrawn {
				return true // it bounced or is uncertain: a person decides, with resend
			}
		}
	}
	return false
}

// dueAgain reports whether a duty with a cadence has begun again for a recipient since this
// delivery.
func (w *work) dueAgain(duty, recipient string, d *Delivery) bool {
	of := dutyOf(w.p, duty)
	if of == nil || of.Every == nil {
		return false
	}
	r := ruling{w: w, s: w.base, d: of}
	_, prev, cur := r.round(recipient)
	return prev != nil && cur != nil && cur.owing() && !d.At.After(cur.Started)
}

// resendNotice is a person's decision about a delivery that the system has left to a person.
func (w *work) resendNotice(c ResendNotice) (Reason, error) {
	n, err := w.findNotice(c.Notice)
	if err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	d := n.Deliveries[c.Party]
	if d == nil {
		return "", invalid("party", "is no recipient of this notice")
	}
	if !deliveryMachine.leads(string(d.State), KindNoticeResent) || d.unsettled() > 0 {
		return "", refuse(RefusedState, fmt.Sprintf("the delivery is %s: there is nothing for a person to decide", d.State),
			Missing{What: "a delivery that bounced or stayed uncertain", Do: "see the ledger: tocsin incident show " + w.base.ID})
	}
	body, merchant := DeliveryBody{Notice: n.ID, State: DeliveryOwed}, c.Party
	if !w.isMerchantNotice(n) {
		body.Party, merchant = c.Party, ""
	}
	w.fact(KindNoticeResent, body, part(merchant, DeliveryPart{Reason: c.Reason}))
	return ReasonResent, nil
}

func (w *work) isMerchantNotice(n *Notice) bool {
	d := dutyOf(w.p, n.Duty)
	return d != nil && toMerchants(w.p, d)
}

// withdraw takes back what has not left the house: deliveries that are owed or deferred to the
// merchants that match, and with parties to every other party too. What is on its way stays on its
// way.
func (w *work) withdraw(match func(merchant string) bool, parties bool, reason string) {
	for _, n := range w.base.Notices {
		if n.Open == 0 || n.Corrects != "" && !parties {
			continue // who leaves the scope is told so by a correction
		}
		merchants := w.isMerchantNotice(n)
		if !merchants && !parties {
			continue
		}
		var list []string
		for r, d := range n.Deliveries {
			if (d.State == DeliveryOwed || d.State == DeliveryDeferred) && (!merchants || match(r)) {
				list = append(list, r)
			}
		}
		slices.Sort(list)
		body := DeliveryBody{Notice: n.ID, State: DeliveryWithdrawn, Code: "withdrawn", N: len(list)}
		if !merchants {
			for _, r := range list {
				body.Party, body.N = r, 1
				w.fact(KindNoticeWithdrawn, body, own(DeliveryPart{Reason: reason}))
			}
			continue
		}
		if len(list) == 0 {
			continue
		}
		parts := []Part{own(DeliveryPart{Reason: reason})}
		for _, r := range list {
			parts = append(parts, Part{Merchant: r, Body: emptyBody})
		}
		w.fact(KindNoticeWithdrawn, body, parts...)
	}
}
