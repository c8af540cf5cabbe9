package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	cosignature "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/leaf"
)

// EventProofForm is the form that EventProof.Proof names.
const EventProofForm = "tocsin-event/v1"

// MaxEventProof bounds the proof of one event, in bytes.
const MaxEventProof = 1 << 20

// EventProof proves one event of the access log. What else its leaf holds stays sealed.
type EventProof struct {
	Proof      string       `json:"proof"` // EventProofForm
	Log        string       `json:"log"`   // origin of the log
	Key        string       `json:"key"`   // its verifier key, as it says itself
	Checkpoint string       `json:"checkpoint"`
	Leaf       ProvenLeaf   `json:"leaf"`
	Event      ProvenEvent  `json:"event"`
	Since      *ProvenSince `json:"since,omitempty"`
}

// ProvenLeaf is a leaf as it is stored, and its audit path in the tree of the checkpoint.
type ProvenLeaf struct {
	Index  uint64   `json:"index"`
	Stored []byte   `json:"stored"`
	Path   [][]byte `json:"path"`
}

// ProvenEvent is one event of the leaf, in canonical form, with its salt and its path to the root
// that the leaf's header names.
type ProvenEvent struct {
	N     int             `json:"n"` // from 0
	Of    int             `json:"of"`
	Salt  []byte          `json:"salt"`
	Path  [][]byte        `json:"path"`
	Event json.RawMessage `json:"event"`
}

// ProvenSince proves that the tree of Size leaves is the beginning of the checkpoint's.
type ProvenSince struct {
	Size uint64   `json:"size"`
	Path [][]byte `json:"path"`
}

// EventReport is what checking the proof of one event came to.
type EventReport struct {
	OK        bool            `json:"ok"`
	Verdict   string          `json:"verdict"`
	Log       string          `json:"log,omitempty"`
	Leaf      uint64          `json:"leaf"`
	N         int             `json:"n"`
	Size      uint64          `json:"size"`            // leaves that the checkpoint covers
	Event     json.RawMessage `json:"event,omitempty"` // as it was proven; absent while a finding stands
	KeyGiven  bool            `json:"key_given"`
	Against   []string        `json:"against,omitempty"`
	Witnessed []string        `json:"witnessed,omitempty"`
	Findings  []Finding       `json:"findings"`
}

// Event checks the proof of one event. The error is about what the checker brought along, never
// about the proof.
func Event(raw []byte, o Options) (EventReport, error) {
	c := &eventChecker{o: o}
	c.report.Findings, c.report.KeyGiven = []Finding{}, len(o.Keys) > 0
	if err := c.run(raw); err != nil {
		return EventReport{}, err
	}
	r := &c.report
	if r.OK = len(r.Findings) == 0; !r.OK {
		r.Event = nil
		r.Verdict = refused(len(r.Findings))
		return *r, nil
	}
	r.Event = c.proof.Event.Event
	r.Verdict = "internally consistent only"
	if len(r.Against)+len(r.Witnessed) > 0 {
		r.Verdict = "verified"
		if len(r.Against) > 0 {
			r.Verdict += " against " + strings.Join(r.Against, " and ")
		}
		if len(r.Witnessed) > 0 {
			r.Verdict += ", signed by " + strings.Join(r.Witnessed, " and ")
		}
	}
	return *r, nil
}

type eventChecker struct {
	o      Options
	proof  EventProof
	report EventReport
}

func (c *eventChecker) find(code Code, format string, args ...any) {
	c.report.Findings = append(c.report.Findings, Finding{Code: code, What: fmt.Sprintf(format, args...)})
}

