package console

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/scope"
)

// boardView is the board.
type boardView struct {
	Frame           frame
	Rows            []desk.BoardRow // open ones, most urgent first
	Done            []desk.BoardRow
	Off             []desk.Switch
	Missed, Running int
	People          int64
}

func (c *Console) boardPage(w http.ResponseWriter, r *http.Request) error {
	rows, err := c.desk.Board(r.Context())
	if err != nil {
		return err
	}
	_, switches, err := c.desk.Switches(r.Context())
	if err != nil {
		return err
	}
	v := boardView{Frame: c.frame(r, "Board")}
	v.Frame.Here, v.Frame.Live = "board", true
	for _, row := range rows {
		if row.Status != incident.StatusOpen {
			v.Done = append(v.Done, row)
			continue
		}
		v.Rows = append(v.Rows, row)
		v.Missed += row.Missed
		v.People += row.People
		if row.Next != nil {
			v.Running += 1 + row.MoreClocks
		}
	}
	for _, s := range switches {
		if s.State == "off" {
			v.Off = append(v.Off, s)
		}
	}
	return c.render(w, r, http.StatusOK, boardPage(v))
}

// openView is the form that opens an incident.
type openView struct {
	Frame   frame
	Classes []option
	Levels  []option
	In      url.Values
	Key     string
	Trouble *trouble
}

func (c *Console) showOpen(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	v := openView{Frame: c.frame(r, "Open an incident"), In: in, Key: rand.Text(), Trouble: t}
	if p := c.desk.PolicyProgram(r.Context()); p != nil {
		for _, class := range p.Classes {
			v.Classes = append(v.Classes, option{class.ID, word(class.ID) + " — " + class.Means})
		}
		for _, l := range p.Severities {
			v.Levels = append(v.Levels, option{l.ID, word(l.ID) + " — " + l.Means})
		}
	}
	v.Classes = append(v.Classes, option{"unclassified", "not sure yet"})
	return c.render(w, r, status, openPage(v))
}

func (c *Console) openPage(w http.ResponseWriter, r *http.Request) error {
	return c.showOpen(w, r, http.StatusOK, url.Values{}, nil)
}

func (c *Console) open(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	if err == nil {
		read := reader{in: r.PostForm, loc: c.frame(r, "").Zone, err: &err}
		open := incident.Open{Class: read.text("class"), Title: read.text("title"), Summary: read.text("summary"), Severity: read.text("severity"), Suspect: read.time("suspected")}
		if err == nil {
			var out desk.Outcome
			if out, err = c.desk.OpenIncident(r.Context(), requestID(r), callerOf(r.Context()), open); err == nil {
				http.Redirect(w, r, "/incidents/"+url.PathEscape(out.Incident), http.StatusSeeOther)
				return nil
			}
		}
	}
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "opening failed", "error", err)
	}
	return c.showOpen(w, r, t.Status, r.PostForm, t)
}

// roomView is the incident room.
type roomView struct {
	Frame    frame
	State    *incident.State
	Clocks   []desk.ClockRow // running, by urgency
	Settled  []desk.ClockRow
	Next     *desk.ClockRow
	Lines    []desk.TimelineLine
	More     bool // lines were left out
	Order    string
	Sources  []string
	Gates    []desk.GateRow
	Switches []desk.Switch
	Bar      []barItem
	Checks   []*incident.Check
	Key      string
}

// barItem is one of the four doors of the bar that stays.
type barItem struct{ Name, State, Href, Class, Missing string }

// pageLines is how many timeline lines one page shows.
const pageLines = 300

