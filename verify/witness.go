package verify

import (
	"fmt"
	"strings"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// signedNote is a checkpoint that has been found to be a state of a log of the export, as it was
// signed.
type signedNote struct {
	checkpoint
	raw []byte
}

// checkWitnesses looks for the newest state of each log that each of the given witnesses signed. A
// witness signs only what is consistent with all it has signed before, so its signature says what a
// kept checkpoint says: up to there the log was not rewritten.
func (c *checker) checkWitnesses() error {
	for _, text := range c.o.Witnesses {
		v, err := cosignature.NewVerifierForCosignatureV1(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("verify: a witness key that was given is not the verifier key of a witness")
		}
		for _, t := range []*tree{&c.facts, &c.events} {
			size := uint64(0)
			for _, s := range c.signed {
				if s.origin == t.origin && s.size > size && bears(s.raw, v) {
					size = s.size
				}
			}
			if size == 0 {
				if len(t.leaves) > 0 {
					c.find(CodeWitness, t.name+".checkpoint", "%s has signed no state of %s", safe(v.Name()), safe(t.origin))
				}
				continue
			}
			c.sinceFacts = c.sinceFacts || t == &c.facts
			c.report.Witnessed = append(c.report.Witnessed, fmt.Sprintf("%s (%s %d)", v.Name(), t.origin, size))
		}
	}
	return nil
}

// bears reports whether a note bears a signature by the key.
func bears(raw []byte, v note.Verifier) bool {
	n, err := note.Open(raw, note.VerifierList(v))
	return err == nil && len(n.Sigs) == 1
}
