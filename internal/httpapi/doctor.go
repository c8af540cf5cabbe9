package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

type doctorInput struct {
	Full bool `query:"full" doc:"read all facts and leaves, and compare every event of the table with the log; otherwise the newest and some at random are read"`
}

type setupOutput struct {
	Body struct {
		Steps []doctor.Step `json:"steps" nullable:"false"`
	}
}

type skipInput struct {
	Step string `path:"step" maxLength:"64"`
	Body struct {
		Again bool `json:"again,omitempty" doc:"ask for it again"`
	}
}

func (a *API) registerDoctor() {
	op := operation("doctor", http.MethodGet, "/v1/doctor", viewers, "Which preconditions of the policy's promises hold, and what to do about those that do not")
	op.Tags, op.Errors = []string{"doctor"}, append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *doctorInput) (*struct{ Body doctor.Report }, error) {
		if a.opt.Doctor == nil {
			return nil, a.fail(ctx, desk.ErrUnavailable)
		}
		report, err := a.opt.Doctor(ctx, in.Full)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		report.Findings, report.Beyond = full(report.Findings), full(report.Beyond)
		return &struct{ Body doctor.Report }{report}, nil
	})

	op = operation("doctor-progress", http.MethodGet, "/v1/doctor/progress", viewers, "How far the look is that somebody has asked for")
	op.Tags, op.Errors = []string{"doctor"}, append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*struct{ Body doctor.Progress }, error) {
		if a.opt.Looking == nil {
			return nil, a.fail(ctx, desk.ErrUnavailable)
		}
		return &struct{ Body doctor.Progress }{a.opt.Looking()}, nil
	})

	op = operation("setup", http.MethodGet, "/v1/setup", viewers, "How far the first hour is: its steps, and what is done, put off or open")
	op.Tags, op.Errors = []string{"doctor"}, append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*setupOutput, error) {
		if a.opt.Doctor == nil || a.opt.Steps == nil {
			return nil, a.fail(ctx, desk.ErrUnavailable)
		}
		report, err := a.opt.Doctor(ctx, false)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &setupOutput{}
		if out.Body.Steps, err = a.opt.Steps(report); err != nil {
			return nil, a.fail(ctx, err)
		}
		return out, nil
	})

	op = operation("skip-step", http.MethodPost, "/v1/setup/{step}/skip", owners, "Put a step of the first hour off, or ask for it again")
	op.Tags, op.DefaultStatus, op.Errors = []string{"doctor"}, http.StatusNoContent, append(op.Errors, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *skipInput) (*struct{}, error) {
		if a.opt.SkipStep == nil {
			return nil, a.fail(ctx, desk.ErrUnavailable)
		}
		if err := a.opt.SkipStep(in.Step, in.Body.Again); err != nil {
			return nil, a.fail(ctx, fmt.Errorf("%w: %w", desk.ErrInvalid, err))
		}
		return nil, nil
	})
}