func (c *eventChecker) run(raw []byte) error {
	if len(raw) > MaxEventProof {
		c.find(CodeArchive, "the proof is larger than %d bytes", MaxEventProof)
		return nil
	}
	if err := strict(raw, &c.proof); err != nil || c.proof.Proof != EventProofForm {
		c.find(CodeManifest, "it is not the proof of an event in the form %s", EventProofForm)
		return nil
	}
	p := &c.proof
	c.report.Log, c.report.Leaf, c.report.N = safe(p.Log), p.Leaf.Index, p.Event.N
	key, err := c.key()
	if err != nil || key == nil {
		return err
	}
	signed := &checker{keys: map[string]note.Verifier{p.Log: key}}
	cp, err := signed.openCheckpoint([]byte(p.Checkpoint))
	if err != nil {
		c.find(CodeCheckpoint, "%v", err)
		return nil
	}
	c.report.Size = cp.size
	c.contained(cp)
	of := 0
	for i, raw := range c.o.Since {
		if origin, _, _ := strings.Cut(string(raw), "\n"); origin != p.Log {
			continue // a checkpoint of another log says nothing of this one
		}
		of++
		kept, err := signed.openCheckpoint(raw)
		if err != nil {
			c.find(CodeConsistency, "kept checkpoint %d: %v", i+1, err)
			continue
		}
		c.since(i+1, kept, cp)
	}
	if of == 0 && len(c.o.Since) > 0 {
		c.find(CodeConsistency, "none of the kept checkpoints is of %s", safe(p.Log))
	}
	for _, text := range c.o.Witnesses {
		v, err := cosignature.NewVerifierForCosignatureV1(strings.TrimSpace(text))
		if err != nil {
			return errors.New("verify: a witness key that was given is not the verifier key of a witness")
		}
		if !bears([]byte(p.Checkpoint), v) {
			c.find(CodeWitness, "%s has not signed the checkpoint", safe(v.Name()))
			continue
		}
		c.report.Witnessed = append(c.report.Witnessed, fmt.Sprintf("%s (%s %d)", v.Name(), cp.origin, cp.size))
	}
	return nil
}

// key is the log's key: the one that was given, or the proof's own word for it.
func (c *eventChecker) key() (note.Verifier, error) {
	own, err := note.NewVerifier(c.proof.Key)
	if err != nil || own.Name() != c.proof.Log {
		c.find(CodeKeys, "the key is not the verifier key of the log it stands for")
		return nil, nil
	}
	for _, text := range c.o.Keys {
		v, err := note.NewVerifier(strings.TrimSpace(text))
		if err != nil {
			return nil, errors.New("verify: a key that was given is not a note verifier key")
		}
		if v.Name() == c.proof.Log {
			if strings.TrimSpace(text) != c.proof.Key {
				c.find(CodeKeys, "the key given for %s is not the proof's", safe(v.Name()))
			}
			return v, nil
		}
	}
	if len(c.o.Keys) > 0 {
		c.find(CodeKeys, "no key was given for %s", safe(c.proof.Log))
	}
	return own, nil
}

// contained checks that the event is in the leaf and the leaf in the tree.
func (c *eventChecker) contained(cp checkpoint) {
	p := &c.proof
	header, _, err := leaf.Parse(p.Leaf.Stored)
	if err != nil {
		c.find(CodeLeaf, "the leaf does not have the form of a leaf")
		return
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Leaf.Index, cp.size, rfc6962.DefaultHasher.HashLeaf(p.Leaf.Stored), p.Leaf.Path, cp.root); err != nil {
		c.find(CodeLeaf, "the leaf is not leaf %d of the tree that the checkpoint signs", p.Leaf.Index)
	}
	if p.Event.Of != header.Events() || len(p.Event.Salt) != leaf.SaltLen {
		c.find(CodeEvent, "the event does not say of how many it is one, or has no salt")
		return
	}
	path := make([][leaf.HashLen]byte, len(p.Event.Path))
	for i, h := range p.Event.Path {
		if len(h) != leaf.HashLen {
			c.find(CodeEvent, "its path is not made of hashes")
			return
		}
		copy(path[i][:], h)
	}
	root, err := leaf.RootFromPath(leaf.EventHash(p.Event.Salt, p.Event.Event), p.Event.N, p.Event.Of, path)
	if err != nil || root != header.Root {
		c.find(CodeEvent, "the event is not event %d of the leaf", p.Event.N)
	}
}

// since checks one kept checkpoint against the proof's.
func (c *eventChecker) since(n int, kept, cp checkpoint) {
	ok := false
	switch s := c.proof.Since; {
	case kept.size == 0:
		return // every log was empty once: that proves nothing
	case kept.size == cp.size:
		ok = bytes.Equal(kept.root, cp.root)
	case s != nil && s.Size == kept.size:
		ok = proof.VerifyConsistency(rfc6962.DefaultHasher, kept.size, cp.size, s.Path, kept.root, cp.root) == nil
	default:
		c.find(CodeConsistency, "kept checkpoint %d covers %d leaves, and the proof does not start there: ask for one with --since", n, kept.size)
		return
	}
	if !ok {
		c.find(CodeConsistency, "kept checkpoint %d is no earlier state of %s: the log was rewritten", n, safe(cp.origin))
		return
	}
	if against := fmt.Sprintf("%s %d", kept.origin, kept.size); !slices.Contains(c.report.Against, against) {
		c.report.Against = append(c.report.Against, against)
	}
}
