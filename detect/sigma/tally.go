package sigma

import (
	"math"
	"math/big"
	"slices"
	"sort"
)

// tally measures the entries of one window as they come and go.
type tally struct {
	count  int
	sum    *big.Float     // without rounding, see exact; nil: nothing yet
	values map[uint64]int // of value_count, and of the share of a value
	sorted []float64      // of percentiles
	steps  [32]int        // entries of each rule
}

// exact is how many bits hold any sum of a window: from the smallest float64 to a full window of the largest. A
// sum that rounds would lose the others' numbers beside one that is far larger, and lack them when that has
// left the window: one event would blind a rule for as long as the window does not empty.
const exact = 2200

func (t *tally) add(c *Correlation, x entry) {
	t.count++
	switch c.Type {
	case "value_count":
		t.addValue(x.Value)
	case "value_sum", "value_avg":
		if t.sum == nil {
			t.sum = new(big.Float).SetPrec(exact)
		}
		t.sum.Add(t.sum, big.NewFloat(x.Num))
	case "value_median", "value_percentile":
		if c.percentile < 0 {
			t.addValue(x.Value)
			return
		}
		i := sort.SearchFloat64s(t.sorted, x.Num)
		t.sorted = slices.Insert(t.sorted, i, x.Num)
	case "temporal", "temporal_ordered":
		t.steps[x.Step]++
	}
}

func (t *tally) addValue(v uint64) {
	if t.values == nil {
		t.values = map[uint64]int{}
	}
	t.values[v]++
}

func (t *tally) remove(c *Correlation, x entry) {
	t.count--
	switch c.Type {
	case "value_sum", "value_avg":
		t.sum.Sub(t.sum, big.NewFloat(x.Num))
	case "value_count", "value_median", "value_percentile":
		if c.percentile >= 0 {
			if i := sort.SearchFloat64s(t.sorted, x.Num); i < len(t.sorted) {
				t.sorted = slices.Delete(t.sorted, i, i+1)
			}
			return
		}
		if t.values[x.Value]--; t.values[x.Value] == 0 {
			delete(t.values, x.Value)
		}
	case "temporal", "temporal_ordered":
		t.steps[x.Step]--
	}
}

// value gives what the condition compares, and whether it holds. last is the entry that the
// window ends with.
func (t *tally) value(c *Correlation, entries []entry, last entry) (float64, bool) {
	v := 0.0
	switch c.Type {
	case "event_count":
		v = float64(t.count)
	case "value_count":
		v = float64(len(t.values))
	case "value_sum":
		v, _ = t.sum.Float64()
	case "value_avg":
		v, _ = t.sum.Float64()
		v /= float64(t.count)
	case "value_median", "value_percentile":
		if c.percentile < 0 {
			v = 100 * float64(t.values[last.Value]) / float64(t.count)
		} else {
			v = percentile(t.sorted, c.percentile)
		}
	default:
		return t.temporal(c, entries, last)
	}
	return v, !math.IsNaN(v) && c.holds(v)
}

func (c *Correlation) holds(v float64) bool {
	for _, l := range c.limits {
		if !l.holds(v) {
			return false
		}
	}
	return true
}

// percentile interpolates between the two nearest values; the 50th is the median.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := p / 100 * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (sorted[i+1]-sorted[i])*(at-float64(i))
}

// temporal gives the number of different rules in the window.
func (t *tally) temporal(c *Correlation, entries []entry, last entry) (float64, bool) {
	present := uint32(0)
	different := 0
	for i := range c.Rules {
		if t.steps[i] > 0 {
			present |= 1 << i
			different++
		}
	}
	ordered := c.Type == "temporal_ordered"
	if c.condition == nil {
		if !ordered {
			return float64(different), c.holds(float64(different))
		}
		if !c.holds(float64(different)) {
			return 0, false
		}
		// With fewer rules demanded than named, the longest run in order counts.
		n := longestOrdered(entries, present)
		return float64(n), c.holds(float64(n))
	}
	if !c.condition.given(c, present) {
		return 0, false
	}
	if !ordered {
		return float64(different), true
	}
	// Some choice of the rules that occurred makes the condition true and stands in order. What a
	// condition negates must not have occurred at all, so only rules it asks for are chosen from.
	asked := c.condition.asked(c, false)
	free := present & asked
	for choice := free; ; choice = (choice - 1) & free {
		if c.condition.given(c, present&^asked|choice) && inOrder(entries, choice) {
			return float64(different), true
		}
		if choice == 0 {
			return 0, false
		}
	}
}

// given evaluates a condition of rules.
func (e *expr) given(c *Correlation, present uint32) bool {
	switch e.op {
	case opName:
		return present&(1<<slices.Index(c.Rules, e.name)) != 0
	case opAnd:
		return !slices.ContainsFunc(e.kids, func(k *expr) bool { return !k.given(c, present) })
	case opOr:
		return slices.ContainsFunc(e.kids, func(k *expr) bool { return k.given(c, present) })
	}
	return !e.kids[0].given(c, present)
}

// asked gives the rules that a condition names without a not before them.
func (e *expr) asked(c *Correlation, negated bool) (set uint32) {
	switch e.op {
	case opName:
		if !negated {
			set = 1 << slices.Index(c.Rules, e.name)
		}
	case opNot:
		return e.kids[0].asked(c, !negated)
	}
	for _, k := range e.kids {
		set |= k.asked(c, negated)
	}
	return set
}

// inOrder reports whether the rules of a set occurred one after the other, in the order in which
// the correlation names them, each in an event of its own.
func inOrder(entries []entry, set uint32) bool {
	next := 0
	seq := int64(-1)
	for _, x := range entries {
		for next < 32 && set&(1<<next) == 0 {
			next++
		}
		if next == 32 {
			return true
		}
		if int(x.Step) == next && x.Seq != seq {
			next++
			seq = x.Seq
		}
	}
	return next >= 32 || set>>next == 0
}

// longestOrdered gives the size of the largest set of rules that occurred in order.
func longestOrdered(entries []entry, present uint32) int {
	// best[s] is the longest chain that ends with rule s so far, and the event it ended at.
	type chain struct {
		n   int
		seq int64
	}
	var best [32]chain
	longest := 0
	for _, x := range entries {
		n := 1
		for s := range int(x.Step) {
			if b := best[s]; b.n > 0 && b.seq != x.Seq && b.n+1 > n {
				n = b.n + 1
			}
		}
		if n > best[x.Step].n {
			best[x.Step] = chain{n, x.Seq}
		}
		longest = max(longest, n)
	}
	return longest
}
