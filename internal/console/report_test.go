package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/org"
)

// Anybody can report something without an account, and gets a reference to what was recorded.
func TestAReportIsTakenInFromAnybodyAndHasAReference(t *testing.T) { // promise: DET-11, PUB-2
	b, _ := open(t, console.Options{})
	form := url.Values{"key": {"0123456789abcdef"}, "what": {"The export of another shop opens with my link. " + hostile}, "from": {"finder@example.net"}, "website": {""}}
	got := b.post("/report", form)
	reference := regexp.MustCompile(`id="reference">([0-9A-F]{10})<`).FindStringSubmatch(got.body)
	if got.status != http.StatusCreated || reference == nil {
		t.Fatalf("%d %s", got.status, got.body)
	}
	again := b.post("/report", form)
	if !strings.Contains(again.body, reference[1]) {
		t.Error("sent twice, it is another report")
	}
	asked := b.desk.Asked()
	signal := asked[len(asked)-1].Command.(incident.AddSignal).Signal
	if signal.ID != "report-"+reference[1] || !strings.Contains(signal.Sentence, "opens with my link") || !strings.Contains(signal.Sentence, "finder@example.net") {
		t.Errorf("%+v", signal)
	}
	n := len(asked)
	for name, wrong := range map[string]url.Values{
		"the hidden field": {"key": form["key"], "what": form["what"], "website": {"https://spam.example"}},
		"nothing said":     {"key": form["key"], "what": {"hm"}},
		"too long":         {"key": form["key"], "what": {strings.Repeat("x", 3000)}},
		"no key":           {"what": form["what"]},
	} {
		if got := b.post("/report", wrong); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Not recorded") {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if len(b.desk.Asked()) != n {
		t.Error("something that was refused was recorded")
	}
	for range 3 {
		b.post("/report", form)
	}
	if got := b.post("/report", form); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "opens with my link") {
		t.Errorf("the sixth within the hour: %d", got.status)
	}
}

// The public status says how each service stands by its probes, and neither what a probe saw nor what else was
// noticed: an approved file that changed is nothing to tell a stranger.
func TestTheStatusSaysHowServicesStandAndNothingThatWasNoticed(t *testing.T) {
	b, _ := open(t, console.Options{})
	b.desk.Watched[0].Service, b.desk.Watched[0].Saw = "storefront", "step pay as phone"
	report := org.Report{Kind: org.ProbeTurned, Subject: "files theme", State: "changed", Digest: "sha256:" + strings.Repeat("ab", 32)}
	if _, err := b.desk.SubmitOrg(t.Context(), "", desk.Caller{Principal: "service:integrity", Access: incident.Service}, report); err != nil {
		t.Fatal(err)
	}
	got := b.get("/status")
	if got.status != http.StatusOK || !regexp.MustCompile(`(?s)<li id="shop">.*?passes.*?<li id="storefront">.*?fails`).MatchString(got.body) {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, no := range []string{"INC-", "step pay", "shop_checkout", "theme", "changed"} {
		if strings.Contains(got.body, no) {
			t.Errorf("the public page says %q", no)
		}
	}
	b.desk.Watched = nil
	if got := b.get("/status"); !strings.Contains(got.body, "This server answers") {
		t.Errorf("without probes: %s", got.body)
	}
}
