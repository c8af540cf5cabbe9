package sigma

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Correlation is a rule over the detections of other rules.
type Correlation struct {
	Meta
	Type     string   // event_count, value_count, value_sum, value_avg, value_median, value_percentile, temporal or temporal_ordered
	Rules    []string // ids or names, in the order of temporal_ordered
	GroupBy  []string
	Timespan time.Duration
	Aliases  map[string]map[string]string // alias, rule, field
	Values   []string                     // fields that are counted or summed
	Generate bool                         // the rules are reported for themselves too

	limits     []limit
	percentile float64 // of value_percentile; -1: the share of the event's value is meant
	condition  *expr   // of temporal and temporal_ordered; nil: limits on the number of rules
}

// limit compares what was measured with a number.
type limit struct {
	op     string // gt, gte, lt, lte, eq, neq
	number float64
}

func (l limit) holds(v float64) bool {
	switch l.op {
	case "gt":
		return v > l.number
	case "gte":
		return v >= l.number
	case "lt":
		return v < l.number
	case "lte":
		return v <= l.number
	case "eq":
		return v == l.number
	}
	return v != l.number
}

var correlationTypes = []string{"event_count", "value_count", "value_sum", "value_avg", "value_median", "value_percentile", "temporal", "temporal_ordered"}

func (c *Correlation) temporal() bool { return strings.HasPrefix(c.Type, "temporal") }

func (r *reader) correlation(m Meta, n *yaml.Node) *Correlation {
	c := &Correlation{Meta: m, percentile: -1}
	var cond, span *yaml.Node
	rules := n
	for _, p := range r.pairs(n, "correlation") {
		switch p.key.Value {
		case "type":
			if c.Type = r.text(p.value, "type"); !slices.Contains(correlationTypes, c.Type) {
				r.fail(p.value, "there are "+strings.Join(correlationTypes, ", "), "the correlation type %s is not known", quote(c.Type))
			}
		case "rules":
			c.Rules, rules = r.texts(p.value, "rules"), p.value
		case "group-by":
			if p.value.ShortTag() != "!!null" {
				c.GroupBy = r.texts(p.value, "group-by")
			}
		case "timespan":
			span = p.value
			c.Timespan = r.timespan(p.value)
		case "generate":
			c.Generate = r.boolean(p.value, "generate")
		case "aliases":
			c.Aliases = r.aliases(p.value)
		case "condition":
			cond = p.value
		default:
			r.fail(p.key, "there are type, rules, group-by, timespan, condition, aliases and generate", "a correlation has no %s", quote(p.key.Value))
		}
	}
	if c.Type == "" && !r.failed() {
		r.fail(n, "add type: "+strings.Join(correlationTypes, " or "), "the correlation has no type")
	}
	if span == nil {
		r.fail(n, "add timespan:, such as 10m", "the correlation has no timespan")
	}
	if r.failed() {
		return nil
	}
	r.correlationCondition(c, n, cond)
	if len(c.Rules) == 0 {
		r.fail(rules, "name them by id or name", "the correlation names no rules")
	}
	if len(c.Rules) > 32 {
		r.fail(rules, "split it, and correlate the parts", "the correlation names more than 32 rules")
	}
	for i, name := range c.Rules {
		if slices.Contains(c.Rules[:i], name) {
			r.fail(rules, "name it once", "the rule %s is named twice", quote(name))
		}
	}
	for alias, fields := range c.Aliases {
		for rule := range fields {
			if !slices.Contains(c.Rules, rule) {
				r.fail(n, "name it as it stands in rules", "the alias %s names %s, which the correlation has not", quote(alias), quote(rule))
			}
		}
	}
	if r.failed() {
		return nil
	}
	return c
}

func (r *reader) aliases(n *yaml.Node) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, p := range r.pairs(n, "aliases") {
		fields := map[string]string{}
		for _, f := range r.pairs(p.value, "the alias "+quote(p.key.Value)) {
			fields[f.key.Value] = r.text(f.value, "the field")
		}
		out[p.key.Value] = fields
	}
	return out
}

var spanUnits = map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800, 'M': 2629746, 'y': 31556952}

