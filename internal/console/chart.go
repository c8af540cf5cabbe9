package console

import (
	"fmt"
	"net/url"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// chart is what happened when, as bars: its numbers without their words, which stand around it in HTML
// so that they keep their size on a phone. The same numbers stand in a table beneath it.
type chart struct {
	Bars     []rectangle
	Silent   []rectangle // times in which a source said nothing, hatched
	Step     time.Duration
	From, To time.Time
	Most     int64
	MostAt   time.Time
	Rows     []tally.Bucket // of the table, at most chartRows
	Cut      bool           // there are more
	Label    string
}

// rectangle stands in a drawing of chartWidth by chartHeight.
type rectangle struct{ X, Y, W, H float64 }

const (
	chartWidth  = 600.0
	chartHeight = 120.0
	chartBars   = 240 // bars at most: what is more is added up
	chartRows   = 500
)

// newChart draws a timeline; nil when there is nothing to draw.
func newChart(f frame, step int64, list []tally.Bucket, gaps []incident.Gap) *chart {
	if len(list) == 0 || step <= 0 {
		return nil
	}
	c := &chart{Step: time.Duration(step) * time.Second, Rows: list[:min(len(list), chartRows)], Cut: len(list) > chartRows}
	c.From = list[0].From
	last := list[len(list)-1].From
	for last.Sub(c.From)/c.Step >= chartBars {
		c.Step *= 2
	}
	n := int(last.Sub(c.From)/c.Step) + 1
	c.To = c.From.Add(time.Duration(n) * c.Step)
	sums := make([]int64, n)
	for _, b := range list {
		sums[b.From.Sub(c.From)/c.Step] += b.Events
	}
	for i, events := range sums {
		if events > c.Most {
			c.Most, c.MostAt = events, c.From.Add(time.Duration(i)*c.Step)
		}
	}
	width := chartWidth / float64(n)
	for i, events := range sums {
		if events > 0 {
			h := max(1.5, chartHeight*float64(events)/float64(c.Most)) // one access is seen beside a million
			c.Bars = append(c.Bars, rectangle{X: float64(i) * width, Y: chartHeight - h, W: max(width*0.85, 0.5), H: h})
		}
	}
	whole := float64(c.To.Sub(c.From))
	for _, g := range gaps {
		from, to := max(0, float64(g.From.Sub(c.From))), min(whole, float64(g.To.Sub(c.From)))
		if from < to {
			c.Silent = append(c.Silent, rectangle{X: chartWidth * from / whole, W: chartWidth * (to - from) / whole, H: chartHeight})
		}
	}
	c.Label = fmt.Sprintf("Accesses by %s, from %s to %s. At most %s, in the one that begins %s.", stepWord(c.Step), absolute(f, c.From), absolute(f, c.To), number(c.Most), absolute(f, c.MostAt))
	if len(c.Silent) > 0 {
		c.Label += " " + count(int64(len(c.Silent)), "time", "times") + " in which a source said nothing."
	}
	return c
}

// stepWord names the length of a step.
func stepWord(d time.Duration) string {
	switch hours := int64(d / time.Hour); {
	case hours == 1:
		return "hour"
	case hours%24 != 0 || hours == 0:
		return number(hours) + " hours"
	case hours == 24:
		return "day"
	default:
		return number(hours/24) + " days"
	}
}

// at is a coordinate.
func at(x float64) string { return fmt.Sprintf("%.2f", x) }

// cells makes addresses of the events behind the numbers of a scope.
type cells struct {
	base url.Values // which scope
	zone *time.Location
}

// of is the address of those of a merchant, a store, a data type; "" is any.
func (c cells) of(merchant, store, dataType string) string {
	v := url.Values{}
	for name := range c.base {
		v.Set(name, c.base.Get(name))
	}
	for _, f := range [...][2]string{{"merchant", merchant}, {"store", store}, {"data_type", dataType}} {
		if f[1] != "" {
			v.Set(f[0], f[1])
		}
	}
	return "/accesses?" + v.Encode()
}

// during is the address of those of a step of the timeline.
func (c cells) during(from time.Time, step time.Duration) string {
	v := url.Values{"from": {from.In(c.zone).Format("2006-01-02T15:04")}, "to": {from.Add(step).In(c.zone).Format("2006-01-02T15:04")}}
	for name := range c.base {
		v.Set(name, c.base.Get(name))
	}
	return "/accesses?" + v.Encode()
}
