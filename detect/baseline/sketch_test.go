package baseline

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestASketchIsExactWhileItIsSmallAndNearWhenItIsLarge(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 1000, 5000, 50_000, 1_000_000} {
		var s Sketch
		for i := range n {
			s.add(hash(fmt.Sprint("m", i)))
			if i%3 == 0 {
				s.add(hash(fmt.Sprint("m", i))) // again
			}
		}
		off := math.Abs(float64(s.count()) - float64(n))
		if n <= fewest && off > 0 || off > 0.07*float64(n) { // three standard errors
			t.Errorf("%d members are counted as %d", n, s.count())
		}
	}
}

func TestUnitedSketchesCountAsOneThatSawBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, b, both Sketch
		for _, x := range []*Sketch{&a, &b} {
			from := rapid.IntRange(0, 500).Draw(t, "from")
			for i := range rapid.IntRange(0, 600).Draw(t, "members") {
				h := hash(fmt.Sprint(from + i))
				x.add(h)
				both.add(h)
			}
		}
		a.unite(&b)
		if a.count() != both.count() {
			t.Fatalf("united %d, together %d", a.count(), both.count())
		}
		a.reset()
		if a.count() != 0 {
			t.Fatal("a reset sketch is not empty")
		}
	})
}

func TestALevelIsWithinATwentiethOfItsCount(t *testing.T) {
	for _, v := range []int64{0, 1, 2, 3, 10, 99, 1000, 123_456, 1 << 30} {
		if got := amount(level(v)); math.Abs(got-float64(v)) > 0.05*float64(v)+0.5 {
			t.Errorf("%d is kept as %.1f", v, got)
		}
	}
	if level(-5) != 0 || level(1<<62) != 255 {
		t.Error("a level out of range")
	}
}
