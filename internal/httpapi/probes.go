package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Probes shows and runs the checks that run by themselves.
type Probes interface {
	Probes(context.Context) ([]desk.ProbeRow, error)
	RunProbe(ctx context.Context, name string) (desk.ProbeRow, error)
}

type probesOutput struct {
	Body struct {
		Probes []desk.ProbeRow `json:"probes" nullable:"false"`
	}
}

func (a *API) registerProbes(d Probes) {
	op := operation("probes", http.MethodGet, "/v1/probes", viewers, "How the probes stand: checks of the configuration that run by themselves")
	op.Tags = []string{"probes"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*probesOutput, error) {
		list, err := d.Probes(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &probesOutput{}
		out.Body.Probes = full(list)
		return out, nil
	})

	op = operation("probe-check", http.MethodPost, "/v1/probes/{name}/check", responders, "Run a probe now, as if it were due: its failure counts, and its success ends an outage")
	op.Tags, op.Errors = []string{"probes"}, append(op.Errors, http.StatusNotFound, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *struct {
		Name string `path:"name" maxLength:"64"`
	}) (*struct{ Body desk.ProbeRow }, error) {
		row, err := d.RunProbe(ctx, in.Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &struct{ Body desk.ProbeRow }{row}, nil
	})
}
