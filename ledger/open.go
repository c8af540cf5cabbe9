package ledger

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/tocsin-ir/tocsin/incident"
)

// KeyPurpose is the purpose of the keys that seal parts; the id is the merchant, "" for a part
// that is the header's own.
const KeyPurpose = "fact"

// Keys gives the keys that seal parts. internal/keyring implements it.
type Keys interface {
	// Key returns the 32-byte key of a purpose and an id, made durably when there is none.
	Key(purpose, id string) ([]byte, error)
	// Lookup does not make one: the error is fs.ErrNotExist when there is none.
	Lookup(purpose, id string) ([]byte, error)
}

// preparer is what Keys may also have: make many keys in one durable write.
type preparer interface {
	Prepare(purpose string, ids ...string) error
}

// A sealed part is: form, fingerprint of the key, nonce, AES-256-GCM of salt and text. The
// fingerprint tells a part whose key was destroyed, which is lawful, from one that was altered.
const (
	sealedForm      = 1
	fingerprintSize = 8
	nonceSize       = 12
	sealedOverhead  = 1 + fingerprintSize + nonceSize
)

// errWithheld is the error of a part whose key is not held.
var errWithheld = errors.New("ledger: the key of a part is not held")

// Open decrypts a record. It checks each part against its commitment, but not the chain: that is
// VerifyChain.
//
// A part whose key was destroyed, or is not held here, has Withheld set and a null Body. It is no
// error, because a fold has to go on after an erasure: the header still says that the fact
// happened, and the hash still verifies. A part that was altered is an error.
func Open(r Record, keys Keys) (incident.Fact, error) { return open(r, keys, len(r.Parts)) }

// OpenForLine decrypts what incident.Render needs: the parts that are no merchant's, and those of the
// first merchant, because what is said of one merchant stands with it. The parts of other merchants keep
// their names and are Withheld, and are not looked at: a scope has one for each of fifty thousand.
func OpenForLine(r Record, keys Keys) (incident.Fact, error) {
	first := 0
	for first < len(r.Parts) && r.Parts[first].Merchant == "" {
		first++
	}
	n := first
	for n < len(r.Parts) && r.Parts[n].Merchant == r.Parts[first].Merchant {
		n++
	}
	return open(r, keys, n)
}

// open decrypts the first n parts of a record and withholds the others.
func open(r Record, keys Keys, n int) (incident.Fact, error) {
	h, err := parseHeader(&r)
	if err != nil {
		return incident.Fact{}, fmt.Errorf("ledger: open fact %s: %w", r.ID, err)
	}
	f := h.fact()
	rest := r.Parts[n:]
	r.Parts = r.Parts[:n]
	disclosed, err := Disclose(r, keys)
	if err != nil {
		return incident.Fact{}, err
	}
	if n+len(rest) > 0 {
		f.Parts = make([]incident.Part, 0, n+len(rest))
	}
	for _, d := range disclosed {
		f.Parts = append(f.Parts, incident.Part{Merchant: d.Merchant, Index: d.Index, Body: d.Body, Withheld: d.Withheld})
	}
	for i := range rest {
		f.Parts = append(f.Parts, incident.Part{Merchant: rest[i].Merchant, Index: rest[i].Index, Withheld: true})
	}
	return f, nil
}

// Disclosed is a part as an export shows it. Commit is SHA-256 of Salt and Body, so whoever has
// both can check it. A withheld part has neither.
type Disclosed struct {
	Merchant string
	Index    int
	Commit   []byte
	Salt     []byte
	Body     json.RawMessage
	Withheld bool
}

// Disclose decrypts the parts of a record for an export, in order of merchant and index.
func Disclose(r Record, keys Keys) ([]Disclosed, error) {
	parts := make([]Disclosed, len(r.Parts))
	for i := range r.Parts {
		p := &r.Parts[i]
		parts[i] = Disclosed{Merchant: p.Merchant, Index: p.Index, Commit: p.Commit}
		salted, err := openPart(r.ID, p, keys)
		switch {
		case errors.Is(err, errWithheld):
			parts[i].Withheld = true
		case err != nil:
			return nil, fmt.Errorf("ledger: open fact %s: part %d of merchant %q: %w", r.ID, p.Index, p.Merchant, err)
		default:
			parts[i].Salt, parts[i].Body = salted[:saltSize:saltSize], salted[saltSize:]
		}
	}
	return parts, nil
}

func openPart(id string, p *SealedPart, keys Keys) ([]byte, error) {
	if len(p.Sealed) < sealedOverhead || p.Sealed[0] != sealedForm {
		return nil, errors.New("its sealed form is unknown")
	}
	key, err := keys.Lookup(KeyPurpose, p.Merchant)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errWithheld
	}
	if err != nil {
		return nil, err
	}
	held := fingerprint(key)
	if subtle.ConstantTimeCompare(held[:], p.Sealed[1:1+fingerprintSize]) != 1 {
		return nil, errWithheld // the key it was sealed with was destroyed and a newer one took its place
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	nonce := p.Sealed[1+fingerprintSize : sealedOverhead]
	salted, err := aead.Open(nil, nonce, p.Sealed[sealedOverhead:], partContext(id, p.Merchant, p.Index))
	if err != nil || len(salted) < saltSize {
		return nil, errors.New("it was altered: it does not open with its key")
	}
	if commit := sha256.Sum256(salted); subtle.ConstantTimeCompare(commit[:], p.Commit) != 1 {
		return nil, errors.New("it was altered: its text is not what its commitment says")
	}
	return salted, nil
}

// sealPart encrypts a salted text under key, bound to its place by context.
func sealPart(key, context, salted []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, sealedOverhead, sealedOverhead+len(salted)+aead.Overhead())
	sealed[0] = sealedForm
	held := fingerprint(key)
	copy(sealed[1:], held[:])
	nonce := sealed[1+fingerprintSize : sealedOverhead]
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(sealed, nonce, salted, context), nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("its key has %d bytes, want 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// fingerprint names a key without giving it away.
func fingerprint(key []byte) [fingerprintSize]byte {
	sum := sha256.Sum256(append([]byte("tocsin-key-fingerprint/v1\n"), key...))
	return [fingerprintSize]byte(sum[:])
}

// partContext is what a sealed part is bound to, so that it cannot be moved to another place.
func partContext(id, merchant string, index int) []byte {
	context := make([]byte, 0, 64)
	context = append(context, "tocsin-part/v1\n"...)
	context = append(context, id...)
	context = append(context, '\n')
	context = append(context, merchant...)
	context = append(context, '\n')
	return strconv.AppendInt(context, int64(index), 10)
}
