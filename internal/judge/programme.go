package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ProgrammePath is where the API says what the policy owes without an incident.
const ProgrammePath = "/v1/programme"

// programmeSeen is the programme as the API answered it.
type programmeSeen struct {
	Since  time.Time `json:"since"`
	Clocks []struct {
		Duty  string    `json:"duty"`
		State string    `json:"state"`
		Due   time.Time `json:"due"`
	} `json:"clocks"`
	Done []programmeDone `json:"done"`
}

type programmeDone struct {
	Duty string    `json:"duty"`
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Note string    `json:"note"`
}

// due is when the duty is due next; zero where no clock of it runs.
func (s programmeSeen) due(duty string) time.Time {
	for _, c := range s.Clocks {
		if c.Duty == duty && c.State == "running" {
			return c.Due
		}
	}
	return time.Time{}
}

// policyReread: within a year of when the policy began to hold somebody had to have read it again; a
// person did, in time, and said what they found; and it is owed again before another year is over.
func (b *bench) policyReread(p *row) error {
	duty := ""
	for id, d := range b.policy.Duties {
		if d.For == "programme" && slices.Contains(words(d.Promise), p.ID) {
			duty = id
		}
	}
	if duty == "" {
		return errors.New("no duty of the policy promises it")
	}
	all, err := b.tries()
	if err != nil {
		return err
	}
	var seen []programmeSeen
	for _, t := range all {
		if t.Path != ProgrammePath || t.Status != http.StatusOK {
			continue
		}
		var s programmeSeen
		if err := json.Unmarshal([]byte(t.Text), &s); err != nil {
			return fmt.Errorf("the programme: %w", err)
		}
		seen = append(seen, s)
	}
	if len(seen) != 3 {
		return fmt.Errorf("the programme was looked at %d times, and not before, after and in the next year", len(seen))
	}
	first, next := seen[0].due(duty), seen[2].due(duty)
	if first.IsZero() || first.After(seen[0].Since.AddDate(1, 0, 0)) {
		return fmt.Errorf("%s is due %s, and the policy holds since %s", duty, first.Format(time.RFC3339), seen[0].Since.Format(time.RFC3339))
	}
	i := slices.IndexFunc(seen[1].Done, func(d programmeDone) bool {
		return d.Duty == duty && strings.HasPrefix(d.By, "person:") && d.Note != "" && !d.At.After(first)
	})
	if i < 0 {
		return fmt.Errorf("no person has done %s by %s", duty, first.Format(time.RFC3339))
	}
	if again := seen[1].due(duty); again.Equal(first) {
		return fmt.Errorf("%s is done and its clock still runs", duty)
	}
	if !next.After(first) || next.After(first.AddDate(1, 0, 1)) {
		return fmt.Errorf("in the next year %s is due %s", duty, next.Format(time.RFC3339))
	}
	p.Proof = fmt.Sprintf("%s by %s", duty, seen[1].Done[i].By)
	return p.took(seen[1].Done[i].At.Sub(seen[0].Since), "simulated", "person")
}
