package judge

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// told is the first letter to each merchant, by Message-ID and by address: a mail counts for a
// merchant only when it went to one of the merchant's own addresses, a post only in its own channel.
func (b *bench) told() map[string]letter {
	whose := b.whose()
	out := map[string]letter{}
	for _, l := range b.mails {
		id := whose[l.MessageID]
		m := b.merchants[id]
		if m == nil || !m.reached(l.Rcpt) {
			continue
		}
		if first, ok := out[id]; !ok || l.At.Before(first.At) {
			out[id] = l
		}
	}
	return out
}

func (b *bench) merchantsTold(p *row) error {
	confirmed, _, ok := b.export.milestone("confirmed")
	if !ok {
		return errors.New("it was never confirmed, so no clock began")
	}
	_, want := b.truthBy()
	told := b.told()
	var without []string
	var last time.Time
	for m := range want {
		l, ok := told[m]
		if !ok {
			without = append(without, m)
			continue
		}
		if l.At.After(last) {
			last = l.At
		}
	}
	if len(without) > 0 {
		slices.Sort(without)
		return fmt.Errorf("%d of %d merchants have no mail: %s", len(without), len(want), strings.Join(without[:min(5, len(without))], ", "))
	}
	if sent := b.export.of("notice.sending"); len(sent) > 0 {
		p.prove(sent[len(sent)-1])
	}
	return p.took(p.since(confirmed, last), "simulated", "person")
}

// promised is the id of the duty or action of a section that makes a promise, the first by name.
func promised[R any](section map[string]R, of func(R) yaml.Node, promise string) (string, bool) {
	for _, id := range slices.Sorted(maps.Keys(section)) {
		if slices.Contains(words(of(section[id])), promise) {
			return id, true
		}
	}
	return "", false
}

// dutyFor is the notice that makes a promise, from the policy's text: its id and content items.
func (b *bench) dutyFor(promise string) (duty string, items []string, found bool) {
	if duty = b.manifest.Policies[b.c.Policy][promise].Duty; duty == "" {
		duty, _ = promised(b.policy.Duties, func(d dutyText) yaml.Node { return d.Promise }, promise)
	}
	_, found = b.policy.Duties[duty]
	return duty, words(b.policy.Duties[duty].Content), found && b.policy.Duties[duty].Do == "notify"
}

// written is the newest text of each item of a duty's notice, from the evidence.
func (b *bench) written(duty string) (notice string, content map[string]string) {
	for _, f := range b.export.of("notice.drafted") {
		var body struct{ Notice, Duty string }
		var text struct {
			Content map[string]string `json:"content"`
		}
		if f.body(&body); body.Duty != duty && body.Notice != notice {
			continue
		}
		f.own(&text)
		notice, content = body.Notice, text.Content
	}
	return notice, content
}

var customersLine = regexp.MustCompile(`(?i)customer accounts[^:\n]*:\s*(?:at least )?([0-9]+)`)
var merchantID = regexp.MustCompile(`\bm_[0-9]+\b`)

