// Package nab scores detectors of anomalies in metrics as the Numenta Anomaly Benchmark does.
//
// A label of the benchmark is a window of rows. The earliest alarm inside a window counts, more the
// earlier it comes; every alarm outside costs, more the further it stands behind the window before
// it. One threshold holds for the whole corpus, and the first rows of a file are not scored, so
// that a detector can learn. The sum is scaled so that a detector which never speaks has 0 and one
// which speaks once at the first row of each window has 100.
//
// Source: Lavin and Ahmad, Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly
// Benchmark (2015), and the scaled sigmoid of its code, whose largest value is 0.98661.
//
// The package is pure: a corpus is read from an fs.FS that the caller opens.
package nab

import (
	"cmp"
	"math"
	"slices"
)

// Window is a labelled anomaly: the rows First to Last of a file, both included.
type Window struct{ First, Last int }

func (w Window) width() int { return w.Last - w.First + 1 }

// Profile weighs what a detector gets right and wrong.
type Profile struct {
	Name       string
	TP, FP, FN float64
}

// The profiles of the benchmark.
var (
	Standard = Profile{"standard", 1, 0.11, 1}
	LowFP    = Profile{"reward_low_FP_rate", 1, 0.22, 1}
	LowFN    = Profile{"reward_low_FN_rate", 1, 0.11, 2}
)

// Scored is a file as a detector saw it: a score for each row, and what is true.
type Scored struct {
	Scores  []float64 // in [0, 1]; an alarm is a score at or above the threshold
	Windows []Window  // in order, apart from each other
}

// Probation is the number of first rows that are not scored in a file of n rows.
func Probation(n int) int { return min(n*15/100, 750) }

// best is the scaled sigmoid at the left end of a window.
const best = 0.98661

func sigmoid(p float64) float64 { return 2/(1+math.Exp(5*p)) - 1 }

// inside is what an alarm at row i of w is worth, before its weight: 1 at the first row and nearly
// 0 at the last.
func inside(w Window, i int) float64 {
	return sigmoid(-float64(w.Last-i+1)/float64(w.width())) / best
}

// outside is what an alarm at row i costs, before its weight: nearly 0 just behind a window, and 1
// at three times its width and where no window stands before it.
func outside(before *Window, i int) float64 {
	if before == nil || before.width() < 2 {
		return -1
	}
	p := math.Abs(float64(before.Last-i)) / float64(before.width()-1)
	if p > 3 {
		return -1
	}
	return sigmoid(p)
}

// alarm is a row that may raise an alarm and what it would be worth.
type alarm struct {
	score  float64
	window int // in the corpus; -1 outside
	worth  float64
}

// alarms lists the scored rows of a corpus, the highest score first, and counts the windows.
func alarms(p Profile, corpus []Scored) (all []alarm, windows int) {
	for _, f := range corpus {
		var before *Window
		next := 0
		for i, s := range f.Scores {
			for next < len(f.Windows) && i > f.Windows[next].Last {
				before = &f.Windows[next]
				next++
			}
			if i < Probation(len(f.Scores)) {
				continue
			}
			if next < len(f.Windows) && i >= f.Windows[next].First {
				all = append(all, alarm{s, windows + next, p.TP * inside(f.Windows[next], i)})
			} else {
				all = append(all, alarm{s, -1, p.FP * outside(before, i)})
			}
		}
		windows += len(f.Windows)
	}
	slices.SortStableFunc(all, func(a, b alarm) int { return cmp.Compare(b.score, a.score) })
	return all, windows
}

// sweep lowers the threshold from alarm to alarm and calls visit with each threshold and the final
// score at it, until visit returns false. The first threshold is above every score.
func sweep(p Profile, corpus []Scored, visit func(threshold, score float64) bool) {
	all, windows := alarms(p, corpus)
	null := -float64(windows) * p.FN
	perfect := float64(windows) * p.TP
	final := func(raw float64) float64 {
		if windows == 0 { // nothing to find: 0 without an alarm, and below it with any
			return 100 * raw
		}
		return 100 * (raw - null) / (perfect - null)
	}
	found := make([]float64, windows)
	for i := range found {
		found[i] = -p.FN
	}
	raw := null
	if !visit(math.Inf(1), final(raw)) {
		return
	}
	for i := 0; i < len(all); {
		at := all[i].score
		for ; i < len(all) && all[i].score == at; i++ {
			a := all[i]
			if a.window < 0 {
				raw += a.worth
			} else if a.worth > found[a.window] {
				raw += a.worth - found[a.window]
				found[a.window] = a.worth
			}
		}
		if !visit(at, final(raw)) {
			return
		}
	}
}

// Score is the final score of a corpus at a threshold: 0 for silence, 100 for perfection, and
// below 0 when false alarms cost more than was found.
func Score(p Profile, corpus []Scored, threshold float64) float64 {
	score := 0.0
	sweep(p, corpus, func(at, s float64) bool {
		if at < threshold {
			return false
		}
		score = s
		return true
	})
	return score
}

// Best is the threshold at which the final score of the whole corpus is highest, and that score.
// Where several thresholds do as well, it is the highest: the one with the fewest alarms.
func Best(p Profile, corpus []Scored) (threshold, score float64) {
	threshold = math.Inf(1)
	sweep(p, corpus, func(at, s float64) bool {
		if s > score {
			threshold, score = at, s
		}
		return true
	})
	return threshold, score
}

// LeaveOneOut is the final score when every folder is scored at the threshold that is best for the
// other folders: what a threshold is worth on streams of kinds that it was not chosen on.
func LeaveOneOut(p Profile, folders map[string][]Scored) float64 {
	var judged []Scored
	for name, folder := range folders {
		var others []Scored
		for other, files := range folders {
			if other != name {
				others = append(others, files...)
			}
		}
		threshold, _ := Best(p, others)
		for _, f := range folder {
			j := Scored{make([]float64, len(f.Scores)), f.Windows}
			for i, s := range f.Scores {
				if s >= threshold {
					j.Scores[i] = 1
				}
			}
			judged = append(judged, j)
		}
	}
	return Score(p, judged, 1)
}
