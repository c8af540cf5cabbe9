package backup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// promise: PRO-8
func TestFilesKeptAsEvidenceAreInABackup(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tocsin.yaml", "attachments/ab12.sealed", "baselines/cd34.sealed", "exports/INC-1.tocsin.zip"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := small(dir)
	if want := []string{"tocsin.yaml", "attachments/ab12.sealed", "baselines/cd34.sealed"}; err != nil || !slices.Equal(names, want) {
		t.Fatalf("%v, want %v: %v", names, want, err)
	}
}
