package accesslog

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
)

// A record of the spool is what one fsync made durable: batches of one day, each with what has to
// be remembered of it, and their events in canonical form. It is sealed under the key of its day,
// because scrubbed free text has no business on a disk in the clear:
//
//	day (10 bytes) | salt (16) | iv (12) | AES-256-GCM(s2(batches))

const (
	dayLen   = len("2006-01-02")
	saltLen  = 16
	ivLen    = 12
	spoolUse = "tocsin-spool/2"
)

var errFrame = errors.New("accesslog: a record of the spool cannot be read: its day's key was destroyed or it was altered")

// packed is one batch as the spool holds it.
type packed struct {
	source   string
	key      string
	received time.Time
	receipt  []byte // JSON, when there is a key
	members  []member
}

// sealing keys of the spool, by day; the salt is this process's own.
type frameKeys struct {
	keys Keys
	salt [saltLen]byte

	mu sync.Mutex
	by map[string]cipher.AEAD // day and salt
}

func newFrameKeys(keys Keys) *frameKeys {
	f := &frameKeys{keys: keys, by: map[string]cipher.AEAD{}}
	rand.Read(f.salt[:])
	return f
}

func (f *frameKeys) aead(day string, salt []byte) (cipher.AEAD, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := day + string(salt)
	if a := f.by[name]; a != nil {
		return a, nil
	}
	epoch, err := f.keys.Key("epoch", day)
	if err != nil {
		return nil, fmt.Errorf("accesslog: epoch key: %w", err)
	}
	key, err := derive(epoch, salt, spoolUse, 32)
	if err != nil {
		return nil, err
	}
	a, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	if len(f.by) > 64 {
		clear(f.by)
	}
	f.by[name] = a
	return a, nil
}

// pack makes the body of a record.
func (f *frameKeys) pack(day string, list []packed, scratch *[]byte) ([]byte, error) {
	plain := (*scratch)[:0]
	plain = binary.AppendUvarint(plain, uint64(len(list)))
	for _, p := range list {
		plain = appendBytes(plain, []byte(p.source))
		plain = appendBytes(plain, []byte(p.key))
		plain = binary.AppendVarint(plain, p.received.UnixNano())
		plain = appendBytes(plain, p.receipt)
		plain = binary.AppendUvarint(plain, uint64(len(p.members)))
		for _, m := range p.members {
			plain = binary.AppendVarint(plain, m.time.UnixNano())
			plain = appendBytes(plain, m.canonical)
		}
	}
	*scratch = plain
	a, err := f.aead(day, f.salt[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, dayLen+saltLen+ivLen+len(plain)/2+64)
	out = append(append(out, day...), f.salt[:]...)
	iv := out[len(out) : len(out)+ivLen]
	rand.Read(iv)
	out = out[:len(out)+ivLen]
	return a.Seal(out, iv, s2.Encode(nil, plain), out[:dayLen+saltLen]), nil
}

func appendBytes(b, x []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(x))), x...) }

// unpack opens the body of a record whose first event stands at position first.
func (f *frameKeys) unpack(body []byte, first uint64) (day string, list []packed, err error) {
	if len(body) < dayLen+saltLen+ivLen {
		return "", nil, errFrame
	}
	day = string(body[:dayLen])
	a, err := f.aead(day, body[dayLen:dayLen+saltLen])
	if err != nil {
		return "", nil, err
	}
	at := dayLen + saltLen
	compressed, err := a.Open(nil, body[at:at+ivLen], body[at+ivLen:], body[:at])
	if err != nil {
		return "", nil, errFrame
	}
	if n, err := s2.DecodedLen(compressed); err != nil || n > maxPlain {
		return "", nil, errFrame
	}
	plain, err := s2.Decode(nil, compressed)
	if err != nil {
		return "", nil, errFrame
	}
	r := fields{rest: plain}
	batches := r.number()
	for range batches {
		p := packed{source: string(r.bytes()), key: string(r.bytes()), received: r.time(), receipt: r.bytes()}
		members := r.number()
		if r.bad || members > uint64(len(plain)) {
			return "", nil, errFrame
		}
		p.members = make([]member, 0, members)
		for range members {
			m := member{seq: first, time: r.time(), canonical: r.bytes()}
			p.members = append(p.members, m)
			first++
		}
		list = append(list, p)
	}
	if r.bad || len(r.rest) != 0 {
		return "", nil, errFrame
	}
	return day, list, nil
}

// fields reads what appendBytes and its like wrote.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) number() uint64 {
	n, k := binary.Uvarint(f.rest)
	if k <= 0 {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[k:]
	return n
}

func (f *fields) time() time.Time {
	n, k := binary.Varint(f.rest)
	if k <= 0 {
		f.bad, f.rest = true, nil
		return time.Time{}
	}
	f.rest = f.rest[k:]
	return time.Unix(0, n).UTC()
}

func (f *fields) bytes() []byte {
	n := f.number()
	if n > uint64(len(f.rest)) {
		f.bad, f.rest = true, nil
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}