func (c *Console) roomPage(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), r.PathValue("id")
	state, err := c.desk.Incident(ctx, id)
	if err != nil {
		return err
	}
	clocks, err := c.desk.Clocks(ctx, id)
	if err != nil {
		return err
	}
	gates, err := c.desk.Gates(ctx, id)
	if err != nil {
		return err
	}
	_, switches, err := c.desk.Switches(ctx)
	if err != nil {
		return err
	}
	v := roomView{Frame: c.frame(r, state.ID+" · "+state.Title), State: state, Gates: gates, Order: "newest", Key: rand.Text()}
	v.Frame.Live = true
	if r.URL.Query().Get("order") == "story" {
		v.Order = "story"
	}
	for _, s := range r.URL.Query()["source"] {
		if s == "fact" || s == "event" || s == "log" {
			v.Sources = append(v.Sources, s)
		}
	}
	if v.Lines, v.More, err = c.timeline(r, id, v.Order, v.Sources); err != nil {
		return err
	}
	for _, clock := range clocks {
		if running(clock.State) {
			v.Clocks = append(v.Clocks, clock)
		} else {
			v.Settled = append(v.Settled, clock)
		}
	}
	if len(v.Clocks) > 0 {
		v.Next = &v.Clocks[0]
	}
	for _, s := range switches {
		if s.Incident == id || s.State == "off" {
			v.Switches = append(v.Switches, s)
		}
	}
	for _, check := range state.Checks {
		v.Checks = append(v.Checks, check)
	}
	slices.SortFunc(v.Checks, func(a, b *incident.Check) int { return cmp.Compare(a.ID, b.ID) })
	v.Bar = bar(v.Frame, state, gates)
	return c.render(w, r, http.StatusOK, roomPage(v))
}

// timeline reads the lines of one page. Newest first means reading to the end, because the desk
// pages in story order.
func (c *Console) timeline(r *http.Request, id, order string, sources []string) (lines []desk.TimelineLine, more bool, err error) {
	after := r.URL.Query().Get("after")
	if order == "story" {
		lines, err = c.desk.Timeline(r.Context(), id, after, pageLines+1, sources)
		if len(lines) > pageLines {
			return lines[:pageLines], true, err
		}
		return lines, false, err
	}
	const step = 1000
	for {
		page, err := c.desk.Timeline(r.Context(), id, after, step, sources)
		if err != nil {
			return nil, false, err
		}
		lines = append(lines, page...)
		if len(lines) > pageLines {
			more = true
			lines = slices.Clone(lines[len(lines)-pageLines:])
		}
		if len(page) < step {
			slices.Reverse(lines)
			return lines, more, nil
		}
		after = page[len(page)-1].ID
	}
}

