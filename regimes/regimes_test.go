package regimes_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

var _ policy.Laws = regimes.Catalogue()

func find(t *testing.T, q policy.LawQuestion, id string) (policy.LawClock, bool) {
	t.Helper()
	q.Do = policy.Notify
	all := regimes.Catalogue().Clocks(q)
	i := slices.IndexFunc(all, func(k policy.LawClock) bool { return k.ID == id })
	if i < 0 {
		return policy.LawClock{}, false
	}
	return all[i], true
}

// A law applies, may apply, or does not: and where it may, the missing fact has a name.
// promise: NOT-4
// promise: NOT-5
func TestWhetherALawAppliesAndWhichFactWouldSay(t *testing.T) {
	yes := map[string]any{"personal_data": true, "controller": true, "risk_to_people": true, "high_risk": true, "identity_data": true, "unreadable": false, "shopify_data": true}
	but := func(change ...any) map[string]any {
		out := map[string]any{}
		for k, v := range yes {
			out[k] = v
		}
		for i := 0; i < len(change); i += 2 {
			if change[i+1] == nil {
				delete(out, change[i].(string))
			} else {
				out[change[i].(string)] = change[i+1]
			}
		}
		return out
	}
	de, fr, us, ca := []string{"DE"}, &policy.RecipientView{Country: "FR"}, []string{"US"}, []string{"US-CA"}
	for _, tt := range []struct {
		name, id, party string
		facts           map[string]any
		regions         []string
		recipient       *policy.RecipientView
		want            policy.Tri
		missing         []string
	}{
		{"GDPR 33: everything is so", "eu-gdpr-authority", "authority", yes, de, nil, policy.True, nil},
		{"GDPR 33: nobody has judged the risk", "eu-gdpr-authority", "authority", but("risk_to_people", nil), de, nil, policy.Unknown, []string{"fact.risk_to_people"}},
		{"GDPR 33: the risk is ruled out", "eu-gdpr-authority", "authority", but("risk_to_people", false), de, nil, policy.False, nil},
		{"GDPR 33: a no decides whatever else is open", "eu-gdpr-authority", "authority", map[string]any{"personal_data": false}, nil, nil, policy.False, nil},
		{"GDPR 33: nothing is known", "eu-gdpr-authority", "authority", nil, nil, nil, policy.Unknown, []string{"scope.regions", "fact.personal_data", "fact.controller", "fact.risk_to_people"}},
		{"GDPR 33: nobody in Europe", "eu-gdpr-authority", "authority", yes, ca, nil, policy.False, nil},
		{"GDPR 33: a processor is not the one to tell", "eu-gdpr-authority", "authority", but("controller", false), de, nil, policy.False, nil},
		{"GDPR 34: a high risk", "eu-gdpr-individuals", "individuals", yes, de, nil, policy.True, nil},
		{"GDPR 34: the data cannot be read", "eu-gdpr-individuals", "individuals", but("unreadable", true), de, nil, policy.False, nil},
		{"GDPR 34: nobody has judged how high", "eu-gdpr-individuals", "individuals", but("high_risk", nil), de, nil, policy.Unknown, []string{"fact.high_risk"}},
		{"GDPR 33(2): no test of the risk", "eu-gdpr-processor", "controller", map[string]any{"personal_data": true}, de, nil, policy.True, nil},
		{"GDPR 33(2): the merchant is French", "eu-gdpr-processor", "controller", map[string]any{"personal_data": true}, nil, fr, policy.True, nil},
		{"California: residents", "us-ca-individuals", "individuals", yes, ca, nil, policy.True, nil},
		{"California: somewhere in the United States", "us-ca-individuals", "individuals", yes, us, nil, policy.Unknown, []string{"scope.regions"}},
		{"California: the data was encrypted and the key is safe", "us-ca-individuals", "individuals", but("unreadable", true), ca, nil, policy.False, nil},
		{"California: other data than the statute names", "us-ca-individuals", "individuals", but("identity_data", false), ca, nil, policy.False, nil},
		{"California: data kept for somebody else", "us-ca-maintainer", "controller", yes, ca, nil, policy.True, nil},
		{"Texas: the authority, by count", "us-tx-ag", "authority", but("residents_us_tx", int64(250)), []string{"US-TX"}, nil, policy.True, nil},
		{"Texas: below the count", "us-tx-ag", "authority", but("residents_us_tx", int64(249)), []string{"US-TX"}, nil, policy.False, nil},
		{"Shopify: its data", "shopify-24h", "platform", yes, nil, nil, policy.True, nil},
		{"Shopify: by its own name", "shopify-24h", "shopify", nil, nil, nil, policy.Unknown, []string{"fact.shopify_data"}},
		{"Shopify: not its data", "shopify-24h", "platform", but("shopify_data", false), nil, nil, policy.False, nil},
		{"Amazon is not asked for when the platform is Shopify", "amazon-24h", "platform", but("amazon_data", true), nil, nil, policy.False, nil},
		{"Amazon by its name", "amazon-24h", "amazon", but("amazon_data", true), nil, nil, policy.True, nil},
		{"NIS2: nobody has said that we are in it", "nis2-early-warning", "authority", but("significant_incident", true), de, nil, policy.False, nil},
		{"NIS2: we are", "nis2-early-warning", "authority", but("significant_incident", true, "nis2_entity", true), de, nil, policy.True, nil},
		{"a merchant is not an authority", "eu-gdpr-authority", "controller", yes, de, nil, policy.False, nil},
	} {
		k, ok := find(t, policy.LawQuestion{Party: tt.party, Facts: tt.facts, Regions: tt.regions, Recipient: tt.recipient}, tt.id)
		got := k.Applies.Value
		if !ok {
			got = policy.False
		}
		if got != tt.want || !slices.Equal(k.Applies.Missing, tt.missing) {
			t.Errorf("%s: %v, missing %v; want %v, %v", tt.name, got, k.Applies.Missing, tt.want, tt.missing)
		}
		if ok && (k.Source == "" || k.AsOf != "2026-11-22" || k.Verified == "" || k.Regime == "" || k.Applies.Why == "") {
			t.Errorf("%s: the clock does not say where it is from: %+v", tt.name, k)
		}
	}
}

