package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/policy"
)

const conditionPolicy = `
classes:
  credential_exposure: { means: A credential is known to somebody else. }
  data_breach: { means: Data has leaked. }
facts:
  personal_data: { ask: "Is it?", by: lead, say: personal data is involved }
  exposed: { ask: "Is it?", by: lead, say: an outsider could reach it }
  shops: { type: int, ask: "How many?", by: lead, say: the number of shops hit }
  vector: { type: string, ask: "How?", by: lead, say: the way in }
milestones: { assessed: { means: assessed } }
checks:
  orders: { probe: http, means: orders are served }
  checkout: { probe: http, means: the checkout works }
  refused: { probe: connector, means: the token is refused }
parties: { merchants: { affected: scope.merchants } }
duties:
  earlier: { who: lead, do: contain, due: 1h after detected }
  tell: { who: comms, do: notify, to: merchants.affected, content: what_happened, approve: lead, due: 1h after detected, when: %q }
`

// condition compiles one condition in a policy that declares every kind of name.
func condition(t testing.TB, src string) *policy.Condition {
	t.Helper()
	p, diags := policy.Compile("p.yaml", []byte(completed(fmt.Sprintf(conditionPolicy, src))))
	if p == nil {
		t.Fatalf("%s: %s", src, policy.Format(diags, nil))
		return nil
	}
	return p.Duties[1].When
}

// What is not recorded is unknown, and so is its negation; && and || absorb it where the other
// side decides. Instants are closed-world.
func TestConditionsHaveThreeValues(t *testing.T) {
	facts := func(kv ...any) policy.View {
		v := policy.View{Facts: map[string]any{}}
		for i := 0; i < len(kv); i += 2 {
			v.Facts[kv[i].(string)] = kv[i+1]
		}
		return v
	}
	at := time.Date(2026, 11, 20, 3, 2, 11, 0, time.UTC)
	for _, tt := range []struct {
		when    string
		view    policy.View
		want    policy.Tri
		missing string
	}{
		{"fact.personal_data", policy.View{}, policy.Unknown, "fact.personal_data"},
		{"!fact.personal_data", policy.View{}, policy.Unknown, "fact.personal_data"},
		{"fact.personal_data", facts("personal_data", true), policy.True, ""},
		{"fact.personal_data", facts("personal_data", false), policy.False, ""},
		{"!fact.personal_data", facts("personal_data", false), policy.True, ""},
		{"fact.personal_data && fact.exposed", facts("personal_data", false), policy.False, ""},
		{"fact.exposed && fact.personal_data", facts("personal_data", false), policy.False, ""},
		{"fact.personal_data && fact.exposed", facts("personal_data", true), policy.Unknown, "fact.exposed"},
		{"fact.personal_data || fact.exposed", facts("exposed", true), policy.True, ""},
		{"fact.personal_data || fact.exposed", facts("exposed", false), policy.Unknown, "fact.personal_data"},
		{"fact.personal_data || fact.exposed", policy.View{}, policy.Unknown, "fact.exposed fact.personal_data"},
		{"fact.personal_data == true", policy.View{}, policy.Unknown, "fact.personal_data"},
		{"fact.shops > 10", facts("shops", float64(11)), policy.True, ""},
		{"fact.shops > 10", facts("shops", int64(3)), policy.False, ""},
		{"fact.shops > 10", facts("shops", 3.5), policy.Unknown, "fact.shops"},
		{"fact.personal_data", facts("personal_data", "yes"), policy.Unknown, "fact.personal_data"},
		{"fact.vector.startsWith('phish')", facts("vector", "phishing"), policy.True, ""},
		{"class == 'data_breach'", policy.View{}, policy.Unknown, "class"},
		{"class == 'data_breach'", policy.View{Class: "unclassified"}, policy.Unknown, "class"},
		{"class == 'data_breach'", policy.View{Class: "credential_exposure"}, policy.False, ""},
		{"class in ['data_breach', 'credential_exposure']", policy.View{Class: "credential_exposure"}, policy.True, ""},
		{"severity == 'high'", policy.View{}, policy.Unknown, "severity"},
		{"scope.merchants > 0", policy.View{}, policy.Unknown, "scope.merchants"},
		{"scope.merchants > 0", policy.View{Scope: &policy.ScopeView{Merchants: 214}}, policy.True, ""},
		{"'customer.email' in scope.data_types", policy.View{Scope: &policy.ScopeView{DataTypes: []string{"customer.email"}}}, policy.True, ""},
		{"recipient.country == 'DE'", policy.View{Recipient: &policy.RecipientView{}}, policy.Unknown, "recipient.country"},
		{"recipient.country == 'DE'", policy.View{Recipient: &policy.RecipientView{Country: "DE"}}, policy.True, ""},
		{"recipient.customers > 0", policy.View{}, policy.Unknown, "recipient.customers"},
		{"milestone.contained", policy.View{}, policy.False, ""},
		{"milestone.contained && !milestone.assessed", policy.View{Instants: map[string]time.Time{"contained": at}}, policy.True, ""},
		{"duty.earlier.met", policy.View{Instants: map[string]time.Time{"earlier.met": at}}, policy.True, ""},
		{"duty.earlier.missed", policy.View{}, policy.False, ""},
		{"evidence.snapshot", policy.View{}, policy.False, ""},
		{"fix.recorded && fix.verified", policy.View{FixDone: true, FixProven: true}, policy.True, ""},
		{"size(review.missing) == 0", policy.View{Review: policy.ReviewView{Missing: []string{"impact"}}}, policy.False, ""},
		{"actions.all(a, a.state == 'proven')", policy.View{}, policy.True, ""},
		{"actions.all(a, a.state in ['proven', 'undone'])", policy.View{Actions: []policy.ActionView{{ID: "ACT-1", State: "undone"}, {ID: "ACT-2", State: "proven"}}}, policy.True, ""},
		{"actions.exists(a, a.uses == 'app_tokens' && a.state == 'applied')", policy.View{Actions: []policy.ActionView{{Uses: "app_tokens", State: "applied"}}}, policy.True, ""},
		{"checks.all(c, c.passed)", policy.View{Checks: []policy.CheckView{{ID: "orders", Passed: true}, {ID: "checkout", Passed: true}}}, policy.True, ""},
		{"checks.exists(c, c.id == 'orders' && c.passed)", policy.View{Checks: []policy.CheckView{{ID: "orders", Passed: true}}}, policy.True, ""},
	} {
		got := condition(t, tt.when).Eval(tt.view)
		if got.Value != tt.want || strings.Join(got.Missing, " ") != tt.missing {
			t.Errorf("%s\nis %v, missing %v (%s); want %v, missing %s", tt.when, got.Value, got.Missing, got.Why, tt.want, tt.missing)
		}
		if got.Why == "" || strings.ContainsAny(got.Why, "\n\r") {
			t.Errorf("%s: the reason is %q", tt.when, got.Why)
		}
	}
}

