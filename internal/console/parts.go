package console

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/incident"
)

const (
	// scopeRows is how many merchants of a computed scope one page shows.
	scopeRows = 500
	// lateAfter is how late a line is recorded before the page says so.
	lateAfter = 5 * time.Minute
)

// moreActs are the commands that are always possible and seldom next.
var moreActs = []string{"note", "mark", "correct", "answer", "adjust-scope", "assess", "snapshot", "sign", "waive", "review", "corrective", "publish", "close", "dismiss"}

// waiting lists the commands that an incident's state suggests next, at most four.
func waiting(s *incident.State) []string {
	has := func(name string) bool { return s.Milestones[name] != nil }
	var out []string
	if s.Status != incident.StatusOpen {
		return []string{"reopen"}
	}
	if !has("acknowledged") && !has("confirmed") {
		out = append(out, "acknowledge")
	}
	if !has("confirmed") && !has("dismissed") {
		out = append(out, "confirm", "dismiss")
	}
	if s.Roles["lead"] == "" {
		out = append(out, "assign")
	}
	if has("confirmed") && s.Fix == nil {
		out = append(out, "fix")
	}
	if s.Fix != nil && s.FixProof == nil {
		out = append(out, "verify-fix")
	}
	if has("verified") && !has("restored") || s.FixProof != nil && !has("restored") {
		out = append(out, "check", "restore")
	}
	if has("restored") && s.Assessment == nil {
		out = append(out, "assess")
	}
	if has("restored") && !has("reviewed") {
		out = append(out, "review", "publish")
	}
	if has("reviewed") {
		out = append(out, "close")
	}
	return out[:min(len(out), 4)]
}

// actURL is the page of a command.
func actURL(id, command string) templ.SafeURL {
	return templ.SafeURL("/incidents/" + url.PathEscape(id) + "/do/" + command)
}

// noticeURL is the page of notices, with a choice.
func noticeURL(id, key, value string) templ.SafeURL {
	u := "/incidents/" + url.PathEscape(id) + "/notices"
	if key != "" {
		u += "?" + key + "=" + url.QueryEscape(value)
	}
	return templ.SafeURL(u)
}

func describedBy(n input) string {
	if n.Help == "" {
		return "f-" + n.Name
	}
	return "h-" + n.Name
}

func severityWord(s string) string {
	if s == "" {
		return "no severity yet"
	}
	return word(s)
}

func has(list []string, s string) bool { return slices.Contains(list, s) }

func list(values []string) string { return strings.Join(values, ", ") }

func rolesOf(s *incident.State) []option {
	var out []option
	for role, p := range s.Roles {
		out = append(out, option{role, who(p)})
	}
	slices.SortFunc(out, func(a, b option) int { return strings.Compare(a.Value, b.Value) })
	if len(out) == 0 {
		out = append(out, option{"nobody yet", "assign a lead first"})
	}
	return out
}

// someRecipients are recipients to try the preview with.
func someRecipients(v noticesView) []string {
	var out []string
	for id := range v.Notice.Deliveries {
		out = append(out, id)
	}
	if len(out) == 0 {
		for id := range v.State.Exposures {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out[:min(len(out), 50)]
}

// recordButton says what recording does, with the numbers when they are known.
func recordButton(v scopeView) string {
	if v.Result == nil {
		return "Compute and record on " + v.State.ID
	}
	return "Record " + count(int64(len(v.Result.Rows)), "merchant", "merchants") + " on " + v.State.ID
}