func (b *bench) noticeContent(p *row) error {
	duty, items, ok := b.dutyFor("NOT-2")
	if !ok || len(items) == 0 {
		return errors.New("the policy promises no content")
	}
	notice, content := b.written(duty)
	s, ok := b.export.scope()
	if !ok {
		return errors.New("no scope was recorded, so no number can be right")
	}
	own := map[string]int{}
	for _, r := range s.Rows {
		own[r.Merchant] = r.Customers
	}
	told := b.told()
	if len(told) == 0 {
		return errors.New("there is no mail to a merchant")
	}
	others := b.strangers()
	var wrong []string
	note := func(l letter, format string, args ...any) {
		wrong = append(wrong, l.File+": "+fmt.Sprintf(format, args...))
	}
	for id, l := range told {
		text := flat(l.text)
		for _, item := range items {
			if content[item] == "" || !strings.Contains(text, flat(content[item])) {
				note(l, "it does not say %s", item)
			}
		}
		numbers := customersLine.FindAllStringSubmatch(l.text, -1)
		if len(numbers) == 0 {
			note(l, "it names no number of customers")
		}
		for _, n := range numbers {
			if got, err := strconv.Atoi(n[1]); err != nil || got != own[id] {
				note(l, "it says %s customers, %s has %d", n[1], id, own[id])
			}
		}
		for _, seen := range merchantID.FindAllString(l.text, -1) {
			if seen != id {
				note(l, "it names %s", seen)
			}
		}
		if who := others.in(l.text+"\n"+l.subject+"\n"+l.header.Get("To"), b.merchants[id]); who != "" {
			note(l, "it holds something of %s", who)
		}
		if _, ok := l.checkpoint(); !ok {
			note(l, "it carries no checkpoint")
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("%d faults in %d mails: %s", len(wrong), len(told), strings.Join(wrong[:min(3, len(wrong))], "; "))
	}
	for _, f := range b.export.of("notice.approved") {
		var body struct{ Notice string }
		if f.body(&body); body.Notice == notice {
			p.prove(f)
		}
	}
	if p.Proof == "" {
		return errors.New("the evidence holds no approval of the notice")
	}
	p.Trigger = "person"
	return nil
}

// strangers finds strings that belong to one merchant alone.
type strangers struct {
	token *regexp.Regexp
	owner map[string][]string // lower-case token to merchants
	names map[string]string   // name to merchant
}

func (b *bench) strangers() strangers {
	s := strangers{token: regexp.MustCompile(`[\p{L}\p{N}._@+-]+`), owner: map[string][]string{}, names: map[string]string{}}
	for id, m := range b.merchants {
		for _, list := range [][]string{m.domains, m.stores, m.emails, {id}} {
			for _, t := range list {
				t = strings.ToLower(t)
				s.owner[t] = append(s.owner[t], id)
			}
		}
		if name := flat(m.name); len(name) >= 6 {
			s.names[name] = id
		}
	}
	return s
}

// in is a merchant other than own of which the text holds something, or "".
func (s strangers) in(text string, own *merchant) string {
	for _, t := range s.token.FindAllString(strings.ToLower(text), -1) {
		if who := s.owner[strings.Trim(t, ".-+")]; len(who) > 0 && !slices.Contains(who, own.id) {
			return who[0]
		}
	}
	whole := flat(text)
	for name, id := range s.names {
		if id != own.id && strings.Contains(whole, name) {
			return id
		}
	}
	return ""
}

func (b *bench) platformTold(p *row) error {
	confirmed, _, ok := b.export.milestone("confirmed")
	if !ok {
		return errors.New("it was never confirmed")
	}
	return b.partyTold(p, "NOT-3", confirmed)
}

// authorityTold counts from the instant at which the vendor became aware: the milestone, or the
// earlier of a person's acknowledgement and the confirmation where nobody set it.
func (b *bench) authorityTold(p *row) error {
	aware, _, ok := b.export.milestone("aware")
	for _, name := range []string{"acknowledged", "confirmed"} {
		at, _, set := b.export.milestone(name)
		if set && (!ok || at.Before(aware)) {
			aware, ok = at, true
		}
	}
	if !ok {
		return errors.New("nobody ever became aware of it")
	}
	return b.partyTold(p, "NOT-4", aware)
}

// partyTold looks for the mail to the first address of whoever a promise's notice goes to.
func (b *bench) partyTold(p *row, promise string, from time.Time) error {
	duty, items, ok := b.dutyFor(promise)
	if !ok || len(items) == 0 {
		return errors.New("the policy has no notice that promises it, or one without content")
	}
	return b.noticeOf(p, duty, from)
}

// noticeOf looks for the mail to the first address of whoever a duty's notice goes to.
func (b *bench) noticeOf(p *row, duty string, from time.Time) error {
	to, items := b.policy.Duties[duty].To, words(b.policy.Duties[duty].Content)
	addresses := words(b.policy.Parties[to].Address)
	if len(addresses) == 0 {
		return fmt.Errorf("the policy has no address of %s", to)
	}
	_, content := b.written(duty)
	for _, l := range b.mails {
		if !slices.ContainsFunc(l.Rcpt, func(a string) bool { return strings.EqualFold(a, addresses[0]) }) {
			continue
		}
		for _, item := range items {
			if content[item] == "" || !strings.Contains(flat(l.text), flat(content[item])) {
				return fmt.Errorf("%s does not say %s", l.File, item)
			}
		}
		p.Proof = "mail " + l.File
		for _, f := range b.export.of("notice.accepted") {
			var body struct{ Party string }
			if f.body(&body); body.Party == to {
				p.prove(f)
			}
		}
		return p.took(p.since(from, l.At), "simulated", "person")
	}
	return fmt.Errorf("%s has no mail", addresses[0])
}

// toldWithoutDelay is the promise without a number: every merchant has its mail within the target
// that the manifest took from the policy, and the clock that ran meanwhile had no limit to miss.
func (b *bench) toldWithoutDelay(p *row) error {
	duty, _, ok := b.dutyFor("NOT-6")
	if !ok {
		return errors.New("the policy has no notice that promises it")
	}
	ran := false
	for _, f := range b.export.of("duty.started") {
		var body struct{ Duty string }
		f.body(&body)
		ran = ran || body.Duty == duty
	}
	if !ran {
		return fmt.Errorf("the evidence holds no clock of %s", duty)
	}
	return b.merchantsTold(p)
}
