package docs

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the module's folder, seen from this package.
const root = "../.."

// skipped are folders that hold nothing anybody wrote for this module. Git itself is not asked, so
// that the tests also run on an unpacked archive.
var skipped = []string{".git", "bin", ".drill", "node_modules", ".soak", "tocsin-data"}

// maxRead bounds what is read of one file; larger ones are data.
const maxRead = 4 << 20

// file is one text file of the module.
type file struct {
	name string // slash-separated, from the module's folder
	text string
}

var readTree = sync.OnceValues(func() ([]file, error) {
	var all []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) { // somebody's temporary file
				return nil
			}
			return err
		}
		if d.IsDir() {
			if slices.Contains(skipped, d.Name()) && p != root {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxRead || d.Name() == ".git" { // a work tree's
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil || bytes.IndexByte(b, 0) >= 0 {
			return nil // gone meanwhile, or not text
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		all = append(all, file{name: filepath.ToSlash(rel), text: string(b)})
		return nil
	})
	return all, err
})

// tree is every text file of the module.
func tree(t *testing.T) []file {
	t.Helper()
	all, err := readTree()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found under %s: the tests look in the wrong place", len(all), root)
	}
	return all
}

// documents is every Markdown file.
func documents(t *testing.T) []file {
	t.Helper()
	var out []file
	for _, f := range tree(t) {
		if path.Ext(f.name) == ".md" && !strings.Contains(f.name, "testdata/") {
			out = append(out, f)
		}
	}
	if len(out) < 5 {
		t.Fatalf("only %d documents found", len(out))
	}
	return out
}

// exists says whether a path of the module exists.
func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil
}
