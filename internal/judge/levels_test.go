package judge

import (
	"fmt"
	"strings"
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

// promise: REV-2
func TestASummaryReachesEveryClientWholeAndInTime(t *testing.T) {
	const restored = 7 * time.Hour
	for name, tt := range map[string]struct {
		spoil func(s *story)
		ok    bool
	}{
		"in time":         {func(*story) {}, true},
		"a second late":   {func(s *story) { s.mailAt[4] = night.Add(restored + 72*time.Hour + time.Second) }, false},
		"one has no mail": {func(s *story) { s.rcpt[4] = "somebody@else.example" }, false},
		"an item lacks": {func(s *story) {
			s.files["policy/policy.yaml"] = strings.Replace(s.files["policy/policy.yaml"], "[root_cause]", "[root_cause, prevention]", 1)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := only(t, "REV-2", "{ expect: kept, within: 72h }")
			s.files["policy/policy.yaml"] = strings.Replace(policySource, "duties:\n", "duties:\n  send_summary: { do: notify, to: merchants.affected, content: [root_cause], promise: REV-2 }\n", 1)
			s.fact("notice.drafted", "person:omar", 8*time.Hour, `{"notice":"NTC-3","duty":"send_summary"}`, `{"content":{"root_cause":"A token was stolen."}}`)
			for i, m := range []string{"m_001", "m_002"} {
				s.append("notice.attempted", "service:desk", 9*time.Hour, `{"notice":"NTC-3"}`, m, fmt.Sprintf(`{"message_id":"sum-%d@x"}`, i))
			}
			s.mail("m_001", "owner@one.example", "sum-0@x", 2, "Shop One")
			s.mail("m_002", "owner@two.example", "sum-1@x", 1, "Shop Two")
			tt.spoil(s)
			if tt.ok {
				s.expect()
			} else {
				s.expect("REV-2")
			}
		})
	}
}
