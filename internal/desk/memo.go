package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// memo is the remembered outcome of a request, so that a caller who lost the answer (a kill, a
// dropped connection) can ask again with the same key and nothing happens twice.
type memo struct {
	Request string            `json:"request"` // digest of what was asked: a key names one request
	Outcome Outcome           `json:"outcome"`
	Refusal *incident.Refusal `json:"refusal,omitempty"`
}

// memoKey keeps the keys of different callers apart: nobody can read another's outcome by guessing.
func memoKey(req Request) string {
	return string(req.Caller.Principal) + "/" + req.ID
}

func requestDigest(req Request) (string, error) {
	asked := req.asked
	if asked == nil {
		asked = req.Command
	}
	return commandDigest(req.Incident, req.Command.Name(), asked)
}

func commandDigest(chain, name string, asked any) (string, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return "", fmt.Errorf("desk: command %s: %w", name, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s", chain, name, body)
	return hex.EncodeToString(h.Sum(nil)), nil
}

var errOtherRequest = fmt.Errorf("%w: this Idempotency-Key was used for another request: make a new one", ErrInvalid)

func replay(r ledger.Reader, req Request) (*memo, error) {
	if req.ID == "" {
		return nil, nil
	}
	body, err := r.Outcome(memoKey(req))
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m memo
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("desk: remembered outcome: %w", err)
	}
	digest, err := requestDigest(req)
	if err != nil {
		return nil, err
	}
	if m.Request != digest {
		return nil, errOtherRequest
	}
	return &m, nil
}

// answered looks for the remembered outcome before a command is worked out, for commands that cost
// something to work out or would come out differently the second time. Only the command's name is
// needed of req.Command.
func (d *Desk) answered(ctx context.Context, req Request) (out Outcome, found bool, err error) {
	if req.ID == "" {
		return out, false, nil
	}
	var m *memo
	err = d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		m, err = replay(r, req)
		return err
	})
	if err != nil || m == nil {
		return out, false, err
	}
	out = m.Outcome
	out.Replayed = true
	if m.Refusal != nil {
		return out, true, m.Refusal
	}
	return out, true, nil
}

// remember stores the outcome in the transaction of the facts: both or neither are durable.
func (d *Desk) remember(tx ledger.Tx, req Request, now time.Time, out Outcome, refused *incident.Refusal) error {
	if req.ID == "" {
		return nil
	}
	digest, err := requestDigest(req)
	if err != nil {
		return err
	}
	body, err := json.Marshal(memo{Request: digest, Outcome: out, Refusal: refused})
	if err != nil {
		return err
	}
	return tx.Command(memoKey(req), body, now)
}

// tzVersion names the time zone data that computed a due time. Go does not say which release it
// has embedded or found, so the toolchain that carries it stands for it.
func tzVersion() string { return runtime.Version() }
