package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// dismissal is the fact by which the incident ended as a false alarm.
func (b *bench) dismissal() (fact, error) {
	found := b.export.of("incident.dismissed")
	if len(found) == 0 {
		return fact{}, errors.New("the evidence holds no dismissal")
	}
	var why struct{ Reason string }
	found[0].own(&why)
	if !strings.HasPrefix(found[0].Principal, "person:") || strings.TrimSpace(why.Reason) == "" {
		return fact{}, errors.New("it was dismissed without a person or without a reason")
	}
	return found[0], nil
}

// dutyBody names the duty that a fact of a clock is about.
type dutyBody struct {
	Duty      string `json:"duty"`
	Recipient string `json:"recipient"`
	Round     int    `json:"round"`
}

// dismissedByName: a person dismissed it with a reason, and each clock that had begun was ended by a
// fact that names it: at the dismissal, or before it because it was met or ruled out.
func (b *bench) dismissedByName(p *row) error {
	d, err := b.dismissal()
	if err != nil {
		return err
	}
	running := map[dutyBody]bool{}
	stopped := 0
	for _, f := range b.export.facts {
		var body dutyBody
		f.body(&body)
		if body.Round == 1 {
			body.Round = 0
		}
		switch f.Kind {
		case "duty.started", "duty.resumed":
			running[body] = true
		case "duty.met", "duty.ruled_out", "duty.waived":
			delete(running, body)
		case "duty.stopped":
			if running[body] {
				stopped++
			}
			delete(running, body)
		}
	}
	if len(running) > 0 {
		var left []string
		for body := range running {
			left = append(left, body.Duty)
		}
		slices.Sort(left)
		return fmt.Errorf("no fact says what became of the clock of %s", strings.Join(left, ", "))
	}
	if stopped == 0 {
		return errors.New("no clock ran, so none was stopped")
	}
	p.prove(d)
	return p.took(d.Recorded.Sub(b.export.facts[0].Recorded), "simulated", "person")
}

// nobodyOutsideTold: the mailbox holds nothing for a merchant or for a party of the policy.
func (b *bench) nobodyOutsideTold() error {
	outside := map[string]bool{}
	for _, m := range b.merchants {
		for _, a := range m.emails {
			outside[strings.ToLower(a)] = true
		}
	}
	for _, p := range b.policy.Parties {
		for _, a := range words(p.Address) {
			outside[strings.ToLower(a)] = true
		}
	}
	for _, l := range b.mails {
		for _, to := range l.Rcpt {
			if outside[strings.ToLower(to)] {
				return fmt.Errorf("%s went to %s, who should never have heard of it", l.File, to)
			}
		}
	}
	if sent := b.export.of("notice.attempted", "notice.accepted"); len(sent) > 0 {
		return fmt.Errorf("the evidence says that a notice was sent: fact %s", sent[0].ID)
	}
	return nil
}

// dismissalStands: a signal was there, the incident is dismissed and no clock missed anything after.
func (b *bench) dismissalStands() error {
	d, err := b.dismissal()
	if err != nil {
		return err
	}
	if len(b.export.of("signal.linked")) == 0 {
		return errors.New("no signal raised the alarm, so none was false")
	}
	for _, f := range b.export.of("duty.missed", "duty.at_risk", "page.owed") {
		if f.Recorded.After(d.Recorded) {
			var body dutyBody
			f.body(&body)
			return fmt.Errorf("%s of %s after the dismissal: fact %s", f.Kind, body.Duty, f.ID)
		}
	}
	if again := b.export.of("incident.reopened"); len(again) > 0 {
		return fmt.Errorf("it was opened again: fact %s", again[0].ID)
	}
	return nil
}
