package planted_test

import (
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/planted"
)

func TestAWorldIsTheSameEveryTimeAndItsAttacksAreInIt(t *testing.T) {
	w := planted.World{Seed: 3, Merchants: 200, Weeks: 6, Light: true}
	attacks := map[string]planted.Attack{}
	for _, a := range w.Attacks() {
		attacks[a.Name] = a
	}
	if len(attacks) != 6 {
		t.Fatalf("%d attacks in two weeks", len(attacks))
	}
	seen, ids, repeats, disorder := map[string]int{}, map[string]bool{}, 0, 0
	var all []planted.Event
	var last time.Time
	for e := range w.Events() {
		all = append(all, e)
		if ids[e.ID] {
			repeats++
		}
		ids[e.ID] = true
		if e.Time.Before(last) {
			disorder++
			if last.Sub(e.Time) > 2*time.Hour {
				t.Fatalf("%s arrives at %s", e.Time, last)
			}
		} else {
			last = e.Time
		}
		if e.Attack == "" {
			continue
		}
		a := attacks[e.Attack]
		if e.Time.Before(a.From) || e.Time.After(a.To) || e.IP != a.IP || a.Credential != "" && e.Credential != a.Credential {
			t.Fatalf("%+v is not of %+v", e, a)
		}
		seen[e.Attack]++
	}
	for name := range attacks {
		if seen[name] < 50 {
			t.Errorf("attack %s has %d events", name, seen[name])
		}
	}
	if repeats == 0 || disorder == 0 {
		t.Errorf("%d repeats, %d events out of order: there are some of both", repeats, disorder)
	}
	i := 0
	for e := range w.Events() {
		if e.ID != all[i].ID || !e.Time.Equal(all[i].Time) || e.Merchant != all[i].Merchant || e.IP != all[i].IP {
			t.Fatalf("event %d: %+v, and %+v the second time", i, all[i], e)
		}
		i++
	}
}
