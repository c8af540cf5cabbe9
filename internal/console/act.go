package console

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/policy"
)

// A form is the page of one command: what it will do, what it needs, and the button that says both.
type form struct {
	Command string
	Title   string
	Explain string
	Gate    string // the gate that may refuse it, "" when none does
	Fields  func(v view) []input
	Plan    func(v view, in url.Values) []string // what will happen, one sentence each
	Button  func(v view, in url.Values) string
	Danger  bool // cannot be undone
	Make    func(in reader) incident.Command
}

// view is what forms may look at.
type view struct {
	State  *incident.State
	Policy *policy.Program
	People []person
	Clocks []desk.ClockRow
}

type person struct{ ID, Name string }

// input is one field of a form.
type input struct {
	Name, Label, Help, Kind string // Kind: text, area, select, time, check, hidden
	Options                 []option
	Value                   string
	Optional                bool
}

type option struct{ Value, Text string }

// reader reads the fields of a submitted form. The first field that cannot be read stops it.
type reader struct {
	in  url.Values
	loc *time.Location
	err *error
}

func (r reader) text(name string) string { return strings.TrimSpace(r.in.Get(name)) }

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

func onlyReason(view) []input { return []input{reasonField()} }

func says(text string) func(view, url.Values) string {
	return func(v view, _ url.Values) string { return strings.ReplaceAll(text, "{id}", v.State.ID) }
}

// forms are the commands that have a page of their own, by the name in the address.
var forms = map[string]form{}

func register(f form) { forms[f.Command] = f }

