package bench

import "context"

// detectParts are what the benchmark detect measures, in this order: first what needs files that
// flags name, so that a wrong name is said at once.
var detectParts = []func(context.Context, Options) ([]Result, error){labelledFigures, nabFigures, sigmaBench, entityMemory, plantedFigures}

// detection measures the detectors. Parts that need outside material run when a flag names it.
func detection(ctx context.Context, o Options) ([]Result, error) {
	var all []Result
	for _, part := range detectParts {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		results, err := part(ctx, o)
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
	}
	return all, nil
}

// measured is a result of one measurement that is no time and has no spread.
func measured(name string, value float64, unit, better, notes string) Result {
	return Result{Name: name, Value: value, Unit: unit, Better: better, Machine: machine(), Notes: notes, Low: value, High: value}
}

// beside puts what one would use instead next to a result.
func (r Result) beside(name string, value float64) Result {
	r.Baseline = &Baseline{Name: name, Value: value}
	switch {
	case r.Better == "higher" && value > 0:
		r.Ratio = r.Value / value
	case r.Better == "lower" && r.Value > 0:
		r.Ratio = value / r.Value
	}
	return r
}
