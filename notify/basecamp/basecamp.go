// Package basecamp tells clients on the message board of their project, where a message counts only once
// it is visible to clients: what a team posts there is not, unless somebody says so.
package basecamp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify"
)

// Config is the channel as the configuration writes it under channels.basecamp. Token, ClientSecret and
// Refresh are names of secrets. An access token lives for two weeks; with the other three a new one is
// asked for by itself.
type Config struct {
	Account      string `yaml:"account"` // the number in the addresses of the account
	Agent        string `yaml:"agent"`   // who is calling, as Basecamp asks for it: "Acme (ops@acme.example)"
	Token        string `yaml:"token"`
	ClientID     string `yaml:"client_id"`
	ClientSecret string `yaml:"client_secret"`
	Refresh      string `yaml:"refresh"`
	URL          string `yaml:"url"`    // https://3.basecampapi.com when absent
	SignIn       string `yaml:"signin"` // https://launchpad.37signals.com when absent
}

var number = regexp.MustCompile(`^[0-9]{1,20}$`)

// Validate checks the configuration; field names it in errors, such as "channels.basecamp".
func (c Config) Validate(field string) error {
	if !number.MatchString(c.Account) {
		return fmt.Errorf("%s.account: has to be the number after 3.basecamp.com/ in the account's addresses", field)
	}
	if c.Agent == "" || strings.ContainsAny(c.Agent, "\r\n") || len(c.Agent) > 200 {
		return fmt.Errorf("%s.agent: has to be a name and how to reach you, such as \"Acme (ops@acme.example)\": Basecamp refuses calls without", field)
	}
	whole := c.ClientID != "" && c.ClientSecret != "" && c.Refresh != ""
	if c.Token == "" && !whole {
		return fmt.Errorf("%s.token: name the secret that holds an access token, or give client_id, client_secret and refresh", field)
	}
	if !whole && (c.ClientID != "" || c.ClientSecret != "" || c.Refresh != "") {
		return fmt.Errorf("%s.refresh: client_id, client_secret and refresh go together", field)
	}
	for _, x := range []struct{ name, value string }{{"url", c.URL}, {"signin", c.SignIn}} {
		if u, err := url.Parse(x.value); x.value != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http") {
			return fmt.Errorf("%s.%s: has to be an address such as https://3.basecampapi.com", field, x.name)
		}
	}
	return nil
}

const (
	timeout   = time.Minute      // of one message, with everything that belongs to it
	patience  = 15 * time.Second // the longest wait inside one message
	showTries = 4                // how often a message that stands there is tried to be made visible
)

// Sender posts letters. It is safe for concurrent use.
type Sender struct {
	c     Config
	out   *egress.Client
	named func(string) (contain.Secret, error)

	mu    sync.Mutex
	fresh contain.Secret // an access token that was asked for; kept in memory alone
}

var _ notify.Channel = (*Sender)(nil)

// New makes a sender from a valid configuration. named reads secrets.
func New(c Config, out *egress.Client, named func(string) (contain.Secret, error)) *Sender {
	if c.URL == "" {
		c.URL = "https://3.basecampapi.com"
	}
	if c.SignIn == "" {
		c.SignIn = "https://launchpad.37signals.com"
	}
	if out != nil {
		out = out.As(c.Agent, nil)
	}
	return &Sender{c: c, out: out, named: named}
}

// render is the message. Everybody on the project is notified, because nobody is named.
func render(l notify.Letter) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(map[string]string{
		"subject": l.Subject, "status": "active",
		"content": "<div>" + strings.ReplaceAll(html.EscapeString(strings.TrimRight(l.Text, "\n")), "\n", "<br>") + "<br><br>Reference: " + html.EscapeString(l.MessageID) + "</div>",
	})
	return b.Bytes(), err
}