func init() {
	register(form{Command: "acknowledge", Title: "Acknowledge", Explain: "Say that you are on it. This starts no clock of the merchants.",
		Button: says("Acknowledge {id}"), Make: func(reader) incident.Command { return incident.Acknowledge{} }})
	register(form{Command: "confirm", Title: "Confirm", Explain: "Decide that this is an incident.", Fields: onlyReason,
		Plan:   func(v view, _ url.Values) []string { return startedBy(v, "confirmed") },
		Button: says("Confirm {id} as an incident"), Make: func(r reader) incident.Command { return incident.Confirm{Reason: r.text("reason")} }})
	register(form{Command: "dismiss", Title: "Dismiss", Explain: "Decide that this is a false alarm.", Fields: onlyReason, Danger: true,
		Plan: func(v view, _ url.Values) []string {
			var out []string
			for _, c := range v.Clocks {
				if running(c.State) {
					out = append(out, "Stops the clock: "+c.Say)
				}
			}
			return append(out, "Everything recorded so far stays")
		},
		Button: says("Dismiss {id} as a false alarm"), Make: func(r reader) incident.Command { return incident.Dismiss{Reason: r.text("reason")} }})
	register(form{Command: "mark", Title: "Record a milestone", Explain: "Record that something happened, and when.",
		Fields: func(v view) []input {
			return []input{{Name: "milestone", Label: "Milestone", Kind: "select", Options: milestones(v)},
				{Name: "at", Label: "When", Kind: "time", Optional: true, Help: "Empty means now."}, reasonField()}
		},
		Button: says("Record the milestone on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Mark{Milestone: r.text("milestone"), At: r.time("at"), Reason: r.text("reason")}
		}})
	register(form{Command: "correct", Title: "Correct a milestone", Explain: "Move a milestone that was recorded at the wrong time. Both times stay visible, and due times may move.",
		Fields: func(v view) []input {
			var set []option
			for _, s := range steps(times(v.State)) {
				if !s.At.IsZero() {
					set = append(set, option{s.Name, word(s.Name)})
				}
			}
			return []input{{Name: "milestone", Label: "Milestone", Kind: "select", Options: set}, {Name: "at", Label: "When it really was", Kind: "time"}, reasonField()}
		},
		Button: says("Correct the milestone of {id}"),
		Make: func(r reader) incident.Command {
			return incident.Correct{Milestone: r.text("milestone"), At: r.time("at"), Reason: r.text("reason")}
		}})
	register(form{Command: "answer", Title: "Answer a question", Explain: "Record a judgement the policy asks for. Until it is answered it is unknown, and unknown never drops a duty.",
		Fields: func(v view) []input {
			var asked []option
			for _, f := range v.Policy.Facts {
				asked = append(asked, option{f.ID, f.Ask})
			}
			return []input{{Name: "fact", Label: "Question", Kind: "select", Options: asked},
				{Name: "value", Label: "Answer", Kind: "text", Help: "true or false for a yes-or-no question; else a number or a word."}, reasonField()}
		},
		Button: says("Record the answer on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Answer{Fact: r.text("fact"), Value: r.value("value"), Reason: r.text("reason")}
		}})
	register(form{Command: "severity", Title: "Set the severity", Explain: "Raising is free; lowering needs the lead.",
		Fields: func(v view) []input {
			var levels []option
			for _, l := range v.Policy.Severities {
				levels = append(levels, option{l.ID, word(l.ID) + " — " + l.Means})
			}
			return []input{{Name: "severity", Label: "Severity", Kind: "select", Options: levels, Value: v.State.Severity}, reasonField()}
		},
		Button: says("Set the severity of {id}"),
		Make: func(r reader) incident.Command {
			return incident.SetSeverity{Severity: r.text("severity"), Reason: r.text("reason")}
		}})
	register(form{Command: "assign", Title: "Assign a role", Explain: "Give a role of the policy to a person for this incident.",
		Fields: func(v view) []input {
			var roles, people []option
			for _, role := range v.Policy.Roles {
				roles = append(roles, option{role.ID, word(role.ID) + " — " + role.Does})
			}
			for _, p := range v.People {
				people = append(people, option{"person:" + p.ID, p.Name})
			}
			return []input{{Name: "role", Label: "Role", Kind: "select", Options: roles}, {Name: "person", Label: "Person", Kind: "select", Options: people}}
		},
		Button: says("Assign the role on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Assign{Role: r.text("role"), Person: incident.Principal(r.text("person"))}
		}})
	register(form{Command: "note", Title: "Add a note", Explain: "A line in the timeline, under your name.",
		Fields: func(view) []input { return []input{{Name: "text", Label: "Note", Kind: "area"}} },
		Button: says("Add the note to {id}"), Make: func(r reader) incident.Command { return incident.Note{Text: r.text("text")} }})
	register(form{Command: "adjust-scope", Title: "Include or exclude a merchant", Explain: "Correct the computed scope by hand, with the reason. A later computation keeps it.",
		Fields: func(view) []input {
			return []input{{Name: "merchant", Label: "Merchant", Kind: "text", Help: "The id, such as m_214."},
				{Name: "include", Label: "What", Kind: "select", Options: []option{{"true", "Include"}, {"false", "Exclude"}}}, reasonField()}
		},
		Button: says("Change the scope of {id}"),
		Make: func(r reader) incident.Command {
			return incident.AdjustScope{Merchant: r.text("merchant"), Include: r.text("include") == "true", Reason: r.text("reason")}
		}})
	registerActions()
	registerRecovery()
	registerEvidence()
}

