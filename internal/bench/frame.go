// Package bench is the frame of tocsin bench: it warms up, repeats, takes the median and the
// spread, puts a baseline measured in the same run beside each figure, and cleans up after itself.
// A figure is a ratio first and an absolute number second: machines differ, the ratio holds.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is one figure.
type Result struct {
	Name     string    `json:"name"`
	Value    float64   `json:"value"` // median over the rounds
	Unit     string    `json:"unit"`
	Better   string    `json:"better"` // higher or lower
	Baseline *Baseline `json:"baseline,omitempty"`
	Ratio    float64   `json:"ratio,omitempty"` // how many times better than the baseline, median over the rounds; above 1 is ahead
	Machine  string    `json:"machine"`
	Notes    string    `json:"notes,omitempty"`
	Low      float64   `json:"low"` // of the rounds
	High     float64   `json:"high"`
}

// Baseline is what a user would use instead, measured in the same run.
type Baseline struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Options say how much to run and where.
type Options struct {
	Full  bool   // large rows too
	Short bool   // a small share of the work, to show that a benchmark runs; its figures mean little
	Dir   string // where Measure makes the folder of a run, "" for the system's; and that folder itself in Run
	// Corpora of the benchmark detect in the form of the Numenta benchmark: the one that is scored,
	// and the one that fixes the threshold, "" for the same.
	NAB, ThresholdFrom string
	// Folders of the benchmark detect: Sigma rules, and CloudTrail files.
	Rules, Records string

	// A file of access events and one that names those of attacks, for the benchmark detect.
	Events, Truth string

	Count int    // events of the benchmark scope; 0: as many as fit the limit, or the large rows
	Table string // where its tables are kept, and taken from when they are there; "": nowhere

	Spend time.Duration // what the rounds of one benchmark may take together; 0: as long as they need
}

// of returns n, or a share of it when a run only has to show that it works.
func (o Options) of(n int) int {
	if o.Short {
		return max(n/50, 2)
	}
	return n
}

// Benchmark is one named set of figures.
type Benchmark struct {
	Name, Says string
	Run        func(ctx context.Context, o Options) ([]Result, error)
}

// All lists the benchmarks by name.
func All() []Benchmark {
	return []Benchmark{
		{"engine", "cost of a tick over 10,000 open incidents of 20 duties; facts folded per second", engine},
		{"submit", "durable commands per second at 1 and 64 callers, beside one insert per transaction", submit},
		{"ingest", "access events per second up to the durable answer over HTTP, in batches and one by one, and as long as one likes into the table; how long it takes, and what they weigh", intake},
		{"scope", "who is affected: over a month of a drill's size, and of millions of events by columns; what they weigh", scopes},
		{"detect", "what the detectors find, how soon and at what cost, in planted attacks and in metrics", detection},
		{"policy", "a policy of 2,000 lines, beside its YAML alone; 5,000 merchants explained; 10,000 incidents woken; texts that are made to cost much", policies},
		{"console", "pages with 1,000 incidents on the board", consolePages},
	}
}

// Find returns the benchmark of a name, or an error that lists the names.
func Find(name string) ([]Benchmark, error) {
	all := All()
	if name == "all" {
		return all, nil
	}
	var names []string
	for _, b := range all {
		if b.Name == name {
			return []Benchmark{b}, nil
		}
		names = append(names, b.Name)
	}
	sort.Strings(names)
	return nil, fmt.Errorf("there is no benchmark %q: there are %s, and all", name, strings.Join(names, ", "))
}

// leastRounds are run even when the time is up, so that there is a median and a spread.
const leastRounds = 3

// series is what one side of a comparison measured, a value a round.
type series = []float64

// alternate runs each function once to warm up and then all of them in turn, n times. The sides of
// a comparison meet the same moments of a machine that also does other things, so their ratio
// holds where their figures waver. It ends early when the time to spend is up.
func alternate(ctx context.Context, o Options, n int, sides ...func() (float64, error)) ([]series, error) {
	all := make([]series, len(sides))
	began := time.Now()
	for round := range n + 1 {
		if round > leastRounds && o.Spend > 0 && time.Since(began) > o.Spend {
			break
		}
		for i, f := range sides {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			// What the other side left behind is not this side's to clear away.
			runtime.GC()
			v, err := f()
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first warms up
				all[i] = append(all[i], v)
			}
		}
	}
	return all, nil
}

