package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/org"
)

// safeWait bounds how long an effect waits for its attempt to be in the off-box copy. A copy that is
// away for longer must not keep a merchant from being told or a token from being revoked.
const safeWait = 3 * time.Second

// safe waits until what was recorded is off the machine too, so that a restore on another machine
// knows of every attempt.
func (d *Desk) safe(ctx context.Context, eff incident.Effect) {
	if d.o.Safe == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, safeWait)
	defer cancel()
	if err := d.o.Safe(ctx); err != nil {
		d.o.Log.Warn("an effect goes ahead although its attempt is not in the off-box copy", "effect", eff.ID, "error", err)
	}
}

// Restored takes up an installation that was restored from a backup or its copy: it makes the
// projections again, settles what nobody knows and records the restore. Call it before Start. A
// crash on the way leaves part of it done; it may be called again.
//
// What was under way when the old machine was lost may have been done or not. A mail of that kind is
// left to a person, and not sent once more as after a crash: the machine may have been lost long ago.
// Without the copy (unsure), that holds for every mail that the backup says is still owed.
func (d *Desk) Restored(ctx context.Context, note org.Report, unsure bool) error {
	if err := d.Rebuild(ctx); err != nil {
		return err
	}
	ids, err := d.openIncidents(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := d.doubt(ctx, id, unsure); err != nil {
			return fmt.Errorf("desk: what %s owes after the restore: %w", id, err)
		}
	}
	_, err = d.SubmitOrg(ctx, "", worker("desk"), note)
	return err
}

// doubt reports what was under way as uncertain, and mail as often as leaves it to a person.
func (d *Desk) doubt(ctx context.Context, id string, all bool) error {
	s, err := d.stateOf(ctx, id)
	if err != nil {
		return err
	}
	mails := map[string]bool{}
	name := func(eff incident.Effect) string { return eff.Notice + "/" + eff.Party }
	uncertain := func(eff incident.Effect) error {
		r := incident.ReportResult{Effect: eff, Outcome: incident.Uncertain, Code: "restored", At: time.Now().UTC()}
		_, err := d.give(ctx, Request{Incident: id, Command: r, Caller: worker("desk")})
		return err
	}
	for _, eff := range incident.InFlight(s) {
		if err := uncertain(eff); err != nil {
			return err
		}
		if eff.Kind == incident.EffectSend {
			mails[name(eff)] = true
		}
	}
	for range 2 { // the engine would send an uncertain mail once more
		if s, err = d.stateOf(ctx, id); err != nil {
			return err
		}
		for _, eff := range incident.Owed(s) {
			if eff.Kind != incident.EffectSend || !all && !mails[name(eff)] {
				continue
			}
			a := incident.ReportAttempt{Effect: eff}
			if _, err := d.give(ctx, Request{Incident: id, Command: a, Caller: worker("desk")}); err != nil {
				return err
			}
			if err := uncertain(eff); err != nil {
				return err
			}
		}
	}
	return nil
}
