package httpapi

import (
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// formats of access events the door decodes. Auto looks at the first bytes.
var formats = []any{"auto", "native", "ocsf", "otlp", "cloudtrail", "gcp", "access", "pgaudit", "shopify"}

// maxInflate bounds what a compressed body may grow to, as a multiple of what may be sent.
const maxInflate = 20

func (a *API) registerIntake(d Intake) {
	op := operation("ingest", http.MethodPost, "/v1/events", ingesters, "Take in access events; answered when they are durable")
	op.Tags = []string{"access log"}
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable)
	op.Parameters = []*huma.Param{
		{Name: "Tocsin-Batch", In: "header", Description: "batch key: a batch that was taken in already counts as duplicates", Schema: &huma.Schema{Type: "string"}},
		{Name: "format", In: "query", Schema: &huma.Schema{Type: "string", Enum: formats, Default: "auto"}},
	}
	op.RequestBody = &huma.RequestBody{Required: true, Description: "one event a line, or a JSON array; gzip allowed",
		Content: map[string]*huma.MediaType{"application/x-ndjson": {}, "application/json": {}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "what was taken in and what was not",
		Content: map[string]*huma.MediaType{"application/json": {Schema: a.schema(desk.Receipt{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error { return a.takeIn(w, r, d) })
}

// takeIn streams the body to the desk. It holds one of a few slots, so that a flood of events
// leaves the rest of the API its memory.
func (a *API) takeIn(w http.ResponseWriter, r *http.Request, d Intake) error {
	select {
	case a.ingest <- struct{}{}:
		defer func() { <-a.ingest }()
	default:
		return desk.ErrBusy
	}
	format := r.URL.Query().Get("format")
	if format == "" {
		format = "auto"
	}
	if !known(format) {
		return fmt.Errorf("format is not one of those the door decodes: %w", desk.ErrInvalid)
	}
	batch := r.Header.Get("Tocsin-Batch")
	if len(batch) > 200 {
		return fmt.Errorf("Tocsin-Batch is longer than 200 bytes: %w", desk.ErrInvalid)
	}
	if r.ContentLength > a.opt.MaxIngest {
		return desk.ErrTooLarge
	}
	// A sender may be slow, but not for ever.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Minute))
	body := io.Reader(http.MaxBytesReader(w, r.Body, a.opt.MaxIngest))
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		unzip, err := gzip.NewReader(body)
		if err != nil {
			return fmt.Errorf("the body is not gzip although it says so: %w", desk.ErrInvalid)
		}
		body = &inflated{from: unzip, left: maxInflate * a.opt.MaxIngest}
	default:
		return &Problem{Status: http.StatusUnsupportedMediaType, Reason: "encoding", Detail: "Content-Encoding may be gzip or absent"}
	}
	receipt, err := d.Ingest(r.Context(), keyOf(r.Context()), batch, format, body)
	if err != nil {
		var corrupt flate.CorruptInputError
		if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &Problem{Status: http.StatusBadRequest, Reason: "cut_short", Detail: "the body ends early or is damaged; send the batch again with the same key"}
		}
		return err
	}
	receipt.Rejected = full(receipt.Rejected)
	w.Header().Set("Content-Type", "application/json")
	// A failed write means that the sender does not know: it sends the batch again and is told duplicates.
	_ = json.NewEncoder(w).Encode(receipt)
	return nil
}

func known(format string) bool {
	for _, f := range formats {
		if f == format {
			return true
		}
	}
	return false
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
