package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// post is a line of the log that the places keep where clients are told beside mail.
type post struct {
	Time     time.Time `json:"time"`
	Real     time.Time `json:"real"`
	Platform string    `json:"platform"`
	Channel  string    `json:"channel"`
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	Error    string    `json:"error"`
	Seen     bool      `json:"seen"` // clients can read it
}

var postReference = regexp.MustCompile(`(?m)^Reference: (\S+@\S+)\s*$`)

// readPosts reads what clients could read in their channels as letters, beside the mails: what has to be
// said, to whom and when is the same there.
func (b *bench) readPosts() error {
	if b.c.Channels == "" {
		return nil
	}
	raw, err := os.ReadFile(b.c.Channels)
	if err != nil {
		return fmt.Errorf("the log of the channels: %w", err)
	}
	for line := range bytes.Lines(raw) {
		var p post
		if err := json.Unmarshal(line, &p); err != nil {
			return fmt.Errorf("the log of the channels: line %d: %w", len(b.posts)+1, err)
		}
		b.posts = append(b.posts, p)
		if !p.Seen {
			continue
		}
		l := letter{File: fmt.Sprintf("the post of line %d", len(b.posts)), At: p.Time, Real: p.Real, Rcpt: []string{p.Platform + ":" + p.Channel}, subject: p.Subject, text: p.Text, parts: 1}
		if ref := postReference.FindStringSubmatch(p.Text); ref != nil {
			l.MessageID = ref[1]
		}
		b.mails = append(b.mails, l)
	}
	return nil
}

// way is how a letter came: by mail, or by a platform.
func (l letter) way() string {
	if where, _, ok := strings.Cut(l.Rcpt[0], ":"); ok {
		return where
	}
	return "mail"
}

// refuse says that every channel of a merchant had refused a text before somebody turned to another way of
// telling: what Basecamp and Slack themselves say they did not take.
func (b *bench) refuse(m *merchant, id string, before time.Time) bool {
	for platform, places := range map[string][]string{"slack": m.slack, "basecamp": m.boards} {
		for _, place := range places {
			if !slices.ContainsFunc(b.posts, func(p post) bool {
				return p.Platform == platform && p.Channel == place && p.Error != "" && !p.Real.After(before) && strings.Contains(p.Text, "Reference: "+id)
			}) {
				return false
			}
		}
	}
	return true
}

// inTheirChannels: every affected client had the first notice within the time that the policy calls
// prompt, and each notice and update where it talks with the vendor: in its channel, and by mail only where
// it has none or the channel itself refused that very text. From then until service returned no client went
// without one for longer than the limit.
func (b *bench) inTheirChannels(p *row) error {
	confirmed, _, ok := b.export.milestone("confirmed")
	restored := b.export.of("service.restored")
	if !ok || len(restored) == 0 {
		return errors.New("it was never confirmed, or service never returned")
	}
	promptly, err := time.ParseDuration(strings.ReplaceAll(b.policy.Time.Promptly, " ", ""))
	if err != nil {
		return fmt.Errorf("what the policy calls prompt: %w", err)
	}
	again := row{within: p.within}
	if err := b.updatesNeverStop(&again); err != nil {
		return err
	}
	first := map[string]time.Time{}
	ways := map[string]int{}
	whose := b.whose()
	duty := b.dutyOf()
	for _, l := range b.mails {
		m := b.merchants[whose[l.MessageID]]
		if m == nil || !slices.Contains(words(b.policy.Duties[duty[l.MessageID]].Promise), "NOT-7") {
			continue
		}
		ways[l.way()]++
		if l.way() == "mail" && !b.refuse(m, l.MessageID, l.Real) {
			return fmt.Errorf("%s went to %s by mail, and its channel had not refused it", l.File, m.id)
		}
		if at, ok := first[m.id]; !ok || l.At.Before(at) {
			first[m.id] = l.At
		}
	}
	_, affected := b.truthBy()
	var longest time.Duration
	for _, id := range slices.Sorted(maps.Keys(affected)) {
		at, told := first[id]
		if !told {
			return fmt.Errorf("%s was told nothing", id)
		}
		if took := at.Sub(confirmed); took > promptly {
			return fmt.Errorf("%s was told %s after the confirmation, and promptly is %s", id, took, promptly)
		}
		longest = max(longest, at.Sub(confirmed))
	}
	if ways["slack"] == 0 || ways["basecamp"] == 0 || ways["mail"] == 0 {
		return fmt.Errorf("%d were told in Slack, %d in Basecamp and %d by mail: the drill has clients of each kind", ways["slack"], ways["basecamp"], ways["mail"])
	}
	p.Proof = fmt.Sprintf("%d notices and updates in Basecamp, %d in Slack, %d by mail where a channel refused; the first after", ways["basecamp"], ways["slack"], ways["mail"])
	p.within = promptly
	return p.took(longest, "simulated", "person")
}

// dutyOf maps Message-IDs to the duty whose notice they carry.
func (b *bench) dutyOf() map[string]string {
	duties, out := map[string]string{}, map[string]string{}
	for _, f := range b.export.of("notice.drafted") {
		var body struct{ Notice, Duty string }
		f.body(&body)
		duties[body.Notice] = body.Duty
	}
	for _, f := range b.export.of("notice.attempted") {
		var body struct{ Notice string }
		f.body(&body)
		for id := range messages(f) {
			out[id] = duties[body.Notice]
		}
	}
	return out
}
