package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/inert"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/internal/played"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy/starter"
)

// Hour is what the first hour and the settings do to the data folder, which the desk knows nothing
// of. What is changed is in force after Restart.
type Hour interface {
	Checkup(context.Context) (doctor.Report, error)
	Steps(doctor.Report) ([]doctor.Step, error)
	SkipStep(id string, again bool) error
	Apps() []App
	ChangePolicy(src []byte) error
	Mail() (Relay, error) // as configured, without the password
	ChangeMail(Relay) error
	TestMail(ctx context.Context, to string) error
	ChangeAway(Away) error
	Drills() ([]played.Run, error)
	Scenarios() []string
	StartDrill(scenario, by string) error
	Drilling() (since time.Time, failed string) // zero: none is being played
	Integrations() []Integration
	Restart()
}

// Integration is something this installation is connected to, by what the configuration says.
type Integration struct{ Sort, Name, Is string }

// App is an app whose incidents are handled here.
type App struct{ ID, Name string }

// Relay is how mail goes out.
type Relay struct{ Relay, From, TLS, Username, Password, Selector string }

// Away is what is kept elsewhere. What is empty is left as it is.
type Away struct{ Copy, Recipient, Heartbeat, WitnessKey, WitnessURL string }

// registerHour adds the pages of the first hour.
func (c *Console) registerHour() {
	c.owning("GET /setup", c.hourPage)
	c.owning("GET /setup/{step}", c.stepPage)
	c.owning("POST /setup/{step}", c.takeStep)
	c.owning("POST /setup/{step}/skip", c.skipStep)
}

// owning registers a page for owners of an installation that can be changed.
func (c *Console) owning(pattern string, h handler) {
	c.page(pattern, func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case c.opt.ReadOnly:
			return desk.ErrReadOnly
		case callerOf(r.Context()).Access != incident.Owner:
			return fmt.Errorf("only an owner sees this page: %w", desk.ErrForbidden)
		case c.opt.Hour == nil:
			return desk.ErrNotFound
		}
		return h(w, r)
	})
}

// hourView is the first hour as a list.
type hourView struct {
	Frame frame
	Steps []doctor.Step
	Next  *doctor.Step // nil: nothing is open
}

func (c *Console) steps(r *http.Request) ([]doctor.Step, doctor.Report, error) {
	report, err := c.opt.Hour.Checkup(r.Context())
	if err != nil {
		return nil, report, err
	}
	steps, err := c.opt.Hour.Steps(report)
	return steps, report, err
}

func (c *Console) hourPage(w http.ResponseWriter, r *http.Request) error {
	v := hourView{Frame: c.frame(r, "The first hour")}
	v.Frame.Here = "settings"
	var err error
	if v.Steps, _, err = c.steps(r); err != nil {
		return err
	}
	v.Next = nextStep(v.Steps)
	return c.render(w, r, http.StatusOK, hourPage(v))
}

func nextStep(all []doctor.Step) *doctor.Step {
	if i := slices.IndexFunc(all, func(s doctor.Step) bool { return s.State == "open" }); i >= 0 {
		return &all[i]
	}
	return nil
}

// stepView is one step.
type stepView struct {
	Frame    frame
	Step     doctor.Step
	Title    string
	Next     *doctor.Step // another one that is open
	Findings []doctor.Finding
	Fields   []input
	Button   string // "": there is nothing to submit here
	File     bool
	Said     string // what just came of it
	Secret   string // shown this once
	Send     string // the command that sends an access event
	Runs     []played.Run
	Since    time.Time // a drill is being played since
	Failed   string
	Key      string
	Trouble  *trouble
}

var stepTitles = map[string]string{
	"name": "Name", "owner": "Owner", "policy": "Policy", "mail": "Mail", "key": "First app and key", "events": "First events",
	"merchants": "Merchants and contacts", "away": "Off this machine", "drill": "First drill",
}

