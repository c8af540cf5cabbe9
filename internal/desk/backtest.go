package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/detect/sigma"
)

// BacktestQuery asks what rules would have found in the stored log.
type BacktestQuery struct {
	Rules []RuleText `json:"rules" minItems:"1" maxItems:"1000"`
	From  time.Time  `json:"from" doc:"beginning, inclusive"`
	To    time.Time  `json:"to" doc:"end, exclusive"`
}

// RuleText is a rule file.
type RuleText struct {
	Name string `json:"name" maxLength:"400"`
	Text string `json:"text"`
}

// Backtest is what rules would have found.
type Backtest struct {
	Rules    int            `json:"rules" doc:"rules and correlations that could be used"`
	Events   int64          `json:"events" doc:"events of the time that was asked for"`
	Unread   int64          `json:"unread" doc:"of them those whose epoch key was destroyed, so that no rule can be asked"`
	Late     int64          `json:"late" doc:"events that came too late for a correlation"`
	Total    int64          `json:"total" doc:"all that was found"`
	Found    []BacktestFind `json:"found" doc:"the first thousand of it"`
	Problems []string       `json:"problems" doc:"what is wrong with rules, and rules that were stopped because they cost too much"`
}

// BacktestFind is one finding.
type BacktestFind struct {
	Time     time.Time         `json:"time"`
	Event    string            `json:"event,omitempty"`
	Rule     string            `json:"rule"`
	RuleID   string            `json:"rule_id,omitempty"`
	Level    string            `json:"level,omitempty"`
	Class    string            `json:"class,omitempty"`
	Sentence string            `json:"sentence"`
	Group    map[string]string `json:"group,omitempty"`
	Events   []string          `json:"events,omitempty"`
}

const (
	backtestFinds = 1000
	backtestBatch = 2000
)

// Backtest shows the events of a time to rules, in the order in which they came, and raises nothing.
// One runs at a time: it reads the log, which the door writes.
func (d *Desk) Backtest(ctx context.Context, q BacktestQuery) (Backtest, error) {
	out := Backtest{Found: []BacktestFind{}, Problems: []string{}}
	if d.o.Events == nil {
		return out, fmt.Errorf("%w: there is no access log", ErrUnavailable)
	}
	if !q.From.Before(q.To) {
		return out, fmt.Errorf("%w: from has to be before to", ErrInvalid)
	}
	if !d.backtests.TryLock() {
		return out, fmt.Errorf("%w: another backtest is running: try again when it is done", ErrBusy)
	}
	defer d.backtests.Unlock()
	var files []sigma.File
	for _, r := range q.Rules {
		files = append(files, sigma.File{Name: r.Name, Data: []byte(r.Text)})
	}
	e, problems := sigma.Load(files, sigma.Options{})
	for _, p := range problems {
		out.Problems = append(out.Problems, p.Error())
	}
	if out.Rules = len(e.Rules()) + len(e.Correlations()); out.Rules == 0 {
		return out, fmt.Errorf("%w: no rule can be used: %s", ErrInvalid, strings.Join(out.Problems[:min(3, len(out.Problems))], "; "))
	}
	at, last, err := d.o.Events.Span(ctx, q.From, q.To)
	if errors.Is(err, accesslog.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	var ev sigma.Event
	for at--; at < last; {
		list, err := d.o.Events.EntriesAfter(ctx, at, backtestBatch)
		if err != nil {
			return out, err
		}
		if len(list) == 0 {
			break
		}
		for _, x := range list {
			if at = x.Seq; at > last {
				break
			}
			if x.Time.Before(q.From) || !x.Time.Before(q.To) {
				continue
			}
			out.Events++
			entry := Observed(x, false)
			if len(entry.Text) == 0 || e.Decode(detect.View(entry), &ev) != nil {
				out.Unread++
				continue
			}
			found := e.Observe(x.Seq, x.Received, &ev)
			out.Total += int64(len(found))
			for i := range found {
				if len(out.Found) < backtestFinds {
					out.Found = append(out.Found, finding(&found[i], &ev, x))
				}
			}
		}
	}
	for _, s := range e.Stopped() {
		out.Problems = append(out.Problems, s.Error())
	}
	out.Late = e.Stats().Late
	return out, nil
}

func finding(f *sigma.Detection, ev *sigma.Event, x accesslog.Entry) BacktestFind {
	m := f.Meta()
	out := BacktestFind{Time: f.Time.UTC(), Event: x.ID, Rule: m.Label(), RuleID: m.ID, Level: m.Level, Class: m.Class, Sentence: f.Sentence(ev), Group: f.Group, Events: slices.Clone(f.Events)}
	if f.Time.IsZero() {
		out.Time = x.Time.UTC()
	}
	return out
}
