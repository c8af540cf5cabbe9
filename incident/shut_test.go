package incident

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Shut looks less closely than Gates where one look is enough; both have to say the same.
func TestShutNamesTheCommandsThatGatesWouldRefuse(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var w *world
		compare := func() {
			var want []string
			for _, g := range Gates(w.p, w.s) {
				if len(g.Missing) > 0 {
					want = append(want, g.Command)
				}
			}
			if got := Shut(w.p, w.s); !slices.Equal(got, want) {
				r.Fatalf("version %d: shut %v, the gates say %v", w.s.Version, got, want)
			}
		}
		w = history(t, r, func(at *world, _ Actor, _ Command, _ Decision, _ error) {
			w = at
			compare()
		})
		compare()
	})
}
