package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/tocsin-ir/tocsin/ledger"
)

// FolderLock is the lock on a data folder. The kernel releases it when the process ends, however
// it ends, so whoever holds it knows that everything an earlier process left running is dead.
type FolderLock struct {
	once sync.Once
	file *os.File
	err  error
}

// LockFolder locks a data folder for this process, and makes the folder when there is none. The
// error is ledger.ErrLocked when another process holds it, and names that process.
func LockFolder(dir string) (*FolderLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sqlite: make the data folder: %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open the lock of the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0) // only to name the holder
		err = errors.Join(err, f.Close())
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("sqlite: lock the data folder %s: %w", dir, err)
		}
		by := ""
		if pid, err := strconv.Atoi(strings.TrimSpace(string(holder[:n]))); err == nil {
			by = fmt.Sprintf(" (process %d)", pid)
		}
		return nil, fmt.Errorf("%w: %s%s: stop it, or use it over its socket", ledger.ErrLocked, dir, by)
	}
	// The number is for people. A crash here leaves an old number, and the lock does not read it.
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sqlite: write the lock of the data folder: %w", err), f.Close())
		}
	}
	return &FolderLock{file: f}, nil
}

// Close releases the lock. The file stays: removing it would let two processes lock two files of
// one name. It may be called twice.
func (l *FolderLock) Close() error {
	l.once.Do(func() { l.err = l.file.Close() })
	return l.err
}
