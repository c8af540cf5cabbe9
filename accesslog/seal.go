package accesslog

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tocsin-ir/tocsin/leaf"
)

// sealed holds what opening a leaf gives.
type opened struct {
	header leaf.Header
	events [][]byte // canonical
	salts  [][]byte
	tree   *leaf.Tree
}

// member is one event on its way into a leaf.
type member struct {
	seq       uint64
	time      time.Time
	canonical []byte
}

var (
	errLeafFull = errors.New("accesslog: the events do not fit one leaf")
	errNoKey    = errors.New("accesslog: a leaf cannot be opened: its epoch key was destroyed or it was altered")
	errKeyGone  = errors.New("accesslog: the epoch key of a leaf is gone")
)

// The codec is shared: it holds no state between calls of EncodeAll and DecodeAll.
var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPlain))
)

// maxPlain bounds what a leaf or a record of the spool may unpack to, in bytes.
const maxPlain = 256 << 20

// derive makes a key for one use from an epoch key and a nonce.
func derive(epochKey, nonce []byte, use string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, epochKey, nonce, use, n)
}

// salter makes the salts of the events of a leaf, one HMAC for all of them: starting one costs more
// than finishing it.
type salter struct {
	h   hash.Hash
	in  [8]byte
	out []byte
}

func newSalter(salts []byte) *salter {
	return &salter{h: hmac.New(sha256.New, salts), out: make([]byte, 0, sha256.Size)}
}

// of is the salt of the n-th event. It is good until the next call.
func (s *salter) of(n int) []byte {
	s.h.Reset()
	binary.BigEndian.PutUint64(s.in[:], uint64(n))
	s.h.Write(s.in[:])
	s.out = s.h.Sum(s.out[:0])
	return s.out
}

// sealLeaf makes the stored form of a leaf. It is a function of its arguments, so that a golden
// file can pin the format; the nonce must never be used twice with the same key. errLeafFull when
// the events do not fit.
func sealLeaf(epoch string, epochKey []byte, nonce [leaf.NonceLen]byte, members []member) ([]byte, leaf.Header, error) {
	h := leaf.Header{
		Epoch: epoch, Nonce: nonce, First: members[0].seq, Last: members[len(members)-1].seq,
		From: members[0].time, To: members[0].time,
	}
	r := leafRooms.Get().(*leafRoom)
	defer leafRooms.Put(r)
	r.plain = slices.Grow(r.plain[:0], plainSize(members))
	for _, m := range members {
		r.plain = append(append(r.plain, m.canonical...), '\n')
	}
	if r.packed = encoder.EncodeAll(r.plain, r.packed[:0]); len(r.packed) > leaf.MaxSize {
		return nil, h, errLeafFull // known before the costly half of the work
	}
	salts, err := derive(epochKey, nonce[:], "tocsin-leaf/v1 salts", leaf.SaltLen)
	if err != nil {
		return nil, h, err
	}
	salt := newSalter(salts)
	r.hashes = slices.Grow(r.hashes[:0], len(members))[:len(members)]
	for i, m := range members {
		r.hashes[i] = leaf.EventHash(salt.of(i), m.canonical)
		if m.time.Before(h.From) {
			h.From = m.time
		}
		if m.time.After(h.To) {
			h.To = m.time
		}
	}
	h.Root = leaf.NewTree(r.hashes).Root()
	header := h.Marshal()
	aead, iv, err := leafCipher(epochKey, nonce[:])
	if err != nil {
		return nil, h, err
	}
	if len(header)+len(r.packed)+aead.Overhead() > leaf.MaxSize {
		return nil, h, errLeafFull
	}
	return aead.Seal(header, iv, r.packed, header), h, nil
}

// leafRoom is memory that sealing one leaf needs and the next one can use again.
type leafRoom struct {
	hashes        [][leaf.HashLen]byte
	plain, packed []byte
}

var leafRooms = sync.Pool{New: func() any { return new(leafRoom) }}

// plainSize is at least what the events take with what separates them.
func plainSize(members []member) int {
	n := 0
	for _, m := range members {
		n += len(m.canonical) + 1
	}
	return n
}

func leafCipher(epochKey, nonce []byte) (cipher.AEAD, []byte, error) {
	key, err := derive(epochKey, nonce, "tocsin-leaf/v1 key", 32)
	if err != nil {
		return nil, nil, err
	}
	iv, err := derive(epochKey, nonce, "tocsin-leaf/v1 iv", 12)
	if err != nil {
		return nil, nil, err
	}
	aead, err := newGCM(key)
	return aead, iv, err
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// openLeaf opens a stored leaf with its epoch key and checks that the events are those the header
// is bound to.
func openLeaf(stored, epochKey []byte) (*opened, error) {
	h, sealed, err := leaf.Parse(stored)
	if err != nil {
		return nil, err
	}
	aead, iv, err := leafCipher(epochKey, h.Nonce[:])
	if err != nil {
		return nil, err
	}
	packed, err := aead.Open(nil, iv, sealed, h.Marshal())
	if err != nil {
		return nil, errNoKey
	}
	plain, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("accesslog: unpack a leaf: %w", err)
	}
	salts, err := derive(epochKey, h.Nonce[:], "tocsin-leaf/v1 salts", leaf.SaltLen)
	if err != nil {
		return nil, err
	}
	o := &opened{header: h}
	var hashes [][leaf.HashLen]byte
	from := newSalter(salts)
	for line := range bytes.Lines(plain) {
		event, salt := bytes.TrimSuffix(line, []byte{'\n'}), bytes.Clone(from.of(len(o.events)))
		o.events, o.salts = append(o.events, event), append(o.salts, salt)
		hashes = append(hashes, leaf.EventHash(salt, event))
	}
	if o.tree = leaf.NewTree(hashes); o.tree.Root() != h.Root || len(o.events) != h.Events() {
		return nil, fmt.Errorf("accesslog: the events of leaf %d to %d are not those of its header", h.First, h.Last)
	}
	return o, nil
}
