// Package starter writes the first policy of a vendor from the answers to a dozen questions. What it
// writes is meant to be read and changed: it has comments, and check finds nothing in it but roles
// that are still open.
package starter

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// Answers are what a policy is written from. The zero value of each is its question's default.
type Answers struct {
	Name          string   `json:"name"`          // of the app
	Owner         string   `json:"owner"`         // the company that answers for it
	Contact       string   `json:"contact"`       // e-mail address for reports
	Zone          string   `json:"zone"`          // IANA time zone
	Business      string   `json:"business"`      // opening hours
	Platform      string   `json:"platform"`      // shopify, none, or NAME <ADDRESS>
	Deadline      string   `json:"deadline"`      // within which merchants are told, from confirmation
	Severities    []string `json:"severities"`    // worst first
	Lead          string   `json:"lead"`          // people, or ? while nobody is named
	Comms         string   `json:"comms"`         //
	Engineer      string   `json:"engineer"`      //
	Jurisdictions []string `json:"jurisdictions"` // where law may ask for more: eu, uk, us, …
	Holds         []string `json:"holds"`         // personal_data, credentials, payment_data
}

// Question is one of the dozen.
type Question struct {
	Key, Ask, Default string
	List              bool
	answer            func(*Answers) any // *string or *[]string
}

// Questions are what has to be known, in the order they are asked.
var Questions = []Question{
	{"name", "What is your app called?", "", false, func(a *Answers) any { return &a.Name }},
	{"owner", "Which company answers for it?", "", false, func(a *Answers) any { return &a.Owner }},
	{"contact", "To which address are problems reported?", "", false, func(a *Answers) any { return &a.Contact }},
	{"zone", "In which time zone do you count days? (IANA name)", "Europe/London", false, func(a *Answers) any { return &a.Zone }},
	{"business", "When are you open?", "Mon-Fri 09:00-17:30", false, func(a *Answers) any { return &a.Business }},
	{"platform", "Which platform is the app on? (shopify, none, or NAME <security@example.com>)", "shopify", false, func(a *Answers) any { return &a.Platform }},
	{"deadline", "Within which time of confirming an incident are affected merchants told?", "48h", false, func(a *Answers) any { return &a.Deadline }},
	{"severities", "Which severities do you use, worst first?", "critical, high, standard", true, func(a *Answers) any { return &a.Severities }},
	{"lead", "Who leads an incident, decides and signs? (? while nobody is named)", "?", false, func(a *Answers) any { return &a.Lead }},
	{"comms", "Who writes to merchants? (somebody else than the lead: who writes a notice cannot approve it)", "?", false, func(a *Answers) any { return &a.Comms }},
	{"engineer", "Who contains, fixes and verifies?", "?", false, func(a *Answers) any { return &a.Engineer }},
	{"jurisdictions", "Where do your merchants' customers live? (eu, uk, us, other, or none: then no law is asked)", "eu, uk, us", true, func(a *Answers) any { return &a.Jurisdictions }},
	{"holds", "What does the app hold? (personal_data, credentials, payment_data)", "personal_data, credentials", true, func(a *Answers) any { return &a.Holds }},
}

// Set records the answer to one question; an empty one is the default. The error says in one line
// what is wrong with it.
func (a *Answers) Set(key, answer string) error {
	i := slices.IndexFunc(Questions, func(q Question) bool { return q.Key == key })
	if i < 0 {
		return fmt.Errorf("there is no question %q", key)
	}
	q := Questions[i]
	if answer = strings.TrimSpace(answer); answer == "" {
		answer = q.Default
	}
	if answer == "" {
		return fmt.Errorf("%s: an answer is needed", key)
	}
	if len(answer) > 200 || strings.ContainsFunc(answer, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%s: write at most 200 characters on one line", key)
	}
	switch at := q.answer(a).(type) {
	case *string:
		*at = answer
	case *[]string:
		*at = nil
		for part := range strings.SplitSeq(answer, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*at = append(*at, part)
			}
		}
	}
	return a.check(key)
}

var (
	idForm    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	emailForm = regexp.MustCompile(`^[^\s@<>(),;:"\[\]\\]+@[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z0-9-]*[A-Za-z0-9]$`)
	platform  = regexp.MustCompile(`^([^<>]{1,60}) <([^<>]+)>$`)
)

