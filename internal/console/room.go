package console

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/policy"
)

// roomView is the incident room.
type roomView struct {
	Frame     frame
	State     *incident.State
	Clocks    []desk.ClockRow // running, by urgency
	Settled   []desk.ClockRow
	Next      *desk.ClockRow
	Here      string // who else has it open
	Lines     []desk.LogLine
	From      string            // where the page begins, when it is not the newest line
	Older     string            // address of the lines after these
	Pinned    map[string]string // the entry of the review that each line is
	Order     string
	Sources   []string
	Gates     []desk.GateRow
	Switches  []desk.Switch
	Bar       []barItem
	Checks    []*incident.Check
	Roles     []roleRow
	Questions []question
	Asked     []input // the fields of those that are open
	Waiting   []todo
	Key       string
}

// barItem is one of the four doors of the bar that stays.
type barItem struct{ Name, State, Href, Class, Missing string }

// roleRow is a role of the policy: who has it in this incident, and who could.
type roleRow struct {
	Role, Does string
	Holder     string   // "" is nobody
	Could      []string // people whose account has the role
}

// question is a fact the policy asks for, with the answer when there is one.
type question struct {
	ID, Ask  string
	Answered bool
	Answer   string
}

// todo is a step that waits for a person.
type todo struct{ Say, Href string }

// pageLines is how many timeline lines one page shows.
const pageLines = 100

// plainSources are the lines that are shown when nothing is chosen: all but single deliveries.
var plainSources = []string{desk.SourceFact, desk.SourceEvent, desk.SourceLog}

