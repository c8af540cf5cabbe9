package judge

import (
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestTheJudgeReadsThePolicysClocksByItself(t *testing.T) {
	b := &bench{}
	text := `
time: { zone: America/New_York, business: "Mon-Fri 09:00-17:00", promptly: 1h }
`
	if err := yaml.Unmarshal([]byte(text), &b.policy); err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation(b.policy.Time.Zone)
	if err != nil {
		t.Fatal(err)
	}
	friday := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC) // Thursday evening in New York
	for _, c := range []struct{ text, want string }{
		{"72h", "2026-11-23T03:00:00Z"},
		{"15min", "2026-11-20T03:15:00Z"},
		{"1d", "2026-11-21T03:00:00Z"},
		{"2h business", "2026-11-20T16:00:00Z"},  // opens at nine on Friday
		{"1 business d", "2026-11-20T22:00:00Z"}, // closes at five on Friday
		{"2 business d", "2026-11-23T22:00:00Z"}, // over the weekend
	} {
		if got, err := b.after(friday, c.text, zone); err != nil || got.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%s: %v, %v, want %s", c.text, got.UTC(), err, c.want)
		}
	}
	for _, c := range []struct{ text, target, limit string }{
		{"promptly", "1h", ""}, {"promptly..1d", "1h", "1d"}, {"1h..2h business", "1h business", "2h business"}, {"72h", "", "72h"},
	} {
		if target, limit, err := b.span(c.text); err != nil || target != c.target || limit != c.limit {
			t.Errorf("%s: %q, %q, %v", c.text, target, limit, err)
		}
	}
	if _, err := b.after(friday, "soon", zone); err == nil {
		t.Error("soon was read")
	}
}
