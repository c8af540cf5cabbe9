// Package doctor says which preconditions of a policy's promises hold in an installation, and what
// to do about those that do not. It is pure: what was looked at comes in as Seen, so that the same
// rules judge a running server and a folder that nobody serves.
package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is how a precondition stands.
type State string

// The states, from the best to the worst.
const (
	OK   State = "ok"
	Warn State = "warn" // a promise may be broken by it
	Fail State = "fail" // a promise cannot be kept like this
)

// Mark is the shape that stands beside the word, for those who cannot tell colours apart.
func (s State) Mark() string {
	switch s {
	case OK:
		return "✓"
	case Warn:
		return "◐"
	}
	return "✕"
}

// Finding is one precondition.
type Finding struct {
	ID       string   `json:"id" doc:"stable name of what was checked, such as mail.relay"`
	Promises []string `json:"promises" nullable:"false" doc:"promises of the policy that rest on it"`
	State    State    `json:"state" enum:"ok,warn,fail"`
	Say      string   `json:"say" doc:"what was found, in one sentence"`
	Do       string   `json:"do,omitempty" doc:"what to do about it: a command, or a line of the configuration"`
}

// Report is everything that was checked, the worst first.
type Report struct {
	At       time.Time `json:"at"`
	Served   bool      `json:"served" doc:"a running server answered; otherwise the folder alone was looked at"`
	Policy   string    `json:"policy,omitempty" doc:"the policy in force"`
	Findings []Finding `json:"findings" nullable:"false"`
	Beyond   []Beyond  `json:"beyond" nullable:"false" doc:"what cannot be checked from here of the promises of the policy"`
	Asked    time.Time `json:"-"` // when the domain of the sender was asked what it publishes; zero: it was not
}

// Progress is how far a look is that reads all of something.
type Progress struct {
	Running bool   `json:"running" doc:"somebody has asked for a look that is not over"`
	What    string `json:"what,omitempty" doc:"what is being read"`
	Done    uint64 `json:"done,omitempty"`
	Total   uint64 `json:"total,omitempty"`
	Unit    string `json:"unit,omitempty" doc:"of done and total"`
}

// Step is one step of the first hour.
type Step struct {
	ID    string `json:"id"`
	State string `json:"state" enum:"done,skipped,open"`
	Say   string `json:"say" doc:"what it is for, in one sentence"`
	Do    string `json:"do" doc:"the command that takes it"`
}

// Worst is the worst state of the report.
func (r Report) Worst() State {
	worst := OK
	for _, f := range r.Findings {
		if rank(f.State) > rank(worst) {
			worst = f.State
		}
	}
	return worst
}

// Count says how many findings are in a state.
func (r Report) Count(s State) int {
	n := 0
	for _, f := range r.Findings {
		if f.State == s {
			n++
		}
	}
	return n
}

func rank(s State) int { return slices.Index([]State{OK, Warn, Fail}, s) }

// examination collects findings.
type examination struct {
	seen Seen
	all  []Finding
}

func (e *examination) add(id string, promises []string, s State, do, format string, args ...any) {
	if promises == nil {
		promises = []string{}
	}
	e.all = append(e.all, Finding{ID: id, Promises: promises, State: s, Say: fmt.Sprintf(format, args...), Do: do})
}

// Examine judges what was seen. Findings come the worst first, else in the order of the first hour.
func Examine(s Seen) Report {
	e := &examination{seen: s}
	r := Report{At: s.Now, Served: s.Served}
	if s.Mail.Domain != nil {
		r.Asked = s.Mail.Domain.Asked
	}
	if s.Trouble != "" {
		e.add("folder.open", s.TroubleOf, Fail, s.TroubleDo, "The installation cannot be opened: %s.", strings.TrimSuffix(s.Trouble, "."))
	}
	if s.Policy != nil {
		r.Policy = s.Policy.ID
		e.policy()
		e.classes()
		e.people()
		e.signatures()
		e.access()
		e.address()
		e.mail()
		e.channels()
		e.events()
		e.budgets()
		e.directory()
		e.containment()
		e.restoring()
		e.probes()
		e.files()
		e.programme()
		e.corrective()
	}
	e.machine()
	e.altered()
	e.evidence()
	e.backups()
	e.heartbeat()
	e.drill()
	slices.SortStableFunc(e.all, func(a, b Finding) int { return rank(b.State) - rank(a.State) })
	r.Findings, r.Beyond = e.all, e.uncheckable()
	return r
}

// several joins words as a sentence does, and stops after five.
func several(words []string) string {
	words = slices.Clone(words)
	if len(words) > 5 {
		words = append(words[:5:5], fmt.Sprintf("%d more", len(words)-5))
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// ago is a length of time in its largest unit.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "a moment"
	case d < time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/(24*time.Hour)), "day")
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
