package judge

import (
	"testing"
	"time"
)

// only is a story of which one promise is expected.
func only(t *testing.T, promise, expectation string) *story {
	t.Helper()
	s := newStory(t)
	s.manifest = "scenario: stolen-token\npolicies:\n  pickandpack:\n    " + promise + ": " + expectation + "\n"
	return s
}

// promise: CON-2
func TestANamedSecretIsRotatedWhenTheApplicationRefusesTheOldOne(t *testing.T) {
	const planned, proven = `{"action":"ACT-2","decl":"rotate_secret"}`, `{"action":"ACT-2"}`
	dead := Sighting{Tried: 50, Accepted: 20, Refused: 30, FirstRefusal: night.Add(40 * time.Minute)}
	for name, tt := range map[string]struct {
		seen   Sighting
		proven bool
		policy string
		ok     bool
	}{
		"refused and proven":            {dead, true, policySource, true},
		"never seen at work":            {Sighting{Tried: 30, Refused: 30, FirstRefusal: night}, true, policySource, false},
		"still accepted":                {Sighting{Tried: 30, Accepted: 30}, true, policySource, false},
		"accepted again":                {Sighting{Tried: 30, Accepted: 20, Refused: 10, Relapsed: true, FirstRefusal: night}, true, policySource, false},
		"the evidence knows no proof":   {dead, false, policySource, false},
		"nothing of the policy says so": {dead, true, "policy: pickandpack\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := only(t, "CON-2", "{ expect: kept }")
			s.files["policy/policy.yaml"], s.seen.Webhook = tt.policy, tt.seen
			s.fact("action.planned", "person:jon", 30*time.Minute, planned, "")
			if tt.proven {
				s.fact("action.proven", "service:desk", 41*time.Minute, proven, "")
			}
			if tt.ok {
				s.expect()
			} else {
				s.expect("CON-2")
			}
		})
	}
}

// promise: NOT-4
func TestTheAuthoritysTimeCountsFromTheFirstAwareness(t *testing.T) {
	limit := func(at time.Duration) time.Time { return night.Add(at + 72*time.Hour) }
	t.Run("from the confirmation, where nothing else is known", func(t *testing.T) {
		s := only(t, "NOT-4", "{ expect: kept, within: 72h }")
		s.mailAt[2] = limit(19 * time.Minute)
		s.expect()
	})
	t.Run("a second late", func(t *testing.T) {
		s := only(t, "NOT-4", "{ expect: kept, within: 72h }")
		s.mailAt[2] = limit(19*time.Minute + time.Second)
		s.expect("NOT-4")
	})
	t.Run("from the acknowledgement, which was earlier", func(t *testing.T) {
		s := only(t, "NOT-4", "{ expect: kept, within: 72h }")
		s.fact("milestone.set", "person:lena", 11*time.Minute, `{"milestone":"acknowledged","at":"2026-11-20T03:11:00Z"}`, "")
		s.mailAt[2] = limit(19 * time.Minute)
		s.expect("NOT-4")
	})
	t.Run("nobody wrote", func(t *testing.T) {
		s := only(t, "NOT-4", "{ expect: kept, within: 72h }")
		s.rcpt[2] = "somebody@else.example"
		s.expect("NOT-4")
	})
}

// promise: NOT-6
func TestWithoutUndueDelayIsMeasuredAgainstTheTarget(t *testing.T) {
	const clock = `{"duty":"tell_merchants"}`
	t.Run("within it", func(t *testing.T) {
		s := only(t, "NOT-6", "{ expect: kept, within: 72h }")
		s.fact("duty.started", "service:desk", 20*time.Minute, clock, "")
		s.expect()
	})
	t.Run("past it", func(t *testing.T) {
		s := only(t, "NOT-6", "{ expect: kept, within: 2h }")
		s.fact("duty.started", "service:desk", 20*time.Minute, clock, "")
		s.mailAt[1] = night.Add(3 * time.Hour)
		s.expect("NOT-6")
	})
	t.Run("no clock ran", func(t *testing.T) {
		s := only(t, "NOT-6", "{ expect: kept, within: 72h }")
		s.expect("NOT-6")
	})
}