func registerActions() {
	register(form{Command: "plan", Title: "Plan a containment action", Explain: "Nothing is done yet: the plan is shown first, and somebody else approves it.",
		Fields: func(v view) []input {
			var actions []option
			for _, a := range v.Policy.Actions {
				actions = append(actions, option{a.ID, word(a.ID) + " — " + a.Means})
			}
			return []input{{Name: "action", Label: "Action", Kind: "select", Options: actions},
				{Name: "target", Label: "Target", Kind: "area", Optional: true, Help: "One NAME=VALUE a line, such as credential=tok_9f or merchant=m_214."},
				{Name: "secret", Label: "Secret", Kind: "text", Optional: true, Help: "The name of a stored secret, never its value."}, reasonField()}
		},
		Button: says("Show the plan for {id}")})
	register(form{Command: "approve", Title: "Approve an action", Explain: "Your signature. When the policy's signatures are complete it is done at once.", Danger: true,
		Fields: actionField,
		Plan: func(v view, in url.Values) []string {
			a := actionOf(v.State, in.Get("action"))
			if a == nil {
				return nil
			}
			out := slices.Clone(a.Steps)
			if a.Blast != "" {
				out = append(out, "Stops or breaks: "+a.Blast)
			}
			if a.UndoText != "" {
				out = append(out, "Undo: "+a.UndoText)
			}
			return out
		},
		Button: func(v view, in url.Values) string {
			if a := actionOf(v.State, in.Get("action")); a != nil {
				if len(a.Steps) > 0 {
					return "Approve " + a.ID + ": " + lowerFirst(a.Steps[0])
				}
				return "Approve " + a.ID + ": " + word(a.Decl) + " " + targetText(a.Target)
			}
			return "Approve the action"
		},
		Make: func(r reader) incident.Command { return incident.ApproveAction{Action: r.text("action")} }})
	register(form{Command: "cancel", Title: "Cancel an action", Explain: "Withdraw a planned action that has not been applied.",
		Fields: func(v view) []input { return append(actionField(v), reasonField()) },
		Button: func(v view, in url.Values) string { return "Cancel " + in.Get("action") },
		Make: func(r reader) incident.Command {
			return incident.CancelAction{Action: r.text("action"), Reason: r.text("reason")}
		}})
	register(form{Command: "undo", Title: "Undo an action", Explain: "Undo an action that was applied.", Danger: true,
		Fields: func(v view) []input { return append(actionField(v), reasonField()) },
		Plan: func(v view, in url.Values) []string {
			if a := actionOf(v.State, in.Get("action")); a != nil && a.UndoText != "" {
				return []string{a.UndoText}
			}
			return nil
		},
		Button: func(v view, in url.Values) string { return "Undo " + in.Get("action") },
		Make: func(r reader) incident.Command {
			return incident.UndoActionCmd{Action: r.text("action"), Reason: r.text("reason")}
		}})
}

