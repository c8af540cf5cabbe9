// Package envfile rotates a secret that stands in an env file which an app reloads. The new value
// is random; the old one is kept in the vault until a probe has shown that the app accepts the new
// one and refuses the old one, and is then destroyed.
package envfile

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
)

// Config is the connector as the configuration writes it (type envfile.rotate). In the probe
// ${secret} is the value under test: first the old one, which must be refused, then the new one.
type Config struct {
	File   string        `yaml:"file"` // absolute path
	Key    string        `yaml:"key"`
	Probe  contain.Probe `yaml:"probe"`
	Reload *contain.Call `yaml:"reload"` // asks the app to read its file; nil when it watches the file
	Blast  string        `yaml:"blast"`
}

var keyName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// Validate checks the configuration; field names it in errors, such as "connectors.app_secret".
func (c Config) Validate(field string) error {
	if !filepath.IsAbs(c.File) {
		return fmt.Errorf("%s.file: %q is not an absolute path", field, c.File)
	}
	if len(c.Key) > 100 || !keyName.MatchString(c.Key) {
		return fmt.Errorf("%s.key: %q is not the name of a variable", field, c.Key)
	}
	if err := c.Probe.Validate(field + ".probe"); err != nil {
		return err
	}
	if len(c.Probe.Accepted) == 0 {
		return fmt.Errorf("%s.probe.accepted: name the status that shows the new value accepted, such as 200", field)
	}
	if c.Reload != nil {
		return c.Reload.Validate(field + ".reload")
	}
	return nil
}

// Connector rotates one key of one file.
type Connector struct {
	id    string
	c     Config
	out   *egress.Client
	vault contain.Vault
	mu    sync.Mutex // one rotation at a time
}

var _ contain.Connector = (*Connector)(nil)

// New makes a connector from a valid configuration. id names it in the vault and is its name in
// the configuration.
func New(id string, c Config, out *egress.Client, v contain.Vault) *Connector {
	return &Connector{id: id, c: c, out: out, vault: v}
}

// rotation is what the vault remembers, whole in one entry: written before the file is touched,
// it says after a crash what was meant.
type rotation struct {
	Effect string   `json:"effect"`          // the effect that began it
	New    string   `json:"new,omitempty"`   // "" once proven
	Old    []string `json:"old,omitempty"`   // not yet proven dead, oldest first
	Proof  string   `json:"proof,omitempty"` // once proven
}

// String hides the values.
func (rotation) String() string { return "[redacted]" }

// GoString hides the values.
func (rotation) GoString() string { return "[redacted]" }

// maxOld bounds the values that wait to be proven dead.
const maxOld = 8

func (c *Connector) entry() string { return "rotation." + c.id }

func (c *Connector) load() (rotation, error) {
	s, err := c.vault.Get(c.entry())
	if errors.Is(err, contain.ErrNoSecret) {
		return rotation{}, nil
	}
	if err != nil {
		return rotation{}, err
	}
	var r rotation
	if err := json.Unmarshal([]byte(s.Reveal()), &r); err != nil {
		return rotation{}, fmt.Errorf("secret %s is damaged: look at the file and remove it", c.entry())
	}
	return r, nil
}

func (c *Connector) save(r rotation) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("secret %s: %w", c.entry(), err)
	}
	return c.vault.Put(c.entry(), contain.NewSecret(string(b)))
}

// Plan says what will be written. It reads the file and sends nothing.
func (c *Connector) Plan(context.Context, contain.Target, contain.Secret) (contain.Plan, error) {
	text, _, err := read(c.c.File)
	if err != nil {
		return contain.Plan{}, fmt.Errorf("plan: %w", err)
	}
	if _, _, err := find(text, c.c.Key); err != nil {
		return contain.Plan{}, fmt.Errorf("plan: env file %s: %w", c.c.File, err)
	}
	steps := []string{
		fmt.Sprintf("Keep the old value of %s in the vault until it is proven dead.", c.c.Key),
		fmt.Sprintf("Write a new random value of 32 bytes to %s in %s; nothing else in the file changes.", c.c.Key, c.c.File),
	}
	if c.c.Reload != nil {
		steps = append(steps, fmt.Sprintf("Call %s so that the app reads its file.", c.c.Reload.Place()))
	}
	steps = append(steps, fmt.Sprintf("Then %s must accept the new value and refuse the old one.", c.c.Probe.Place()))
	blast := c.c.Blast
	if blast == "" {
		blast = fmt.Sprintf("Whatever still uses the old value of %s fails once the app has read its file.", c.c.Key)
	}
	return contain.Plan{Steps: steps, Blast: blast, Undo: "It cannot be undone: the old value may be known to others. Rotate again instead."}, nil
}

