package incident

import (
	"fmt"
	"slices"
	"strings"
)

// who says which accounts may give a command.
type who int

const (
	people   who = iota // responders and owners
	anybody             // responders, owners and services
	services            // the system's own workers
)

var admitted = map[string]who{
	"open":           anybody,
	"signal":         anybody,
	"note":           anybody,
	"attach":         anybody, // the server keeps files that it found changed
	"record-scope":   anybody,
	"record-switch":  anybody,
	"snapshot":       anybody,
	"record-export":  anybody,
	"end-signal":     services,
	"report-attempt": services,
	"report-result":  services,
	"tick":           services,

	"record-directory": services,
	"begin-programme":  services,
}

// programmeCommands are the commands that the programme takes; no incident takes the first two.
var programmeCommands = []string{"begin-programme", "event", "done", "waive", "report-attempt", "report-result", "tick"}

// afterwards lists the commands that are taken after an incident was dismissed or closed. What
// workers report is always taken: it happened.
var afterwards = map[string][]Status{
	"signal":         {StatusDismissed, StatusClosed},
	"end-signal":     {StatusDismissed, StatusClosed},
	"note":           {StatusDismissed, StatusClosed},
	"reopen":         {StatusDismissed, StatusClosed},
	"record-export":  {StatusDismissed, StatusClosed},
	"snapshot":       {StatusDismissed, StatusClosed},
	"record-switch":  {StatusDismissed, StatusClosed},
	"report-attempt": {StatusDismissed, StatusClosed},
	"report-result":  {StatusDismissed, StatusClosed},
	"tick":           {StatusDismissed, StatusClosed},
	"undo":           {StatusDismissed},
	"dismiss":        {StatusDismissed},
	"close":          {StatusDismissed, StatusClosed},
	"assess":         {StatusDismissed},
	"adjust-scope":   {StatusDismissed},
	"record-scope":   {StatusDismissed},

	"review":          {StatusDismissed, StatusClosed}, // the version for clients is often written when all is over
	"pick":            {StatusDismissed, StatusClosed},
	"unpick":          {StatusDismissed, StatusClosed},
	"publish":         {StatusDismissed, StatusClosed},
	"corrective":      {StatusDismissed, StatusClosed},
	"move-corrective": {StatusDismissed, StatusClosed},

	"attach":       {StatusDismissed, StatusClosed},
	"hold":         {StatusDismissed, StatusClosed},
	"release-hold": {StatusDismissed, StatusClosed},

	"restrict":      {StatusDismissed, StatusClosed},
	"grant":         {StatusDismissed, StatusClosed},
	"revoke-access": {StatusDismissed, StatusClosed},
	"break-glass":   {StatusDismissed, StatusClosed},

	"record-directory": {StatusDismissed},
	"move-policy":      {StatusDismissed},
}

// signing are the commands that count as somebody's signature. Only a person can give them: the
// account behind a socket or a script is nobody's second pair of eyes.
var signing = []string{"approve", "approve-notice", "verify-fix", "sign", "attest", "override", "move-policy"}

// admit refuses what an account may not do at all, and what the incident is not open for.
func (w *work) admit(c Command) error {
	name := c.Name()
	if err := w.admitAccess(name); err != nil && !w.suspects(c) {
		return err
	}
	if err := w.admitReader(c); err != nil {
		return err
	}
	if w.base.Programme || name == "begin-programme" || name == "event" {
		return w.admitProgramme(name)
	}
	switch {
	case !w.base.isOpened():
		if name != "open" {
			return refuseUnknown()
		}
	case w.base.Into != nil && name != "open":
		if !slices.Contains(afterMerging, name) {
			return w.refuseMerged(name)
		}
	case w.base.Status != StatusOpen && name != "open":
		if !slices.Contains(afterwards[name], w.base.Status) && !w.owedAfterwards(c) {
			return refuse(RefusedNotOpen, fmt.Sprintf("%s is refused: %s is %s", name, w.base.ID, w.base.Status),
				Missing{What: "the incident is not open", Do: w.do("reopen it", "reopen", "--reason …")})
		}
	}
	return nil
}

