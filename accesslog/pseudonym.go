package accesslog

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
)

// TokenLen is the length of a pseudonym in bytes.
const TokenLen = 16

// Keys is what the access log needs of a keyring: AES-256 keys by purpose and id, made on first
// use. Purposes are "pseudonym" (id: merchant) and "epoch" (id: UTC day, YYYY-MM-DD).
type Keys interface {
	Key(purpose, id string) ([]byte, error)
}

// preparer is what Keys may also have: make many keys in one durable write, so that the first
// batch about three hundred merchants waits for the disk once.
type preparer interface {
	Prepare(purpose string, ids ...string) error
}

// looker is what Keys may also have: find a key without making one, so that reading after a key
// was destroyed does not make another.
type looker interface {
	Lookup(purpose, id string) ([]byte, error)
}

// pseudonyms turns identifiers into tokens. It keeps a keyed hash per merchant, because starting
// an HMAC costs more than finishing one.
type pseudonyms struct {
	keys  Keys
	ends  sync.RWMutex // held to write while a key is destroyed, so that no pool of it is kept after that
	pools sync.Map     // merchant → *pool
	held  atomic.Int64 // pools, about
}

// noMerchant is the id of the key for what belongs to no merchant. No merchant can be called so.
const noMerchant = "*"

// maxPools bounds the keyed hashes that are kept; beyond it they start over. A sender that invents
// merchants costs disk, as every event does, and not memory.
const maxPools = 20_000

// token is HMAC-SHA256(merchant's key, kind 0x00 identifier), cut to 16 bytes, in hex. Kind is part of
// the input so that account 7 and telephone 7 are not the same person.
func (p *pseudonyms) token(merchant, kind, normal string) (string, error) {
	pool, err := p.pool(merchant, p.keys.Key)
	if err != nil {
		return "", err
	}
	sum := pool.sum(kind, normal)
	var text [2 * TokenLen]byte
	hex.Encode(text[:], sum[:])
	return string(text[:]), nil
}

// pool holds keyed hashes of one merchant.
type pool struct{ sync.Pool }

// keyed is a keyed hash with room for what goes in and comes out.
type keyed struct {
	hash.Hash
	in, out []byte
}

func (p *pool) sum(kind, normal string) [TokenLen]byte {
	h := p.Get().(*keyed)
	defer p.Put(h)
	h.Reset()
	h.in = append(append(append(h.in[:0], kind...), 0), normal...)
	h.Write(h.in)
	clear(h.in) // it names somebody
	h.out = h.Sum(h.out[:0])
	return [TokenLen]byte(h.out)
}

// pool returns the keyed hashes of a merchant, whose key find gives.
func (p *pseudonyms) pool(merchant string, find func(purpose, id string) ([]byte, error)) (*pool, error) {
	if v, ok := p.pools.Load(merchant); ok {
		return v.(*pool), nil
	}
	p.ends.RLock()
	defer p.ends.RUnlock()
	merchant = strings.Clone(merchant) // it is kept, and the caller's may be part of a buffer
	key, err := find("pseudonym", cmp.Or(merchant, noMerchant))
	if err != nil {
		return nil, fmt.Errorf("accesslog: pseudonym key of a merchant: %w", err)
	}
	if p.held.Add(1) > maxPools {
		p.pools.Clear()
		p.held.Store(1)
	}
	v, _ := p.pools.LoadOrStore(merchant, &pool{sync.Pool{New: func() any { return &keyed{Hash: hmac.New(sha256.New, key)} }}})
	return v.(*pool), nil
}

// Pseudonym returns the 16 bytes under which the log knows a person of a merchant; "" when nothing
// identifying was given or the merchant has no key: nothing about it was ever logged, or its key was
// destroyed. It makes no key, so that a list can be compared without a trace.
func (s *Store) Pseudonym(merchant, kind, id string) (string, error) {
	normal := normalise(kind, id)
	if normal == "" {
		return "", nil
	}
	find := s.o.Keys.Key
	if k, ok := s.o.Keys.(looker); ok {
		find = k.Lookup
	}
	pool, err := s.pseudonyms.pool(merchant, find)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	sum := pool.sum(kind, normal)
	return string(sum[:]), nil
}

// known says whether the key of a merchant is at hand.
func (p *pseudonyms) known(merchant string) bool {
	_, ok := p.pools.Load(merchant)
	return ok
}

// prepare makes the keys of merchants that have none.
func (p *pseudonyms) prepare(merchants []string) error {
	if k, ok := p.keys.(preparer); ok && len(merchants) > 1 {
		if err := k.Prepare("pseudonym", merchants...); err != nil {
			return fmt.Errorf("accesslog: pseudonym keys: %w", err)
		}
	}
	return nil
}

// PseudonymKey names the key under which a merchant's customers are known now, by a digest that tells
// nothing of it: "" when there is none.
func (s *Store) PseudonymKey(merchant string) (string, error) {
	return pseudonymKey(s.o.Keys, merchant)
}

func pseudonymKey(keys Keys, merchant string) (string, error) {
	k, ok := keys.(looker)
	if !ok || merchant == "" || merchant == noMerchant {
		return "", nil
	}
	key, err := k.Lookup("pseudonym", merchant)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("accesslog: pseudonym key of a merchant: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "tocsin pseudonym key\n%q\n%x", merchant, key))
	return hex.EncodeToString(sum[:16]), nil
}

// DestroyKey destroys the pseudonym key of a merchant that a fact names, and no other: called again it
// does no harm, and the key that later events of the merchant were given stays. A crash leaves the key,
// and whoever owns the fact calls again. An event that is being taken in at this moment may still carry
// a pseudonym of the old key, as if it had come before.
func (s *Store) DestroyKey(merchant, name string) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	s.pseudonyms.ends.Lock()
	defer s.pseudonyms.ends.Unlock()
	err := DestroyKey(s.o.Keys, merchant, name)
	s.pseudonyms.pools.Delete(merchant)
	return err
}

// DestroyKey is Store.DestroyKey before there is a store.
func DestroyKey(keys Keys, merchant, name string) error {
	now, err := pseudonymKey(keys, merchant)
	if err != nil || name == "" || now != name {
		return err
	}
	k, ok := keys.(destroyer)
	if !ok {
		return errors.New("accesslog: a pseudonym key cannot be destroyed: the keys do not allow it")
	}
	if err := k.Destroy("pseudonym", merchant); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("accesslog: destroy the pseudonym key of a merchant: %w", err)
	}
	return nil
}

// normalise brings an identifier to the form that is hashed, so that the same person written in
// two ways is one person. It returns "" when nothing identifying is left.
func normalise(kind, id string) string {
	id = strings.TrimSpace(id)
	switch kind {
	case "email":
		return strings.ToLower(id)
	case "phone":
		return normalPhone(id)
	}
	return id
}

// normalPhone keeps the digits and whether the number is international: "+49 (0) 171…" has lost
// its trunk zero, and 0049… is +49…. A national number stays national: without its country
// nothing more can be said about it.
func normalPhone(id string) string {
	id = strings.ReplaceAll(id, "(0)", "")
	var b strings.Builder
	for _, r := range id {
		if r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	digits := b.String()
	if digits == "" {
		return ""
	}
	if strings.HasPrefix(id, "+") {
		return "+" + digits
	}
	if rest, ok := strings.CutPrefix(digits, "00"); ok && rest != "" {
		return "+" + rest
	}
	return digits
}
