// Package slack tells people in Slack: by chat.postMessage in a channel, or by an incoming webhook.
package slack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify"
)

// Config is the channel as the configuration writes it under channels.slack.
type Config struct {
	Token string `yaml:"token"` // name of the secret that holds a bot's token, with the scope chat:write
	URL   string `yaml:"url"`   // where the Web API is; https://slack.com/api when absent
	Hooks string `yaml:"hooks"` // what the address of an incoming webhook begins with; https://hooks.slack.com/ when absent
}

// Validate checks the configuration; field names it in errors, such as "channels.slack".
func (c Config) Validate(field string) error {
	for _, x := range []struct{ name, value string }{{"url", c.URL}, {"hooks", c.Hooks}} {
		if u, err := url.Parse(x.value); x.value != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http") {
			return fmt.Errorf("%s.%s: has to be an address such as https://slack.com/api", field, x.name)
		}
	}
	return nil
}

// maxText is where Slack cuts a message off. One that is longer is not sent: half a notice is none.
const maxText = 40_000

// timeout bounds one message, its answer included.
const timeout = 30 * time.Second

// Sender posts letters. It is safe for concurrent use.
type Sender struct {
	c     Config
	out   *egress.Client
	named func(string) (contain.Secret, error)
}

var _ notify.Channel = (*Sender)(nil)

// New makes a sender from a valid configuration. named reads secrets.
func New(c Config, out *egress.Client, named func(string) (contain.Secret, error)) *Sender {
	if c.URL == "" {
		c.URL = "https://slack.com/api"
	}
	if c.Hooks == "" {
		c.Hooks = "https://hooks.slack.com/"
	}
	return &Sender{c: c, out: out, named: named}
}

// message is what is posted. Slack's markup is switched off and its three characters are escaped, so
// that a merchant's name calls nobody and makes no link of its own.
type message struct {
	Channel     string `json:"channel,omitempty"`
	Text        string `json:"text"`
	Markup      bool   `json:"mrkdwn"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
}

// hook is how an address names an incoming webhook by the secret that holds where it is.
const hook = "hook:"

var errTooLong = errors.New("the message is longer than Slack takes")

func render(l notify.Letter) ([]byte, error) {
	m := message{Channel: l.To, Text: strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(l.Text + "\nReference: " + l.MessageID + "\n")}
	if strings.HasPrefix(l.To, hook) {
		m.Channel = "" // a webhook has one channel
	}
	if utf8.RuneCountInString(m.Text) > maxText {
		return nil, errTooLong
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(m)
	return b.Bytes(), err
}

// Digest is the SHA-256 of the bytes that are sent. A message that is too long has one too: that it is,
// is said when it is sent.
func (s *Sender) Digest(l notify.Letter) (string, error) {
	b, err := render(l)
	if err != nil && !errors.Is(err, errTooLong) {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Send posts one letter.
//
// A crash before the request has posted nothing; a crash after it leaves the attempt without a result,
// which the desk reports as uncertain, as Send does when no answer came. The message carries the same
// reference every time, by which people can tell that they have it twice.
func (s *Sender) Send(ctx context.Context, l notify.Letter) notify.Receipt {
	body, err := render(l)
	if err != nil {
		return receipt(incident.Failed, "msg_too_long", "", 0)
	}
	secret, place := s.c.Token, strings.TrimSuffix(s.c.URL, "/")+"/chat.postMessage"
	name, hooked := strings.CutPrefix(l.To, hook)
	if hooked {
		secret = name
	}
	key, err := s.named(secret)
	if err != nil {
		return receipt(incident.Failed, "no_secret", "", 0)
	}
	if hooked {
		// The name comes from the directory: nothing but a webhook may be reached by it.
		if place = key.Reveal(); !strings.HasPrefix(place, s.c.Hooks) {
			return receipt(incident.Failed, "no_webhook", "", 0)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, place, bytes.NewReader(body))
	if err != nil {
		return receipt(incident.Failed, "no_webhook", "", 0) // the error would quote the address
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if !hooked {
		r.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	resp, err := s.out.Send(ctx, r)
	if err != nil {
		return notify.Unanswered(contain.CodeOf(err), contain.Sent(err), time.Now().UTC())
	}
	if hooked {
		return hookSaid(resp)
	}
	return apiSaid(resp)
}

// word is an error as Slack writes it. Nothing else of an answer is kept.
var word = regexp.MustCompile(`^[a-z][a-z_]{1,60}$`)

var stamp = regexp.MustCompile(`^[0-9]{1,12}\.[0-9]{1,9}$`)

// apiSaid reads the answer of chat.postMessage, which is 200 for most of what goes wrong too.
func apiSaid(resp egress.Response) notify.Receipt {
	if resp.Status == http.StatusTooManyRequests {
		return receipt(incident.Deferred, "ratelimited", "", resp.RetryAfter)
	}
	var said struct {
		OK    bool   `json:"ok"`
		TS    string `json:"ts"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(resp.Body, &said); err != nil {
		return byStatus(resp)
	}
	if !word.MatchString(said.Error) {
		said.Error = ""
	}
	switch {
	case said.OK && stamp.MatchString(said.TS):
		return receipt(incident.Done, "ok", "ts "+said.TS, 0)
	case said.OK:
		return receipt(incident.Uncertain, "no_ts", "", 0)
	}
	switch said.Error {
	case "":
		return byStatus(resp)
	case "ratelimited", "rate_limited", "service_unavailable", "request_timeout":
		return receipt(incident.Deferred, said.Error, "", resp.RetryAfter)
	case "fatal_error", "internal_error": // some of it may have happened, by Slack's own word
		return receipt(incident.Uncertain, said.Error, "", 0)
	}
	return receipt(incident.Failed, said.Error, "", 0)
}

// hookSaid reads the answer of an incoming webhook, which is a word in plain text.
func hookSaid(resp egress.Response) notify.Receipt {
	said := strings.TrimSpace(string(resp.Body))
	switch {
	case resp.Status == http.StatusTooManyRequests:
		return receipt(incident.Deferred, "ratelimited", "", resp.RetryAfter)
	case resp.Status == http.StatusOK && said == "ok":
		return receipt(incident.Done, "ok", "", 0)
	case resp.Status >= 400 && resp.Status < 500 && word.MatchString(said):
		return receipt(incident.Failed, said, "", 0)
	}
	return byStatus(resp)
}

// byStatus is an answer that is not Slack's own.
func byStatus(resp egress.Response) notify.Receipt {
	code := fmt.Sprintf("http %d", resp.Status)
	switch {
	case resp.Status == http.StatusServiceUnavailable:
		return receipt(incident.Deferred, code, "", resp.RetryAfter)
	case resp.Status >= 500, resp.Status == http.StatusOK:
		return receipt(incident.Uncertain, code, "", 0)
	}
	return receipt(incident.Failed, code, "", 0)
}

func receipt(o incident.Outcome, code, detail string, wait time.Duration) notify.Receipt {
	return notify.Receipt{Outcome: o, Code: code, Detail: detail, At: time.Now().UTC(), Wait: wait}
}
