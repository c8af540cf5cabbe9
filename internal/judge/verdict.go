package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The words of the manifest and the scorecard.
const (
	kept       = "kept"
	missed     = "missed"
	notReached = "not_reached"
	unseen     = "unseen" // missed, and nothing says so: no manifest expects it
)

// Expectation is what is expected of one promise, or of one duty of a policy of one's own.
type Expectation struct {
	Expect string `yaml:"expect"`
	Within string `yaml:"within,omitempty"`
	Duty   string `yaml:"duty,omitempty"` // whose clock it is, where it was derived from the policy's text
	Reason string `yaml:"reason"`
}

type manifest struct {
	Scenario string                            `yaml:"scenario"`
	Title    string                            `yaml:"title"`
	Policies map[string]map[string]Expectation `yaml:"policies"`
	Sabotage map[string][]string               `yaml:"sabotage"`
}

// bench is everything on the judge's table.
type bench struct {
	ctx       context.Context // of this judging: a check that asks what still runs asks under it
	c         Case
	table     table
	manifest  manifest
	truth     Truth
	seen      Sightings
	export    *export
	mails     []letter // with what clients could read in their channels
	posts     []post   // everything that was tried in their channels
	requests  []request
	merchants map[string]*merchant
	policy    policyText
	timeline  []line
	log       []byte // the server's output
	evidence  EvidenceScore
	verifier  string // what tocsin-verify said
	scope     ScopeScore
	findings  []string
}

// line is one line of the timeline as the API served it.
type line struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Source string    `json:"source"`
	Kind   string    `json:"kind"`
	Text   string    `json:"text"`
	Fact   string    `json:"fact"`
}

// policyText is the policy as its source says it, read without the responder's compiler.
type policyText struct {
	Title   string `yaml:"title"`
	Updated string `yaml:"updated"`
	Classes map[string]struct {
		Means   string    `yaml:"means"`
		Signals yaml.Node `yaml:"signals"`
	} `yaml:"classes"`
	Parties map[string]struct {
		Address yaml.Node `yaml:"address"`
		Kind    string    `yaml:"kind"`
		Via     yaml.Node `yaml:"via"`
	} `yaml:"parties"`
	Time    struct{ Zone, Business, Promptly string } `yaml:"time"`
	Tables  []map[string]yaml.Node                    `yaml:"tables"`
	Duties  map[string]dutyText                       `yaml:"duties"`
	Actions map[string]actionText                     `yaml:"actions"`
	Checks  map[string]yaml.Node                      `yaml:"checks"`
	Gates   []gateText                                `yaml:"gates"`
	Review  []string                                  `yaml:"review"`
	Contact struct {
		Email string `yaml:"email"`
	} `yaml:"contact"`
}

// dutyText and actionText are what the judge reads of a duty and of an action.
type dutyText struct {
	Do      string    `yaml:"do"`
	Of      yaml.Node `yaml:"of"`
	To      string    `yaml:"to"`
	For     string    `yaml:"for"`
	Due     yaml.Node `yaml:"due"`
	Every   yaml.Node `yaml:"every"`
	Until   yaml.Node `yaml:"until"`
	When    yaml.Node `yaml:"when"`
	Late    yaml.Node `yaml:"late"`
	Content yaml.Node `yaml:"content"`
	Promise yaml.Node `yaml:"promise"`
}

type gateText struct {
	Guards  yaml.Node `yaml:"guards"`
	Need    yaml.Node `yaml:"need"`
	Promise yaml.Node `yaml:"promise"`
}

type actionText struct {
	Uses    string    `yaml:"uses"`
	Promise yaml.Node `yaml:"promise"`
}

// words reads a YAML scalar or list of scalars.
func words(n yaml.Node) []string {
	var list []string
	if n.Decode(&list) == nil {
		return list
	}
	var one string
	if n.Decode(&one) == nil && one != "" {
		return []string{one}
	}
	return nil
}

// row is one promise with what is needed to fill it.
type row struct {
	Promise
	within time.Duration
	from   time.Time // where the clock of its duty began, of a policy of one's own
}

