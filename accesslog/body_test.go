package accesslog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/tocsin-ir/tocsin/accesslog"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func zstded(t *testing.T, text string, o ...zstd.EOption) string {
	t.Helper()
	z, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return string(z.EncodeAll([]byte(text), nil))
}

// A packed body is what packers write: in several members, in frames one behind the other and with
// frames to be skipped, also as the first.
func TestAPackedBodyMayHaveSeveralParts(t *testing.T) {
	s := newSite(t)
	one, two := line("1", noon, "")+"\n", line("2", noon, "")+"\n"
	skip := "\x5a\x2a\x4d\x18\x04\x00\x00\x00skip"
	s.take(t, one+two)
	for what, body := range map[string]string{
		"gzip, two members": gzipped(t, one) + gzipped(t, two),
		"gzip, then a zero": gzipped(t, one+two) + "\x00",
		"gzip, then zeros":  gzipped(t, one) + gzipped(t, two) + strings.Repeat("\x00", 10240),
		"zstd, two frames":  zstded(t, one) + zstded(t, two),
		"skipped between":   zstded(t, one) + skip + zstded(t, two),
		"skipped first":     skip + zstded(t, one+two),
		"skipped at last":   zstded(t, one+two) + skip,
	} {
		r, err := s.Ingest(t.Context(), app, "", "", strings.NewReader(body))
		if err != nil || r.Duplicates != 2 || len(r.Rejected) > 0 {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}

// Whatever is wrong with a packed body is the sender's to mend: no byte of it makes an error that
// looks like one of the server's, which senders would repeat for ever.
func TestADamagedPackedBodyIsTheSendersMistake(t *testing.T) {
	s := newSite(t)
	text := line("1", noon, "") + "\n" + line("2", noon, "") + "\n"
	refused := 0
	try := func(what, body string) {
		t.Helper()
		_, err := s.Ingest(t.Context(), app, "", "", strings.NewReader(body))
		switch {
		case err == nil: // a byte that says nothing, or bytes that are no longer packed
		case errors.Is(err, accesslog.ErrFormat), errors.Is(err, accesslog.ErrTooLarge):
			refused++
		default:
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, body := range map[string]string{"gzip": gzipped(t, text), "zstd": zstded(t, text), "zstd, packed well": zstded(t, text, zstd.WithEncoderLevel(zstd.SpeedBestCompression))} {
		for i := range len(body) {
			b := []byte(body)
			b[i] ^= 0xff
			try(what+" altered", string(b))
			try(what+" cut short", body[:i])
		}
		try(what+" with something behind it", body+"something")
	}
	if refused < 500 {
		t.Errorf("only %d bodies were refused", refused)
	}
	_, err := s.Ingest(t.Context(), app, "", "", strings.NewReader(zstded(t, text, zstd.WithEncoderDictRaw(7, []byte(text)))))
	if err == nil || !strings.Contains(err.Error(), "pack it without one") {
		t.Errorf("packed with a dictionary: %v", err)
	}
}