func (r *reader) timespan(n *yaml.Node) time.Duration {
	s := r.text(n, "timespan")
	if s == "" {
		return 0
	}
	unit := spanUnits[s[len(s)-1]]
	count, err := strconv.ParseInt(s[:len(s)-1], 10, 64)
	if err != nil || unit == 0 || count <= 0 || count > maxTimespan/unit {
		r.fail(n, "write a number and s, m, h, d, w, M (month) or y, at most a year: 90m", "%s is no timespan", quote(s))
		return 0
	}
	return time.Duration(count*unit) * time.Second
}

func (r *reader) correlationCondition(c *Correlation, n, cond *yaml.Node) {
	if cond == nil {
		if !c.temporal() {
			r.fail(n, "add condition:, such as gte: 10", "%s has no condition", c.Type)
		}
		c.limits = []limit{{"gte", float64(len(c.Rules))}}
		return
	}
	if cond.Kind == yaml.ScalarNode {
		if !c.temporal() {
			r.fail(cond, "write a map, such as gte: 10", "only temporal correlations have a condition of rules")
			return
		}
		text := r.text(cond, "condition")
		list := words(text)
		if len(c.Rules) == 0 { // the condition itself may name them
			for _, w := range list {
				switch strings.ToLower(w.text) {
				case "and", "or", "not", "(", ")", "|":
				default:
					if !slices.Contains(c.Rules, w.text) {
						c.Rules = append(c.Rules, w.text)
					}
				}
			}
		}
		p := parser{r: r, node: cond, names: c.Rules, words: list}
		c.condition = p.whole()
		if len(c.Rules) > 12 && c.Type == "temporal_ordered" {
			r.fail(cond, "split it, and correlate the parts", "a condition in order names more than 12 rules")
		}
		return
	}
	hasPercentile := false
	for _, p := range r.pairs(cond, "condition") {
		switch k := p.key.Value; k {
		case "field":
			c.Values = r.texts(p.value, "field")
		case "percentile":
			f, ok := r.number(p.value)
			if !ok || f < 0 || f > 100 {
				r.fail(p.value, "write a number from 0 to 100", "%s is no percentile", quote(p.value.Value))
			}
			c.percentile, hasPercentile = f, true
		case "gt", "gte", "lt", "lte", "eq", "neq":
			f, ok := r.number(p.value)
			if !ok {
				r.fail(p.value, "write a number", "%s is no number", quote(p.value.Value))
			}
			if (c.Type == "event_count" || c.Type == "value_count") && f > maxCount {
				r.fail(p.value, "count less, over a shorter time", "no more than %d are counted", maxCount)
			}
			c.limits = append(c.limits, limit{k, f})
		default:
			r.fail(p.key, "there are gt, gte, lt, lte, eq, neq, field and percentile", "a condition has no %s", quote(k))
		}
	}
	if len(c.limits) == 0 && !r.failed() {
		r.fail(cond, "add gt, gte, lt, lte, eq or neq", "the condition compares with nothing")
	}
	needs := strings.HasPrefix(c.Type, "value_")
	if needs && len(c.Values) == 0 {
		r.fail(cond, "add field:", "%s does not say which field", c.Type)
	}
	if needs && c.Type != "value_count" && len(c.Values) > 1 {
		r.fail(cond, "name one", "%s takes one field", c.Type)
	}
	if !needs && len(c.Values) > 0 {
		r.fail(cond, "count values with value_count", "%s counts no field", c.Type)
	}
	if hasPercentile && c.Type != "value_percentile" {
		r.fail(cond, "take it out", "only value_percentile has a percentile")
	}
	if c.Type == "value_percentile" && !hasPercentile && slices.ContainsFunc(c.limits, func(l limit) bool { return l.number > 100 }) {
		c.percentile = 95 // no share is larger than 100, so a percentile of numbers is meant; this one, as in the reference implementation
	}
	if c.Type == "value_median" {
		c.percentile = 50
	}
}

func (r *reader) number(n *yaml.Node) (float64, bool) {
	if n.Kind != yaml.ScalarNode {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}