// stepFindings are what the doctor's findings of a step begin with.
var stepFindings = map[string][]string{
	"policy": {"policy."}, "mail": {"mail."}, "key": {"events.key"}, "events": {"events."}, "merchants": {"merchants."},
	"away": {"evidence.away", "machine.heartbeat"}, "drill": {"drill"}, "owner": {"account."},
}

func (c *Console) stepPage(w http.ResponseWriter, r *http.Request) error {
	return c.showStep(w, r, http.StatusOK, url.Values{}, nil, nil)
}

// showStep renders a step; more fills in what just came of it.
func (c *Console) showStep(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble, more func(*stepView)) error {
	steps, report, err := c.steps(r)
	if err != nil {
		return err
	}
	id := r.PathValue("step")
	i := slices.IndexFunc(steps, func(s doctor.Step) bool { return s.ID == id })
	if i < 0 {
		return desk.ErrNotFound
	}
	v := stepView{Frame: c.frame(r, stepTitles[id]), Step: steps[i], Title: stepTitles[id], Key: rand.Text(), Trouble: t}
	v.Frame.Here, v.Frame.Self = "settings", "/setup/"+id
	for j := range steps {
		if s := &steps[(i+1+j)%len(steps)]; s.State == "open" && s.ID != id {
			v.Next = s
			break
		}
	}
	for _, f := range report.Findings {
		if slices.ContainsFunc(stepFindings[id], func(p string) bool { return strings.HasPrefix(f.ID, p) }) {
			v.Findings = append(v.Findings, f)
		}
	}
	v.Fields, v.Button = c.stepForm(id, in)
	switch id {
	case "merchants":
		v.File = true
	case "events":
		v.Send = c.sendLine(r)
		v.Frame.Live = true
	case "drill":
		if v.Runs, err = c.opt.Hour.Drills(); err != nil {
			return err
		}
		v.Runs = v.Runs[:min(len(v.Runs), 1)]
		if v.Since, v.Failed = c.opt.Hour.Drilling(); !v.Since.IsZero() {
			v.Button = ""
		}
		v.Frame.Live = true
	}
	if more != nil {
		more(&v)
	}
	return c.render(w, r, status, stepPage(v))
}

// sendLine is the command that sends one access event, with the key's place left open.
func (c *Console) sendLine(r *http.Request) string {
	scheme := "http://"
	if c.opt.Secure {
		scheme = "https://"
	}
	base := scheme + r.Host
	if c.opt.PublicURL != "" {
		base = c.opt.PublicURL
	}
	return "curl -H \"Authorization: Bearer $(cat ingest.key)\" " + base + "/v1/events --data-binary '{\"time\":\"" +
		time.Now().UTC().Format(time.RFC3339) + "\",\"actor\":{\"type\":\"user\",\"id\":\"me\"},\"action\":\"read\",\"merchant\":\"shop_1\",\"records\":1}'"
}