// Apply rotates. It is safe to repeat:
//
//   - The vault's entry is written first, with both values. A crash after it leaves the file as it
//     was; the next Apply finds the entry and writes the value it names, not a third one.
//   - Then the file is replaced. A crash after it leaves the new value in place; the next Apply
//     finds it there and does not rotate again, under the same effect id or a later one.
//   - An effect whose rotation was proven does nothing when it comes again.
func (c *Connector) Apply(ctx context.Context, t contain.Target, _ contain.Secret, effectID string) contain.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	code, err := c.rotate(effectID)
	if err != nil {
		return contain.Result{Outcome: incident.Failed, Code: code, Proof: err.Error(), At: time.Now().UTC()}
	}
	res := contain.Result{Outcome: incident.Done, Code: code, At: time.Now().UTC()}
	res.Proof = fmt.Sprintf("%s in %s holds a new value since %s at the latest", c.c.Key, c.c.File, contain.Stamp(res.At))
	if c.c.Reload == nil {
		return res
	}
	return c.reload(ctx, t, effectID, res)
}

func (c *Connector) rotate(effectID string) (code string, err error) {
	known, err := c.load()
	if err != nil {
		return "vault", err
	}
	text, real, err := read(c.c.File)
	if err != nil {
		return "file", err
	}
	at, current, err := find(text, c.c.Key)
	if err != nil {
		return "file", fmt.Errorf("env file %s: %w", c.c.File, err)
	}
	if known.Effect == effectID && known.Proof != "" || known.New != "" && current == known.New {
		return "already_rotated", nil
	}
	next := known
	if known.New == "" || !slices.Contains(known.Old, current) {
		// A rotation of its own, or another hand has changed the file since the last one: its value
		// joins those that have to be proven dead.
		next = rotation{Effect: effectID, New: newValue(), Old: known.Old}
		if known.New != "" {
			next.Old = append(next.Old, known.New)
		}
		if current != "" {
			next.Old = append(next.Old, current)
		}
		if len(next.Old) > maxOld {
			return "too_many", fmt.Errorf("%s: %d old values are not yet proven dead: confirm the last rotation first", c.c.Key, len(next.Old))
		}
		if err := c.save(next); err != nil {
			return "vault", err
		}
	}
	if err := replace(real, put(text, at, next.New)); err != nil {
		return "file", err
	}
	return "rotated", nil
}

