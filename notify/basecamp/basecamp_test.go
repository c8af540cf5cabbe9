package basecamp_test

import (
	"errors"
	"net/http"
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
	"github.com/tocsin-ir/tocsin/notify/basecamp"
)

const account = "5550199"

func accountOf() channel.Config {
	return channel.Config{Basecamp: channel.Basecamp{Account: account, Token: "tok-new", Boards: map[string]int{"1042": 0, "7": http.StatusNotFound, "8": http.StatusForbidden, "9": http.StatusServiceUnavailable, "10": http.StatusBadGateway},
		ClientID: "us", ClientSecret: "cs", Refresh: "rt"}}
}

// board is a Basecamp that answers as Basecamp does, and a sender that may post there.
func board(t *testing.T, c channel.Config, config basecamp.Config, secrets map[string]string) (*channel.Platforms, *basecamp.Sender, *time.Time) {
	t.Helper()
	now := time.Now()
	p, err := channel.New(c, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p.BasecampHandler())
	t.Cleanup(s.Close)
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(out.Close)
	config.URL, config.SignIn = s.URL, s.URL
	if config.Agent == "" {
		config.Agent = "Acme (ops@acme.example)"
	}
	if config.Account == "" {
		config.Account = account
	}
	if err := config.Validate("channels.basecamp"); err != nil {
		t.Fatal(err)
	}
	return p, basecamp.New(config, out, func(name string) (contain.Secret, error) {
		if v, ok := secrets[name]; ok {
			return egress.NewSecret(v), nil
		}
		return contain.Secret{}, errors.New("there is none")
	}), &now
}

func letter(to string) notify.Letter {
	return notify.Letter{Channel: "basecamp", To: to, MessageID: "abc@example.com", Subject: "Your shop", Text: "To <Müller> & Söhne\n\nYour shop cannot be reached.\n"}
}

var plain = basecamp.Config{Token: "access"}

// promise: NOT-7
func TestAMessageCountsWhenClientsCanReadIt(t *testing.T) {
	p, s, _ := board(t, accountOf(), plain, map[string]string{"access": "tok-new"})
	r := s.Send(t.Context(), letter("1042"))
	if r.Outcome != incident.Done || !strings.HasSuffix(r.Detail, "visible") {
		t.Fatalf("%s %s %s", r.Outcome, r.Code, r.Detail)
	}
	l := p.Lines()
	if len(l) != 2 || l[0].Seen || !l[1].Seen || l[1].Subject != "Your shop" || !strings.HasPrefix(l[1].Text, "To <Müller> & Söhne\n\nYour shop cannot be reached.") {
		t.Errorf("Basecamp shows %+v", l)
	}
}

// An access token lives for two weeks: a notice in the third is not to fail because of that.
//
// promise: NOT-7
func TestATokenThatRanOutIsAskedForAnew(t *testing.T) {
	whole := basecamp.Config{Token: "access", ClientID: "us", ClientSecret: "client", Refresh: "refresh"}
	secrets := map[string]string{"access": "tok-old", "client": "cs", "refresh": "rt"}
	_, s, _ := board(t, accountOf(), whole, secrets)
	for range 2 {
		if r := s.Send(t.Context(), letter("1042")); r.Outcome != incident.Done {
			t.Fatalf("%s %s %s", r.Outcome, r.Code, r.Detail)
		}
	}
	secrets["refresh"] = "revoked"
	_, s, _ = board(t, accountOf(), whole, secrets)
	if r := s.Send(t.Context(), letter("1042")); r.Outcome != incident.Failed || r.Code != "not_signed_in" {
		t.Errorf("a sign-in that was revoked: %s %s", r.Outcome, r.Code)
	}
	_, s, _ = board(t, accountOf(), plain, secrets)
	if r := s.Send(t.Context(), letter("1042")); r.Outcome != incident.Failed || r.Code != "http 401" {
		t.Errorf("a token that ran out: %s %s", r.Outcome, r.Code)
	}
}

// promise: NOT-7
func TestEachErrorOfBasecampSaysWhatComesNext(t *testing.T) {
	for to, want := range map[string]struct {
		outcome incident.Outcome
		code    string
	}{
		"7": {incident.Failed, "http 404"}, "8": {incident.Failed, "http 403"}, "9": {incident.Deferred, "http 503"}, "10": {incident.Uncertain, "http 502"}, "x": {incident.Failed, "not_composed"},
	} {
		p, s, _ := board(t, accountOf(), plain, map[string]string{"access": "tok-new"})
		if r := s.Send(t.Context(), letter(to)); r.Outcome != want.outcome || r.Code != want.code {
			t.Errorf("board %s: %s %s, want %s %s", to, r.Outcome, r.Code, want.outcome, want.code)
		}
		for _, l := range p.Lines() {
			if l.Seen {
				t.Errorf("board %s: clients can read it", to)
			}
		}
	}
	other := plain
	other.Account = "1"
	_, s, _ := board(t, accountOf(), other, map[string]string{"access": "tok-new"})
	if r := s.Send(t.Context(), letter("1042")); r.Code != "account_inactive" {
		t.Errorf("an account that is closed: %s %s", r.Outcome, r.Code)
	}
	_, s, _ = board(t, accountOf(), basecamp.Config{Token: "access", Agent: "curl"}, map[string]string{"access": "tok-new"})
	if r := s.Send(t.Context(), letter("1042")); r.Outcome != incident.Failed || r.Code != "http 400" {
		t.Errorf("a caller who does not say who it is: %s %s", r.Outcome, r.Code)
	}
}

// promise: NOT-7
func TestTheFirstLimitOfBasecampIsWaitedFor(t *testing.T) {
	_, s, _ := board(t, accountOf(), plain, map[string]string{"access": "tok-new"})
	for i := range 25 { // two calls each
		if r := s.Send(t.Context(), letter("1042")); r.Outcome != incident.Done {
			t.Fatalf("message %d: %s %s", i+1, r.Outcome, r.Code)
		}
	}
	if r := s.Send(t.Context(), letter("1042")); r.Outcome != incident.Deferred || r.Wait != 10*time.Second {
		t.Errorf("the call after fifty: %s %s, wait %s", r.Outcome, r.Code, r.Wait)
	}
}
