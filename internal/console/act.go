package console

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/inert"
	"github.com/tocsin-ir/tocsin/policy"
)

// A form is the page of one command: what it will do, what it needs, and the button that says both.
type form struct {
	Command string
	Title   string
	Explain string
	Gate    string // the gate that may refuse it, "" when none does
	Fields  func(v view, in url.Values) []input
	Plan    func(v view, in url.Values) []string // what will happen, one sentence each
	Button  func(v view, in url.Values) string
	Danger  bool                            // cannot be undone
	Foresee bool                            // the clocks that move are shown before it is done
	Lacks   func(v view) []incident.Missing // of what it needs, whatever is filled in; nil when nothing can be
	Both    bool                            // it concerns two incidents; its plan is shown before it is done
	File    bool                            // takes a file
	Adds    bool                            // only adds to the record: what others did meanwhile does not matter
	Make    func(in reader) incident.Command
}

// view is what forms may look at.
type view struct {
	State   *incident.State
	Policy  *policy.Program
	People  []person
	Secrets []string // names of stored secrets
	Clocks  []desk.ClockRow
	Others  []desk.BoardRow // open incidents beside this one, where a form asks for one

	who func(incident.Principal) string // by name
}

type person struct {
	ID, Name string
	Roles    []string
}

// input is one field of a form.
type input struct {
	Name, Label, Help, Kind string // Kind: text, area, select, time, check, checks, radios, fixed
	Options                 []option
	Value                   string
	Values                  []string // of checks: those that are ticked
	Optional                bool
}

// mustChoose reports whether one of the options has to be chosen: not when an empty one is an answer too,
// which a browser would refuse.
func (n input) mustChoose() bool {
	return !n.Optional && !slices.ContainsFunc(n.Options, func(o option) bool { return o.Value == "" })
}

type option struct{ Value, Text string }

// reader reads the fields of a submitted form. The first field that cannot be read stops it.
type reader struct {
	in  url.Values
	loc *time.Location
	err *error
}

func (r reader) text(name string) string { return strings.TrimSpace(r.in.Get(name)) }

func (r reader) list(name string) []string { return r.in[name] }

func (r reader) time(name string) time.Time {
	text := r.text(name)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, r.loc); err == nil {
			return t.UTC()
		}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC()
	}
	*r.err = fmt.Errorf("%s is no time; write it as 2026-11-22 03:02 in %s: %w", name, zoneName(r.loc), desk.ErrInvalid)
	return time.Time{}
}

func (r reader) value(name string) any {
	switch text := r.text(name); text {
	case "true":
		return true
	case "false":
		return false
	default:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		return text
	}
}

func reasonField() input {
	return input{Name: "reason", Label: "Why", Kind: "area", Help: "One sentence. It stands in the timeline under your name."}
}

func onlyReason(view, url.Values) []input { return []input{reasonField()} }

func says(text string) func(view, url.Values) string {
	return func(v view, _ url.Values) string { return strings.ReplaceAll(text, "{id}", v.State.ID) }
}

// startedBy says which clocks a milestone starts.
func startedBy(v view, milestone string) []string {
	var out []string
	for _, d := range v.Policy.Duties {
		for _, clock := range d.Due {
			if slices.Contains(clock.Anchor.Names, milestone) {
				out = append(out, "Starts the clock of "+word(d.ID)+": "+clock.Text)
			}
		}
	}
	return out
}

func milestones(v view) []option {
	var out []option
	for _, m := range v.Policy.Milestones {
		out = append(out, option{m.ID, word(m.ID) + " — " + m.Means})
	}
	for _, name := range []string{"aware", "discovered", "determined", "contained", "scoped", "notified", "remediated", "watched", "resolved"} {
		out = append(out, option{name, word(name)})
	}
	return out
}

func times(s *incident.State) map[string]time.Time {
	out := map[string]time.Time{}
	for name, m := range s.Milestones {
		out[name] = m.At
	}
	return out
}

// actionField asks for the action, of those in a state the command can be given in. One that the
// link named stands there and is not asked for again.
func actionField(v view, in url.Values, states ...incident.ActionState) []input {
	var all []option
	for _, a := range v.State.Actions {
		if !slices.Contains(states, a.State) {
			continue
		}
		o := option{a.ID, a.ID + " — " + word(a.Decl) + " " + targetText(a.Target)}
		if a.ID == in.Get("action") {
			return []input{{Name: "action", Label: "Action", Kind: "fixed", Options: []option{o}}}
		}
		all = append(all, o)
	}
	return []input{{Name: "action", Label: "Action", Kind: "select", Options: all}}
}

