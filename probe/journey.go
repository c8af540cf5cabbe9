package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http/cookiejar"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/tocsin-ir/tocsin/internal/egress"
)

// Journey is a check of several steps, as a visitor takes them, on each device (type http-journey).
type Journey struct {
	Base    string        `yaml:"base"`    // put before addresses that begin with /
	Steps   []Step        `yaml:"steps"`   // at most 20
	As      []Device      `yaml:"as"`      // at most 8; none: once, as ourselves
	Timeout time.Duration `yaml:"timeout"` // of the whole; default 1 min, at most 5 min
}

// Step is one request of a journey. Cookies are kept from step to step.
type Step struct {
	Name            string `yaml:"name"`
	egress.Template `yaml:",inline"`
	Expect          []int             `yaml:"expect"`        // statuses that pass; default 200
	Contains        string            `yaml:"contains"`      // text the answer must have; empty: any
	Absent          string            `yaml:"absent"`        // text the answer must not have; empty: none
	ExpectHeader    map[string]string `yaml:"expect_header"` // text that each header must have
	Within          time.Duration     `yaml:"within"`        // how long the whole answer may take; 0: 15 s
}

// Device is who a journey is taken as.
type Device struct {
	Name  string `yaml:"name"`
	Agent string `yaml:"agent"` // its User-Agent
}

const (
	maxSteps   = 20
	maxDevices = 8
	maxName    = 64
)

// Validate checks the check; field names it in errors, such as "checks.checkout".
func (j Journey) Validate(field string) error {
	if j.Base != "" && (strings.HasSuffix(j.Base, "/") || strings.ContainsAny(j.Base, "?#$")) {
		return fmt.Errorf("%s.base: it is not an address without a last slash, such as https://shop.example.com", field)
	}
	if len(j.Steps) == 0 || len(j.Steps) > maxSteps {
		return fmt.Errorf("%s.steps: there have to be 1 to %d", field, maxSteps)
	}
	seen := map[string]bool{}
	for i, s := range j.Steps {
		at := fmt.Sprintf("%s.steps[%d]", field, i)
		if !isLabel(s.Name) || seen[s.Name] {
			return fmt.Errorf("%s.name: it has to be a name of its own, of 1 to %d printable characters", at, maxName)
		}
		seen[s.Name] = true
		if err := j.request(s).Validate(at); err != nil {
			return err
		}
		if err := s.expected().validate(at); err != nil {
			return err
		}
		if s.Within < 0 || s.Within > 15*time.Second {
			return fmt.Errorf("%s.within: %v is not between 0 and 15s", at, s.Within)
		}
	}
	if len(j.As) > maxDevices {
		return fmt.Errorf("%s.as: there are more than %d", field, maxDevices)
	}
	seen = map[string]bool{}
	for i, d := range j.As {
		if !isLabel(d.Name) || seen[d.Name] {
			return fmt.Errorf("%s.as[%d].name: it has to be a name of its own, of 1 to %d printable characters", field, i, maxName)
		}
		seen[d.Name] = true
		if d.Agent == "" || len(d.Agent) > 512 || strings.ContainsFunc(d.Agent, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			return fmt.Errorf("%s.as[%d].agent: it has to be a User-Agent of 1 to 512 characters of ASCII", field, i)
		}
	}
	if j.Timeout < 0 || j.Timeout > 5*time.Minute {
		return fmt.Errorf("%s.timeout: %v is not between 0 and 5m", field, j.Timeout)
	}
	return nil
}

func isLabel(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func (s Step) expected() expected {
	e := expected{s.Expect, s.Contains, s.Absent, s.ExpectHeader}
	if len(e.status) == 0 {
		e.status = []int{200}
	}
	return e
}

// request is the request of a step with its whole address.
func (j Journey) request(s Step) egress.Template {
	t := s.Template
	if t.Method == "" {
		t.Method = "GET"
	}
	if strings.HasPrefix(t.URL, "/") {
		t.URL = j.Base + t.URL
	}
	return t
}

// Run takes the journey once as each device, each with cookies of its own. A device stops at its
// first step that fails, because the next ones rest on it; the other devices go on.
func (j Journey) Run(ctx context.Context, out *egress.Client, v egress.Values) Result {
	if j.Timeout == 0 {
		j.Timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	devices := j.As
	if len(devices) == 0 {
		devices = []Device{{}}
	}
	res := Result{Passed: true}
	var saw []string
	for _, d := range devices {
		as := ""
		if d.Name != "" {
			as = " as " + d.Name
		}
		began := time.Now()
		code, step, fault := j.travel(ctx, out, v, d)
		if fault != "" {
			saw = append(saw, fmt.Sprintf("step %s%s: %s", step, as, fault))
		} else {
			saw = append(saw, fmt.Sprintf("%d steps%s in %d ms", len(j.Steps), as, time.Since(began).Milliseconds()))
		}
		if res.Passed {
			res.Code, res.Passed = code, fault == "" // the first fault gives the code
		}
	}
	res.Observed, res.At = strings.Join(saw, ". "), time.Now().UTC()
	return res
}

func (j Journey) travel(ctx context.Context, out *egress.Client, v egress.Values, d Device) (code, step, fault string) {
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil {
		return "error", j.Steps[0].Name, "no place for cookies"
	}
	out = out.As(d.Agent, jar)
	for _, s := range j.Steps {
		t := j.request(s)
		r, err := t.Request(ctx, v)
		if err != nil {
			return "config", s.Name, err.Error()
		}
		resp, err := out.Send(ctx, r)
		if err != nil {
			code = "error"
			if e := (*egress.Error)(nil); errors.As(err, &e) {
				code = e.Code
			}
			return code, s.Name, fmt.Sprintf("%s gave no answer: %s", t.Place(), code)
		}
		code = fmt.Sprintf("http %d", resp.Status)
		wrong := s.expected().wrong(resp)
		if s.Within > 0 && resp.Took > s.Within {
			wrong = append(wrong, fmt.Sprintf("expected within %v", s.Within))
		}
		if len(wrong) > 0 {
			return code, s.Name, fmt.Sprintf("%s answered HTTP %d in %d ms with %d bytes; %s", t.Place(), resp.Status, resp.Took.Milliseconds(), len(resp.Body), strings.Join(wrong, "; "))
		}
	}
	return code, "", ""
}
