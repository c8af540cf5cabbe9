package attack

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/app"
)

// Nobody else on the machine reads what the data folder holds, whatever it was before.
func TestTheDataFolderIsClosedToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
	if _, err := app.CreateFolder(dir, "production", time.Now()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("after init: %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), app.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a folder that others may enter is opened: %v", err)
	}
}

func TestFilesOfTheDataFolderArePrivate(t *testing.T) {
	s := serve(t, "")
	s.send(event(0, "tok", "m_1", nil))
	incident := s.open()
	if status, body := s.call("responder", "POST", "/v1/incidents/"+incident+"/export", map[string]string{"recipient": "counsel"}, nil); status != 200 {
		t.Fatalf("export: %d %s", status, body)
	}
	if status, body := s.raw("responder", "PUT", "/v1/secrets/token", "application/octet-stream", []byte("value")); status != 204 {
		t.Fatalf("secret: %d %s", status, body)
	}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		// The logs' tiles are made by a library; they are sealed, and the folder is closed.
		if rel, _ := filepath.Rel(s.dir, path); info.Mode().Perm()&0o077 != 0 && !strings.HasPrefix(rel, "log") {
			t.Errorf("%s has mode %v", rel, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
