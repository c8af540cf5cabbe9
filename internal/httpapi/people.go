package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/org"
)

// Person is a person as others see them. Tokens and codes are not part of it.
type Person struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Access  incident.Access `json:"access"`
	Roles   []string        `json:"roles" nullable:"false"`
	Called  bool            `json:"called" doc:"has an address that calls go to; the address itself is not shown"`
	Invited time.Time       `json:"invited"`
	Joined  time.Time       `json:"joined,omitzero"`
	Revoked time.Time       `json:"revoked,omitzero"`
}

type peopleOutput struct {
	Body struct {
		People []Person `json:"people" nullable:"false"`
	}
}

type inviteInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		ID     string   `json:"id" minLength:"1" maxLength:"64"`
		Name   string   `json:"name,omitempty" maxLength:"200" doc:"default: the name of a person who is known, else the id"`
		Access string   `json:"access,omitempty" enum:"viewer,responder,owner" doc:"default: the access of a person who is here, else responder"`
		Roles  []string `json:"roles,omitempty" maxItems:"32"`
		Email  string   `json:"email,omitempty" maxLength:"254" doc:"where calls go: clocks that press and signatures that are missing"`
	}
	host string
	tls  bool
}

// Resolve notes where the request came in, for the link, when no public URL is configured.
func (in *inviteInput) Resolve(ctx huma.Context) []error {
	in.host, in.tls = ctx.Host(), ctx.TLS() != nil
	return nil
}

type inviteOutput struct {
	Body struct {
		Link    string    `json:"link" doc:"works once; give it to the person over a channel you trust"`
		Expires time.Time `json:"expires"`
	}
}

type joinInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Code string `json:"code" minLength:"1" maxLength:"200"`
	}
}

type joinOutput struct {
	Body struct {
		Person string `json:"person"`
		Token  string `json:"token" doc:"shown once"`
	}
}

type personInput struct {
	ID   string `path:"id" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"2000"`
	}
}

type changeInput struct {
	ID   string `path:"id" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Access string   `json:"access" enum:"viewer,responder,owner"`
		Roles  []string `json:"roles" maxItems:"32" nullable:"false"`
	}
}

type emailInput struct {
	ID   string `path:"id" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Email string `json:"email" maxLength:"254" doc:"where calls go; empty takes the address away"`
	}
}

type orgOutput struct{ Body org.Outcome }

type keyInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Purpose string `json:"purpose" enum:"ingest,switch"`
		Source  string `json:"source,omitempty" maxLength:"64" doc:"ingest: the name its events come in under"`
		App     string `json:"app,omitempty" maxLength:"64"`
	}
}

type keyOutput struct {
	Body struct {
		ID  string `json:"id"`
		Key string `json:"key" doc:"shown once"`
	}
}

type keyPath struct {
	ID  string `path:"id" maxLength:"64"`
	Key string `header:"Idempotency-Key" maxLength:"200"`
}

type whoamiOutput struct{ Body desk.Caller }

// shownOnce is the answer to a repeated request whose secret cannot be made again.
func shownOnce() error {
	return &Problem{
		Status: http.StatusConflict, Title: http.StatusText(http.StatusConflict), Reason: "secret_shown_once",
		Detail:  "this was done before, and its secret was shown then",
		Missing: []incident.Missing{{What: "secrets are not kept", Do: "ask again with another Idempotency-Key"}},
	}
}

