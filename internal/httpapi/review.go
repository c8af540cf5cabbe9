package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Reviews are the texts of reviews, and what is changed because of them.
type Reviews interface {
	Review(ctx context.Context, incident string, q desk.ReviewQuery) ([]byte, error)
	PlanReview(ctx context.Context, incident, version string) (desk.ReviewPlan, error)
	ReviewDiff(ctx context.Context, incident, version string, from, to int) (string, error)
	Correctives(context.Context) ([]desk.CorrectiveRow, error)
}

// reviewTypes are the formats of a review.
var reviewTypes = map[string]string{
	"md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8", "pdf": "application/pdf",
}

type reviewVersionInput struct {
	ID      string `path:"id" maxLength:"64"`
	Version string `query:"version" enum:"internal,client,public" default:"internal" doc:"for whom it is written"`
}

type reviewDiffInput struct {
	ID      string `path:"id" maxLength:"64"`
	Version string `query:"version" enum:"internal,client,public" default:"internal" doc:"for whom it is written"`
	From    int    `query:"from" minimum:"0" required:"true" doc:"which publication; 0 is the draft"`
	To      int    `query:"to" minimum:"0" doc:"which publication; 0, as when it is left out, is the draft"`
}

// ReviewChanges says what changed between two texts of a review.
type ReviewChanges struct {
	Changes string `json:"changes" doc:"line by line, as diff -u; empty when nothing changed"`
}

// CorrectiveList is every corrective action the caller may know of.
type CorrectiveList struct {
	Correctives []desk.CorrectiveRow `json:"correctives" nullable:"false"`
}

func (a *API) registerReviews(d Reviews) {
	op := operation("review", http.MethodGet, "/v1/incidents/{id}/review", viewers, "The review as a document")
	op.Tags, op.Errors = []string{"review"}, append(op.Errors, http.StatusNotFound)
	op.Parameters = []*huma.Param{
		{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
		{Name: "format", In: "query", Schema: &huma.Schema{Type: "string", Enum: []any{"md", "html", "pdf"}, Default: "md"}},
		{Name: "version", In: "query", Description: "for whom it is written", Schema: &huma.Schema{Type: "string", Enum: []any{"internal", "client", "public"}, Default: "internal"}},
		{Name: "n", In: "query", Description: "which publication of the version; 0 is the draft as it stands", Schema: &huma.Schema{Type: "integer", Default: 0}},
	}
	op.Responses = map[string]*huma.Response{"200": {Description: "the review", Content: map[string]*huma.MediaType{
		"text/markdown": {}, "text/html": {}, "application/pdf": {},
	}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		in := r.URL.Query()
		q := desk.ReviewQuery{Version: in.Get("version"), Format: in.Get("format")}
		if q.Format == "" {
			q.Format = "md"
		}
		contentType, ok := reviewTypes[q.Format]
		if !ok {
			return &Problem{Status: http.StatusUnprocessableEntity, Reason: "invalid", Detail: "format may be md, html or pdf"}
		}
		if text := in.Get("n"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return &Problem{Status: http.StatusUnprocessableEntity, Reason: "invalid", Detail: "n is the number of a publication, or 0"}
			}
			q.N = n
		}
		body, err := d.Review(r.Context(), r.PathValue("id"), q)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		// A failed write means that the caller is gone; there is nobody left to tell.
		_, _ = w.Write(body)
		return nil
	})

	op = operation("review-plan", http.MethodGet, "/v1/incidents/{id}/review/plan", viewers, "A version of the review as it would be published now")
	op.Tags, op.Errors = []string{"review"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *reviewVersionInput) (*struct{ Body desk.ReviewPlan }, error) {
		plan, err := d.PlanReview(ctx, in.ID, in.Version)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &struct{ Body desk.ReviewPlan }{plan}, nil
	})

	op = operation("review-diff", http.MethodGet, "/v1/incidents/{id}/review/diff", viewers, "What changed between two publications of a version")
	op.Tags, op.Errors = []string{"review"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *reviewDiffInput) (*struct{ Body ReviewChanges }, error) {
		changes, err := d.ReviewDiff(ctx, in.ID, in.Version, in.From, in.To)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &struct{ Body ReviewChanges }{ReviewChanges{changes}}, nil
	})

	op = operation("correctives", http.MethodGet, "/v1/correctives", viewers, "The corrective actions of all incidents")
	op.Tags = []string{"review"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*struct{ Body CorrectiveList }, error) {
		list, err := d.Correctives(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &struct{ Body CorrectiveList }{CorrectiveList{list}}, nil
	})
}
