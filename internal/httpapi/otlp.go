package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tocsin-ir/tocsin/accesslog/format"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

const contentProtobuf = "application/x-protobuf"

func (a *API) registerOTLP(d Intake, batch *huma.Param) {
	op := operation("ingest-otlp", http.MethodPost, "/v1/logs", ingesters, "Take in access events as OpenTelemetry logs (OTLP/HTTP, JSON or protobuf)")
	op.Tags = []string{"access log"}
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable)
	op.Parameters = []*huma.Param{batch}
	op.RequestBody = &huma.RequestBody{Required: true, Description: "an ExportLogsServiceRequest; gzip and zstd allowed",
		Content: map[string]*huma.MediaType{"application/json": {}, contentProtobuf: {}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "an ExportLogsServiceResponse; records that are no access events are rejected in its partialSuccess",
		Content: map[string]*huma.MediaType{"application/json": {}, contentProtobuf: {}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		a.takeLogs(w, r, d)
		return nil // errors are answered in the protocol's own form
	})
}

// takeLogs answers POST /v1/logs as the OTLP specification wants it: the same encoding back, 400
// for what cannot be sent again as it is, 429 and 503 with Retry-After for what can.
func (a *API) takeLogs(w http.ResponseWriter, r *http.Request, d Intake) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	binary := kind == contentProtobuf
	if err != nil || !binary && kind != "application/json" {
		writeProblem(w, &Problem{Status: http.StatusUnsupportedMediaType, Reason: "content_type", Detail: "OTLP is application/x-protobuf or application/json"})
		return
	}
	name := format.OTLP
	if binary {
		name = format.Protobuf
	}
	receipt, err := a.deliver(w, r, d, name)
	if err != nil {
		p := a.problemOf(r.Context(), err)
		var own *Problem
		if errors.Is(err, desk.ErrInvalid) && !errors.As(err, &own) {
			p.Status = http.StatusBadRequest
		}
		answerStatus(w, p, binary)
		return
	}
	rejected, why := len(receipt.Rejected)+receipt.Skipped, ""
	if rejected > 0 {
		if why = fmt.Sprintf("%d records are no access events", receipt.Skipped); receipt.Skipped == 1 {
			why = "1 record is no access event"
		}
		for i, x := range receipt.Rejected {
			if i == 5 {
				why += fmt.Sprintf("; and %d more", len(receipt.Rejected)-i)
				break
			}
			why += fmt.Sprintf("; record %d, %s %s", x.Line, x.Field, x.Reason)
		}
	}
	if binary {
		var partial, out []byte
		if rejected > 0 {
			partial = protowire.AppendVarint(protowire.AppendTag(partial, 1, protowire.VarintType), uint64(rejected))
			partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), why)
			out = protowire.AppendBytes(protowire.AppendTag(out, 1, protowire.BytesType), partial)
		}
		w.Header().Set("Content-Type", contentProtobuf)
		_, _ = w.Write(out) // see takeIn
		return
	}
	var out struct {
		Partial *partialSuccess `json:"partialSuccess,omitempty"`
	}
	if rejected > 0 {
		out.Partial = &partialSuccess{Rejected: strconv.Itoa(rejected), Why: why}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

type partialSuccess struct {
	Rejected string `json:"rejectedLogRecords"` // a 64-bit number, which JSON of protobuf writes as text
	Why      string `json:"errorMessage"`
}

// answerStatus answers with a google.rpc.Status.
func answerStatus(w http.ResponseWriter, p *Problem, binary bool) {
	code := map[int]int{400: 3, 401: 16, 403: 7, 413: 3, 415: 3, 422: 3, 429: 8, 503: 14}[p.Status]
	if code == 0 {
		code = 13 // internal
	}
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	if binary {
		w.Header().Set("Content-Type", contentProtobuf)
		w.WriteHeader(p.Status)
		out := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(code))
		_, _ = w.Write(protowire.AppendString(protowire.AppendTag(out, 2, protowire.BytesType), p.Detail))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": p.Detail})
}