func (a *API) registerPeople(d Organisation) {
	op := operation("whoami", http.MethodGet, "/v1/whoami", viewers, "Whose token this is")
	op.Tags = []string{"people"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*whoamiOutput, error) {
		return &whoamiOutput{Body: callerOf(ctx)}, nil
	})

	op = operation("people", http.MethodGet, "/v1/people", viewers, "Who has an account")
	op.Tags = []string{"people"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*peopleOutput, error) {
		state, err := d.Org(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &peopleOutput{}
		out.Body.People = []Person{}
		for _, p := range state.People {
			out.Body.People = append(out.Body.People, Person{ID: p.ID, Name: p.Name, Access: p.Access, Roles: full(p.Roles), Called: p.Email != "",
				Invited: p.Invited, Joined: p.Joined, Revoked: p.Revoked})
		}
		slices.SortFunc(out.Body.People, func(a, b Person) int { return cmp.Compare(a.ID, b.ID) })
		return out, nil
	})

	op = operation("invite", http.MethodPost, "/v1/people", owners, "Invite a person, or make a new link for one")
	op.Tags, op.DefaultStatus, op.Errors = []string{"people"}, http.StatusCreated, append(op.Errors, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *inviteInput) (*inviteOutput, error) {
		by, id := callerOf(ctx), requestID(ctx, in.Key)
		code := a.press.Make(mint.Code, string(by.Principal), id)
		hash := org.Hash(code.Reveal())
		// A crash after the commit and before the answer leaves an invitation nobody can use; it
		// expires, and a new one replaces it.
		_, err := d.SubmitOrg(ctx, id, by, org.Invite{Person: in.Body.ID, FullName: in.Body.Name,
			Access: incident.Access(in.Body.Access), Roles: in.Body.Roles, Email: org.Address(in.Body.Email), CodeHash: hash})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		state, err := d.Org(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		made := state.Invites[hash]
		if made == nil {
			return nil, shownOnce()
		}
		out := &inviteOutput{}
		out.Body.Link, out.Body.Expires = a.joinLink(in, code), made.Expires
		return out, nil
	})

	op = operation("join", http.MethodPost, "/v1/join", public, "Use an invitation: the code for a token")
	op.Tags, op.Errors = []string{"people"}, append(op.Errors, http.StatusForbidden)
	huma.Register(a.huma, op, func(ctx context.Context, in *joinInput) (*joinOutput, error) {
		hash := org.Hash(in.Body.Code)
		request := ""
		if in.Key != "" {
			request = "join/" + hash + "/" + in.Key
		}
		token := a.press.Make(mint.Token, hash, request)
		by := desk.Caller{Principal: "service:join", Name: "invitation", Access: incident.Service}
		// A crash after the commit and before the answer loses the token: the code is used up and an
		// owner makes a new link. The other order would hand out a token that is not recorded.
		_, err := d.SubmitOrg(ctx, request, by, org.Join{CodeHash: hash, TokenID: token.ID, TokenHash: org.Hash(token.Reveal())})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		id, err := d.Authenticate(ctx, token.Reveal())
		if err != nil || id.Person == nil {
			return nil, shownOnce()
		}
		out := &joinOutput{}
		out.Body.Person, out.Body.Token = string(id.Person.Principal), token.Reveal()
		return out, nil
	})

	op = operation("revoke-person", http.MethodPost, "/v1/people/{id}/revoke", owners, "End an account; its tokens are refused from the next request on")
	op.Tags, op.Errors = []string{"people"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *personInput) (*orgOutput, error) {
		return a.submitOrg(ctx, d, in.Key, org.RevokePerson{Person: in.ID, Reason: in.Body.Reason})
	})

	op = operation("change-person", http.MethodPost, "/v1/people/{id}/change", owners, "Change what a person may do")
	op.Tags, op.Errors = []string{"people"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *changeInput) (*orgOutput, error) {
		return a.submitOrg(ctx, d, in.Key, org.ChangePerson{Person: in.ID, Access: incident.Access(in.Body.Access), Roles: in.Body.Roles})
	})

	op = operation("set-address", http.MethodPost, "/v1/people/{id}/email", viewers, "Say where a person is called: an owner of anybody, everybody of themselves")
	op.Tags, op.Errors = []string{"people"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *emailInput) (*orgOutput, error) {
		return a.submitOrg(ctx, d, in.Key, org.SetAddress{Person: in.ID, Email: org.Address(in.Body.Email)})
	})

	op = operation("sign-out", http.MethodPost, "/v1/signout", viewers, "End the token this request was made with")
	op.Tags, op.DefaultStatus = []string{"people"}, http.StatusOK
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*orgOutput, error) {
		return a.submitOrg(ctx, d, "", org.RevokeToken{TokenID: callerOf(ctx).Token})
	})

	op = operation("revoke-token", http.MethodPost, "/v1/tokens/{id}/revoke", viewers, "End a token: your own or, as an owner, anybody's")
	op.Tags, op.Errors = []string{"people"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *keyPath) (*orgOutput, error) {
		return a.submitOrg(ctx, d, in.Key, org.RevokeToken{TokenID: in.ID})
	})

	op = operation("new-key", http.MethodPost, "/v1/keys", owners, "Make a key for a machine")
	op.Tags, op.DefaultStatus, op.Errors = []string{"people"}, http.StatusCreated, append(op.Errors, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *keyInput) (*keyOutput, error) {
		by, id := callerOf(ctx), requestID(ctx, in.Key)
		key := a.press.Make(mint.Key, string(by.Principal), id)
		hash := org.Hash(key.Reveal())
		_, err := d.SubmitOrg(ctx, id, by, org.IssueKey{KeyID: key.ID, KeyHash: hash, Purpose: in.Body.Purpose, Source: in.Body.Source, App: in.Body.App})
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		state, err := d.Org(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		if state.Keys[hash] == nil {
			return nil, shownOnce()
		}
		out := &keyOutput{}
		out.Body.ID, out.Body.Key = key.ID, key.Reveal()
		return out, nil
	})

	op = operation("revoke-key", http.MethodPost, "/v1/keys/{id}/revoke", owners, "End a machine's key")
	op.Tags, op.Errors = []string{"people"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *keyPath) (*orgOutput, error) {
		return a.submitOrg(ctx, d, in.Key, org.RevokeKey{KeyID: in.ID})
	})
}

func (a *API) submitOrg(ctx context.Context, d Organisation, key string, c org.Command) (*orgOutput, error) {
	out, err := d.SubmitOrg(ctx, requestID(ctx, key), callerOf(ctx), c)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return &orgOutput{Body: out}, nil
}

// socketHost is the host that our client names when it comes over the socket.
const socketHost = "tocsin"

// joinLink is the link of an invitation.
func (a *API) joinLink(in *inviteInput, code mint.Secret) string {
	base := a.opt.PublicURL
	if base == "" {
		scheme := "http"
		if in.tls {
			scheme = "https"
		}
		base = scheme + "://" + in.host
		if in.host == socketHost && a.opt.Own != "" {
			base = a.opt.Own
		}
	}
	return base + "/join?code=" + url.QueryEscape(code.Reveal())
}
