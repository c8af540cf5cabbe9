package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/handout"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/sheet"
)

type startRunInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Query    scope.Query `json:"query"`
		Incident string      `json:"incident,omitempty" maxLength:"64" doc:"record it there when it is done"`
		Reason   string      `json:"reason,omitempty" maxLength:"4000" doc:"why, when it is recorded"`
	}
}

type runInput struct {
	Run string `path:"run" maxLength:"64"`
}

type runOutput struct{ Body desk.ScopeRun }

type versionInput struct {
	ID      string `path:"id" maxLength:"64"`
	Version int    `path:"version" minimum:"1"`
}

type versionOutput struct{ Body desk.ScopeRecord }

type diffInput struct {
	ID   string `path:"id" maxLength:"64"`
	From int    `query:"from" minimum:"0" doc:"a recorded version; default the one before the other"`
	To   int    `query:"to" minimum:"0" doc:"a recorded version; default the newest"`
}

type diffOutput struct{ Body desk.ScopeDiff }

// registerRuns registers what computes a scope in the background, and what a recorded one was.
func (a *API) registerRuns(d Scopes) {
	op := operation("start-scope", http.MethodPost, "/v1/scope/runs", responders, "Begin to compute who is affected; the answer comes at once and the result is fetched")
	op.Tags, op.DefaultStatus = []string{"scope"}, http.StatusAccepted
	op.Errors = append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *startRunInput) (*runOutput, error) {
		run, err := d.StartScope(ctx, requestID(ctx, in.Key), callerOf(ctx), in.Body.Query, in.Body.Incident, in.Body.Reason)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &runOutput{Body: run}, nil
	})

	op = operation("scope-run", http.MethodGet, "/v1/scope/runs/{run}", responders, "How far it is, and the result when it is done; kept for half an hour")
	op.Tags, op.Errors = []string{"scope"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *runInput) (*runOutput, error) {
		run, err := d.ScopeRun(ctx, in.Run)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &runOutput{Body: a.told(ctx, run)}, nil
	})

	op = operation("cancel-scope", http.MethodDelete, "/v1/scope/runs/{run}", responders, "End it: the process that counts is killed, and what it had written goes")
	op.Tags, op.DefaultStatus, op.Errors = []string{"scope"}, http.StatusNoContent, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *runInput) (*struct{}, error) {
		return nil, a.fail(ctx, d.CancelScope(ctx, callerOf(ctx), in.Run))
	})

	run := &huma.Param{Name: "run", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}
	op = operation("follow-scope", http.MethodGet, "/v1/scope/runs/{run}/progress", responders, "How far it is, a line of JSON after every change until it ends; the last has the result")
	op.Tags, op.Errors = []string{"scope"}, append(op.Errors, http.StatusNotFound)
	op.Parameters = []*huma.Param{run}
	op.Responses = map[string]*huma.Response{"200": {Description: "the run as it stands, one a line", Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: a.schema(desk.ScopeRun{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error { return a.followScope(w, r, d) })

	form := &huma.Param{Name: "form", In: "query", Description: "csv or parquet", Schema: &huma.Schema{Type: "string", Enum: []any{sheet.CSV, sheet.Parquet}}}
	file := map[string]*huma.Response{"200": {Description: "a merchant a row: stores, data types, distinct customer accounts, records, accesses, first and last, and what was supplied later",
		Content: map[string]*huma.MediaType{"text/csv": {}, "application/vnd.apache.parquet": {}}}}
	op = operation("scope-run-file", http.MethodGet, "/v1/scope/runs/{run}/file", responders, "The result as a file")
	op.Tags, op.Errors, op.Parameters, op.Responses = []string{"scope"}, append(op.Errors, http.StatusNotFound), []*huma.Param{run, form}, file
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		run, err := d.ScopeRun(r.Context(), r.PathValue("run"))
		switch {
		case err != nil:
			return err
		case run.Result == nil:
			return fmt.Errorf("%w: run: it has no result: it is %s", desk.ErrInvalid, run.State)
		}
		return handout.Scope(w, r.URL.Query().Get("form"), "scope", *run.Result)
	})

	op = operation("scope-version", http.MethodGet, "/v1/incidents/{id}/scopes/{version}", viewers, "A recorded version of the scope with its merchants")
	op.Tags, op.Errors = []string{"scope"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *versionInput) (*versionOutput, error) {
		rec, err := d.ScopeRecord(ctx, in.ID, in.Version)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		rec.Rows = full(rec.Rows)
		return &versionOutput{Body: rec}, nil
	})

	op = operation("scope-diff", http.MethodGet, "/v1/incidents/{id}/scopes/diff", viewers, "What changed from one recorded version of the scope to another")
	op.Tags, op.Errors = []string{"scope"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *diffInput) (*diffOutput, error) {
		diff, err := d.ScopeDiff(ctx, in.ID, in.From, in.To)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &diffOutput{Body: diff}, nil
	})

	op = operation("scope-version-file", http.MethodGet, "/v1/incidents/{id}/scopes/{version}/file", viewers, "A recorded version of the scope as a file")
	op.Tags, op.Errors, op.Responses = []string{"scope"}, append(op.Errors, http.StatusNotFound), file
	op.Parameters = []*huma.Param{
		{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
		{Name: "version", In: "path", Required: true, Schema: &huma.Schema{Type: "integer"}}, form,
	}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		version, err := strconv.Atoi(r.PathValue("version"))
		if err != nil || version < 1 {
			return fmt.Errorf("%w: version: has to be the number of a recorded scope", desk.ErrInvalid)
		}
		rec, err := d.ScopeRecord(r.Context(), r.PathValue("id"), version)
		if err != nil {
			return err
		}
		result, err := rec.Result()
		if err != nil {
			return err
		}
		return handout.Scope(w, r.URL.Query().Get("form"), "scope", result)
	})
}

// told says in words why a run failed, as far as its caller may know.
func (a *API) told(ctx context.Context, run desk.ScopeRun) desk.ScopeRun {
	if run.Err != nil {
		run.Says = a.problemOf(ctx, run.Err).Detail
	}
	return run
}

// followScope streams how far a run is. The result stands in the last line alone.
func (a *API) followScope(w http.ResponseWriter, r *http.Request, d Scopes) error {
	who, _ := r.Context().Value(identityKey{}).(desk.Identity)
	leave, ok := a.streams.enter(tokenOf(who), a.opt.Streams)
	if !ok {
		return desk.ErrBusy
	}
	defer leave()
	control := http.NewResponseController(w)
	begun := false
	err := d.FollowScope(r.Context(), r.PathValue("run"), func(run desk.ScopeRun) error {
		line, err := json.Marshal(a.told(r.Context(), run))
		if err != nil {
			return err
		}
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("X-Accel-Buffering", "no") // proxies must not hold a line back
		}
		// A client that does not read is cut off rather than waited for.
		if err := control.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
		return control.Flush()
	})
	if begun {
		return nil // the answer has begun: an error can only end it
	}
	return err
}
