package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/console"
)

// promise: DET-6
func TestThePageOfProbesSaysHowEachStandsAndRunsOneNow(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := b.get("/probes").body
	for _, want := range []string{"shop_checkout", "step pay as phone", `href="/incidents/INC-1"`, "3 failures in a row are signalled as checkout failure", "1 failure in a row is signalled", "Its newest outage", "has not run"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if board := b.get("/").body; !strings.Contains(board, "1 probe sees an outage") || !strings.Contains(board, `href="/probes#shop_checkout"`) {
		t.Error("the board does not say that a probe sees an outage")
	}
	if got := b.submit("/probes", "/probes", url.Values{"probe": {"shop_checkout"}}); got.status != http.StatusSeeOther || got.header.Get("Location") != "/probes#shop_checkout" {
		t.Fatalf("%d %s", got.status, got.header.Get("Location"))
	}
	if page := b.get("/probes").body; !strings.Contains(page, "it was run") {
		t.Error("the outcome is not shown")
	}
	if board := b.get("/").body; strings.Contains(board, "sees an outage") {
		t.Error("the board still says that a probe sees an outage")
	}
	if got := b.submit("/probes", "/probes", url.Values{"probe": {"another"}}); got.status != http.StatusNotFound || !strings.Contains(got.body, "shop_dns") {
		t.Errorf("a probe that is not there: %d", got.status)
	}
}
