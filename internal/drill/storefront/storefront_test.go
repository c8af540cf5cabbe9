package storefront

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/probe"
)

// The probes of the responder see each part break and heal, and the shop's log says so too.
// promise: DET-6
func TestProbesSeeEachPartOfTheShopBreakAndHeal(t *testing.T) {
	dir := t.TempDir()
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Main(t.Context(), in, out); out.Close() }()
	tell, hear := json.NewEncoder(orders), json.NewDecoder(answers)
	log, roots := filepath.Join(dir, "log"), filepath.Join(dir, "ca.pem")
	now := time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC)
	if err := tell.Encode(Config{Log: log, Roots: roots, Now: now}); err != nil {
		t.Fatal(err)
	}
	var r Ready
	if err := hear.Decode(&r); err != nil || !r.Ready {
		t.Fatal(err, r)
	}
	client := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer client.Close()
	devices := []probe.Device{{Name: "phone", Agent: "iPhone"}, {Name: "tablet", Agent: "iPad"}}
	journey := probe.Journey{Base: "http://" + r.HTTP, As: devices, Steps: []probe.Step{
		{Name: "home", Template: egress.Template{URL: "/"}, Contains: "pixel.js"},
		{Name: "cart", Template: egress.Template{Method: "POST", URL: "/cart"}, Expect: []int{201}},
		{Name: "checkout", Template: egress.Template{URL: "/checkout"}, Contains: "Payment"},
		{Name: "pay", Template: egress.Template{Method: "POST", URL: "/pay"}, Contains: "Thank you"},
	}}
	look := func() (names, pays bool, hands, saw string) {
		j := journey.Run(t.Context(), client, egress.Values{})
		n := probe.DNS{Name: Name, Resolver: r.DNS, AllOf: []string{Address}}.Run(t.Context(), client, "")
		h := probe.TLS{Address: r.TLS, Name: Name, Roots: roots, Days: 14}.Run(t.Context(), client)
		return n.Passed, j.Passed, h.Code, j.Observed
	}
	for _, c := range []struct {
		broken      []string
		names, pays bool
		hands       string // what the check of the certificate came to
		saw         string
	}{
		{nil, true, true, "tls ok", "4 steps as tablet"},
		{[]string{PartDNS}, false, true, "tls ok", ""},
		{[]string{PartDNS, PartCheckout}, false, false, "tls ok", "step pay as phone"},
		{[]string{PartTablet, PartName}, true, false, "wrong_name", "step pay as tablet"},
		{[]string{PartExpired}, true, true, "expired", ""},
		{[]string{}, true, true, "tls ok", ""},
	} {
		o := Order{ID: 1, Now: now}
		if c.broken != nil {
			o.Broken = &c.broken
		}
		if err := tell.Encode(o); err != nil {
			t.Fatal(err)
		}
		var ok struct{ OK bool }
		if err := hear.Decode(&ok); err != nil || !ok.OK {
			t.Fatal(err, ok)
		}
		if names, pays, hands, saw := look(); names != c.names || hands != c.hands || pays != c.pays || !strings.Contains(saw, c.saw) {
			t.Errorf("broken %v: name %v, certificate %q, payment %v: %s", c.broken, names, hands, pays, saw)
		}
	}
	// A payment without a cart is refused, whatever is broken.
	lone := probe.HTTP{Template: egress.Template{Method: "POST", URL: "http://" + r.HTTP + "/pay"}, Expect: []int{409}}
	if res := lone.Run(t.Context(), client, egress.Values{}); !res.Passed {
		t.Error(res.Observed)
	}
	orders.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for line := range bytes.Lines(raw) {
		var l Line
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if kinds[l.Kind+" "+l.Answer]++; !l.Time.Equal(now) || l.Real.IsZero() {
			t.Fatalf("%s", line)
		}
	}
	for _, want := range []string{"state ", "dns " + Address, "dns " + elsewhere, "tls ok", "tls expired", "tls for " + otherName, "http 200", "http 201", "http 409", "http 502"} {
		if kinds[want] == 0 {
			t.Errorf("the log has no line of %q: %v", want, kinds)
		}
	}
}

func TestAPartThatIsNotThereIsRefused(t *testing.T) {
	s := &shop{}
	if err := s.take(Order{Broken: &[]string{"roof"}}); err == nil || !strings.Contains(err.Error(), "dns, checkout, tablet, tls-name, tls-expired") {
		t.Fatal(err)
	}
	if !slices.Equal(s.broken, nil) {
		t.Fatal("something is broken")
	}
}