func registerRecovery() {
	register(form{Command: "check", Title: "Run checks", Explain: "The system runs the declared checks and keeps what it saw.",
		Plan: func(v view, _ url.Values) []string {
			var out []string
			for _, c := range v.Policy.Checks {
				out = append(out, "Runs "+word(c.ID)+": "+c.Means)
			}
			return out
		},
		Button: says("Run the checks of {id}"), Make: func(reader) incident.Command { return incident.RunChecks{} }})
	register(form{Command: "fix", Title: "Record the fix", Explain: "Say that the cause is fixed, and how. Another person verifies it.",
		Fields: func(view) []input {
			return []input{{Name: "what", Label: "What was fixed, and how", Kind: "area"}}
		},
		Button: says("Record the fix of {id}"), Make: func(r reader) incident.Command { return incident.RecordFix{What: r.text("what")} }})
	register(form{Command: "verify-fix", Title: "Verify the fix", Explain: "Say how it is proven that the way in is closed. Who recorded the fix cannot verify it.",
		Fields: func(view) []input { return []input{{Name: "how", Label: "How it is proven", Kind: "area"}} },
		Button: says("Verify the fix of {id}"), Make: func(r reader) incident.Command { return incident.VerifyFix{How: r.text("how")} }})
	register(form{Command: "restore", Title: "Restore service", Gate: "restore", Explain: "Return to service. The gate refuses while anything below is missing; the attempt is recorded either way.", Danger: true,
		Fields: onlyReason,
		Plan: func(v view, _ url.Values) []string {
			return []string{"Service returns for the merchants whose switches this incident turned off", "The milestone restored is recorded"}
		},
		Button: says("Restore service after {id}"), Make: func(r reader) incident.Command { return incident.RestoreService{Reason: r.text("reason")} }})
	register(form{Command: "assess", Title: "Assess", Explain: "What the review and the notices need to know.",
		Fields: func(view) []input {
			return []input{{Name: "vector", Label: "How they got in", Kind: "area"}, {Name: "root_cause", Label: "Why that was possible", Kind: "area"},
				{Name: "risk", Label: "What it means for merchants and their customers", Kind: "area"}}
		},
		Button: says("Record the assessment of {id}"),
		Make: func(r reader) incident.Command {
			return incident.Assess{Vector: r.text("vector"), RootCause: r.text("root_cause"), Risk: r.text("risk")}
		}})
	register(form{Command: "review", Title: "Write the review", Explain: "One part at a time; each is kept with its author.",
		Fields: func(v view) []input {
			var parts []option
			for _, p := range v.Policy.Review {
				parts = append(parts, option{p, word(p)})
			}
			return []input{{Name: "part", Label: "Part", Kind: "select", Options: parts}, {Name: "text", Label: "Text", Kind: "area"}}
		},
		Button: says("Save this part of the review"), Make: func(r reader) incident.Command {
			return incident.EditReview{Part: r.text("part"), Text: r.text("text")}
		}})
	register(form{Command: "corrective", Title: "Add a corrective action", Explain: "What is done so that it does not happen again, by whom and until when.",
		Fields: func(v view) []input {
			var people []option
			for _, p := range v.People {
				people = append(people, option{"person:" + p.ID, p.Name})
			}
			return []input{{Name: "text", Label: "What", Kind: "area"}, {Name: "owner", Label: "Who", Kind: "select", Options: people}, {Name: "due", Label: "Until", Kind: "time"}}
		},
		Button: says("Add the corrective action"),
		Make: func(r reader) incident.Command {
			return incident.AddCorrective{Text: r.text("text"), Owner: incident.Principal(r.text("owner")), Due: r.time("due")}
		}})
	register(form{Command: "publish", Title: "Publish the review", Explain: "Refused while a part is missing.", Danger: true,
		Button: says("Publish the review of {id}"), Make: func(reader) incident.Command { return incident.PublishReview{} }})
	register(form{Command: "waive", Title: "Waive a duty", Explain: "Let go of a duty, by name and reason. It stays visible for ever as waived by you.", Danger: true,
		Fields: func(v view) []input {
			var owed []option
			for _, c := range v.Clocks {
				if running(c.State) && !slices.ContainsFunc(owed, func(o option) bool { return o.Value == c.Duty }) {
					owed = append(owed, option{c.Duty, c.Say})
				}
			}
			return []input{{Name: "duty", Label: "Duty", Kind: "select", Options: owed}, reasonField()}
		},
		Button: says("Waive the duty on {id}"), Make: func(r reader) incident.Command { return incident.Waive{Duty: r.text("duty"), Reason: r.text("reason")} }})
	register(form{Command: "close", Title: "Close", Gate: "close", Explain: "End the incident.", Danger: true, Fields: onlyReason,
		Button: says("Close {id}"), Make: func(r reader) incident.Command { return incident.Close{Reason: r.text("reason")} }})
}