// promise: REC-1
func TestAGateDoesNotOpenBecauseNoCheckHasRun(t *testing.T) {
	all := condition(t, "checks.all(c, c.passed)")
	for _, checks := range [][]policy.CheckView{nil, {}, {{ID: "orders", Passed: true}}, {{ID: "orders", Passed: true}, {ID: "another", Passed: true}}} {
		if got := all.Eval(policy.View{Checks: checks}); got.Value != policy.False {
			t.Errorf("with the results %v every check has passed: %v", checks, got)
		}
	}
	want := "not so: every check has passed (checkout has not passed)"
	if got := all.Eval(policy.View{Checks: []policy.CheckView{{ID: "orders", Passed: true}}}); got.Why != want {
		t.Errorf("the reason is %q, want %q", got.Why, want)
	}
}

func TestAnEvaluationThatFailsIsUnknown(t *testing.T) {
	big := condition(t, "fact.shops * fact.shops > 0").Eval(policy.View{Facts: map[string]any{"shops": int64(1) << 62}})
	if big.Value != policy.Unknown || !strings.Contains(big.Why, "overflow") {
		t.Errorf("an overflow is %v: %s", big.Value, big.Why)
	}
	none := condition(t, "actions[3].state == 'proven'").Eval(policy.View{})
	if none.Value != policy.Unknown || !strings.Contains(none.Why, "index out of bounds") {
		t.Errorf("an index that does not exist is %v: %s", none.Value, none.Why)
	}
}

func TestEvaluationIsBounded(t *testing.T) {
	c := condition(t, "actions.all(a, actions.all(b, actions.all(c, actions.all(d, a.id + b.id + c.id != d.id))))")
	v := policy.View{}
	for i := range 200 {
		v.Actions = append(v.Actions, policy.ActionView{ID: fmt.Sprint("ACT-", i)})
	}
	start := time.Now()
	got := c.Eval(v)
	if took := time.Since(start); took > time.Minute { // without a bound it would be hours
		t.Errorf("it took %s", took)
	}
	if got.Value != policy.Unknown || !strings.Contains(got.Why, "cost limit") {
		t.Errorf("a condition that costs too much is %v: %s", got.Value, got.Why)
	}
}

