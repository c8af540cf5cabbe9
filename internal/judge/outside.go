package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Visit is what somebody without an account was answered.
type Visit struct {
	At     time.Time `json:"at"` // domain time
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
	Text   string    `json:"text"`
	Sent   string    `json:"sent,omitempty"` // what they wrote
}

func (b *bench) visits() ([]Visit, error) {
	raw, err := os.ReadFile(b.c.Visits)
	if err != nil {
		return nil, fmt.Errorf("what visitors were answered: %w", err)
	}
	var out []Visit
	for line := range bytes.Lines(raw) {
		var v Visit
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("what visitors were answered: line %d: %w", len(out)+1, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// reference is what a visitor was given for a report.
var reference = regexp.MustCompile(`id="reference">([0-9A-F]{10})<`)

// reported is the visits that were answered with a reference, and the references.
func (b *bench) reported() (sent []Visit, references []string, err error) {
	all, err := b.visits()
	if err != nil {
		return nil, nil, err
	}
	for _, v := range all {
		if m := reference.FindStringSubmatch(v.Text); m != nil && v.Method == http.MethodPost && v.Status == http.StatusCreated {
			sent, references = append(sent, v), append(references, m[1])
		}
	}
	if len(sent) == 0 {
		return nil, nil, errors.New("no visitor was given a reference for a report")
	}
	return sent, references, nil
}

// reportTakenIn: what somebody outside wrote is in the evidence word for word, once, under the reference
// that they were given, although the server was killed behind the answer and the form came again; and a
// person answered for it within the limit.
func (b *bench) reportTakenIn(p *row) error {
	sent, references, err := b.reported()
	if err != nil {
		return err
	}
	if b.c.Kills == 0 || len(sent) < 2 {
		return errors.New("the server was not killed behind the answer, so that nothing is lost is not shown")
	}
	kept := map[string]int{}
	var proof fact
	for _, f := range b.export.of("signal.linked") {
		var s struct {
			Signal struct{ ID, Sentence string }
		}
		f.own(&s)
		for i, v := range sent {
			if s.Signal.ID == "report-"+references[i] && strings.Contains(flat(s.Signal.Sentence), flat(v.Sent)) {
				kept[f.ID]++
				proof = f
			}
		}
	}
	if len(kept) != 1 || kept[proof.ID] != len(sent) {
		return fmt.Errorf("%d reports were answered with a reference; the evidence holds them in %d facts", len(sent), len(kept))
	}
	if err := b.answered(p, sent[0]); err != nil {
		return err
	}
	p.prove(proof)
	return nil
}

// answered: a person acknowledged it, within the limit after it was reported.
func (b *bench) answered(p *row, v Visit) error {
	at, f, ok := b.export.milestone("acknowledged")
	if !ok || !strings.HasPrefix(f.Principal, "person:") {
		return errors.New("nobody acknowledged the report")
	}
	p.prove(f)
	return p.took(at.Sub(v.At), "simulated", "person")
}

// contactAnswers: security.txt and the published policy name the policy's own contact, the file holds
// for a time that lies ahead, and a report by the form was acknowledged by a person within the limit.
func (b *bench) contactAnswers(p *row) error {
	all, err := b.visits()
	if err != nil {
		return err
	}
	for path, want := range map[string]string{"/.well-known/security.txt": "Contact: mailto:" + b.policy.Contact.Email + "\n", "/policy": b.policy.Contact.Email} {
		i := slices.IndexFunc(all, func(v Visit) bool { return v.Path == path })
		if i < 0 || all[i].Status != http.StatusOK || b.policy.Contact.Email == "" || !strings.Contains(all[i].Text, want) {
			return fmt.Errorf("%s does not name the contact of the policy", path)
		}
	}
	i := slices.IndexFunc(all, func(v Visit) bool { return v.Path == "/.well-known/security.txt" })
	m := regexp.MustCompile(`(?m)^Expires: (\S+)$`).FindStringSubmatch(all[i].Text)
	if m == nil {
		return errors.New("security.txt does not say how long it holds")
	}
	if until, err := time.Parse(time.RFC3339, m[1]); err != nil || !until.After(all[i].At) || until.After(all[i].At.AddDate(1, 0, 1)) {
		return fmt.Errorf("security.txt holds until %s, and it was read at %s", m[1], all[i].At.Format(time.RFC3339))
	}
	sent, _, err := b.reported()
	if err != nil {
		return err
	}
	return b.answered(p, sent[0])
}

// correctedToTheEnd: each corrective action had an owner and a date; where the date passed, the owner had
// a mail of it within the hour; and each was done, by a person who says what was done.
func (b *bench) correctedToTheEnd(p *row) error {
	type action struct {
		owner string
		due   time.Time
		done  *fact
	}
	actions := map[string]*action{}
	for _, f := range b.export.of("corrective.added", "corrective.moved") {
		var body struct {
			Corrective, Owner, State string
			Due                      time.Time
		}
		f.body(&body)
		if f.Kind == "corrective.added" {
			actions[body.Corrective] = &action{owner: body.Owner, due: body.Due}
			continue
		}
		a := actions[body.Corrective]
		if a == nil {
			return fmt.Errorf("fact %s moves a corrective action that nobody added", f.ID)
		}
		var why struct{ Text string }
		f.own(&why)
		if a.done = nil; body.State == "done" && strings.HasPrefix(f.Principal, "person:") && why.Text != "" {
			a.done = &f
		}
	}
	if len(actions) == 0 {
		return errors.New("there is no corrective action")
	}
	for id, a := range actions {
		if a.owner == "" || a.due.IsZero() {
			return fmt.Errorf("%s has no owner or no date", id)
		}
		if a.done == nil {
			return fmt.Errorf("%s was never done", id)
		}
		// A mail bears the hour in which it came, so one of the hour before the date counts.
		if a.done.Recorded.After(a.due) && !b.mailedTo(strings.TrimPrefix(a.owner, "person:"), a.due.Add(-time.Hour), a.due.Add(time.Hour)) {
			return fmt.Errorf("the date of %s passed, and its owner was not called", id)
		}
		p.prove(*a.done)
	}
	p.Trigger = "person"
	return nil
}

// mailedTo says whether somebody of the vendor had a mail between two instants.
func (b *bench) mailedTo(person string, from, to time.Time) bool {
	for _, s := range b.c.People {
		if s.ID != person || s.Email == "" {
			continue
		}
		for _, l := range b.mails {
			if !l.At.Before(from) && !l.At.After(to) && slices.ContainsFunc(l.Rcpt, func(a string) bool { return strings.EqualFold(a, s.Email) }) {
				return true
			}
		}
	}
	return false
}
