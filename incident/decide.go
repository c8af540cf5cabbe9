package incident

import (
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// Actor is who gives a command and what they may sign for.
type Actor struct {
	Principal Principal
	Roles     []string // roles of the policy this person holds
	Access    Access
}

// Access is what an account may do at all, apart from the roles of a policy.
type Access string

// The levels of access, least first.
const (
	Viewer    Access = "viewer"
	Responder Access = "responder"
	Owner     Access = "owner"
	Service   Access = "service" // the system's own workers
)

// Context is what a decision may depend on besides the state and the command.
type Context struct {
	Now      time.Time // UTC, fixed at the start of the transaction
	Actor    Actor
	Env      string
	Causes   []string
	Versions Versions

	// Directory is what the directory of merchants says of those that a command brings into the
	// scope, by id. What a decision takes from it becomes a fact; nil: nothing is known.
	Directory map[string]Recipient
}

// Decision is the outcome of a command that was accepted. Reason is never empty.
type Decision struct {
	Reason Reason // the named reason, such as "confirmed", "already_confirmed", "clock_due"
	Facts  []Fact // to append, in order; empty when the command changes nothing
}

// Reason names why something was decided or refused. It is stable: tests, facts and pages use it.
type Reason string

// Refusal is the error of a command that was not accepted. Missing lists everything that stands
// in the way, not only the first.
type Refusal struct {
	Reason  Reason    `json:"reason"`
	Message string    `json:"message"` // one sentence: what was refused and why
	Missing []Missing `json:"missing,omitempty"`
}

// Missing is one thing that stands in the way, and what to do about it.
type Missing struct {
	What string `json:"what"`           // such as "check checkout has not passed"
	Do   string `json:"do"`             // such as "run the check: tocsin incident check INC-1 checkout"
	Rule string `json:"rule,omitempty"` // id of the policy rule that asks for it
}

func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(r.Message)
	for i, m := range r.Missing {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(m.What)
	}
	return b.String()
}

// Command is what somebody wants done to one incident. Name is stable: it is the last segment of
// the API's path and the CLI's verb.
type Command interface {
	Name() string
}

// decider is the shape of Decide, kept here so that the seam is stated in one place:
//
//	func Decide(p *policy.Program, s *State, c Command, ctx Context) (Decision, error)
//
// The error is a *Refusal, or an error that names the invalid field. A refusal by a gate comes with
// facts in the Decision (gate.refused): they are appended although the command was refused, because
// the attempt is part of what happened.
type decider = func(*policy.Program, *State, Command, Context) (Decision, error)

// EffectKind is a kind of thing the desk has to do in the world.
type EffectKind string

// The kinds of effects.
const (
	EffectApply   EffectKind = "action.apply"
	EffectConfirm EffectKind = "action.confirm"
	EffectUndo    EffectKind = "action.undo"
	EffectSend    EffectKind = "notice.send"
	EffectCheck   EffectKind = "check.run"
	EffectPage    EffectKind = "page.send"
)

// Effect is something owed to the world. It follows from the state alone (Owed), so a crash
// loses nothing: start-up computes what is owed again. ID is deterministic and names one
// attempt, so that doing it twice can be noticed.
type Effect struct {
	ID        string     `json:"id"` // such as "send/INC-1/NTC-1/m_214/2"
	Kind      EffectKind `json:"kind"`
	Incident  string     `json:"incident"`
	Action    string     `json:"action,omitempty"`
	Notice    string     `json:"notice,omitempty"`
	Party     string     `json:"party,omitempty"` // recipient: a merchant id, or a party id for platform notices
	Check     string     `json:"check,omitempty"`
	Duty      string     `json:"duty,omitempty"`
	Role      string     `json:"role,omitempty"`
	Attempt   int        `json:"attempt,omitempty"`
	NotBefore time.Time  `json:"not_before,omitzero"` // protocol time, never simulated
}
