package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Planted is something that was made to go wrong, and has to be noticed.
type Planted struct {
	Promise string    `json:"promise"`
	At      time.Time `json:"at"`
	Events  []string  `json:"events,omitempty"`  // what gives it away, by id; none where numbers do
	Subject string    `json:"subject,omitempty"` // whom the signal has to name
}

// signalClasses are the classes of signals that each of these promises is about.
var signalClasses = map[string][]string{
	"DET-4": {"error_rate", "traffic_anomaly"}, "DET-5": {"cost_velocity"}, "DET-8": {"order_fraud"}, "DET-9": {"secret_scanning"}, "DET-10": {"cloud_alert"},
}

// alarmed: a signal of the right class names what was planted, in time, and the days before it raised none.
func (b *bench) alarmed(p *row) error {
	i := slices.IndexFunc(b.truth.Planted, func(x Planted) bool { return x.Promise == p.ID })
	if i < 0 {
		return errors.New("nothing was planted that it could notice")
	}
	if n := b.c.FalseAlarms; n > 0 {
		return fmt.Errorf("%d alarms were raised before anything was wrong", n)
	}
	x := b.truth.Planted[i]
	var why error
	for _, f := range b.export.of("signal.linked") {
		var s struct {
			Signal struct {
				ID, Class, Subject, Sentence string
				At                           time.Time
				Events                       []string
			}
		}
		if f.own(&s); !slices.Contains(signalClasses[p.ID], s.Signal.Class) {
			continue
		}
		switch {
		case s.Signal.At.Before(x.At.Add(-10 * time.Minute)): // what an interval of five minutes says bears the time at which it began
			return fmt.Errorf("signal %s was raised at %s, before anything was wrong", s.Signal.ID, s.Signal.At.Format(time.RFC3339))
		case x.Subject != "" && s.Signal.Subject != x.Subject:
			why = fmt.Errorf("signal %s names %s", s.Signal.ID, s.Signal.Subject)
			continue
		case len(x.Events) > 0 && !slices.ContainsFunc(s.Signal.Events, func(id string) bool { return slices.Contains(x.Events, id) }):
			why = fmt.Errorf("signal %s names none of the events that give it away", s.Signal.ID)
			continue
		case strings.TrimSpace(s.Signal.Sentence) == "":
			why = fmt.Errorf("signal %s says nothing", s.Signal.ID)
			continue
		}
		p.prove(f)
		return p.took(max(s.Signal.At.Sub(x.At), 0), "simulated", "system")
	}
	if why == nil {
		why = fmt.Errorf("no signal of %s", strings.Join(signalClasses[p.ID], " or "))
	}
	return why
}