func newValue() string {
	var b [32]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// reload asks the app to read its file. The file is written already: what fails here is tried again.
func (c *Connector) reload(ctx context.Context, t contain.Target, effectID string, res contain.Result) contain.Result {
	r, err := c.c.Reload.Request(ctx, egress.Values{Target: t, Named: c.vault.Get})
	if err != nil {
		return contain.Result{Outcome: incident.Failed, Code: "config", Proof: fmt.Sprintf("reload.%v", err), At: time.Now().UTC()}
	}
	r.Header.Set("Idempotency-Key", effectID)
	resp, err := c.out.Send(ctx, r)
	if err != nil {
		return contain.Result{Outcome: incident.Deferred, Code: contain.CodeOf(err), Retry: 2 * time.Second, At: time.Now().UTC(),
			Proof: res.Proof + "; the app could not be asked to read it"}
	}
	res.At = resp.At
	if slices.Contains(c.c.Reload.Expect, resp.Status) {
		return res
	}
	res.Outcome, res.Code = incident.Failed, fmt.Sprintf("http %d", resp.Status)
	res.Proof += fmt.Sprintf("; asked to read it, the app answered HTTP %d", resp.Status)
	if contain.Passing(resp.Status) {
		res.Outcome, res.Retry = incident.Deferred, max(resp.RetryAfter, 2*time.Second)
	}
	return res
}

// Confirm probes that the app accepts the new value and refuses every old one, and then destroys
// the old values. A crash after the probes and before that repeats the probes.
func (c *Connector) Confirm(ctx context.Context, t contain.Target, _ contain.Secret) contain.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, err := c.load()
	switch {
	case err != nil:
		return contain.Result{Outcome: incident.Failed, Code: "vault", Proof: err.Error(), At: time.Now().UTC()}
	case known.Proof != "":
		return contain.Result{Outcome: incident.Done, Code: "already_proven", Proof: known.Proof, At: time.Now().UTC()}
	case known.New == "":
		return contain.Result{Outcome: incident.Failed, Code: "not_rotated", Proof: fmt.Sprintf("%s has not been rotated", c.c.Key), At: time.Now().UTC()}
	}
	fresh, res, ok := c.look(ctx, t, known.New, contain.Accepted)
	if !ok {
		return res
	}
	if fresh.Verdict == contain.Refused {
		return contain.Result{Outcome: incident.Failed, Code: "new_refused", At: fresh.At,
			Proof: fmt.Sprintf("%s with the new value was refused with %s at %s: the app has not read its file", c.c.Probe.Place(), fresh.Code, contain.Stamp(fresh.At))}
	}
	var last contain.Sighting
	for _, old := range known.Old {
		seen, res, ok := c.look(ctx, t, old, contain.Refused)
		if !ok {
			return res
		}
		if seen.Verdict == contain.Accepted {
			return contain.Result{Outcome: incident.Failed, Code: seen.Code, At: seen.At,
				Proof: fmt.Sprintf("%s with the old value was still accepted with %s at %s", c.c.Probe.Place(), seen.Code, contain.Stamp(seen.At))}
		}
		last = seen
	}
	proof := fmt.Sprintf("%s with the new value was accepted with %s at %s", c.c.Probe.Place(), fresh.Code, contain.Stamp(fresh.At))
	at, code := fresh.At, fresh.Code
	if len(known.Old) > 0 {
		proof = fmt.Sprintf("%s with the old value was refused with %s at %s, and with the new value accepted with %s", c.c.Probe.Place(), last.Code, contain.Stamp(last.At), fresh.Code)
		at, code = last.At, last.Code
	}
	if err := c.save(rotation{Effect: known.Effect, Proof: proof}); err != nil {
		return contain.Result{Outcome: incident.Deferred, Code: "vault", Proof: err.Error(), Retry: 2 * time.Second, At: time.Now().UTC()}
	}
	return contain.Result{Outcome: incident.Done, Code: code, Proof: proof, At: at}
}

// look probes with one value; ok is false when res is the result already.
func (c *Connector) look(ctx context.Context, t contain.Target, value string, want contain.Verdict) (seen contain.Sighting, res contain.Result, ok bool) {
	seen, err := c.c.Probe.Await(ctx, c.out, egress.Values{Target: t, Secret: contain.NewSecret(value), Named: c.vault.Get}, want)
	if err != nil {
		return seen, contain.Result{Outcome: incident.Failed, Code: "config", Proof: err.Error(), At: time.Now().UTC()}, false
	}
	if seen.Verdict == contain.Unclear {
		return seen, contain.Result{Outcome: incident.Deferred, Code: seen.Code, Retry: max(seen.Retry, 2*time.Second), At: seen.At,
			Proof: fmt.Sprintf("%s gave %s at %s, which proves nothing", c.c.Probe.Place(), seen.Code, contain.Stamp(seen.At))}, false
	}
	return seen, contain.Result{}, true
}

// Undo cannot be done.
func (c *Connector) Undo(context.Context, contain.Target, string) contain.Result {
	return contain.Result{Outcome: incident.Failed, Code: "cannot_undo", At: time.Now().UTC(),
		Proof: "a rotated secret cannot be brought back, because others may know it: rotate again"}
}
