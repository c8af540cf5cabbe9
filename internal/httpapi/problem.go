package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

// Problem is the body of every error (RFC 9457). Reason is stable and for programs; Detail is one
// sentence for people; Missing lists everything that stands in the way of a refused command.
type Problem struct {
	Type    string             `json:"type,omitempty"`
	Title   string             `json:"title"`
	Status  int                `json:"status"`
	Detail  string             `json:"detail,omitempty"`
	Reason  incident.Reason    `json:"reason"`
	Missing []incident.Missing `json:"missing,omitempty"`

	retryAfter int // seconds; 0: no header
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus makes a Problem an error of huma's.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes huma answer as RFC 9457 wants it.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders gives the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="tocsin"`)
	}
	return h
}

// huma asks this variable for every error it makes itself. It is set once, before any API exists.
// The offending value is left out on purpose: it may be a secret or somebody's address.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := &Problem{Status: status, Title: http.StatusText(status), Detail: message, Reason: "invalid_request"}
		if status >= http.StatusInternalServerError {
			return internalProblem()
		}
		if status == http.StatusRequestEntityTooLarge {
			p.Reason = "too_large"
		}
		for _, err := range errs {
			var detail huma.ErrorDetailer
			if errors.As(err, &detail) {
				d := detail.ErrorDetail()
				where := strings.TrimPrefix(d.Location, "body.")
				if where == "" || where == "body" {
					where = "the body"
				}
				p.Missing = append(p.Missing, incident.Missing{What: where + ": " + d.Message, Do: "correct " + where})
			}
		}
		return p
	}
}

func internalProblem() *Problem {
	return &Problem{
		Status: http.StatusInternalServerError, Title: http.StatusText(http.StatusInternalServerError),
		Reason: "internal", Detail: "something failed here; the server's log says what",
	}
}

// statusOf gives the status of a refusal. A reason that is not listed is a conflict with the state
// of the incident: what was asked is understood and is not possible now.
var statusOf = map[incident.Reason]int{
	org.NotSignedIn:            http.StatusUnauthorized,
	org.TokenExpired:           http.StatusUnauthorized,
	org.NeedsOwner:             http.StatusForbidden,
	org.NeedsResponder:         http.StatusForbidden,
	org.NeedsSelf:              http.StatusForbidden,
	org.ExceedsOwn:             http.StatusForbidden,
	org.CodeUnknown:            http.StatusForbidden,
	org.CodeUsed:               http.StatusForbidden,
	org.CodeExpired:            http.StatusForbidden,
	org.UnknownPerson:          http.StatusNotFound,
	org.UnknownToken:           http.StatusNotFound,
	org.UnknownKey:             http.StatusNotFound,
	org.InvalidField:           http.StatusUnprocessableEntity,
	incident.RefusedAccess:     http.StatusForbidden,
	incident.RefusedRole:       http.StatusForbidden,
	incident.RefusedLead:       http.StatusForbidden,
	incident.RefusedOwnWork:    http.StatusForbidden,
	incident.RefusedNoIncident: http.StatusNotFound,
	incident.RefusedUnknown:    http.StatusNotFound,
	incident.RefusedUseCommand: http.StatusUnprocessableEntity,
	incident.RefusedContent:    http.StatusUnprocessableEntity,
}

// problemOf turns an error of the desk into what the caller may know of it. Whatever is not meant
// for callers is logged and answered as internal.
func (a *API) problemOf(ctx context.Context, err error) *Problem {
	var p *Problem
	var refusal *incident.Refusal
	var field *incident.FieldError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &refusal):
		status, ok := statusOf[refusal.Reason]
		if !ok {
			status = http.StatusConflict
		}
		p = &Problem{Status: status, Reason: refusal.Reason, Detail: refusal.Message, Missing: refusal.Missing}
	case errors.As(err, &field):
		p = &Problem{Status: http.StatusUnprocessableEntity, Reason: "invalid", Detail: "the command cannot be taken",
			Missing: []incident.Missing{{What: field.Field + ": " + field.Problem, Do: "correct " + field.Field}}}
	case errors.As(err, &tooLarge), errors.Is(err, desk.ErrTooLarge):
		p = &Problem{Status: http.StatusRequestEntityTooLarge, Reason: "too_large", Detail: "the request is larger than is taken; send it in parts"}
	case errors.Is(err, desk.ErrUnauthenticated):
		p = &Problem{Status: http.StatusUnauthorized, Reason: org.NotSignedIn, Detail: "a valid token is needed"}
	case errors.Is(err, desk.ErrForbidden):
		p = &Problem{Status: http.StatusForbidden, Reason: "not_allowed", Detail: desk.Said(err)}
	case errors.Is(err, desk.ErrNotFound):
		p = &Problem{Status: http.StatusNotFound, Reason: "not_found", Detail: desk.Said(err)}
	case errors.Is(err, ledger.ErrNotFound):
		p = &Problem{Status: http.StatusNotFound, Reason: "not_found", Detail: "there is no such thing here"}
	case errors.Is(err, desk.ErrInvalid):
		p = &Problem{Status: http.StatusUnprocessableEntity, Reason: "invalid", Detail: desk.Said(err)}
	case errors.Is(err, desk.ErrReadOnly):
		p = &Problem{Status: http.StatusForbidden, Reason: "read_only", Detail: "this installation is read-only"}
	case errors.Is(err, desk.ErrBusy):
		p = &Problem{Status: http.StatusTooManyRequests, Reason: "busy", Detail: "too much at once; try again shortly", retryAfter: 1}
	case errors.Is(err, desk.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		p = &Problem{Status: http.StatusServiceUnavailable, Reason: "unavailable", Detail: "not available now; try again shortly", retryAfter: 2}
	case errors.Is(err, context.Canceled):
		p = &Problem{Status: 499, Title: "Client Closed Request", Reason: "cancelled", Detail: "the caller went away"}
	default:
		a.opt.Log.ErrorContext(ctx, "request failed", "error", err)
		p = internalProblem()
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	return p
}

// fail is problemOf for handlers that return an error.
func (a *API) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return a.problemOf(ctx, err)
}

// writeProblem answers with a problem outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Del("Content-Disposition")
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// A failed write means that the caller is gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(p)
}
