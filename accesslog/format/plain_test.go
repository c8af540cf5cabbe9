package format

import (
	"bytes"
	"os"
	"reflect"
	"testing"
)

// What the quick reader of native events takes, the general parser takes too, and as the same event.
func FuzzTheQuickReaderReadsAsTheGeneralOne(f *testing.F) {
	for _, path := range []string{"testdata/native-lines.in", "testdata/native-array.in"} {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(body) {
			f.Add(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(line), []byte(","))))
		}
	}
	for line := range bytes.Lines(sampleBatch(2)) {
		f.Add(bytes.TrimSpace(line))
	}
	for _, s := range []string{
		`{ "id" : "a" , "records" : 07 }`, `{"id":"a","id":"b"}`, `{"subjects":[{"kind":"email","kind":"phone","id":"x"}]}`, `{"records":1e3}`, `{"bytes":-1}`,
		`{"attributes":{"a":[1,{"b":"\u0041"}]},"store":"s"}`, `{"attributes":{]}}`, `{"id":"a",}`, `{"id":"a"}x`, `{"id":"a\\"}`, "{\"id\":\"a\x01\"}", `{"actor":{"type":"staff"},"actor":{"id":"7"}}`,
		`{"data_types":["a.b"],"data_types":["c.d"]}`, `{"time":"2026-11-22T03:02:11+01:00"}`, `{"source":null}`, `{}`, `{"subjects":[],"source":{}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var quick, general Decoder
		quick.event.reset()
		if !quick.plain(raw) {
			return
		}
		general.event.reset()
		if err := general.general(raw); err != nil {
			t.Fatalf("the general parser refuses what the quick one takes: %v", err)
		}
		q, g := plain(&quick.event), plain(&general.event)
		if !reflect.DeepEqual(q, g) {
			t.Fatal("the two read different events")
		}
	})
}