// Digest is the SHA-256 of the message as it is posted.
func (s *Sender) Digest(l notify.Letter) (string, error) {
	b, err := render(l)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Send posts one letter and makes it visible to clients.
//
// A crash before the first request has posted nothing. A crash after it leaves the attempt without a
// result, which the desk reports as uncertain: the message may stand there, visible or not, and is posted
// once more under the same reference.
func (s *Sender) Send(ctx context.Context, l notify.Letter) notify.Receipt {
	body, err := render(l)
	if err != nil || !number.MatchString(l.To) {
		return receipt(incident.Failed, "not_composed", "", 0)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, bad := s.call(ctx, http.MethodPost, "/message_boards/"+l.To+"/messages.json", body)
	if bad != nil {
		return *bad
	}
	if resp.Status != http.StatusCreated {
		return refused(resp)
	}
	var made struct {
		ID      int64 `json:"id"`
		Visible bool  `json:"visible_to_clients"`
	}
	if err := json.Unmarshal(resp.Body, &made); err != nil || made.ID == 0 {
		return receipt(incident.Uncertain, "no_id", "", 0)
	}
	said := "message " + strconv.FormatInt(made.ID, 10)
	if made.Visible {
		return receipt(incident.Done, "201", said, 0)
	}
	if code := s.show(ctx, made.ID); code != "" {
		return receipt(incident.Failed, "not_visible", said+" "+code, 0)
	}
	return receipt(incident.Done, "201", said+" visible", 0)
}

// show makes a message visible to clients, and says by a code why it could not.
func (s *Sender) show(ctx context.Context, id int64) string {
	code := ""
	for range showTries {
		resp, bad := s.call(ctx, http.MethodPut, "/recordings/"+strconv.FormatInt(id, 10)+"/client_visibility.json", []byte(`{"visible_to_clients":true}`))
		wait := time.Second
		switch {
		case bad != nil && bad.Outcome == incident.Failed:
			return bad.Code
		case bad != nil:
			code = bad.Code
		case resp.Status >= 200 && resp.Status < 300:
			return ""
		case resp.Status == http.StatusTooManyRequests || resp.Status >= 500:
			code, wait = fmt.Sprintf("http %d", resp.Status), max(wait, resp.RetryAfter)
		default:
			return fmt.Sprintf("http %d", resp.Status)
		}
		select {
		case <-ctx.Done():
			return code
		case <-time.After(min(wait, patience)):
		}
	}
	return code
}

// call makes one request with a token that is good, as far as a new one can be had.
func (s *Sender) call(ctx context.Context, method, path string, body []byte) (egress.Response, *notify.Receipt) {
	for again := false; ; again = true {
		token, bad := s.token(ctx, again)
		if bad != nil {
			return egress.Response{}, bad
		}
		r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.c.URL, "/")+"/"+s.c.Account+path, bytes.NewReader(body))
		if err != nil {
			return egress.Response{}, at(receipt(incident.Failed, "not_composed", "", 0))
		}
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		resp, err := s.out.Send(ctx, r)
		if err != nil {
			return resp, at(notify.Unanswered(contain.CodeOf(err), contain.Sent(err), time.Now().UTC()))
		}
		if resp.Status == http.StatusUnauthorized && s.c.Refresh != "" && !again {
			continue
		}
		return resp, nil
	}
}

// token is the access token: the one in the vault, or one that was asked for because that is not there or
// is refused by now.
func (s *Sender) token(ctx context.Context, anew bool) (contain.Secret, *notify.Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !anew {
		if !s.fresh.Empty() {
			return s.fresh, nil
		}
		if s.c.Token != "" {
			token, err := s.named(s.c.Token)
			if err == nil || s.c.Refresh == "" {
				return token, noSecret(err)
			}
		}
	}
	secret, err := s.named(s.c.ClientSecret)
	if err != nil {
		return secret, noSecret(err)
	}
	refresh, err := s.named(s.c.Refresh)
	if err != nil {
		return refresh, noSecret(err)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}, "client_id": {s.c.ClientID}, "client_secret": {secret.Reveal()}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.c.SignIn, "/")+"/authorization/token", strings.NewReader(form.Encode()))
	if err != nil {
		return refresh, at(receipt(incident.Failed, "not_composed", "", 0))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.out.Send(ctx, r)
	if err != nil {
		got := notify.Unanswered(contain.CodeOf(err), contain.Sent(err), time.Now().UTC())
		if got.Outcome == incident.Uncertain { // nothing was posted yet
			got.Outcome = incident.Deferred
		}
		return refresh, &got
	}
	var made struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(resp.Body, &made); resp.Status != http.StatusOK || err != nil || made.Token == "" {
		if resp.Status == http.StatusTooManyRequests || resp.Status >= 500 {
			return refresh, at(receipt(incident.Deferred, fmt.Sprintf("http %d", resp.Status), "signin", resp.RetryAfter))
		}
		return refresh, at(receipt(incident.Failed, "not_signed_in", fmt.Sprintf("signin http %d", resp.Status), 0))
	}
	s.fresh = egress.NewSecret(made.Token)
	return s.fresh, nil
}

func noSecret(err error) *notify.Receipt {
	if err == nil {
		return nil
	}
	return at(receipt(incident.Failed, "no_secret", "", 0))
}

// refused is an answer to a message that was not taken.
func refused(resp egress.Response) notify.Receipt {
	code := fmt.Sprintf("http %d", resp.Status)
	switch {
	case resp.Status == http.StatusTooManyRequests, resp.Status == http.StatusServiceUnavailable:
		return receipt(incident.Deferred, code, "", resp.RetryAfter)
	case resp.Status >= 500, resp.Status >= 200 && resp.Status < 300:
		return receipt(incident.Uncertain, code, "", 0)
	case resp.Status == http.StatusNotFound && strings.EqualFold(resp.Header.Get("Reason"), "Account Inactive"):
		return receipt(incident.Failed, "account_inactive", "", 0)
	}
	return receipt(incident.Failed, code, "", 0)
}

func receipt(o incident.Outcome, code, detail string, wait time.Duration) notify.Receipt {
	return notify.Receipt{Outcome: o, Code: code, Detail: detail, At: time.Now().UTC(), Wait: wait}
}

func at(r notify.Receipt) *notify.Receipt { return &r }
