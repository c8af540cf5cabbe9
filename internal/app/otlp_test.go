package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// A running server is sent the same request in both encodings: it takes the record that is an access
// event, says in the request's encoding how many it did not take and why, and what it took is found.
//
// promise: DET-1
func TestARunningServerTakesPartOfAnOTLPRequestAndSaysWhichInBothEncodings(t *testing.T) {
	a, _ := start(t, Options{Dir: folder(t, "production", configuration)})
	responder, _ := member(t, a, "omar", "responder")
	_, key, err := local(t, a.o.Dir).NewMachineKey(t.Context(), "ingest", "app", "example_app")
	if err != nil {
		t.Fatal(err)
	}
	request := func(id string) *logspb.LogsData { // the same on the wire as an ExportLogsServiceRequest
		at := time.Now().UnixNano()
		value := func(s string) string { return fmt.Sprintf(`{"stringValue":%q}`, s) }
		text := fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[
			{"timeUnixNano":"%d","eventName":"pii_access","attributes":[{"key":"id","value":%s},{"key":"actor.id","value":%s},{"key":"actor.type","value":%s},{"key":"action","value":%s},{"key":"merchant","value":%s},{"key":"records","value":{"intValue":"1"}}]},
			{"timeUnixNano":"%d","body":%s},
			{"timeUnixNano":"%d","eventName":"pii_access","attributes":[{"key":"actor.id","value":%s},{"key":"actor.type","value":%s},{"key":"action","value":%s}]}
		]}]}]}`, at, value(id), value("w"), value("service"), value("read"), value("m_1"), at, value("hello"), at, value("w"), value("alien"), value("read"))
		out := &logspb.LogsData{}
		if err := protojson.Unmarshal([]byte(text), out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	post := func(kind string, body []byte) []byte {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/v1/logs", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", "Bearer "+string(key))
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		raw, err := io.ReadAll(got.Body)
		if err != nil || got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != kind {
			t.Fatalf("%s: %s, %s, %q, %v", kind, got.Status, got.Header.Get("Content-Type"), raw, err)
		}
		return raw
	}
	var why []string
	for kind, do := range map[string]struct {
		out func(proto.Message) ([]byte, error)
		in  func(*testing.T, []byte) (rejected int64, why string)
	}{"application/x-protobuf": {proto.Marshal, partialInProtobuf}, "application/json": {protojson.Marshal, partialInJSON}} {
		id := "otlp-" + strings.ReplaceAll(kind, "/", "-")
		body, err := do.out(request(id))
		if err != nil {
			t.Fatal(err)
		}
		rejected, says := do.in(t, post(kind, body))
		if rejected != 2 || says == "" {
			t.Errorf("%s: %d were not taken: %q", kind, rejected, says)
		}
		why = append(why, says)
		until(t, "the event is found", func() (bool, error) {
			e, err := responder.Access(t.Context(), id)
			raw, _ := json.Marshal(e)
			return err == nil && strings.Contains(string(raw), "m_1"), err
		})
	}
	if why[0] != why[1] {
		t.Errorf("the encodings are told other reasons: %q", why)
	}
}

func partialInJSON(t *testing.T, raw []byte) (int64, string) {
	t.Helper()
	var out struct {
		Partial struct {
			Rejected int64  `json:"rejectedLogRecords,string"`
			Why      string `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out.Partial.Rejected, out.Partial.Why
}

// partialInProtobuf reads field 1 of an ExportLogsServiceResponse: of it 1 is a number and 2 a text.
func partialInProtobuf(t *testing.T, raw []byte) (rejected int64, why string) {
	t.Helper()
	number, kind, n := protowire.ConsumeTag(raw)
	if n < 0 || number != 1 || kind != protowire.BytesType {
		t.Fatalf("no partial success in %x", raw)
	}
	partial, m := protowire.ConsumeBytes(raw[n:])
	if m < 0 || n+m != len(raw) {
		t.Fatalf("something else stands in %x", raw)
	}
	for len(partial) > 0 {
		number, kind, n := protowire.ConsumeTag(partial)
		if n < 0 {
			t.Fatalf("no field in %x", partial)
		}
		partial = partial[n:]
		switch {
		case number == 1 && kind == protowire.VarintType:
			v, m := protowire.ConsumeVarint(partial)
			rejected, partial = int64(v), partial[max(m, 0):]
		case number == 2 && kind == protowire.BytesType:
			v, m := protowire.ConsumeString(partial)
			why, partial = v, partial[max(m, 0):]
		default:
			t.Fatalf("field %d is of type %d", number, kind)
		}
	}
	return rejected, why
}
