package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

// fields reads a protobuf message of numbers and bytes.
func fields(t *testing.T, b []byte) map[protowire.Number]any {
	t.Helper()
	out := map[protowire.Number]any{}
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			t.Fatalf("not protobuf: %x", b)
		}
		b = b[size:]
		switch kind {
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			out[n], b = v, b[max(size, 0):]
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			out[n], b = v, b[max(size, 0):]
		default:
			t.Fatalf("field %d is of type %d", n, kind)
		}
	}
	return out
}

// The specification of OTLP/HTTP: the answer has the encoding of the request, and what was not taken of
// a request that was stands in partialSuccess.
func TestOTLPAnswersInItsEncodingWithPartialSuccess(t *testing.T) {
	f := start(t, httpapi.Options{})
	var format string
	receipt, refused := desk.Receipt{Accepted: 2}, error(nil)
	f.desk.Taken = func(_ desk.Key, how desk.Delivery, body io.Reader) (desk.Receipt, error) {
		format = how.Format
		_, err := io.Copy(io.Discard, body)
		if refused != nil {
			err = refused
		}
		return receipt, err
	}
	post := func(kind string) answer { return f.do(t, "POST", "/v1/logs", f.ingest, "{}", "Content-Type", kind) }

	if got := post("application/json; charset=utf-8"); got.status != http.StatusOK || strings.TrimSpace(got.body) != "{}" || format != "otlp" {
		t.Errorf("all taken: %d %q as %s", got.status, got.body, format)
	}
	if got := post("application/x-protobuf"); got.status != http.StatusOK || got.body != "" || got.header.Get("Content-Type") != "application/x-protobuf" || format != "otlp+protobuf" {
		t.Errorf("all taken, in protobuf: %d %q as %s", got.status, got.body, format)
	}

	receipt.Skipped = 1
	for i := range 7 {
		receipt.Rejected = append(receipt.Rejected, desk.Reject{Line: i + 1, Field: "time", Reason: "is missing"})
	}
	var out struct {
		Partial struct {
			Rejected string `json:"rejectedLogRecords"`
			Why      string `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	got := post("application/json")
	if err := json.Unmarshal([]byte(got.body), &out); err != nil || got.status != http.StatusOK || out.Partial.Rejected != "8" ||
		!strings.Contains(out.Partial.Why, "record 1, time is missing") || !strings.HasSuffix(out.Partial.Why, "and 2 more") {
		t.Errorf("in part: %d %s, %v", got.status, got.body, err)
	}
	got = post("application/x-protobuf")
	partial, _ := fields(t, []byte(got.body))[1].([]byte)
	p := fields(t, partial)
	if why, _ := p[2].([]byte); got.status != http.StatusOK || p[1] != uint64(8) || string(why) != out.Partial.Why {
		t.Errorf("in part, in protobuf: %d %v", got.status, p)
	}

	// What cannot be sent again as it is, is 400; what can, says when. The body is a google.rpc.Status.
	refused = fmt.Errorf("%w: the body is not OTLP", desk.ErrInvalid)
	if got := post("application/x-protobuf"); got.status != http.StatusBadRequest || fields(t, []byte(got.body))[1] != uint64(3) {
		t.Errorf("nonsense: %d %q", got.status, got.body)
	}
	refused = desk.ErrUnavailable
	if got := post("application/json"); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, `"code":14`) {
		t.Errorf("not now: %d %v %q", got.status, got.header, got.body)
	}
	if got := post("text/plain"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("another type: %d", got.status)
	}
	if got := f.do(t, "POST", "/v1/logs", f.viewer, "{}", "Content-Type", "application/json"); got.status != http.StatusForbidden {
		t.Errorf("a person's token: %d", got.status)
	}
}
