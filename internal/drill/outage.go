package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/drill/storefront"
	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/policy"
)

// storefrontOutage is a morning on which a shop's name leads elsewhere and then its checkout takes no
// payments. Probes see it before anybody comes to work. Clients are told, and told again every few
// hours, through the night; tablets fail for longer than anything else, and that holds service back.
type storefrontOutage struct{}

func (storefrontOutage) setting() setting {
	return setting{days: 2, people: 60, probes: true, channels: true}
}

func (storefrontOutage) play(ctx context.Context, r *run) error {
	r.tale = outageTale
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	if _, err := r.pass(ctx, r.night.AddDate(0, 0, -1).Add(17*time.Hour), r.at(11, 0)); err != nil {
		return err
	}
	if err := r.nothingYet(ctx); err != nil {
		return err
	}
	r.startKiller(ctx)
	lead := r.lead()
	var affected []string
	for _, m := range r.world.Merchants {
		if m.Uninstalled.IsZero() && len(affected) < 6 {
			affected = append(affected, m.ID)
		}
	}
	var err error
	if r.truth, err = json.Marshal(judge.Truth{Attack: "outage", Events: named(affected, r.at(11, 2))}); err != nil {
		return err
	}
	steps := []step{
		{11, 2, func(ctx context.Context) error {
			return r.breaks(ctx, "the name of the shop leads elsewhere", storefront.PartDNS)
		}},
		{11, 22, func(ctx context.Context) error {
			return r.breaks(ctx, "the checkout takes no payments, and visitors are shown a certificate for another name", storefront.PartDNS, storefront.PartCheckout, storefront.PartName)
		}},
		{12, 0, r.noticed},
		{12, 10, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		{12, 20, r.noData},
		{12, 30, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The shop's name leads to an address that is not ours, and no payment goes through."}, "confirms the incident")
			return err
		}},
		{12, 45, func(ctx context.Context) error {
			for _, m := range affected {
				if _, err := r.do(ctx, lead, "adjust-scope", map[string]any{"merchant": m, "include": true, "reason": "its shop is behind that name"}, ""); err != nil {
					return err
				}
			}
			r.tell.say("person", "%s names the %d clients whose shop it is", lead.Name, len(affected))
			return nil
		}},
		{13, 0, func(ctx context.Context) error {
			return r.tellClients(ctx, r.duty(true), "Your shop cannot be reached")
		}},
		{13, 5, r.tellPartiesOwed},
		{13, 10, func(ctx context.Context) error { return r.takeOffBefore(ctx, r.at(14, 50)) }},
		{14, 40, r.takeOff},
		{15, 0, func(ctx context.Context) error {
			return r.breaks(ctx, "the registrar gives the name back; meanwhile the certificate could not be renewed, and has run out", storefront.PartCheckout, storefront.PartExpired)
		}},
		{16, 30, func(ctx context.Context) error {
			return r.breaks(ctx, "the certificate is renewed", storefront.PartCheckout)
		}},
		{20, 0, func(ctx context.Context) error {
			_, err := r.err(ctx, lead, "restore", map[string]string{"reason": "The name is ours again."}, "tries to restore already")
			return err
		}},
		{25, 0, func(ctx context.Context) error {
			return r.breaks(ctx, "payments go through again, but on tablets", storefront.PartTablet)
		}},
		{25, 30, func(ctx context.Context) error {
			return r.fix(ctx, "The registrar's account has a second factor and a lock, and payments go by the second processor.",
				"Tried in staging first; a change of the name needs two people now.")
		}},
		{26, 0, func(ctx context.Context) error { return r.tryRestore(ctx, "Payments go through again.") }},
		{27, 10, func(ctx context.Context) error { return r.breaks(ctx, "tablets can pay too") }},
		{28, 0, func(ctx context.Context) error {
			return r.tryRestore(ctx, "Every device can pay, and the name is ours.")
		}},
		{29, 0, r.assess},
	}
	for _, s := range steps {
		if err := r.updateUntil(ctx, r.at(s.hour, s.minute)); err != nil {
			return fmt.Errorf("the updates: %w", err)
		}
		if err := r.steps(ctx, s); err != nil {
			return fmt.Errorf("the response: %w", err)
		}
	}
	r.stopKiller()
	if err := r.finish(ctx); err != nil {
		return fmt.Errorf("the end: %w", err)
	}
	return nil
}

