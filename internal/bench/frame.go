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
	Ratio    float64   `json:"ratio,omitempty"` // how many times better than the baseline; above 1 is ahead
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
	Full bool   // large rows too
	Dir  string // folder for the run's files; removed afterwards by the caller
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

// rounds runs f once to warm up and n times for the figure, and returns the values.
func rounds(ctx context.Context, n int, f func() (float64, error)) ([]float64, error) {
	if _, err := f(); err != nil {
		return nil, err
	}
	values := make([]float64, 0, n)
	for range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := f()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// figure makes a result from the rounds of the subject and of its baseline.
func figure(name, unit, better string, values []float64, baseline string, base []float64, notes string) Result {
	r := Result{Name: name, Value: median(values), Unit: unit, Better: better, Machine: machine(), Notes: notes,
		Low: slices.Min(values), High: slices.Max(values)}
	if len(base) > 0 {
		r.Baseline = &Baseline{Name: baseline, Value: median(base)}
		if better == "higher" {
			r.Ratio = r.Value / r.Baseline.Value
		} else {
			r.Ratio = r.Baseline.Value / r.Value
		}
	}
	return r
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 1 {
		return s[n/2]
	} else {
		return (s[n/2-1] + s[n/2]) / 2
	}
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
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
			ratio = fmt.Sprintf("%.1f times %s", r.Ratio, map[bool]string{true: "better", false: "worse"}[r.Ratio >= 1])
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

// limit bounds one benchmark; --full may take longer.
const limit = 4 * time.Minute

// Measure runs one benchmark in a folder of its own and removes the folder afterwards.
func Measure(ctx context.Context, b Benchmark, full bool) (_ []Result, err error) {
	if !full {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	dir, err := os.MkdirTemp("", "tocsin-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return b.Run(ctx, Options{Full: full, Dir: dir})
}
