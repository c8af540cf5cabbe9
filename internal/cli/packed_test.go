package cli

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Events are read from what packers write, and what cannot be unpacked is called that, and not an event
// that is wrong.
func TestPackedEventsAreUnpacked(t *testing.T) {
	const text = "{\"a\":1}\n"
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	with, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(7, []byte(strings.Repeat(text, 9))))
	if err != nil {
		t.Fatal(err)
	}
	defer with.Close()
	var z bytes.Buffer
	g := gzip.NewWriter(&z)
	if _, err := io.WriteString(g, text); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	frame, member := string(enc.EncodeAll([]byte(text), nil)), z.String()
	for _, c := range []struct{ what, body, want, wrong string }{
		{"not packed", text, text, ""},
		{"two members", member + member, text + text, ""},
		{"two frames", frame + frame, text + text, ""},
		{"a frame to be skipped", "\x50\x2a\x4d\x18\x01\x00\x00\x00x" + frame, text, ""},
		{"two members and zeros", member + member + strings.Repeat("\x00", 20000), text + text, ""},
		{"gzip with something behind it", member + "something else", text, "the gzip file is damaged or cut short from here on"},
		{"gzip with zeros and something behind them", member + "\x00\x00" + member, text, "the gzip file is damaged or cut short from here on"},
		{"a dictionary", string(with.EncodeAll([]byte(text), nil)), "", "the zstd file is packed with a dictionary: unpack it with that first"},
		{"gzip that ends early", member[:len(member)-9], text, "the gzip file is damaged or cut short from here on"},
		{"zstd with something behind it", frame + "something", text, "the zstd file is damaged or cut short from here on"},
	} {
		r, packed, err := uncompressed(strings.NewReader(c.body))
		if err != nil || packed != (c.what != "not packed") {
			t.Errorf("%s: packed %t, %v", c.what, packed, err)
			continue
		}
		got, err := io.ReadAll(r)
		if string(got) != c.want || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %q, %v", c.what, got, err)
		}
	}
}
