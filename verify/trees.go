package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// tree is a log as the export shows it.
type tree struct {
	name   string // facts or events
	origin string
	size   uint64
	root   []byte
	leaves [][]byte
}

// checkpoint is a parsed signed state of a log.
type checkpoint struct {
	origin string
	size   uint64
	root   []byte
}

// readKeys reads keys.txt and compares it to the keys that were given.
func (c *checker) readKeys() error {
	raw, ok := c.read("keys.txt")
	if !ok {
		return errStop
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if len(lines) != 2 {
		c.find(CodeKeys, "keys.txt", "it does not hold two verifier keys")
		return errStop
	}
	c.keys = map[string]note.Verifier{}
	for i, origin := range []string{c.manifest.FactsLog, c.manifest.EventsLog} {
		v, err := note.NewVerifier(lines[i])
		if err != nil || v.Name() != origin {
			c.find(CodeKeys, "keys.txt", "line %d is not the verifier key of the log it stands for", i+1)
			return errStop
		}
		c.keys[origin] = v
	}
	if len(c.keys) != 2 {
		c.find(CodeKeys, "keys.txt", "both logs have one name")
		return errStop
	}
	// A given key replaces the export's own word for it, whatever else is wrong.
	for _, text := range c.o.Keys {
		v, err := note.NewVerifier(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("verify: a key that was given is not a note verifier key")
		}
		if !slices.Contains(lines, strings.TrimSpace(text)) {
			c.find(CodeKeys, "keys.txt", "the key given for %s is not the export's", safe(v.Name()))
		}
		if c.keys[v.Name()] != nil {
			c.keys[v.Name()] = v
		}
	}
	return nil
}

// checkEnvelopeKey checks the signature over the whole.
func (c *checker) checkEnvelopeKey() error {
	v := c.keys[c.manifest.FactsLog]
	if n, err := note.Open(c.archive.note, note.VerifierList(v)); err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		c.find(CodeEnvelope, "", "the signature is not by the key of %s", safe(c.manifest.FactsLog))
	}
	return nil
}

