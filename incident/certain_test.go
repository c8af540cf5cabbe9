package incident

import "testing"

// promise: NOT-1
func TestNobodyKnowingWhoIsAffectedIsAReasonToCall(t *testing.T) {
	for _, c := range []struct {
		unknown []string
		want    bool
	}{{nil, true}, {[]string{"scope"}, true}, {[]string{"fact.personal_data"}, false}, {[]string{"fact.personal_data", "scope"}, false}} {
		d := &DutyInstance{Standing: &Standing{Unknown: c.unknown}}
		if got := d.certain(); got != c.want {
			t.Errorf("unknown %v: %v, want %v", c.unknown, got, c.want)
		}
	}
}
