package console

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/handout"
	"github.com/tocsin-ir/tocsin/scope"
)

// scopeView is the page that computes and records a scope.
type scopeView struct {
	Frame   frame
	State   *incident.State
	In      url.Values
	Run     *desk.ScopeRun // that is computed, or was
	Record  *desk.ScopeRecord
	Diff    *desk.ScopeDiff
	Result  *scope.Result // of the run, or the recorded version
	Chart   *chart
	Cells   cells
	Files   string // address of the result as a file, without its form
	Usual   *scope.Comparison
	Key     string
	Trouble *trouble
	Erased  []scope.Erased // merchants of what is recorded, since
	Match   matchView
}

// narrowed reports whether one of the fields that are folded away is filled in.
func (v scopeView) narrowed() bool {
	return slices.ContainsFunc([]string{"actor", "ip", "agent", "not_agent", "endpoint", "merchant", "action", "data_type", "not_actor"}, func(name string) bool { return v.In.Get(name) != "" })
}

// scopePage shows the form and, as the address says, a run, a recorded version or what changed from
// one version to another.
func (c *Console) scopePage(w http.ResponseWriter, r *http.Request) error {
	q, id := r.URL.Query(), r.PathValue("id")
	version := func(name string) int {
		n, _ := strconv.Atoi(q.Get(name)) // what is no number is none
		return max(n, 0)
	}
	switch {
	case q.Get("run") != "":
		run, err := c.desk.ScopeRun(r.Context(), q.Get("run"))
		if err != nil {
			return c.showScope(w, r, http.StatusNotFound, nil, scopeAnswer{}, &trouble{Title: "Forgotten", Text: "This count is kept for half an hour and no longer, or the server was started again. Compute it once more."})
		}
		return c.showScope(w, r, http.StatusOK, formOf(run.Query, c.frame(r, "").Zone), scopeAnswer{Run: &run}, nil)
	case q.Has("from") || q.Has("to"):
		diff, err := c.desk.ScopeDiff(r.Context(), id, version("from"), version("to"))
		if err != nil {
			return err
		}
		return c.showScope(w, r, http.StatusOK, nil, scopeAnswer{Diff: &diff}, nil)
	case version("version") > 0:
		rec, err := c.desk.ScopeRecord(r.Context(), id, version("version"))
		if err != nil {
			return err
		}
		return c.showScope(w, r, http.StatusOK, nil, scopeAnswer{Record: &rec}, nil)
	}
	return c.showScope(w, r, http.StatusOK, nil, scopeAnswer{}, nil)
}

func (c *Console) showScope(w http.ResponseWriter, r *http.Request, status int, in url.Values, a scopeAnswer, t *trouble) error {
	state, err := c.desk.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := scopeView{Frame: c.frame(r, "Scope · "+state.ID), State: state, In: in, Run: a.Run, Record: a.Record, Diff: a.Diff, Usual: a.Usual, Match: a.Match, Key: rand.Text(), Trouble: t}
	if n := len(state.Scopes); n > 0 {
		if o, err := c.desk.Org(r.Context()); err == nil && o != nil {
			v.Erased = desk.ErasedOf(o.Erasures, state.Scopes[n-1].At, func(merchant string) bool { return state.Exposures[merchant] != nil })
		}
	}
	if in == nil {
		v.In = url.Values{}
		v.In.Set("from", state.Opened.Add(-24*time.Hour).In(v.Frame.Zone).Format(formTime))
		if m := state.Milestones["suspected"]; m != nil {
			from := m.At
			for _, g := range state.Signals {
				if !g.Noticed.IsZero() && g.From.Before(from) {
					from = g.From // its log was supplied later, and shows what was then
				}
			}
			v.In.Set("from", from.Add(-time.Hour).In(v.Frame.Zone).Format(formTime))
		}
		v.In.Set("to", v.Frame.Now.Add(time.Minute).In(v.Frame.Zone).Format(formTime)) // the minute that runs is in it
		for _, s := range state.Signals {
			if credential := s.Facets["credential"]; credential != "" {
				v.In.Set("credential", credential)
			}
		}
	}
	base := "/incidents/" + url.PathEscape(state.ID) + "/scope/file?"
	switch {
	case a.Run != nil:
		v.Result, v.Files = a.Run.Result, base+url.Values{"run": {a.Run.ID}}.Encode()
		v.Cells = cells{url.Values{"run": {a.Run.ID}}, v.Frame.Zone}
		if a.Run.State == desk.RunRunning {
			v.Frame.Refresh = 3
		}
		if a.Run.Err != nil && t == nil {
			v.Trouble = troubleOf(a.Run.Err)
			if status = v.Trouble.Status; status >= http.StatusInternalServerError {
				c.opt.Log.ErrorContext(r.Context(), "scope failed", "error", a.Run.Err)
			}
		}
	case a.Record != nil:
		n := strconv.Itoa(a.Record.Version.N)
		result, err := a.Record.Result()
		if err != nil {
			return err
		}
		v.Result, v.Files = &result, base+url.Values{"version": {n}}.Encode()
		v.Cells = cells{url.Values{"incident": {state.ID}, "scope": {n}}, v.Frame.Zone}
	}
	if v.Result != nil {
		v.Chart = newChart(v.Frame, v.Result.Step, v.Result.Timeline, v.Result.Gaps)
	}
	return c.render(w, r, status, scopePage(v))
}

