// Package probe runs the checks a policy names: real requests from outside, each with what it saw.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/egress"
)

// HTTP is a check of one address as the configuration writes it (type http).
type HTTP struct {
	egress.Template `yaml:",inline"`
	Expect          []int         `yaml:"expect"`   // statuses that pass; default 200
	Contains        string        `yaml:"contains"` // text the answer must have; empty: any
	Absent          string        `yaml:"absent"`   // text the answer must not have; empty: none
	Timeout         time.Duration `yaml:"timeout"`  // default 10 s, at most 1 min
}

// Validate checks the check; field names it in errors, such as "checks.checkout".
func (h HTTP) Validate(field string) error {
	if h.Method == "" {
		h.Method = "GET"
	}
	if err := h.Template.Validate(field); err != nil {
		return err
	}
	if err := (expected{h.Expect, h.Contains, h.Absent, nil}).validate(field); err != nil {
		return err
	}
	if h.Timeout < 0 || h.Timeout > time.Minute {
		return fmt.Errorf("%s.timeout: %v is not between 0 and 1m", field, h.Timeout)
	}
	return nil
}

// Result is what one run of a check saw. It never holds a secret, or a byte of a page that was answered.
type Result struct {
	Passed   bool
	Code     string    // "http 200", "dns NXDOMAIN", or why there was no answer: timeout, connect, tls, …
	Observed string    // one sentence
	At       time.Time // UTC, protocol time
}

// Run makes the request once.
func (h HTTP) Run(ctx context.Context, out *egress.Client, v egress.Values) Result {
	if h.Method == "" {
		h.Method = "GET"
	}
	if len(h.Expect) == 0 {
		h.Expect = []int{200}
	}
	if h.Timeout == 0 {
		h.Timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := h.Request(ctx, v)
	if err != nil {
		return Result{Code: "config", Observed: err.Error(), At: time.Now().UTC()}
	}
	resp, err := out.Send(ctx, r)
	if err != nil {
		code := "error"
		if e := (*egress.Error)(nil); errors.As(err, &e) {
			code = e.Code
		}
		return Result{Code: code, Observed: fmt.Sprintf("%s gave no answer: %s", h.Place(), code), At: time.Now().UTC()}
	}
	res := Result{Code: fmt.Sprintf("http %d", resp.Status), At: resp.At}
	saw := fmt.Sprintf("%s answered HTTP %d in %d ms with %d bytes", h.Place(), resp.Status, resp.Took.Milliseconds(), len(resp.Body))
	wrong := expected{h.Expect, h.Contains, h.Absent, nil}.wrong(resp)
	res.Passed = len(wrong) == 0
	res.Observed = saw
	if !res.Passed {
		res.Observed += "; " + strings.Join(wrong, "; ")
	}
	return res
}

// expected is what an answer is compared with.
type expected struct {
	status           []int
	contains, absent string
	header           map[string]string
}

func (e expected) validate(field string) error {
	for _, n := range e.status {
		if n < 100 || n > 599 {
			return fmt.Errorf("%s.expect: %d is not an HTTP status", field, n)
		}
	}
	if len(e.contains)+len(e.absent) > 4096 {
		return fmt.Errorf("%s.contains: it is longer than 4096 bytes", field)
	}
	return nil
}

// wrong says what of an answer is not as expected. It quotes the configuration, never the answer.
func (e expected) wrong(resp egress.Response) []string {
	var wrong []string
	if !slices.Contains(e.status, resp.Status) {
		wrong = append(wrong, fmt.Sprintf("expected %s", strings.Trim(fmt.Sprint(e.status), "[]")))
	}
	if e.contains != "" && !bytes.Contains(resp.Body, []byte(e.contains)) {
		wrong = append(wrong, fmt.Sprintf("the text %q is missing", e.contains))
	}
	if e.absent != "" && bytes.Contains(resp.Body, []byte(e.absent)) {
		wrong = append(wrong, fmt.Sprintf("the text %q is there", e.absent))
	}
	for _, name := range slices.Sorted(maps.Keys(e.header)) {
		if !slices.ContainsFunc(resp.Header.Values(name), func(v string) bool { return strings.Contains(v, e.header[name]) }) {
			wrong = append(wrong, fmt.Sprintf("the header %s has no %q", name, e.header[name]))
		}
	}
	return wrong
}
