package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/scope"
)

type scopeInput struct{ Body scope.Query }

type compareOutput struct{ Body scope.Comparison }

type scopeOutput struct{ Body scope.Result }

type recordScopeInput struct {
	ID   string `path:"id" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Query  scope.Query `json:"query"`
		Reason string      `json:"reason,omitempty" maxLength:"4000"`
	}
}

type recordScopeOutput struct {
	Body struct {
		Outcome desk.Outcome `json:"outcome"`
		Result  scope.Result `json:"result"`
	}
}

func (a *API) registerScopes(d Scopes) {
	op := operation("scope", http.MethodPost, "/v1/scope", responders, "Compute who is affected; nothing is recorded")
	op.Tags, op.BodyReadTimeout = []string{"scope"}, 10*time.Second
	huma.Register(a.huma, op, func(ctx context.Context, in *scopeInput) (*scopeOutput, error) {
		result, err := d.Scope(ctx, in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &scopeOutput{Body: result}, nil
	})

	op = operation("compare-scope", http.MethodPost, "/v1/scope/compare", responders, "Set what a query takes in beside what its credentials and actors usually do; nothing is recorded")
	op.Tags, op.BodyReadTimeout = []string{"scope"}, 10*time.Second
	huma.Register(a.huma, op, func(ctx context.Context, in *scopeInput) (*compareOutput, error) {
		c, err := d.CompareScope(ctx, in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &compareOutput{Body: c}, nil
	})

	op = operation("record-scope", http.MethodPost, "/v1/incidents/{id}/scope", responders, "Compute who is affected and record it on the incident")
	op.Tags, op.Errors = []string{"scope"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *recordScopeInput) (*recordScopeOutput, error) {
		outcome, result, err := d.RecordScope(ctx, requestID(ctx, in.Key), callerOf(ctx), in.ID, in.Body.Query, in.Body.Reason)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &recordScopeOutput{}
		out.Body.Outcome, out.Body.Result = outcome, result
		return out, nil
	})

	op = operation("match-scope", http.MethodPost, "/v1/incidents/{id}/scope/match", responders,
		"Compare your own list of customers with a recorded scope: which lines are affected, and how many live where; nothing of the list is kept")
	op.Tags, op.Errors = []string{"scope"}, append(op.Errors, http.StatusNotFound, http.StatusRequestEntityTooLarge)
	op.Parameters = []*huma.Param{
		{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
		{Name: "version", In: "query", Description: "which recorded scope; default the newest", Schema: &huma.Schema{Type: "integer"}},
	}
	op.RequestBody = &huma.RequestBody{Required: true, Description: "columns merchant, region and at least one of account, email and phone",
		Content: map[string]*huma.MediaType{"text/csv": {}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "the affected lines by their number, and residents by region",
		Content: map[string]*huma.MediaType{"application/json": {Schema: a.schema(scope.Matched{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		version := 0
		if text := r.URL.Query().Get("version"); text != "" {
			var err error
			if version, err = strconv.Atoi(text); err != nil || version < 1 {
				return fmt.Errorf("%w: version: has to be the number of a recorded scope", desk.ErrInvalid)
			}
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Minute))
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(15 * time.Minute))
		m, err := d.MatchScope(r.Context(), r.PathValue("id"), version, http.MaxBytesReader(w, r.Body, desk.MaxList))
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(m)
		return nil
	})
}
