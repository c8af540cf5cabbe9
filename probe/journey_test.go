package probe_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/probe"
)

// promise: REC-4
func TestAJourneyNamesTheStepAndTheDeviceThatFailed(t *testing.T) {
	hang := make(chan struct{})
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("cart")
		switch {
		case r.URL.Path == "/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, "welcome hunter2")
		case r.URL.Path == "/cart" && r.Method == "POST":
			if err == nil {
				t.Errorf("%s begins with the cart of another device", r.UserAgent())
			}
			http.SetCookie(w, &http.Cookie{Name: "cart", Value: strings.Fields(r.UserAgent())[0]})
			w.WriteHeader(201)
		case r.URL.Path == "/checkout" && (err != nil || c.Value != strings.Fields(r.UserAgent())[0]):
			w.WriteHeader(403)
		case r.URL.Path == "/checkout" && strings.HasPrefix(r.UserAgent(), "Tablet"):
			w.WriteHeader(500)
			io.WriteString(w, "hunter2")
		case r.URL.Path == "/checkout":
			io.WriteString(w, "pay here")
		case r.URL.Path == "/slow":
			time.Sleep(5 * time.Millisecond) // what is measured
		case r.URL.Path == "/hang":
			<-hang
		case r.URL.Path == "/away":
			http.Redirect(w, r, "https://elsewhere.test/", http.StatusFound)
		}
	}))
	defer shop.Close()
	defer close(hang)
	out := loopback(t)
	phone, tablet := probe.Device{Name: "phone", Agent: "Phone/1 (test)"}, probe.Device{Name: "tablet", Agent: "Tablet/1 (test)"}
	home := probe.Step{Name: "home", Template: egress.Template{URL: "/"}, Contains: "welcome", ExpectHeader: map[string]string{"Content-Type": "text/html"}}
	cart := probe.Step{Name: "cart", Template: egress.Template{Method: "POST", URL: "/cart?item=1"}, Expect: []int{201}}
	checkout := probe.Step{Name: "checkout", Template: egress.Template{URL: shop.URL + "/checkout"}, Contains: "pay"}
	to := func(path string, change func(*probe.Step)) probe.Step {
		s := probe.Step{Name: "last", Template: egress.Template{URL: path}}
		if change != nil {
			change(&s)
		}
		return s
	}
	for name, c := range map[string]struct {
		journey probe.Journey
		passed  bool
		code    string
		saw     []string
	}{
		"as ourselves":   {probe.Journey{Steps: []probe.Step{home, cart, checkout}}, true, "http 200", []string{"3 steps in "}},
		"on a phone":     {probe.Journey{Steps: []probe.Step{home, cart, checkout}, As: []probe.Device{phone}}, true, "http 200", []string{"3 steps as phone in "}},
		"not on tablets": {probe.Journey{Steps: []probe.Step{home, cart, checkout}, As: []probe.Device{tablet, phone}}, false, "http 500", []string{"step checkout as tablet: GET http://", "answered HTTP 500", `; expected 200; the text "pay" is missing. 3 steps as phone in`}},
		"without cookie": {probe.Journey{Steps: []probe.Step{home, checkout}, As: []probe.Device{phone}}, false, "http 403", []string{"step checkout as phone"}},
		"header":         {probe.Journey{Steps: []probe.Step{to("/", func(s *probe.Step) { s.ExpectHeader = map[string]string{"Content-Type": "json"} })}}, false, "http 200", []string{"step last: ", `the header Content-Type has no "json"`}},
		"slow":           {probe.Journey{Steps: []probe.Step{to("/slow", func(s *probe.Step) { s.Within = time.Millisecond })}}, false, "http 200", []string{"expected within 1ms"}},
		"hangs":          {probe.Journey{Steps: []probe.Step{to("/hang", nil)}, Timeout: 50 * time.Millisecond}, false, "timeout", []string{"step last: ", "gave no answer: timeout"}},
		"leads away":     {probe.Journey{Steps: []probe.Step{to("/away", nil)}}, false, "redirect", []string{"gave no answer: redirect"}},
	} {
		c.journey.Base = shop.URL
		if err := c.journey.Validate("checks.x"); err != nil {
			t.Fatal(err)
		}
		res := c.journey.Run(t.Context(), out, egress.Values{})
		if res.Passed != c.passed || res.Code != c.code || res.At.IsZero() || strings.Contains(res.Observed, "hunter2") {
			t.Errorf("%s: %+v", name, res)
		}
		for _, saw := range c.saw {
			if !strings.Contains(res.Observed, saw) {
				t.Errorf("%s: %q is not in %q", name, saw, res.Observed)
			}
		}
	}
}

func TestAMisspeltJourneyNamesItsField(t *testing.T) {
	step := probe.Step{Name: "home", Template: egress.Template{URL: "https://shop.test/"}}
	with := func(change func(*probe.Step)) []probe.Step { s := step; change(&s); return []probe.Step{step, s} }
	for want, j := range map[string]probe.Journey{
		"checks.x.base":            {Base: "https://shop.test/", Steps: []probe.Step{step}},
		"checks.x.steps":           {},
		"checks.x.steps[1].name":   {Steps: []probe.Step{step, step}},
		"checks.x.steps[1].url":    {Steps: with(func(s *probe.Step) { s.Name, s.URL = "cart", "/cart" })}, // no base
		"checks.x.steps[1].expect": {Steps: with(func(s *probe.Step) { s.Name, s.Expect = "cart", []int{20} })},
		"checks.x.steps[1].within": {Steps: with(func(s *probe.Step) { s.Name, s.Within = "cart", time.Hour })},
		"checks.x.as[0].agent":     {Steps: []probe.Step{step}, As: []probe.Device{{Name: "phone"}}},
		"checks.x.as[1].name":      {Steps: []probe.Step{step}, As: []probe.Device{{Name: "phone", Agent: "a"}, {Name: "phone", Agent: "b"}}},
		"checks.x.timeout":         {Steps: []probe.Step{step}, Timeout: time.Hour},
	} {
		if err := j.Validate("checks.x"); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("error %v does not begin with %s", err, want)
		}
	}
}
