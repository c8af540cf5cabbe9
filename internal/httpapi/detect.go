package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

type backtestInput struct{ Body desk.BacktestQuery }

type backtestOutput struct{ Body desk.Backtest }

func (a *API) registerDetection(d Detection) {
	op := operation("backtest", http.MethodPost, "/v1/detect/backtest", responders, "Say what rules would have found in the stored log; nothing is raised")
	op.Tags, op.BodyReadTimeout, op.MaxBodyBytes = []string{"detect"}, 30*time.Second, 8<<20
	op.Errors = append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *backtestInput) (*backtestOutput, error) {
		result, err := d.Backtest(ctx, in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &backtestOutput{Body: result}, nil
	})
}
