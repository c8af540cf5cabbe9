package accesslog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/format"
)

// An exporter whose answer was lost sends the same bytes again, packed or not, and has no batch key.
func TestOTLPSentAgainWithoutKeyOrIDsIsTakenOnce(t *testing.T) {
	s := newSite(t)
	body := func(n int) string {
		return fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d","eventName":"pii_access","attributes":[{"key":"enduser.id","value":{"stringValue":"w"}},{"key":"action","value":{"stringValue":"read"}},{"key":"merchant","value":{"stringValue":"m_%d"}}]}]}]}]}`, noon.UnixNano(), n)
	}
	send := func(key, form, text string) [2]int {
		t.Helper()
		r, err := s.Ingest(t.Context(), app, key, form, strings.NewReader(text))
		if err != nil || len(r.Rejected) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		return [2]int{r.Accepted, r.Duplicates}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(body(1))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, key, form, text string
		want                  [2]int
	}{
		{"the first time", "", format.OTLP, body(1), [2]int{1, 0}},
		{"sent again", "", format.OTLP, body(1), [2]int{0, 1}},
		{"sent again, packed", "", format.OTLP, packed.String(), [2]int{0, 1}},
		{"sent again, recognised", "", format.Auto, body(1), [2]int{0, 1}},
		{"another", "", format.Auto, body(2), [2]int{1, 0}},
		{"under a key of the sender", "mine", format.OTLP, body(3), [2]int{1, 0}},
		{"under that key again", "mine", format.OTLP, body(3), [2]int{0, 1}},
	} {
		if got := send(c.key, c.form, c.text); got != c.want {
			t.Errorf("%s: accepted and duplicates %v, want %v", c.what, got, c.want)
		}
	}
	// An exporter that is configured with one key for all hears of it.
	if _, err := s.Ingest(t.Context(), app, "mine", format.OTLP, strings.NewReader(body(4))); !errors.Is(err, accesslog.ErrOtherBatch) {
		t.Errorf("other records under a key: %v", err)
	}
}
