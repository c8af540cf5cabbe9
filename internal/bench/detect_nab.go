package bench

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/detect/metric"
	"github.com/tocsin-ir/tocsin/detect/nab"
)

// nabFigures scores the metric detector on a corpus in the form of the Numenta benchmark, beside
// the windowed Gaussian that one would write first. Without --nab there is nothing to score.
func nabFigures(ctx context.Context, o Options) ([]Result, error) {
	if o.NAB == "" {
		if o.ThresholdFrom != "" {
			return nil, fmt.Errorf("--threshold-from names the corpus that fixes the threshold; name the one to be scored with --nab")
		}
		return nil, nil
	}
	corpus, err := nab.Load(os.DirFS(o.NAB))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.NAB, err)
	}
	ours, err := scoreAll(ctx, corpus, func() scorer { return metric.New(metric.Options{}).Observe })
	if err != nil {
		return nil, err
	}
	plain, err := scoreAll(ctx, corpus, gaussian)
	if err != nil {
		return nil, err
	}
	from, plainFrom, where := ours, plain, "the threshold is the best for this corpus and profile, as the benchmark does it"
	if o.ThresholdFrom != "" {
		others, err := nab.Load(os.DirFS(o.ThresholdFrom))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.ThresholdFrom, err)
		}
		if from, err = scoreAll(ctx, others, func() scorer { return metric.New(metric.Options{}).Observe }); err != nil {
			return nil, err
		}
		if plainFrom, err = scoreAll(ctx, others, gaussian); err != nil {
			return nil, err
		}
		where = fmt.Sprintf("the threshold is the best for the %d files of --threshold-from", len(others))
	}
	var out []Result
	for _, p := range []struct {
		name    string
		profile nab.Profile
	}{{"nab-standard", nab.Standard}, {"nab-low-fp", nab.LowFP}, {"nab-low-fn", nab.LowFN}} {
		at, _ := nab.Best(p.profile, from.all)
		base, _ := nab.Best(p.profile, plainFrom.all)
		notes := fmt.Sprintf("%d files, %d windows, profile %s, threshold %.3f: %s; at the threshold of the program, %.2f: %.1f; by folder: %s",
			len(corpus), ours.windows(), p.profile.Name, at, where, metric.Threshold, nab.Score(p.profile, ours.all, metric.Threshold), ours.byFolder(p.profile, at))
		out = append(out, measured(p.name, nab.Score(p.profile, ours.all, at), "points", "higher", notes).
			beside("windowed Gaussian", nab.Score(p.profile, plain.all, base)))
	}
	if len(ours.folders) > 1 {
		out = append(out, measured("nab-leave-one-out", nab.LeaveOneOut(nab.Standard, ours.folders), "points", "higher",
			"standard profile; every folder at the threshold that is best for the others").
			beside("windowed Gaussian", nab.LeaveOneOut(nab.Standard, plain.folders)))
	}
	return out, nil
}

// scorer takes one row at a time.
type scorer = func(at time.Time, value float64) float64

// scoredCorpus is a corpus as one detector saw it.
type scoredCorpus struct {
	all     []nab.Scored
	folders map[string][]nab.Scored
}

func scoreAll(ctx context.Context, corpus []nab.File, make1 func() scorer) (scoredCorpus, error) {
	out := scoredCorpus{make([]nab.Scored, len(corpus)), map[string][]nab.Scored{}}
	err := together(len(corpus), func(i int) error {
		f, observe := corpus[i], make1()
		s := nab.Scored{Scores: make([]float64, len(f.Values)), Windows: f.Windows}
		for row, v := range f.Values {
			s.Scores[row] = observe(f.Times[row], v)
		}
		out.all[i] = s
		return ctx.Err()
	})
	for i, f := range corpus {
		out.folders[f.Folder()] = append(out.folders[f.Folder()], out.all[i])
	}
	return out, err
}

func (c scoredCorpus) windows() (n int) {
	for _, s := range c.all {
		n += len(s.Windows)
	}
	return n
}

// byFolder lists the score of each folder at one threshold. A folder without windows has what its
// false alarms cost.
func (c scoredCorpus) byFolder(p nab.Profile, threshold float64) string {
	var parts []string
	for name, files := range c.folders {
		parts = append(parts, fmt.Sprintf("%s %.1f", name, nab.Score(p, files, threshold)))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// gaussian is the detector that one writes first: how far a value lies from the mean of the last
// rows, in standard deviations, as a probability. It is the benchmark's own Windowed Gaussian.
func gaussian() scorer {
	const window, step = 6400, 100
	var seen []float64
	var mean, deviation float64
	return func(_ time.Time, value float64) float64 {
		score := 0.0
		if len(seen) > 0 && deviation > 0 {
			score = 1 - math.Erfc(math.Abs(value-mean)/deviation/math.Sqrt2)
		}
		seen = append(seen, value)
		if len(seen) < window || len(seen)%step == 0 {
			last := seen[max(0, len(seen)-window):]
			mean, deviation = 0, 0
			for _, v := range last {
				mean += v / float64(len(last))
			}
			for _, v := range last {
				deviation += (v - mean) * (v - mean) / float64(len(last))
			}
			deviation = math.Sqrt(deviation)
		}
		return score
	}
}
