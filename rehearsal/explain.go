package rehearsal

import (
	"cmp"
	"fmt"
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
	Programme  []Duty          `json:"programme,omitempty"` // duties without an incident, where the file says when the policy was published
	Questions  []Question      `json:"questions"`
	Shut       []string        `json:"shut,omitempty"`    // commands that a gate would refuse now
	Refused    []Step          `json:"refused,omitempty"` // what the file says happened and the engine did not take
}

// Reached is a milestone with its instant.
type Reached struct {
	Milestone string    `json:"milestone"`
	At        time.Time `json:"at"`
}

// Duty is one duty at the instant that is explained, for all recipients to whom it stands the same
// and whose clocks read the same. Every instance is in exactly one.
type Duty struct {
	incident.Explained
	DueThere string   `json:"due_there,omitempty"` // the limit in the recipients' zone, or the policy's
	Zone     string   `json:"zone,omitempty"`
	Cells    []string `json:"cells,omitempty"` // of the policy's tables that speak of this duty at the level that holds
	Promise  []string `json:"promise,omitempty"`
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
	s := r.inc.s
	a := &Answer{Policy: r.p.ID, Hash: r.p.Hash, At: r.now, Status: s.Status, Class: s.Class, Severity: s.Severity,
		Milestones: []Reached{}, Duties: []Duty{}, Excluded: []Duty{}, Questions: []Question{}}
	for name, m := range s.Milestones {
		a.Milestones = append(a.Milestones, Reached{name, m.At})
	}
	slices.SortFunc(a.Milestones, func(x, y Reached) int {
		return cmp.Or(x.At.Compare(y.At), strings.Compare(x.Milestone, y.Milestone))
	})
	for _, step := range r.steps {
		if step.Refused != "" {
			a.Refused = append(a.Refused, Step{At: step.At, What: step.What, Refused: step.Refused, Lines: []incident.Line{}})
		}
	}
	if s.Opened.IsZero() {
		return a
	}
	for _, e := range incident.Explain(r.p, s) {
		for _, d := range r.byZone(e) {
			switch d.State {
			case incident.DutyNot, incident.DutyStopped, incident.DutyWaived:
				a.Excluded = append(a.Excluded, d)
			default:
				a.Duties = append(a.Duties, d)
			}
		}
	}
	a.Questions = r.questions(a.Duties)
	a.Shut = incident.Shut(r.p, s)
	for _, e := range incident.Explain(r.p, r.prog.s) {
		a.Programme = append(a.Programme, r.byZone(e)...)
	}
	return a
}

// byZone divides recipients by the zone their limit is read in.
func (r *Run) byZone(e incident.Explained) []Duty {
	d := Duty{Explained: e, Cells: r.cells(e.Duty)}
	if of := dutyOf(r.p, e.Duty); of != nil {
		d.Promise = of.Promise
	}
	if e.Due.IsZero() {
		return []Duty{d}
	}
	if len(e.Recipients) == 0 || !r.story.zoned {
		d.in(r.zoneOf(""))
		return []Duty{d}
	}
	var zones []string
	zone := map[string]*time.Location{}
	members := map[string][]string{}
	for _, who := range e.Recipients {
		z := r.zoneOf(who)
		name := z.String()
		if members[name] == nil {
			zones, zone[name] = append(zones, name), z
		}
		members[name] = append(members[name], who)
	}
	list := make([]Duty, 0, len(zones))
	for _, name := range zones {
		one := d
		one.Recipients = members[name]
		one.in(zone[name])
		list = append(list, one)
	}
	return list
}

func (d *Duty) in(zone *time.Location) {
	d.DueThere, d.Zone = d.Due.In(zone).Format("Mon 2 Jan 2006 15:04 MST"), zone.String()
}

// cells names the cells of the policy's tables that speak of a duty at the level that holds now.
func (r *Run) cells(duty string) []string {
	var list []string
	for _, t := range r.p.Tables {
		level := ""
		switch {
		case t.By == "severity":
			level = r.inc.s.Severity
		case t.By == "class":
			level = r.inc.s.Class
		case r.inc.s.Scales[t.By] != nil:
			level = r.inc.s.Scales[t.By].Level
		default:
			if a := r.inc.s.Answers[strings.TrimPrefix(t.By, "fact.")]; a != nil {
				level = fmt.Sprint(a.Value)
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
		if r.inc.s.Answers[f.ID] != nil {
			continue
		}
		q := Question{Fact: f.ID, Ask: f.Ask, By: f.By, Duties: []string{}}
		for _, d := range duties {
			if !slices.Contains(d.Unknown, "fact."+f.ID) || !d.Met.IsZero() {
				continue
			}
			q.Decides += max(1, len(d.Recipients))
			if !slices.Contains(q.Duties, d.Duty) {
				q.Duties = append(q.Duties, d.Duty)
			}
		}
		list = append(list, q)
	}
	slices.SortStableFunc(list, func(x, y Question) int { return cmp.Compare(y.Decides, x.Decides) })
	return list
}
