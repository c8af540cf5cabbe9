package judge

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (b *bench) classDefined(p *row) error {
	opened := b.export.of("incident.opened")
	if len(opened) == 0 {
		return errors.New("the evidence holds no opening of the incident")
	}
	var body struct{ Class, Policy string }
	opened[0].body(&body)
	c, ok := b.policy.Classes[body.Class]
	if !ok {
		return fmt.Errorf("class %q is not one the policy defines", body.Class)
	}
	if means := strings.TrimSuffix(flat(c.Means), "."); !strings.Contains(flat(string(b.export.files["policy/page.md"])), means) {
		return fmt.Errorf("the published page does not say what %s means", body.Class)
	}
	p.prove(opened[0])
	p.Trigger = "system"
	return nil
}

func (b *bench) confirmed(p *row) error {
	at, f, ok := b.export.milestone("confirmed")
	if !ok {
		return errors.New("nobody confirmed or dismissed it")
	}
	var why struct{ Reason string }
	f.own(&why)
	if !strings.HasPrefix(f.Principal, "person:") || strings.TrimSpace(why.Reason) == "" {
		return errors.New("it was confirmed without a person or without a reason")
	}
	p.prove(f)
	return p.took(p.since(b.export.facts[0].Recorded, at), "simulated", "person")
}

// stolen is the id of the stolen credential: the one the truth's events carry in the
// application's own log.
func (b *bench) stolen() string {
	ids, _ := b.truthBy()
	for _, r := range b.requests {
		if r.ID != "" && ids[r.ID] {
			return r.Credential
		}
	}
	return ""
}

// client is an address and an agent.
type client struct{ ip, agent string }

func (b *bench) revoked(p *row) error {
	s := b.seen.Token
	if s.Accepted == 0 {
		return errors.New("the judge never saw the token work, so a refusal would show nothing")
	}
	if s.Refused == 0 {
		return fmt.Errorf("the stolen token was still accepted at the last of %d trials", s.Tried)
	}
	if s.Relapsed {
		return errors.New("the stolen token was accepted again after it had been refused")
	}
	var proven *fact
	var from time.Time
	for _, f := range b.export.facts {
		var a struct{ Action, Decl, Uses string }
		f.body(&a)
		switch f.Kind {
		case "action.planned":
			var plan struct {
				Target map[string]string `json:"target"`
			}
			f.own(&plan)
			if plan.Target["credential"] == b.stolen() {
				p.Proof = a.Action
			}
		case "action.attempted":
			if a.Action == p.Proof && from.IsZero() {
				from = f.Real
			}
		case "action.proven":
			if a.Action == p.Proof && p.Proof != "" {
				proven = &f
			}
		}
	}
	if proven == nil {
		return errors.New("the evidence holds no proof that the token was revoked")
	}
	if !b.probed(from, proven.Real) {
		return errors.New("the evidence says that a probe was refused; the application's log knows of none")
	}
	p.prove(*proven)
	return p.took(s.FirstRefusal.Sub(b.export.facts[0].Recorded), "simulated", "person")
}

// probed looks in the application's own log for a refused request with the stolen token that came
// neither from the attacker, nor from the judge, nor from anybody who had read data with it before.
func (b *bench) probed(from, to time.Time) bool {
	stolen := b.stolen()
	known := map[client]bool{}
	for _, e := range b.truth.Events {
		known[client{e.IP, e.Agent}] = true
	}
	for _, r := range b.requests {
		if r.Credential == stolen && r.Status == http.StatusOK && r.ID != "" {
			known[client{r.IP, r.Agent}] = true
		}
	}
	const slack = 100 * time.Millisecond
	for _, r := range b.requests {
		refused := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden
		if r.Credential == stolen && refused && r.Agent != agent && !known[client{r.IP, r.Agent}] && !r.Real.Before(from) && !r.Real.After(to.Add(slack)) {
			return true
		}
	}
	return false
}

// switched: the merchant's own switch, then the one for all, each obeyed at once and not before.
func (b *bench) switched(p *row) error {
	flips := b.export.of("switch.flipped")
	var off fact
	merchant := ""
	for _, f := range flips {
		var body struct {
			State string `json:"state"`
			All   bool   `json:"all"`
		}
		if f.body(&body); body.State != "off" || body.All {
			continue
		}
		for _, part := range f.parts {
			if part.Merchant != "" {
				off, merchant = f, part.Merchant
			}
		}
	}
	if merchant == "" {
		return errors.New("the evidence holds no switch of a single merchant")
	}
	var first, global, after time.Time
	for _, r := range b.requests {
		switch {
		case r.Path != "/orders":
		case r.Status == http.StatusServiceUnavailable && r.Merchant == merchant && first.IsZero():
			first = r.Real
		case r.Status == http.StatusServiceUnavailable && r.Merchant != merchant && global.IsZero():
			global = r.Real
		case r.Status == http.StatusOK && !global.IsZero() && r.Merchant != merchant:
			after = r.Real
		}
	}
	switch {
	case first.IsZero():
		return errors.New("the application never refused the merchant")
	case first.Before(off.Real):
		return errors.New("the application refused the merchant before the switch")
	case global.IsZero():
		return errors.New("the application never refused everybody")
	case after.IsZero():
		return errors.New("nobody was served again after the switch for all")
	}
	p.prove(off)
	const most = 2 * time.Second
	p.DueSeconds, p.within = seconds(most), most
	return p.took(first.Sub(off.Real), "real", "person")
}