// figure makes a result from the rounds of the subject and of its baseline.
func figure(name, unit, better string, values series, baseline string, base series, notes string) Result {
	r := Result{Name: name, Value: median(values), Unit: unit, Better: better, Machine: machine(),
		Notes: fmt.Sprintf("%s; median of %d rounds", notes, len(values)), Low: slices.Min(values), High: slices.Max(values)}
	if len(base) > 0 {
		r.Baseline = &Baseline{Name: baseline, Value: median(base)}
		r.Ratio = ratio(better, values, base)
	}
	return r
}

// ratio is the median over the rounds of how many times better the subject was than its baseline a
// moment later. It is not the ratio of the two medians: what else the machine did changes from
// round to round, and within a round it is much the same for both.
func ratio(better string, values, base series) float64 {
	var ratios series
	for i := range min(len(values), len(base)) {
		if better == "higher" {
			ratios = append(ratios, values[i]/base[i])
		} else {
			ratios = append(ratios, base[i]/values[i])
		}
	}
	return median(ratios)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// diskWait is the median time that a small write and its fsync take in a folder. Whatever is
// durable waits for it at least once, so a figure of durable work means little without it.
func diskWait(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, err
	}
	page := make([]byte, 4096)
	var took []float64
	for i := range int64(40) {
		began := time.Now()
		if _, err := f.WriteAt(page, i*int64(len(page))); err != nil {
			return 0, errors.Join(err, f.Close())
		}
		if err := f.Sync(); err != nil {
			return 0, errors.Join(err, f.Close())
		}
		took = append(took, float64(time.Since(began)))
	}
	return time.Duration(median(took)), errors.Join(f.Close(), os.Remove(f.Name()))
}

// durable says in a result's notes how long this disk takes.
func durable(dir string) (string, error) {
	wait, err := diskWait(dir)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("a 4 KiB write and fsync takes %s here", wait.Round(10*time.Microsecond)), nil
}

// perSecond turns a count and the time it took into a rate.
func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }

// percentile returns the p-th percentile of durations in milliseconds.
func percentile(d []time.Duration, p float64) float64 {
	s := slices.Sorted(slices.Values(d))
	i := int(math.Ceil(p/100*float64(len(s)))) - 1
	return float64(s[max(i, 0)]) / float64(time.Millisecond)
}

// WriteJSON writes the results in the shape every tool of ours reads.
func WriteJSON(w io.Writer, results []Result) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Results []Result `json:"results"`
	}{results})
}

// WriteTable writes the results for people.
func WriteTable(w io.Writer, results []Result) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tVALUE\tUNIT\tSPREAD\tBASELINE\tRATIO")
	for _, r := range results {
		base, ratio := "-", "-"
		if r.Baseline != nil {
			base = fmt.Sprintf("%s %s", number(r.Baseline.Value), r.Baseline.Name)
			if ratio = fmt.Sprintf("%.1f times better", r.Ratio); r.Ratio == 0 {
				ratio = "-" // one of the two is none
			} else if r.Ratio < 1 {
				ratio = fmt.Sprintf("%.1f times worse", 1/r.Ratio)
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s to %s\t%s\t%s\n", r.Name, number(r.Value), r.Unit, number(r.Low), number(r.High), base, ratio)
	}
	return tw.Flush()
}

func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// The bounds of one benchmark: the rounds end well before the limit, which only stops what hangs.
// --full lifts both; a number of events of one's own lifts the limit, because making them may take longer.
const (
	limit = 4 * time.Minute
	spend = 45 * time.Second // for each comparison; no benchmark makes more than three
)

// Measure runs one benchmark in a folder of its own and removes the folder afterwards.
func Measure(ctx context.Context, b Benchmark, o Options) (_ []Result, err error) {
	if !o.Full {
		o.Spend = spend
	}
	if !o.Full && o.Count == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("it was not done after %s", limit))
		defer cancel()
	}
	dir, err := os.MkdirTemp(o.Dir, "tocsin-bench-")
	if err != nil {
		return nil, err
	}
	// A kill leaves the folder, and nothing else.
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o.Dir = dir
	results, err := b.Run(ctx, o)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return results, err
}
