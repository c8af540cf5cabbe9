package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/scope"
)

type scopeInput struct{ Body scope.Query }

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
}
