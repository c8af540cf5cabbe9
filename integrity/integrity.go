// Package integrity compares files that matter, such as the templates of an app or the theme of a
// shop, with the state of them that somebody approved: the known good. What is approved is kept byte
// by byte, so that a change can be shown and put back.
//
// The package reads and writes through a Source and a Store; it touches no file or socket itself.
package integrity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The bounds of one source. A source beyond them is refused with a line that says which.
const (
	MaxFiles = 5000
	MaxFile  = 8 << 20   // bytes of one file
	MaxTotal = 128 << 20 // bytes of all files together
)

// ErrBounds says that a source is larger than is compared.
var ErrBounds = errors.New("too large to compare")

// ErrName says that a file has a name that none may have here.
var ErrName = errors.New("a name that no file may have")

// Source is where files are.
type Source interface {
	Kind() string  // folder or shopify-theme
	Place() string // for people: a folder, or a shop and its theme
	// Read returns every file that is looked after, whole.
	Read(ctx context.Context) ([]Entry, error)
	// Write makes the files as given and removes those that are named. It may be done again: what is
	// there already stays.
	Write(ctx context.Context, put []Entry, remove []string) error
}

// Entry is one file with its bytes.
type Entry struct {
	Path  string
	Bytes []byte // of a link: where it leads
	Link  bool   // a symbolic link: it is noticed, and never followed or approved
}

// Store keeps bytes by their digest, sealed and durable. evidence.Files is one.
type Store interface {
	Put(r io.Reader) (digest string, size int64, err error)
	Get(digest string) ([]byte, error)
}

// File is one file by its digest.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Digest string `json:"digest"` // sha256:HEX of its bytes
	Link   bool   `json:"link,omitempty"`
}

// Manifest lists the files of a source, sorted by path. Its encoding, and so its digest, follows from
// the files alone.
type Manifest struct {
	Files []File `json:"files"`
}

// Digest names bytes.
func Digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// ManifestOf lists the files of a source as they were read. It refuses what is beyond the bounds and
// names that no file may have.
func ManifestOf(entries []Entry) (Manifest, error) {
	m := Manifest{Files: make([]File, 0, len(entries))}
	var total int64
	for _, e := range entries {
		if err := CheckPath(e.Path); err != nil {
			return Manifest{}, err
		}
		if len(e.Bytes) > MaxFile {
			return Manifest{}, fmt.Errorf("%w: %s has more than %d MiB: leave it out with exclude", ErrBounds, e.Path, MaxFile>>20)
		}
		total += int64(len(e.Bytes))
		m.Files = append(m.Files, File{Path: e.Path, Size: int64(len(e.Bytes)), Digest: Digest(e.Bytes), Link: e.Link})
	}
	if len(m.Files) > MaxFiles {
		return Manifest{}, fmt.Errorf("%w: there are more than %d files: choose with include and exclude", ErrBounds, MaxFiles)
	}
	if total > MaxTotal {
		return Manifest{}, fmt.Errorf("%w: the files have more than %d MiB together: choose with include and exclude", ErrBounds, MaxTotal>>20)
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	for i := 1; i < len(m.Files); i++ {
		if m.Files[i].Path == m.Files[i-1].Path {
			return Manifest{}, fmt.Errorf("%s is there twice", m.Files[i].Path)
		}
	}
	return m, nil
}

// CheckPath refuses a path that could lead out of its source, or that people could not read.
func CheckPath(p string) error {
	switch {
	case p == "" || len(p) > 1024 || !utf8.ValidString(p):
		return fmt.Errorf("%w: it is empty, longer than 1024 bytes or no UTF-8", ErrName)
	case path.IsAbs(p), path.Clean(p) != p, p == "..", strings.HasPrefix(p, "../"), strings.Contains(p, `\`):
		return fmt.Errorf("%w: %q leads out of its source", ErrName, p)
	case strings.ContainsFunc(p, unicode.IsControl):
		return fmt.Errorf("%w: %q has control characters", ErrName, p)
	}
	return nil
}

// Encode is the manifest as text.
func (m Manifest) Encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic("integrity: a manifest is plain data: " + err.Error())
	}
	return b
}

// Digest names the manifest, and with it every file.
func (m Manifest) Digest() string { return Digest(m.Encode()) }

func (m Manifest) find(p string) *File {
	i, ok := slices.BinarySearchFunc(m.Files, p, func(f File, p string) int { return cmp.Compare(f.Path, p) })
	if !ok {
		return nil
	}
	return &m.Files[i]
}

// The kinds of changes.
const (
	Added   = "added"
	Changed = "changed"
	Removed = "removed"
)

// Change is one file that is not as approved.
type Change struct {
	Path   string `json:"path"`
	Kind   string `json:"kind" enum:"added,changed,removed"`
	Before *File  `json:"before,omitempty"` // as approved; absent: added
	After  *File  `json:"after,omitempty"`  // as found; absent: removed
}

// Compare lists what is not as approved, sorted by path.
func Compare(approved, found Manifest) []Change {
	var out []Change
	for i := range approved.Files {
		was := &approved.Files[i]
		switch now := found.find(was.Path); {
		case now == nil:
			out = append(out, Change{Path: was.Path, Kind: Removed, Before: was})
		case now.Digest != was.Digest || now.Link != was.Link:
			out = append(out, Change{Path: was.Path, Kind: Changed, Before: was, After: now})
		}
	}
	for i := range found.Files {
		if now := &found.Files[i]; approved.find(now.Path) == nil {
			out = append(out, Change{Path: now.Path, Kind: Added, After: now})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// Approval is the known good of a source, as a fact names it.
type Approval struct {
	Digest string    `json:"digest"` // of the manifest
	Files  int64     `json:"files"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
	Fact   string    `json:"fact"`
}

// Summary counts changes in words, such as "1 file added, 2 changed".
func Summary(changes []Change) string {
	n := map[string]int{}
	for _, c := range changes {
		n[c.Kind]++
	}
	var parts []string
	for _, kind := range []string{Added, Changed, Removed} {
		if n[kind] == 0 {
			continue
		}
		word := ""
		if len(parts) == 0 {
			if word = " files"; n[kind] == 1 {
				word = " file"
			}
		}
		parts = append(parts, fmt.Sprintf("%d%s %s", n[kind], word, kind))
	}
	if len(parts) == 0 {
		return "every file is as approved"
	}
	return strings.Join(parts, ", ")
}
