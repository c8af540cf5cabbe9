package accesslog

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
	keys    Keys
	removed map[string]bool // days that facts say were removed, as of the start
	salt    [saltLen]byte

	mu sync.Mutex
	by map[string]cipher.AEAD // day and salt
}

func newFrameKeys(keys Keys, removed ...string) *frameKeys {
	f := &frameKeys{keys: keys, removed: map[string]bool{}, by: map[string]cipher.AEAD{}}
	for _, day := range removed {
		f.removed[day] = true
	}
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

// forget lets go of the keys that are in memory.
func (f *frameKeys) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.by)
}

// room is memory that packing or unpacking one record needs and the next one can use again.
type room struct {
	plain   []byte
	small   []byte // plain, compressed
	members []member
}

// pack appends the body of a record to out.
func (f *frameKeys) pack(out []byte, day string, list []packed, r *room) ([]byte, error) {
	plain := r.plain[:0]
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
	r.plain = plain
	a, err := f.aead(day, f.salt[:])
	if err != nil {
		return nil, err
	}
	if most := s2.MaxEncodedLen(len(plain)); cap(r.small) < most {
		r.small = make([]byte, most)
	}
	small := s2.Encode(r.small[:cap(r.small)], plain)
	out = slices.Grow(out, dayLen+saltLen+ivLen+len(small)+a.Overhead())
	head := out[len(out) : len(out)+dayLen+saltLen+ivLen]
	copy(head, day)
	copy(head[dayLen:], f.salt[:])
	iv := head[dayLen+saltLen:]
	rand.Read(iv)
	return a.Seal(out[:len(out)+len(head)], iv, small, head[:dayLen+saltLen]), nil
}

func appendBytes(b, x []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(x))), x...) }

// unpack opens the body of a record, in place, whose first event stands at position first. What it
// gives stands in the room, if there is one, and ends with the next use of it.
func (f *frameKeys) unpack(body []byte, first uint64, into *room) (day string, list []packed, err error) {
	if into == nil {
		into = &room{}
	}
	if len(body) < dayLen+saltLen+ivLen {
		return "", nil, errFrame
	}
	day = string(body[:dayLen])
	if f.removed[day] {
		// A folder that was restored holds what came before its day was removed. Its positions are taken,
		// and nobody reads what stands there: also where an older key came back with it.
		return day, nil, nil
	}
	a, err := f.aead(day, body[dayLen:dayLen+saltLen])
	if err != nil {
		return "", nil, err
	}
	at := dayLen + saltLen
	compressed, err := a.Open(body[at+ivLen:at+ivLen], body[at:at+ivLen], body[at+ivLen:], body[:at])
	if err != nil {
		return "", nil, errFrame
	}
	if n, err := s2.DecodedLen(compressed); err != nil || n > maxPlain {
		return "", nil, errFrame
	}
	plain, err := s2.Decode(into.plain[:cap(into.plain)], compressed)
	if err != nil {
		return "", nil, errFrame
	}
	into.plain, into.members = plain, into.members[:0]
	r := fields{rest: plain}
	batches := r.number()
	for range batches {
		p := packed{source: string(r.bytes()), key: string(r.bytes()), received: r.time(), receipt: r.bytes()}
		members := r.number()
		if r.bad || members > uint64(len(plain)) {
			return "", nil, errFrame
		}
		from := len(into.members)
		for range members {
			into.members = append(into.members, member{seq: first, time: r.time(), canonical: r.bytes()})
			first++
		}
		p.members = into.members[from:len(into.members):len(into.members)]
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