// check says what is wrong with one answer.
func (a *Answers) check(key string) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	}
	switch key {
	case "contact":
		if !emailForm.MatchString(a.Contact) {
			return fail("%q is not an e-mail address", a.Contact)
		}
	case "zone":
		if _, err := time.LoadLocation(a.Zone); err != nil || a.Zone == "Local" {
			return fail("there is no time zone %q; write a name such as Europe/Berlin", a.Zone)
		}
	case "business":
		if _, err := calendar.ParseHours(a.Business, time.UTC); err != nil {
			return fail("%v", err)
		}
	case "platform":
		if m := platform.FindStringSubmatch(a.Platform); a.Platform != "shopify" && a.Platform != "none" && (m == nil || !emailForm.MatchString(m[2])) {
			return fail("write shopify, none, or NAME <security@example.com>")
		}
	case "deadline":
		if l, err := calendar.ParseLength(a.Deadline); err != nil {
			return fail("%v", err)
		} else if l.N == 0 {
			return fail("write a length such as 48h")
		}
	case "severities":
		return a.checkSeverities(fail)
	case "lead", "comms", "engineer":
		if who := map[string]string{"lead": a.Lead, "comms": a.Comms, "engineer": a.Engineer}[key]; who != "?" && !idForm.MatchString(id(who)) {
			return fail("%q is not a name; write it with letters, or ?", who)
		}
		if a.Lead != "" && a.Lead != "?" && id(a.Lead) == id(a.Comms) {
			return errors.New("comms: who writes a notice cannot approve it; name somebody else than the lead, or ?")
		}
	case "jurisdictions":
		return known(fail, a.Jurisdictions, "eu", "uk", "us", "other", "none")
	case "holds":
		return known(fail, a.Holds, "personal_data", "credentials", "payment_data")
	}
	return nil
}

func (a *Answers) checkSeverities(fail func(string, ...any) error) error {
	if len(a.Severities) < 2 || len(a.Severities) > 5 {
		return fail("name two to five, worst first")
	}
	for i, s := range a.Severities {
		a.Severities[i] = id(s)
		if !idForm.MatchString(a.Severities[i]) {
			return fail("%q is not a name", s)
		}
		if slices.Contains(a.Severities[:i], a.Severities[i]) {
			return fail("%s is named twice", s)
		}
	}
	return nil
}

func known(fail func(string, ...any) error, got []string, may ...string) error {
	for _, g := range got {
		if !slices.Contains(may, g) {
			return fail("%q is none of %s", g, strings.Join(may, ", "))
		}
	}
	return nil
}

// id makes an id of a name: "Lena Weiß" becomes lena_wei.
func id(name string) string {
	s := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "_"), "_")
	if s != "" && (s[0] < 'a' || s[0] > 'z') {
		s = "p" + s
	}
	return s[:min(len(s), 60)]
}

//go:embed policy.yaml.tmpl
var written string

// Write writes the policy. today is the date it bears. It is compiled before it is given out: an
// answer that does not fit with the others is the error.
func Write(a Answers, today time.Time) ([]byte, error) {
	for _, q := range Questions {
		var have string
		switch at := q.answer(&a).(type) {
		case *string:
			have = *at
		case *[]string:
			have = strings.Join(*at, ",")
		}
		if err := a.Set(q.Key, have); err != nil {
			return nil, err
		}
	}
	t := template.Must(template.New("policy").Funcs(template.FuncMap{
		"q": strconv.Quote, "id": id, "has": slices.Contains[[]string],
		"holder": func(who string) string {
			if who == "?" {
				return `"?"`
			}
			return id(who)
		},
	}).Parse(written))
	data := map[string]any{
		"A": a, "ID": id(a.Name), "Today": today.Format(time.DateOnly), "Worst": a.Severities[0], "Least": a.Severities[len(a.Severities)-1],
		"Law": !slices.Contains(a.Jurisdictions, "none"), "Levels": levels(a.Severities),
	}
	if !idForm.MatchString(id(a.Name)) {
		return nil, fmt.Errorf("name: %q has no letters that an id could be made of", a.Name)
	}
	if m := platform.FindStringSubmatch(a.Platform); m != nil {
		data["Platform"], data["PlatformAddress"] = m[1], m[2]
	} else if a.Platform == "shopify" {
		data["Platform"], data["PlatformAddress"] = "Shopify", "security@shopify.com, partners@shopify.com"
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	_, diags := policy.Compile("policy.yaml", b.Bytes())
	for _, d := range diags {
		if d.Severity == policy.Error {
			return nil, fmt.Errorf("these answers do not go together: %s", d.Message)
		}
	}
	return b.Bytes(), nil
}

// level is a severity with what makes an incident one.
type level struct{ ID, Means, When string }

func levels(ids []string) []level {
	upper := []level{
		{"", "Data is in somebody else's hands, or may be.", "fact.personal_data && fact.exposed"},
		{"", "An outsider could reach data, or a credential is known to somebody else.", "fact.exposed || class == 'credential_exposure'"},
		{"", "Our infrastructure or a supplier's is affected, and nobody outside could reach data.", "class in ['infrastructure_compromise', 'supplier_breach']"},
		{"", "Personal data was handled wrongly, and nobody outside could reach it.", "fact.personal_data"},
	}
	out := make([]level, len(ids))
	for i, id := range ids {
		out[i] = level{Means: "Anything else that needs a response."}
		if i < len(ids)-1 {
			out[i] = upper[i]
		}
		out[i].ID = id
	}
	return out
}
