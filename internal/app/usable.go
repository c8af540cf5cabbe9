package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// leastRoom is what a start needs of the disk: below it, a failure is put down to that.
const leastRoom = 1 << 20

// usable says what of a data folder this account cannot work with, and what to do about it: what
// another account left there, a disk that is mounted for reading, a file where a folder belongs. Some
// of it would otherwise be found only when the first event, or the end of a day, needs it.
func usable(dir string) error {
	for _, name := range []string{".", "keys", "secrets", "policies", "policies/kept", "log", "log/facts", "log/events", "spool", "table", "table/data",
		"table/metadata", "table/tmp", "ids", "rejects", "attachments", "baselines", "exports", "drills"} {
		if err := usablePath(filepath.Join(dir, name), true, true); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		names string
		write bool
	}{{installationFile, false}, {"tocsin.yaml", false}, {"store", false}, {"log/*.at", false}, {"log/*/checkpoint", false}, {"log/*/.state/*", false}, {"keys/*.key", false}, {"spool/*", false},
		{"lock", true}, {"tocsin.db*", true}, {"events.db*", true}, {"keys/keys.db*", true}} {
		names, err := fs.Glob(os.DirFS(dir), c.names)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := usablePath(filepath.Join(dir, name), false, c.write); err != nil {
				return err
			}
		}
	}
	return nil
}

func usablePath(path string, folder, write bool) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made, or named by what needs it
	}
	if err == nil {
		if folder && !info.IsDir() {
			return fmt.Errorf("%s is a file, and a folder belongs there: move it away", path)
		}
		if !folder && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file, and one belongs there: move it away", path)
		}
		err = mayUse(path, folder, write)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s is on a disk that is mounted for reading only: mount it for writing", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be used by this account (uid %d)%s: run this as the account that the data folder belongs to, and give it what another made there with chown -R", path, os.Geteuid(), belongsTo(info))
	case errors.Is(err, syscall.ENOTDIR):
		return nil // said of the part of the path that is the file
	}
	return err
}

// explained puts what is wrong with the folder in front of what failed because of it.
func explained(dir string, err error) error {
	if err == nil {
		return nil
	}
	if why := usable(dir); why != nil {
		if why.Error() == err.Error() {
			return err
		}
		return fmt.Errorf("%w (%w)", why, err)
	}
	if free, all := space(dir); all > 0 && free < leastRoom {
		return fmt.Errorf("the disk of %s is full: make room on it and start again (%w)", dir, err)
	}
	return err
}