// owedAfterwards reports whether a command meets or lets go of a duty that begins with the closing.
func (w *work) owedAfterwards(c Command) bool {
	id := ""
	switch c := c.(type) {
	case Complete:
		id = c.Duty
	case Waive:
		id, _, _ = strings.Cut(c.Duty, "/")
	}
	d := w.duty(id)
	return w.base.Status == StatusClosed && d != nil && outlives(d)
}

// admitProgramme: the programme has no phases, so that what it takes does not depend on any.
func (w *work) admitProgramme(name string) error {
	switch {
	case !slices.Contains(programmeCommands, name):
		return refuse(RefusedUnknown, name+" is a command of an incident, and this is the programme",
			Missing{What: "an incident", Do: "list them: tocsin incident list"})
	case w.base.isOpened() && !w.base.Programme:
		return refuse(RefusedUnknown, name+" is a command of the programme, and this is an incident",
			Missing{What: "the programme", Do: "see what it owes: tocsin programme"})
	case !w.base.isOpened() && name != "begin-programme":
		return refuse(RefusedNoIncident, "the programme has not begun: no policy is in force",
			Missing{What: "a policy", Do: "name one in tocsin.yaml and start the server: tocsin serve"})
	}
	return nil
}

func (w *work) admitAccess(name string) error {
	access, allowed := w.ctx.Actor.Access, admitted[name]
	ok := false
	switch access {
	case Responder:
		ok = allowed != services
	case Owner:
		ok = allowed != services
	case Service:
		ok = allowed != people
	}
	if ok && slices.Contains(signing, name) && !strings.HasPrefix(string(w.ctx.Actor.Principal), "person:") {
		return refuse(RefusedAccess, fmt.Sprintf("%s cannot sign: %s takes a person's own name", w.ctx.Actor.Principal, name),
			Missing{What: "the signature of a person", Do: "sign with your own token: --token-file"})
	}
	if ok {
		return nil
	}
	missing := Missing{What: "access responder or owner", Do: "ask an owner for it: tocsin people invite"}
	if allowed == services {
		missing = Missing{What: "access service", Do: "nothing: the system does this by itself"}
	}
	return refuse(RefusedAccess, fmt.Sprintf("%s may not give the command %s with access %q", w.ctx.Actor.Principal, name, access), missing)
}

// holds reports whether the caller holds a role, by account or by assignment to this incident.
func (w *work) holds(role string) bool {
	return slices.Contains(w.ctx.Actor.Roles, role) || w.base.Roles[role] == w.ctx.Actor.Principal
}

// leads reports whether the caller may do what only a lead may.
func (w *work) leads() bool { return w.ctx.Actor.Access == Owner || w.holds("lead") }

func (w *work) refuseLead(what string) error {
	return refuse(RefusedLead, what+" needs the owner or the lead",
		Missing{What: "the role lead", Do: w.do("have the lead do it, or assign the role", "assign", "lead PERSON")})
}

// slots returns the roles among those asked for that the caller can sign for.
func (w *work) slots(roles []string) []string {
	var mine []string
	for _, r := range roles {
		if r == "" || w.holds(r) {
			mine = append(mine, r)
		}
	}
	slices.Sort(mine)
	return slices.Compact(mine)
}

// unsigned says which of the roles asked for (one signature each, repeated for several) are not
// covered by the signatures, each person counting once. The role "" is covered by anyone.
func unsigned(need []string, signed []Signed) []string {
	by := make([]int, len(signed)) // which slot a signature fills, from 1
	var place func(slot int, seen []bool) bool
	place = func(slot int, seen []bool) bool {
		for i, s := range signed {
			if seen[i] || need[slot] != "" && !slices.Contains(s.Roles, need[slot]) {
				continue
			}
			seen[i] = true
			if by[i] == 0 || place(by[i]-1, seen) {
				by[i] = slot + 1
				return true
			}
		}
		return false
	}
	var missing []string
	for slot := range need {
		if !place(slot, make([]bool, len(signed))) {
			missing = append(missing, need[slot])
		}
	}
	return missing
}
