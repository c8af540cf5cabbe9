package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

type eraseInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body desk.Erasure
}

type eraseOutput struct{ Body desk.ErasureTaken }

type planErasureInput struct{ Body desk.Erasure }

type planErasureOutput struct{ Body desk.ErasurePlan }

type erasuresOutput struct{ Body desk.Erasures }

func (a *API) registerErasures(d Accesses) {
	op := operation("erase", http.MethodPost, "/v1/erasures", owners, "Erase access events of customers, or of a whole merchant, from the table that questions are asked of")
	op.Tags, op.DefaultStatus, op.Errors = []string{"evidence"}, http.StatusOK, append(op.Errors, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *eraseInput) (*eraseOutput, error) {
		out, err := d.Erase(ctx, requestID(ctx, in.Key), callerOf(ctx), in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &eraseOutput{Body: out}, nil
	})
	op = operation("plan-erasure", http.MethodPost, "/v1/erasures/plan", owners, "What an erasure would do and which holds stand in its way; nothing is erased")
	op.Tags, op.DefaultStatus, op.Errors = []string{"evidence"}, http.StatusOK, append(op.Errors, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *planErasureInput) (*planErasureOutput, error) {
		out, err := d.PlanErasure(ctx, callerOf(ctx), in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &planErasureOutput{Body: out}, nil
	})
	op = operation("erasures", http.MethodGet, "/v1/erasures", owners, "What was erased, by whom and in which right")
	op.Tags = []string{"evidence"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*erasuresOutput, error) {
		out, err := d.Erasures(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &erasuresOutput{Body: out}, nil
	})
}
