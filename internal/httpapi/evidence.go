package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

type daysOutput struct{ Body desk.LogDays }

type checkpointsOutput struct{ Body desk.Checkpoints }

func (a *API) registerEvidence(d Evidence) {
	op := operation("checkpoints", http.MethodGet, "/v1/checkpoints", public, "The newest signed checkpoint of both logs and the keys that verify them")
	op.Tags = []string{"evidence"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*checkpointsOutput, error) {
		points, err := d.Checkpoints(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &checkpointsOutput{Body: points}, nil
	})

	op = operation("log-days", http.MethodGet, "/v1/evidence/days", viewers, "The days of the access log: how long each is kept and why, and which were removed")
	op.Tags = []string{"evidence"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*daysOutput, error) {
		days, err := d.LogDays(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &daysOutput{Body: days}, nil
	})

	op = operation("prove-event", http.MethodGet, "/v1/events/{id}/proof", responders, "Prove one access event; what else its leaf holds stays sealed")
	op.Tags, op.Errors = []string{"evidence"}, append(op.Errors, http.StatusNotFound)
	op.Parameters = []*huma.Param{
		{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
		{Name: "since", In: "query", Description: "leaves of a checkpoint that was kept: prove as well that the log was not rewritten since", Schema: &huma.Schema{Type: "integer"}},
	}
	op.Responses = fileResponse("the proof, which tocsin-verify checks", "application/json")
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		since := uint64(0)
		if text := r.URL.Query().Get("since"); text != "" {
			var err error
			if since, err = strconv.ParseUint(text, 10, 63); err != nil {
				return fmt.Errorf("%w: since: has to be a number of leaves", desk.ErrInvalid)
			}
		}
		proof, err := d.ProveEvent(r.Context(), r.PathValue("id"), since)
		if err != nil {
			return err
		}
		serveFile(w, proof, "application/json", "no-store")
		return nil
	})

	// The two logs as C2SP tlog-tiles, so that anybody's tools can follow them. Hashes and checkpoints
	// say nothing of what was logged; the leaves say when something was, and are for members.
	for _, t := range []struct {
		id, path, prefix string
		who              who
		says             string
	}{
		{"log-file", "/v1/log/{log}/{file...}", "", public, "A checkpoint or a tile of hashes of the log of facts or of events (C2SP tlog-tiles)"},
		{"log-entries", "/v1/log/{log}/tile/entries/{file...}", "tile/entries/", viewers, "Leaves of the log of facts or of events (C2SP tlog-tiles); those of events are sealed"},
	} {
		op := operation(t.id, http.MethodGet, t.path, t.who, t.says)
		op.Tags, op.Errors = []string{"evidence"}, append(op.Errors, http.StatusNotFound)
		op.Parameters = []*huma.Param{
			{Name: "log", In: "path", Required: true, Schema: &huma.Schema{Type: "string", Enum: []any{"facts", "events"}}},
			{Name: "file", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
		}
		op.Responses = fileResponse("the file", "application/octet-stream")
		a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
			name := t.prefix + r.PathValue("file")
			if t.who == public && strings.HasPrefix(name, "tile/entries/") {
				return fmt.Errorf("%w: the log has no such file", desk.ErrNotFound) // written with %2F it comes here
			}
			raw, err := d.LogFile(r.PathValue("log"), name)
			if err != nil {
				return err
			}
			if name == "checkpoint" {
				serveFile(w, raw, "text/plain; charset=utf-8", "no-cache")
				return nil
			}
			serveFile(w, raw, "application/octet-stream", "max-age=31536000, immutable")
			return nil
		})
	}
}

func fileResponse(says, kind string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: says, Content: map[string]*huma.MediaType{kind: {}}}}
}

func serveFile(w http.ResponseWriter, raw []byte, kind, cache string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.Header().Set("Cache-Control", cache)
	// A failed write is the reader's to notice: the length is given.
	_, _ = w.Write(raw)
}

// schema gives the schema of a type for operations that huma does not serve.
func (a *API) schema(of any) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(of), true, "")
}

func idempotencyParam() *huma.Param {
	limit := 200
	return &huma.Param{Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: "string", MaxLength: &limit}}
}
