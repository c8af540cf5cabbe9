package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// shopLine is a line of the storefront's own log: what was asked of it, or what is broken from then on.
type shopLine struct {
	Time   time.Time `json:"time"`
	Real   time.Time `json:"real"`
	Kind   string    `json:"kind"` // http, dns, tls or state
	What   string    `json:"what"`
	Agent  string    `json:"agent"`
	Answer string    `json:"answer"`
	Broken []string  `json:"broken"`
}

// The storefront as it should be.
const (
	shopAddress = "192.0.2.10"
	shopName    = "shop.example"
)

func (b *bench) readShop() ([]shopLine, error) {
	raw, err := os.ReadFile(b.c.Shop)
	if err != nil {
		return nil, fmt.Errorf("the storefront's log: %w", err)
	}
	var out []shopLine
	for line := range bytes.Lines(raw) {
		var l shopLine
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("the storefront's log: line %d: %w", len(out)+1, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// bad says that the line shows a visitor something that is broken, of a kind of probe.
func (l shopLine) bad(kind string) bool {
	switch kind {
	case "dns":
		return l.Kind == "dns" && l.Answer != shopAddress
	case "http-journey":
		return l.Kind == "http" && strings.HasPrefix(l.Answer, "5")
	case "tls":
		return l.Kind == "tls" && l.Answer != "ok"
	}
	return false
}

// probeSignal is a signal that a probe raised.
type probeSignal struct {
	ID     string            `json:"id"`
	At     time.Time         `json:"at"`
	From   time.Time         `json:"from"`
	Says   string            `json:"sentence"`
	Facets map[string]string `json:"facets"`
	fact   fact
}

func (b *bench) probeSignals() []probeSignal {
	var out []probeSignal
	for _, f := range b.export.of("signal.linked") {
		var s struct{ Signal probeSignal }
		if f.own(&s); s.Signal.Facets["probe"] != "" {
			s.Signal.fact = f
			out = append(out, s.Signal)
		}
	}
	return out
}

// brokenAt is what was broken at an instant of the machine's time, and since when.
func brokenAt(shop []shopLine, at time.Time) (parts []string, since shopLine) {
	for _, l := range shop {
		if l.Kind == "state" && !l.Real.After(at) {
			parts, since = l.Broken, l
		}
	}
	return parts, since
}

// hurts are the parts of the storefront that a kind of probe looks at.
var hurts = map[string][]string{"dns": {"dns"}, "tls": {"tls-name", "tls-expired"}, "http-journey": {"checkout", "tablet"}}

// outageSeen: probes and nobody else opened the incident, one of the name, one of the certificate and one of the checkout.
// Each asked the shop twice and was answered badly, as the shop's own log has it, before it said so;
// raised one signal; and said when it was over, which it then was.
func (b *bench) outageSeen(p *row) error {
	shop, err := b.readShop()
	if err != nil {
		return err
	}
	opened := b.export.facts[0]
	if opened.Principal != "service:probe" {
		return fmt.Errorf("it was opened by %s, and by no probe", opened.Principal)
	}
	first := slices.IndexFunc(shop, func(l shopLine) bool { return l.Kind == "state" && len(l.Broken) > 0 })
	if first < 0 || opened.Real.Before(shop[first].Real) {
		return errors.New("it was opened before anything was broken")
	}
	ends := map[string]fact{}
	for _, f := range b.export.of("signal.ended") {
		var body struct{ Signal string }
		if f.body(&body); ends[body.Signal].ID != "" {
			return fmt.Errorf("the end of %s is told twice", body.Signal)
		}
		ends[body.Signal] = f
	}
	seen := map[string]int{}
	for _, s := range b.probeSignals() {
		kind := s.Facets["kind"]
		seen[kind]++
		if strings.TrimSpace(s.Says) == "" || s.Facets["code"] == "" {
			return fmt.Errorf("the signal %s does not say what was asked and what came back", s.ID)
		}
		asked := 0
		for _, l := range shop {
			if l.bad(kind) && !l.Real.After(s.fact.Real) {
				asked++
			}
		}
		if asked < 2 {
			return fmt.Errorf("the signal %s says that the shop failed, and until then its log has %d such answers", s.ID, asked)
		}
		if err := endedTruly(shop, kind, ends[s.ID]); err != nil {
			return fmt.Errorf("the end of what %s saw: %w", s.ID, err)
		}
	}
	for kind := range hurts {
		if seen[kind] != 1 {
			return fmt.Errorf("the outage raised %d signals by probes of the kind %s, and is one", seen[kind], kind)
		}
	}
	p.prove(opened)
	return p.took(opened.Recorded.Sub(shop[first].Time), "simulated", "system")
}

// endedTruly: nothing that the probe looks at was broken any more, and it had asked since.
func endedTruly(shop []shopLine, kind string, f fact) error {
	if f.ID == "" {
		return errors.New("no fact tells it")
	}
	parts, since := brokenAt(shop, f.Real)
	for _, part := range parts {
		if slices.Contains(hurts[kind], part) {
			return fmt.Errorf("fact %s tells it, and %s was still broken", f.ID, part)
		}
	}
	for _, l := range shop {
		good := l.Kind == kind && kind != "http" && !l.bad(kind) || l.Kind == "http" && kind == "http-journey" && l.What == "POST /pay" && l.Answer == "200"
		if good && l.Real.After(since.Real) && !l.Real.After(f.Real) {
			return nil
		}
	}
	return fmt.Errorf("fact %s tells it, and the shop's log knows of nobody who had asked", f.ID)
}

// updatesNeverStop: from the confirmation until the updates may end no affected client went without a
// whole notice or update for longer than the limit, and none was updated after that. Of a policy of one's
// own the duty is the one that was derived, and its text gives the limit.
func (b *bench) updatesNeverStop(p *row) error {
	confirmed, _, ok := b.export.milestone("confirmed")
	restored := b.export.of("service.restored")
	if !ok || len(restored) == 0 {
		return errors.New("it was never confirmed, or service never returned")
	}
	own := b.manifest.Policies[b.c.Policy][p.ID].Duty
	end := restored[0].Recorded
	if until := words(b.policy.Duties[own].Until); own != "" && len(until) > 0 {
		if at, _, ok := b.export.milestone(until[0]); ok {
			end = at
		}
	}
	if own != "" && !b.began(own) {
		return fmt.Errorf("%w: by the evidence its condition did not hold, which this judge does not compute", errNotBegun)
	}
	told, err := b.keptInformed(own, end)
	if err != nil {
		return err
	}
	limit := func(last time.Time) (time.Time, error) { return last.Add(p.within), nil }
	if own != "" {
		if limit, err = b.again(own); err != nil {
			return err
		}
		p.within = 0
	}
	_, affected := b.truthBy()
	letters := 0
	var longest time.Duration
	for m := range affected {
		last := confirmed
		letters += len(told[m])
		slices.SortFunc(told[m], time.Time.Compare)
		for _, at := range append(told[m], end) {
			by, err := limit(last)
			if err != nil {
				return err
			}
			if at.After(by) && own != "" {
				return fmt.Errorf("a client heard nothing between %s and %s", last.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
			}
			if silent := at.Sub(last); silent > longest {
				longest = silent
				if own != "" {
					p.DueSeconds = seconds(by.Sub(last))
				}
			}
			last = at
		}
	}
	p.Proof = fmt.Sprintf("%d notices and updates to %d clients; the longest silence", letters, len(affected))
	return p.took(longest, "simulated", "person")
}

// began says whether the clock of a duty ever ran.
func (b *bench) began(duty string) bool {
	return slices.ContainsFunc(b.export.of("duty.started"), func(f fact) bool {
		var body dutyBody
		f.body(&body)
		return body.Duty == duty
	})
}

// again is by when somebody who was told has to hear again, as the duty's text says, or the table's cell for the level.
func (b *bench) again(duty string) (func(time.Time) (time.Time, error), error) {
	every := words(b.policy.Duties[duty].Every)
	cells, _ := b.cellsOfItsLevel()
	if cell := cells[duty]; cell != "" {
		every = []string{cell}
	}
	zone, err := time.LoadLocation(b.policy.Time.Zone)
	if err != nil {
		return nil, fmt.Errorf("time zone: %w", err)
	}
	if len(every) == 0 {
		return nil, fmt.Errorf("%s does not say how often", duty)
	}
	_, limit, err := b.span(every[0])
	if err != nil {
		return nil, err
	}
	if limit == "" {
		return nil, fmt.Errorf("%w: %q is a target and no limit", errNotBegun, every[0])
	}
	return func(last time.Time) (time.Time, error) { return b.after(last, limit, zone) }, nil
}

// keptInformed is when each client had a whole notice or update: of the duties that promise it, or of the
// one that is given and of what else is told to those affected.
func (b *bench) keptInformed(own string, end time.Time) (map[string][]time.Time, error) {
	type text struct {
		duty    string
		content map[string]string
	}
	texts := map[string]text{} // by notice
	for _, f := range b.export.of("notice.drafted") {
		var body struct{ Notice, Duty string }
		var t struct {
			Content map[string]string `json:"content"`
		}
		f.body(&body)
		f.own(&t)
		texts[body.Notice] = text{body.Duty, t.Content}
	}
	notice, whose := map[string]string{}, map[string]string{} // by Message-ID
	for _, f := range b.export.of("notice.attempted") {
		var body struct{ Notice string }
		f.body(&body)
		for id, who := range messages(f) {
			notice[id], whose[id] = body.Notice, who
		}
	}
	told := map[string][]time.Time{}
	for _, l := range b.mails {
		t := texts[notice[l.MessageID]]
		d := b.policy.Duties[t.duty]
		if own == "" && !slices.Contains(words(d.Promise), "NOT-8") || own != "" && (d.To != "merchants.affected" || d.Do != "update" && l.At.After(end)) {
			continue
		}
		for _, item := range words(d.Content) {
			if t.content[item] == "" || !strings.Contains(flat(l.text), flat(t.content[item])) {
				return nil, fmt.Errorf("%s does not say %s", l.File, item)
			}
		}
		if d.Do == "update" && l.At.After(end) {
			return nil, fmt.Errorf("%s is an update after service had returned", l.File)
		}
		m := b.merchants[whose[l.MessageID]]
		if m == nil || !m.reached(l.Rcpt) {
			return nil, fmt.Errorf("%s went to nobody who was affected", l.File)
		}
		told[m.id] = append(told[m.id], l.At)
	}
	return told, nil
}

// checkedOnDevices: in the minutes before service returned the system itself asked the shop's name
// server, shook hands, and bought something on three devices, all of which the shop's log has as
// answered well; before that, one device that failed had held service back.
func (b *bench) checkedOnDevices(p *row) error {
	shop, err := b.readShop()
	if err != nil {
		return err
	}
	restored := b.export.of("service.restored")
	if len(restored) == 0 {
		return errors.New("service never returned")
	}
	back := restored[0]
	if broken, _ := brokenAt(shop, back.Real); len(broken) > 0 {
		return fmt.Errorf("service returned while this was still broken: %s", strings.Join(broken, ", "))
	}
	began, runs := map[string]fact{}, map[string][2]time.Time{} // newest run of each check that passed
	var failed *fact
	for _, f := range b.export.facts {
		var body struct{ Check string }
		f.body(&body)
		switch {
		case f.Recorded.After(back.Recorded):
		case f.Kind == "check.attempted":
			began[body.Check] = f
		case f.Kind == "check.failed":
			delete(runs, body.Check)
			for _, l := range shop { // a device that could not pay, at that time
				if l.bad("http-journey") && strings.Contains(l.Agent, "iPad") && within(l.Real, began[body.Check].Real, f.Real) {
					failed = &f
				}
			}
		case f.Kind == "check.passed":
			runs[body.Check] = [2]time.Time{began[body.Check].Real, f.Real}
		}
	}
	names, hands, devices := false, false, map[string]bool{}
	for _, l := range shop {
		for _, run := range runs {
			if !within(l.Real, run[0], run[1]) {
				continue
			}
			names = names || l.Kind == "dns" && l.Answer == shopAddress
			hands = hands || l.Kind == "tls" && l.Answer == "ok" && l.What == shopName
			if l.Kind == "http" && l.What == "POST /pay" && l.Answer == "200" {
				devices[l.Agent] = true
			}
		}
	}
	switch {
	case !names || !hands:
		return errors.New("the shop's log knows of no check of its name or of its certificate before service returned")
	case len(devices) < 3:
		return fmt.Errorf("the shop's log knows of payments tried on %d devices before service returned", len(devices))
	case failed == nil:
		return errors.New("no check failed while a device could not pay")
	}
	held := slices.ContainsFunc(b.export.of("gate.refused"), func(f fact) bool {
		var body struct{ Command string }
		f.body(&body)
		return body.Command == "restore" && !f.Recorded.Before(failed.Recorded) && f.Recorded.Before(back.Recorded)
	})
	if !held {
		return errors.New("a device could not pay, and nothing held service back")
	}
	p.prove(back)
	p.Trigger = "system"
	return nil
}

// within: with a little more, because two clocks of one machine are read one after the other.
func within(at, from, to time.Time) bool {
	const slack = 100 * time.Millisecond
	return !from.IsZero() && !at.Before(from.Add(-slack)) && !at.After(to.Add(slack))
}

// probesHeldService: when service returned, every probe that had raised a signal had passed as a check
// of the incident, last of all that it did.
func (b *bench) probesHeldService() error {
	state := map[string]string{}
	for _, f := range b.export.facts {
		var body struct{ Check string }
		f.body(&body)
		switch f.Kind {
		case "check.passed", "check.failed":
			state[body.Check] = f.Kind
		case "service.restored":
			for _, s := range b.probeSignals() {
				if name := s.Facets["probe"]; state[name] != "check.passed" {
					return fmt.Errorf("service returned and the probe %s had not passed", name)
				}
			}
			return nil
		}
	}
	return errors.New("service never returned")
}

// clocksInTime: each clock of the policy's text that ran and has a limit, in business time or not, was
// met within it.
func (b *bench) clocksInTime() error {
	all, err := b.deadlines()
	if err != nil {
		return err
	}
	ran := map[string]bool{}
	for _, f := range b.export.of("duty.started") {
		var body dutyBody
		f.body(&body)
		ran[body.Duty] = true
	}
	for _, d := range all {
		if !ran[d.duty] || d.limit.IsZero() || d.limit.After(b.c.Now) || !b.held(d.duty) {
			continue
		}
		if !b.metInTime(d) {
			return fmt.Errorf("%s was due %s and was not met by then", d.duty, d.limit.UTC().Format(time.RFC3339))
		}
	}
	for _, f := range b.export.of("duty.missed") {
		var body dutyBody
		if f.body(&body); b.held(body.Duty) {
			return fmt.Errorf("a clock was missed: %s, fact %s", body.Duty, f.ID)
		}
	}
	return nil
}

// held says whether people of the story do what a duty asks for. Of a policy of one's own that was derived
// before the run, and its rows say of the others why not.
func (b *bench) held(duty string) bool {
	e := b.manifest.Policies[b.c.Policy][duty]
	return len(b.c.Source) == 0 || e.Expect == kept || e.Expect == missed
}