// soon is how long the page waits for a count before it shows how far it is.
const soon = 2 * time.Second

func (c *Console) recordScope(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	err := checkForm(r)
	var a scopeAnswer
	if err == nil && r.PostFormValue("do") == "cancel" {
		run := r.PostFormValue("run")
		if err = c.desk.CancelScope(r.Context(), callerOf(r.Context()), run); err == nil {
			_, err = c.desk.AwaitScope(r.Context(), run, soon)
		}
		if err == nil {
			http.Redirect(w, r, "/incidents/"+url.PathEscape(id)+"/scope?run="+url.QueryEscape(run), http.StatusSeeOther)
			return nil
		}
	} else if err == nil {
		var q scope.Query
		if q, err = queryOf(r.PostForm, c.frame(r, "").Zone); err == nil {
			a, err = c.answerScope(r, id, q)
		}
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "scope failed", "error", err)
		}
		return c.showScope(w, r, t.Status, r.PostForm, scopeAnswer{}, t)
	}
	switch {
	case a.Run == nil || a.Run.Err != nil:
	case a.Run.State == desk.RunRunning:
		http.Redirect(w, r, "/incidents/"+url.PathEscape(id)+"/scope?run="+url.QueryEscape(a.Run.ID), http.StatusSeeOther)
		return nil
	case a.Run.Outcome != nil:
		http.Redirect(w, r, "/incidents/"+url.PathEscape(id)+"#scope", http.StatusSeeOther)
		return nil
	}
	return c.showScope(w, r, http.StatusOK, r.PostForm, a, nil)
}

// scopeAnswer is what was computed for the page.
type scopeAnswer struct {
	Run    *desk.ScopeRun
	Record *desk.ScopeRecord
	Diff   *desk.ScopeDiff
	Usual  *scope.Comparison
	Match  matchView
}

// answerScope has a scope computed, and recorded when that is what was asked for. One that takes long
// goes on when the answer is given.
func (c *Console) answerScope(r *http.Request, id string, q scope.Query) (a scopeAnswer, err error) {
	do, where, reason := r.PostFormValue("do"), "", ""
	if do == "compare" {
		usual, err := c.desk.CompareScope(r.Context(), q)
		return scopeAnswer{Usual: &usual}, err
	}
	if do == "record" {
		where, reason = id, strings.TrimSpace(r.PostFormValue("reason"))
	}
	run, err := c.desk.StartScope(r.Context(), requestID(r), callerOf(r.Context()), q, where, reason)
	if err != nil {
		return a, err
	}
	run, err = c.desk.AwaitScope(r.Context(), run.ID, soon)
	return scopeAnswer{Run: &run}, err
}

// scopeFile serves a run's result or a recorded version as a file.
func (c *Console) scopeFile(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	var result scope.Result
	name := r.PathValue("id") + "-scope"
	if q.Get("run") != "" {
		run, err := c.desk.ScopeRun(r.Context(), q.Get("run"))
		if err != nil {
			return err
		}
		if run.Result == nil {
			return fmt.Errorf("%w: the count has no result", desk.ErrInvalid)
		}
		result = *run.Result
	} else {
		version, err := strconv.Atoi(q.Get("version"))
		if err != nil || version < 0 {
			return fmt.Errorf("%w: version: has to be the number of a recorded scope", desk.ErrInvalid)
		}
		rec, err := c.desk.ScopeRecord(r.Context(), r.PathValue("id"), version)
		if err != nil {
			return err
		}
		if result, err = rec.Result(); err != nil {
			return err
		}
		name += "-" + strconv.Itoa(rec.Version.N)
	}
	return handout.Scope(w, q.Get("form"), strings.Map(plainName, name), result)
}

// plainName keeps of a name what needs no quoting anywhere.
func plainName(r rune) rune {
	if r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
		return r
	}
	return '_'
}

const formTime = "2006-01-02T15:04"

// formOf fills the form with a query, as far as the form can ask for it.
func formOf(q scope.Query, zone *time.Location) url.Values {
	in := url.Values{}
	in.Set("from", q.From.In(zone).Format(formTime))
	to := q.To.In(zone)
	if to.Truncate(time.Minute) != to {
		to = to.Add(time.Minute)
	}
	in.Set("to", to.Format(formTime))
	set := func(name, between string, values []string) {
		if len(values) > 0 {
			in.Set(name, strings.Join(values, between))
		}
	}
	if len(q.Any) > 0 {
		some := q.Any[0]
		set("credential", ", ", some.Credential)
		set("actor", ", ", some.Actor)
		set("ip", ", ", some.IP)
		set("agent", "\n", some.Agent)
		set("endpoint", ", ", some.Endpoint)
		set("merchant", ", ", some.Merchant)
		set("action", ", ", some.Action)
		set("data_type", ", ", some.DataType)
	}
	for _, not := range q.Not {
		set("not_ip", ", ", not.IP)
		set("not_actor", ", ", not.Actor)
		set("not_agent", "\n", not.Agent)
	}
	return in
}

