package verify_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/verify"
)

// export packs texts as an export that nobody has signed.
func export(t testing.TB, texts map[string][]byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for _, name := range []string{"manifest.json", "keys.txt", "facts.ndjson", "facts.checkpoint", "facts.leaves", "events.checkpoint",
		"events.leaves", "checkpoints.ndjson", "events.ndjson", "custody.ndjson"} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(texts[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(packed.Bytes())
	return fmt.Appendf(nil, "tocsin-export/v1\norg/facts\n%d\n%s\n\n— org/facts AAAA\n%s", packed.Len(), base64.StdEncoding.EncodeToString(digest[:]), packed.Bytes())
}

// Whatever stands in an export, the verifier ends soon and without a panic, does not call in order
// what nobody has signed, and says so in words that a terminal can show.
func FuzzReader(f *testing.F) {
	manifest := []byte(`{"version":1,"incident":"INC-1","facts_log":"org/facts","events_log":"org/events","policy":"sha256:00","files":[{"name":"facts.ndjson","size":3,"sha256":""}]}`)
	checkpoint := []byte("org/facts\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— org/facts AAAAAAAA\n")
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, []byte{})
	f.Add(manifest, []byte(`{"header":{"id":"01J","chain":"INC-1"},"parts":[]}`+"\n"), checkpoint, []byte(`{"event":{},"salt":"","path":[]}`+"\n"), []byte(`{"log":"org/facts","size":1,"note":""}`+"\n"))
	f.Add(manifest, []byte("{}\n{"), []byte("org/facts\n-1\n\n\n"), []byte("[]\n\x1b[2J"), []byte("null\n"))
	f.Fuzz(func(t *testing.T, manifest, facts, checkpoint, events, others []byte) {
		raw := export(t, map[string][]byte{"manifest.json": manifest, "keys.txt": []byte("org/facts+00000000+AAAA\n"), "facts.ndjson": facts, "facts.checkpoint": checkpoint,
			"events.checkpoint": checkpoint, "facts.leaves": facts, "events.leaves": events, "events.ndjson": events, "checkpoints.ndjson": others, "custody.ndjson": others})
		began := time.Now()
		report, err := verify.Reader(bytes.NewReader(raw), int64(len(raw)), verify.Options{})
		if err != nil {
			t.Fatalf("it could not be read: %v", err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Fatalf("it took %s", took)
		}
		if report.OK || len(report.Findings) == 0 {
			t.Fatal("nobody has signed it, and it is in order")
		}
		for _, finding := range report.Findings {
			if strings.ContainsAny(finding.String(), "\n\r\x1b") {
				t.Fatalf("%q steers a terminal", finding)
			}
		}
	})
}
