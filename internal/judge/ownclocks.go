package judge

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// hours is a length that a page writes in hours.
var hours = regexp.MustCompile(`^[0-9]+h$`)

// errNotBegun says that a duty had no clock in this story.
var errNotBegun = errors.New("its clock did not begin")

// ranAsWritten: what ran is the policy that was given, byte by byte.
func (b *bench) ranAsWritten() error {
	if !bytes.Equal(b.export.files["policy/policy.yaml"], b.c.Source) {
		return errors.New("the policy in the evidence is not the one that was given")
	}
	return nil
}

// byItsClock gives a promise the limit of the duty that makes it, as the policy's text says and not as
// the engine computed it. A duty whose clock did not begin gives none.
func (b *bench) byItsClock(p *row, duty string) error {
	all, err := b.deadlines()
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.duty != duty {
			continue
		}
		p.from = d.from
		if p.within, p.DueSeconds = 0, nil; !d.limit.IsZero() {
			p.within = d.limit.Sub(d.from)
			p.DueSeconds = seconds(p.within)
		}
	}
	return nil
}

// dutyInTime: the clock of a duty began, and what it asks for was done before the limit.
func (b *bench) dutyInTime(p *row) error {
	d := b.policy.Duties[p.ID]
	if p.from.IsZero() {
		return fmt.Errorf("%w: nothing that it counts from has happened", errNotBegun)
	}
	var began fact
	for _, f := range b.export.of("duty.started") {
		if body := (dutyBody{}); began.ID == "" {
			if f.body(&body); body.Duty == p.ID {
				began = f
			}
		}
	}
	if began.ID == "" {
		if len(words(d.When)) > 0 {
			return fmt.Errorf("%w: by the evidence its condition did not hold, which this judge does not compute", errNotBegun)
		}
		return errors.New("its clock had to run and never did")
	}
	switch d.Do {
	case "update":
		return b.updatesNeverStop(p)
	case "notify":
		switch {
		case d.afterwards():
			return b.letters(p, p.ID, words(d.Content), p.from)
		case d.To == "merchants.affected":
			return b.merchantsTold(p)
		}
		return b.noticeOf(p, p.ID, p.from)
	case "contain":
		at := b.firstRefusal(p.from)
		if at.IsZero() {
			return errors.New("the application never refused anything, so containment never began")
		}
		p.Proof = "first refusal at " + at.UTC().Format(time.RFC3339)
		return p.took(at.Sub(p.from), "simulated", "person")
	case "decide":
		for _, name := range words(d.Of) {
			if at, f, ok := b.export.milestone(name); ok {
				p.prove(f)
				return p.took(max(0, at.Sub(p.from)), "simulated", "person")
			}
		}
		return errors.New("nobody decided it")
	}
	kind := map[string]string{"scope": "scope.computed", "assess": "assessment.recorded", "verify": "fix.verified", "review": "review.published"}[d.Do]
	for _, f := range b.export.of(kind) {
		p.prove(f)
		return p.took(max(0, f.Recorded.Sub(p.from)), "simulated", "person") // what was done before its clock began took none of it
	}
	return fmt.Errorf("the evidence holds no %s", kind)
}
