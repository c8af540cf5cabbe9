package httpapi

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

type previewInput struct {
	ID     string `path:"id" maxLength:"64"`
	Notice string `path:"notice" maxLength:"64"`
	Party  string `query:"party" required:"true" maxLength:"200" doc:"the recipient: a merchant id, or a party of the policy"`
}

type previewOutput struct{ Body desk.Letter }

type exportInput struct {
	Recipient string `json:"recipient" minLength:"1" maxLength:"200" doc:"who gets the file; recorded in the chain of custody"`
}

func (a *API) registerNotices(d Incidents) {
	op := operation("preview", http.MethodGet, "/v1/incidents/{id}/notices/{notice}/preview", viewers, "The letter as one real recipient gets it")
	op.Tags, op.Errors = []string{"notice"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *previewInput) (*previewOutput, error) {
		letter, err := d.Preview(ctx, in.ID, in.Notice, in.Party)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &previewOutput{Body: letter}, nil
	})

	op = operation("export", http.MethodPost, "/v1/incidents/{id}/export", responders, "Export the evidence; the export itself is recorded")
	op.Tags, op.Errors = []string{"evidence"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	op.Parameters = []*huma.Param{
		{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}, idempotencyParam(),
	}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: a.schema(exportInput{})},
	}}
	op.Responses = map[string]*huma.Response{"200": {Description: "the export, which tocsin-verify reads",
		Content: map[string]*huma.MediaType{"application/octet-stream": {}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		var in exportInput
		if err := readJSON(w, r, 16<<10, &in); err != nil {
			return err
		}
		if in.Recipient == "" || len(in.Recipient) > 200 {
			return &Problem{Status: http.StatusUnprocessableEntity, Reason: "invalid", Detail: "recipient must be 1 to 200 characters: who gets the file?"}
		}
		id := r.PathValue("id")
		// The export is recorded before it is sent. A crash in between leaves a file that nobody got
		// and a record of it; asking again with the same key gives the same file.
		path, err := d.Export(r.Context(), requestID(r.Context(), r.Header.Get("Idempotency-Key")), callerOf(r.Context()), id, in.Recipient)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		h.Set("Content-Disposition", `attachment; filename="`+fileName(filepath.Base(path))+`"`)
		_, _ = io.Copy(w, file) // the length says if the caller got all of it
		return nil
	})
}

// fileName keeps of a name what is safe between quotes in a header.
func fileName(name string) string {
	out := []byte(name)
	for i, c := range out {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
		if !ok {
			out[i] = '_'
		}
	}
	return string(out)
}
