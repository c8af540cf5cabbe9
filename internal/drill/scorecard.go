package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/drill/attacker"
	"github.com/tocsin-ir/tocsin/internal/judge"
)

// Scorecard is what the judge found, in the shape users and other programs read.
type Scorecard = judge.Scorecard

// Promise is one row of it.
type Promise = judge.Promise

// verdict hands everything to the judge: only after the evidence is out does the attacker say
// what it received.
func (r *run) verdict(ctx context.Context) (Scorecard, error) {
	r.tell.progress("the judge reads the evidence, the mailbox and the application's log")
	if err := r.tellApp(ctx, "/drill/flush", nil, nil); err != nil {
		return Scorecard{}, err
	}
	var rep attacker.Report
	if err := r.attacker.ask(attacker.Order{ID: 2, Truth: true}, &rep); err != nil {
		return Scorecard{}, err
	}
	if rep.Truth == nil {
		return Scorecard{}, errors.New("drill: the attacker said nothing")
	}
	truth, err := json.Marshal(rep.Truth)
	if err != nil {
		return Scorecard{}, err
	}
	if r.truth != nil {
		truth = r.truth
	}
	return r.ask(ctx, truth)
}

// ask gives the judge its case.
func (r *run) ask(ctx context.Context, truth json.RawMessage) (Scorecard, error) {
	manifest, err := r.manifest.Expanded()
	if err != nil {
		return Scorecard{}, err
	}
	in := func(parts ...string) string {
		return filepath.Join(append([]string{r.o.Dir, "drill"}, parts...)...)
	}
	r.ackMu.Lock()
	acked := map[string]string{}
	for id, f := range r.acked {
		acked[id] = f.Hash
	}
	r.ackMu.Unlock()
	kills := 0
	if r.server != nil {
		kills = r.server.kills
	}
	c := judge.Case{
		Export: r.exported, Mailbox: in("mailbox"), Requests: in("requests.ndjson"), Merchants: r.merchantsFile(), Timeline: in("timeline.ndjson"),
		ServerLog: filepath.Join(r.o.Dir, "server.log"), Truth: truth, Manifest: string(manifest), Policy: r.program.ID, Scenario: r.o.Scenario, Seed: r.o.Seed,
		Sabotage: r.o.Sabotage, Verifier: r.o.Verifier, Work: in("judge"), Kills: kills, Acked: acked, Events: r.events, Replayed: r.o.Events != "", Free: r.o.Interactive, LogKeys: r.logKeys, Trials: r.o.Trials, Kept: r.kept,
		FactsKey: filepath.Join(r.data(), "keys", "sign-"+url.PathEscape(organisation+"/facts")+".key"),
	}
	if c.Moved, c.Backups = r.moved, r.backups; len(r.backups) > 0 {
		c.Copy, c.Identity = copyOf(r.o.Dir), filepath.Join(offBox(r.o.Dir), "identity")
	}
	if r.channels != nil {
		c.Channels, c.Hooks = in("channels.ndjson"), map[string]string{hookName: r.tokens.Slack.Hooks[r.slackHook]}
	}
	if r.shop != nil {
		c.Shop = in("storefront.ndjson")
	}
	c.FalseAlarms = r.falseAlarms
	if r.roots != "" {
		c.Server, c.Roots = strings.TrimPrefix(r.server.Base(), "https://"), r.roots
	}
	if r.o.Scenario == "outside-report" {
		c.Visits, c.Tries, c.Tocsin, c.Production = r.visitsFile(), r.triesFile(), r.o.Binary, r.productionDir()
	}
	if r.own {
		c.Source = r.source
	}
	for _, s := range r.secrets {
		c.Secrets = append(c.Secrets, judge.Secret(s))
	}
	if r.server != nil {
		c.Now = r.server.clock()
	}
	for _, p := range r.cast {
		c.People = append(c.People, judge.Staff{ID: p.ID, Email: r.callsAt(p.ID), Roles: p.Roles})
	}
	for _, p := range r.outside {
		c.Looks, c.Outside = r.looksFile(), append(c.Outside, judge.Staff{ID: p.ID, Email: r.callsAt(strings.TrimPrefix(p.ID, "person:"))})
	}
	if err := os.MkdirAll(c.Work, 0o700); err != nil {
		return Scorecard{}, err
	}
	defer os.RemoveAll(c.Work)
	var answer judge.Answer
	if err := r.judge.ask(map[string]any{"id": 9, "case": c}, &answer); err != nil {
		return Scorecard{}, err
	}
	if answer.Error != "" {
		return Scorecard{}, fmt.Errorf("drill: judge: %s", answer.Error)
	}
	if answer.Scorecard == nil {
		return Scorecard{}, errors.New("drill: judge: no scorecard")
	}
	card := *answer.Scorecard
	if r.o.Sabotage != "" {
		card.SabotageExpected = r.manifest.Sabotage[r.o.Sabotage]
	}
	if card.Canonical, err = r.canonical(ctx, card); err != nil {
		return Scorecard{}, err
	}
	return card, nil
}

