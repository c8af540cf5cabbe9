package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Token is somebody's token as owners see it. The secret is known to the person alone.
type Token struct {
	ID      string    `json:"id"`
	Person  string    `json:"person"`
	Label   string    `json:"label,omitempty"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires,omitzero" doc:"absent: never"`
	Revoked time.Time `json:"revoked,omitzero"`
	Used    time.Time `json:"used,omitzero" doc:"absent: not since the server started"`
}

// MachineKey is a machine's key as owners see it.
type MachineKey struct {
	ID      string    `json:"id"`
	Purpose string    `json:"purpose" enum:"ingest,switch"`
	Source  string    `json:"source,omitempty"`
	App     string    `json:"app,omitempty"`
	Issued  time.Time `json:"issued"`
	By      string    `json:"by"`
	Revoked time.Time `json:"revoked,omitzero"`
	Used    time.Time `json:"used,omitzero" doc:"absent: not since the server started"`
}

type bearersOutput struct {
	Body struct {
		Since  time.Time    `json:"since" doc:"since when uses are noted: the start of the server"`
		Tokens []Token      `json:"tokens" nullable:"false"`
		Keys   []MachineKey `json:"keys" nullable:"false"`
	}
}

// registerBearers lists what opens doors here.
func (a *API) registerBearers(d Organisation) {
	op := operation("bearers", http.MethodGet, "/v1/bearers", owners, "Every token and key, and when each was last used; no secret is shown")
	op.Tags = []string{"people"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*bearersOutput, error) {
		state, err := d.Org(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &bearersOutput{}
		since, last := d.Uses()
		out.Body.Since, out.Body.Tokens, out.Body.Keys = since, []Token{}, []MachineKey{}
		for _, t := range state.Tokens {
			out.Body.Tokens = append(out.Body.Tokens, Token{ID: t.ID, Person: t.Person, Label: t.Label, Issued: t.Issued, Expires: t.Expires, Revoked: t.Revoked, Used: last[t.ID]})
		}
		for _, k := range state.Keys {
			out.Body.Keys = append(out.Body.Keys, MachineKey{ID: k.ID, Purpose: k.Purpose, Source: k.Source, App: k.App, Issued: k.Issued, By: string(k.By), Revoked: k.Revoked, Used: last[k.ID]})
		}
		slices.SortFunc(out.Body.Tokens, func(a, b Token) int {
			return cmp.Or(cmp.Compare(a.Person, b.Person), a.Issued.Compare(b.Issued), cmp.Compare(a.ID, b.ID))
		})
		slices.SortFunc(out.Body.Keys, func(a, b MachineKey) int { return cmp.Or(a.Issued.Compare(b.Issued), cmp.Compare(a.ID, b.ID)) })
		return out, nil
	})
}
