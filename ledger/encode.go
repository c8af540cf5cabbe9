package ledger

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/tocsin-ir/tocsin/incident"
)

// Limits of a fact, in bytes of plain text.
const (
	MaxFact = 32 << 20 // header and all parts together; a scope over 100,000 merchants fits
	MaxPart = 64 << 10
	maxName = 200 // a chain, kind or merchant
)

// ErrTooLarge says that a fact is larger than one may be.
var ErrTooLarge = errors.New("too large")

// saltSize is the number of random bytes before a part's text, so that a commitment to a short
// text cannot be guessed.
const saltSize = 32

// Encode turns facts into records that follow prev in one chain: it gives ids, seals the parts
// and chains the hashes. prev.N is 0 for an empty chain. Nothing is stored yet.
//
// The facts are brought into the form in which a later reader will see them, in place: ids are
// set, times are UTC, parts stand in order of merchant and index, and bodies are canonical. So
// what the caller folds now and what Open returns later are the same.
//
// An id is a ULID whose time is Recorded; within a chain ids always ascend, also when Recorded
// does not.
func Encode(facts []incident.Fact, prev Head, keys Keys) ([]Record, error) {
	records := make([]Record, len(facts))
	hash := prev.Hash
	if prev.N == 0 {
		hash = make([]byte, HashSize)
	}
	if len(hash) != HashSize {
		return nil, fmt.Errorf("ledger: the head of chain %s has a hash of %d bytes", prev.Chain, len(hash))
	}
	lastID := prev.ID
	for i := range facts {
		f := &facts[i]
		if f.ID != "" {
			return nil, fmt.Errorf("ledger: fact %s has an id already: ids are given by the ledger", f.ID)
		}
		if err := check(f, cmp.Or(prev.Chain, facts[0].Chain)); err != nil {
			return nil, fmt.Errorf("ledger: encode %s for chain %s: %w", f.Kind, f.Chain, err)
		}
		id, err := nextID(f, lastID)
		if err != nil {
			return nil, fmt.Errorf("ledger: encode %s for chain %s: %w", f.Kind, f.Chain, err)
		}
		r, err := encode(f, id, hash, keys)
		if err != nil {
			return nil, fmt.Errorf("ledger: encode %s for chain %s: %w", f.Kind, f.Chain, err)
		}
		r.N = prev.N + i + 1
		records[i], hash, lastID = r, r.Hash, id
	}
	return records, nil
}

// check says what of a fact cannot be kept.
func check(f *incident.Fact, chain string) error {
	switch {
	case f.Chain == "" || f.Chain != chain:
		return fmt.Errorf("it belongs to chain %q, not %q", f.Chain, chain)
	case f.Kind == "":
		return errors.New("it has no kind")
	case f.Principal == "":
		return errors.New("it has no principal")
	case f.Recorded.IsZero():
		return errors.New("it has no recorded time")
	}
	for _, name := range []string{f.Chain, string(f.Kind)} {
		if err := checkName(name); err != nil {
			return err
		}
	}
	size := len(f.Body)
	for i := range f.Parts {
		p := &f.Parts[i]
		if err := checkName(p.Merchant); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		if p.Index < 0 {
			return fmt.Errorf("part %d of merchant %q has a negative index", i, p.Merchant)
		}
		if len(p.Body) > MaxPart {
			return fmt.Errorf("%w: part %d of merchant %q is %d bytes, the limit is %d", ErrTooLarge, p.Index, p.Merchant, len(p.Body), MaxPart)
		}
		size += len(p.Body)
	}
	if size > MaxFact {
		return fmt.Errorf("%w: it is %d bytes, the limit is %d", ErrTooLarge, size, MaxFact)
	}
	return nil
}

func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("a name is %d bytes, the limit is %d", len(name), maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("a name has a control character or is not UTF-8")
	}
	return nil
}

// nextID returns a new ULID that sorts after last.
func nextID(f *incident.Fact, last string) (string, error) {
	ms := f.Recorded.UnixMilli()
	if ms < 0 {
		return "", errors.New("it was recorded before 1970")
	}
	var id ulid.ULID
	if last != "" {
		before, err := ulid.ParseStrict(last)
		if err != nil {
			return "", errors.New("the fact before it has an id that is no ULID")
		}
		if uint64(ms) <= before.Time() {
			return increment(before).String(), nil
		}
	}
	if err := id.SetTime(uint64(ms)); err != nil {
		return "", fmt.Errorf("its recorded time does not fit an id: %w", err)
	}
	_, _ = rand.Read(id[6:]) // never fails
	return id.String(), nil
}

// increment adds a random step to an id. A carry may reach the time, which then is a millisecond
// late: order matters more.
func increment(id ulid.ULID) ulid.ULID {
	var step [4]byte
	_, _ = rand.Read(step[:]) // never fails
	low := binary.BigEndian.Uint64(id[8:])
	sum := low + uint64(binary.BigEndian.Uint32(step[:])) + 1
	binary.BigEndian.PutUint64(id[8:], sum)
	if sum < low {
		binary.BigEndian.PutUint64(id[:8], binary.BigEndian.Uint64(id[:8])+1)
	}
	return id
}

