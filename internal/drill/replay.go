package drill

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/scope"
)

// logged is one line of the user's own log, read as far as the replay needs it.
type logged struct {
	text       []byte
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Kind       string    `json:"kind"`
	Credential string    `json:"credential"`
	Merchant   string    `json:"merchant"`
	Actor      struct {
		ID string `json:"id"`
	} `json:"actor"`
	Source struct {
		IP    string `json:"ip"`
		Agent string `json:"user_agent"`
	} `json:"source"`
}

// maxLog is the largest log that is replayed, in lines.
const maxLog = 2_000_000

// replay plays a user's own log instead of the generated month and attack. There is no
// application, so nothing can be contained: those promises are not reached.
func (r *run) replay(ctx context.Context) (Scorecard, error) {
	events, bad, err := readLog(r.o.Events)
	if err != nil {
		return Scorecard{}, err
	}
	attack, err := readTruth(r.o.Truth)
	if err != nil {
		return Scorecard{}, err
	}
	first, last := events[0].Time, events[len(events)-1].Time
	shift := r.start.Sub(first.Truncate(24 * time.Hour)) // the domain clock may only move on from where it stands
	r.tell.say("replay", "%d events from %s to %s; %d lines are no events; all are moved by %s", len(events), first.Format(time.DateOnly), last.Format(time.DateOnly), bad, shift.Round(time.Hour))
	for batch := range slices.Chunk(events, 2000) {
		if err := r.advance(ctx, batch[len(batch)-1].Time.Add(shift).Add(time.Minute)); err != nil {
			return Scorecard{}, err
		}
		var lines [][]byte
		for _, e := range batch {
			moved, err := moveTime(e.text, e.Time.Add(shift))
			if err != nil {
				return Scorecard{}, err
			}
			lines = append(lines, moved)
		}
		rejected, err := r.send(ctx, "app", lines)
		if err != nil {
			return Scorecard{}, err
		}
		r.events += len(lines) - rejected
		if err := r.server.quiet(ctx); err != nil {
			return Scorecard{}, err
		}
		r.tell.progress("replay: %d of %d events", r.events, len(events))
	}
	if err := r.alarm(ctx); err != nil {
		return Scorecard{}, err
	}
	if err := r.answerReplay(ctx, events, attack, shift); err != nil {
		return Scorecard{}, err
	}
	var truth judge.Truth
	for _, e := range events {
		if attack[e.ID] != "" {
			truth.Attack = attack[e.ID]
			truth.Events = append(truth.Events, judge.TruthEvent{ID: e.ID, Merchant: e.Merchant, At: e.Time.Add(shift), IP: e.Source.IP, Agent: e.Source.Agent})
		}
	}
	raw, err := json.Marshal(truth)
	if err != nil {
		return Scorecard{}, err
	}
	if r.judge, err = spawn(ctx, r.o.Binary, "judge", judge.Config{Now: r.server.clock()}, nil); err != nil {
		return Scorecard{}, err
	}
	return r.ask(ctx, raw)
}

// answerReplay is the response to a replayed log: what people can do without an application.
func (r *run) answerReplay(ctx context.Context, events []logged, attack map[string]string, shift time.Duration) error {
	now := r.server.clock()
	lead := r.lead()
	if _, err := r.do(ctx, lead, "acknowledge", nil, "is on it"); err != nil {
		return err
	}
	if err := r.judgements(ctx); err != nil {
		return err
	}
	if _, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The log shows it."}, "confirms the incident"); err != nil {
		return err
	}
	q := scope.Query{From: events[0].Time.Add(shift), To: now}
	q.Any = suspects(events, attack)
	if len(attack) == 0 {
		s, err := r.state(ctx)
		if err != nil {
			return err
		}
		for _, sig := range s.Signals {
			if c := sig.Facets["credential"]; c != "" {
				q.Any = append(q.Any, scope.Clause{Credential: []string{c}})
				q.From = sig.From // until the end of the log: the alarm is where it was noticed, not where it ended
			}
		}
	}
	if len(q.Any) > 0 {
		if err := r.takeScope(ctx, lead, q, "what the log shows of it", "takes the scope"); err != nil {
			return err
		}
	}
	if err := r.tellOthers(ctx); err != nil {
		return err
	}
	if err := r.prepareNotice(ctx); err != nil {
		return err
	}
	if err := r.assess(ctx); err != nil {
		return err
	}
	if err := r.sendNotice(ctx); err != nil {
		return err
	}
	return r.finish(ctx)
}

// suspects are the clauses that a person who knows the attack would ask for: who, from where, with
// what.
func suspects(events []logged, attack map[string]string) []scope.Clause {
	type key struct{ credential, actor, ip, agent string }
	seen := map[key]bool{}
	var out []scope.Clause
	for _, e := range events {
		if attack[e.ID] == "" {
			continue
		}
		k := key{e.Credential, e.Actor.ID, e.Source.IP, e.Source.Agent}
		if seen[k] || len(out) >= 200 {
			continue
		}
		seen[k] = true
		var c scope.Clause
		for _, f := range []struct {
			value string
			into  *[]string
		}{{k.credential, &c.Credential}, {k.actor, &c.Actor}, {k.ip, &c.IP}, {k.agent, &c.Agent}} {
			if f.value != "" {
				*f.into = []string{f.value}
			}
		}
		out = append(out, c)
	}
	return out
}

func readLog(name string) (events []logged, bad int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("drill: events: %w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		e := logged{}
		if json.Unmarshal(s.Bytes(), &e) != nil || e.Time.IsZero() {
			bad++
			continue
		}
		if len(events) >= maxLog {
			return nil, 0, fmt.Errorf("drill: events: %s has more than %d lines", name, maxLog)
		}
		e.text = bytes.Clone(s.Bytes())
		events = append(events, e)
	}
	if err := s.Err(); err != nil {
		return nil, 0, fmt.Errorf("drill: events: %w", err)
	}
	if len(events) == 0 {
		return nil, 0, fmt.Errorf("drill: events: %s has no event with a time: native form, one a line", name)
	}
	slices.SortStableFunc(events, func(a, b logged) int { return a.Time.Compare(b.Time) })
	return events, bad, nil
}

// readTruth reads {"event":"ID","attack":"NAME"} lines; no file is no truth.
func readTruth(name string) (map[string]string, error) {
	out := map[string]string{}
	if name == "" {
		return out, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("drill: truth: %w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var t struct{ Event, Attack string }
		if err := json.Unmarshal(s.Bytes(), &t); err != nil || t.Event == "" {
			return nil, fmt.Errorf(`drill: truth: %s:%d: a line is {"event":"ID","attack":"NAME"}`, name, n)
		}
		if t.Attack == "" {
			t.Attack = "attack"
		}
		out[t.Event] = t.Attack
	}
	return out, s.Err()
}

// moveTime rewrites the time of an event and marks it as a drill's.
func moveTime(line []byte, at time.Time) ([]byte, error) {
	var e map[string]json.RawMessage
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, errors.New("drill: events: a line stopped being JSON")
	}
	e["time"], _ = json.Marshal(at.UTC()) // a time within years 0 to 9999 always encodes
	e["env"] = json.RawMessage(`"drill"`)
	return json.Marshal(e)
}