// since is how long something took until then: from where the policy's clock begins, or from where
// the promise is measured otherwise.
func (p *row) since(otherwise, until time.Time) time.Duration {
	if !p.from.IsZero() {
		otherwise = p.from
	}
	return until.Sub(otherwise)
}

// check decides one promise. It sets Got and what proves it; an error text is the reason it was
// not kept.
type check func(*bench, *row) error

// checks is what this judge can prove by itself of a breach that was answered. A promise that stands
// in no table is not reached. What each scenario is judged by is in tables.
var checks = map[string]check{
	"CLS-1": (*bench).classDefined, "CLS-3": (*bench).confirmed,
	"CON-1": (*bench).revoked, "CON-3": (*bench).switched,
	"DET-1": (*bench).recorded, "DET-2": (*bench).noticed, "DET-3": (*bench).noticedInTime,
	"INV-1": (*bench).scoped, "INV-2": (*bench).oneTimeline, "INV-3": (*bench).untouched, "INV-4": (*bench).assessed,
	"CON-2": (*bench).rotated, "CON-6": (*bench).containmentBegan, "CLS-2": (*bench).clocksOfItsLevel, "REV-2": (*bench).summarised,
	"NOT-1": (*bench).merchantsTold, "NOT-2": (*bench).noticeContent, "NOT-3": (*bench).platformTold, "NOT-4": (*bench).authorityTold, "NOT-6": (*bench).toldWithoutDelay,
	"REC-1": (*bench).restoredWhenProven, "REV-1": (*bench).reviewed,
	"PRO-12": (*bench).secretsUnseen, "PUB-1": (*bench).pagePublished,
}

// notWithoutApp are the promises that a replayed log cannot show, because there is no application.
var notWithoutApp = []string{"CON-1", "CON-2", "CON-3", "CON-6", "DET-1", "DET-3", "REC-1", "INV-2"}

// notWithoutTruth are those that need to know what the attack was.
var notWithoutTruth = []string{"DET-1", "DET-2", "DET-3", "INV-1", "NOT-1", "NOT-2", "NOT-6", "REV-2"}

// Judge decides every promise of the manifest.
func Judge(ctx context.Context, c Case, seen Sightings) (Scorecard, error) {
	b := &bench{ctx: ctx, c: c, seen: seen}
	var known bool
	if b.table, known = tables[c.Scenario]; !known {
		return Scorecard{}, fmt.Errorf("scenario %q: the judge has no table for it", c.Scenario)
	}
	b.table.bare = b.table.bare || c.Free
	if b.c.Trials == 0 {
		b.c.Trials = b.table.trials
	}
	if err := b.read(); err != nil {
		return Scorecard{}, err
	}
	b.measureScope()
	if err := b.try(ctx); err != nil {
		return Scorecard{}, err
	}
	card := Scorecard{Policy: c.Policy, Scenario: c.Scenario, Seed: c.Seed, Sabotage: c.Sabotage, Events: c.Events, Broken: []string{}, Scope: b.scope, Evidence: b.evidence, Crash: b.crash()}
	ids := make([]string, 0, len(b.manifest.Policies[c.Policy]))
	for id := range b.manifest.Policies[c.Policy] {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, byNumber)
	for _, id := range ids {
		p, err := b.decide(id, b.manifest.Policies[c.Policy][id])
		if err != nil {
			return Scorecard{}, err
		}
		if p.Expected != p.Got {
			card.Broken = append(card.Broken, p.ID)
		}
		card.Promises = append(card.Promises, p)
	}
	also := b.table.also
	if len(c.Source) > 0 {
		also = append(slices.Clone(also), (*bench).ranAsWritten, (*bench).clocksAsWritten)
	}
	for _, look := range also {
		if err := look(b); err != nil {
			b.findings = append(b.findings, err.Error())
		}
	}
	sound := c.Replayed || b.evidence.TamperFound == b.evidence.TamperTrials
	card.Findings = b.findings
	card.OK = len(card.Broken) == 0 && sound && card.Crash.Missed == 0 && card.Crash.Duplicated == 0 && len(b.findings) == 0
	return card, nil
}

