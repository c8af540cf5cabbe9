package console

import (
	"net/url"
	"slices"

	"github.com/tocsin-ir/tocsin/incident"
)

// forms are the commands that have a page of their own, by the name in the address.
var forms = commandForms()

func commandForms() map[string]form {
	all := map[string]form{}
	register := func(f form) { all[f.Command] = f }
	triageForms(register)
	actionForms(register)
	recoveryForms(register)
	evidenceForms(register)
	policyForms(register)
	roomForms(register)
	register(switchForm())
	register(answersForm())
	return all
}

func triageForms(register func(form)) {
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
		Fields: func(v view, _ url.Values) []input {
			return []input{{Name: "milestone", Label: "Milestone", Kind: "select", Options: milestones(v)},
				{Name: "at", Label: "When", Kind: "time", Optional: true, Help: "Empty means now."}, reasonField()}
		},
		Button: says("Record the milestone on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Mark{Milestone: r.text("milestone"), At: r.time("at"), Reason: r.text("reason")}
		}})
	register(form{Command: "correct", Title: "Correct a milestone", Explain: "Move a milestone that was recorded at the wrong time. Both times stay visible, and due times may move.",
		Fields: func(v view, _ url.Values) []input {
			var set []option
			for _, s := range steps(times(v.State), false) {
				if !s.At.IsZero() {
					set = append(set, option{s.Name, word(s.Name)})
				}
			}
			return []input{{Name: "milestone", Label: "Milestone", Kind: "select", Options: set}, {Name: "at", Label: "When it really was", Kind: "time"}, reasonField()}
		},
		Button: says("Correct the milestone of {id}"), Foresee: true,
		Make: func(r reader) incident.Command {
			return incident.Correct{Milestone: r.text("milestone"), At: r.time("at"), Reason: r.text("reason")}
		}})
	register(form{Command: "answer", Title: "Answer a question", Explain: "Record a judgement the policy asks for. Until it is answered it is unknown, and unknown never drops a duty.",
		Fields: answerFields,
		Button: says("Record the answer on {id}"),
		Make: func(r reader) incident.Command {
			return incident.Answer{Fact: r.text("fact"), Value: r.value("value"), Reason: r.text("reason")}
		}})
	register(form{Command: "severity", Title: "Set the severity", Explain: "Raising is free; lowering needs the lead.",
		Fields: func(v view, _ url.Values) []input {
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
		Fields: func(v view, _ url.Values) []input {
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
		Fields: func(view, url.Values) []input { return []input{{Name: "text", Label: "Note", Kind: "area"}} },
		Button: says("Add the note to {id}"), Adds: true, Make: func(r reader) incident.Command { return incident.Note{Text: r.text("text")} }})
	register(form{Command: "adjust-scope", Title: "Include or exclude a merchant", Explain: "Correct the computed scope by hand, with the reason. A later computation keeps it.",
		Fields: func(view, url.Values) []input {
			return []input{{Name: "merchant", Label: "Merchant", Kind: "text", Help: "The id, such as m_214."},
				{Name: "include", Label: "What", Kind: "select", Options: []option{{"true", "Include"}, {"false", "Exclude"}}}, reasonField()}
		},
		Button: says("Change the scope of {id}"),
		Make: func(r reader) incident.Command {
			return incident.AdjustScope{Merchant: r.text("merchant"), Include: r.text("include") == "true", Reason: r.text("reason")}
		}})
}

func actionForms(register func(form)) {
	register(form{Command: "plan", Title: "Plan a containment action", Explain: "Nothing is done yet: the plan is shown first, and somebody else approves it.",
		Fields: func(v view, _ url.Values) []input {
			var actions []option
			for _, a := range v.Policy.Actions {
				actions = append(actions, option{a.ID, word(a.ID) + " — " + a.Means})
			}
			return []input{{Name: "action", Label: "Action", Kind: "select", Options: actions},
				{Name: "target", Label: "Target", Kind: "area", Optional: true, Help: "One NAME=VALUE a line, such as credential=tok_9f or merchant=m_214."},
				secretField(v), reasonField()}
		},
		Button: says("Show the plan for {id}")})
	register(form{Command: "approve", Title: "Approve an action", Explain: "Your signature. When the policy's signatures are complete it is done at once.", Danger: true,
		Fields: func(v view, in url.Values) []input { return actionField(v, in, incident.ActionPlanned) },
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
				return "Approve " + a.ID + ": " + word(a.Decl) + " " + targetText(a.Target)
			}
			return "Approve the action"
		},
		Make: func(r reader) incident.Command { return incident.ApproveAction{Action: r.text("action")} }})
	register(form{Command: "cancel", Title: "Cancel an action", Explain: "Withdraw a planned action that has not been applied.",
		Fields: func(v view, in url.Values) []input {
			return append(actionField(v, in, incident.ActionPlanned), reasonField())
		},
		Button: func(v view, in url.Values) string { return "Cancel " + in.Get("action") },
		Make: func(r reader) incident.Command {
			return incident.CancelAction{Action: r.text("action"), Reason: r.text("reason")}
		}})
	register(form{Command: "undo", Title: "Undo an action", Explain: "Undo an action that was applied.", Danger: true,
		Fields: func(v view, in url.Values) []input {
			return append(actionField(v, in, incident.ActionApplied, incident.ActionProven, incident.ActionUnproven, incident.ActionUncertain, incident.ActionFailed), reasonField())
		},
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

// switchForm turns a kill switch. It is no command of the incident: the organisation keeps switches.
func switchForm() form {
	return form{Command: "switch", Title: "Turn a switch", Explain: "The application obeys at once, for one merchant or for everybody. Nobody else has to approve it.", Danger: true,
		Fields: func(view, url.Values) []input {
			return []input{{Name: "merchant", Label: "Merchant", Kind: "text", Help: "The id, such as m_214, or * for everybody."},
				{Name: "state", Label: "What", Kind: "select", Options: []option{{"off", "Turn off"}, {"on", "Turn on"}}}, reasonField()}
		},
		Plan: func(v view, _ url.Values) []string {
			return []string{"Every running instance of the application that listens is told at once",
				"What " + v.State.ID + " turned off stays off until service is restored"}
		},
		Button: says("Turn the switch for {id}")}
}

func recoveryForms(register func(form)) {
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
		Fields: func(view, url.Values) []input {
			return []input{{Name: "what", Label: "What was fixed, and how", Kind: "area"}}
		},
		Button: says("Record the fix of {id}"), Make: func(r reader) incident.Command { return incident.RecordFix{What: r.text("what")} }})
	register(form{Command: "verify-fix", Title: "Verify the fix", Explain: "Say how it is proven that the way in is closed. Who recorded the fix cannot verify it.",
		Fields: func(view, url.Values) []input { return []input{{Name: "how", Label: "How it is proven", Kind: "area"}} },
		Button: says("Verify the fix of {id}"), Make: func(r reader) incident.Command { return incident.VerifyFix{How: r.text("how")} }})
	register(form{Command: "restore", Title: "Restore service", Gate: "restore", Explain: "Return to service. The gate refuses while anything below is missing; the attempt is recorded either way.", Danger: true,
		Fields: onlyReason,
		Plan: func(v view, _ url.Values) []string {
			return []string{"Service returns for the merchants whose switches this incident turned off", "The milestone restored is recorded"}
		},
		Button: says("Restore service after {id}"), Make: func(r reader) incident.Command { return incident.RestoreService{Reason: r.text("reason")} }})
	register(form{Command: "assess", Title: "Assess", Explain: "What the review and the notices need to know.",
		Fields: func(view, url.Values) []input {
			return []input{{Name: "vector", Label: "How they got in", Kind: "area"}, {Name: "root_cause", Label: "Why that was possible", Kind: "area"},
				{Name: "risk", Label: "What it means for merchants and their customers", Kind: "area"}}
		},
		Button: says("Record the assessment of {id}"),
		Make: func(r reader) incident.Command {
			return incident.Assess{Vector: r.text("vector"), RootCause: r.text("root_cause"), Risk: r.text("risk")}
		}})
	reviewForms(register)
	register(form{Command: "waive", Title: "Waive a duty", Explain: "Let go of a duty, by name and reason. It stays visible for ever as waived by you.", Danger: true,
		Fields: func(v view, _ url.Values) []input {
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

func evidenceForms(register func(form)) {
	register(form{Command: "snapshot", Title: "Take a snapshot of the evidence", Explain: "Record the checkpoint of the access log as it stands now. Rotating a secret destroys traces: take it first.",
		Button: says("Take the snapshot for {id}")})
	register(form{Command: "sign", Title: "Sign a gate", Explain: "Your signature for a gate that asks for signatures. It is used up when the gate lets its command through.",
		Fields: func(v view, _ url.Values) []input {
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

// answerFields asks for the judgement. A yes-or-no question that is named is asked as one.
func answerFields(v view, in url.Values) []input {
	var asked []option
	value := input{Name: "value", Label: "Answer", Kind: "text", Help: "true or false for a yes-or-no question; else a number or a word."}
	for _, f := range v.Policy.Facts {
		asked = append(asked, option{f.ID, f.Ask})
		if f.ID == in.Get("fact") && (f.Type == "bool" || f.Type == "") {
			value = input{Name: "value", Label: "Answer", Kind: "select", Options: []option{{"true", "Yes"}, {"false", "No"}}}
		}
	}
	return []input{{Name: "fact", Label: "Question", Kind: "select", Options: asked}, value, reasonField()}
}

// secretField names a stored secret, such as the stolen token that has to be refused afterwards.
func secretField(v view) input {
	n := input{Name: "secret", Label: "Secret that must be refused afterwards", Kind: "text", Optional: true, Help: "The name of a stored secret, never its value. The proof tries it."}
	if len(v.Secrets) > 0 {
		n.Kind = "select"
		for _, name := range v.Secrets {
			n.Options = append(n.Options, option{name, name})
		}
	}
	return n
}
