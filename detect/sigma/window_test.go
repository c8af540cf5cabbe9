package sigma

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// anew is what a late entry changes, with every window counted from nothing.
func anew(c *Correlation, w *window, in entry) (end int64, value float64, fire bool) {
	span := int64(c.Timespan)
	entries := slices.Clone(w.Entries)
	at, _ := slices.BinarySearchFunc(entries, in.At, func(e entry, at int64) int {
		if e.At > at {
			return 1
		}
		return -1
	})
	entries = slices.Insert(entries, at, in)
	for i := at; i < len(entries) && entries[i].At <= in.At+span; i++ {
		var t tally
		first := -1
		for j, x := range entries[:i+1] {
			if x.At >= entries[i].At-span {
				if first < 0 {
					first = j
				}
				t.add(c, x)
			}
		}
		v, ok := t.value(c, entries[first:i+1], entries[i])
		if ok && (!w.Ever || abs(entries[i].At-w.Fired) >= span) {
			return entries[i].At, v, true
		}
	}
	return 0, 0, false
}

func TestALateEntryIsSeenInEveryWindowItIsIn(t *testing.T) {
	for _, c := range []*Correlation{
		{Type: "event_count", percentile: -1, limits: []limit{{"gte", 6}}},
		{Type: "value_count", percentile: -1, limits: []limit{{"gte", 4}}},
		{Type: "value_sum", percentile: -1, limits: []limit{{"gt", 30}}},
		{Type: "value_median", percentile: 50, limits: []limit{{"gt", 7}}},
		{Type: "value_percentile", percentile: -1, limits: []limit{{"gt", 60}}},
		{Type: "temporal", percentile: -1, Rules: []string{"a", "b", "c"}, limits: []limit{{"gte", 3}}},
		{Type: "temporal_ordered", percentile: -1, Rules: []string{"a", "b", "c"}, limits: []limit{{"gte", 3}}},
	} {
		c.Timespan = 20 * time.Nanosecond
		fired := 0
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 1))
			w, stats := &window{}, &Stats{}
			for i := range 80 {
				in := entry{At: int64(i)*2 - r.Int64N(30), Seq: int64(i), Step: uint8(r.IntN(3)), Value: r.Uint64N(6), Num: float64(r.IntN(10))}
				late := len(w.Entries) > 0 && in.At < w.Entries[len(w.Entries)-1].At
				var end int64
				var value float64
				var fire bool
				if late {
					end, value, fire = anew(c, w, in)
				}
				gotEnd, gotValue, got := w.add(c, in, 1000, stats)
				if late && (gotEnd != end || gotValue != value || got != fire) {
					t.Fatalf("%s, seed %d: entry %d at %d gives %d, %v, %v, and counted anew %d, %v, %v", c.Type, seed, i, in.At, gotEnd, gotValue, got, end, value, fire)
				}
				if late && fire {
					fired++
				}
			}
		}
		if fired == 0 {
			t.Errorf("%s: no late entry made a window hold", c.Type)
		}
	}
}

// Whoever may send events may send them newest first: each is in the windows of all before it. Counting
// these anew took the cube of their number: many minutes for these. The limit only ends such a run early.
func TestEventsThatComeNewestFirstDoNotHoldUpTheDetector(t *testing.T) {
	c := &Correlation{Type: "event_count", percentile: -1, Timespan: time.Hour, limits: []limit{{"gte", 1e9}}}
	w, stats := &window{}, &Stats{}
	began := time.Now()
	for i := range int64(5000) {
		w.add(c, entry{At: -i * int64(time.Millisecond), Seq: i}, int64(time.Hour), stats)
		if took := time.Since(began); took > 3*time.Minute {
			t.Fatalf("%d events took %v", i+1, took)
		}
	}
	if len(w.Entries) != 5000 || w.sum.count != 5000 {
		t.Errorf("%d entries, %d in the window", len(w.Entries), w.sum.count)
	}
}

// What an event costs that comes a little late, as most do that servers send in batches, beside one that comes in
// its turn: fifty thousand events of one group in five minutes, each up to two seconds late.
func BenchmarkEntriesThatComeALittleLate(b *testing.B) {
	for _, late := range []time.Duration{0, 2 * time.Second} {
		b.Run(late.String(), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			c := &Correlation{Type: "value_count", percentile: -1, Timespan: 5 * time.Minute, limits: []limit{{"gte", 1e9}}}
			w, stats := &window{}, &Stats{}
			for i := range int64(b.N) {
				at := i * int64(6*time.Millisecond)
				if late > 0 {
					at -= r.Int64N(int64(late))
				}
				w.add(c, entry{At: at, Seq: i, Value: uint64(i)}, int64(time.Minute), stats)
			}
		})
	}
}

// A window that is full has forgotten its oldest entries before they are cleared away. A late entry does not bring
// them back, in a detector that was restored neither.
func TestALateEntryInAFullWindowCountsWhatTheWindowHolds(t *testing.T) {
	for _, place := range []int64{0, 20, 3000} { // before what is forgotten, in it and after it
		c := &Correlation{Type: "value_count", percentile: -1, Timespan: time.Hour, limits: []limit{{"gte", 1e9}}}
		w, stats := &window{}, &Stats{}
		for i := range int64(maxWindow + 30) {
			w.add(c, entry{At: 10 * (i + 1), Seq: i, Value: uint64(i)}, int64(time.Minute), stats)
		}
		restored := &window{Entries: slices.Clone(w.Entries)}
		restored.rebuild(c)
		for _, w := range []*window{w, restored} {
			w.add(c, entry{At: 10*place + 5, Seq: 1e6, Value: 1e9}, int64(time.Minute), stats)
			for i := range int64(100) {
				w.add(c, entry{At: 10 * (2*maxWindow + i), Seq: 1e6 + i, Value: uint64(1e7 + i)}, int64(time.Minute), stats)
			}
			if held := len(w.Entries) - w.from; held != maxWindow || w.sum.count != held || len(w.sum.values) != held {
				t.Errorf("late at %d: %d entries in the window, %d counted, %d values", place, held, w.sum.count, len(w.sum.values))
			}
		}
	}
}

// One number far larger than the others hides them only while it is in the window: neither afterwards nor from the
// windows before it.
func TestAHugeNumberLeavesTheSumsOfOthersAlone(t *testing.T) {
	c := &Correlation{Type: "value_sum", percentile: -1, Timespan: 20 * time.Nanosecond, limits: []limit{{"gte", 5.5}}}
	w, stats := &window{}, &Stats{}
	add := func(at int64, num float64, wantEnd int64, want float64) {
		t.Helper()
		end, value, fire := w.add(c, entry{At: at, Num: num}, 1000, stats)
		if end != wantEnd || value != want || fire != (want != 0) {
			t.Errorf("at %d: window to %d, %v, %v, want to %d, %v", at, end, value, fire, wantEnd, want)
		}
	}
	add(1, 2.5, 0, 0)
	add(10, 2.5, 0, 0)
	add(15, -1e300, 0, 0)
	add(5, 0.5, 10, 5.5) // late, and before the huge one
	add(30, 0.1, 0, 0)
	add(34, 0.2, 0, 0)
	add(36, 5.2, 36, 5.5)
	add(60, 1, 0, 0)
	add(62, 4.5, 62, 5.5)
}