// byNumber orders DET-2 before DET-10.
func byNumber(a, b string) int {
	pa, na, _ := strings.Cut(a, "-")
	pb, nb, _ := strings.Cut(b, "-")
	if pa != pb {
		return strings.Compare(pa, pb)
	}
	if len(na) != len(nb) {
		return len(na) - len(nb)
	}
	return strings.Compare(na, nb)
}

func (b *bench) decide(id string, e Expectation) (Promise, error) {
	p := row{Promise: Promise{ID: id, Expected: e.Expect, Got: e.Expect, Reason: e.Reason}}
	if e.Within != "" {
		d, err := time.ParseDuration(e.Within)
		if err != nil {
			return Promise{}, fmt.Errorf("manifest: %s: within: %w", id, err)
		}
		p.within = d
		p.DueSeconds = seconds(d)
	}
	if e.Expect != kept && e.Expect != missed {
		return p.Promise, nil // the judge proves nothing here, and the manifest says why
	}
	reason := ""
	switch {
	case b.c.Replayed && slices.Contains(notWithoutApp, id):
		reason = "a replayed log has no application behind it"
	case b.c.Replayed && len(b.truth.Events) == 0 && slices.Contains(notWithoutTruth, id):
		reason = "no truth was given with the log"
	}
	if reason != "" {
		p.Expected, p.Got, p.Reason, p.DueSeconds = notReached, notReached, reason, nil
		return p.Promise, nil
	}
	decide, ok := b.table.checks[id]
	if e.Duty != "" {
		if err := b.byItsClock(&p, e.Duty); err != nil {
			return Promise{}, err
		}
		if id == e.Duty {
			decide, ok = (*bench).dutyInTime, true
		}
	}
	if !ok {
		p.Got, p.Reason = notReached, "the judge cannot prove it"
		return p.Promise, nil
	}
	p.Got, p.Reason = kept, ""
	if err := decide(b, &p); err != nil {
		p.Got, p.Reason = missed, err.Error()
		switch {
		case errors.Is(err, errUnseen):
			p.Got = unseen
		case errors.Is(err, errNotBegun): // of a duty alone: nobody said before the run that its clock would begin
			p.Expected, p.Got, p.DueSeconds = notReached, notReached, nil
		}
	}
	return p.Promise, nil
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// took notes how long something took, and is an error when that is longer than the limit.
func (p *row) took(d time.Duration, clock, trigger string) error {
	p.TookSeconds, p.Clock, p.Trigger = seconds(d), clock, trigger
	if p.within > 0 && d > p.within {
		return fmt.Errorf("it took %s; the limit is %s", d.Round(time.Second), p.within)
	}
	return nil
}

func (p *row) prove(f fact) { p.Proof = "fact " + f.ID }

func (b *bench) read() error {
	if err := yaml.Unmarshal([]byte(b.c.Manifest), &b.manifest); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if b.manifest.Policies[b.c.Policy] == nil {
		return fmt.Errorf("manifest: it expects nothing of policy %s", b.c.Policy)
	}
	if len(b.c.Truth) > 0 {
		if err := json.Unmarshal(b.c.Truth, &b.truth); err != nil {
			return fmt.Errorf("truth: %w", err)
		}
	}
	var err error
	if b.export, err = readExport(b.c.Export); err != nil {
		return err
	}
	if b.mails, err = readMailbox(b.c.Mailbox); err != nil {
		return err
	}
	if err := b.readPosts(); err != nil {
		return err
	}
	if b.requests, err = readRequests(b.c.Requests); err != nil {
		return err
	}
	if b.merchants, err = readMerchants(b.c.Merchants); err != nil {
		return err
	}
	for _, m := range b.merchants {
		for i, at := range m.slack {
			if id := b.c.Hooks[at]; id != "" {
				m.slack[i] = id
			}
		}
	}
	if b.log, err = os.ReadFile(b.c.ServerLog); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("server log: %w", err)
	}
	if err := yaml.Unmarshal(b.export.files["policy/policy.yaml"], &b.policy); err != nil {
		return fmt.Errorf("policy in the export: %w", err)
	}
	return b.readTimeline()
}