// stepForm is what a step asks.
func (c *Console) stepForm(id string, in url.Values) (fields []input, button string) {
	text := func(name, label, help string, optional bool) input {
		return input{Name: name, Label: label, Help: help, Kind: "text", Value: in.Get(name), Optional: optional}
	}
	switch id {
	case "policy":
		for _, q := range starter.Questions {
			n := text(q.Key, q.Ask, "", q.Default != "")
			if n.Value == "" {
				n.Value = q.Default
			}
			switch {
			case n.Value != "":
			case q.Key == "owner":
				n.Value = c.opt.Organisation
			case q.Key == "name" && len(c.opt.Hour.Apps()) > 0:
				n.Value = c.opt.Hour.Apps()[0].Name
			}
			fields = append(fields, n)
		}
		return fields, "Write this policy and put it in force"
	case "mail":
		if now, err := c.opt.Hour.Mail(); err == nil && len(in) == 0 { // what was saved need not be typed again
			in = url.Values{"relay": {now.Relay}, "from": {now.From}, "tls": {now.TLS}, "username": {now.Username}, "selector": {now.Selector}}
		}
		tls := in.Get("tls")
		if tls == "" {
			tls = "starttls"
		}
		return []input{
			text("relay", "Relay", "host:port, such as smtp.example.com:587", false),
			text("from", "Sender", "Such as Example Security <security@example.com>", false),
			{Name: "tls", Label: "Encryption", Kind: "select", Value: tls, Options: []option{{"starttls", "STARTTLS"}, {"tls", "TLS from the start"}, {"none", "none, for a relay on this machine alone"}}},
			text("username", "User name at the relay", "", true),
			{Name: "password", Label: "Password at the relay", Help: "Kept in a file of the data folder that only its owner can read, and never shown again.", Kind: "secret", Optional: true},
			text("selector", "DKIM selector", "The s= of the signature your relay adds, so that its key can be looked up.", true),
			text("to", "Send the test message to", "Your own address.", false),
		}, "Save, and send the test message"
	case "key":
		var apps []option
		for _, a := range c.opt.Hour.Apps() {
			apps = append(apps, option{a.ID, a.Name})
		}
		return []input{{Name: "app", Label: "App", Kind: "select", Options: apps, Value: in.Get("app")},
			text("source", "Name of the source", "What its events come in under, such as web.", false)}, "Make the key"
	case "merchants":
		return []input{{Name: "file", Label: "The directory, as CSV", Kind: "file",
			Help: "Columns merchant, name and email; also email_2, phone, language, zone, country, store, domain, contract_hours, installed, uninstalled, slack, basecamp. The copy here is there on the day your own database is not."}}, "Import"
	case "away":
		return []input{
			text("copy", "A folder that is kept elsewhere", "A mounted share, with its whole path. Facts and both logs are copied there as they come.", true),
			text("recipient", "An age identity's public half", "The keys are copied too, encrypted to it: age1…", true),
			text("heartbeat", "Heartbeat", "An https address of a service that calls you when it hears nothing for some minutes.", true),
			text("witness_key", "A witness's verifier key", "It signs the checkpoints of both logs beside you.", true),
			text("witness_url", "Its address", "", true),
		}, "Save"
	case "drill":
		var names []option
		for _, name := range c.opt.Hour.Scenarios() {
			names = append(names, option{name, word(name)})
		}
		value := in.Get("scenario")
		if value == "" {
			value = "stolen-token"
		}
		return []input{{Name: "scenario", Label: "What happens in it", Kind: "select", Options: names, Value: value,
			Help: "A stolen token plays the whole way from the first event to the published review."}}, "Play a drill now"
	}
	return nil, ""
}

func (c *Console) skipStep(w http.ResponseWriter, r *http.Request) error {
	if err := checkForm(r); err != nil {
		return err
	}
	if err := c.opt.Hour.SkipStep(r.PathValue("step"), r.PostFormValue("again") != ""); err != nil {
		return fmt.Errorf("%w: %w", desk.ErrInvalid, err)
	}
	http.Redirect(w, r, "/setup", http.StatusSeeOther)
	return nil
}

// takeStep does what a step is for. What it wrote is on the disk before it is answered; a crash before
// that leaves the step open.
func (c *Console) takeStep(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("step")
	var up inert.Upload
	err := error(nil)
	if id == "merchants" {
		if up, err = inert.Read(r); err != nil {
			err = fmt.Errorf("choose a CSV file: %w", desk.ErrInvalid)
		}
		r.PostForm = url.Values{}
		for name, text := range up.Fields {
			r.PostForm.Set(name, text)
		}
		r.Form = r.PostForm
	}
	if err == nil {
		err = checkForm(r)
	}
	var more func(*stepView)
	again := false
	if err == nil {
		if more, again, err = c.doStep(r, id, up); err != nil && !told(err) {
			err = refusedFor(err, "")
		}
	}
	if again {
		c.opt.Hour.Restart()
	}
	if err != nil {
		t := troubleOf(err)
		in := r.PostForm
		in.Del("password")
		return c.showStep(w, r, t.Status, in, t, nil)
	}
	if more != nil {
		return c.showStep(w, r, http.StatusOK, url.Values{}, nil, more)
	}
	http.Redirect(w, r, "/setup/"+url.PathEscape(id), http.StatusSeeOther)
	return nil
}

