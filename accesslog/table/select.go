package table

import (
	"errors"
	"os"
	"path/filepath"
)

// Selection says which files a question has to read. Fields that are not set choose everything.
type Selection struct {
	From, To    int64    // microseconds, both inclusive
	UpTo        int64    // newest position that counts
	Credentials []string // one of these
}

// Paths returns the files of the view that may hold rows of a selection, and how many rows they have.
func (v *View) Paths(s Selection) (paths []string, rows int64) {
	for i := range v.Files {
		if f := &v.Files[i]; f.may(s) {
			paths = append(paths, filepath.Join(v.Dir, f.Name))
			rows += f.Rows
		}
	}
	return paths, rows
}

func (f *File) may(s Selection) bool {
	if f.To < s.From || f.From > s.To || f.First > s.UpTo {
		return false
	}
	for _, c := range s.Credentials {
		if f.LeastCredential <= c && c <= f.MostCredential {
			return true
		}
	}
	return len(s.Credentials) == 0
}

// Loose writes those rows of the memory that keep chooses to a file beside the table, for whoever
// reads files only, and returns its path; "" when there are none. remove takes it away; one that a
// crash leaves goes at the next start.
func (v *View) Loose(keep func(*Row) bool) (path string, rows int64, remove func() error, err error) {
	var kept []*Row
	for i := range v.Tail {
		if keep(&v.Tail[i]) {
			kept = append(kept, &v.Tail[i])
		}
	}
	if len(kept) == 0 {
		return "", 0, func() error { return nil }, nil
	}
	sortRows(kept)
	w, err := newWriter(v.Dir, fastCodec)
	if err != nil {
		return "", 0, nil, err
	}
	for _, r := range kept {
		if err = w.add(r); err != nil {
			break
		}
	}
	if err == nil {
		err = w.close()
	}
	if err != nil {
		return "", 0, nil, errors.Join(err, w.abandon())
	}
	return w.temp, int64(len(kept)), func() error { return os.Remove(w.temp) }, nil
}
