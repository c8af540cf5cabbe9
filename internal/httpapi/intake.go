package httpapi

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/format"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// maxInflate bounds what a compressed body may grow to, as a multiple of what may be sent.
const maxInflate = 20

func (a *API) registerIntake(d Intake) {
	var formats []any
	for _, name := range format.Names() {
		formats = append(formats, name)
	}
	batch := &huma.Param{Name: "Tocsin-Batch", In: "header", Description: "batch key: a batch that was taken in within 24 hours counts as duplicates, and other bytes under its key are refused", Schema: &huma.Schema{Type: "string"}}
	supplied := &huma.Param{Name: "Tocsin-Supplied", In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "sha256:HEX of the file, when its events were not logged live but are supplied later; each of them carries it"}

	op := operation("ingest", http.MethodPost, "/v1/events", ingesters, "Take in access events; answered when they are durable")
	op.Tags = []string{"access log"}
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable)
	op.Parameters = []*huma.Param{batch, supplied,
		{Name: "format", In: "query", Schema: &huma.Schema{Type: "string", Enum: formats, Default: format.Auto}},
	}
	op.RequestBody = &huma.RequestBody{Required: true, Description: "one entry a line, or a JSON array; gzip and zstd allowed",
		Content: map[string]*huma.MediaType{"application/x-ndjson": {}, "application/json": {}, "text/plain": {}, "text/csv": {}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "what was taken in and what was not",
		Content: map[string]*huma.MediaType{"application/json": {Schema: a.schema(desk.Receipt{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error { return a.takeIn(w, r, d) })

	op = operation("rejected-events", http.MethodGet, "/v1/rejected", owners, "Entries that were refused in the last seven days, one a line; raw=1 adds what was sent, which may hold anything")
	op.Tags = []string{"access log"}
	op.Parameters = []*huma.Param{{Name: "raw", In: "query", Schema: &huma.Schema{Type: "string", Enum: []any{"0", "1"}}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "one entry a line, oldest first",
		Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: a.schema(desk.Refused{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		out := json.NewEncoder(w)
		sent := false
		err := d.RejectedEvents(r.Context(), r.URL.Query().Get("raw") == "1", func(one desk.Refused) error {
			sent = true
			return out.Encode(one)
		})
		if err != nil && sent {
			// The answer has begun: it can only be cut, so that nobody takes it for the whole.
			panic(http.ErrAbortHandler)
		}
		return err
	})

	a.registerOTLP(d, batch)
}

// takeIn answers POST /v1/events.
func (a *API) takeIn(w http.ResponseWriter, r *http.Request, d Intake) error {
	name := r.URL.Query().Get("format")
	if name == "" {
		name = format.Auto
	}
	if !slices.Contains(format.Names(), name) {
		return fmt.Errorf("format is not one of %s: %w", strings.Join(format.Names(), ", "), desk.ErrInvalid)
	}
	receipt, err := a.deliver(w, r, d, name)
	if err != nil {
		return err
	}
	receipt.Rejected = full(receipt.Rejected)
	w.Header().Set("Content-Type", "application/json")
	// A failed write means that the sender does not know: it sends the batch again and is told duplicates.
	_ = json.NewEncoder(w).Encode(receipt)
	return nil
}

// deliver hands a body to the desk, and says of one that is not taken what its sender
// can do about it.
func (a *API) deliver(w http.ResponseWriter, r *http.Request, d Intake, name string) (desk.Receipt, error) {
	receipt, err := a.take(w, r, d, name)
	if errors.Is(err, desk.ErrUnavailable) {
		p := a.problemOf(r.Context(), err)
		p.Detail = "nothing of the batch was taken, because it cannot be made durable now; send it again in a moment"
		return receipt, p
	}
	var over *http.MaxBytesError
	if errors.As(err, &over) || errors.Is(err, desk.ErrTooLarge) {
		err = &Problem{Status: http.StatusRequestEntityTooLarge, Reason: "too_large",
			Detail: fmt.Sprintf("nothing was taken: a batch is at most %d events, %d MiB of text and %d MiB as sent; send it in parts", accesslog.MaxBatch, accesslog.MaxBatchBytes>>20, a.opt.MaxIngest>>20)}
	}
	return receipt, err
}

// take hands a body to the desk. It holds a slot and its share of memory meanwhile, so that a
// flood of events leaves the rest of the API its memory.
func (a *API) take(w http.ResponseWriter, r *http.Request, d Intake, name string) (desk.Receipt, error) {
	key := keyOf(r.Context())
	if wait := a.quotas.wait(key.ID, time.Now()); wait > 0 {
		a.quotas.refuse(key.Source, time.Now())
		p := tooMany(wait)
		p.Detail = fmt.Sprintf("this key sent more than its quota of %s events a second; nothing of the batch was taken: send it again after %d s", strconv.FormatFloat(a.quotas.perSecond, 'f', -1, 64), p.retryAfter)
		return desk.Receipt{}, p
	}
	select {
	case a.ingest <- struct{}{}:
		defer func() { <-a.ingest }()
	default:
		return desk.Receipt{}, desk.ErrBusy
	}
	how := desk.Delivery{Batch: r.Header.Get("Tocsin-Batch"), Format: name, Supplied: r.Header.Get("Tocsin-Supplied")}
	if len(how.Batch) > format.MaxName {
		return desk.Receipt{}, fmt.Errorf("Tocsin-Batch is longer than %d bytes: %w", format.MaxName, desk.ErrInvalid)
	}
	if r.ContentLength > a.opt.MaxIngest {
		return desk.Receipt{}, desk.ErrTooLarge
	}
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	share := int64(16 << 20) // what may be unpacked from a body, and its stored form
	if encoding == "" && r.ContentLength >= 0 {
		share = min(share, 2*r.ContentLength+4096)
	}
	if a.inflight.Add(share) > a.opt.Inflight && share < a.opt.Inflight {
		a.inflight.Add(-share)
		return desk.Receipt{}, desk.ErrBusy
	}
	defer a.inflight.Add(-share)
	// A sender may be slow, but not for ever.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Minute))
	body, err := unpack(http.MaxBytesReader(w, r.Body, a.opt.MaxIngest), encoding, maxInflate*a.opt.MaxIngest)
	if err != nil {
		return desk.Receipt{}, err
	}
	receipt, err := d.Ingest(r.Context(), key, how, body)
	if err != nil {
		var corrupt flate.CorruptInputError
		if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, zstd.ErrMagicMismatch) {
			return receipt, &Problem{Status: http.StatusBadRequest, Reason: "cut_short", Detail: "the body ends early or is damaged; send the batch again with the same key"}
		}
		return receipt, err
	}
	a.quotas.spend(key.ID, receipt.Accepted+receipt.Duplicates+len(receipt.Rejected)+receipt.Skipped, time.Now())
	return receipt, nil
}

// unpack undoes a content encoding.
func unpack(body io.Reader, encoding string, most int64) (io.Reader, error) {
	switch encoding {
	case "", "identity":
		return body, nil
	case "gzip":
		z, err := format.Gunzip(body)
		if err != nil {
			return nil, fmt.Errorf("the body is not gzip although it says so: %w", desk.ErrInvalid)
		}
		return &inflated{from: z, left: most}, nil
	case "zstd":
		br := bufio.NewReader(body)
		if head, _ := br.Peek(4); format.Packed(head) != format.Zstd {
			return nil, fmt.Errorf("the body is not zstd although it says so: %w", desk.ErrInvalid)
		}
		return br, nil // the access log unpacks it, as it does any body that begins like this
	}
	return nil, &Problem{Status: http.StatusUnsupportedMediaType, Reason: "encoding", Detail: "Content-Encoding may be gzip or zstd or absent"}
}

// inflated limits what a decompressed body may hold.
type inflated struct {
	from io.Reader
	left int64
}

func (r *inflated) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, desk.ErrTooLarge
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.from.Read(p)
	r.left -= int64(n)
	return n, err
}

// quotas count events by ingest key. A request is counted when its events are known, which is
// after they were taken: a key that spent more than it had waits until it is even again.
type quotas struct {
	perSecond float64

	mu      sync.Mutex
	until   map[string]time.Time    // by key: when all it sent would have been sent at its rate
	refused map[string]doctor.Quota // by source
}

// quotaBurst is how much a key may be ahead of its rate.
const quotaBurst = 10 * time.Second

// wait says how long a key has to wait before it may send again; 0: not at all.
func (q *quotas) wait(key string, now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	until, ok := q.until[key]
	if !ok {
		return 0
	}
	return max(0, until.Sub(now)-quotaBurst)
}

func (q *quotas) spend(key string, events int, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.until[key]
	if at.Before(now) {
		at = now
	}
	// There are as many entries as there are ingest keys, which an owner makes one by one.
	q.until[key] = at.Add(time.Duration(float64(events) / q.perSecond * float64(time.Second)))
}

// refuse notes that a request was refused because its key had spent its quota.
func (q *quotas) refuse(source string, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	x := q.refused[source]
	if now.Sub(x.Last) > 24*time.Hour {
		x.Requests = 0
	}
	q.refused[source] = doctor.Quota{Source: source, Requests: x.Requests + 1, Last: now, PerSecond: q.perSecond}
}

// OverQuota lists the sources of which a request was refused since then because they had sent more
// than they may, by name.
func (a *API) OverQuota(since time.Time) []doctor.Quota {
	a.quotas.mu.Lock()
	defer a.quotas.mu.Unlock()
	var all []doctor.Quota
	for _, x := range a.quotas.refused {
		if x.Last.After(since) {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(x, y doctor.Quota) int { return strings.Compare(x.Source, y.Source) })
	return all
}

// readJSON reads a small JSON body strictly, for operations that huma does not decode.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Header.Get("Content-Type") != "" && (err != nil || t != "application/json") {
		return &Problem{Status: http.StatusUnsupportedMediaType, Reason: "content_type", Detail: "the body must be application/json"}
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return &Problem{Status: http.StatusUnprocessableEntity, Reason: "invalid_request", Detail: "the body is not the JSON that is asked for"}
	}
	return nil
}