// noticed finds the incident that the probes raised. Where they raised none a client has telephoned,
// and the lead opens it by hand.
func (r *run) noticed(ctx context.Context) error {
	rows, err := r.board(ctx)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(b boardRow) bool { return slices.Contains(r.old, b.ID) })
	if len(rows) > 0 {
		r.inc = rows[0].ID
		r.tell.say("alarm", "%s is open: %s", r.inc, rows[0].Title)
		return nil
	}
	class := "unclassified"
	if slices.ContainsFunc(r.program.Classes, func(c policy.Class) bool { return c.ID == "checkout_failure" }) {
		class = "checkout_failure"
	}
	var out people.Outcome
	body := map[string]any{"class": class, "title": "A client cannot sell anything", "suspected": r.at(11, 2)}
	if err := r.lead().Call(ctx, http.MethodPost, "/v1/incidents", body, &out); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	r.inc = out.Incident
	r.tell.say("alarm", "no probe said anything; a client telephones, and %s opens %s by hand", r.lead().Name, r.inc)
	return nil
}

// noData answers what the policy asks people to judge: an outage, and nobody's data.
func (r *run) noData(ctx context.Context) error {
	return r.answerNo(ctx, "the shop does not work; nobody's data was read", "nothing can be sold")
}

// answerNo answers no to whatever the policy asks people to judge, and gives the highest level where none
// follows from that.
func (r *run) answerNo(ctx context.Context, why, level string) error {
	for _, f := range r.program.Facts {
		var value any = false
		switch f.Type {
		case "int":
			value = 0
		case "string":
			value = "no"
		}
		p := r.holder(f.By)
		if p == nil {
			p = r.lead()
		}
		if _, err := r.do(ctx, p, "answer", map[string]any{"fact": f.ID, "value": value, "reason": why}, "answers %s: %v", f.ID, value); err != nil {
			return err
		}
	}
	s, err := r.state(ctx)
	if err != nil || s.Severity != "" || len(r.program.Severities) == 0 {
		return err
	}
	_, err = r.do(ctx, r.lead(), "severity", map[string]string{"severity": r.program.Severities[0].ID, "reason": level}, "sets the severity to %s", r.program.Severities[0].ID)
	return err
}

// owed is when a duty is due next to somebody who is still owed it; zero when to nobody.
func (r *run) owed(ctx context.Context, duty string) (due time.Time, any bool, err error) {
	s, err := r.state(ctx)
	if err != nil {
		return due, false, err
	}
	for _, d := range s.Duties {
		if d.Duty != duty || !slices.Contains([]incident.DutyState{incident.DutyRunning, incident.DutyAtRisk, incident.DutyMissed, incident.DutyProvisional}, d.State) {
			continue
		}
		at := d.Due
		if at.IsZero() {
			at = d.Target
		}
		if !any || at.Before(due) {
			due, any = at, true
		}
	}
	return due, any, nil
}

// tellClients writes and sends a duty's notice where the policy owes it.
func (r *run) tellClients(ctx context.Context, d *policy.Duty, subject string) error {
	if d == nil {
		return nil
	}
	if _, any, err := r.owed(ctx, d.ID); err != nil || !any {
		return err
	}
	id, err := r.notice(ctx, d, r.writer(), subject, false)
	if err != nil || id == "" {
		return err
	}
	return r.sendOut(ctx, id, "the clients")
}

// updateUntil sends every update that falls due up to an instant, three quarters of an hour before its
// limit. People go by the clock that they are shown.
func (r *run) updateUntil(ctx context.Context, until time.Time) error {
	i := slices.IndexFunc(r.program.Duties, func(d policy.Duty) bool { return d.Do == policy.Announce && d.For == "incident" })
	if i < 0 || r.inc == "" {
		return nil
	}
	d := &r.program.Duties[i]
	for {
		due, any, err := r.owed(ctx, d.ID)
		if err != nil || !any {
			return err
		}
		send := due.Add(-45 * time.Minute)
		if send.After(until) {
			return nil
		}
		if send.After(r.server.clock()) {
			if err := r.advance(ctx, send); err != nil {
				return err
			}
		}
		if err := r.tellClients(ctx, d, "How things stand with your shop"); err != nil {
			return err
		}
		if next, any, err := r.owed(ctx, d.ID); err != nil || any && !next.After(due) {
			return err // it could not be sent; the judge says what that means
		}
	}
}

