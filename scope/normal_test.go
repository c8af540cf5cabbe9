package scope_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// promise: DET-2
func TestWhatAThiefDoesStandsOutAgainstTheSameHoursBefore(t *testing.T) {
	src := &table{}
	touch := func(at time.Time, merchant, ip string, customers ...string) {
		src.add(0, tally.Event{Time: at, Credential: "tok_1", Merchant: merchant, IP: ip, Agent: "app", Action: "read", Customers: customers, DataTypes: []string{"customer.email"}})
	}
	from := noon
	for d := 1; d <= 10; d++ { // two of the app's own merchants each noon, and many more in the evening
		at := from.Add(-time.Duration(d) * 24 * time.Hour)
		touch(at.Add(time.Minute), "m_1", "10.0.0.1", "a")
		touch(at.Add(time.Hour), "m_2", "10.0.0.1", "b")
		for m := range 20 {
			touch(at.Add(8*time.Hour), fmt.Sprintf("m_%d", m), "10.0.0.1", "x")
		}
	}
	for m := range 40 {
		touch(from.Add(time.Minute), fmt.Sprintf("m_%d", m), "203.0.113.9", "a", fmt.Sprint(m))
	}
	src.add(0, tally.Event{Time: from.Add(time.Minute), Credential: "tok_2", Merchant: "m_999", Action: "export"}) // somebody else's
	q := scope.Query{From: from, To: from.Add(2 * time.Hour), Any: []scope.Clause{{Credential: []string{"tok_1"}, IP: []string{"203.0.113.9"}}}}
	got, err := scope.Compare(t.Context(), src, q)
	if err != nil {
		t.Fatal(err)
	}
	if got.Windows != 10 || got.Every != 86400 || !got.Since.Equal(from.Add(-10*24*time.Hour+time.Minute)) {
		t.Errorf("%d windows every %d s since %s", got.Windows, got.Every, got.Since)
	}
	if want := (scope.Amounts{Events: 40, Merchants: 40, Customers: 80}); got.Now != want {
		t.Errorf("now %+v, want %+v", got.Now, want)
	}
	usual := scope.Amounts{Events: 2, Merchants: 2, Customers: 2}
	if got.Usual != usual || got.Most != usual {
		t.Errorf("usual %+v, most %+v, want %+v: the evenings are other hours", got.Usual, got.Most, usual)
	}
	if len(got.New) != 2 || got.New[0].Sort != "merchant" || got.New[0].N != 20 || !reflect.DeepEqual(got.New[1], scope.Novelty{Sort: "address", N: 1, Values: []string{"203.0.113.9"}}) {
		t.Errorf("new %+v, want twenty merchants and one address", got.New)
	}
}

func TestOfACredentialThatNobodyKnowsNothingIsUsualAndNothingIsNew(t *testing.T) {
	src := &table{}
	src.add(0, tally.Event{Credential: "tok_new", Merchant: "m_1", Customers: []string{"a"}})
	got, err := scope.Compare(t.Context(), src, scope.Query{From: noon, To: noon.Add(time.Hour), Any: []scope.Clause{{Credential: []string{"tok_new"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Windows != 0 || !got.Since.IsZero() || len(got.New) != 0 || got.Now.Events != 1 || got.Usual.Events != 0 {
		t.Errorf("%+v", got)
	}
}

func TestALongWindowIsComparedWithWindowsAsLong(t *testing.T) {
	src := &table{}
	for d := range 60 {
		src.add(0, tally.Event{Time: noon.Add(-time.Duration(d) * 24 * time.Hour), Credential: "tok_1", Merchant: "m_1"})
	}
	got, err := scope.Compare(t.Context(), src, scope.Query{From: noon.Add(-10 * 24 * time.Hour).Add(time.Second), To: noon.Add(time.Second), Any: []scope.Clause{{Credential: []string{"tok_1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Every != 10*86400 || got.Windows != 4 || got.Now.Events != 10 || got.Usual.Events != 10 || got.Most.Events != 10 {
		t.Errorf("%+v", got)
	}
}
