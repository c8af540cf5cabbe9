// Package leaf is the stored form of a leaf of the event log: a plain header that binds a batch
// of access events, and the sealed batch itself. It also holds the arithmetic that proves one
// event without showing the others.
//
// The package is pure and holds no key: whoever checks an export needs nothing else. Sealing and
// opening the batch is package accesslog's. The format is described in docs/design/leaf.md.
package leaf

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Magic is the first line of every leaf and names the version of the format.
const Magic = "tocsin-leaf/v1"

// Sizes of the format in bytes.
const (
	MaxSize  = 1<<16 - 1 // a stored leaf: what a bundle of tlog-tiles can carry
	NonceLen = 32
	HashLen  = 32
	SaltLen  = 32
)

// ErrFormat is wrapped by every error of Parse.
var ErrFormat = errors.New("leaf: not a leaf of this format")

// Header is the plain part of a leaf. Everything in it is bound to the sealed part, which has it
// as additional data, and to the log, whose tree is over the leaf as stored.
type Header struct {
	Epoch string         // UTC day of arrival, YYYY-MM-DD: names the key that seals the leaf
	Nonce [NonceLen]byte // random; the leaf's own key is derived from the epoch key and this
	First uint64         // position of the first event in the installation's order of arrival, from 1
	Last  uint64         // position of the last; the leaf holds Last-First+1 events without a gap
	From  time.Time      // earliest time of an event in it, UTC
	To    time.Time      // latest time of an event in it, UTC; inclusive
	Root  [HashLen]byte  // RFC 6962 tree over salted events, see EventHash
}

// Events is the number of events in the leaf.
func (h Header) Events() int { return int(h.Last - h.First + 1) }

// Marshal returns the header's only valid encoding, with the empty line that ends it.
func (h Header) Marshal() []byte {
	return fmt.Appendf(nil, "%s\nepoch %s\nnonce %s\nspool %d %d\nevents %d\ntime %s %s\nroot %s\n\n",
		Magic, h.Epoch, base64.StdEncoding.EncodeToString(h.Nonce[:]), h.First, h.Last, h.Events(),
		stamp(h.From), stamp(h.To), base64.StdEncoding.EncodeToString(h.Root[:]))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// maxEvents bounds the events of one leaf; a leaf of 64 KiB cannot hold near as many.
const maxEvents = 1 << 16

// Parse splits a stored leaf into its header and its sealed part, and refuses a header that is
// not exactly what Marshal would have written.
func Parse(stored []byte) (Header, []byte, error) {
	if len(stored) > MaxSize {
		return Header{}, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(stored), MaxSize)
	}
	head, sealed, ok := bytes.Cut(stored, []byte("\n\n"))
	if !ok {
		return Header{}, nil, fmt.Errorf("%w: the header has no end", ErrFormat)
	}
	lines := strings.Split(string(head), "\n")
	names := []string{"", "epoch", "nonce", "spool", "events", "time", "root"}
	if len(lines) != len(names) || lines[0] != Magic {
		return Header{}, nil, fmt.Errorf("%w: the header is not %s", ErrFormat, Magic)
	}
	value := make([]string, len(lines))
	for i, name := range names[1:] {
		if value[i+1], ok = strings.CutPrefix(lines[i+1], name+" "); !ok {
			return Header{}, nil, fmt.Errorf("%w: line %d is not %q", ErrFormat, i+2, name)
		}
	}
	var h Header
	h.Epoch = value[1]
	if _, err := time.Parse(time.DateOnly, h.Epoch); err != nil {
		return Header{}, nil, fmt.Errorf("%w: epoch is not a day", ErrFormat)
	}
	if !fixed(h.Nonce[:], value[2]) || !fixed(h.Root[:], value[6]) {
		return Header{}, nil, fmt.Errorf("%w: nonce or root is not 32 bytes of base64", ErrFormat)
	}
	first, last, _ := strings.Cut(value[3], " ")
	var err1, err2 error
	h.First, err1 = strconv.ParseUint(first, 10, 63)
	h.Last, err2 = strconv.ParseUint(last, 10, 63)
	if err1 != nil || err2 != nil || h.First == 0 || h.Last < h.First || h.Last-h.First >= maxEvents {
		return Header{}, nil, fmt.Errorf("%w: spool is not a range", ErrFormat)
	}
	from, to, _ := strings.Cut(value[5], " ")
	h.From, err1 = time.Parse(time.RFC3339Nano, from)
	h.To, err2 = time.Parse(time.RFC3339Nano, to)
	if err1 != nil || err2 != nil || h.To.Before(h.From) {
		return Header{}, nil, fmt.Errorf("%w: time is not a range", ErrFormat)
	}
	if !bytes.Equal(h.Marshal(), stored[:len(head)+2]) {
		return Header{}, nil, fmt.Errorf("%w: the header is not in its canonical form", ErrFormat)
	}
	return h, sealed, nil
}

func fixed(dst []byte, text string) bool {
	raw, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(raw) == len(dst) && copy(dst, raw) == len(dst)
}

// Event is an event in the canonical form in which it is hashed, sealed and disclosed: RFC 8785
// JSON, absent fields left out, subjects already pseudonyms. Field order here is the order of the
// keys there; Canonical in package accesslog writes it without reflection.
type Event struct {
	Action     string          `json:"action,omitempty"`
	Actor      Actor           `json:"actor,omitzero"`
	App        string          `json:"app,omitempty"`
	Attributes json.RawMessage `json:"attributes,omitempty"` // object of scrubbed strings
	Bytes      int64           `json:"bytes,omitempty"`
	Claimed    string          `json:"claimed,omitempty"` // the time the sender gave, when its clock was ahead
	Credential string          `json:"credential,omitempty"`
	DataTypes  []string        `json:"data_types,omitempty"` // sorted, each once
	Endpoint   string          `json:"endpoint,omitempty"`
	Env        string          `json:"env,omitempty"`
	ID         string          `json:"id"`
	Ingest     string          `json:"ingest,omitempty"` // name of the key it came in with
	Kind       string          `json:"kind"`
	Late       bool            `json:"late,omitempty"`
	Merchant   string          `json:"merchant,omitempty"`
	Outcome    string          `json:"outcome,omitempty"`
	Purpose    string          `json:"purpose,omitempty"`
	Received   time.Time       `json:"received"`
	Records    int64           `json:"records,omitempty"`
	Session    string          `json:"session,omitempty"`
	Skewed     bool            `json:"skewed,omitempty"`
	Source     Origin          `json:"source,omitzero"`
	Store      string          `json:"store,omitempty"`
	Subjects   []Subject       `json:"subjects,omitempty"`
	Supplied   string          `json:"supplied,omitempty"` // "sha256:…" of the file, when it was not logged live but supplied later
	Time       time.Time       `json:"time"`
}

// Actor is who made the access.
type Actor struct {
	ID   string `json:"id,omitempty"`
	Type string `json:"type,omitempty"`
}

// Origin is where the access came from.
type Origin struct {
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

// Subject is a person as a pseudonym: Token is 16 bytes in hexadecimal.
type Subject struct {
	Kind   string `json:"kind"`
	Region string `json:"region,omitempty"`
	Token  string `json:"token"`
}
