package drill

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/tocsin-ir/tocsin/internal/drill/channel"
)

// Of the vendor's account in Basecamp.
const (
	baseAccount = "5550199"
	baseAgent   = "Tocsin of the drill (security@javabeanai.com)"
	baseClient  = "drill-client"
	hookName    = "hook:slack_hook" // of a client that is told by an incoming webhook
)

// inChannels says that clients are told in Slack and in Basecamp.
func (r *run) inChannels() bool {
	s, err := scriptOf(r.o.Scenario)
	return err == nil && s.setting().channels
}

// clientsMeet gives each client a place where it talks with the vendor, and says how each place answers.
// As with real clients not all of it works: one channel was archived, one board is gone, one client has
// both, and some have neither. One place in Slack is known by its incoming webhook.
func (r *run) clientsMeet(log string) channel.Config {
	c := channel.Config{Log: log, Now: r.start,
		Slack:    channel.Slack{Token: channel.Secret("xoxb-" + rand.Text()), Channels: map[string]string{}, Hooks: map[string]string{}},
		Basecamp: channel.Basecamp{Account: baseAccount, Token: channel.Secret("bc3_" + rand.Text()), Boards: map[string]int{}, ClientID: baseClient, ClientSecret: channel.Secret("cs_" + rand.Text()), Refresh: channel.Secret("rt_" + rand.Text())},
	}
	r.slackHook = "/services/T0DRILL/B0DRILL/" + rand.Text()
	n := 0
	for i := range r.world.Merchants {
		m := &r.world.Merchants[i]
		if !m.Uninstalled.IsZero() {
			continue
		}
		slack, board := fmt.Sprintf("C0DRILL%03d", i+1), fmt.Sprint(70_000_000+i)
		c.Slack.Channels[slack], c.Basecamp.Boards[board] = "", 0
		switch n++; n {
		case 1:
			m.Slack = slack
		case 2, 5:
			m.Basecamp = board
		case 3: // nothing takes what is written to it but its mail
			m.Slack, c.Slack.Channels[slack] = slack, "is_archived"
		case 4: // its project was closed; its channel is the second place
			m.Basecamp, m.Slack, c.Basecamp.Boards[board] = board, slack, http.StatusNotFound
		case 6:
			m.Slack, c.Slack.Hooks[r.slackHook] = hookName, slack
		default:
			if n%3 == 0 {
				m.Slack = slack
			} else if n%3 == 1 {
				m.Basecamp = board
			}
		}
	}
	for _, s := range []channel.Secret{c.Slack.Token, c.Basecamp.Token, c.Basecamp.ClientSecret, c.Basecamp.Refresh, channel.Secret(r.slackHook)} {
		r.secrets = append(r.secrets, string(s))
	}
	r.tokens = c
	return c
}

// keepChannelTokens stores what the channels ask for. The access token of Basecamp is one that has run
// out by now, as it does every two weeks; a new one has to be asked for.
func (r *run) keepChannelTokens(ctx context.Context) error {
	if r.channels == nil {
		return nil
	}
	for name, value := range map[string]string{
		"slack_bot": string(r.tokens.Slack.Token), "slack_hook": "http://" + r.meet.Slack + r.slackHook, "basecamp_token": "bc3_" + rand.Text(),
		"basecamp_client": string(r.tokens.Basecamp.ClientSecret), "basecamp_refresh": string(r.tokens.Basecamp.Refresh),
	} {
		if err := r.owner.Call(ctx, http.MethodPut, "/v1/secrets/"+name, []byte(value), nil); err != nil {
			return fmt.Errorf("drill: put secret: %w", err)
		}
	}
	return nil
}

// inChannels is the part of the configuration about channels.
func (p places) inChannels() map[string]any {
	type m = map[string]any
	return m{
		"slack": m{"token": "slack_bot", "url": "http://" + p.channels.Slack + "/api", "hooks": "http://" + p.channels.Slack + "/services/"},
		"basecamp": m{"account": baseAccount, "agent": baseAgent, "token": "basecamp_token", "client_id": baseClient, "client_secret": "basecamp_client", "refresh": "basecamp_refresh",
			"url": "http://" + p.channels.Basecamp, "signin": "http://" + p.channels.Basecamp},
	}
}