func actionOf(s *incident.State, id string) *incident.Action {
	for _, a := range s.Actions {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func targetText(t map[string]string) string {
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = k + " " + t[k]
	}
	return strings.Join(keys, ", ")
}

// actView is the page of one command.
type actView struct {
	Frame   frame
	ID      string
	Form    form
	Fields  []input
	Plan    []string
	Button  string
	Planned string             // the fields that the plan was shown for
	Here    string             // who else has the incident open
	Version int                // of the incident as it is shown
	Missing []incident.Missing // of the gate that may refuse it
	Lacks   []incident.Missing // without which there is nothing to fill in
	Key     string             // idempotency key: submitting twice does it once
	Trouble *trouble
}

func (c *Console) look(r *http.Request, id string) (view, error) {
	state, err := c.desk.Incident(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	clocks, err := c.desk.Clocks(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	v := view{State: state, Policy: c.desk.PolicyProgram(r.Context()), Clocks: clocks, who: c.frame(r, "").who}
	if v.Policy == nil {
		v.Policy = &policy.Program{}
	}
	if org, err := c.desk.Org(r.Context()); err == nil && org != nil {
		for _, p := range org.People {
			if p.Revoked.IsZero() {
				v.People = append(v.People, person{p.ID, p.Name, p.Roles})
			}
		}
		v.Secrets = slices.Sorted(maps.Keys(org.Secrets))
		slices.SortFunc(v.People, func(a, b person) int { return strings.Compare(a.Name, b.Name) })
	}
	return v, nil
}

// showAct renders the page of a command, with what was written so far.
func (c *Console) showAct(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	return c.showPlan(w, r, status, in, t, nil)
}

// showPlan is showAct with the plan of what the fields say, when there is one.
func (c *Console) showPlan(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble, plan []string) error {
	f, ok := forms[r.PathValue("command")]
	if !ok {
		return desk.ErrNotFound
	}
	v, err := c.look(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	if f.Command == "merge" {
		board, err := c.desk.OpenBoard(r.Context(), 0, mergeable)
		if err != nil {
			return err
		}
		v.Others = board.Rows
	}
	page := actView{Frame: c.frame(r, f.Title+" · "+v.State.ID), ID: v.State.ID, Form: f, Button: f.Button(v, in), Trouble: t, Key: rand.Text(), Version: v.State.Version,
		Here: also(c.here.others(v.State.ID, callerOf(r.Context()).Principal))}
	if f.Lacks != nil {
		page.Lacks = f.Lacks(v)
	}
	if f.Fields != nil {
		page.Fields = f.Fields(v, in)
	}
	for i := range page.Fields {
		if in.Has(page.Fields[i].Name) {
			page.Fields[i].Value, page.Fields[i].Values = in.Get(page.Fields[i].Name), in[page.Fields[i].Name]
		}
	}
	switch {
	case plan != nil:
		page.Plan, page.Planned = plan, planOf(in)
		if f.Command == "merge" {
			page.Planned += "." + in.Get("planned")
		}
	case f.Plan != nil:
		page.Plan = f.Plan(v, in)
	case f.Foresee:
		page.Button = "Show what it would change"
	case f.Both:
		page.Button = "Show what it would do"
	}
	if f.Gate != "" {
		gates, err := c.desk.Gates(r.Context(), v.State.ID)
		if err != nil {
			return err
		}
		for _, g := range gates {
			if g.Command == f.Gate && !g.Open {
				page.Missing = g.Missing
			}
		}
	}
	return c.render(w, r, status, actPage(page))
}

func (c *Console) actPage(w http.ResponseWriter, r *http.Request) error {
	return c.showAct(w, r, http.StatusOK, r.URL.Query(), nil)
}

func (c *Console) act(w http.ResponseWriter, r *http.Request) error {
	f, ok := forms[r.PathValue("command")]
	if !ok {
		return desk.ErrNotFound
	}
	id := r.PathValue("id")
	var up inert.Upload
	err := error(nil)
	if f.File {
		if up, err = inert.Read(r); err != nil {
			err = fmt.Errorf("%w: %w", desk.ErrInvalid, err)
		}
		r.PostForm = url.Values{}
		for name, text := range up.Fields {
			r.PostForm.Set(name, text)
		}
		r.Form = r.PostForm // where the token of the session is looked for
	}
	if err == nil {
		err = checkForm(r)
	}
	if err != nil {
		t := troubleOf(err)
		return c.showAct(w, r, t.Status, r.PostForm, t)
	}
	if t, err := c.movedOn(r, f, id); err != nil || t != nil {
		if err != nil {
			return err
		}
		return c.showAct(w, r, t.Status, r.PostForm, t)
	}
	next := "/incidents/" + url.PathEscape(id)
	if f.Command == "pick" && r.PostForm.Has("line") {
		if next, err = takePin(r.PostForm, id); err != nil {
			return err
		}
	}
	switch f.Command {
	case "attach":
		_, err = c.desk.Attach(r.Context(), requestID(r), callerOf(r.Context()), id, up.Name(), strings.TrimSpace(up.Fields["note"]), up.File)
	case "link-signal":
		in := reader{in: r.PostForm}
		_, err = c.desk.LinkSignal(r.Context(), requestID(r), callerOf(r.Context()), id, in.text("signal"), in.text("from"), in.text("reason"))
	case "merge", "split":
		both := c.merge
		if f.Command == "split" {
			both = c.split
		}
		planned, was, _ := strings.Cut(r.PostForm.Get("planned"), ".")
		dry := planned != planOf(r.PostForm)
		var t *trouble
		status := http.StatusOK
		if f.Command == "merge" && !dry {
			if t, err = c.otherMovedOn(r, was); err != nil {
				break
			}
			if t != nil {
				dry, status = true, t.Status
			}
		}
		if dry {
			r.PostForm.Set("planned", c.otherVersion(r)) // read before the plan is made: what comes between counts as after it
		}
		var out desk.Outcome
		if out, err = both(r, id, dry); err == nil && dry {
			return c.showPlan(w, r, status, r.PostForm, t, out.Plan)
		}
		if err == nil {
			next = "/incidents/" + url.PathEscape(out.Incident)
		}
	case "answers":
		err = c.answerAll(r, id)
	case "plan":
		next, err = c.plan(r, id)
	case "switch":
		in := reader{in: r.PostForm}
		err = c.desk.FlipSwitch(r.Context(), requestID(r), callerOf(r.Context()), in.text("merchant"), in.text("state"), in.text("reason"), id)
	case "snapshot":
		_, err = c.desk.Snapshot(r.Context(), requestID(r), callerOf(r.Context()), id)
	default:
		zone := c.frame(r, "").Zone
		command := f.Make(reader{in: r.PostForm, loc: zone, err: &err})
		if err != nil {
			break
		}
		req := desk.Request{ID: requestID(r), Incident: id, Command: command, Caller: callerOf(r.Context())}
		if f.Foresee && r.PostForm.Get("planned") != planOf(r.PostForm) {
			var seen desk.Foreseen
			if seen, err = c.desk.Foresee(r.Context(), req); err == nil {
				return c.showPlan(w, r, http.StatusOK, r.PostForm, nil, planLines(seen))
			}
			break
		}
		_, err = c.desk.Submit(r.Context(), req)
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "command failed", "command", f.Command, "error", err)
		}
		return c.showAct(w, r, t.Status, r.PostForm, t)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// movedOn says so when somebody else acted on the incident after the form was rendered: what was
// written is kept, and submitting it again, knowing this, does it.
func (c *Console) movedOn(r *http.Request, f form, id string) (*trouble, error) {
	version, err := strconv.Atoi(r.PostForm.Get("seen"))
	if f.Adds || err != nil {
		return nil, nil // a form of another page, such as the note in the room
	}
	news, err := c.desk.Meanwhile(r.Context(), id, version, callerOf(r.Context()))
	if err != nil || len(news) == 0 {
		return nil, err
	}
	return &trouble{Status: http.StatusConflict, Title: "Not done yet: the incident moved on", News: news,
		Text: "Others acted while you were writing. Your text is kept below: look it over and submit again."}, nil
}

// planOf stands for the fields that a plan was shown for: when one of them is changed, the plan is
// shown again.
func planOf(in url.Values) string {
	kept := url.Values{}
	for name, values := range in {
		if name != "csrf" && name != "key" && name != "planned" && name != "seen" {
			kept[name] = values
		}
	}
	return digest([]byte(kept.Encode()))
}

// planLines words a plan; that nothing moves is worth a line too.
func planLines(seen desk.Foreseen) []string {
	moved := 0
	for _, m := range seen.Moves {
		if !m.DueBefore.IsZero() && !m.DueAfter.IsZero() && !m.DueBefore.Equal(m.DueAfter) {
			moved++
		}
	}
	var out []string
	switch {
	case len(seen.Says) == 0:
		return []string{"No clock moves"}
	case moved == 1:
		out = []string{"1 deadline moves"}
	case moved > 1:
		out = []string{fmt.Sprintf("%d deadlines move", moved)}
	}
	return append(out, seen.Says...)
}

// attachment gives out an attached file, to be saved.
func (c *Console) attachment(w http.ResponseWriter, r *http.Request) error {
	at, raw, err := c.desk.Attachment(r.Context(), r.PathValue("id"), r.PathValue("attachment"))
	if err != nil {
		return err
	}
	inert.Serve(w, r.PathValue("id")+"-"+at.ID, raw)
	return nil
}

// plan plans an action and leads to the page that approves it.
func (c *Console) plan(r *http.Request, id string) (next string, err error) {
	target := map[string]string{}
	for line := range strings.Lines(r.PostForm.Get("target")) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if !ok || k == "" || v == "" {
			return "", fmt.Errorf("each line of the target is NAME=VALUE, such as credential=tok_9f: %w", desk.ErrInvalid)
		}
		target[k] = v
	}
	in := r.PostForm
	_, err = c.desk.Plan(r.Context(), requestID(r), callerOf(r.Context()), id, strings.TrimSpace(in.Get("action")), target,
		strings.TrimSpace(in.Get("secret")), strings.TrimSpace(in.Get("reason")))
	if err != nil {
		return "", err
	}
	return "/incidents/" + url.PathEscape(id) + "#actions", nil
}

// requestID is the idempotency key of a form, made when the form was rendered.
func requestID(r *http.Request) string {
	key := r.PostFormValue("key")
	if key == "" || len(key) > 100 {
		return ""
	}
	return "console/" + string(callerOf(r.Context()).Principal) + "/" + key
}

// wayTo reads what to do about something missing: the words, the console's page for it when there
// is one, and the command line that does the same.
type way struct {
	Text, Href, Command, Note string
	Or                        *way // what may be done instead
}

func wayTo(id string, m incident.Missing) way {
	text, command, ok := strings.Cut(m.Do, ": tocsin ")
	if !ok {
		return way{Text: m.Do}
	}
	command, note, _ := strings.Cut(command, " (") // what the policy says beside it
	out := way{Text: text, Command: "tocsin " + command, Note: strings.TrimSuffix(note, ")")}
	if strings.HasPrefix(out.Note, "or ") && strings.Contains(out.Note, ": tocsin ") {
		or := wayTo(id, incident.Missing{Do: out.Note})
		out.Or, out.Note = &or, ""
	}
	words := strings.Fields(command)
	if len(words) < 2 || id == "" {
		return out
	}
	base := "/incidents/" + url.PathEscape(id)
	var args []string
	if len(words) > 3 {
		args = words[3:]
	}
	switch {
	case words[0] == "notify":
		out.Href = base + "/notices"
	case words[0] == "review", words[0] == "incident" && slices.Contains([]string{"review", "write-review"}, words[1]):
		out.Href = reviewPlace(base, words[1], args)
	case words[0] == "scope", words[0] == "incident" && words[1] == "scope":
		out.Href = base + "/scope"
	case words[0] == "incident" && words[1] == "show":
		out.Href = base
	case words[0] == "incident" && slices.Contains([]string{"draft", "approve-notice", "send", "resend"}, words[1]):
		out.Href = base + "/notices" + noticeQuery(words[1], args)
	case words[0] == "incident":
		name := map[string]string{"contain": "plan", "include": "adjust-scope", "exclude": "adjust-scope", "write-review": "review", "publish-review": "publish"}[words[1]]
		if name == "" {
			name = words[1]
		}
		if _, has := forms[name]; has {
			out.Href = base + "/do/" + name
			if field := firstArgument[name]; field != "" && len(args) > 0 && !strings.HasPrefix(args[0], "-") && !placeholder(args[0]) {
				out.Href += "?" + field + "=" + url.QueryEscape(args[0])
			}
		}
	}
	return out
}

// reviewPlace is where on the page of a review a part is written.
func reviewPlace(base, command string, args []string) string {
	version := incident.VersionInternal
	if i := slices.Index(args, "--version"); i >= 0 && i+1 < len(args) {
		version = args[i+1]
	}
	place := base + "/review?version=" + url.QueryEscape(version)
	if len(args) > 0 && command != "plan" && args[0] == strings.ToLower(args[0]) && !strings.HasPrefix(args[0], "-") {
		place += "#p-" + url.PathEscape(args[0])
	}
	return place
}

// placeholder reports whether a command line leaves a word to be filled in, such as ACTION.
func placeholder(word string) bool {
	return strings.IndexFunc(word, func(r rune) bool { return r < 'A' || r > 'Z' }) < 0
}

// firstArgument is the field of a command's form that its first argument on the command line fills in.
var firstArgument = map[string]string{"approve": "action", "undo": "action", "cancel": "action", "plan": "action", "answer": "fact",
	"waive": "duty", "done": "duty", "review": "part", "assign": "role", "correct": "milestone", "mark": "milestone", "sign": "gate", "severity": "severity", "hand-over": "role", "accept-role": "role", "unlink-signal": "signal", "merge": "from", "release-hold": "hold"}

// noticeQuery chooses the notice or the duty that a command about notices names.
func noticeQuery(command string, args []string) string {
	if i := slices.Index(args, "--notice"); i >= 0 && i+1 < len(args) {
		return "?notice=" + url.QueryEscape(args[i+1])
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return ""
	}
	if command == "draft" {
		return "?duty=" + url.QueryEscape(args[0])
	}
	return "?notice=" + url.QueryEscape(args[0])
}
