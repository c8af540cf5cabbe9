package desk

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/policy"
)

// room is a channel: it takes what is posted to GOOD, has no BAD, and is too busy for SLOW.
type room struct {
	mu    sync.Mutex
	tried map[string]int
}

func (r *room) Digest(notify.Letter) (string, error) { return "sha256:00", nil }

func (r *room) Send(_ context.Context, l notify.Letter) notify.Receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried[l.To]++
	switch l.To {
	case "GOOD":
		return notify.Receipt{Outcome: incident.Done, Code: "ok", At: noon}
	case "SLOW":
		return notify.Receipt{Outcome: incident.Deferred, Code: "ratelimited", Wait: time.Millisecond, At: noon}
	}
	return notify.Receipt{Outcome: incident.Failed, Code: "channel_not_found", At: noon}
}

// A client is told in its channel; by mail where it has none, where the channel does not know it, and
// where the channel goes on being too busy: a notice never waits for a channel while there is mail.
//
// promise: NOT-7
func TestAClientIsToldInItsChannelAndByMailWhereThatFails(t *testing.T) {
	slack := &room{tried: map[string]int{}}
	s := newSite(t, func(o *Options) {
		p := *o.Programs[0]
		p.Parties = slices.Clone(p.Parties)
		for i := range p.Parties {
			if p.Parties[i].Affected {
				p.Parties[i].Via, p.Parties[i].Fallback = []string{"basecamp", "slack"}, []string{"email"}
			}
		}
		o.Programs = []*policy.Program{&p}
		o.Channels = map[string]notify.Channel{"slack": slack}
	})
	list := slices.Clone(merchants)
	for i, at := range map[int]string{0: "GOOD", 1: "BAD", 4: "SLOW"} {
		list[i].Channels = map[string]string{"slack": at, "basecamp": "1042"} // to which nothing is connected
	}
	s.must(s.o.Store.Update(t.Context(), func(tx ledger.Tx) error { return tx.PutMerchants(list) }))
	s.start()
	inc := s.open()
	s.tell(inc)
	s.quiet()
	n := s.state(inc).Notices[0]
	for party, want := range map[string]struct {
		mails   int
		channel string
	}{"m_1": {0, "slack"}, "m_2": {1, ""}, "m_3": {1, ""}, "m_4": {2, ""}, "m_5": {1, ""}} {
		d := n.Deliveries[party]
		if d.State != incident.DeliveryAccepted || d.Channel != want.channel {
			t.Errorf("%s: %s by %q, want accepted by %q", party, d.State, d.Channel, want.channel)
		}
		if got := s.mail.letters()[party]; got != want.mails {
			t.Errorf("%s got %d mails, want %d", party, got, want.mails)
		}
	}
	for to, want := range map[string]int{"GOOD": 1, "BAD": 1, "SLOW": channelTries} {
		if slack.tried[to] != want {
			t.Errorf("%s was tried %d times, want %d", to, slack.tried[to], want)
		}
	}
}

// promise: NOT-7
func TestAPlaceInAChannelIsReadFromTheDirectory(t *testing.T) {
	for value, good := range map[string]bool{
		"slack=C0123ABCD": true, "slack=G0123ABCD": true, "slack=hook:acme_hook": true, "basecamp=1042": true,
		"slack=#general": false, "slack=https://hooks.slack.com/services/T/B/x": false, "slack=hook:../x": false, "basecamp=1042/messages": false,
	} {
		name, v, _ := strings.Cut(value, "=")
		m, field, reason := merchantOf(func(column string) string {
			return map[string]string{"merchant": "m_1", "name": "One", "email": "one@shop.example", name: v}[column]
		})
		if good != (reason == "") || good && m.Channels[name] != v || !good && field != name {
			t.Errorf("%s: %v, field %q: %s", value, m.Channels, field, reason)
		}
	}
}
