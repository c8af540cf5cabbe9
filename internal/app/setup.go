package app

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/notify"
)

// steps are the first hour in its order. A step is done when a finding that begins with its rest
// exists and none of them fails or, with sound, is less than in order.
var steps = []struct {
	id, say, do, rest string
	sound             bool
}{
	{"name", "Letters and the public page name your company.", "tocsin init --organisation ID --name NAME --app APP --owner-name YOU", "", false},
	{"owner", "Somebody has to be the owner before anybody can be invited.", "tocsin serve, then paste its link into: tocsin people join", "evidence.verify", false},
	{"policy", "The policy says what you promise; a dozen answers write the first one.", "tocsin policy new --out new.yaml, put it in the place of policies/policy.yaml, restart", "policy.contact", false},
	{"mail", "Merchants are told and people are called by mail; a message to yourself shows that it works.", "write mail: in tocsin.yaml, then: tocsin setup mail YOUR-ADDRESS", "mail.relay", true},
	{"key", "An application needs a key to send what it does with personal data.", "tocsin key new --purpose ingest --source web --app APP --out ingest.key", "events.", false},
	{"events", "Nothing is noticed before the first access event has come in.", "tocsin setup events", "events.source.", false},
	{"merchants", "Who is in the directory can be told; its copy here is there when your own database is not.", "tocsin merchants import merchants.csv", "merchants.import", false},
	{"away", "What leaves this machine cannot be rewritten by whoever takes it over.", "name a witness under evidence:, a folder elsewhere under copy: and a heartbeat: in tocsin.yaml, restart", "evidence.away", true},
	{"drill", "A drill shows that the promises can be kept, before a bad night does.", "tocsin drill --against http://127.0.0.1:8080 plays one of your own policy; what it expects is read from the policy's text", "drill", true},
}

// Steps says how far the first hour is. What was done is read from what the doctor found, so that a
// step that was done by hand, or undone later, counts as what it is.
func Steps(dir string, r doctor.Report) ([]doctor.Step, error) {
	p, err := readProgress(dir)
	if err != nil {
		return nil, err
	}
	var all []doctor.Step
	for _, s := range steps {
		step := doctor.Step{ID: s.id, State: "open", Say: s.say, Do: s.do}
		found, good := false, true
		for _, f := range r.Findings {
			if s.rest != "" && strings.HasPrefix(f.ID, s.rest) {
				found = true
				good = good && f.State != doctor.Fail && (!s.sound || f.State == doctor.OK)
			}
		}
		switch s.id {
		case "name":
			found = r.Policy != ""
		case "owner":
			good = !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.ID == "account.owner" })
		case "drill": // one with a shipped policy shows that the machinery works here
			if runs, err := Drills(dir); err == nil && len(runs) > 0 && runs[0].Failed == "" {
				found, good = true, true
			}
		case "key": // sources that are silent or were never heard are another step
			good = !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.ID == "events.key" })
		}
		if found && good {
			step.State = "done"
		} else if !p.Skipped[s.id].IsZero() {
			step.State = "skipped"
		}
		all = append(all, step)
	}
	return all, nil
}

// SkipStep puts a step off, or with again takes that back.
func SkipStep(dir, id string, again bool, now time.Time) error {
	var names []string
	for _, s := range steps {
		names = append(names, s.id)
	}
	if !slices.Contains(names, id) {
		return fmt.Errorf("there is no step %q; there are %s", id, strings.Join(names, ", "))
	}
	if _, err := ReadFolder(dir); err != nil {
		return err
	}
	p, err := readProgress(dir)
	if err != nil {
		return err
	}
	if p.Skipped == nil {
		p.Skipped = map[string]time.Time{}
	}
	p.Skipped[id] = now.UTC()
	if again {
		delete(p.Skipped, id)
	}
	return writeProgress(dir, p)
}

// TestMail sends a message by the relay that is configured now, and remembers what came of it.
func TestMail(ctx context.Context, o Options, to string, now time.Time) error {
	return mailWithin(ctx, o, to, now, testWait)
}

func mailWithin(ctx context.Context, o Options, to string, now time.Time, wait time.Duration) error {
	address, err := mail.ParseAddress(to)
	if err != nil {
		return fmt.Errorf("%q is no e-mail address", to)
	}
	cfg, err := LoadConfig(o.Dir, o.Config)
	if err != nil {
		return err
	}
	sender, err := cfg.sender()
	if err != nil {
		return located(cfg.file, &cfg.root, err)
	}
	if sender == nil {
		return fmt.Errorf("%s: mail is off: write mail: { relay: smtp.example.com:587, from: \"%s <security@example.com>\" } there", cfg.file, cfg.Organisation.Name)
	}
	defer sender.Close()
	from, err := mail.ParseAddress(cfg.Mail.From)
	if err != nil {
		return err // the configuration was checked
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	receipt := sender.Send(ctx, notify.Letter{
		MessageID: "setup-" + strings.ToLower(ulid.Make().String()) + "@" + domain, Date: now,
		FromName: from.Name, From: from.Address, To: address.Address,
		Subject: "Test message of Tocsin",
		Text:    "This is the test message of " + cfg.Organisation.Name + ". Nothing has happened; letters to merchants go out the same way.\n",
	})
	p, err := readProgress(o.Dir)
	if err != nil {
		return err
	}
	p.MailTested, p.MailFailed = receipt.At, ""
	if receipt.Outcome != incident.Done {
		p.MailFailed = refusedMail(receipt.Code, receipt.Detail)
	}
	if err := writeProgress(o.Dir, p); err != nil {
		return err
	}
	if p.MailFailed != "" {
		return errors.New(cfg.Mail.Relay + " did not take the message: " + p.MailFailed)
	}
	return nil
}

// testWait is how long a test message is waited for: somebody sits before the page.
const testWait = 20 * time.Second

// refusedMail says why a relay did not take a message, and what to look at. The relay's own words are not
// in it, because relays quote addresses; its code is.
func refusedMail(code, detail string) string {
	step, enhanced, _ := strings.Cut(detail, " ")
	said := strings.TrimSpace(code + " " + enhanced)
	switch code {
	case "connection":
		return "nothing answers there, or the connection was cut: look at the host and the port of mail.relay"
	case "timeout":
		return "it did not answer in time: look at the host and the port of mail.relay, and at what stands between"
	case "resolver":
		return "the resolver of this machine does not answer, so its name could not be looked up: look at /etc/resolv.conf and try again"
	case "dns":
		return "its name is not found: look at the host of mail.relay"
	case "tls":
		return "its certificate is none that this machine trusts for that name"
	case "no_tls":
		return "it offers no STARTTLS: write mail.tls: tls if it speaks TLS from the start"
	case "530", "534", "535", "538":
		return "it does not take the user name and the password (" + said + "): look at mail.username and at the file of mail.password_file"
	}
	switch {
	case code == "" || code[0] != '4' && code[0] != '5':
		return strings.TrimSpace(code + " " + detail)
	case step == "mail":
		return "it does not take the sender (" + said + "): look at mail.from"
	case step == "rcpt":
		return "it does not take the address the message goes to (" + said + ")"
	case step == "connect" && code[0] == '5':
		return "it turns this machine away (" + said + "): ask whoever runs it which machines it takes mail from"
	case code[0] == '4':
		return "it does not take mail just now (" + said + "): try again in some minutes"
	}
	return "it answered " + said + " (" + step + ")"
}
