package app

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What this account cannot work with in a data folder is found by the start, in a line that says
// what to do, and not by the first event or the end of a day.
func TestAStartNamesWhatItCannotUse(t *testing.T) {
	start := func(dir string) error {
		a, err := New(t.Context(), Options{Dir: dir})
		if err == nil {
			err = a.close()
		}
		return err
	}
	for _, name := range []string{"spool", "ids", "rejects", "table", "attachments", "log/events"} {
		dir := folder(t, "production", configuration)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := start(dir); err == nil || err.Error() != filepath.Join(dir, name)+" is a file, and a folder belongs there: move it away" {
			t.Errorf("%s is a file: %v", name, err)
		}
	}
	for _, name := range []string{"lock", "tocsin.db", "events.db", "keys/keys.db", "installation.json"} {
		dir := folder(t, "production", configuration)
		if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := start(dir); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, name)+" is no file, and one belongs there: move it away") {
			t.Errorf("%s is a folder: %v", name, err)
		}
	}
	// A log's checkpoint is written last of all: the server would run, and fail when it stops.
	for _, name := range []string{"log/facts/checkpoint", "log/events/checkpoint", "log/facts/.state/treeState"} {
		dir := folder(t, "production", configuration)
		if err := start(dir); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		a, err := New(t.Context(), Options{Dir: dir})
		if err == nil || !strings.HasPrefix(err.Error(), path+" is no file, and one belongs there: move it away") {
			t.Errorf("%s is a folder: %v", name, err)
		}
		if err == nil {
			_ = a.close() // it fails, as it did for everybody
		}
	}
	// What another account made there: root's, after one start as root, or with rights taken from us.
	for _, name := range []string{".", "spool", "table/tmp", "keys", "events.db", "log/facts"} {
		dir := folder(t, "production", configuration)
		if err := start(dir); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := foreign(t, dir, path, func() error { return start(dir) }); err == nil || strings.Contains(err.Error(), "\n") ||
			!strings.HasPrefix(err.Error(), path+" cannot be used by this account (uid ") || !strings.Contains(err.Error(), "chown -R") {
			t.Errorf("%s of another account: %v", name, err)
		}
		if err := os.Chmod(path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// foreign calls a function as an account to which all of a folder belongs but one path.
func foreign(t *testing.T, dir, path string, call func() error) error {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		return call()
	}
	const nobody = 65534
	if err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err == nil && p != filepath.Clean(path) {
			err = os.Chown(p, nobody, nobody)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// The rights to files are those of the thread, so no other test is touched.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := unix.SetfsuidRetUid(0); err != nil {
			t.Fatal(err)
		}
	}()
	return call()
}
