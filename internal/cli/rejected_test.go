package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What was refused is written to a file of its own: one that is mended by hand is not written over.
func TestRefusedEntriesDoNotWriteOverAFile(t *testing.T) {
	run := terminal(t)
	file := filepath.Join(t.TempDir(), "refused.ndjson")
	if code, out, errs := run("rejected", "--raw", file); code != 0 || !strings.Contains(out, "1 entry, as sent") {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "{\"who\":\"anna@example.com\"}\n" {
		t.Fatalf("the file holds %q: %v", got, err)
	}
	const mended = "mended by hand"
	if err := os.WriteFile(file, []byte(mended), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run("rejected", "--raw", file); code != 1 || !strings.Contains(errs, "name a file that does not exist") {
		t.Errorf("%d: %s", code, errs)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != mended {
		t.Errorf("the file holds %q: %v", got, err)
	}
}
