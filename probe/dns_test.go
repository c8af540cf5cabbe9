package probe_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/probe"
)

// nameserver is a DNS server on loopback, by UDP and TCP on one port.
func nameserver(t *testing.T, answer func(q dns.Question) (rcode int, records []string)) string {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		var texts []string
		if a.Rcode, texts = answer(q.Question[0]); a.Rcode < 0 {
			return // no answer
		}
		for _, s := range texts {
			rr, err := dns.NewRR(s)
			if err != nil {
				t.Error(err)
			}
			a.Answer = append(a.Answer, rr)
		}
		if w.LocalAddr().Network() == "udp" {
			a.Truncate(int(q.IsEdns0().UDPSize()))
		}
		_ = w.WriteMsg(a)
	})
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		ready, done := make(chan struct{}), make(chan error, 1)
		s.Handler, s.NotifyStartedFunc = h, func() { close(ready) }
		go func() { done <- s.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
	return udp.LocalAddr().String()
}

func loopback(t *testing.T) *egress.Client {
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(out.Close)
	return out
}

// promise: REC-4
func TestADNSCheckComparesWhatTheResolverAnswers(t *testing.T) {
	zone := map[string][]string{
		"A shop.test.":      {"shop.test. 60 IN CNAME edge.test.", "edge.test. 60 IN A 192.0.2.1", "edge.test. 60 IN A 192.0.2.2"},
		"AAAA shop.test.":   {"shop.test. 60 IN AAAA 2001:db8::1"},
		"CNAME shop.test.":  {"shop.test. 60 IN CNAME Edge.Test."},
		"MX shop.test.":     {"shop.test. 60 IN MX 10 mail.test.", "shop.test. 60 IN MX 20 mail2.test."},
		"TXT shop.test.":    {`shop.test. 60 IN TXT "v=spf1 " "-all"`, `shop.test. 60 IN TXT "a \"b\" \\ \195\188"`},
		"AAAA a-only.test.": {},
	}
	for i := range 90 { // larger than a datagram
		zone["TXT large.test."] = append(zone["TXT large.test."], `large.test. 60 IN TXT "`+strings.Repeat("x", 40+i)+`"`)
	}
	server := nameserver(t, func(q dns.Question) (int, []string) {
		switch q.Name {
		case "broken.test.":
			return dns.RcodeServerFailure, nil
		case "silent.test.":
			return -1, nil
		}
		if rrs, ok := zone[dns.TypeToString[q.Qtype]+" "+q.Name]; ok {
			return dns.RcodeSuccess, rrs
		}
		return dns.RcodeNameError, nil
	})
	out := loopback(t)
	for name, c := range map[string]struct {
		check  probe.DNS
		passed bool
		code   string
		saw    string
	}{
		"any record":       {probe.DNS{Name: "shop.test"}, true, "dns NOERROR", "answered 192.0.2.1, 192.0.2.2 in"},
		"all of":           {probe.DNS{Name: "shop.test.", AllOf: []string{"192.0.2.2", "192.0.2.1"}}, true, "dns NOERROR", ""},
		"one of all":       {probe.DNS{Name: "shop.test", AllOf: []string{"192.0.2.2", "192.0.2.3"}}, false, "dns NOERROR", `missing: "192.0.2.3"`},
		"any of":           {probe.DNS{Name: "shop.test", AnyOf: []string{"192.0.2.9", "192.0.2.2"}}, true, "dns NOERROR", ""},
		"none of any":      {probe.DNS{Name: "shop.test", AnyOf: []string{"192.0.2.9"}}, false, "dns NOERROR", "none of the values"},
		"six":              {probe.DNS{Name: "shop.test", Record: "AAAA", AllOf: []string{"2001:DB8:0::1"}}, true, "dns NOERROR", ""},
		"alias":            {probe.DNS{Name: "shop.test", Record: "cname", AllOf: []string{"edge.test."}}, true, "dns NOERROR", ""},
		"mail":             {probe.DNS{Name: "shop.test", Record: "MX", AllOf: []string{"10 mail.test", "mail2.test"}}, true, "dns NOERROR", ""},
		"mail preference":  {probe.DNS{Name: "shop.test", Record: "MX", AllOf: []string{"20 mail.test"}}, false, "dns NOERROR", "missing"},
		"text":             {probe.DNS{Name: "shop.test", Record: "TXT", AllOf: []string{"v=spf1 -all", `a "b" \ ü`}}, true, "dns NOERROR", "answered 2 texts"},
		"by TCP":           {probe.DNS{Name: "large.test", Record: "TXT", AllOf: []string{strings.Repeat("x", 40), strings.Repeat("x", 129)}}, true, "dns NOERROR", "90 texts"},
		"no such record":   {probe.DNS{Name: "a-only.test", Record: "AAAA"}, false, "dns NOERROR", "has no such record"},
		"no such name":     {probe.DNS{Name: "gone.test"}, false, "dns NXDOMAIN", "the name does not exist"},
		"resolver fails":   {probe.DNS{Name: "broken.test"}, false, "dns SERVFAIL", "says nothing about the name"},
		"resolver is mute": {probe.DNS{Name: "silent.test", Timeout: 60 * time.Millisecond}, false, "timeout", "gave no answer"},
		"nobody listens":   {probe.DNS{Name: "shop.test", Resolver: "127.0.0.1:1"}, false, "connect", "gave no answer"},
	} {
		if err := c.check.Validate("checks.x"); err != nil {
			t.Fatal(err)
		}
		if c.check.Resolver == "" {
			c.check.Resolver = server
		}
		res := c.check.Run(t.Context(), out, "")
		if res.Passed != c.passed || res.Code != c.code || !strings.Contains(res.Observed, c.saw) || res.At.IsZero() {
			t.Errorf("%s: %+v", name, res)
		}
	}

	closed := egress.New(egress.Options{})
	defer closed.Close()
	if res := (probe.DNS{Name: "shop.test", Resolver: server}).Run(t.Context(), closed, ""); res.Passed || res.Code != "refused_address" {
		t.Errorf("a private resolver was asked without leave: %+v", res)
	}
	if res := (probe.DNS{Name: "shop.test"}).Run(t.Context(), closed, server); !res.Passed {
		t.Errorf("the resolver of the configuration was not asked: %+v", res)
	}
}

func TestAMisspeltDNSCheckNamesItsField(t *testing.T) {
	for want, d := range map[string]probe.DNS{
		"checks.x.name":      {Name: "shop..test"},
		"checks.x.record":    {Name: "shop.test", Record: "PTR"},
		"checks.x.resolver":  {Name: "shop.test", Resolver: "9.9.9.9"},
		"checks.x.all_of[1]": {Name: "shop.test", AllOf: []string{"192.0.2.1", "2001:db8::1"}},
		"checks.x.any_of[0]": {Name: "shop.test", Record: "MX", AnyOf: []string{"high mail.test"}},
		"checks.x.timeout":   {Name: "shop.test", Timeout: time.Hour},
	} {
		if err := d.Validate("checks.x"); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("error %v does not begin with %s", err, want)
		}
	}
}
