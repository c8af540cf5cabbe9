package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// seventyTwo is a law of one clock: authorities hear within 72 hours of becoming aware.
type seventyTwo struct{}

func (seventyTwo) Version() string { return "test" }

func (seventyTwo) Clocks(q policy.LawQuestion) []policy.LawClock {
	if q.Party != "authority" || q.Do != policy.Notify {
		return nil
	}
	l := calendar.Length{N: 72, Unit: calendar.Hour}
	return []policy.LawClock{{ID: "x", Source: "Law 1, Art. 33", Anchor: "aware", Span: calendar.Span{Limit: &l}, Text: "72h after aware", Applies: policy.Verdict{Value: policy.Unknown}}}
}

func TestAPolicyLaxerThanTheLawIsReported(t *testing.T) {
	for due, want := range map[string]string{
		"96h after aware":                   "laxer-than-law",
		"4d after aware":                    "laxer-than-law",
		"72h after confirmed":               "laxer-than-law", // the same length from a later start
		"open":                              "laxer-than-law",
		"72h after aware":                   "",
		"48h after confirmed":               "",
		"as law":                            "",
		"[96h after aware, as law]":         "",
		"[96h after aware, 1d after aware]": "",
	} {
		src := completed(`
parties: { dpa: { kind: authority, address: desk@dpa.example } }
duties:
  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 8h after detected }
  tell: { who: comms, do: notify, to: dpa, content: what_happened, approve: lead, due: ` + due + ` }
`)
		p, diags := policy.Compile("p.yaml", []byte(src), policy.WithLaws(seventyTwo{}))
		if p == nil {
			t.Fatal(policy.Format(diags, []byte(src)))
		}
		if got := strings.Join(codes(diags), " "); got != want {
			t.Errorf("due: %s: found %q, want %q\n%v", due, got, want, diags)
		}
		if p.Laws == nil {
			t.Error("the program does not keep the laws it was compiled with")
		}
	}
	src := completed("parties: { press_desk: { kind: media, address: desk@press.example } }\nduties: { tell: { who: comms, do: notify, to: press_desk, content: what_happened, approve: lead, due: as law } }\n")
	if _, diags := policy.Compile("p.yaml", []byte(src), policy.WithLaws(seventyTwo{})); !slices.Contains(codes(diags), "no-law") {
		t.Errorf("a recipient no law speaks of: %v", diags)
	}
}

// Time is read by passed alone, and its turning point is known beforehand.
func TestPassedNamesItsTurningPoint(t *testing.T) {
	p := compiled(t, `
facts: { bad: { ask: "Is it?", by: lead, say: it is bad } }
duties:
  shout: { who: lead, do: perform, task: call the owner, when: "fact.bad || passed('4h after confirmed')", due: 1h after applies }
`)
	c := p.Duties[0].When
	if len(c.Passes()) != 1 || c.Passes()[0].Text != "4h after confirmed" || c.Passes()[0].Anchor.Names[0] != "confirmed" {
		t.Fatalf("the condition passes %+v", c.Passes())
	}
	if want := "it is bad or 4 hours have passed since confirming it"; c.Say != want {
		t.Errorf("it says %q, want %q", c.Say, want)
	}
	at := func(over, known bool) policy.View {
		return policy.View{Instants: map[string]time.Time{}, Passed: func(policy.Clock) (bool, bool) { return over, known }}
	}
	for _, tt := range []struct {
		view policy.View
		want policy.Tri
	}{{at(true, true), policy.True}, {at(false, true), policy.Unknown}, {at(false, false), policy.Unknown}, {policy.View{}, policy.Unknown}} {
		if got := c.Eval(tt.view); got.Value != tt.want {
			t.Errorf("%+v, want %v", got, tt.want)
		}
	}
}

func TestLevelsCompareByTheOrderOfTheScale(t *testing.T) {
	p := compiled(t, `
scales:
  severity: { critical: { means: a }, high: { means: b }, low: { means: c } }
  proof: { sure: { means: a }, likely: { means: b }, rumour: { means: c } }
duties:
  at_least: { who: lead, do: contain, when: severity >= 'high', due: 1h after detected }
  milder: { who: lead, do: verify, when: "'critical' > severity", due: 1h after detected }
  other: { who: lead, do: scope, when: "proof > 'likely' && confirmed && !at_least.met", due: 1h after detected }
`)
	duty := func(i int, v policy.View) policy.Tri { return p.Duties[i].When.Eval(v).Value }
	for severity, want := range map[string][2]policy.Tri{"critical": {policy.True, policy.False}, "high": {policy.True, policy.True}, "low": {policy.False, policy.True}, "": {policy.Unknown, policy.Unknown}} {
		v := policy.View{Severity: severity}
		if got := [2]policy.Tri{duty(0, v), duty(1, v)}; got != want {
			t.Errorf("at severity %q: %v, want %v", severity, got, want)
		}
	}
	confirmed := map[string]time.Time{"confirmed": time.Unix(1, 0)}
	if got := duty(2, policy.View{Scales: map[string]string{"proof": "sure"}, Instants: confirmed}); got != policy.True {
		t.Errorf("proof is sure: %v", got)
	}
	if got := duty(2, policy.View{Scales: map[string]string{"proof": "likely"}, Instants: confirmed}); got != policy.False {
		t.Errorf("proof is likely: %v", got)
	}
	if got := p.Duties[2].When.Eval(policy.View{Instants: confirmed}); got.Value != policy.Unknown || !slices.Equal(got.Missing, []string{"scale.proof"}) {
		t.Errorf("proof is not set: %+v", got)
	}
	if got := strings.Join(p.Duties[2].When.Reads(), " "); got != "duty.at_least.met milestone.confirmed scale.proof" {
		t.Errorf("it reads %s", got)
	}
}

func TestShopifyRequirementsAreSixteen(t *testing.T) {
	p := compiled(t, `
classes: { leak: { means: Data leaked., signals: [bulk_export] } }
duties: { look: { for: programme, who: lead, do: perform, task: read the access log, every: month } }
page: [ "We encrypt all data.", "Staff access is limited.", "{duties.look}." ]
`)
	kinds := map[string]string{}
	for _, r := range p.ShopifyRequirements() {
		kinds[r.ID] = r.Kind
		if r.What == "" || r.Where == "" {
			t.Errorf("%+v says nothing", r)
		}
	}
	if len(kinds) != 16 {
		t.Errorf("there are %d requirements", len(kinds))
	}
	for id, want := range map[string]string{"L1-9": policy.ByControl, "L2-4": policy.ByControl, "L2-3": policy.ByRule, "L2-6": policy.ByRule, "L2-7": policy.ByRule, "L1-2": policy.Outside, "L2-1": policy.Outside} {
		if kinds[id] != want {
			t.Errorf("%s is shown by %s, want %s", id, kinds[id], want)
		}
	}
}
