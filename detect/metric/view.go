package metric

import (
	"cmp"
	"math"
	"slices"
)

// point is what a view remembers of one row. A view of single numbers leaves Before 0.
type point struct{ Value, Before float64 }

// view is the memory of one way to look at the stream. Once it is full it keeps a net: points so
// far apart that it has room for them, and none of what was left out lies farther than Grain from
// one that stayed. So nothing that was seen becomes new again.
type view struct {
	Sorted []point // by value, for the search of a neighbour
	Grain  float64 // points nearer than this to a remembered one are not remembered
	Far    tail
}

// see gives the surprise of a point in decimal places of its probability, and remembers it.
// Distances up to none are no difference at all.
func (v *view) see(p point, remember int, none float64) float64 {
	d := nearest(v.Sorted, p)
	surprise := v.Far.surprise(d, none)
	v.Far.add(d, remember)
	if d >= v.Grain || len(v.Sorted) == 0 {
		i, _ := slices.BinarySearchFunc(v.Sorted, p, compare)
		v.Sorted = slices.Insert(v.Sorted, i, p)
	}
	for len(v.Sorted) > remember {
		v.thin()
	}
	return surprise
}

// thin widens the net until a quarter of the points has left it.
func (v *view) thin() {
	goal := len(v.Sorted) * 3 / 4
	if v.Grain == 0 {
		v.Grain = (v.Sorted[len(v.Sorted)-1].Value - v.Sorted[0].Value) / 1e6
	}
	for len(v.Sorted) > goal {
		kept := make([]point, 0, len(v.Sorted))
		for _, p := range v.Sorted {
			near := false
			for i := len(kept) - 1; i >= 0 && p.Value-kept[i].Value < v.Grain && !near; i-- {
				near = math.Hypot(p.Value-kept[i].Value, p.Before-kept[i].Before) < v.Grain
			}
			if !near {
				kept = append(kept, p)
			}
		}
		v.Sorted = kept
		v.Grain = max(1.5*v.Grain, 1e-300)
	}
}

func compare(a, b point) int {
	return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Before, b.Before))
}

// nearest is the distance to the nearest of the points, 0 when there is none. It looks outward from
// the point's place and stops where the values alone lie farther away than the best.
func nearest(sorted []point, p point) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i, _ := slices.BinarySearchFunc(sorted, p, compare)
	best := math.Inf(1)
	for up := i; up < len(sorted) && sorted[up].Value-p.Value < best; up++ {
		best = min(best, math.Hypot(sorted[up].Value-p.Value, sorted[up].Before-p.Before))
	}
	for down := i - 1; down >= 0 && p.Value-sorted[down].Value < best; down-- {
		best = min(best, math.Hypot(p.Value-sorted[down].Value, p.Before-sorted[down].Before))
	}
	return best
}

// tailShare is the share of rows from which the tail of a distribution is fitted.
const tailShare = 0.05

// tail estimates how rarely a distance is exceeded: from the rows themselves up to the 95th
// percentile, and beyond it by an exponential through the mean excess, which needs few rows and
// follows a heavy tail by its own weight.
type tail struct {
	Seen  []float64 // an even sample of all rows
	Every int       // rows between two of the sample, less one
	Skip  int       // rows until the next one
	Edge  float64   // the 95th percentile
	Mean  float64   // excess beyond it
	Fresh int       // rows since the fit
}

// add notes a distance. When there is no more room every second one leaves, and from then on every
// second one is noted: old and young rows count alike, for a tail that follows the last weeks alone
// would hold against the stream how well it is known by now.
func (t *tail) add(d float64, remember int) {
	t.Fresh++
	if t.Skip > 0 {
		t.Skip--
		return
	}
	t.Skip = t.Every
	t.Seen = append(t.Seen, d)
	if len(t.Seen) > remember {
		for i := 0; 2*i < len(t.Seen); i++ {
			t.Seen[i] = t.Seen[2*i]
		}
		t.Seen = t.Seen[:(len(t.Seen)+1)/2]
		t.Every = 2*t.Every + 1
		t.Skip = t.Every
	}
}

// surprise is the number of decimal places of the probability of a distance of d or more, 0 for
// what one row in twenty does.
func (t *tail) surprise(d, none float64) float64 {
	if len(t.Seen) < warm {
		return 0
	}
	if len(t.Seen) == warm || t.Fresh > 20+len(t.Seen)/100 {
		t.fit()
	}
	if d <= t.Edge || d <= none {
		return 0
	}
	return min(most, -math.Log10(tailShare)+(d-t.Edge)/max(t.Mean, none)/math.Ln10)
}

func (t *tail) fit() {
	sorted := slices.Sorted(slices.Values(t.Seen))
	n := len(sorted)
	edge := min(int(float64(n)*(1-tailShare)), n-1)
	t.Edge, t.Mean, t.Fresh = sorted[edge], 0, 0
	for _, d := range sorted[edge:] {
		t.Mean += (d - t.Edge) / float64(n-edge)
	}
	// Where the tail is empty, the body gives a scale.
	t.Mean = max(t.Mean, 0.05*(sorted[n*3/4]-sorted[n/4]))
}
