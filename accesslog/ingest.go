package accesslog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-ir/tocsin/leaf"
)

// Receipt is the answer to a batch. Accepted events are durable.
type Receipt struct {
	Accepted   int      `json:"accepted"`
	Duplicates int      `json:"duplicates"`
	Rejected   []Reject `json:"rejected"`
	Ignored    []string `json:"ignored_fields,omitempty"` // fields no event has, dropped; at most 20 names
}

// Reject says which event was not taken, which field is wrong and why; never the value.
type Reject struct {
	Line   int    `json:"line"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// maxQueued bounds the events that wait for the disk.
const maxQueued = 200_000

// arrival is an event on its way into the store. Seq is given by the committer.
type arrival struct {
	member
	event    Event
	customer []byte // pseudonyms that count, one after another
}

// batch is one Ingest call as the committer sees it.
type batch struct {
	source   string
	key      string
	received time.Time
	receipt  Receipt
	arrivals []arrival
	answer   chan answer
}

type answer struct {
	receipt Receipt
	err     error
}

// Ingest takes a batch of events in and returns once the accepted ones are durable. A batch that
// came before under the same key within 24 hours is answered as duplicates, whatever it holds;
// an empty key is no key. Formats are auto, native and cloudtrail. An error means that nothing of
// the batch was taken, with one exception: after ctx is done it may have been.
func (s *Store) Ingest(ctx context.Context, src Source, batchKey, format string, body io.Reader) (Receipt, error) {
	if s.o.ReadOnly {
		return Receipt{}, ErrReadOnly
	}
	if len(batchKey) > maxName || !clean(batchKey) || src.Name == "" || len(src.Name) > maxName || !clean(src.Name) {
		return Receipt{}, errors.New("accesslog: the batch key or the source's name is too long or not text")
	}
	raw, err := readBody(body)
	if err != nil {
		return Receipt{}, err
	}
	pieces, format, err := split(raw, format)
	if err != nil {
		return Receipt{}, err
	}
	b := &batch{source: src.Name, key: batchKey, received: s.o.Now().UTC(), answer: make(chan answer, 1)}
	if b.receipt.Rejected = []Reject{}; len(pieces) == 0 {
		return b.receipt, nil
	}
	if err := s.decode(b, src, format, pieces); err != nil {
		return Receipt{}, err
	}
	if err := s.send(ctx, b); err != nil {
		return Receipt{}, err
	}
	select {
	case a := <-b.answer:
		return a.receipt, a.err
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("accesslog: wait for the disk: %w", ctx.Err())
	}
}

// send queues a batch for the committer.
func (s *Store) send(ctx context.Context, b *batch) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.senders.Add(1)
	s.mu.Unlock()
	defer s.senders.Done()
	if n := int64(len(b.arrivals)); s.waiting.Add(n) > maxQueued {
		s.waiting.Add(-n)
		return ErrBusy
	}
	select {
	case s.queue <- b:
		return nil
	case <-ctx.Done():
		s.waiting.Add(-int64(len(b.arrivals)))
		return fmt.Errorf("accesslog: wait for the disk: %w", ctx.Err())
	}
}

// decode turns the pieces of a batch into arrivals and rejects.
func (s *Store) decode(b *batch, src Source, format string, pieces []piece) error {
	idBase := batchBase(src.Name, b.key)
	unknown := func(name string) {
		if len(b.receipt.Ignored) < 20 && safeName.MatchString(name) && !slices.Contains(b.receipt.Ignored, name) {
			b.receipt.Ignored = append(b.receipt.Ignored, name)
		}
	}
	wires, err := s.decodeAll(b, format, pieces, unknown)
	if err != nil {
		return err
	}
	b.arrivals = make([]arrival, 0, len(pieces))
	for i, w := range wires {
		if w == nil {
			continue
		}
		e, err := s.admit(w, src)
		if err == nil {
			err = s.place(b, e, idBase, pieces[i].offset)
		}
		if err := b.reject(pieces[i].line, err); err != nil {
			return err
		}
	}
	slices.SortStableFunc(b.receipt.Rejected, func(x, y Reject) int { return x.Line - y.Line })
	return nil
}

// decodeAll reads the events of a batch and makes the keys of merchants that are new. A piece
// that cannot be read is nil in the result and among the rejects.
func (s *Store) decodeAll(b *batch, format string, pieces []piece, unknown func(string)) ([]*Wire, error) {
	wires := make([]*Wire, len(pieces))
	fresh := map[string]bool{}
	for i, p := range pieces {
		w, err := decodeOne(p, format, unknown)
		if err := b.reject(p.line, err); err != nil {
			return nil, err
		}
		if wires[i] = w; w != nil && len(w.Subjects) > 0 && len(w.Merchant) <= maxName && clean(w.Merchant) && !s.pseudonyms.known(w.Merchant) {
			fresh[w.Merchant] = true
		}
	}
	// A crash after this leaves keys that nothing was hashed with yet; they are used when the
	// batch comes again.
	return wires, s.pseudonyms.prepare(slices.Sorted(maps.Keys(fresh)))
}

// reject notes what is wrong with an event; any other error is returned.
func (b *batch) reject(line int, err error) error {
	var bad *invalid
	if errors.As(err, &bad) {
		b.receipt.Rejected = append(b.receipt.Rejected, Reject{line, bad.field, bad.reason})
		return nil
	}
	return err
}

func decodeOne(p piece, format string, unknown func(string)) (*Wire, error) {
	if len(p.raw) > maxWireEvent {
		return nil, &invalid{"event", fmt.Sprintf("is larger than %d KiB as sent", maxWireEvent>>10)}
	}
	if format == FormatCloudTrail {
		return decodeCloudTrail(p.raw)
	}
	return decodeNative(p.raw, unknown)
}

// place gives an event its times and its id and appends it to the batch.
func (s *Store) place(b *batch, e *leaf.Event, idBase []byte, offset int) error {
	e.Received = b.received
	if e.Time.Sub(b.received) > skewBeyond {
		e.Claimed, e.Time, e.Skewed = stamp(e.Time), b.received, true
	}
	e.Late = s.sources.observe(b.source, e.Time)
	if e.ID == "" {
		e.ID = madeID(idBase, offset)
	}
	canonical, err := Canonical(e)
	if err != nil {
		return &invalid{"attributes", "hold a number that has no exact form"}
	}
	if len(canonical) > MaxEvent {
		return &invalid{"event", fmt.Sprintf("is larger than %d KiB after normalisation: name fewer subjects and give the number in records", MaxEvent>>10)}
	}
	a := arrival{member: member{time: e.Time, canonical: canonical}, customer: customersOf(e.Subjects)}
	a.event = Event{
		ID: e.ID, Time: e.Time, Received: e.Received, Source: b.source, Kind: e.Kind, App: e.App, Env: e.Env,
		ActorType: e.Actor.Type, ActorID: e.Actor.ID, Credential: e.Credential, Session: e.Session, Action: e.Action,
		Endpoint: e.Endpoint, Purpose: e.Purpose, Merchant: e.Merchant, Store: e.Store, Subjects: chunks(a.customer),
		DataTypes: e.DataTypes, Records: e.Records, Bytes: e.Bytes, Outcome: e.Outcome, IP: e.Source.IP,
		Agent: e.Source.UserAgent, Late: e.Late, Skewed: e.Skewed,
	}
	b.arrivals = append(b.arrivals, a)
	return nil
}

// customersOf is the pseudonyms that count as customers, one after another; see tally.Customers.
func customersOf(list []leaf.Subject) []byte {
	for _, kind := range subjects {
		var out []byte
		for _, s := range list {
			if s.Kind == kind {
				token, _ := hex.DecodeString(s.Token) // our own encoding
				out = append(out, token...)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return []byte{}
}

func chunks(tokens []byte) [][]byte {
	if len(tokens) == 0 {
		return nil
	}
	return slices.AppendSeq(make([][]byte, 0, len(tokens)/TokenLen), slices.Chunk(tokens, TokenLen))
}

// batchBase is what made ids are made from: source and batch key. Without a key it is random,
// because two equal log lines are two accesses.
func batchBase(source, key string) []byte {
	if key == "" {
		return []byte(rand.Text())
	}
	sum := sha256.Sum256([]byte(strconv.Itoa(len(source)) + ":" + source + key))
	return sum[:]
}

func madeID(base []byte, offset int) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(base[:len(base):len(base)], uint64(offset)))
	return "made_" + base64.RawURLEncoding.EncodeToString(sum[:15])
}

// idHash is the number an event's id is looked up by.
func idHash(id string) int64 {
	sum := sha256.Sum256([]byte(id))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// seenReceipt is the answer to a batch that came before.
func seenReceipt(stored []byte) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(stored, &r); err != nil {
		return r, fmt.Errorf("accesslog: a stored receipt cannot be read: %w", err)
	}
	r.Duplicates += r.Accepted
	r.Accepted = 0
	return r, nil
}