// openCheckpoint checks signature and form of a checkpoint of either log.
func (c *checker) openCheckpoint(raw []byte) (checkpoint, error) {
	origin, _, _ := strings.Cut(string(raw), "\n")
	v := c.keys[origin]
	if v == nil {
		return checkpoint{}, errors.New("it is of another log")
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		return checkpoint{}, fmt.Errorf("it is not signed by the key of %s", safe(origin))
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 {
		return checkpoint{}, errors.New("it is not a checkpoint")
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	root, err2 := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || err2 != nil || len(root) != rfc6962.DefaultHasher.Size() || strconv.FormatUint(size, 10) != lines[1] {
		return checkpoint{}, errors.New("it is not a checkpoint")
	}
	return checkpoint{origin, size, root}, nil
}

// readTrees reads both logs and recomputes their roots.
func (c *checker) readTrees() error {
	var stop bool
	for _, t := range []struct {
		to     *tree
		name   string
		origin string
		out    *Tree
	}{{&c.facts, "facts", c.manifest.FactsLog, &c.report.FactsLog}, {&c.events, "events", c.manifest.EventsLog, &c.report.EventsLog}} {
		t.to.name, t.to.origin = t.name, t.origin
		raw, ok := c.read(t.name + ".checkpoint")
		list, ok2 := c.read(t.name + ".leaves")
		if !ok || !ok2 {
			stop = true
			continue
		}
		cp, err := c.openCheckpoint(raw)
		if err == nil && cp.origin != t.origin {
			err = errors.New("it is of the other log")
		}
		if err != nil {
			c.find(CodeCheckpoint, t.name+".checkpoint", "%v", err)
		}
		t.to.size, t.to.root = cp.size, cp.root
		if t.to.leaves, ok = parseLeaves(list); !ok {
			c.find(CodeTree, t.name+".leaves", "it is not a list of hashes")
			stop = true
			continue
		}
		*t.out = Tree{t.origin, cp.size, base64.StdEncoding.EncodeToString(cp.root)}
		if err != nil {
			continue
		}
		roots := t.to.roots([]uint64{uint64(len(t.to.leaves))})
		switch {
		case uint64(len(t.to.leaves)) != cp.size:
			c.find(CodeTree, t.name+".leaves", "it has %d leaves and the checkpoint covers %d", len(t.to.leaves), cp.size)
		case !bytes.Equal(roots[cp.size], cp.root):
			c.find(CodeTree, t.name+".leaves", "the leaves do not give the root that the checkpoint signs")
		default:
			c.signed = append(c.signed, signedNote{cp, raw})
		}
	}
	if stop {
		return errStop
	}
	return nil
}

func parseLeaves(raw []byte) ([][]byte, bool) {
	const width = 2*32 + 1
	if len(raw)%width != 0 {
		return nil, false
	}
	out := make([][]byte, 0, len(raw)/width)
	for line := range slices.Chunk(raw, width) {
		h := make([]byte, 32)
		if _, err := hex.Decode(h, line[:width-1]); err != nil || line[width-1] != '\n' || bytes.ContainsAny(line, "ABCDEF") {
			return nil, false
		}
		out = append(out, h)
	}
	return out, true
}

// roots returns the RFC 6962 root of each of the sizes, in one pass over the leaves. Sizes beyond
// the leaves are left out.
func (t *tree) roots(sizes []uint64) map[uint64][]byte {
	want := map[uint64]bool{}
	for _, s := range sizes {
		want[s] = true
	}
	out := map[uint64][]byte{}
	if want[0] {
		out[0] = rfc6962.DefaultHasher.EmptyRoot()
	}
	r := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for i, leaf := range t.leaves {
		if r.Append(leaf, nil) != nil {
			return out
		}
		if size := uint64(i + 1); want[size] {
			if root, err := r.GetRootHash(nil); err == nil {
				out[size] = root
			}
		}
	}
	return out
}

// earlier is a checkpoint that has to be a state of a log of the export.
type earlier struct {
	checkpoint
	file string
	what string
	raw  []byte
}

// consistent checks earlier checkpoints against the leaves and returns those that are states of
// their log.
func (c *checker) consistent(list []earlier) []earlier {
	var ok []earlier
	for _, t := range []*tree{&c.facts, &c.events} {
		var sizes []uint64
		for _, e := range list {
			if e.origin == t.origin {
				sizes = append(sizes, e.size)
			}
		}
		roots := t.roots(sizes)
		for _, e := range list {
			if e.origin != t.origin {
				continue
			}
			root, known := roots[e.size]
			switch {
			case !known:
				c.find(CodeConsistency, e.file, "%s covers %d leaves of %s and the export shows %d: the log was cut, or the export is older",
					e.what, e.size, t.origin, len(t.leaves))
			case !bytes.Equal(root, e.root):
				c.find(CodeConsistency, e.file, "%s is no earlier state of %s: the log was rewritten", e.what, t.origin)
			default:
				ok = append(ok, e)
			}
		}
	}
	return ok
}

// checkPublished checks every checkpoint that went out.
func (c *checker) checkPublished() error {
	const name = "checkpoints.ndjson"
	var list []earlier
	c.lines(name, CodeCheckpoint, func(n int, line []byte) {
		var p struct {
			Log   string `json:"log"`
			Size  uint64 `json:"size"`
			Note  string `json:"note"`
			Where string `json:"where"`
		}
		if err := strict(line, &p); err != nil {
			c.find(CodeCheckpoint, name, "line %d is not a checkpoint that went out", n)
			return
		}
		cp, err := c.openCheckpoint([]byte(p.Note))
		if err == nil && (cp.origin != p.Log || cp.size != p.Size) {
			err = errors.New("log or size are not the checkpoint's")
		}
		if err != nil {
			c.find(CodeCheckpoint, name, "line %d: %v", n, err)
			return
		}
		list = append(list, earlier{cp, name, fmt.Sprintf("the checkpoint of line %d", n), []byte(p.Note)})
	})
	states := c.consistent(list)
	for _, e := range states {
		c.signed = append(c.signed, signedNote{e.checkpoint, e.raw})
	}
	c.report.Checkpoints = len(states)
	return nil
}

// checkSince checks the checkpoints that the checker kept: the only thing here that does not come
// from the export.
func (c *checker) checkSince() error {
	var list []earlier
	for i, raw := range c.o.Since {
		cp, err := c.openCheckpoint(raw)
		if err != nil {
			c.find(CodeConsistency, "", "kept checkpoint %d: %v", i+1, err)
			continue
		}
		list = append(list, earlier{cp, "", fmt.Sprintf("kept checkpoint %d", i+1), raw})
	}
	for _, e := range c.consistent(list) {
		if e.size == 0 {
			continue // every log was empty once: that proves nothing
		}
		c.sinceFacts = c.sinceFacts || e.origin == c.facts.origin
		c.report.Against = append(c.report.Against, fmt.Sprintf("%s %d", e.origin, e.size))
	}
	return nil
}