// encode makes the record of one fact that has passed check.
func encode(f *incident.Fact, id string, prev []byte, keys Keys) (Record, error) {
	f.ID = id
	f.Occurred, f.Recorded, f.Real = f.Occurred.UTC().Round(0), f.Recorded.UTC().Round(0), f.Real.UTC().Round(0)
	slices.SortFunc(f.Parts, func(a, b incident.Part) int {
		return cmp.Or(strings.Compare(a.Merchant, b.Merchant), cmp.Compare(a.Index, b.Index))
	})
	head, err := appendHeader(make([]byte, 0, 512+len(f.Body)), f, prev)
	if err != nil {
		return Record{}, err
	}
	if len(head) > MaxFact {
		return Record{}, fmt.Errorf("%w: its header is %d bytes, the limit is %d", ErrTooLarge, len(head), MaxFact)
	}
	if f.Body != nil {
		if f.Body, err = Canonical(f.Body); err != nil {
			return Record{}, err
		}
	}
	parts, err := seal(f, keys)
	if err != nil {
		return Record{}, err
	}
	r := Record{Chain: f.Chain, ID: id, Kind: string(f.Kind), Header: head, Prev: bytes.Clone(prev), Parts: parts, Anchor: -1}
	hash := r.hash()
	r.Hash = hash[:]
	return r, nil
}

// seal commits to each part of f and encrypts it.
func seal(f *incident.Fact, keys Keys) ([]SealedPart, error) {
	if len(f.Parts) == 0 {
		return nil, nil
	}
	if p, ok := keys.(preparer); ok && len(f.Parts) > 1 {
		merchants := make([]string, len(f.Parts))
		for i := range f.Parts {
			merchants[i] = f.Parts[i].Merchant
		}
		if err := p.Prepare(KeyPurpose, slices.Compact(merchants)...); err != nil {
			return nil, err
		}
	}
	parts := make([]SealedPart, len(f.Parts))
	for i := range f.Parts {
		p := &f.Parts[i]
		if i > 0 && f.Parts[i-1].Merchant == p.Merchant && f.Parts[i-1].Index == p.Index {
			return nil, fmt.Errorf("two parts of merchant %q have index %d", p.Merchant, p.Index)
		}
		body, err := Canonical(p.Body)
		if err != nil {
			return nil, fmt.Errorf("part %d of merchant %q: %w", p.Index, p.Merchant, err)
		}
		if len(body) > MaxPart {
			return nil, fmt.Errorf("%w: part %d of merchant %q is %d bytes, the limit is %d", ErrTooLarge, p.Index, p.Merchant, len(body), MaxPart)
		}
		p.Body, p.Withheld = body, false
		salted := make([]byte, saltSize+len(body))
		_, _ = rand.Read(salted[:saltSize]) // never fails
		copy(salted[saltSize:], body)
		commit := sha256.Sum256(salted)
		key, err := keys.Key(KeyPurpose, p.Merchant)
		if err != nil {
			return nil, fmt.Errorf("part %d of merchant %q: %w", p.Index, p.Merchant, err)
		}
		parts[i] = SealedPart{Merchant: p.Merchant, Index: p.Index, Commit: commit[:]}
		if parts[i].Sealed, err = sealPart(key, partContext(f.ID, p.Merchant, p.Index), salted); err != nil {
			return nil, fmt.Errorf("part %d of merchant %q: %w", p.Index, p.Merchant, err)
		}
	}
	return parts, nil
}

// Sum computes the hash that the record's header and commitments give. It equals Hash unless
// somebody has changed one of them.
func (r *Record) Sum() []byte {
	h := r.hash()
	return h[:]
}

// hash is the fact's hash: the RFC 6962 tree over its header and its parts' commitments.
func (r *Record) hash() [HashSize]byte {
	leaves := make([][HashSize]byte, 1+len(r.Parts))
	leaves[0] = leafHash(r.Header)
	buf := make([]byte, 0, 256)
	for i := range r.Parts {
		buf = appendPartLeaf(buf[:0], &r.Parts[i])
		leaves[1+i] = leafHash(buf)
	}
	return treeHash(leaves)
}

// appendPartLeaf writes the leaf that stands for a part in its fact's tree, in the form of RFC 8785.
func appendPartLeaf(dst []byte, p *SealedPart) []byte {
	dst = append(dst, `{"commit":"`+hashPrefix...)
	dst = hex.AppendEncode(dst, p.Commit)
	dst = append(dst, `","index":`...)
	dst = strconv.AppendInt(dst, int64(p.Index), 10)
	if p.Merchant != "" {
		dst = append(dst, `,"merchant":`...)
		dst = appendText(dst, p.Merchant)
	}
	return append(dst, '}')
}

// LeafData is what the facts log holds of a fact: its id and its hash.
func LeafData(id string, hash []byte) []byte {
	return []byte(leafPrefix + id + "\n" + HashText(hash) + "\n")
}

// leafPrefix starts every leaf of the facts log.
const leafPrefix = "tocsin-fact/v1\n"

// ParseLeaf reads what LeafData writes.
func ParseLeaf(data []byte) (id string, hash []byte, err error) {
	rest, ok := strings.CutPrefix(string(data), leafPrefix)
	id, rest, ok2 := strings.Cut(rest, "\n")
	text, ok3 := strings.CutSuffix(rest, "\n")
	if !ok || !ok2 || !ok3 || id == "" {
		return "", nil, errors.New("ledger: a leaf of the facts log is three lines: tocsin-fact/v1, id, hash")
	}
	if hash, err = ParseHash(text); err != nil {
		return "", nil, err
	}
	return id, hash, nil
}