func TestConditionsPrintThemselves(t *testing.T) {
	for src, want := range map[string]string{
		"fact.personal_data":                                             "personal data is involved",
		"!fact.personal_data":                                            "we have ruled out that personal data is involved",
		"fact.personal_data == false":                                    "we have ruled out that personal data is involved",
		"fact.personal_data && fact.exposed":                             "personal data is involved and an outsider could reach it",
		"(fact.personal_data || fact.exposed) && fix.recorded":           "either personal data is involved or an outsider could reach it and the fix is recorded",
		"class == 'credential_exposure'":                                 "the class of the incident is credential exposure",
		"severity in ['high', 'low']":                                    "the severity is high or low",
		"scope.merchants >= 10":                                          "the number of affected merchants is at least 10",
		"10 <= scope.merchants":                                          "the number of affected merchants is at least 10",
		"fact.shops != 3":                                                "the number of shops hit is not 3",
		"checks.all(c, c.passed)":                                        "every check has passed",
		"actions.all(a, a.state == 'proven')":                            "every action is proven",
		"actions.exists(a, a.state in ['failed', 'uncertain'])":          "some action is failed or uncertain",
		"evidence.snapshot":                                              "a snapshot of the evidence has been taken",
		"size(review.missing) == 0":                                      "no part of the review is missing",
		"review.missing.size() == 0":                                     "no part of the review is missing",
		"size(scope.data_types) > 2":                                     "the number of affected data is more than 2",
		"'order.address' in recipient.data_types":                        "order.address is among the recipient's affected data",
		"milestone.contained":                                            "the incident is contained",
		"duty.earlier.met":                                               "the duty to earlier is met",
		"true":                                                           "always",
		"checks.filter(c, c.passed).size() > 1":                          "checks.filter(c, c.passed).size() > 1",
		"scope.merchants + 1 > scope.customers":                          "scope.merchants + 1 > scope.customers",
		"recipient.country.startsWith('D')":                              `recipient.country.startsWith("D")`,
		"actions.all(a, a.state == 'proven') && checks.all(c, c.passed)": "every action is proven and every check has passed",
	} {
		if got := condition(t, src).Say; got != want {
			t.Errorf("%s\nsays %q, want %q", src, got, want)
		}
	}
}

func TestReasonsSayWhatWasRead(t *testing.T) {
	c := condition(t, "fact.personal_data && scope.merchants > 10 && fact.vector == 'mail'")
	v := policy.View{Facts: map[string]any{"personal_data": true, "vector": "a private sentence"}, Scope: &policy.ScopeView{Merchants: 214}}
	got := c.Eval(v).Why
	want := "not so: personal data is involved and the number of affected merchants is more than 10 and the way in is mail (fact.personal_data yes, scope.merchants 214)"
	if got != want {
		t.Errorf("the reason is\n%s\nwant\n%s", got, want)
	}
	if got := c.Eval(policy.View{}).Why; !strings.HasPrefix(got, "not known whether ") || !strings.HasSuffix(got, ": fact.personal_data, fact.vector and scope.merchants not recorded") {
		t.Errorf("the reason for not knowing is %s", got)
	}
	if got, want := c.Reads(), []string{"fact.personal_data", "fact.vector", "scope.merchants"}; !slices.Equal(got, want) {
		t.Errorf("it reads %v, want %v", got, want)
	}
}

func TestANilConditionIsTrue(t *testing.T) {
	var c *policy.Condition
	if got := c.Eval(policy.View{}); got.Value != policy.True || c.Reads() != nil {
		t.Errorf("no condition is %v", got)
	}
}

func TestANeedIsSplitIntoWhatCanBeMissing(t *testing.T) {
	for need, want := range map[string][]string{
		"fix.verified":                  {"fix.verified"},
		"fix.verified && fix.recorded ": {"fix.verified", "fix.recorded"},
		"checks.all(c, c.passed && c.id != 'a && b') && (fix.verified && fix.recorded) && evidence.snapshot": {
			"checks.all(c, c.passed && c.id != 'a && b')", "(fix.verified && fix.recorded)", "evidence.snapshot"},
		"fix.verified && fix.recorded || evidence.snapshot":     {"fix.verified && fix.recorded || evidence.snapshot"},
		"fix.verified ? fix.recorded && true : true":            {"fix.verified ? fix.recorded && true : true"},
		`checks.all(c, c.id != "it\"s && \\") && fix.verified`:  {`checks.all(c, c.id != "it\"s && \\")`, "fix.verified"},
		"checks.exists(c, c.id == r'\\') && fix.verified":       {"checks.exists(c, c.id == r'\\')", "fix.verified"},
		"[1, 2].all(n, n > 0 && n < 3)\n&& evidence.snapshot\n": {"[1, 2].all(n, n > 0 && n < 3)", "evidence.snapshot"},
	} {
		src := completed(fmt.Sprintf("gates:\n- guards: restore\n  need: %q\nchecks: { orders: { probe: http, means: x } }\n", need))
		p, diags := policy.Compile("p.yaml", []byte(src))
		if p == nil {
			t.Errorf("%s: %s", need, policy.Format(diags, []byte(src)))
			continue
		}
		var got []string
		for _, c := range p.Gates[0].Need {
			got = append(got, c.Source)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\nis split into %q, want %q", need, got, want)
		}
	}
}

