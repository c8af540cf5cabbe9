// Package metric notices when a stream of numbers stops looking like itself: requests a minute,
// the share of errors, a latency, memory in use, money spent by a credential. It needs no
// threshold, no unit and no training: a Detector is shown one row after the other and says of each,
// before it sees the next, how unusual it is.
//
// # How
//
// Novelty, not distance from a mean, is what is measured: a value is unusual when nothing like it
// has been seen, wherever between the smallest and the largest it lies. Five views of the stream
// each remember what they saw and give the distance of the new row to its nearest neighbour there:
//
//   - the value itself: a height that was never reached, a gap between two usual levels;
//   - the value with the one before it: a jump between two usual heights;
//   - the average of the last three: a height that is now and then reached, and now kept;
//   - the value less what is usual at this time of day: a quiet night at noon;
//   - the spread of the last 48 values: noise that grows, a line that goes flat.
//
// Distances mean nothing across streams, so each view turns its distance into a probability: the
// share of earlier rows that were as far from their neighbours, continued beyond the farthest one
// as an exponential tail. The smallest of the five speaks.
//
// A stream that is watched for long meets rare rows by chance. So that the false alarms of a whole
// life have a bound and not a rate, row n has to be rarer by n to the power of Spend: the series
// of 1/n^1.3 converges. And what goes on is reported once: a row counts only when it is more
// unusual than every one of the last Spell rows.
//
// The package is pure: time is the time of the rows. A Detector is not safe for concurrent use.
package metric

import (
	"math"
	"time"
)

// Options tune a detector. The zero value of a field is its default.
type Options struct {
	Remember int     // points that each view remembers; default 2,000
	Spell    int     // rows in which one anomaly is reported once; default 100
	Spend    float64 // how much rarer a row has to be the more rows were seen; default 1.3

	// Learn is for Streams alone: the rows that a stream only learns from.
	Learn int
}

// Threshold is the score from which a row is worth an alarm. It was fixed on four folders of the
// Numenta benchmark and holds for every stream.
const Threshold = 0.5

const (
	warm       = 30      // rows before anything is judged
	spendFrom  = 1000    // the row at which Spend asks nothing
	spendUntil = 100_000 // and the row from which it asks no more: a detector must not go deaf with age
	most       = 40.0    // decimal places of a probability; beyond them it makes no difference
	half       = 1.95    // decimal places at which the score is Threshold
	shortRows  = 3
	spreadRows = 48
)

func (o Options) withDefaults() Options {
	if o.Remember < 2*warm {
		o.Remember = 2000
	}
	if o.Spell <= 0 {
		o.Spell = 100
	}
	if o.Spend <= 0 {
		o.Spend = 1.3
	}
	return o
}

// Detector watches one stream.
type Detector struct {
	o Options
	s state
}

// state is what a detector has learned. Its fields are exported for the snapshot alone.
type state struct {
	Rows    int
	Late    int
	Newest  time.Time
	Last    float64
	Day     profile
	Recent  []float64 // the last spreadRows values
	Views   [5]view   // value, pair, short average, residual, spread
	Spoken  []float64 // surprise of the last Spell rows, a ring
	Largest float64   // magnitude seen: what counts as no difference at all is relative to it
}

// New makes a detector that has seen nothing.
func New(o Options) *Detector { return &Detector{o: o.withDefaults()} }

// Late counts the rows that were older than the one before them. They are not judged and teach
// nothing: a metric is a sum over its interval, and one that comes again corrects what was judged.
func (d *Detector) Late() int { return d.s.Late }

// Observe takes the next row and gives its score in [0, 1]. The zone of the time is the one whose
// day and night the stream follows. A value that is no finite number is passed over with score 0.
func (d *Detector) Observe(at time.Time, value float64) float64 {
	s := &d.s
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0
	}
	if at.Before(s.Newest) {
		s.Late++
		return 0
	}
	s.Newest = at
	value = max(min(value, 1e150), -1e150) // a square still is a number
	if s.Rows == 0 {
		s.Last = value
	}
	s.Largest = max(s.Largest, math.Abs(value))
	residual := s.Day.residual(at, value)
	s.Recent = append(s.Recent, value)
	if len(s.Recent) > spreadRows {
		s.Recent = append(s.Recent[:0], s.Recent[1:]...)
	}
	none := 1e-9 * s.Largest
	surprise := 0.0
	for i, p := range [...]point{{value, 0}, {value, s.Last}, {mean(s.Recent[max(0, len(s.Recent)-shortRows):]), 0}, {residual, 0}, {deviation(s.Recent), 0}} {
		surprise = max(surprise, s.Views[i].see(p, d.o.Remember, none))
	}
	s.Last = value
	s.Rows++
	if surprise > 0 {
		n := float64(min(s.Rows, spendUntil))
		surprise = max(0, surprise-d.o.Spend*math.Log10(n/spendFrom))
	}
	if surprise <= d.spoken(surprise) {
		return 0
	}
	return surprise / (surprise + half)
}

// spoken is the largest surprise of the last Spell rows; it notes the new one in the oldest's place.
func (d *Detector) spoken(surprise float64) float64 {
	largest := 0.0
	for _, v := range d.s.Spoken {
		largest = max(largest, v)
	}
	if len(d.s.Spoken) < d.o.Spell {
		d.s.Spoken = append(d.s.Spoken, surprise)
	} else {
		d.s.Spoken[d.s.Rows%d.o.Spell] = surprise
	}
	return largest
}

// Usual is what the stream usually is at this time of day, and the smallest and the largest value
// that is remembered. ok is false before anything is judged.
func (d *Detector) Usual(at time.Time) (usual, low, high float64, ok bool) {
	seen := d.s.Views[0].Sorted
	if d.s.Rows < warm || len(seen) == 0 {
		return 0, 0, 0, false
	}
	usual = d.s.Day.Mean
	if i := halfHour(at); d.s.Day.Known[i] {
		usual = d.s.Day.Usual[i]
	}
	return usual, seen[0].Value, seen[len(seen)-1].Value, true
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

func deviation(v []float64) float64 {
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m) / float64(len(v))
	}
	return math.Sqrt(sum)
}

// profile is what is usual at each half hour of the day. It follows a drift with a tenth of the
// difference each row.
type profile struct {
	Usual [48]float64
	Known [48]bool
	Mean  float64 // of all rows, for a half hour that is met for the first time
	Rows  int
}

// residual is the value less what was usual at its time, and then learns it.
func (p *profile) residual(at time.Time, value float64) float64 {
	if p.Rows == 0 {
		p.Mean = value
	}
	p.Rows++
	i := halfHour(at)
	usual := p.Mean
	p.Mean += 0.01 * (value - p.Mean)
	if p.Known[i] {
		usual = p.Usual[i]
		p.Usual[i] += 0.1 * (value - usual)
	} else {
		p.Usual[i], p.Known[i] = value, true
	}
	return value - usual
}

func halfHour(at time.Time) int { return (at.Hour()*60 + at.Minute()) / 30 }
