package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
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

// The public status names no incident.
func TestTheStatusIsPublicAndNamesNoIncident(t *testing.T) {
	b, _ := open(t, console.Options{})
	if got := b.get("/status"); got.status != http.StatusOK || strings.Contains(got.body, "INC-") || !strings.Contains(got.body, "This server answers") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
