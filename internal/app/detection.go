package app

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/detect/metric"
	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/internal/rulefiles"
	"github.com/tocsin-ir/tocsin/rules"
)

// detection is how the access log is watched: the rules that come with the program, those of the
// configuration, and what credentials may cost.
func (c *Config) detection() (detect.Options, error) {
	o := detect.Options{Level: c.Detection.Level, Budgets: map[string]metric.Budget{}}
	shipped, err := rules.Files()
	if err != nil {
		return o, err
	}
	for _, name := range slices.Sorted(maps.Keys(shipped)) {
		o.Rules = append(o.Rules, sigma.File{Name: "rules/" + name, Data: shipped[name]})
	}
	for i, root := range c.Detection.Rules {
		more, err := rulefiles.Read(c.path(root))
		if err != nil {
			return o, &mistake{Field: fmt.Sprintf("detection.rules[%d]", i), Say: err.Error()}
		}
		o.Rules = append(o.Rules, more...)
	}
	for _, b := range c.Detection.Budgets {
		o.Budgets[b.Credential] = metric.Budget{Amount: b.Amount, Unit: b.Unit, Period: b.Period}
	}
	return o, nil
}
