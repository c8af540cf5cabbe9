package rehearsal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// Answer explains one instant of a rehearsal: every duty instance with its state and why, every
// excluded one with why not, and which open question would decide most.
type Answer struct {
	Policy     string          `json:"policy"`
	Hash       string          `json:"hash"`
	At         time.Time       `json:"at"`
	Status     incident.Status `json:"status"`
	Class      string          `json:"class"`
	Severity   string          `json:"severity,omitempty"`
	Milestones []Reached       `json:"milestones"`
	Duties     []Duty          `json:"duties"`
	Excluded   []Duty          `json:"excluded"`
	Questions  []Question      `json:"questions"`
	Shut       []string        `json:"shut,omitempty"` // commands that a gate would refuse now
}

// Reached is a milestone with its instant.
type Reached struct {
	Milestone string    `json:"milestone"`
	At        time.Time `json:"at"`
}

// Duty is one instance of a duty at the instant that is explained.
type Duty struct {
	Duty      string             `json:"duty"`
	Recipient string             `json:"recipient,omitempty"`
	Round     int                `json:"round,omitempty"` // of a cadence, from 1; 0 where there is none
	Who       string             `json:"who"`
	Do        policy.Verb        `json:"do"`
	State     incident.DutyState `json:"state"`
	Anchor    string             `json:"anchor,omitempty"`
	Started   time.Time          `json:"started,omitzero"`
	Target    time.Time          `json:"target,omitzero"`
	Due       time.Time          `json:"due,omitzero"`
	DueThere  string             `json:"due_there,omitempty"` // in the recipient's zone, or the policy's
	Zone      string             `json:"zone,omitempty"`
	Earliest  time.Time          `json:"earliest,omitzero"` // the earliest due ever shown
	Met       time.Time          `json:"met,omitzero"`
	Missed    time.Time          `json:"missed,omitzero"`
	AtOnce    time.Time          `json:"at_once,omitzero"` // late by discovery: when it first applied
	Unknown   []string           `json:"unknown,omitempty"`
	Why       string             `json:"why"`
	Cause     string             `json:"cause,omitempty"`
	Cells     []string           `json:"cells,omitempty"` // of the policy's tables that speak of this duty at the level that holds
	Promise   []string           `json:"promise,omitempty"`
}

// Question is a fact nobody has answered, and how many instances hang on it.
type Question struct {
	Fact    string   `json:"fact"`
	Ask     string   `json:"ask"`
	By      string   `json:"by"`
	Decides int      `json:"decides"` // instances that run only because it is open
	Duties  []string `json:"duties"`  // whose
}

// Explain answers for an instant. Happenings after it have not happened.
func Explain(p *policy.Program, story *Story, at time.Time) (*Answer, error) {
	r := New(p, story)
	if err := r.To(at); err != nil {
		return nil, err
	}
	return r.Explain(), nil
}

// Explain answers for where the rehearsal stands.
func (r *Run) Explain() *Answer {
	s := r.s
	a := &Answer{Policy: r.p.ID, Hash: r.p.Hash, At: r.now, Status: s.Status, Class: s.Class, Severity: s.Severity,
		Milestones: []Reached{}, Duties: []Duty{}, Excluded: []Duty{}, Questions: []Question{}}
	for name, m := range s.Milestones {
		a.Milestones = append(a.Milestones, Reached{name, m.At})
	}
	slices.SortFunc(a.Milestones, func(x, y Reached) int {
		return cmp.Or(x.At.Compare(y.At), strings.Compare(x.Milestone, y.Milestone))
	})
	if s.Opened.IsZero() {
		return a
	}
	order := map[string]int{}
	for i, d := range r.p.Duties {
		order[d.ID] = i
	}
	for _, d := range incident.Clocks(r.p, s) {
		out := r.instance(d)
		if d.State == incident.DutyNot || d.State == incident.DutyStopped || d.State == incident.DutyWaived {
			a.Excluded = append(a.Excluded, out)
		} else {
			a.Duties = append(a.Duties, out)
		}
	}
	byPolicy := func(x, y Duty) int {
		return cmp.Or(cmp.Compare(order[x.Duty], order[y.Duty]), strings.Compare(x.Recipient, y.Recipient), cmp.Compare(x.Round, y.Round))
	}
	slices.SortFunc(a.Duties, byPolicy)
	slices.SortFunc(a.Excluded, byPolicy)
	a.Questions = r.questions(a.Duties)
	a.Shut = incident.Shut(r.p, s)
	return a
}

func (r *Run) instance(d incident.DutyInstance) Duty {
	out := Duty{
		Duty: d.Duty, Recipient: d.Recipient, Round: d.Round, State: d.State, Anchor: d.Anchor, Started: d.Started,
		Target: d.Target, Due: d.Due, Earliest: d.Earliest, Met: d.Met, Missed: d.Missed, AtOnce: d.AtOnce,
		Unknown: d.Unknown, Why: d.Why, Cause: d.Cause,
	}
	if of := dutyOf(r.p, d.Duty); of != nil {
		out.Who, out.Do, out.Promise = of.Who, of.Do, of.Promise
	}
	if !d.Due.IsZero() {
		zone := r.zoneOf(d.Recipient)
		out.DueThere, out.Zone = d.Due.In(zone).Format("Mon 2 Jan 2006 15:04 MST"), zone.String()
	}
	out.Cells = r.cells(d.Duty)
	return out
}

// cells names the cells of the policy's tables that speak of a duty at the level that holds now.
func (r *Run) cells(duty string) []string {
	var list []string
	for _, t := range r.p.Tables {
		level := ""
		switch {
		case t.By == "severity":
			level = r.s.Severity
		case t.By == "class":
			level = r.s.Class
		default:
			if a := r.s.Answers[strings.TrimPrefix(t.By, "fact.")]; a != nil {
				if text, ok := a.Value.(string); ok {
					level = text
				}
			}
		}
		for _, row := range t.Rows {
			for _, c := range row.Cells {
				if row.Level == level && c.Duty == duty {
					list = append(list, t.By+" "+row.Level+": "+c.Text)
				}
			}
		}
	}
	return list
}

// questions ranks the facts nobody has answered by how many instances hang on them.
func (r *Run) questions(duties []Duty) []Question {
	list := []Question{}
	for _, f := range r.p.Facts {
		if r.s.Answers[f.ID] != nil {
			continue
		}
		q := Question{Fact: f.ID, Ask: f.Ask, By: f.By, Duties: []string{}}
		for _, d := range duties {
			if !slices.Contains(d.Unknown, "fact."+f.ID) || !d.Met.IsZero() {
				continue
			}
			q.Decides++
			if !slices.Contains(q.Duties, d.Duty) {
				q.Duties = append(q.Duties, d.Duty)
			}
		}
		list = append(list, q)
	}
	slices.SortStableFunc(list, func(x, y Question) int { return cmp.Compare(y.Decides, x.Decides) })
	return list
}
