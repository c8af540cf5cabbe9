package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

func (a *API) registerDoctor() {
	op := operation("doctor", http.MethodGet, "/v1/doctor", viewers, "Which preconditions of the policy's promises hold, and what to do about those that do not")
	op.Tags, op.Errors = []string{"doctor"}, append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*struct{ Body doctor.Report }, error) {
		if a.opt.Doctor == nil {
			return nil, a.fail(ctx, desk.ErrUnavailable)
		}
		report, err := a.opt.Doctor(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		report.Findings = full(report.Findings)
		return &struct{ Body doctor.Report }{report}, nil
	})
}
