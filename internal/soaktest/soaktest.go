// Package soaktest is how long tests share an hour. It is imported by tests only.
//
// A long test runs when SOAK is set, which make soak does. SOAK=full runs all of it; any other
// value runs a sample that moves on with SOAK_TURN, a number that make soak takes from the date and
// the commit, so that what one run leaves out another takes up, and a run can be repeated.
package soaktest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Soak is one run of the long tests.
type Soak struct {
	full bool
	turn uint64
}

// Start skips a test that is too long for every day.
func Start(t testing.TB) Soak {
	t.Helper()
	how := os.Getenv("SOAK")
	if how == "" {
		t.Skip("runs long: make soak")
	}
	s := Soak{full: how == "full"}
	if text := os.Getenv("SOAK_TURN"); text != "" {
		turn, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			t.Fatalf("SOAK_TURN=%s is not a number", text)
		}
		s.turn = turn
	}
	return s
}

// Full says that nothing is left out.
func (s Soak) Full() bool { return s.full }

// Rounds is how often something is repeated: sample times, or full times.
func (s Soak) Rounds(t testing.TB, what string, sample, full int) int {
	t.Helper()
	n := sample
	if s.full {
		n = full
	}
	t.Logf("soak: %s: %d rounds", what, n)
	return n
}

// Rand is a source of chance that differs from turn to turn and is the same when a turn is
// repeated.
func (s Soak) Rand() *rand.Rand { return rand.New(rand.NewPCG(s.turn, 0x50a4)) }

// Seeds returns n seeds that no other turn takes.
func (s Soak) Seeds(t testing.TB, n int) []uint64 {
	t.Helper()
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = 1 + s.turn*uint64(n) + uint64(i)
	}
	t.Logf("soak: seeds %v", seeds)
	return seeds
}

// Pick returns n of the names, or all of them in a full run. The next turn goes on where this one
// ends.
func (s Soak) Pick(t testing.TB, what string, n int, names []string) []string {
	t.Helper()
	if n = min(n, len(names)); s.full {
		n = len(names)
	}
	picked := make([]string, n)
	for i := range picked {
		picked[i] = names[(s.turn*uint64(n)+uint64(i))%uint64(len(names))]
	}
	t.Logf("soak: %s: %v of %d", what, picked, len(names))
	return picked
}