// tri is Kleene's logic, the model of what && and || and ! must do.
type tri = policy.Tri

func and(a, b tri) tri {
	switch {
	case a == policy.False || b == policy.False:
		return policy.False
	case a == policy.True && b == policy.True:
		return policy.True
	}
	return policy.Unknown
}

func not(a tri) tri {
	return map[tri]tri{policy.True: policy.False, policy.False: policy.True, policy.Unknown: policy.Unknown}[a]
}

// Whatever is combined, the outcome is that of three-valued logic, and a name that is missing is
// one that was not recorded.
func TestConditionsFollowThreeValuedLogic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := policy.View{Facts: map[string]any{}}
		values := map[string]tri{}
		for _, f := range []string{"personal_data", "exposed"} {
			switch values[f] = rapid.SampledFrom([]tri{policy.Unknown, policy.False, policy.True}).Draw(rt, f); values[f] {
			case policy.True:
				v.Facts[f] = true
			case policy.False:
				v.Facts[f] = false
			}
		}
		var build func(depth int) (string, tri)
		build = func(depth int) (string, tri) {
			kind := rapid.IntRange(0, 3).Draw(rt, "kind")
			if depth == 0 || kind == 0 {
				f := rapid.SampledFrom([]string{"personal_data", "exposed"}).Draw(rt, "fact")
				return "fact." + f, values[f]
			}
			a, av := build(depth - 1)
			if kind == 1 {
				return "!(" + a + ")", not(av)
			}
			b, bv := build(depth - 1)
			if kind == 2 {
				return "(" + a + " && " + b + ")", and(av, bv)
			}
			return "(" + a + " || " + b + ")", not(and(not(av), not(bv)))
		}
		src, want := build(3)
		got := condition(t, src).Eval(v)
		if got.Value != want {
			rt.Fatalf("%s with %v is %v (%s), want %v", src, v.Facts, got.Value, got.Why, want)
		}
		if (got.Value == policy.Unknown) != (len(got.Missing) > 0) {
			rt.Fatalf("%s with %v is %v and misses %v", src, v.Facts, got.Value, got.Missing)
		}
		for _, m := range got.Missing {
			if _, answered := v.Facts[strings.TrimPrefix(m, "fact.")]; answered {
				rt.Fatalf("%s misses %s, which is recorded", src, m)
			}
		}
	})
}

func TestConditionsMayBeEvaluatedAtOnce(t *testing.T) {
	c := condition(t, "recipient.country == 'DE' && fact.personal_data")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				v := policy.View{Facts: map[string]any{"personal_data": true}, Recipient: &policy.RecipientView{Country: []string{"DE", "FR"}[i%2]}}
				if got := c.Eval(v).Value == policy.True; got != (i%2 == 0) {
					t.Errorf("evaluation %d gave %v", i, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkEval(b *testing.B) {
	for _, src := range []string{"fact.personal_data", "fact.personal_data && recipient.country == 'DE'", "checks.all(c, c.passed)"} {
		c := condition(b, src)
		v := policy.View{Facts: map[string]any{"personal_data": true}, Recipient: &policy.RecipientView{Country: "DE"}}
		b.Run(src, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Eval(v)
			}
		})
		b.Run(src+" unknown", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Eval(policy.View{})
			}
		})
	}
}

func TestWhereThoseAffectedLiveIsReadAsPlaces(t *testing.T) {
	for answer, want := range map[string]string{
		"DE, US-CA": "DE US-CA", "Germany; Japan": "DE JP", "US-CA,US-CA": "US-CA", "none": "", "": "", "GB": "GB", "United Kingdom": "GB",
	} {
		got, err := policy.ParseRegions(answer)
		if err != nil || strings.Join(got, " ") != want || got == nil {
			t.Errorf("%q: %v, %v; want %s", answer, got, err, want)
		}
	}
	if got, err := policy.ParseRegions("EU"); err != nil || len(got) != len(policy.Union) {
		t.Errorf("the European Union stands for its members: %v, %v", got, err)
	}
	for _, answer := range []string{"somewhere", "UK", "DE-TOOLONG", "de"} {
		if got, err := policy.ParseRegions(answer); err == nil && answer != "UK" {
			t.Errorf("%q: %v, want an error", answer, got)
		}
	}
}
