package judge

import (
	"strings"
	"testing"
)

const ownPolicy = `policy: mine
time: { zone: Europe/Berlin, business: "Mon-Fri 09:00-17:00", promptly: 4h }
classes: { leak: { means: Data has leaked. } }
parties:
  merchants: { affected: scope.merchants, via: email }
  host: { kind: platform, address: abuse@host.example, via: email }
  regulator: { kind: authority, via: portal }
duties:
  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: promptly..1d after detected }
  tell: { who: comms, do: notify, to: merchants.affected, due: 36h after confirmed, content: [what_happened] }
  tell_host: { who: comms, do: notify, to: host, due: 2d after confirmed, content: [what_happened] }
  tell_regulator: { who: comms, do: notify, to: regulator, due: as law, promise: NOT-4 }
  news: { who: comms, do: update, to: merchants.affected, due: 4h after confirmed, every: 4h }
  reread: { for: programme, do: review_policy, every: year, promise: REV-4 }
actions:
  stop: { uses: shop_switch }
  lock: { uses: my_vault, promise: [CON-1, CON-2] }
page: [ { text: "We say so.", promise: [PUB-1, MINE-1, DET-3] } ]
`

// story is a scenario that knows some promises.
func anyStory() Story {
	s := Story{Name: "stolen-token", Class: "theft", Promises: map[string]Expectation{}, WithClass: map[string]Expectation{"CLS-1": {Expect: kept}}}
	for _, id := range []string{"CLS-3", "CON-1", "CON-2", "CON-3", "DET-1", "NOT-1", "NOT-2", "NOT-3", "NOT-4", "NOT-6", "PUB-1", "REC-1"} {
		s.Promises[id] = Expectation{Expect: kept, Within: "72h", Reason: "shown"}
	}
	s.Promises["DET-3"] = Expectation{Expect: kept, Within: "5s", Reason: "shown"}
	s.Promises["REV-4"] = Expectation{Expect: notReached, Reason: "a year is long"}
	s.Promises["CLS-1"] = Expectation{Expect: "not_applicable", Reason: "no such class"}
	return s
}

func TestWhatIsExpectedOfAPolicyIsReadFromItsText(t *testing.T) {
	got, err := Derive([]byte(ownPolicy), anyStory())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]struct{ expect, within, duty, reason string }{
		"CLS-1":          {"not_applicable", "", "", "no such class"},
		"CLS-3":          {kept, "", "judge", "without naming the promise"},
		"CON-1":          {notReached, "", "", "no action that uses app_tokens"},
		"CON-2":          {notReached, "", "", "uses my_vault"},
		"CON-3":          {kept, "", "", "without naming the promise"},
		"DET-1":          {"not_applicable", "", "", "not promised"},
		"DET-3":          {kept, "5s", "", "shown"}, // not a policy's number
		"MINE-1":         {notReached, "", "", "the policy's own promise"},
		"NOT-1":          {kept, "36h", "tell", ""},
		"NOT-2":          {kept, "", "tell", ""},
		"NOT-3":          {kept, "", "tell_host", ""},
		"NOT-4":          {notReached, "", "", "told by portal"},
		"NOT-6":          {"not_applicable", "", "", "not promised"}, // its notice has a number
		"PUB-1":          {kept, "", "", "shown"},
		"REC-1":          {"not_applicable", "", "", "not promised"},
		"REV-4":          {notReached, "", "", "a year is long"},
		"judge":          {kept, "", "judge", "within promptly..1d"},
		"tell":           {kept, "", "tell", "within 36h"},
		"tell_host":      {kept, "", "tell_host", "within 2d"},
		"tell_regulator": {notReached, "", "", "as law"},
		"news":           {notReached, "", "", "recurs"},
		"reread":         {notReached, "", "", "programme"},
	} {
		e := got[id]
		if e.Expect != want.expect || e.Within != want.within || e.Duty != want.duty || !strings.Contains(e.Reason, want.reason) {
			t.Errorf("%s: %+v, want %+v", id, e, want)
		}
	}
}

func TestAPolicyWithTheClassOfTheStoryIsHeldToIt(t *testing.T) {
	got, err := Derive([]byte(strings.Replace(ownPolicy, "leak:", "theft:", 1)), anyStory())
	if err != nil || got["CLS-1"].Expect != kept {
		t.Errorf("%+v, %v", got["CLS-1"], err)
	}
}

func TestADutyNamedAsAPromiseIsRefused(t *testing.T) {
	if _, err := Derive([]byte(strings.Replace(ownPolicy, "tell_host:", "NOT-3:", 1)), anyStory()); err == nil {
		t.Error("a duty took the row of a promise")
	}
}