// canonical is the outcome with ids and times abstracted: two drills of one seed, one of them with
// kills, have the same.
func (r *run) canonical(ctx context.Context, card Scorecard) (json.RawMessage, error) {
	if r.server == nil || r.inc == "" {
		return nil, nil
	}
	s, err := r.state(ctx)
	if err != nil {
		return nil, err
	}
	type named struct{ Name, State string }
	out := struct {
		Status     string
		Class      string
		Milestones []string
		Duties     []named
		Actions    []named
		Deliveries []named
		Checks     []named
		Refusals   []named
		Merchants  []string
		Verdicts   []named
	}{Status: string(s.Status), Class: s.Class}
	for m := range s.Milestones {
		out.Milestones = append(out.Milestones, m)
	}
	for k, d := range s.Duties {
		out.Duties = append(out.Duties, named{k, string(d.State)})
	}
	for _, a := range s.Actions {
		out.Actions = append(out.Actions, named{a.Decl, string(a.State)})
	}
	for _, n := range s.Notices {
		for who, d := range n.Deliveries {
			out.Deliveries = append(out.Deliveries, named{n.Duty + "/" + who, string(d.State)})
		}
	}
	for _, c := range s.Checks {
		out.Checks = append(out.Checks, named{c.ID, c.State})
	}
	for _, f := range s.Refusals {
		out.Refusals = append(out.Refusals, named{f.Command, string(f.Reason)})
	}
	for m, e := range s.Exposures {
		out.Merchants = append(out.Merchants, fmt.Sprintf("%s %d %d", m, e.Customers, e.Events))
	}
	for _, p := range card.Promises {
		out.Verdicts = append(out.Verdicts, named{p.ID, p.Got})
	}
	slices.Sort(out.Milestones)
	slices.Sort(out.Merchants)
	for _, list := range [][]named{out.Duties, out.Deliveries, out.Checks} {
		slices.SortFunc(list, func(a, b named) int { return compare(a.Name+a.State, b.Name+b.State) })
	}
	return json.Marshal(out)
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// saveTimeline keeps the merged timeline as the API serves it, for the judge to hold against the
// evidence and the application's own log.
func (r *run) saveTimeline(ctx context.Context) error {
	f, err := os.Create(filepath.Join(r.o.Dir, "drill", "timeline.ndjson"))
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	after := ""
	for range 200 { // at most 200,000 lines
		var page struct {
			Lines []json.RawMessage `json:"lines"`
		}
		path := fmt.Sprintf("/v1/incidents/%s/timeline?limit=1000&after=%s", r.inc, url.QueryEscape(after))
		if err := r.lead().Call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return fmt.Errorf("timeline: %w", err)
		}
		if len(page.Lines) == 0 {
			break
		}
		for _, l := range page.Lines {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		var last struct{ ID string }
		if err := json.Unmarshal(page.Lines[len(page.Lines)-1], &last); err != nil || last.ID == after {
			break
		}
		after = last.ID
	}
	return f.Close()
}
