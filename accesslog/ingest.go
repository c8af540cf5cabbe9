package accesslog

import (
	"bytes"
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
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/tocsin-ir/tocsin/accesslog/format"
	"github.com/tocsin-ir/tocsin/accesslog/ids"
)

// Receipt is the answer to a batch. Accepted events are durable.
type Receipt struct {
	Accepted   int      `json:"accepted"`
	Duplicates int      `json:"duplicates"`
	Rejected   []Reject `json:"rejected"`
	Skipped    int      `json:"skipped,omitempty"`        // entries that are no access events and not wrong either
	Unchecked  int      `json:"unchecked,omitempty"`      // accepted or duplicates, and older than the seven days over which ids are compared
	Ignored    []string `json:"ignored_fields,omitempty"` // fields that were dropped: those no event has, and values that are none; at most 20 names
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
	hash  uint64 // of source and id; 0: the entry is no event
	key   ids.Key
	known bool  // it came before, says the index
	entry int32 // where it stands in the batch
}

// batch is one Ingest call as the committer sees it.
type batch struct {
	source   string
	key      string
	received time.Time
	receipt  Receipt
	arrivals []arrival
	sum      uint64 // of the bytes, when there is a key
	draft    *draft // whose memory arrivals is
	compared uint64 // position up to which the index has said which of them came before
	answer   chan answer
}

type answer struct {
	receipt Receipt
	err     error
}