func (b *bench) recorded(p *row) error {
	have := map[string]bool{}
	for _, e := range b.export.events {
		have[e.Event.ID] = true
	}
	for _, l := range b.timeline {
		if l.Source != "fact" {
			have[l.ID] = true
		}
	}
	lost := 0
	for _, e := range b.truth.Events {
		if !have[e.ID] {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d accesses the attacker made are nowhere in the evidence", lost, len(b.truth.Events))
	}
	p.Trigger = "system"
	p.Proof = fmt.Sprintf("%d event ids in events.ndjson", len(b.truth.Events))
	return nil
}

type signal struct {
	Signal struct {
		ID     string    `json:"id"`
		At     time.Time `json:"at"`
		Events []string  `json:"events"`
	} `json:"signal"`
}

// signals are the linked signals that name at least one event of the truth.
func (b *bench) signals() (found []fact, first signal) {
	ids, _ := b.truthBy()
	for _, f := range b.export.of("signal.linked") {
		var s signal
		if f.own(&s); slices.ContainsFunc(s.Signal.Events, func(id string) bool { return ids[id] }) {
			if len(found) == 0 {
				first = s
			}
			found = append(found, f)
		}
	}
	return found, first
}

func (b *bench) noticed(p *row) error {
	found, first := b.signals()
	if len(found) == 0 {
		return errors.New("no signal names an event that the attacker received")
	}
	p.prove(found[0])
	began := b.truth.Events[0].At
	for _, e := range b.truth.Events {
		if e.At.Before(began) {
			began = e.At
		}
	}
	return p.took(first.Signal.At.Sub(began), "simulated", "system")
}

// noticedInTime holds the machine's time of the signal against the machine's time at which the
// application answered the request that crossed the line.
func (b *bench) noticedInTime(p *row) error {
	found, first := b.signals()
	if len(found) == 0 {
		return errors.New("no signal names an event that the attacker received")
	}
	var crossed time.Time
	for _, r := range b.requests {
		if r.ID == "" {
			continue
		}
		if r.Time.Equal(first.Signal.At) || crossed.IsZero() && slices.Contains(first.Signal.Events, r.ID) {
			crossed = r.Real
		}
	}
	if crossed.IsZero() {
		return errors.New("the application's log does not know the event that crossed the line")
	}
	p.prove(found[0])
	return p.took(found[0].Real.Sub(crossed), "real", "system")
}

func (b *bench) scoped(p *row) error {
	s, ok := b.export.scope()
	if !ok {
		return errors.New("no scope was recorded")
	}
	_, want := b.truthBy()
	got := map[string]int{}
	types := map[string]bool{}
	for _, r := range s.Rows {
		got[r.Merchant] = r.Customers
		for _, t := range r.DataTypes {
			types[t] = true
		}
	}
	var wrong []string
	for m, c := range want {
		if n, ok := got[m]; !ok {
			wrong = append(wrong, m+" is missing")
		} else if len(c) > 0 && n != len(c) {
			wrong = append(wrong, fmt.Sprintf("%s has %d customers, %d were received", m, n, len(c)))
		}
	}
	for m := range got {
		if want[m] == nil {
			wrong = append(wrong, m+" was not affected")
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("%d merchants are wrong: %s", len(wrong), strings.Join(wrong[:min(3, len(wrong))], "; "))
	}
	if b.scope.Precision < 1 || b.scope.Recall < 1 {
		return fmt.Errorf("by event id: precision %.4f, recall %.4f", b.scope.Precision, b.scope.Recall)
	}
	if len(types) == 0 {
		return errors.New("the scope names no kind of data")
	}
	computed := b.export.of("scope.computed")
	if len(computed) == 0 {
		return errors.New("the evidence holds no fact of the scope")
	}
	newest := computed[len(computed)-1]
	p.prove(newest)
	at, _, ok := b.export.milestone("confirmed")
	if !ok {
		return errors.New("it was never confirmed")
	}
	return p.took(p.since(at, newest.Recorded), "simulated", "person")
}

func (b *bench) oneTimeline(p *row) error {
	facts := map[string]bool{}
	for _, f := range b.export.facts {
		facts[f.ID] = true
	}
	ids, _ := b.truthBy()
	var shown, events, cloud int
	for i, l := range b.timeline {
		if i > 1 && l.At.Before(b.timeline[i-1].At) != b.timeline[1].At.Before(b.timeline[0].At) && !l.At.Equal(b.timeline[i-1].At) && !b.timeline[1].At.Equal(b.timeline[0].At) {
			return fmt.Errorf("line %d is out of order", i+1)
		}
		switch {
		case l.Source == "fact":
			id := l.Fact
			if id == "" {
				id = l.ID
			}
			if facts[id] {
				shown++
			}
		case ids[l.ID] || strings.Contains(l.Kind, "pii_access"):
			events++
		}
		if strings.Contains(l.Kind, "cloud_audit") || strings.Contains(l.Text, "amazonaws.com") {
			cloud++
		}
	}
	if shown == 0 || events == 0 || cloud == 0 {
		return fmt.Errorf("the timeline shows %d facts, %d accesses and %d lines of the cloud audit log", shown, events, cloud)
	}
	p.Trigger = "system"
	p.Proof = fmt.Sprintf("%d facts, %d accesses, %d cloud audit lines", shown, events, cloud)
	return nil
}

func (b *bench) untouched(p *row) error {
	if !b.evidence.Verified {
		return fmt.Errorf("tocsin-verify: %s", b.verifier)
	}
	if err := b.mailsAgree(); err != nil {
		return err
	}
	if b.evidence.TamperFound < b.evidence.TamperTrials {
		return fmt.Errorf("%d of %d alterations were not found", b.evidence.TamperTrials-b.evidence.TamperFound, b.evidence.TamperTrials)
	}
	p.Trigger = "system"
	p.Proof = b.verifier
	return nil
}

// mailsAgree holds every checkpoint that went out by mail against the leaves in the evidence: the
// log that is shown now has to begin with the log that was shown then.
func (b *bench) mailsAgree() error {
	trees := map[string][][32]byte{}
	for _, log := range []string{"facts", "events"} {
		list, err := leaves(b.export.files[log+".leaves"])
		if err != nil {
			return fmt.Errorf("%s.leaves: %w", log, err)
		}
		trees[log] = list
	}
	checked := map[string]bool{}
	carried := 0
	for _, l := range b.mails {
		note, ok := l.checkpoint()
		if !ok {
			continue
		}
		carried++
		if checked[note] {
			continue
		}
		checked[note] = true
		origin, size, want, err := checkpointOf(note)
		if err != nil {
			return fmt.Errorf("%s: %w", l.File, err)
		}
		list := trees[origin[strings.LastIndexByte(origin, '/')+1:]]
		if uint64(len(list)) < size {
			return fmt.Errorf("%s carries a checkpoint of %s of size %d; the evidence has %d leaves", l.File, origin, size, len(list))
		}
		if root(list[:size]) != want {
			return fmt.Errorf("%s carries a checkpoint of %s of size %d that the evidence does not continue: the log was rewritten", l.File, origin, size)
		}
	}
	if len(b.mails) > 0 && carried == 0 && !b.table.bare { // calls to the vendor's own people carry none
		return errors.New("no mail carries a checkpoint")
	}
	return nil
}

func (b *bench) assessed(p *row) error {
	found := b.export.of("assessment.recorded")
	if len(found) == 0 {
		return errors.New("no assessment was recorded")
	}
	f := found[len(found)-1]
	var a struct {
		Vector    string `json:"vector"`
		RootCause string `json:"root_cause"`
		Risk      string `json:"risk"`
	}
	f.own(&a)
	if a.Vector == "" || a.RootCause == "" || a.Risk == "" {
		return errors.New("vector, root cause or risk is empty")
	}
	if published := b.export.of("review.published"); len(published) > 0 && published[0].Recorded.Before(f.Recorded) {
		return errors.New("the review was published before the assessment")
	}
	p.prove(f)
	at, _, _ := b.export.milestone("confirmed")
	return p.took(p.since(at, f.Recorded), "simulated", "person")
}

func (b *bench) restoredWhenProven(p *row) error {
	var refused, fixed, verified, restored *fact
	checks := map[string]bool{}
	proven := map[string]bool{} // planned actions, and whether they are
	var early []string
	for i := range b.export.facts {
		f := &b.export.facts[i]
		var body struct {
			Command string `json:"command"`
			Check   string `json:"check"`
			Action  string `json:"action"`
		}
		f.body(&body)
		switch f.Kind {
		case "gate.refused":
			if body.Command == "restore" && verified == nil {
				refused = f
			}
		case "fix.recorded":
			fixed = f
		case "fix.verified":
			verified = f
		case "check.passed":
			checks[body.Check] = true
		case "check.failed":
			checks[body.Check] = false
		case "action.planned":
			proven[body.Action] = false
		case "action.proven", "action.undone", "action.cancelled":
			proven[body.Action] = true
		case "service.restored":
			if restored != nil {
				continue
			}
			restored = f
			if verified == nil || fixed == nil {
				early = append(early, "the fix was not verified")
			} else if verified.Principal == fixed.Principal {
				early = append(early, "the fix was verified by whoever made it")
			}
			for id, declared := range b.policy.Checks {
				var how struct {
					Probe string `yaml:"probe"`
				}
				_ = declared.Decode(&how)                    // a check without a probe has to have passed all the same
				if how.Probe != "connector" && !checks[id] { // a connector's probe proves its action, below
					early = append(early, "check "+id+" had not passed")
				}
			}
			for id, ok := range proven {
				if !ok {
					early = append(early, id+" was not proven")
				}
			}
		}
	}
	if len(early) > 0 {
		slices.Sort(early)
		return fmt.Errorf("service returned although %s", strings.Join(early, ", "))
	}
	if refused == nil {
		return errors.New("the early restore was not refused")
	}
	if restored == nil {
		p.prove(*refused)
		p.Reason = "service did not return: containment is not proven"
		return nil
	}
	p.prove(*restored)
	at, _, _ := b.export.milestone("confirmed")
	return p.took(restored.Recorded.Sub(at), "simulated", "person")
}

func (b *bench) reviewed(p *row) error {
	published := b.export.of("review.published")
	if len(published) == 0 {
		return errors.New("no review was published")
	}
	text := flat(string(b.export.files["review.md"]))
	if text == "" {
		return errors.New("the evidence holds no review")
	}
	written := map[string]string{}
	for _, f := range b.export.of("review.edited") {
		var body struct{ Part string }
		var words struct{ Text string }
		f.body(&body)
		f.own(&words)
		written[body.Part] = words.Text
	}
	for _, part := range b.policy.Review {
		if written[part] == "" {
			return fmt.Errorf("the review has no %s", part)
		}
		if !strings.Contains(text, flat(written[part])) {
			return fmt.Errorf("the published review does not hold its %s", part)
		}
	}
	if len(b.export.files["review.pdf"]) == 0 {
		return errors.New("the review is not there as PDF")
	}
	p.prove(published[0])
	at, _, _ := b.export.milestone("confirmed")
	return p.took(p.since(at, published[0].Recorded), "simulated", "person")
}

func (b *bench) secretsUnseen(p *row) error {
	seen := func(place string, text []byte) error {
		for i, s := range b.c.Secrets {
			if len(s) >= 8 && bytes.Contains(text, []byte(s)) {
				return fmt.Errorf("secret number %d stands in %s", i+1, place)
			}
		}
		return nil
	}
	for _, name := range b.export.names {
		if err := seen(name+" of the evidence", b.export.files[name]); err != nil {
			return err
		}
	}
	for _, l := range b.mails {
		if err := errors.Join(seen("mail "+l.File, l.raw), seen("mail "+l.File, []byte(l.text))); err != nil {
			return err
		}
	}
	if err := seen("the server's output", b.log); err != nil {
		return err
	}
	p.Trigger = "system"
	p.Proof = fmt.Sprintf("%d secrets searched for in evidence, %d mails and the server's output", len(b.c.Secrets), len(b.mails))
	return nil
}

func (b *bench) pagePublished(p *row) error {
	page := string(b.export.files["policy/page.md"])
	if page == "" || len(b.export.files["policy/page.html"]) == 0 {
		return errors.New("the evidence holds no page")
	}
	lower := strings.ToLower(page)
	for _, want := range []string{"purpose", "scope", "incident", "contain", "notif", "review", strings.ToLower(b.policy.Contact.Email), strings.ToLower(b.policy.Title)} {
		if !strings.Contains(lower, want) {
			return fmt.Errorf("the page does not say %q", want)
		}
	}
	if e, ok := b.manifest.Policies[b.c.Policy]["NOT-1"]; ok && e.Within != "" {
		hours := strings.TrimSuffix(e.Within, "h") + " hours"
		if !strings.Contains(lower, hours) {
			return fmt.Errorf("the page does not say %q", hours)
		}
	}
	if year := b.policy.Updated; len(year) >= 4 && !strings.Contains(page, year[:4]) {
		return errors.New("the page has no date")
	}
	p.Trigger = "system"
	p.Proof = "policy/page.md"
	return nil
}
