// Package contain says what a containment connector is. A connector plans what it will do, does
// it, proves it by a probe that must now fail, and undoes it where that is possible. Each
// connector has a folder of its own below this one, with its configuration and its checks.
package contain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
)

// Connector carries out one kind of containment.
type Connector interface {
	// Plan says what Apply will do, without doing it. Its error names what is missing.
	Plan(ctx context.Context, t Target, s Secret) (Plan, error)
	// Apply does it. It reads the state of the other side first, and the same effect id never
	// takes effect twice.
	Apply(ctx context.Context, t Target, s Secret, effectID string) Result
	// Confirm probes whether the old credential or path now fails. Done means that it does, Failed
	// that it still works, Deferred that it could not be found out.
	Confirm(ctx context.Context, t Target, s Secret) Result
	// Undo takes it back, or is Failed with the code cannot_undo.
	Undo(ctx context.Context, t Target, effectID string) Result
}

// Destroyer is a connector whose Apply overwrites or removes what may be evidence. What it is about to
// destroy is kept with the incident first, and without that nothing is applied.
type Destroyer interface {
	Traces(ctx context.Context, t Target) ([]Trace, error)
}

// Trace is a file as it was found.
type Trace struct {
	Name, Note string
	Bytes      []byte
}

// Target says what an action is aimed at, such as credential: tok_9f.
type Target map[string]string

// Secret is the credential at hand. It never prints.
type Secret = egress.Secret

// Plan is what an action will do, for the people who approve it.
type Plan struct {
	Steps []string // one sentence each, in order
	Blast string   // what it stops or breaks
	Undo  string   // how it is undone, or why it cannot be
}

// Result is what came of one call. It never holds a secret.
type Result struct {
	Outcome incident.Outcome
	Code    string        // such as "http 401", "timeout", "already_refused"
	Proof   string        // what was observed, in one sentence
	Retry   time.Duration // Deferred: not before
	At      time.Time     // UTC, protocol time of the observation
}

// Vault keeps secrets by name.
type Vault interface {
	Get(name string) (Secret, error) // ErrNoSecret when there is none
	// Put is durable and whole when it returns; a crash before that leaves the old value.
	Put(name string, s Secret) error
	Delete(name string) error // no error when there is none
}

// ErrNoSecret is the error of a Vault that has nothing under a name.
var ErrNoSecret = errors.New("no secret is stored under this name")

// Call is a request and the statuses that mean it worked.
type Call struct {
	egress.Template `yaml:",inline"`
	Expect          []int `yaml:"expect"`
}

// Validate checks the call; field names it in errors.
func (c Call) Validate(field string) error {
	if err := c.Template.Validate(field); err != nil {
		return err
	}
	return statuses(field+".expect", c.Expect)
}

// Probe is a request made with the old credential, which must be refused once containment holds,
// and, for rotations, with the new one, which must be accepted.
type Probe struct {
	egress.Template `yaml:",inline"`
	Refused         []int         `yaml:"refused"`
	Accepted        []int         `yaml:"accepted"`
	Within          time.Duration `yaml:"within"` // how long the change may take to be seen; default 5 s, at most 1 min
}

// Validate checks the probe; field names it in errors.
func (p Probe) Validate(field string) error {
	if err := p.Template.Validate(field); err != nil {
		return err
	}
	if err := statuses(field+".refused", p.Refused); err != nil {
		return err
	}
	for _, n := range p.Refused {
		if slices.Contains(p.Accepted, n) {
			return fmt.Errorf("%s.accepted: status %d stands in refused too", field, n)
		}
	}
	if !p.readsSecret() {
		return fmt.Errorf("%s: it does not use ${secret}, so it cannot show that the old credential is refused", field)
	}
	if p.Within < 0 || p.Within > time.Minute {
		return fmt.Errorf("%s.within: %v is not between 0 and 1m", field, p.Within)
	}
	return nil
}

func (p Probe) readsSecret() bool {
	used := p.URL + p.Body
	for _, v := range p.Header {
		used += v
	}
	if p.HMAC != nil {
		used += p.HMAC.Secret
	}
	return strings.Contains(used, "${secret}")
}

func statuses(field string, list []int) error {
	if len(list) == 0 {
		return fmt.Errorf("%s: name at least one HTTP status, such as 401", field)
	}
	for _, n := range list {
		if n < 100 || n > 599 {
			return fmt.Errorf("%s: %d is not an HTTP status", field, n)
		}
	}
	return nil
}

// Verdict is what a probe found out.
type Verdict int

// The verdicts. Unclear means that the answer is neither a refusal nor an acceptance, or that
// there was none: a server that is down refuses nothing.
const (
	Unclear Verdict = iota
	Refused
	Accepted
)

// Sighting is one answer to a probe.
type Sighting struct {
	Verdict Verdict
	Code    string // "http 401", or the code of an egress.Error
	Retry   time.Duration
	At      time.Time
}

// Look sends the probe once with the values. An answer that Accepted does not list counts as
// accepted when Accepted is empty and the status is 2xx or 3xx.
func (p Probe) Look(ctx context.Context, c *egress.Client, v egress.Values) (Sighting, error) {
	r, err := p.Request(ctx, v)
	if err != nil {
		return Sighting{}, fmt.Errorf("probe.%w", err)
	}
	resp, err := c.Send(ctx, r)
	if err != nil {
		return Sighting{Code: CodeOf(err), At: time.Now().UTC()}, nil
	}
	s := Sighting{Code: fmt.Sprintf("http %d", resp.Status), At: resp.At, Retry: resp.RetryAfter}
	switch {
	case slices.Contains(p.Refused, resp.Status):
		s.Verdict = Refused
	case slices.Contains(p.Accepted, resp.Status), len(p.Accepted) == 0 && resp.Status >= 200 && resp.Status < 400:
		s.Verdict = Accepted
	}
	return s, nil
}

// Await looks until the verdict is want or Within has passed, and gives the last sighting.
func (p Probe) Await(ctx context.Context, c *egress.Client, v egress.Values, want Verdict) (Sighting, error) {
	within := p.Within
	if within == 0 {
		within = 5 * time.Second
	}
	deadline := time.Now().Add(within)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		s, err := p.Look(ctx, c, v)
		if err != nil || s.Verdict == want || time.Now().Add(pause).After(deadline) {
			return s, err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return s, nil
		case <-t.C:
		}
	}
}

// CodeOf is the short code of an exchange's error.
func CodeOf(err error) string {
	var e *egress.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "error"
}

// Sent reports whether the request of a failed exchange may have arrived.
func Sent(err error) bool {
	var e *egress.Error
	return errors.As(err, &e) && e.Sent
}

// Passing reports whether a status says "try again later".
func Passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// Stamp writes an instant for a proof sentence.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return egress.NewSecret(value) }