// queryText says a recorded query in one line.
func queryText(f frame, raw json.RawMessage) string {
	var q scope.Query
	if json.Unmarshal(raw, &q) != nil {
		return ""
	}
	return scopeSentence(f, q)
}

// scopeSentence says a query as people would.
func scopeSentence(f frame, q scope.Query) string {
	clause := func(c scope.Clause) string {
		var parts []string
		for _, p := range []struct {
			word   string
			values []string
		}{{"by credential", c.Credential}, {"by actor", c.Actor}, {"from", c.IP}, {"with user agent", c.Agent}, {"at", c.Endpoint}, {"of merchant", c.Merchant}, {"doing", c.Action}, {"of", c.DataType}} {
			if len(p.values) > 3 {
				parts = append(parts, p.word+" "+names(p.values[:3])+" and "+number(int64(len(p.values)-3))+" more")
			} else if len(p.values) > 0 {
				parts = append(parts, p.word+" "+names(p.values))
			}
		}
		return strings.Join(parts, " ")
	}
	text := "Accesses between " + absolute(f, q.From) + " and " + absolute(f, q.To)
	for i, c := range q.Any {
		text += []string{" ", " or "}[min(i, 1)] + clause(c)
	}
	for _, c := range q.Not {
		text += ", but not " + clause(c)
	}
	return text + "."
}

// progressWord says how far a run is.
func progressWord(r desk.ScopeRun) string {
	p := r.Progress
	text := p.What
	switch {
	case p.Of > 0:
		text += ": " + strings.TrimSuffix(p.Unit, "s") + " " + number(p.Done+1) + " of " + number(p.Of)
	case p.Done > 0:
		text += ": " + count(p.Done, strings.TrimSuffix(p.Unit, "s"), p.Unit)
	}
	return text + ", for " + number(int64(r.Took)) + " s"
}

// laterEvents is how many of a merchant's accesses rest on files that were supplied later.
func laterEvents(list []incident.Supplied) (n int64) {
	for _, s := range list {
		n += s.Events
	}
	return n
}

// byHand lists what was included or excluded by hand.
func byHand(s *incident.State) []string {
	var out []string
	for m := range s.Adjusted {
		out = append(out, m)
	}
	slices.Sort(out)
	return out
}

// correctedByHand counts the merchants that were included and excluded by hand.
func correctedByHand(s *incident.State) (in, out int) {
	for _, a := range s.Adjusted {
		if a.Include {
			in++
		} else {
			out++
		}
	}
	return in, out
}

// queryLabels are the words of the scope form, by the names of its fields.
var queryLabels = map[string]string{
	"from":       "From",
	"to":         "To, not included",
	"credential": "By credential",
	"not_ip":     "But not from address or prefix",
	"actor":      "By actor",
	"ip":         "From address or prefix",
	"agent":      "With user agent",
	"not_agent":  "But not with user agent",
	"endpoint":   "At endpoint",
	"merchant":   "Of merchant",
	"action":     "By action",
	"data_type":  "Of data type",
	"not_actor":  "But not by actor",
}

// inTheForm says what is wrong with a query in the words of the form: not[0].ip is its field not_ip.
func inTheForm(e *scope.InvalidError) string {
	side, name, ok := strings.Cut(e.Field, ".")
	if side, _, _ = strings.Cut(side, "["); !ok {
		name = side
	} else if side == "not" {
		name = "not_" + name
	}
	label := queryLabels[name]
	if label == "" {
		label = title(e.Field)
	}
	return label + ": " + e.Reason + "."
}

// regionName names a region for a table.
func regionName(r incident.Residents) string {
	if r.Region == "" {
		return "unknown"
	}
	return r.Region
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
		Endpoint: trim(list("endpoint")), Merchant: trim(list("merchant")), Action: trim(list("action")), DataType: trim(list("data_type"))}
	if len(some.Credential)+len(some.Actor)+len(some.IP)+len(some.Agent)+len(some.Endpoint)+len(some.Merchant)+len(some.Action)+len(some.DataType) > 0 {
		q.Any = []scope.Clause{some}
	}
	if ips := trim(list("not_ip")); len(ips) > 0 {
		q.Not = append(q.Not, scope.Clause{IP: ips})
	}
	if actors := trim(list("not_actor")); len(actors) > 0 {
		q.Not = append(q.Not, scope.Clause{Actor: actors})
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
