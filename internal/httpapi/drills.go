package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// Drills are played beside the server, each in a data folder of its own whose environment is drill.
type Drills interface {
	Drills() ([]played.Run, error)
	Drilling() (since time.Time) // zero: none is being played
	StartDrill(scenario, by string) (began time.Time, err error)
}

type drillsInput struct {
	Began time.Time `query:"began" doc:"the drill that began at this instant, alone"`
}

type drillsOutput struct {
	Body struct {
		Since  time.Time    `json:"since,omitzero" doc:"when the drill that is being played began; absent when none is"`
		Drills []played.Run `json:"drills" nullable:"false" doc:"those that ended, newest first; what was interrupted or could not be played says why"`
	}
}

type startDrillInput struct {
	Body struct {
		Scenario string `json:"scenario" maxLength:"64" doc:"such as stolen-token"`
	}
}

type startDrillOutput struct {
	Body struct {
		Began time.Time `json:"began"`
	}
}

func (a *API) registerDrills() {
	op := operation("drills", http.MethodGet, "/v1/drills", viewers, "The drills that were played with this installation's policy, and what was kept in each")
	op.Tags, op.Errors = []string{"drills"}, append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *drillsInput) (*drillsOutput, error) {
		if a.opt.Drills == nil {
			return nil, a.fail(ctx, desk.ErrUnavailable)
		}
		out := &drillsOutput{}
		out.Body.Since = a.opt.Drills.Drilling()
		runs, err := a.opt.Drills.Drills()
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out.Body.Drills = []played.Run{}
		for _, r := range runs {
			if in.Began.IsZero() || r.Began.Equal(in.Began) {
				out.Body.Drills = append(out.Body.Drills, r)
			}
		}
		return out, nil
	})

	op = operation("start-drill", http.MethodPost, "/v1/drills", owners, "Play a drill of the policy in force, in an environment of its own: nobody outside is told and nothing real is touched")
	op.Tags, op.DefaultStatus, op.Errors = []string{"drills"}, http.StatusAccepted, append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *startDrillInput) (*startDrillOutput, error) {
		if a.opt.Drills == nil {
			return nil, a.fail(ctx, fmt.Errorf("this server is a drill itself, or the record of one: %w", desk.ErrUnavailable))
		}
		began, err := a.opt.Drills.StartDrill(in.Body.Scenario, string(callerOf(ctx).Principal))
		if err != nil {
			return nil, a.fail(ctx, fmt.Errorf("%w: %w", desk.ErrInvalid, err))
		}
		out := &startDrillOutput{}
		out.Body.Began = began
		return out, nil
	})
}
