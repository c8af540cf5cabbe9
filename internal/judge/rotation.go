package judge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// rotated: every secret that the policy promises to rotate was accepted before and is refused now,
// as the judge found by trying, and the evidence holds the proof of each rotation.
func (b *bench) rotated(p *row) error {
	var last time.Time
	count := 0
	for _, id := range slices.Sorted(maps.Keys(b.policy.Actions)) {
		a := b.policy.Actions[id]
		if !slices.Contains(words(a.Promise), "CON-2") {
			continue
		}
		seen, known := map[string]Sighting{"app_secret": b.seen.Webhook, "session_secret": b.seen.Session}[a.Uses]
		switch {
		case !known:
			return fmt.Errorf("%s uses %s, which the judge cannot try", id, a.Uses)
		case seen.Accepted == 0:
			return fmt.Errorf("%s: the judge never saw the old secret work, so a refusal would show nothing", id)
		case seen.Refused == 0:
			return fmt.Errorf("%s: the old secret was still accepted at the last of %d trials", id, seen.Tried)
		case seen.Relapsed:
			return fmt.Errorf("%s: the old secret was accepted again after it had been refused", id)
		}
		if seen.FirstRefusal.After(last) {
			last = seen.FirstRefusal
		}
		proof, ok := b.provenAction(id)
		if !ok {
			return fmt.Errorf("the evidence holds no proof of %s", id)
		}
		p.prove(proof)
		count++
	}
	if count == 0 {
		return errors.New("no action of the policy promises it")
	}
	return p.took(last.Sub(b.export.facts[0].Recorded), "simulated", "person")
}

// provenAction is the proof of a planned action of the policy.
func (b *bench) provenAction(decl string) (fact, bool) {
	planned := map[string]bool{}
	for _, f := range b.export.facts {
		var body struct{ Action, Decl string }
		f.body(&body)
		switch {
		case f.Kind == "action.planned" && body.Decl == decl:
			planned[body.Action] = true
		case f.Kind == "action.proven" && planned[body.Action]:
			return f, true
		}
	}
	return fact{}, false
}
