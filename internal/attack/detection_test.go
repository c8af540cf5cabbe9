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