// Ingest takes a batch of events in and returns once the accepted ones are durable. A batch that
// came before under the same key within 24 hours is answered as duplicates, and other bytes under
// that key are refused with ErrOtherBatch; an empty key is no key, except for OTLP, whose key then is
// the digest of the unpacked body. Formats are those of package format. An error means that nothing of
// the batch was taken, with one exception: after ctx is done it may have been.
func (s *Store) Ingest(ctx context.Context, src Source, batchKey, form string, body io.Reader) (Receipt, error) {
	if s.o.ReadOnly {
		return Receipt{}, ErrReadOnly
	}
	if len(batchKey) > format.MaxName || !format.Clean(batchKey) || src.Name == "" || len(src.Name) > format.MaxName || !format.Clean(src.Name) {
		return Receipt{}, errors.New("accesslog: the batch key or the source's name is too long or not text")
	}
	if src.Supplied != "" && !digest.MatchString(src.Supplied) {
		return Receipt{}, fmt.Errorf("%w: the digest of what is supplied later is not of the form sha256:HEX", ErrFormat)
	}
	buf := bodies.Get().(*bytes.Buffer)
	defer giveBack(buf)
	buf.Reset()
	if err := readBody(buf, body); err != nil {
		return Receipt{}, err
	}
	var sum uint64
	if batchKey != "" {
		sum = xxhash.Sum64(buf.Bytes()) // before anything reads the bytes in place
	}
	cut, err := format.Cut(buf.Bytes(), form, MaxBatch)
	if err != nil {
		var most *format.TooMany
		if errors.As(err, &most) {
			return Receipt{}, ErrTooLarge
		}
		return Receipt{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if batchKey == "" && cut.Format == format.OTLP {
		// Exporters have no batch key and send the same bytes again when an answer was lost.
		body := sha256.Sum256(buf.Bytes())
		batchKey = "otlp-" + hex.EncodeToString(body[:]) // which says that the bytes are the same
	}
	b := &batch{source: src.Name, key: batchKey, sum: sum, received: s.o.Now().UTC(), answer: make(chan answer, 1)}
	if b.receipt.Rejected = []Reject{}; cut.Len() == 0 {
		return b.receipt, nil
	}
	if err := s.decode(b, src, cut, buf.Len()); err != nil {
		return Receipt{}, err
	}
	if len(b.receipt.Rejected) > 0 {
		s.keepRejected(b, cut, b.receipt.Rejected)
	}
	if err := s.compare(b); err != nil {
		return Receipt{}, err
	}
	if err := s.send(ctx, b); err != nil {
		return Receipt{}, err
	}
	select {
	case a := <-b.answer:
		if errors.Is(a.err, ErrOtherBatch) {
			// Who sends all under one key does not look at answers: what is lost so is named here.
			s.keepRejected(b, cut, otherBatch(b, cut))
		}
		drafts.Put(b.draft) // the committer is done with it; who does not wait for the answer keeps it
		return a.receipt, a.err
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("accesslog: wait for the disk: %w", ctx.Err())
	}
}

// bodies are buffers for what was sent; a large one is not kept.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func giveBack(b *bytes.Buffer) {
	if b.Cap() <= 1<<20 {
		bodies.Put(b)
	}
}

// send queues a batch for the committer.
func (s *Store) send(ctx context.Context, b *batch) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if s.answers > maxAnswered {
		s.mu.Unlock()
		return ErrBusy
	}
	s.senders.Add(1)
	s.mu.Unlock()
	defer s.senders.Done()
	if n := int64(len(b.arrivals)); s.waiting.Add(n) > maxQueued || s.spool.Size() > s.o.Backlog {
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

// decode turns the entries of a batch, of so many bytes, into arrivals and rejects.
func (s *Store) decode(b *batch, src Source, cut *format.Batch, size int) error {
	a := admissions.Get().(*admission)
	defer admissions.Put(a)
	a.s, a.src, a.received, a.stamp = s, src, b.received, stamp(b.received)
	a.newest, a.idBase, a.fresh, a.wait = s.sources.at(src.Name), batchBase(src.Name, b.key), map[string]bool{}, true
	a.source = ids.SourceOf(src.Name)
	a.drop = func(name string) {
		if len(b.receipt.Ignored) < 20 && format.SafeName(name) && !slices.Contains(b.receipt.Ignored, name) {
			b.receipt.Ignored = append(b.receipt.Ignored, strings.Clone(name))
		}
	}
	a.decoder.Reset(cut, a.drop)
	b.draft = drafts.Get().(*draft)
	d := b.draft
	d.begin(cut.Len(), size)
	put := make([]int, 0)
	for i := range cut.Len() {
		if err := s.take(a, d, b, cut, i); errors.Is(err, errNewMerchant) {
			put = append(put, i)
		} else if err != nil {
			return err
		}
	}
	// Keys of merchants that are new are made together, in one durable write, and their events
	// read once more. A crash after this leaves keys that nothing was hashed with yet; they are used
	// when the batch comes again.
	if err := s.pseudonyms.prepare(slices.Sorted(maps.Keys(a.fresh))); err != nil {
		return err
	}
	a.wait = false
	for _, i := range put {
		if err := s.take(a, d, b, cut, i); err != nil {
			return err
		}
	}
	b.arrivals = d.finish()
	s.sources.advance(src.Name, a.newest)
	slices.SortStableFunc(b.receipt.Rejected, func(x, y Reject) int { return x.Line - y.Line })
	return nil
}

// draft collects the stored forms of a batch in one piece of memory, which another batch uses again.
type draft struct {
	arrivals []arrival // by entry
	spans    [][2]int
	buf      []byte
}

var drafts = sync.Pool{New: func() any { return new(draft) }}

// begin makes room for so many entries that were sent in so many bytes.
func (d *draft) begin(entries, size int) {
	if want := size + entries*160; cap(d.buf) < want || cap(d.buf) > 4*want+1<<20 {
		d.buf = make([]byte, 0, want)
	}
	d.buf = d.buf[:0]
	d.arrivals = slices.Grow(d.arrivals[:0], entries)[:entries]
	d.spans = slices.Grow(d.spans[:0], entries)[:entries]
	clear(d.arrivals)
}

// take reads one entry. The error is errNewMerchant or one that refuses the whole batch.
func (s *Store) take(a *admission, d *draft, b *batch, cut *format.Batch, i int) error {
	w, err := a.decoder.Decode(i)
	var id string
	var at time.Time
	n := len(d.buf)
	if err == nil {
		d.buf, id, at, err = a.admit(d.buf, w, cut.Offset(i))
	}
	var bad *invalid
	var skip *format.Skip
	switch {
	case err == nil:
		d.arrivals[i] = arrival{member: member{time: at}, hash: s.ids.hash(b.source, id), key: ids.KeyOf(a.source, id), entry: int32(i)}
		d.spans[i] = [2]int{n, len(d.buf)}
		if at.Before(b.received.Add(-keepIDs)) {
			b.receipt.Unchecked++
		}
		return nil
	case errors.As(err, &skip):
		b.receipt.Skipped++
		return nil
	case errors.As(err, &bad):
		b.receipt.Rejected = append(b.receipt.Rejected, Reject{cut.Line(i), bad.Field, bad.Reason})
		return nil
	}
	return err
}

// finish gives the arrivals their bytes, in the order of the entries.
func (d *draft) finish() []arrival {
	out := d.arrivals[:0]
	for i := range d.arrivals {
		if a := d.arrivals[i]; a.hash != 0 {
			a.canonical = d.buf[d.spans[i][0]:d.spans[i][1]:d.spans[i][1]]
			out = append(out, a)
		}
	}
	return out
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

// keptReceipt is a receipt as it is stored: with the sum of the bytes that it answered, so that a key
// which is used for another batch does not lose that one. The sum is none against forgery: who sends
// under a key of his own could only fool himself. It is 0 for OTLP without a key, and in receipts of
// versions that kept none; these answer whatever comes.
type keptReceipt struct {
	Receipt
	Sum uint64 `json:"sum,omitempty"`
}

// otherBatch are the events of a batch that is refused for its key.
func otherBatch(b *batch, cut *format.Batch) (out []Reject) {
	for i := range b.arrivals {
		out = append(out, Reject{cut.Line(int(b.arrivals[i].entry)), "Tocsin-Batch", "is the key of another batch of the last 24 hours"})
	}
	return out
}

// seenReceipt is the answer to a batch whose key came before.
func seenReceipt(stored []byte, sum uint64) (Receipt, error) {
	var r keptReceipt
	if err := json.Unmarshal(stored, &r); err != nil {
		return Receipt{}, fmt.Errorf("accesslog: a stored receipt cannot be read: %w", err)
	}
	if r.Sum != 0 && r.Sum != sum {
		return Receipt{}, ErrOtherBatch
	}
	r.Duplicates += r.Accepted
	r.Accepted = 0
	return r.Receipt, nil
}
