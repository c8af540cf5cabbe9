package console

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope"
)

// scopeView is the page that computes and records a scope.
type scopeView struct {
	Frame   frame
	State   *incident.State
	In      url.Values
	Result  *scope.Result
	Usual   *scope.Comparison
	Key     string
	Trouble *trouble
}

// narrowed reports whether one of the fields that are folded away is filled in.
func (v scopeView) narrowed() bool {
	return slices.ContainsFunc([]string{"actor", "ip", "agent", "not_agent", "endpoint", "merchant", "data_type"}, func(name string) bool { return v.In.Get(name) != "" })
}

func (c *Console) scopePage(w http.ResponseWriter, r *http.Request) error {
	return c.showScope(w, r, http.StatusOK, nil, scopeAnswer{}, nil)
}

func (c *Console) showScope(w http.ResponseWriter, r *http.Request, status int, in url.Values, a scopeAnswer, t *trouble) error {
	state, err := c.desk.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := scopeView{Frame: c.frame(r, "Scope · "+state.ID), State: state, In: in, Result: a.Result, Usual: a.Usual, Key: rand.Text(), Trouble: t}
	if in == nil {
		v.In = url.Values{}
		v.In.Set("from", state.Opened.Add(-24*time.Hour).In(v.Frame.Zone).Format("2006-01-02T15:04"))
		if m := state.Milestones["suspected"]; m != nil {
			v.In.Set("from", m.At.Add(-time.Hour).In(v.Frame.Zone).Format("2006-01-02T15:04"))
		}
		v.In.Set("to", v.Frame.Now.Add(time.Minute).In(v.Frame.Zone).Format("2006-01-02T15:04")) // the minute that runs is in it
		for _, s := range state.Signals {
			if credential := s.Facets["credential"]; credential != "" {
				v.In.Set("credential", credential)
			}
		}
	}
	return c.render(w, r, status, scopePage(v))
}

func (c *Console) recordScope(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	err := checkForm(r)
	var a scopeAnswer
	if err == nil {
		var q scope.Query
		if q, err = queryOf(r.PostForm, c.frame(r, "").Zone); err == nil {
			if r.PostFormValue("do") == "record" {
				if _, _, err = c.desk.RecordScope(r.Context(), requestID(r), callerOf(r.Context()), id, q, strings.TrimSpace(r.PostFormValue("reason"))); err == nil {
					http.Redirect(w, r, "/incidents/"+url.PathEscape(id)+"#scope", http.StatusSeeOther)
					return nil
				}
			} else {
				a, err = c.answerScope(r, q)
			}
		}
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "scope failed", "error", err)
		}
		return c.showScope(w, r, t.Status, r.PostForm, scopeAnswer{}, t)
	}
	return c.showScope(w, r, http.StatusOK, r.PostForm, a, nil)
}

// scopeAnswer is what was computed for the page.
type scopeAnswer struct {
	Result *scope.Result
	Usual  *scope.Comparison
}

func (c *Console) answerScope(r *http.Request, q scope.Query) (a scopeAnswer, err error) {
	if r.PostFormValue("do") == "compare" {
		usual, err := c.desk.CompareScope(r.Context(), q)
		return scopeAnswer{Usual: &usual}, err
	}
	result, err := c.desk.Scope(r.Context(), q)
	return scopeAnswer{Result: &result}, err
}

// queryOf reads the scope form: lists are separated by commas or lines.
func queryOf(in url.Values, zone *time.Location) (scope.Query, error) {
	var err error
	read := reader{in: in, loc: zone, err: &err}
	list := func(name string) []string {
		return strings.FieldsFunc(in.Get(name), func(r rune) bool { return r == ',' || r == '\n' || r == '\r' })
	}
	trim := func(values []string) []string {
		var out []string
		for _, v := range values {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, v)
			}
		}
		return out
	}
	// A user agent may hold commas: one a line.
	agents := func(name string) []string { return trim(strings.Split(in.Get(name), "\n")) }
	q := scope.Query{From: read.time("from"), To: read.time("to")}
	some := scope.Clause{Credential: trim(list("credential")), Actor: trim(list("actor")), IP: trim(list("ip")), Agent: agents("agent"),
		Endpoint: trim(list("endpoint")), Merchant: trim(list("merchant")), DataType: trim(list("data_type"))}
	if len(some.Credential)+len(some.Actor)+len(some.IP)+len(some.Agent)+len(some.Endpoint)+len(some.Merchant)+len(some.DataType) > 0 {
		q.Any = []scope.Clause{some}
	}
	if ips := trim(list("not_ip")); len(ips) > 0 {
		q.Not = append(q.Not, scope.Clause{IP: ips})
	}
	if a := agents("not_agent"); len(a) > 0 {
		q.Not = append(q.Not, scope.Clause{Agent: a})
	}
	return q, err
}

// noveltyName names a sort of what was never seen before, for n of it.
func noveltyName(sort string, n int64) string {
	names := map[string][2]string{"merchant": {"merchant", "merchants"}, "address": {"address", "addresses"}, "agent": {"user agent", "user agents"},
		"endpoint": {"endpoint", "endpoints"}, "action": {"action", "actions"}, "data_type": {"data type", "data types"}}
	if n == 1 {
		return names[sort][0]
	}
	return names[sort][1]
}