func (c *Console) roomPage(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	look, err := c.look(r, id)
	if err != nil {
		return err
	}
	state := look.State
	gates, err := c.desk.Gates(r.Context(), id)
	if err != nil {
		return err
	}
	_, switches, err := c.desk.Switches(r.Context())
	if err != nil {
		return err
	}
	v := roomView{Frame: c.frame(r, state.ID+" · "+state.Title), State: state, Order: "newest", Sources: sourcesOf(r.URL.Query()), Key: rand.Text()}
	if r.URL.Query().Get("order") == "story" {
		v.Order = "story"
	}
	if err := c.fillTimeline(r, &v); err != nil {
		return err
	}
	v.Frame.Live = v.Order == "newest" && v.From == ""
	v.Frame.Stream, v.Frame.Seen = v.base()+"/stream", strconv.Itoa(state.Version)
	v.Here = also(c.here.others(id, v.Frame.Who.Principal))
	for _, clock := range look.Clocks {
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
	if state.Status == incident.StatusOpen {
		v.Gates = gates // of an incident that is over, nothing waits behind a gate
	}
	if v.openNow() {
		if v.Asked = openQuestions(look); len(v.Asked) > 0 {
			v.Asked = append(v.Asked, reasonField())
		}
	}
	v.Pinned = pinned(state)
	v.Roles, v.Questions, v.Waiting = rolesOf(look), questionsOf(look), waiting(look, v.Frame.Who.Principal)
	v.Bar = bar(v.Frame, state, v.Gates)
	return c.render(w, r, http.StatusOK, roomPage(v))
}

func sourcesOf(in url.Values) []string {
	var out []string
	for _, s := range in["source"] {
		if s == desk.SourceDelivery || slices.Contains(plainSources, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return plainSources
	}
	return out
}

// query is the room's address with the reader's choices and one more parameter.
func (v roomView) query(key, value string) string {
	q := url.Values{}
	if !slices.Equal(v.Sources, plainSources) {
		q["source"] = v.Sources
	}
	if v.Order == "story" {
		q.Set("order", "story")
	}
	if key != "" {
		q.Set(key, value)
	}
	if len(q) == 0 {
		return v.base()
	}
	return v.base() + "?" + q.Encode()
}

func (v roomView) base() string { return "/incidents/" + url.PathEscape(v.State.ID) }

// permalink leads to a line for as long as the incident exists: the page it names begins there.
func (v roomView) permalink(l desk.LogLine) string {
	if v.Order == "story" {
		return "#l-" + l.ID
	}
	return v.query("from", l.From) + "#l-" + l.ID
}

// fillTimeline reads the lines of one page.
func (c *Console) fillTimeline(r *http.Request, v *roomView) error {
	if v.Order == "story" {
		return c.fillStory(r, v)
	}
	v.From = r.URL.Query().Get("from")
	lines, next, err := c.desk.Newest(r.Context(), v.State.ID, v.From, pageLines, v.Sources)
	if err != nil {
		return err
	}
	v.Lines = lines
	if next != "" {
		v.Older = v.query("from", next) + "#timeline"
	}
	return nil
}

// fillStory reads lines in the order things happened. The desk knows deliveries as facts.
func (c *Console) fillStory(r *http.Request, v *roomView) error {
	const most = 1000
	var ask []string
	for _, s := range v.Sources {
		if s == desk.SourceDelivery {
			s = desk.SourceFact
		}
		if !slices.Contains(ask, s) {
			ask = append(ask, s)
		}
	}
	v.From = r.URL.Query().Get("after")
	lines, err := c.desk.Timeline(r.Context(), v.State.ID, v.From, most, ask)
	if err != nil {
		return err
	}
	last, more := v.From, len(lines) == most
	for _, l := range lines {
		if source := desk.LineSource(l); !slices.Contains(v.Sources, source) {
			last = l.ID
			continue
		}
		if k := len(v.Lines) - 1; k >= 0 && l.Source == desk.SourceFact && v.Lines[k].Text == l.Text && v.Lines[k].Kind == l.Kind && v.Lines[k].Principal == l.Principal {
			v.Lines[k].Count++
			last = l.ID
			continue
		}
		if more = len(v.Lines) == pageLines; more {
			break
		}
		v.Lines = append(v.Lines, desk.LogLine{TimelineLine: l, Count: 1})
		last, more = l.ID, len(lines) == most
	}
	if more {
		v.Older = v.query("after", last) + "#timeline"
	}
	return nil
}

// bar says for Contain, Scope, Notify and Restore where each stands.
func bar(f frame, s *incident.State, gates []desk.GateRow) []barItem {
	missing := map[string][]incident.Missing{}
	for _, g := range gates {
		if !g.Open {
			missing[g.Command] = g.Missing
		}
	}
	return []barItem{containItem(f, s), scopeItem(s), notifyItem(s, missing["send"]), restoreItem(f, s, missing["restore"])}
}

func containItem(f frame, s *incident.State) barItem {
	base := "/incidents/" + url.PathEscape(s.ID)
	item := barItem{Name: "Contain", Href: base + planQuery(s), State: "nothing planned", Class: "waiting"}
	if !f.Acts || s.Status != incident.StatusOpen {
		item.Href = base + "#actions"
	}
	open, under := 0, 0
	for _, a := range s.Actions {
		switch a.State {
		case incident.ActionPlanned:
			open++
			if f.Acts && s.Status == incident.StatusOpen {
				item.Href = base + "/do/approve?action=" + url.QueryEscape(a.ID)
			}
			if a.PlannedBy == f.Who.Principal {
				item.Href = base + "#" + url.PathEscape(a.ID)
			}
			item.State, item.Class = a.ID+" waits for approval", "risk"
		case incident.ActionUnproven, incident.ActionFailed, incident.ActionUncertain:
			item.Missing = a.ID + " is " + word(string(a.State))
		case incident.ActionProven, incident.ActionUndone, incident.ActionCancelled:
		default:
			under++
		}
	}
	switch m := s.Milestones["contained"]; {
	case m != nil && open == 0:
		item.State, item.Class = "contained "+ago(f, m.At), "met"
	case m != nil && s.Status == incident.StatusOpen:
		item.State = "contained " + ago(f, m.At) + "; " + item.State
	case m != nil:
		item.State, item.Class = "contained "+ago(f, m.At), "met"
	case open == 0 && under > 0:
		item.State, item.Class = count(int64(under), "action", "actions")+" under way", "running"
	}
	return item
}

// planQuery is the page that plans an action, filled in with what the detectors saw.
func planQuery(s *incident.State) string {
	for _, signal := range s.Signals {
		credential := signal.Facets["credential"]
		taken := slices.ContainsFunc(s.Actions, func(a *incident.Action) bool { return a.Target["credential"] == credential })
		if credential != "" && !taken {
			return "/do/plan?target=" + url.QueryEscape("credential="+credential)
		}
	}
	return "/do/plan"
}

func scopeItem(s *incident.State) barItem {
	item := barItem{Name: "Scope", Href: "/incidents/" + url.PathEscape(s.ID) + "/scope", State: "not computed", Class: "waiting"}
	if n := len(s.Scopes); n > 0 {
		newest := s.Scopes[n-1]
		least := ""
		if newest.AtLeast {
			least = "at least "
		}
		item.State, item.Class = least+count(newest.Merchants, "merchant", "merchants")+", "+count(newest.Customers, "customer account", "customer accounts"), "met"
	}
	return item
}

func notifyItem(s *incident.State, missing []incident.Missing) barItem {
	item := barItem{Name: "Notify", Href: "/incidents/" + url.PathEscape(s.ID) + "/notices", State: "no notice", Class: "waiting", Missing: shortest(missing)}
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
		item.State, item.Class = strings.Join(words, "; "), "running"
	}
	if bad > 0 {
		item.Missing = count(int64(bad), "delivery needs a person", "deliveries need a person")
	} else if owed > 0 && got == owed && len(words) == 1 {
		item.Class, item.Missing = "met", ""
	}
	return item
}

func restoreItem(f frame, s *incident.State, missing []incident.Missing) barItem {
	base := "/incidents/" + url.PathEscape(s.ID)
	item := barItem{Name: "Restore", Href: base + "/do/restore", State: "gate open", Class: "running"}
	if !f.Acts || s.Status != incident.StatusOpen {
		item.Href = base + "#gates"
	}
	switch m := s.Milestones["restored"]; {
	case m != nil:
		item.State, item.Class = "restored "+ago(f, m.At), "met"
	case s.Status != incident.StatusOpen:
		item.State, item.Class = "not restored", "waiting"
	case len(missing) > 0:
		item.State, item.Class, item.Missing = "gate closed", "waiting", shortest(missing)
	}
	return item
}

// rolesOf lists the policy's roles: who has each in this incident, and who could have it.
func rolesOf(v view) []roleRow {
	var out []roleRow
	for _, role := range v.Policy.Roles {
		row := roleRow{Role: role.ID, Does: role.Does}
		if p, ok := v.State.Roles[role.ID]; ok {
			row.Holder = v.who(p)
		}
		for _, p := range v.People {
			if slices.Contains(p.Roles, role.ID) {
				row.Could = append(row.Could, p.Name)
			}
		}
		out = append(out, row)
	}
	for role, p := range v.State.Roles {
		if !slices.ContainsFunc(v.Policy.Roles, func(r policy.Role) bool { return r.ID == role }) {
			out = append(out, roleRow{Role: role, Holder: v.who(p)})
		}
	}
	slices.SortFunc(out, func(a, b roleRow) int { return strings.Compare(a.Role, b.Role) })
	return out
}

// questionsOf lists what the policy asks, unanswered first.
func questionsOf(v view) []question {
	var out []question
	for _, f := range v.Policy.Facts {
		q := question{ID: f.ID, Ask: f.Ask}
		if a := v.State.Answers[f.ID]; a != nil {
			q.Answered, q.Answer = true, yesNo(a.Value)+", says "+v.who(a.By)+": "+a.Why
		}
		out = append(out, q)
	}
	slices.SortStableFunc(out, func(a, b question) int {
		switch {
		case a.Answered == b.Answered:
			return 0
		case b.Answered:
			return -1
		}
		return 1
	})
	return out
}

// waiting lists the steps that an incident's state suggests next, the most pressing first.
func waiting(v view, reader incident.Principal) []todo {
	s := v.State
	base := "/incidents/" + url.PathEscape(s.ID)
	var out []todo
	add := func(say, href string) { out = append(out, todo{say, base + href}) }
	do := func(command string) { add(forms[command].Title, "/do/"+command) }
	has := func(name string) bool { return s.Milestones[name] != nil }
	if s.Status != incident.StatusOpen {
		do("reopen")
		return out
	}
	if !has("acknowledged") && !has("confirmed") {
		do("acknowledge")
	}
	if n := unanswered(questionsOf(v)); n > 0 {
		add(shortAsk(n), "#questions")
	}
	if !has("confirmed") && !has("dismissed") {
		do("confirm")
		do("dismiss")
	}
	for _, a := range s.Actions {
		switch {
		case a.State != incident.ActionPlanned:
		case a.PlannedBy == reader:
			add(a.ID+" waits for somebody else's approval", "#"+a.ID)
		default:
			add("Approve "+a.ID+" or cancel it", "/do/approve?action="+url.QueryEscape(a.ID))
		}
	}
	if len(s.Actions) == 0 && !has("contained") {
		add("Plan the containment", planQuery(s))
	}
	if has("confirmed") && len(s.Scopes) == 0 {
		add("Compute who is affected", "/scope")
	}
	if has("contained") && s.Fix == nil {
		do("fix")
	}
	if s.Fix != nil && s.FixProof == nil {
		do("verify-fix")
	}
	if s.FixProof != nil && !has("restored") {
		do("check")
		do("restore")
	}
	if has("confirmed") && has("contained") && s.Assessment == nil {
		do("assess")
	}
	if has("restored") && !has("reviewed") {
		add("Write the review and publish it", "/review")
	}
	if has("reviewed") {
		do("close")
	}
	return out[:min(len(out), 4)]
}
