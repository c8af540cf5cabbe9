package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Files are compared with what somebody approved.
type Files interface {
	Sources(context.Context) ([]desk.SourceState, error)
	CheckSource(ctx context.Context, name string) (desk.SourceState, error)
	Diff(ctx context.Context, name string) (desk.SourceDiff, error)
	Approve(ctx context.Context, id string, by desk.Caller, name, found, reason string) (desk.SourceState, error)
	RestoreSource(ctx context.Context, id string, by desk.Caller, name, incident, reason string) (desk.Outcome, error)
	IncidentChanges(ctx context.Context, incident string) ([]desk.FilesChanged, error)
}

type sourceInput struct {
	Name string `path:"name" maxLength:"64"`
}

type approveInput struct {
	Name string `path:"name" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Found  string `json:"found,omitempty" maxLength:"80" doc:"digest of the state that is approved, as the diff gives it; may be absent the first time"`
		Reason string `json:"reason" maxLength:"1000" doc:"why this state is good, such as the deploy it comes from"`
	}
}

type restoreInput struct {
	Name string `path:"name" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Incident string `json:"incident" minLength:"1" maxLength:"64"`
		Reason   string `json:"reason" maxLength:"4000"`
	}
}

type sourceOutput struct{ Body desk.SourceState }

type sourcesOutput struct {
	Body struct {
		Sources []desk.SourceState `json:"sources" nullable:"false"`
	}
}

type changesOutput struct {
	Body struct {
		Changes []desk.FilesChanged `json:"changes" nullable:"false"`
	}
}

func (a *API) registerIntegrity(d Files) {
	op := operation("integrity", http.MethodGet, "/v1/integrity", viewers, "Files that are compared with what somebody approved, and how they are")
	op.Tags = []string{"integrity"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*sourcesOutput, error) {
		list, err := d.Sources(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &sourcesOutput{}
		out.Body.Sources = full(list)
		return out, nil
	})

	op = operation("integrity-diff", http.MethodGet, "/v1/integrity/{name}/diff", responders, "Look at a source, and show what is not as approved")
	op.Tags, op.Errors = []string{"integrity"}, append(op.Errors, http.StatusNotFound, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *sourceInput) (*struct{ Body desk.SourceDiff }, error) {
		out, err := d.Diff(ctx, in.Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &struct{ Body desk.SourceDiff }{out}, nil
	})

	op = operation("integrity-check", http.MethodPost, "/v1/integrity/{name}/check", responders, "Look at a source now; what is not as approved is a signal")
	op.Tags, op.DefaultStatus, op.Errors = []string{"integrity"}, http.StatusOK, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *sourceInput) (*sourceOutput, error) {
		out, err := d.CheckSource(ctx, in.Name)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &sourceOutput{Body: out}, nil
	})

	op = operation("integrity-baseline", http.MethodPost, "/v1/integrity/{name}/baseline", responders, "Approve the present state of a source as its known good")
	op.Tags, op.DefaultStatus, op.Errors = []string{"integrity"}, http.StatusOK, append(op.Errors, http.StatusNotFound, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *approveInput) (*sourceOutput, error) {
		out, err := d.Approve(ctx, requestID(ctx, in.Key), callerOf(ctx), in.Name, in.Body.Found, in.Body.Reason)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &sourceOutput{Body: out}, nil
	})

	op = operation("integrity-restore", http.MethodPost, "/v1/integrity/{name}/restore", responders, "Plan that a source is put back as approved, as an action of an incident")
	op.Tags, op.DefaultStatus, op.Errors = []string{"integrity"}, http.StatusOK, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *restoreInput) (*outcomeOutput, error) {
		out, err := d.RestoreSource(ctx, requestID(ctx, in.Key), callerOf(ctx), in.Name, in.Body.Incident, in.Body.Reason)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})

	op = operation("incident-files", http.MethodGet, "/v1/incidents/{id}/files", viewers, "The files that an incident's signals say were changed, with a diff of each")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"64"`
	}) (*changesOutput, error) {
		list, err := d.IncidentChanges(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &changesOutput{}
		out.Body.Changes = full(list)
		return out, nil
	})
}
