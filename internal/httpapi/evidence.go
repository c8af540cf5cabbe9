package httpapi

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

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
}

// schema gives the schema of a type for operations that huma does not serve.
func (a *API) schema(of any) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(of), true, "")
}

func idempotencyParam() *huma.Param {
	limit := 200
	return &huma.Param{Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: "string", MaxLength: &limit}}
}
