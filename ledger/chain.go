package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// ChainError is what VerifyChain found: the first fact that does not hold, and why.
type ChainError struct {
	Chain string
	N     int
	ID    string
	What  string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("ledger: chain %s breaks at fact %d (%s): %s", e.Chain, e.N, e.ID, e.What)
}

// VerifyChain checks that the records of one chain follow one another and that each hash is the
// hash of what is stored. records may start in the middle of a chain; then the first one's prev
// is taken as it is. The error is a *ChainError that names the first bad fact.
//
// It needs no keys: a hash is over commitments, so it still verifies after a part was withheld or
// its key destroyed.
func VerifyChain(records []Record) error {
	for i := range records {
		r := &records[i]
		if what := r.fault(); what != "" {
			return &ChainError{r.Chain, r.N, r.ID, what}
		}
		var what string
		switch {
		case i > 0 && r.Chain != records[i-1].Chain:
			what = "it belongs to another chain than the fact before it"
		case i > 0 && r.N != records[i-1].N+1:
			what = fmt.Sprintf("it follows fact %d", records[i-1].N)
		case i > 0 && !bytes.Equal(r.Prev, records[i-1].Hash):
			what = "its prev is not the hash of the fact before it"
		case i > 0 && r.ID <= records[i-1].ID:
			what = "its id does not sort after the one before it"
		case r.N == 1 && !bytes.Equal(r.Prev, make([]byte, HashSize)):
			what = "it is the first fact and its prev is not zero"
		case r.N < 1:
			what = "positions count from 1"
		}
		if what != "" {
			return &ChainError{r.Chain, r.N, r.ID, what}
		}
	}
	return nil
}

// fault says what is wrong with a record on its own, or "".
func (r *Record) fault() string {
	h, err := parseHeader(r)
	if err != nil {
		return err.Error()
	}
	if h.Prev != HashText(r.Prev) {
		return "its header names another prev"
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		if len(p.Commit) != HashSize {
			return "a part has a malformed commitment"
		}
		if i > 0 && cmp.Or(strings.Compare(r.Parts[i-1].Merchant, p.Merchant), cmp.Compare(r.Parts[i-1].Index, p.Index)) >= 0 {
			return "its parts are not in order"
		}
	}
	if hash := r.hash(); !bytes.Equal(hash[:], r.Hash) {
		return "its hash is not the hash of what is stored"
	}
	return ""
}

// CheckAppend says whether records may follow head, the head of chain as the store has it (zero
// when the chain is empty), when the caller expects it at position expect. Every store calls it
// before it writes, so that a mistake of a caller cannot break a chain. The error is ErrConflict
// when the chain has moved on.
//
// It checks positions and links. It does not hash again what Encode has just hashed.
func CheckAppend(chain string, head Head, expect int, records []Record) error {
	if head.N != expect {
		return fmt.Errorf("%w: chain %s is at %d, not %d", ErrConflict, chain, head.N, expect)
	}
	prev := head.Hash
	if head.N == 0 {
		prev = make([]byte, HashSize)
	}
	for i := range records {
		r := &records[i]
		switch {
		case r.Chain != chain:
			return fmt.Errorf("ledger: append to chain %s: fact %s belongs to chain %s", chain, r.ID, r.Chain)
		case r.N != expect+1+i:
			return fmt.Errorf("ledger: append to chain %s: fact %s has position %d, want %d", chain, r.ID, r.N, expect+1+i)
		case !bytes.Equal(r.Prev, prev):
			return fmt.Errorf("ledger: append to chain %s: fact %s does not follow the head", chain, r.ID)
		case len(r.Hash) != HashSize || r.ID == "" || len(r.Header) == 0:
			return fmt.Errorf("ledger: append to chain %s: a record is not complete", chain)
		}
		prev = r.Hash
	}
	return nil
}