// takeOff takes the client whose customers pay twice off the broken checkout, and says that it is
// contained.
func (r *run) takeOff(ctx context.Context) error {
	if s, err := r.state(ctx); err != nil || s.Milestones["contained"] != nil {
		return err
	}
	p := r.other(r.lead())
	began := time.Now()
	body := map[string]string{"merchant": r.switched().ID, "state": "off", "reason": "its customers try to pay again and again", "incident": r.inc}
	if err := p.Call(ctx, http.MethodPost, "/v1/switches", body, nil); err != nil {
		if ref, ok := people.IsRefused(err); ok {
			r.tell.say("refused", "%s switches off: %s", p.Name, words(ref))
			return nil
		}
		return err
	}
	took, err := r.seen(ctx, r.switched().ID, http.StatusServiceUnavailable, began)
	if err != nil {
		return err
	}
	r.tell.say("person", "%s switches one client off: the application refuses after %s (real time)", p.Name, took.Round(time.Millisecond))
	_, err = r.do(ctx, r.lead(), "mark", map[string]string{"milestone": "contained", "reason": "No payment is begun that cannot be finished."}, "says that it is contained")
	return err
}

// takeOffBefore does that now when a clock for containment ends by an instant: people go by the clock that
// they are shown.
func (r *run) takeOffBefore(ctx context.Context, by time.Time) error {
	for _, d := range r.program.Duties {
		if d.Do != policy.Contain || d.For != "incident" {
			continue
		}
		if due, owed, err := r.owed(ctx, d.ID); err != nil || owed && due.Before(by) {
			return errors.Join(err, r.takeOff(ctx))
		}
	}
	return nil
}

// tellPartiesOwed writes to everybody who is no merchant and is owed it by the policy.
func (r *run) tellPartiesOwed(ctx context.Context) error {
	for i := range r.program.Duties {
		d := &r.program.Duties[i]
		if d.Do == policy.Notify && d.To != "" && d.For == "incident" && !strings.HasPrefix(d.To, "merchants.") {
			if err := r.tellClients(ctx, d, "An outage at "+r.program.Owner); err != nil {
				return err
			}
		}
	}
	return nil
}

// isOver says so by name where the policy's updates end with something that only a person can say.
func (r *run) isOver(ctx context.Context) error {
	for _, d := range r.program.Duties {
		if d.Do == policy.Announce && d.Until != nil && slices.Contains(d.Until.Names, "resolved") {
			_, err := r.do(ctx, r.lead(), "mark", map[string]string{"milestone": "resolved", "reason": "Every device can pay, and the name is ours."}, "says that it is over")
			return err
		}
	}
	return nil
}

// tryRestore has the checks run and asks for service to return, whatever they say.
func (r *run) tryRestore(ctx context.Context, why string) error {
	if err := r.check(ctx); err != nil {
		return err
	}
	s, err := r.state(ctx)
	if err != nil || s.Milestones["restored"] != nil {
		return err
	}
	if _, err := r.do(ctx, r.lead(), "restore", map[string]string{"reason": why}, "restores the service"); err != nil {
		return err
	}
	if s, err = r.state(ctx); err != nil || s.Milestones["restored"] == nil {
		return err
	}
	if err := r.isOver(ctx); err != nil {
		return err
	}
	_, err = r.seen(ctx, r.switched().ID, http.StatusOK, time.Now())
	return err
}

// outageTale is what people write of the outage.
var outageTale = map[string]string{
	taleOf:               "Of the outage",
	"what_happened":      "Since 11:02 UTC the name of your shop has led to an address that is not ours, and since 11:22 UTC its checkout has taken no payments.",
	"data_involved":      "No data of customers or of payments was exposed by us.",
	"our_measures":       "The registrar has been called, a new certificate is on its way, and payments are being moved to the second processor.",
	"your_actions":       "Please point no campaign at your shop until you hear from us that it is back.",
	"what_was_detected":  "Since 11:02 UTC the name of your shop has led to an address that is not ours, and since 11:22 UTC its checkout has taken no payments.",
	"potential_impact":   "Customers may not reach your shop, and cannot buy. No data of customers or of payments was exposed.",
	"status":             "The registrar has been called and payments are being moved to the second processor. You hear from us again within four hours.",
	"root_cause":         "The registrar's account had no second factor, and there was one payment processor.",
	"timeline":           "Probes saw it at 11:40 UTC. The name was ours again at 15:00 UTC, the certificate valid at 16:30 UTC, payments at 01:00 UTC the next day, and on tablets at 03:10 UTC.",
	"impact":             "Six clients could sell nothing for most of a day.",
	"response":           "Clients were told within the hour and every few hours after it; service returned when every device could pay.",
	"prevention":         "The registrar's account is locked, a change of the name needs two people, and a second processor stands by.",
	"corrective_actions": "Lock the names of all clients at their registrars.",
	"recommendations":    "Turn on a second factor at your registrar, and name two people who may change the name.",
	"corrective":         "Lock the names of all clients at their registrars",
	"vector":             "Somebody signed in to the registrar with a password alone.",
	"risk":               "Customers may have been led to another shop for four hours; nothing shows that any entered data there.",
}
