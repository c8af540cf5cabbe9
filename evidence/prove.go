package evidence

import (
	"context"
	"fmt"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/verify"
)

// Prover is the events log as the proof of one event needs it; internal/translog implements it.
type Prover interface {
	Origin() string
	// Await returns a signed checkpoint that covers at least size leaves.
	Await(ctx context.Context, size uint64) (note []byte, have uint64, err error)
	// Inclusion returns the audit path of a leaf in the tree of the given size.
	Inclusion(ctx context.Context, index, size uint64) ([][]byte, error)
	// Consistency returns the proof that the tree of the smaller size is the beginning of the other.
	Consistency(ctx context.Context, smaller, larger uint64) ([][]byte, error)
}

// Prove proves one event to somebody who trusts nobody: the leaf as it is stored, which stays
// sealed, and in it that event alone. With since, the size of an earlier checkpoint that the other
// side kept, it also proves that the log was not rewritten since. Key is the log's verifier key.
func Prove(ctx context.Context, log Prover, events Events, key string, seq int64, since uint64) ([]byte, error) {
	var out verify.EventProof
	err := events.Disclose(ctx, []int64{seq}, func(l accesslog.Leaf) error {
		d := l.Events[0]
		out.Leaf.Index, out.Leaf.Stored = l.Index, l.Stored
		out.Event = verify.ProvenEvent{N: d.N, Of: l.Of, Salt: d.Salt, Event: d.Event, Path: make([][]byte, len(d.Path))}
		for i, p := range d.Path {
			out.Event.Path[i] = p[:]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("evidence: prove an event: %w", err)
	}
	checkpoint, size, err := log.Await(ctx, max(out.Leaf.Index+1, since))
	if err != nil {
		return nil, fmt.Errorf("evidence: prove an event: %w", err)
	}
	out.Proof, out.Log, out.Key, out.Checkpoint = verify.EventProofForm, log.Origin(), key, string(checkpoint)
	if out.Leaf.Path, err = log.Inclusion(ctx, out.Leaf.Index, size); err != nil {
		return nil, fmt.Errorf("evidence: prove an event: %w", err)
	}
	if since > 0 {
		out.Since = &verify.ProvenSince{Size: since}
		if out.Since.Path, err = log.Consistency(ctx, since, size); err != nil {
			return nil, fmt.Errorf("evidence: prove an event: %w", err)
		}
	}
	raw, err := marshal(out) // the event's bytes are what was hashed: nothing may set them out anew
	if err != nil {
		return nil, fmt.Errorf("evidence: prove an event: %w", err)
	}
	return append(raw, '\n'), nil
}