func registerEvidence() {
	register(form{Command: "snapshot", Title: "Take a snapshot of the evidence", Explain: "Record the checkpoint of the access log as it stands now. Rotating a secret destroys traces: take it first.",
		Button: says("Take the snapshot for {id}")})
	register(form{Command: "sign", Title: "Sign a gate", Explain: "Your signature for a gate that asks for signatures. It is used up when the gate lets its command through.",
		Fields: func(v view) []input {
			var gates []option
			for _, g := range v.Policy.Gates {
				if len(g.Sign) > 0 {
					gates = append(gates, option{g.ID, word(g.ID) + " — guards " + word(g.Guards)})
				}
			}
			return []input{{Name: "gate", Label: "Gate", Kind: "select", Options: gates}}
		},
		Button: says("Sign the gate on {id}"), Make: func(r reader) incident.Command { return incident.Sign{Gate: r.text("gate")} }})
	register(form{Command: "reopen", Title: "Open again", Explain: "Open a dismissed or closed incident again.", Fields: onlyReason,
		Button: says("Open {id} again"), Make: func(r reader) incident.Command { return incident.Reopen{Reason: r.text("reason")} }})
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

func actionField(v view) []input {
	var all []option
	for _, a := range v.State.Actions {
		all = append(all, option{a.ID, a.ID + " — " + word(a.Decl) + " " + targetText(a.Target) + " (" + word(string(a.State)) + ")"})
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

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// actView is the page of one command.
type actView struct {
	Frame   frame
	ID      string
	Form    form
	Fields  []input
	Plan    []string
	Button  string
	Missing []incident.Missing // of the gate that may refuse it
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
	v := view{State: state, Policy: c.desk.PolicyProgram(r.Context()), Clocks: clocks}
	if v.Policy == nil {
		v.Policy = &policy.Program{}
	}
	if org, err := c.desk.Org(r.Context()); err == nil && org != nil {
		for _, p := range org.People {
			if p.Revoked.IsZero() {
				v.People = append(v.People, person{p.ID, p.Name})
			}
		}
		slices.SortFunc(v.People, func(a, b person) int { return strings.Compare(a.Name, b.Name) })
	}
	return v, nil
}

// showAct renders the page of a command, with what was written so far.
func (c *Console) showAct(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	f, ok := forms[r.PathValue("command")]
	if !ok {
		return desk.ErrNotFound
	}
	v, err := c.look(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	page := actView{Frame: c.frame(r, f.Title+" · "+v.State.ID), ID: v.State.ID, Form: f, Button: f.Button(v, in), Trouble: t, Key: rand.Text()}
	if f.Fields != nil {
		page.Fields = f.Fields(v)
	}
	for i := range page.Fields {
		if in.Has(page.Fields[i].Name) {
			page.Fields[i].Value = in.Get(page.Fields[i].Name)
		}
	}
	if f.Plan != nil {
		page.Plan = f.Plan(v, in)
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
	if err := checkForm(r); err != nil {
		t := troubleOf(err)
		return c.showAct(w, r, t.Status, r.PostForm, t)
	}
	var err error
	next := "/incidents/" + url.PathEscape(id)
	switch f.Command {
	case "plan":
		next, err = c.plan(r, id)
	case "snapshot":
		_, err = c.desk.Snapshot(r.Context(), requestID(r), callerOf(r.Context()), id)
	default:
		zone := c.frame(r, "").Zone
		command := f.Make(reader{in: r.PostForm, loc: zone, err: &err})
		if err == nil {
			_, err = c.desk.Submit(r.Context(), desk.Request{ID: requestID(r), Incident: id, Command: command, Caller: callerOf(r.Context())})
		}
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
type way struct{ Text, Href, Command string }

func wayTo(id string, m incident.Missing) way {
	text, command, ok := strings.Cut(m.Do, ": tocsin ")
	if !ok {
		return way{Text: m.Do}
	}
	out := way{Text: text, Command: "tocsin " + command}
	words := strings.Fields(command)
	if len(words) < 2 || id == "" {
		return out
	}
	base := "/incidents/" + url.PathEscape(id)
	switch {
	case words[0] == "notify", words[0] == "incident" && slices.Contains([]string{"draft", "approve-notice", "send", "resend"}, words[1]):
		out.Href = base + "/notices"
	case words[0] == "scope":
		out.Href = base + "/scope"
	case words[0] == "incident" && words[1] == "scope":
		out.Href = base + "/scope"
	case words[0] == "incident":
		name := map[string]string{"contain": "plan", "include": "adjust-scope", "exclude": "adjust-scope", "write-review": "review", "publish-review": "publish"}[words[1]]
		if name == "" {
			name = words[1]
		}
		if _, has := forms[name]; has {
			out.Href = base + "/do/" + name
			if len(words) > 3 && (name == "approve" || name == "undo" || name == "cancel") {
				out.Href += "?action=" + url.QueryEscape(words[3])
			}
		}
	}
	return out
}