// told says whether an error has words of its own on a page.
func told(err error) bool {
	return troubleOf(err).Status != http.StatusInternalServerError
}

// refusedFor is a refusal for what was entered, in the first line of an error and what is to be said with it.
func refusedFor(err error, with string) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%s%s: %w", strings.TrimSuffix(first, "."), with, desk.ErrInvalid)
}

// byQuestion says what is wrong with an answer behind its question, where the terminal says its name.
func byQuestion(err error) error {
	for _, q := range starter.Questions {
		if wrong, ok := strings.CutPrefix(err.Error(), q.Key+": "); ok {
			ask, _, _ := strings.Cut(q.Ask, " (")
			return errors.New(ask + " " + incident.Capital(wrong))
		}
	}
	return err
}

// doStep gives what to show, and whether the server has to start again to use what was changed.
func (c *Console) doStep(r *http.Request, id string, up inert.Upload) (more func(*stepView), again bool, err error) {
	ctx, in := r.Context(), reader{in: r.PostForm}
	switch id {
	case "policy":
		var a starter.Answers
		for _, q := range starter.Questions {
			if err := a.Set(q.Key, in.text(q.Key)); err != nil {
				return nil, false, byQuestion(err)
			}
		}
		src, err := starter.Write(a, c.opt.Now())
		if err != nil {
			err = byQuestion(err)
		} else {
			err = c.opt.Hour.ChangePolicy(src)
		}
		return nil, err == nil, err
	case "mail":
		m := Relay{Relay: in.text("relay"), From: in.text("from"), TLS: in.text("tls"), Username: in.text("username"), Password: r.PostForm.Get("password"), Selector: in.text("selector")}
		if err := c.opt.Hour.ChangeMail(m); err != nil {
			return nil, false, err
		}
		if err := c.opt.Hour.TestMail(ctx, in.text("to")); err != nil {
			return nil, true, refusedFor(err, ". What you entered is kept, and this step stays open until a message is taken")
		}
		return nil, true, nil
	case "key":
		key := mint.New(mint.Key)
		issue := org.IssueKey{KeyID: key.ID, KeyHash: org.Hash(key.Reveal()), Purpose: org.PurposeIngest, Source: in.text("source"), App: in.text("app")}
		if _, err := c.desk.SubmitOrg(ctx, requestID(r), callerOf(ctx), issue); err != nil {
			return nil, false, err
		}
		return func(v *stepView) { v.Secret, v.Send = key.Reveal(), c.sendLine(r) }, false, nil
	case "merchants":
		n, rejected, err := c.desk.ImportMerchants(ctx, callerOf(ctx), up.File)
		if err != nil {
			return nil, false, err
		}
		said := count(int64(n), "merchant was imported", "merchants were imported")
		for _, x := range rejected[:min(len(rejected), 20)] {
			said += fmt.Sprintf("; line %d was not read: %s", x.Line, strings.TrimSpace(x.Field+" "+x.Reason))
		}
		if len(rejected) > 20 {
			said += fmt.Sprintf("; and %d more lines", len(rejected)-20)
		}
		return func(v *stepView) { v.Said = said + "." }, false, nil
	case "away":
		err := c.opt.Hour.ChangeAway(Away{Copy: in.text("copy"), Recipient: in.text("recipient"), Heartbeat: in.text("heartbeat"), WitnessKey: in.text("witness_key"), WitnessURL: in.text("witness_url")})
		return nil, err == nil, err
	case "drill":
		return nil, false, c.opt.Hour.StartDrill(in.text("scenario"), string(callerOf(ctx).Principal))
	}
	return nil, false, desk.ErrNotFound
}
