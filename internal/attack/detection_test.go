package attack

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func about(list map[string]string, credential string) bool {
	for _, title := range list {
		if strings.Contains(title, credential) {
			return true
		}
	}
	return false
}

// What a sender writes into its events must not make the alarm about them unacceptable: an alarm
// is raised once, and one that is lost is never raised again.
func TestNobodySilencesTheDetectorByWhatEventsSay(t *testing.T) {
	long := strings.Repeat("A", 255) + "é"
	for name, c := range map[string]struct {
		at     time.Time
		change func(i int) map[string]any
	}{
		"a user agent that is cut inside a character": {change: func(int) map[string]any {
			return map[string]any{"source": map[string]any{"ip": "198.51.100.7", "user_agent": long}}
		}},
		"ids and a user agent as long as they may be": {change: func(i int) map[string]any {
			return map[string]any{"id": fmt.Sprintf("%03d", i) + strings.Repeat("<", 190), "source": map[string]any{"ip": "198.51.100.7", "user_agent": strings.Repeat("<", 2000)}}
		}},
		"a window that begins before 1970": {at: time.Date(1970, 1, 1, 0, 0, 1, 0, time.UTC), change: func(int) map[string]any {
			return map[string]any{"time": "1970-01-01T00:00:02Z"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "")
			if c.at.IsZero() {
				c.at = time.Now().Add(-5 * 24 * time.Hour)
			}
			s.send(event(0, "tok_thief", "m_1", map[string]any{"time": c.at.Format(time.RFC3339)}))
			var events []map[string]any
			for i := range 130 {
				events = append(events, event(i, "tok_thief", fmt.Sprintf("m_%d", i), c.change(i)))
			}
			if r := s.send(events...); r.Accepted != len(events) {
				t.Fatalf("receipt %+v", r)
			}
			s.eventually("an incident about the thief", func() bool { return about(s.incidents(), "tok_thief") })
		})
	}
}

// Somebody who makes alarms by the hundred, from as many credentials or addresses, must not bury
// the board: every clock of every incident would stand before the one that matters.
func TestAStormOfAlarmsDoesNotBuryTheBoard(t *testing.T) {
	s := serve(t, "")
	s.open()
	for round := range 3 {
		var events []map[string]any
		for c := range 15 {
			for i := range 110 {
				events = append(events, event(i, fmt.Sprintf("decoy_%d_%d", round, c), fmt.Sprintf("m_%d", i), nil))
			}
		}
		s.send(events...)
	}
	s.send(thief()...)
	s.eventually("the real alarm is on an incident", func() bool {
		for id := range s.incidents() {
			state, err := s.app.Desk().Incident(t.Context(), id) // past the API, which slows many questions down
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range state.Signals {
				if g.Subject == "credential:tok_thief" {
					return true
				}
			}
		}
		return false
	})
	if n := len(s.incidents()); n > 25 {
		t.Errorf("%d incidents stand on the board", n)
	}
}

func thief() (events []map[string]any) {
	for i := range 130 {
		events = append(events, event(i, "tok_thief", fmt.Sprintf("m_%d", i), nil))
	}
	return events
}
