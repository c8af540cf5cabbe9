// Package httprevoke revokes a credential by calling the revoke address its owner declares, and
// proves it by a request with the old credential that must be refused.
package httprevoke

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
)

// Config is the connector as the configuration writes it (type http.revoke).
type Config struct {
	Revoke contain.Call  `yaml:"revoke"`
	Probe  contain.Probe `yaml:"probe"`
	Blast  string        `yaml:"blast"` // what revoking stops, in the owner's words; may be empty
}

// Validate checks the configuration; field names it in errors, such as "connectors.app_tokens".
func (c Config) Validate(field string) error {
	if err := c.Revoke.Validate(field + ".revoke"); err != nil {
		return err
	}
	return c.Probe.Validate(field + ".probe")
}

// Connector revokes credentials over HTTP.
type Connector struct {
	c     Config
	out   *egress.Client
	named func(string) (contain.Secret, error)
}

var _ contain.Connector = (*Connector)(nil)

// New makes a connector from a valid configuration. named reads ${secret:NAME}.
func New(c Config, out *egress.Client, named func(string) (contain.Secret, error)) *Connector {
	return &Connector{c: c, out: out, named: named}
}

func (c *Connector) values(t contain.Target, s contain.Secret) egress.Values {
	return egress.Values{Target: t, Secret: s, Named: c.named}
}

// Plan says what will be called. It fills both requests, so that a value that is missing is missed
// now, and sends neither: a probe with the stolen credential is an access, and appears as one.
func (c *Connector) Plan(ctx context.Context, t contain.Target, s contain.Secret) (contain.Plan, error) {
	if s.Empty() {
		return contain.Plan{}, fmt.Errorf("plan: it names no secret: store the credential that was stolen and name it, so that the probe can show it refused")
	}
	if _, err := c.c.Revoke.Request(ctx, c.values(t, s)); err != nil {
		return contain.Plan{}, fmt.Errorf("revoke.%w", err)
	}
	if _, err := c.c.Probe.Request(ctx, c.values(t, s)); err != nil {
		return contain.Plan{}, fmt.Errorf("probe.%w", err)
	}
	blast := c.c.Blast
	if blast == "" {
		blast = "Every program that uses this credential is refused from then on, the attacker's and its owner's."
	}
	return contain.Plan{
		Steps: []string{
			fmt.Sprintf("If %s with the credential is still accepted, go on.", c.c.Probe.Place()),
			fmt.Sprintf("Call %s for %s; it must answer %s.", c.c.Revoke.Place(), describe(t), list(c.c.Revoke.Expect)),
			fmt.Sprintf("Then %s with the old credential must answer %s.", c.c.Probe.Place(), list(c.c.Probe.Refused)),
		},
		Blast: blast,
		Undo:  "It cannot be undone: issue a new credential to whoever needs one.",
	}, nil
}

// Apply revokes. It looks first: a credential that is refused already needs no call, which is also
// how an attempt whose answer was lost is found to have worked.
//
// A crash between the call and the report leaves the attempt without a result; the next Apply
// looks before it calls, and revoking twice is revoking once.
func (c *Connector) Apply(ctx context.Context, t contain.Target, s contain.Secret, effectID string) contain.Result {
	before, err := c.c.Probe.Look(ctx, c.out, c.values(t, s))
	if err != nil {
		return failed("config", err)
	}
	if before.Verdict == contain.Refused {
		return contain.Result{Outcome: incident.Done, Code: "already_refused", At: before.At,
			Proof: fmt.Sprintf("already refused: %s with the old credential answered %s at %s", c.c.Probe.Place(), before.Code, contain.Stamp(before.At))}
	}
	r, err := c.c.Revoke.Request(ctx, c.values(t, s))
	if err != nil {
		return failed("config", fmt.Errorf("revoke.%w", err))
	}
	r.Header.Set("Idempotency-Key", effectID)
	resp, err := c.out.Send(ctx, r)
	if err != nil {
		return c.afterSilence(ctx, t, s, err)
	}
	res := contain.Result{Code: fmt.Sprintf("http %d", resp.Status), At: resp.At}
	res.Proof = fmt.Sprintf("%s answered HTTP %d at %s", c.c.Revoke.Place(), resp.Status, contain.Stamp(resp.At))
	switch {
	case slices.Contains(c.c.Revoke.Expect, resp.Status):
		res.Outcome = incident.Done
	case contain.Passing(resp.Status):
		res.Outcome, res.Retry = incident.Deferred, max(resp.RetryAfter, 2*time.Second)
	default:
		res.Outcome = incident.Failed
	}
	return res
}

// afterSilence decides what came of a call that gave no answer.
func (c *Connector) afterSilence(ctx context.Context, t contain.Target, s contain.Secret, cause error) contain.Result {
	res := contain.Result{Outcome: incident.Deferred, Code: contain.CodeOf(cause), Retry: 2 * time.Second, At: time.Now().UTC()}
	if res.Code == "refused_address" || res.Code == "redirect" {
		return failed(res.Code, cause)
	}
	if !contain.Sent(cause) {
		return res
	}
	after, err := c.c.Probe.Look(ctx, c.out, c.values(t, s))
	if err == nil && after.Verdict == contain.Refused {
		return contain.Result{Outcome: incident.Done, Code: res.Code, At: after.At,
			Proof: fmt.Sprintf("the revoke call gave no answer (%s), and %s with the old credential answered %s at %s", res.Code, c.c.Probe.Place(), after.Code, contain.Stamp(after.At))}
	}
	res.Outcome = incident.Uncertain // the call may still be on its way
	return res
}

// Confirm probes with the old credential.
func (c *Connector) Confirm(ctx context.Context, t contain.Target, s contain.Secret) contain.Result {
	seen, err := c.c.Probe.Await(ctx, c.out, c.values(t, s), contain.Refused)
	if err != nil {
		return failed("config", err)
	}
	res := contain.Result{Code: seen.Code, At: seen.At}
	switch seen.Verdict {
	case contain.Refused:
		res.Outcome = incident.Done
		res.Proof = fmt.Sprintf("%s with the old credential was refused with %s at %s", c.c.Probe.Place(), seen.Code, contain.Stamp(seen.At))
	case contain.Accepted:
		res.Outcome = incident.Failed
		res.Proof = fmt.Sprintf("%s with the old credential was still accepted with %s at %s", c.c.Probe.Place(), seen.Code, contain.Stamp(seen.At))
	default:
		res.Outcome, res.Retry = incident.Deferred, max(seen.Retry, 2*time.Second)
		res.Proof = fmt.Sprintf("%s with the old credential gave %s at %s, which proves nothing", c.c.Probe.Place(), seen.Code, contain.Stamp(seen.At))
	}
	return res
}

// Undo cannot be done.
func (c *Connector) Undo(context.Context, contain.Target, string) contain.Result {
	return contain.Result{Outcome: incident.Failed, Code: "cannot_undo", At: time.Now().UTC(),
		Proof: "a revoked credential cannot be brought back: issue a new one"}
}

func failed(code string, err error) contain.Result {
	return contain.Result{Outcome: incident.Failed, Code: code, Proof: err.Error(), At: time.Now().UTC()}
}

// describe names the target; its values are ids, never credentials.
func describe(t contain.Target) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(t)) {
		parts = append(parts, k+" "+t[k])
	}
	if len(parts) == 0 {
		return "the credential"
	}
	return strings.Join(parts, ", ")
}

func list(statuses []int) string {
	var parts []string
	for _, n := range statuses {
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, " or ")
}