// Every kind of counting, at the places where it differs from the others.
func TestEachClockIsCountedByItsLawsOwnRules(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	facts := map[string]any{"personal_data": true, "controller": true, "risk_to_people": true, "identity_data": true, "unreadable": false, "serious_harm": true, "shopify_data": true}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ id, party, region, anchor, from, due string }{
		{"eu-gdpr-authority", "authority", "DE", "aware", "2026-03-28T01:00:00Z", "2026-03-31T01:00:00Z"},           // through a weekend and the change of the clocks
		{"us-ca-individuals", "individuals", "US-CA", "discovered", "2026-10-20T16:00:00Z", "2026-11-19T17:00:00Z"}, // 9:00 in California, on both sides of the change
		{"br-anpd", "authority", "BR", "aware", "2026-11-20T15:00:00Z", "2026-11-26T03:00:00Z"},                     // Friday: Monday, Tuesday, Wednesday, until midnight in São Paulo
		{"shopify-24h", "platform", "", "suspected", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
	} {
		k, ok := find(t, policy.LawQuestion{Party: tt.party, Facts: facts, Regions: []string{tt.region}}, tt.id)
		if !ok || k.Anchor != tt.anchor || k.Span.Limit == nil {
			t.Errorf("%s: %+v", tt.id, k)
			continue
		}
		zone := k.Zone
		if zone == nil {
			zone = berlin
		}
		if got := calendar.Add(at(tt.from), *k.Span.Limit, zone, k.Hours); !got.Equal(at(tt.due)) {
			t.Errorf("%s: from %s due at %s, want %s", tt.id, tt.from, got.UTC().Format(time.RFC3339), tt.due)
		}
	}
}

// Without undue delay is a clock without a number; it is there and has no limit.
// promise: NOT-6
func TestADutyWithoutANumberIsAClockAllTheSame(t *testing.T) {
	k, ok := find(t, policy.LawQuestion{Party: "controller", Facts: map[string]any{"personal_data": true}, Regions: []string{"DE"}}, "eu-gdpr-processor")
	if !ok || !k.Span.Open() || k.Text != "without undue delay after aware (Regulation (EU) 2016/679, Art. 33(2))" {
		t.Errorf("the clock is %+v", k)
	}
}

// What cannot be said yet is listed with its reason; nothing that was researched is missing.
func TestEveryDutyRunsOrSaysWhyNot(t *testing.T) {
	run, not := 0, 0
	for _, r := range regimes.Catalogue().Regimes {
		if len(r.Duties) == 0 {
			t.Errorf("%s has no duty", r.ID)
		}
		for _, d := range r.Duties {
			if d.Runs() {
				run++
			} else {
				not++
			}
		}
	}
	if run < 150 || run+not < 195 {
		t.Errorf("%d duties run and %d do not: some were lost", run, not)
	}
	for _, f := range regimes.Catalogue().Facts() {
		if f.Means == "" {
			t.Errorf("nobody can ask for %s: it has no meaning", f.ID)
		}
	}
}

// Forgetting an answer never takes a clock away, whatever the answers are.
// promise: NOT-4
func TestAnUnansweredFactNeverTakesAClockAway(t *testing.T) {
	c := regimes.Catalogue()
	facts := c.Facts()
	rapid.Check(t, func(t *rapid.T) {
		q := policy.LawQuestion{Do: policy.Notify, Facts: map[string]any{}}
		q.Party = rapid.SampledFrom([]string{"authority", "individuals", "controller", "platform", "media"}).Draw(t, "party")
		if rapid.Bool().Draw(t, "scoped") {
			q.Regions = rapid.SliceOfN(rapid.SampledFrom([]string{"DE", "GB", "US", "US-CA", "US-TX", "BR", "JP"}), 0, 3).Draw(t, "regions")
		}
		for _, f := range facts {
			if !rapid.Bool().Draw(t, f.ID) {
				continue
			}
			if f.Type == "int" {
				q.Facts[f.ID] = int64(rapid.IntRange(0, 20_000).Draw(t, f.ID+" is"))
			} else {
				q.Facts[f.ID] = rapid.Bool().Draw(t, f.ID+" is")
			}
		}
		had := c.Clocks(q)
		for _, f := range facts {
			if _, answered := q.Facts[f.ID]; !answered || f.Vendor {
				continue
			}
			less := q
			less.Facts = map[string]any{}
			for k, v := range q.Facts {
				if k != f.ID {
					less.Facts[k] = v
				}
			}
			has := c.Clocks(less)
			for _, k := range had {
				if !slices.ContainsFunc(has, func(o policy.LawClock) bool { return o.ID == k.ID }) {
					t.Fatalf("%s is gone when nobody has answered %s", k.ID, f.ID)
				}
			}
		}
	})
}

func BenchmarkClocks(b *testing.B) {
	c := regimes.Catalogue()
	q := policy.LawQuestion{Do: policy.Notify, Party: "authority", Facts: map[string]any{"personal_data": true}, Regions: []string{"DE", "US-CA"}}
	for b.Loop() {
		c.Clocks(q)
	}
}
