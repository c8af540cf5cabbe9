package drill

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/drill/victim"
	"github.com/tocsin-ir/tocsin/internal/drill/world"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
)

// respond is what people do from the page in the night to the notices.
func (r *run) respond(ctx context.Context) error {
	lead := r.lead()
	steps := []struct {
		at time.Time
		do func(context.Context) error
	}{
		{r.at(3, 11), func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		{r.at(3, 14), r.wrongScope},
		{r.at(3, 17), r.judgements},
		{r.at(3, 19), func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The back office's token reads merchants at night from an address nobody knows."}, "confirms the incident")
			return err
		}},
		{r.at(3, 20), func(ctx context.Context) error {
			r.tell.say("attack", "it hides behind an address of the office, with another program")
			if err := r.order(ctx, "hide", hiding, r.at(3, 12), r.at(3, 20), 30); err != nil {
				return err
			}
			return r.flush(ctx)
		}},
		{r.at(3, 22), r.switchOff},
		{r.at(3, 28), r.revoke},
		{r.at(3, 34), r.switchOn},
		{r.at(3, 36), r.stillTrying},
		{r.at(3, 40), r.rotate},
		{r.at(3, 50), func(ctx context.Context) error {
			_, err := r.err(ctx, lead, "restore", map[string]string{"reason": "The token is revoked, so let us go back to normal."}, "tries to restore already")
			return err
		}},
		{r.at(4, 30), r.rightScope},
		{r.at(5, 0), r.tellOthers},
		{r.at(6, 0), r.prepareNotice},
		{r.at(8, 30), r.assess},
		{r.at(9, 0), func(ctx context.Context) error {
			return r.fix(ctx, "The contractor's access is ended, tokens are bound to the office's addresses, and secrets are read only by the deployment.",
				"The old token is refused, the contractor cannot sign in, and the secret store's log shows only the deployment.")
		}},
	}
	for _, s := range steps {
		if err := r.advance(ctx, s.at); err != nil {
			return err
		}
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	if err := r.restore(ctx); err != nil {
		return err
	}
	return r.sendNotice(ctx)
}

// wrongScope takes only the first address anybody noticed.
func (r *run) wrongScope(ctx context.Context) error {
	q := scope.Query{From: r.at(0, 0), To: r.server.clock(), Any: []scope.Clause{{Credential: []string{victim.CredentialID(r.stolen)}, IP: []string{walking.IP}}}}
	return r.takeScope(ctx, r.other(r.lead()), q, "the address the alarm names", "takes a scope of one address since midnight")
}

// rightScope is the credential since two days before, from everywhere except the office's own
// programs at the office's own addresses.
func (r *run) rightScope(ctx context.Context) error {
	q := scope.Query{From: r.night.AddDate(0, 0, -2), To: r.server.clock(), Any: []scope.Clause{{Credential: []string{victim.CredentialID(r.stolen)}}}}
	for _, c := range r.world.Offices {
		q.Not = append(q.Not, scope.Clause{IP: []string{c.IP}, Agent: []string{c.Agent}})
	}
	// The containment probes of the responder use the old token too; they are refused and expose nothing.
	return r.takeScope(ctx, r.lead(), q, "every use of the token that is not the office's own; the first scope missed the evening and two addresses", "corrects the scope")
}

func (r *run) takeScope(ctx context.Context, p *people.Person, q scope.Query, reason, say string) error {
	var out struct {
		Result scope.Result `json:"result"`
	}
	err := p.Call(ctx, http.MethodPost, "/v1/incidents/"+r.inc+"/scope", map[string]any{"query": q, "reason": reason}, &out)
	if ref, ok := people.IsRefused(err); ok {
		r.tell.say("refused", "%s %s: %s", p.Name, say, words(ref))
		return nil
	}
	if err != nil {
		return err
	}
	r.tell.say("person", "%s %s: %d merchants, %d customer accounts, %d accesses", p.Name, say, len(out.Result.Rows), out.Result.Customers, out.Result.Events)
	return r.server.quiet(ctx)
}

// judgements answers what the policy asks people to judge.
func (r *run) judgements(ctx context.Context) error {
	for _, f := range r.program.Facts {
		var value any = true
		switch f.Type {
		case "int":
			value = 1
		case "string":
			value = "yes"
		}
		p := r.holder(f.By)
		if p == nil {
			p = r.lead()
		}
		if _, err := r.do(ctx, p, "answer", map[string]any{"fact": f.ID, "value": value, "reason": "orders with customers' addresses were read"}, "answers %s: %v", f.ID, value); err != nil {
			return err
		}
	}
	s, err := r.state(ctx)
	if err != nil || s.Severity != "" || len(r.program.Severities) == 0 {
		return err
	}
	_, err = r.do(ctx, r.lead(), "severity", map[string]string{"severity": r.program.Severities[0].ID, "reason": "customer data is read by an outsider"}, "sets the severity to %s", r.program.Severities[0].ID)
	return err
}

// switchOff stops one merchant, and when that is seen to work, everybody.
func (r *run) switchOff(ctx context.Context) error {
	p := r.other(r.lead())
	for _, sw := range []struct{ merchant, incident, say string }{{r.switched().ID, r.inc, "one merchant"}, {"*", "", "everybody"}} {
		body := map[string]string{"merchant": sw.merchant, "state": "off", "reason": "stop the reading while the token is revoked", "incident": sw.incident}
		began := time.Now()
		if err := p.Call(ctx, http.MethodPost, "/v1/switches", body, nil); err != nil {
			if ref, ok := people.IsRefused(err); ok {
				r.tell.say("refused", "%s switches off: %s", p.Name, words(ref))
				continue
			}
			return err
		}
		target := sw.merchant
		if target == "*" {
			target = r.world.Merchants[0].ID
		}
		took, err := r.seen(ctx, target, http.StatusServiceUnavailable, began)
		if err != nil {
			return err
		}
		r.tell.say("person", "%s switches off %s: the application refuses after %s (real time)", p.Name, sw.say, took.Round(time.Millisecond))
	}
	return nil
}

// switched is the merchant that is switched off alone.
func (r *run) switched() world.Merchant {
	i := slices.IndexFunc(r.world.Merchants[20:], func(m world.Merchant) bool { return m.Uninstalled.IsZero() })
	return r.world.Merchants[20+max(i, 0)]
}

// seen asks the application for a merchant's orders with an honest token until it answers with the
// status, and says how long that took.
func (r *run) seen(ctx context.Context, merchant string, status int, began time.Time) (time.Duration, error) {
	for {
		a := world.Access{At: r.server.clock(), Credential: r.world.Credentials.Sync, Actor: "sync-1", IP: "10.20.0.5", Agent: "sync-worker/1.9", Merchant: merchant, Page: 1, Purpose: "sync"}
		var count map[int]int
		if err := r.tellApp(ctx, "/drill/accesses", a, &count); err != nil {
			return 0, err
		}
		if count[status] > 0 || time.Since(began) > 2*time.Second {
			return time.Since(began), nil
		}
	}
}

// switchOn lets everybody work again; the one merchant waits for the restore.
func (r *run) switchOn(ctx context.Context) error {
	p := r.other(r.lead())
	began := time.Now()
	body := map[string]string{"merchant": "*", "state": "on", "reason": "orders have to go on"}
	if err := p.Call(ctx, http.MethodPost, "/v1/switches", body, nil); err != nil {
		if ref, ok := people.IsRefused(err); ok {
			r.tell.say("refused", "%s switches on: %s", p.Name, words(ref))
			return nil
		}
		return err
	}
	took, err := r.seen(ctx, r.world.Merchants[0].ID, http.StatusOK, began)
	if err != nil {
		return err
	}
	r.tell.say("person", "%s switches everybody on again, after %s (real time); one merchant stays off", p.Name, took.Round(time.Millisecond))
	return nil
}

// revoke takes the stolen token away. The office gets a new one first, so that it can go on.
func (r *run) revoke(ctx context.Context) error {
	a := r.actionFor("http.revoke", "app_tokens")
	if a == nil {
		r.tell.say("system", "the policy names no action that revokes a token")
		return nil
	}
	planner := r.other(r.lead())
	if err := planner.Call(ctx, http.MethodPut, "/v1/secrets/stolen_token", []byte(r.stolen), nil); err != nil {
		return err
	}
	var issued struct{ Token string }
	if err := r.tellApp(ctx, "/admin/tokens", map[string]string{"name": world.BackOffice}, &issued); err != nil {
		return err
	}
	r.secrets = append(r.secrets, issued.Token)
	x, err := r.contain(ctx, a, planner, map[string]string{"credential": victim.CredentialID(r.stolen)}, "stolen_token", "the token is in the attacker's hands")
	r.proven = err == nil && x != nil && x.State == incident.ActionProven
	return err
}

// stillTrying lets the attacker have another go, and says what came of it.
func (r *run) stillTrying(ctx context.Context) error {
	if err := r.order(ctx, "again", moved, r.at(3, 35), r.at(3, 36), 4); err != nil {
		return err
	}
	if r.refused {
		r.tell.say("attack", "its token is refused; it gives up")
	} else {
		r.tell.say("attack", "its token still works")
	}
	return r.flush(ctx)
}

// rotate replaces the secrets of the application's env file that the policy has actions for: the
// one for webhooks, and the one that signs sessions.
func (r *run) rotate(ctx context.Context) error {
	rotated := 0
	for _, s := range []struct{ uses, key string }{{"app_secret", "SHOPIFY_WEBHOOK_SECRET"}, {"session_secret", "SESSION_SIGNING_SECRET"}} {
		a := r.actionFor(s.uses)
		if a == nil {
			continue
		}
		if rotated++; rotated == 1 { // the policy asks for a snapshot first: rotating destroys traces
			if _, err := r.do(ctx, r.other(r.lead()), "snapshot", nil, "takes a snapshot of the evidence"); err != nil {
				return err
			}
		}
		if _, err := r.contain(ctx, a, r.other(r.lead()), map[string]string{"secret": s.key}, "", "it stood beside the stolen token"); err != nil {
			return err
		}
	}
	if rotated == 0 {
		r.tell.say("system", "the policy names no action that rotates a secret")
	}
	return nil
}

// tellOthers writes to everybody the policy names who is no merchant, such as the platform or an
// authority, and sends at once.
func (r *run) tellOthers(ctx context.Context) error {
	for i := range r.program.Duties {
		d := &r.program.Duties[i]
		if d.Do != policy.Notify || d.To == "" || strings.HasPrefix(d.To, "merchants.") || d.For != "incident" {
			continue
		}
		id, err := r.notice(ctx, d, r.writer(), "Security incident at "+r.program.Owner, false)
		if err != nil {
			return err
		}
		if id == "" {
			continue
		}
		if err := r.sendOut(ctx, id, "the "+strings.ReplaceAll(d.To, "_", " ")); err != nil {
			return err
		}
		if err := r.unsure(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) writer() *people.Person {
	for _, role := range []string{"comms", "writer", "communications"} {
		if p := r.holder(role, r.lead()); p != nil {
			return p
		}
	}
	return r.other(r.lead())
}

func (r *run) prepareNotice(ctx context.Context) error {
	d := r.duty(true)
	if d == nil {
		r.tell.say("system", "the policy promises no notice to merchants")
		return nil
	}
	id, err := r.notice(ctx, d, r.writer(), r.said(taleSubject, func(string) string { return "Security incident: your customers' order data" }), true)
	r.ids["notice"] = id
	if err != nil || id == "" || slices.ContainsFunc(d.Due, func(k policy.Clock) bool { return k.Span.Limit != nil }) {
		return err
	}
	r.tell.say("clock", "the policy gives the notices no limit, so they go out as soon as they are signed")
	return r.sendNotice(ctx)
}

// sendNotice waits, as busy people do, until about twenty hours of the limit they are shown remain.
func (r *run) sendNotice(ctx context.Context) error {
	id := r.ids["notice"]
	if id == "" {
		return nil
	}
	delete(r.ids, "notice") // sent once
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	var due time.Time
	for _, d := range s.Duties {
		if d.Duty == r.duty(true).ID && !d.Due.IsZero() && (due.IsZero() || d.Due.Before(due)) {
			due = d.Due
		}
	}
	if send := due.Add(-20 * time.Hour); send.After(r.server.clock()) {
		r.tell.say("clock", "the notices are due %s; people send them with twenty hours to spare", due.Format("Mon 2 Jan 15:04"))
		if err := r.advance(ctx, send); err != nil {
			return err
		}
	}
	if err := r.sendOut(ctx, id, "the merchants"); err != nil {
		return err
	}
	return r.bounced(ctx, id)
}

// unsure decides what the system leaves to a person: mail of which nobody can say whether it left,
// because the server died twice while sending it. It goes out again, with the same Message-ID. A
// further death can leave it open again, so the person looks once more, and not for ever.
func (r *run) unsure(ctx context.Context, id string) error {
	for range 3 {
		s, err := r.state(ctx)
		if err != nil {
			return err
		}
		again := 0
		for _, n := range s.Notices {
			if n.ID != id {
				continue
			}
			for who, d := range n.Deliveries {
				if d.State != incident.DeliveryUncertain {
					continue
				}
				again++
				if _, err := r.do(ctx, r.writer(), "resend", map[string]string{"notice": id, "party": who, "reason": "nobody can say whether it left"}, "has %s sent to %s again, because nobody can say whether it left", id, who); err != nil {
					return err
				}
			}
		}
		if again == 0 {
			return nil
		}
		if err := r.settle(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// sendOut sends a notice and waits until every delivery is settled.
func (r *run) sendOut(ctx context.Context, id, whom string) error {
	if ok, err := r.do(ctx, r.writer(), "send", map[string]string{"notice": id}, "sends the notice to %s", whom); err != nil || !ok {
		return err
	}
	return r.settle(ctx, id)
}

func (r *run) settle(ctx context.Context, id string) error {
	s, err := r.until(ctx, 12*time.Second, func(s *incident.State) bool {
		for _, n := range s.Notices {
			if n.ID != id {
				continue
			}
			for _, d := range n.Deliveries {
				switch d.State {
				case incident.DeliveryAccepted, incident.DeliveryBounced, incident.DeliveryNoAddress:
				case incident.DeliveryUncertain:
					if d.Unsure < 2 {
						return false
					}
				default:
					r.tell.progress("mail: %s", counts(n))
					return false
				}
			}
			return len(n.Deliveries) > 0
		}
		return false
	})
	if err != nil {
		return err
	}
	for _, n := range s.Notices {
		if n.ID == id {
			r.tell.say("mail", "%s: %s", id, counts(n))
		}
	}
	return nil
}

func counts(n *incident.Notice) string {
	by := map[incident.DeliveryState]int{}
	for _, d := range n.Deliveries {
		by[d.State]++
	}
	var b bytes.Buffer
	for _, s := range []incident.DeliveryState{incident.DeliveryAccepted, incident.DeliveryOwed, incident.DeliveryTrying, incident.DeliveryDeferred, incident.DeliveryUncertain, incident.DeliveryBounced, incident.DeliveryNoAddress} {
		if by[s] > 0 {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%d %s", by[s], s)
		}
	}
	return b.String()
}

// bounced finds another address for everybody whose every address refused, by telephone, and has
// the notice sent again.
func (r *run) bounced(ctx context.Context, id string) error {
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	var lost []string
	for _, n := range s.Notices {
		if n.ID != id {
			continue
		}
		for who, d := range n.Deliveries {
			if d.State == incident.DeliveryBounced || d.State == incident.DeliveryNoAddress || d.State == incident.DeliveryUncertain {
				lost = append(lost, who)
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	for i, m := range r.world.Merchants {
		if slices.Contains(lost, m.ID) && m.Dead {
			r.world.Merchants[i].Email = "found" + m.ID[2:] + "@shop.example"
			r.world.Merchants[i].Dead = false
		}
	}
	var file bytes.Buffer
	if err := r.world.WriteCSV(&file); err != nil {
		return err
	}
	if err := os.WriteFile(r.merchantsFile(), file.Bytes(), 0o600); err != nil {
		return err
	}
	if err := r.owner.Call(ctx, http.MethodPost, "/v1/merchants", people.CSV(onlyRows(file.Bytes(), lost)), nil); err != nil {
		return err
	}
	for _, who := range lost {
		if _, err := r.do(ctx, r.writer(), "resend", map[string]string{"notice": id, "party": who, "reason": "no answer at the old address; a new one was given on the telephone"}, ""); err != nil {
			return err
		}
	}
	r.tell.say("person", "%s telephones %d merchants whose mail came back and sends it again", r.writer().Name, len(lost))
	return r.settle(ctx, id)
}

// onlyRows is the header and the rows of the merchants.
func onlyRows(file []byte, merchants []string) []byte {
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		return file
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	for i, row := range rows {
		if i == 0 || slices.Contains(merchants, row[0]) {
			_ = w.Write(row) // a buffer does not fail
		}
	}
	w.Flush()
	return out.Bytes()
}

func (r *run) assess(ctx context.Context) error {
	_, err := r.do(ctx, r.lead(), "assess", map[string]string{
		"vector":     r.said("vector", assessment),
		"root_cause": r.said("root_cause", assessment),
		"risk":       r.said("risk", assessment),
	}, "records vector, root cause and risk")
	return err
}

func assessment(part string) string {
	switch part {
	case "vector":
		return "A contractor's account read the back office's token out of the secret store the afternoon before."
	case "root_cause":
		return "The contractor's access was not ended with the contract, and the token has no bound to addresses."
	}
	return "Names, e-mail and postal addresses can be used for convincing fraud against customers of the merchants."
}
