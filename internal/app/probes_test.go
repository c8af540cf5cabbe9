package app

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// resolver is a name server on loopback that knows where shop.example is.
func resolver(t *testing.T, address *atomic.Value) string {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up, done := make(chan struct{}), make(chan error, 1)
	s := &dns.Server{PacketConn: udp, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		rr, err := dns.NewRR("shop.example. 60 IN A " + address.Load().(string))
		if err != nil {
			t.Error(err)
		}
		a.Answer = append(a.Answer, rr)
		_ = w.WriteMsg(a) // who asked asks again
	})}
	go func() { done <- s.ActivateAndServe() }()
	<-up
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return udp.LocalAddr().String()
}

// The probes of a configuration ask a real name server and a real shop; what fails opens an incident
// over the API, and a private address is asked only where the configuration allows it.
// promise: DET-6
func TestProbesOfTheConfigurationOpenAnIncident(t *testing.T) {
	var address atomic.Value
	address.Store("192.0.2.10")
	var down atomic.Bool
	agents := make(chan string, 100)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents <- r.UserAgent()
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer shop.Close()
	probes := fmt.Sprintf(`probes:
  shop_name: { type: dns, name: shop.example, resolver: "%s", all_of: ["192.0.2.10"], every: 24h, after: 1, service: shop }
  shop:
    type: http-journey
    every: 24h
    after: 2
    signal: checkout_failure
    service: shop
    base: "%s"
    as: [ { name: phone, agent: Phone }, { name: desktop, agent: Desktop } ]
    steps: [ { name: home, url: / } ]
`, resolver(t, &address), shop.URL)
	dir := folder(t, "production", configuration+"network: { allow: [127.0.0.0/8] }\n"+probes)
	_, stop := start(t, Options{Dir: dir})
	c := local(t, dir)
	check := func(name, state string) client.Probe {
		t.Helper()
		p, err := c.CheckProbe(t.Context(), name)
		if err != nil || p.State != state {
			t.Fatalf("%s: %v: %+v", name, err, p)
		}
		return p
	}
	check("shop_name", "passing")
	check("shop", "passing")
	seen := map[string]bool{}
	for len(agents) > 0 {
		seen[<-agents] = true
	}
	if !seen["Phone"] || !seen["Desktop"] {
		t.Errorf("the shop was visited as %v", seen)
	}
	address.Store("203.0.113.66")
	down.Store(true)
	p := check("shop_name", "out")
	if p.Incident == "" || !strings.Contains(p.Saw, "answered 203.0.113.66") || !strings.Contains(p.Saw, `missing: "192.0.2.10"`) {
		t.Fatalf("%+v", p)
	}
	check("shop", "failing")
	if q := check("shop", "out"); q.Incident != p.Incident || !strings.Contains(q.Saw, "step home as phone") {
		t.Fatalf("two outages of one service are one incident: %+v", q)
	}
	var notFound *client.Error
	if _, err := c.CheckProbe(t.Context(), "nothing"); !errors.As(err, &notFound) || notFound.Status != http.StatusNotFound {
		t.Errorf("a probe that is not there: %v", err)
	}
	stop() // how they stand outlives the process
	a, stop := start(t, Options{Dir: dir})
	list, err := local(t, dir).Probes(t.Context())
	if err != nil || len(list) != 2 || list[0].State != "out" || list[1].State != "out" || list[0].Incident != p.Incident {
		t.Fatalf("%v: %+v", err, list)
	}
	report, err := a.Checkup(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, f := range report.Findings {
		if strings.HasPrefix(f.ID, "probe.shop") && f.State == doctor.Warn {
			named++
		}
	}
	if named != 2 {
		t.Errorf("the doctor names %d probes of two: %+v", named, report.Findings)
	}
	stop()

	closed := folder(t, "production", configuration+probes)
	start(t, Options{Dir: closed})
	if p, err := local(t, closed).CheckProbe(t.Context(), "shop"); err != nil || p.State == "passing" || p.Code != "refused_address" {
		t.Errorf("a private address was asked without leave: %v: %+v", err, p)
	}
}
