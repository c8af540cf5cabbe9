package spool

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Torn is a file of a spool that does not end with its last whole record: a write that a crash tore
// looks the same as a record that was altered.
type Torn struct {
	File  string
	At    int64  // bytes that hold whole records
	Size  int64  // bytes that it has
	First uint64 // position that would come next
}

// Inspect reads the files of a folder and lists those that hold something else than whole records from
// front to end. It opens nothing for writing.
func Inspect(dir string) ([]Torn, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	slices.Sort(names)
	var out []Torn
	for _, path := range names {
		g, err := scan(path)
		if errors.Is(err, ErrDamaged) {
			out = append(out, Torn{File: filepath.Base(path)})
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
		if g.size < info.Size() && !(g.size == 0 && onlyHead(path, info.Size())) {
			out = append(out, Torn{File: filepath.Base(path), At: g.size, Size: info.Size(), First: g.next})
		}
	}
	return out, nil
}

// onlyHead says whether a file was begun and nothing was written to it yet.
func onlyHead(path string, size int64) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return size == int64(len(magic)) && frames(bufio.NewReader(f), 0, func(Record, int64, int64) error { return nil }) == nil
}
