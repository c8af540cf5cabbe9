package probe_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/probe"
)

// promise: REC-4
func TestAChecksResultIsWhatTheServiceAnswers(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/hang":
			<-hang
		case r.Header.Get("X-Key") != "k3y":
			w.WriteHeader(401)
		default:
			io.WriteString(w, "all is ok")
		}
	}))
	defer s.Close()
	defer close(hang)
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer out.Close()
	values := egress.Values{Named: func(string) (egress.Secret, error) { return egress.NewSecret("k3y"), nil }}
	with := func(path string, change func(*probe.HTTP)) probe.HTTP {
		h := probe.HTTP{Template: egress.Template{URL: s.URL + path, Header: map[string]string{"X-Key": "${secret:monitor}"}}}
		if change != nil {
			change(&h)
		}
		if err := h.Validate("checks.x"); err != nil {
			t.Fatal(err)
		}
		return h
	}
	for name, c := range map[string]struct {
		check  probe.HTTP
		passed bool
		code   string
		saw    string
	}{
		"passes":       {with("/", func(h *probe.HTTP) { h.Contains = "ok" }), true, "http 200", "answered HTTP 200"},
		"text missing": {with("/", func(h *probe.HTTP) { h.Contains = "fine" }), false, "http 200", `the text "fine" is missing`},
		"text there":   {with("/", func(h *probe.HTTP) { h.Absent = "all" }), false, "http 200", `the text "all" is there`},
		"status":       {with("/", func(h *probe.HTTP) { h.Expect = []int{204, 301} }), false, "http 200", "expected 204 301"},
		"slow":         {with("/hang", func(h *probe.HTTP) { h.Timeout = 50 * time.Millisecond }), false, "timeout", "gave no answer"},
		"wrong key":    {with("/", func(h *probe.HTTP) { h.Header = nil }), false, "http 401", "expected 200"},
	} {
		res := c.check.Run(t.Context(), out, values)
		if res.Passed != c.passed || res.Code != c.code || !strings.Contains(res.Observed, c.saw) || res.At.IsZero() || strings.Contains(res.Observed, "k3y") {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

func TestAMisspeltCheckNamesItsField(t *testing.T) {
	for want, h := range map[string]probe.HTTP{
		"checks.x.url":     {Template: egress.Template{URL: "shop.example"}},
		"checks.x.expect":  {Template: egress.Template{URL: "https://x/"}, Expect: []int{20}},
		"checks.x.timeout": {Template: egress.Template{URL: "https://x/"}, Timeout: time.Hour},
	} {
		if err := h.Validate("checks.x"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v does not begin with %s", err, want)
		}
	}
}
