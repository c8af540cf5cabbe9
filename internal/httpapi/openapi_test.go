package httpapi_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

var update = flag.Bool("update", false, "write api/openapi.yaml anew")

var versionLine = regexp.MustCompile(`(?m)^  version: (.+)$`)

// TestOpenAPIChangesOnlyWithItsVersion compares the document with the golden file. With -update it
// writes the file, but only when Version was raised: clients pin it.
func TestOpenAPIChangesOnlyWithItsVersion(t *testing.T) {
	d, _ := desktest.New(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	got, err := httpapi.New(d, httpapi.Options{}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	const golden = "api/openapi.yaml"
	want, err := os.ReadFile(golden)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	before := versionLine.FindSubmatch(want)
	if before != nil && string(before[1]) == httpapi.Version {
		t.Fatalf("the API has changed and httpapi.Version is still %s: raise it, then run go test ./internal/httpapi -update", httpapi.Version)
	}
	if !*update {
		t.Fatalf("%s is not what the handlers say: run go test ./internal/httpapi -update and read the difference", golden)
	}
	if err := os.MkdirAll("api", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(golden, got, 0o644); err != nil {
		t.Fatal(err)
	}
}
