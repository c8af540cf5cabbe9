package soaktest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/soaktest"
)

func start(t *testing.T, how string, turn int) soaktest.Soak {
	t.Helper()
	t.Setenv("SOAK", how)
	t.Setenv("SOAK_TURN", fmt.Sprint(turn))
	return soaktest.Start(t)
}

func TestTurnsTogetherLeaveNothingOut(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	seen, seeds := map[string]bool{}, map[uint64]bool{}
	for turn := 1000; turn < 1000+len(names); turn++ {
		s := start(t, "sample", turn)
		for _, name := range s.Pick(t, "letters", 2, names) {
			seen[name] = true
		}
		for _, seed := range s.Seeds(t, 3) {
			if seed == 0 || seeds[seed] {
				t.Errorf("seed %d is 0 or was another turn's", seed)
			}
			seeds[seed] = true
		}
	}
	if len(seen) != len(names) {
		t.Errorf("only %v in as many turns as there are names", seen)
	}
}

func TestATurnIsRepeatable(t *testing.T) {
	names := []string{"a", "b", "c"}
	one, two := start(t, "sample", 20779), start(t, "sample", 20779)
	if !slices.Equal(one.Pick(t, "letters", 2, names), two.Pick(t, "letters", 2, names)) || one.Rand().Uint64() != two.Rand().Uint64() {
		t.Error("the same turn took another sample")
	}
}

func TestAFullRunTakesEverything(t *testing.T) {
	s := start(t, "full", 5)
	got := s.Pick(t, "letters", 1, []string{"a", "b", "c"})
	slices.Sort(got)
	if !s.Full() || !slices.Equal(got, []string{"a", "b", "c"}) || s.Rounds(t, "kills", 1, 9) != 9 {
		t.Errorf("a full run took %v", got)
	}
}

func TestWithoutSoakLongTestsAreSkipped(t *testing.T) {
	skipped := false
	t.Run("long", func(t *testing.T) {
		t.Setenv("SOAK", "")
		defer func() { skipped = t.Skipped() }()
		soaktest.Start(t)
	})
	if !skipped {
		t.Error("it ran")
	}
}
