package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

type mergeInput struct {
	ID   string `path:"id" maxLength:"64" doc:"the incident that goes on"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Dry  bool   `query:"dry_run" doc:"record nothing; say in plan what it would do"`
	Body struct {
		From   string `json:"from" minLength:"1" maxLength:"64" doc:"the incident that ends as a part of it"`
		Reason string `json:"reason" maxLength:"4000"`

		Versions map[string]int `json:"versions,omitempty" doc:"of both incidents by id, as the dry run gave them: refused when somebody acted on one of them since"`
	}
}

type splitInput struct {
	ID   string `path:"id" maxLength:"64" doc:"the incident that signals leave"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Dry  bool   `query:"dry_run" doc:"record nothing; say in plan what it would do"`
	Body struct {
		Signals []string `json:"signals" minItems:"1" maxItems:"200" doc:"ids of the signals that become an incident of their own"`
		Title   string   `json:"title,omitempty" maxLength:"500" doc:"of the new incident; that of the first when absent"`
		Class   string   `json:"class,omitempty" maxLength:"64" doc:"of the new incident; that of the first when absent"`
		Reason  string   `json:"reason" maxLength:"4000"`
	}
}

// registerMerging puts two incidents together, and takes one apart. Both concern two chains of facts and
// are done in one step.
func (a *API) registerMerging(d Attachments) {
	op := operation("merge", http.MethodPost, "/v1/incidents/{id}/merge", responders, "Take another incident into this one: it ends by name, and its clocks go on here")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *mergeInput) (*outcomeOutput, error) {
		out, err := d.Merge(ctx, requestID(ctx, in.Key), callerOf(ctx), desk.MergeAsk{Into: in.ID, From: in.Body.From, Reason: in.Body.Reason, Dry: in.Dry, Versions: in.Body.Versions})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})
	op = operation("split", http.MethodPost, "/v1/incidents/{id}/split", responders, "Open an incident of its own with some of the signals; the answer names it")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *splitInput) (*outcomeOutput, error) {
		out, err := d.Split(ctx, requestID(ctx, in.Key), callerOf(ctx), desk.SplitAsk{Of: in.ID, Signals: in.Body.Signals, Title: in.Body.Title, Class: in.Body.Class, Reason: in.Body.Reason, Dry: in.Dry})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})
}
