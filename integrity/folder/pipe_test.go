package folder

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A pipe that takes the place of a file between listing and reading must not hold the look, and with it
// every other source.
func TestAPipeInPlaceOfAFileHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a.liquid"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	failed := make(chan error, 1)
	go func() {
		_, err := read(root, "a.liquid")
		failed <- err
	}()
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "a.liquid is no file any more") {
			t.Errorf("a pipe was read: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the look waits for whoever writes into the pipe")
	}
}
