package detect

import (
	"strconv"
	"time"

	"github.com/tocsin-ir/tocsin/detect/metric"
	"github.com/tocsin-ir/tocsin/incident"
)

// The classes of signals about numbers.
const (
	ErrorRate      = "error_rate"
	TrafficAnomaly = "traffic_anomaly"
	CostVelocity   = "cost_velocity"
)

const (
	interval  = 5 * time.Minute
	grace     = time.Minute // in which what is late still counts in its interval
	learnRows = 2016        // a week: every hour of it has been seen
	maxQuiet  = 288         // intervals of silence that are counted as none; after a day the source was away
	minShare  = 30          // requests of an interval of which a share says anything
	maxNumber = 1e15
)

// flow is what is counted in the interval at hand and in the one behind it, of which the first events
// come before the last of this one.
type flow struct {
	Start     time.Time
	Now, Next tally
}

type tally struct {
	Requests, Errors, Spent float64
	Unit                    string
}

// into gives the tally of a time, nil when its interval is closed. step is called with each interval
// that ends on the way.
func (f *flow) into(at time.Time, step func(start time.Time, t tally)) *tally {
	start := at.Truncate(interval)
	if f.Start.IsZero() {
		f.Start = start
	}
	for n := 0; !at.Before(f.Start.Add(interval + grace)); n++ {
		if n == maxQuiet {
			f.Start, f.Now, f.Next = start, tally{}, tally{}
			break
		}
		step(f.Start, f.Now)
		unit := f.Now.Unit
		f.Start, f.Now, f.Next = f.Start.Add(interval), f.Next, tally{}
		if f.Now.Unit == "" {
			f.Now.Unit = unit
		}
	}
	switch {
	case start.Before(f.Start):
		return nil
	case start.After(f.Start):
		return &f.Next
	}
	return &f.Now
}

// measure counts an entry in the streams it belongs to.
func (d *Detector) measure(e Entry) (out []incident.Signal) {
	if e.Time.Unix() <= 0 {
		return nil
	}
	d.tidy(e.Time)
	report := func(class string, found []incident.Signal) {
		for _, s := range found {
			s.Class, s.App = class, e.App
			out = append(out, s)
		}
	}
	switch e.Kind {
	case "pii_access", "http_access":
		f := d.s.Flows[e.App]
		if f == nil {
			f = &flow{}
			d.s.Flows[e.App] = f
		}
		subject := "app:" + e.App
		t := f.into(e.Time, func(start time.Time, t tally) {
			found := d.numbers.Observe(metric.Reading{Subject: subject, Name: "requests", Unit: "in 5 minutes", At: start, Value: t.Requests, Times: 4, Least: 100})
			report(TrafficAnomaly, d.news(e.App, TrafficAnomaly, start, found))
			if t.Requests >= minShare {
				found = d.numbers.Observe(metric.Reading{Subject: subject, Name: "error share", Unit: "of requests", At: start, Value: t.Errors / t.Requests, Rise: true, Times: 5, Least: 0.2})
				report(ErrorRate, d.news(e.App, ErrorRate, start, found))
			}
		})
		if t == nil {
			d.s.Late++
			return out
		}
		t.Requests++
		if e.Outcome == "error" || e.Outcome == "denied" {
			t.Errors++
		}
		if b, ok := d.o.Budgets[e.Credential]; ok {
			switch b.Unit {
			case "events":
				report(CostVelocity, d.spend(e, 1))
			case "records":
				report(CostVelocity, d.spend(e, float64(e.Records)))
			}
		}
	case "metric":
		name, value, unit := d.reading()
		if name == "" || !(value >= -maxNumber && value <= maxNumber) {
			return nil
		}
		if name != metric.Cost {
			subject := "app:" + e.App
			if e.Credential != "" {
				subject = "credential:" + e.Credential
			}
			class := TrafficAnomaly
			if name == "error share" || name == "error rate" || name == "errors" {
				class = ErrorRate
			}
			report(class, d.numbers.Observe(metric.Reading{Subject: subject, Name: name, Unit: unit, At: e.Time, Value: value, Rise: class == ErrorRate}))
			return out
		}
		if e.Credential == "" || value < 0 {
			return nil
		}
		report(CostVelocity, d.spend(e, value))
		f := d.s.Spending[e.Credential]
		if f == nil {
			f = &flow{}
			d.s.Spending[e.Credential] = f
		}
		t := f.into(e.Time, func(start time.Time, t tally) {
			report(CostVelocity, d.numbers.Observe(metric.Reading{Subject: "credential:" + e.Credential, Name: "cost in 5 minutes", Unit: t.Unit, At: start, Value: t.Spent, Rise: true}))
		})
		if t == nil {
			d.s.Late++
			return out
		}
		t.Spent += value
		t.Unit = unit
	}
	return out
}

// news leaves out what the numbers of an app say when it is known who did it, and what they said less
// than a day ago.
func (d *Detector) news(app, class string, start time.Time, found []incident.Signal) []incident.Signal {
	if len(found) == 0 || d.usual.Over(app).After(start.Add(-2*interval)) {
		return nil
	}
	key := class + "\x00" + app
	if last, ok := d.s.Alarms[key]; ok && start.Before(last.Add(24*time.Hour)) {
		return nil
	}
	d.s.Alarms[key] = start
	return found
}

func (d *Detector) spend(e Entry, amount float64) []incident.Signal {
	if s, ok := d.numbers.Spend("credential:"+e.Credential, e.Time, amount); ok {
		return []incident.Signal{s}
	}
	return nil
}

// reading is what an event of the kind metric says.
func (d *Detector) reading() (name string, value float64, unit string) {
	if !d.read {
		return "", 0, ""
	}
	one := func(field string) string {
		if v := d.event.Get(field); len(v) > 0 {
			return short(v[0], 64)
		}
		return ""
	}
	v, err := strconv.ParseFloat(one("attributes.value"), 64)
	if err != nil {
		return "", 0, ""
	}
	return one("attributes.name"), v, one("attributes.unit")
}

// tidy forgets the open intervals of apps and credentials that were quiet for a day when there are
// many: whoever invents credentials fills no memory.
func (d *Detector) tidy(now time.Time) {
	for _, flows := range []map[string]*flow{d.s.Flows, d.s.Spending} {
		if len(flows) <= 4*d.o.MaxStreams {
			continue
		}
		for k, f := range flows {
			if f.Start.Before(now.Add(-24 * time.Hour)) {
				delete(flows, k)
			}
		}
		if len(flows) > 4*d.o.MaxStreams {
			clear(flows)
		}
	}
}
