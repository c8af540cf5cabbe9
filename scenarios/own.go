package scenarios

import (
	"maps"
	"slices"
)

// ForAny is what a scenario expects of whichever policy makes a promise, for policies that do not ship
// with Tocsin: what it expects of those that do. WithClass is what it expects instead of a policy that has
// the scenario's class. Limits of the shipped policies are not among it that another policy could be held to.
func ForAny(name string) (promises, withClass map[string]Expectation, err error) {
	m, err := Load(name)
	if err != nil {
		return nil, nil, err
	}
	promised, all, err := Promised()
	if err != nil {
		return nil, nil, err
	}
	promises, withClass = map[string]Expectation{}, map[string]Expectation{}
	for _, id := range all {
		var found []Expectation
		for _, policy := range slices.Sorted(maps.Keys(promised)) {
			if e, ok := m.Policies[policy][id]; ok && slices.Contains(promised[policy], id) {
				found = append(found, e)
			}
		}
		if len(found) == 0 {
			continue
		}
		e := found[0]
		for _, other := range found {
			switch {
			case m.Class != "" && other.Expect == Kept && e.Expect == NotApplicable:
				withClass[id] = other
			case m.Class != "" && other.Expect == NotApplicable && e.Expect == Kept:
				withClass[id], e = e, other
			case e.Expect == NotReached && other.Expect != NotApplicable: // one of them shows how it is shown
				e = other
			}
		}
		promises[id] = e
	}
	return promises, withClass, nil
}
