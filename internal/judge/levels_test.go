package judge

import (
	"testing"
	"time"
)

const leveled = policySource + `
time: { zone: America/New_York, business: "Mon-Fri 09:00-17:00" }
tables:
- { by: severity, critical: { tell_merchants: 2h..4h, tell_platform: none }, high: { tell_merchants: none } }
`

// promise: CLS-2
func TestTheClocksOfALevelRanAndNoOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		level, ran string
		ok         bool
	}{
		"the clock of the cell":       {"critical", "tell_merchants", true},
		"no clock":                    {"critical", "", false},
		"a clock that is not due":     {"high", "tell_merchants", false},
		"a level without clocks":      {"standard", "tell_merchants", false},
		"nothing but what is not due": {"high", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := only(t, "CLS-2", "{ expect: kept }")
			s.files["policy/policy.yaml"] = leveled
			s.fact("severity.set", "person:lena", 12*time.Minute, `{"severity":"`+tt.level+`"}`, "")
			if tt.ran != "" {
				s.fact("duty.started", "service:desk", 12*time.Minute, `{"duty":"`+tt.ran+`"}`, "")
			}
			if tt.ok {
				s.expect()
			} else {
				s.expect("CLS-2")
			}
		})
	}
}

// promise: CON-6
func TestContainmentIsMeasuredInBusinessTime(t *testing.T) {
	for name, tt := range map[string]struct {
		refused string
		ok      bool
	}{
		"in the same night":               {"2026-11-20T05:00:00Z", true},
		"two hours after the opening":     {"2026-11-20T16:00:00Z", true},
		"a minute more":                   {"2026-11-20T16:01:00Z", false},
		"over the weekend, in the limit":  {"2026-11-20T15:59:00Z", true},
		"on Monday, eight hours too late": {"2026-11-23T16:00:00Z", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := only(t, "CON-6", "{ expect: kept, within: 2h }")
			s.files["policy/policy.yaml"] = leveled
			at, err := time.Parse(time.RFC3339, tt.refused)
			if err != nil {
				t.Fatal(err)
			}
			s.seen.Token.FirstRefusal = at
			if tt.ok {
				s.expect()
			} else {
				s.expect("CON-6")
			}
		})
	}
}
