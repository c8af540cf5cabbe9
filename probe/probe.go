// Package probe runs the checks a policy names: real requests from outside, each with what it saw.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	for _, n := range h.Expect {
		if n < 100 || n > 599 {
			return fmt.Errorf("%s.expect: %d is not an HTTP status", field, n)
		}
	}
	if h.Timeout < 0 || h.Timeout > time.Minute {
		return fmt.Errorf("%s.timeout: %v is not between 0 and 1m", field, h.Timeout)
	}
	if len(h.Contains)+len(h.Absent) > 4096 {
		return fmt.Errorf("%s.contains: it is longer than 4096 bytes", field)
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
	var wrong []string
	if !slices.Contains(h.Expect, resp.Status) {
		wrong = append(wrong, fmt.Sprintf("expected %s", strings.Trim(fmt.Sprint(h.Expect), "[]")))
	}
	if h.Contains != "" && !bytes.Contains(resp.Body, []byte(h.Contains)) {
		wrong = append(wrong, fmt.Sprintf("the text %q is missing", h.Contains))
	}
	if h.Absent != "" && bytes.Contains(resp.Body, []byte(h.Absent)) {
		wrong = append(wrong, fmt.Sprintf("the text %q is there", h.Absent))
	}
	res.Passed = len(wrong) == 0
	res.Observed = saw
	if !res.Passed {
		res.Observed += "; " + strings.Join(wrong, "; ")
	}
	return res
}
