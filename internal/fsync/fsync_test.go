package fsync

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestAFolderIsSyncedAndOneThatIsNotThereIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := Dir(dir); err != nil {
		t.Error(err)
	}
	if err := Dir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