func (b *bench) readTimeline() error {
	raw, err := os.ReadFile(b.c.Timeline)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("timeline: %w", err)
	}
	for text := range strings.Lines(string(raw)) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return fmt.Errorf("timeline: line %d: %w", len(b.timeline)+1, err)
		}
		b.timeline = append(b.timeline, l)
	}
	return nil
}

// truthBy is the events of the truth and the distinct customers of each merchant.
func (b *bench) truthBy() (ids map[string]bool, customers map[string]map[string]bool) {
	ids, customers = map[string]bool{}, map[string]map[string]bool{}
	for _, e := range b.truth.Events {
		ids[e.ID] = true
		if customers[e.Merchant] == nil {
			customers[e.Merchant] = map[string]bool{}
		}
		for _, c := range e.Customers {
			customers[e.Merchant][c] = true
		}
	}
	return ids, customers
}

// measureScope compares the newest recorded scope with the truth, by event id, from the disclosed
// events alone.
func (b *bench) measureScope() {
	s, ok := b.export.scope()
	if !ok {
		return
	}
	ids, _ := b.truthBy()
	right, all := 0, 0
	merchants, customers := map[string]bool{}, map[string]bool{}
	for _, e := range b.export.events {
		if e.Leaf >= s.Size || !s.Query.matches(e) {
			continue
		}
		all++
		if ids[e.Event.ID] {
			right++
		}
		merchants[e.Event.Merchant] = true
		for _, c := range e.customers() {
			customers[e.Event.Merchant+"/"+c] = true
		}
	}
	b.scope.Merchants, b.scope.Customers = len(merchants), len(customers)
	if all > 0 {
		b.scope.Precision = float64(right) / float64(all)
	}
	if len(ids) > 0 {
		b.scope.Recall = float64(right) / float64(len(ids))
	}
}

// crash counts what kills cost. It is counted in every drill.
func (b *bench) crash() CrashScore {
	s := CrashScore{Kills: b.c.Kills}
	uncertain := map[string]bool{}
	for _, f := range b.export.of("notice.uncertain") {
		for _, p := range f.parts {
			uncertain[p.Merchant] = true
		}
	}
	s.Uncertain = len(uncertain)
	whose := b.whose()
	told := map[string]bool{}
	copies := map[string]int{}
	for _, l := range b.mails {
		told[whose[l.MessageID]] = true
		copies[l.MessageID]++
	}
	for id, n := range copies {
		if n > 1 && !uncertain[whose[id]] {
			s.Duplicated += n - 1
		}
	}
	if _, ok := b.export.scope(); ok {
		_, customers := b.truthBy()
		for m := range customers {
			if !told[m] && b.c.Sabotage == "" {
				s.Missed++
			}
		}
	}
	b.compareAcked()
	return s
}

// compareAcked holds what the server answered with, before and after every kill, against the
// evidence: a fact that was acknowledged is there, byte for byte, because its hash is.
func (b *bench) compareAcked() {
	hashes := map[string]string{}
	for _, f := range b.export.facts {
		hashes[f.ID] = f.hash
	}
	for id, hash := range b.c.Acked {
		if hashes[id] != hash {
			b.findings = append(b.findings, "fact "+id+" is not in the evidence as the server said it had recorded it")
		}
	}
}

// whose maps Message-IDs to merchants, by the attempts the evidence lists.
func (b *bench) whose() map[string]string {
	out := map[string]string{}
	for _, f := range b.export.of("notice.attempted") {
		for id, who := range messages(f) {
			out[id] = who
		}
	}
	return out
}

// messages maps the Message-IDs of one attempt to merchants, or to "party:" and the party.
func messages(f fact) map[string]string {
	out := map[string]string{}
	for _, p := range f.parts {
		var d struct {
			MessageID string `json:"message_id"`
		}
		if json.Unmarshal(p.Body, &d) != nil || d.MessageID == "" {
			continue
		}
		who := p.Merchant
		if who == "" {
			var body struct {
				Party string `json:"party"`
			}
			f.body(&body)
			who = "party:" + body.Party
		}
		out[strings.Trim(d.MessageID, "<>")] = who
	}
	return out
}
