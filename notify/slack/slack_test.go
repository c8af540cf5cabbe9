package slack_test

import (
	"errors"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/channel"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/notify/slack"
)

// workspace is a Slack that answers as Slack does, and a sender that may post there.
func workspace(t *testing.T, c channel.Config, secrets map[string]string) (*channel.Platforms, *slack.Sender, *time.Time) {
	t.Helper()
	now := time.Now()
	p, err := channel.New(c, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p.SlackHandler())
	t.Cleanup(s.Close)
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(out.Close)
	named := func(name string) (contain.Secret, error) {
		v, ok := secrets[name]
		if !ok {
			return contain.Secret{}, errors.New("there is none")
		}
		return egress.NewSecret(strings.Replace(v, "http://slack", s.URL, 1)), nil
	}
	return p, slack.New(slack.Config{Token: "bot", URL: s.URL + "/api", Hooks: s.URL + "/services/"}, out, named), &now
}

func letter(to string) notify.Letter {
	return notify.Letter{Channel: "slack", To: to, MessageID: "abc@example.com", Subject: "Security notice", Text: "To <Müller> & Söhne <!channel>\n\nSomebody used a stolen token.\n"}
}

const token = "xoxb-1"

func slackOf() channel.Config {
	return channel.Config{Slack: channel.Slack{Token: token, Channels: map[string]string{"C0GOOD": "", "C0OLD": "is_archived", "C0OUT": "not_in_channel"},
		Hooks: map[string]string{"/services/T1/B1/x": "C0GOOD"}}}
}

// promise: NOT-7
func TestAClientIsToldInItsChannel(t *testing.T) {
	for _, to := range []string{"C0GOOD", "hook:acme"} {
		p, s, _ := workspace(t, slackOf(), map[string]string{"bot": token, "acme": "http://slack/services/T1/B1/x"})
		if r := s.Send(t.Context(), letter(to)); r.Outcome != incident.Done {
			t.Fatalf("%s: %s %s %s", to, r.Outcome, r.Code, r.Detail)
		}
		l := p.Lines()
		if len(l) != 1 || l[0].Channel != "C0GOOD" || !l[0].Seen || !strings.HasPrefix(l[0].Text, letter(to).Text) || !strings.Contains(l[0].Text, "Reference: abc@example.com") {
			t.Errorf("%s: Slack shows %+v", to, l)
		}
	}
}

// A merchant's name must not call everybody in a channel.
//
// promise: NOT-7
func TestWhatIsWrittenIsNoMarkup(t *testing.T) {
	one, err := slack.New(slack.Config{}, nil, nil).Digest(letter("C0GOOD"))
	if err != nil || !strings.HasPrefix(one, "sha256:") {
		t.Fatalf("%s, %v", one, err)
	}
	p, s, _ := workspace(t, slackOf(), map[string]string{"bot": token})
	s.Send(t.Context(), letter("C0GOOD"))
	// What people read is what was written: without escapes Slack makes a call of it, as the fake does.
	if got := p.Lines()[0].Text; !strings.Contains(got, "To <Müller> & Söhne <!channel>") {
		t.Errorf("people read %q", got)
	}
}

// promise: NOT-7
func TestEachErrorOfSlackSaysWhatComesNext(t *testing.T) {
	for _, c := range []struct {
		name, to string
		secrets  map[string]string
		text     int
		outcome  incident.Outcome
		code     string
	}{
		{"an archived channel", "C0OLD", nil, 0, incident.Failed, "is_archived"},
		{"a channel that the bot is not in", "C0OUT", nil, 0, incident.Failed, "not_in_channel"},
		{"no such channel", "C0NONE", nil, 0, incident.Failed, "channel_not_found"},
		{"a revoked token", "C0GOOD", map[string]string{"bot": "xoxb-old"}, 0, incident.Failed, "invalid_auth"},
		{"no token", "C0GOOD", map[string]string{}, 0, incident.Failed, "no_secret"},
		{"more than Slack takes", "C0GOOD", nil, 50_000, incident.Failed, "msg_too_long"},
		{"a webhook that is gone", "hook:gone", map[string]string{"gone": "http://slack/services/T1/B1/gone"}, 0, incident.Failed, "no_service"},
		{"a secret that is no webhook", "hook:bot", nil, 0, incident.Failed, "no_webhook"},
	} {
		if c.secrets == nil {
			c.secrets = map[string]string{"bot": token}
		}
		p, s, _ := workspace(t, slackOf(), c.secrets)
		l := letter(c.to)
		l.Text += strings.Repeat("x", c.text)
		r := s.Send(t.Context(), l)
		if r.Outcome != c.outcome || r.Code != c.code {
			t.Errorf("%s: %s %s, want %s %s", c.name, r.Outcome, r.Code, c.outcome, c.code)
		}
		for _, l := range p.Lines() {
			if l.Seen {
				t.Errorf("%s: it was posted", c.name)
			}
		}
	}
}

// promise: NOT-7
func TestALimitIsWaitedForAndASilenceIsUncertain(t *testing.T) {
	p, s, now := workspace(t, slackOf(), map[string]string{"bot": token})
	s.Send(t.Context(), letter("C0GOOD"))
	r := s.Send(t.Context(), letter("C0GOOD"))
	if r.Outcome != incident.Deferred || r.Wait != time.Second {
		t.Errorf("the second message of a second: %s %s, wait %s", r.Outcome, r.Code, r.Wait)
	}
	*now = now.Add(time.Second)
	if r := s.Send(t.Context(), letter("C0GOOD")); r.Outcome != incident.Done {
		t.Errorf("a second later: %s %s", r.Outcome, r.Code)
	}
	if n := len(p.Lines()); n != 3 {
		t.Errorf("Slack saw %d attempts", n)
	}

	c := slackOf()
	c.DropEach = 1
	p, s, _ = workspace(t, c, map[string]string{"bot": token})
	if r := s.Send(t.Context(), letter("C0GOOD")); r.Outcome != incident.Uncertain {
		t.Errorf("an answer that never came: %s %s", r.Outcome, r.Code)
	}
	if l := p.Lines(); len(l) != 1 || !l[0].Seen {
		t.Errorf("Slack shows %+v", l)
	}
}