// bar says for Contain, Scope, Notify and Restore where each stands.
func bar(f frame, s *incident.State, gates []desk.GateRow) []barItem {
	base := "/incidents/" + url.PathEscape(s.ID)
	missing := map[string][]incident.Missing{}
	for _, g := range gates {
		if !g.Open {
			missing[g.Command] = g.Missing
		}
	}
	contain := barItem{Name: "Contain", Href: base + "/do/plan", State: "nothing planned", Class: "waiting"}
	open := 0
	for _, a := range s.Actions {
		switch a.State {
		case incident.ActionPlanned:
			open++
			contain.State, contain.Class = a.ID+" waits for approval", "risk"
			contain.Href = base + "/do/approve?action=" + url.QueryEscape(a.ID)
		case incident.ActionUnproven, incident.ActionFailed, incident.ActionUncertain:
			contain.Missing = a.ID + " is " + word(string(a.State))
		}
	}
	if m := s.Milestones["contained"]; m != nil {
		contained := "contained " + ago(f, m.At)
		if open == 0 {
			contain.State, contain.Class = contained, "met"
		} else {
			contain.State = contained + "; " + contain.State
		}
	} else if open == 0 && len(s.Actions) > 0 {
		contain.State, contain.Class = count(int64(len(s.Actions)), "action", "actions")+" under way", "running"
	}

	scoped := barItem{Name: "Scope", Href: base + "/scope", State: "not computed", Class: "waiting"}
	if n := len(s.Scopes); n > 0 {
		newest := s.Scopes[n-1]
		least := ""
		if newest.AtLeast {
			least = "at least "
		}
		scoped.State, scoped.Class = least+count(newest.Merchants, "merchant", "merchants")+", "+count(newest.Customers, "customer account", "customer accounts"), "met"
	}

	tell := barItem{Name: "Notify", Href: base + "/notices", State: "no notice", Class: "waiting", Missing: shortest(missing["notify"])}
	owed, got, bad := 0, 0, 0
	var words []string
	for _, n := range s.Notices {
		if n.State != incident.NoticeSending && n.State != incident.NoticeSent {
			words = append(words, n.ID+" "+word(string(n.State)))
			continue
		}
		owed += len(n.Deliveries)
		for _, d := range n.Deliveries {
			switch d.State {
			case incident.DeliveryAccepted:
				got++
			case incident.DeliveryBounced, incident.DeliveryUncertain, incident.DeliveryNoAddress:
				bad++
			}
		}
	}
	if owed > 0 {
		words = append([]string{number(int64(got)) + " of " + number(int64(owed)) + " told"}, words...)
	}
	if len(words) > 0 {
		tell.State, tell.Class = strings.Join(words, "; "), "running"
	}
	if bad > 0 {
		tell.Missing = count(int64(bad), "delivery needs a person", "deliveries need a person")
	} else if owed > 0 && got == owed && len(words) == 1 {
		tell.Class = "met"
	}

	restore := barItem{Name: "Restore", Href: base + "/do/restore", State: "gate open", Class: "running"}
	if m := s.Milestones["restored"]; m != nil {
		restore.State, restore.Class = "restored "+ago(f, m.At), "met"
	} else if list := missing["restore"]; len(list) > 0 {
		restore.State, restore.Class, restore.Missing = "gate closed", "waiting", shortest(list)
	}
	return []barItem{contain, scoped, tell, restore}
}

// scopeView is the page that computes and records a scope.
type scopeView struct {
	Frame   frame
	State   *incident.State
	In      url.Values
	Result  *scope.Result
	Key     string
	Trouble *trouble
}

func (c *Console) scopePage(w http.ResponseWriter, r *http.Request) error {
	return c.showScope(w, r, http.StatusOK, nil, nil, nil)
}

func (c *Console) showScope(w http.ResponseWriter, r *http.Request, status int, in url.Values, result *scope.Result, t *trouble) error {
	state, err := c.desk.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := scopeView{Frame: c.frame(r, "Scope · "+state.ID), State: state, In: in, Result: result, Key: rand.Text(), Trouble: t}
	if in == nil {
		v.In = url.Values{}
		v.In.Set("from", state.Opened.Add(-24*time.Hour).In(v.Frame.Zone).Format("2006-01-02T15:04"))
		if m := state.Milestones["suspected"]; m != nil {
			v.In.Set("from", m.At.Add(-time.Hour).In(v.Frame.Zone).Format("2006-01-02T15:04"))
		}
		v.In.Set("to", v.Frame.Now.In(v.Frame.Zone).Format("2006-01-02T15:04"))
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
	var result *scope.Result
	if err == nil {
		var q scope.Query
		if q, err = queryOf(r.PostForm, c.frame(r, "").Zone); err == nil {
			if r.PostFormValue("do") == "record" {
				if _, _, err = c.desk.RecordScope(r.Context(), requestID(r), callerOf(r.Context()), id, q, strings.TrimSpace(r.PostFormValue("reason"))); err == nil {
					http.Redirect(w, r, "/incidents/"+url.PathEscape(id)+"#scope", http.StatusSeeOther)
					return nil
				}
			} else {
				var computed scope.Result
				if computed, err = c.desk.Scope(r.Context(), q); err == nil {
					result = &computed
				}
			}
		}
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "scope failed", "error", err)
		}
		return c.showScope(w, r, t.Status, r.PostForm, nil, t)
	}
	return c.showScope(w, r, http.StatusOK, r.PostForm, result, nil)
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
