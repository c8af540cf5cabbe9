package format

import (
	"encoding/json"
	"os"
	"testing"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The same request in protobuf and in JSON comes to the same events.
func TestOTLPInProtobufIsTheSameAsInJSON(t *testing.T) {
	text, err := os.ReadFile("testdata/otlp-request.in")
	if err != nil {
		t.Fatal(err)
	}
	var data logspb.LogsData
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	binary, err := proto.Marshal(&data)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Cut(text, OTLP, 10)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Cut(binary, Protobuf, 10)
	if err != nil {
		t.Fatal(err)
	}
	if a.Len() != b.Len() || a.Len() != 3 {
		t.Fatalf("%d records in JSON and %d in protobuf", a.Len(), b.Len())
	}
	for i := range a.Len() {
		var d, e Decoder
		d.Reset(a, nil)
		e.Reset(b, nil)
		x, errX := d.Decode(i)
		y, errY := e.Decode(i)
		if (errX == nil) != (errY == nil) || errX != nil && errX.Error() != errY.Error() {
			t.Errorf("record %d: %v and %v", i, errX, errY)
		}
		if errX != nil {
			continue
		}
		one, _ := json.Marshal(plain(x))
		other, _ := json.Marshal(plain(y))
		if string(one) != string(other) {
			t.Errorf("record %d:\n%s\n%s", i, one, other)
		}
	}
	if _, err := Cut([]byte("\xff\xff\xff"), Protobuf, 10); err == nil {
		t.Error("what is no protobuf was taken")
	}
}
