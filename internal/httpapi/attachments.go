package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/inert"
)

// Attachments are the files that people attach to incidents, and the signals that they link.
type Attachments interface {
	Attach(ctx context.Context, id string, by desk.Caller, incident, name, note string, body io.Reader) (desk.Outcome, error)
	Attachment(ctx context.Context, incident, id string) (incident.Attachment, []byte, error)
	Merge(ctx context.Context, id string, by desk.Caller, ask desk.MergeAsk) (desk.Outcome, error)
	Split(ctx context.Context, id string, by desk.Caller, ask desk.SplitAsk) (desk.Outcome, error)
	LinkSignal(ctx context.Context, id string, by desk.Caller, incident, signal, from, reason string) (desk.Outcome, error)
}

type linkInput struct {
	ID   string `path:"id" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Signal string `json:"signal" minLength:"1" maxLength:"200" doc:"id of the signal"`
		From   string `json:"from" minLength:"1" maxLength:"64" doc:"the incident that has it, or had it"`
		Reason string `json:"reason" maxLength:"4000"`
	}
}

func (a *API) registerAttachments(d Attachments) {
	a.registerMerging(d)
	op := operation("link-signal", http.MethodPost, "/v1/incidents/{id}/link-signal", responders, "Link a signal of another incident; there it is taken out")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *linkInput) (*outcomeOutput, error) {
		out, err := d.LinkSignal(ctx, requestID(ctx, in.Key), callerOf(ctx), in.ID, in.Body.Signal, in.Body.From, in.Body.Reason)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})

	op = operation("attach", http.MethodPost, "/v1/incidents/{id}/attachments", responders, "Attach a file as evidence; it is kept by its digest and never changed")
	op.Tags, op.Errors = []string{"evidence"}, append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge)
	op.Parameters = []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}, idempotencyParam()}
	op.RequestBody = &huma.RequestBody{Required: true, Description: "the fields name and note, then file, in this order; a file has at most 32 MiB",
		Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{Type: "object", Required: []string{"name", "note", "file"}, Properties: map[string]*huma.Schema{
			"name": {Type: "string"}, "note": {Type: "string"}, "file": {Type: "string", Format: "binary"},
		}}}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "what was recorded, with the file's digest in the fact",
		Content: map[string]*huma.MediaType{"application/json": {Schema: a.schema(desk.Outcome{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(2 * time.Minute))
		r.Body = http.MaxBytesReader(w, r.Body, inert.MaxForm)
		up, err := inert.Read(r)
		if err != nil {
			return fmt.Errorf("%w: %w", desk.ErrInvalid, err)
		}
		out, err := d.Attach(r.Context(), requestID(r.Context(), r.Header.Get("Idempotency-Key")), callerOf(r.Context()), r.PathValue("id"), up.Name(), up.Fields["note"], up.File)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
		return nil
	})

	op = operation("attachment", http.MethodGet, "/v1/incidents/{id}/attachments/{attachment}", viewers, "An attached file, to be saved and not to be shown")
	op.Tags, op.Errors = []string{"evidence"}, append(op.Errors, http.StatusNotFound)
	op.Parameters = []*huma.Param{
		{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
		{Name: "attachment", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
	}
	op.Responses = fileResponse("the file as it was attached", "application/octet-stream")
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		at, raw, err := d.Attachment(r.Context(), r.PathValue("id"), r.PathValue("attachment"))
		if err != nil {
			return err
		}
		inert.Serve(w, r.PathValue("id")+"-"+at.ID, raw)
		return nil
	})
}
