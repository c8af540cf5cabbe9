package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

type accessesInput struct {
	Kind       string    `query:"kind" maxLength:"64"`
	Actor      string    `query:"actor" maxLength:"300"`
	Credential string    `query:"credential" maxLength:"300"`
	Merchant   string    `query:"merchant" maxLength:"300"`
	IP         string    `query:"ip" maxLength:"64"`
	Outcome    string    `query:"outcome" maxLength:"64"`
	Source     string    `query:"source" maxLength:"64"`
	Store      string    `query:"store" maxLength:"300"`
	DataType   string    `query:"data_type" maxLength:"300"`
	Endpoint   string    `query:"endpoint" maxLength:"2048"`
	Incident   string    `query:"incident" maxLength:"64" doc:"with scope: only accesses that this recorded version of its scope counts"`
	Scope      int       `query:"scope" minimum:"1" doc:"a recorded version of the scope of incident"`
	Run        string    `query:"run" maxLength:"64" doc:"only accesses that the query of this run counts"`
	From       time.Time `query:"from" doc:"RFC 3339; the event's own time"`
	To         time.Time `query:"to" doc:"RFC 3339; not included"`
	Before     int64     `query:"before" minimum:"0" doc:"position: only events that came before it, as next of the page before says"`
	Limit      int       `query:"limit" minimum:"1" maximum:"10000" default:"100"`
}

type accessesOutput struct{ Body desk.AccessPage }

type accessInput struct {
	ID string `path:"id" maxLength:"300"`
}

type accessOutput struct{ Body desk.Access }

func (a *API) registerAccesses(d Accesses) {
	op := operation("accesses", http.MethodGet, "/v1/accesses", viewers, "The access log, newest first; customers are a number, free text stays sealed")
	op.Tags = []string{"evidence"}
	huma.Register(a.huma, op, func(ctx context.Context, in *accessesInput) (*accessesOutput, error) {
		page, err := d.Accesses(ctx, desk.AccessQuery{Kind: in.Kind, Actor: in.Actor, Credential: in.Credential, Merchant: in.Merchant, IP: in.IP,
			Outcome: in.Outcome, Source: in.Source, Store: in.Store, DataType: in.DataType, Endpoint: in.Endpoint, Incident: in.Incident, Scope: in.Scope, Run: in.Run, From: in.From, To: in.To, Before: in.Before, Limit: in.Limit})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		page.Accesses = full(page.Accesses)
		return &accessesOutput{Body: page}, nil
	})
	op = operation("access", http.MethodGet, "/v1/accesses/{id}", viewers, "One event of the access log by its id, and where it stands in the sealed log")
	op.Tags, op.Errors = []string{"evidence"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *accessInput) (*accessOutput, error) {
		one, err := d.Access(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &accessOutput{Body: one}, nil
	})
}
