package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/integrity/folder"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(list []integrity.Entry) (out []string) {
	for _, e := range list {
		out = append(out, e.Path)
	}
	slices.Sort(out)
	return out
}

func TestOnlyWhatIsChosenIsRead(t *testing.T) {
	dir := tree(t, map[string]string{"a.liquid": "a", "sub/b.liquid": "b", "sub/c.txt": "c", "cache/d.liquid": "d"})
	s := folder.New(folder.Config{Root: dir, Include: []string{"**/*.liquid"}, Exclude: []string{"cache/**"}})
	got, err := s.Read(t.Context())
	if err != nil || !slices.Equal(names(got), []string{"a.liquid", "sub/b.liquid"}) {
		t.Errorf("read %v, %v", names(got), err)
	}
}

func TestNothingIsReadOrWrittenThroughALink(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "not yours"})
	dir := tree(t, map[string]string{"a.liquid": "a"})
	for name, to := range map[string]string{"leak.liquid": filepath.Join(outside, "secret"), "away": outside} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := folder.New(folder.Config{Root: dir})
	got, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got {
		if strings.Contains(string(e.Bytes), "not yours") {
			t.Errorf("%s was read through a link", e.Path)
		}
		if e.Path != "a.liquid" && !e.Link {
			t.Errorf("%s is not said to be a link", e.Path)
		}
	}
	// The file behind the link stays; the link gives way to the file.
	if err := s.Write(t.Context(), []integrity.Entry{{Path: "leak.liquid", Bytes: []byte("good")}}, nil); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "not yours" {
		t.Errorf("it was written through a link: %q", b)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "leak.liquid")); string(b) != "good" {
		t.Errorf("the file is %q", b)
	}
	if err := s.Write(t.Context(), []integrity.Entry{{Path: "away/new", Bytes: []byte("x")}}, nil); err == nil {
		t.Error("it was written into a folder behind a link")
	}
}

// Whoever changed the files may have put anything where a file or its folder was.
func TestWhatStandsInTheWayOfAFileGivesWay(t *testing.T) { // promise: REC-3
	for name, c := range map[string]struct {
		before func(dir string) error
		remove []string
	}{
		"a folder with a file in it": {func(dir string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, "a/b.liquid/deep"), 0o755), os.WriteFile(filepath.Join(dir, "a/b.liquid/deep/evil.js"), nil, 0o644))
		}, []string{"a/b.liquid/deep/evil.js"}},
		"a file instead of its folder": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o644) }, []string{"a"}},
		"a link instead of its folder": {func(dir string) error { return os.Symlink("other", filepath.Join(dir, "a")) }, []string{"a"}},
	} {
		dir := tree(t, map[string]string{"other/b.liquid": "other"})
		if err := c.before(dir); err != nil {
			t.Fatal(err)
		}
		err := folder.New(folder.Config{Root: dir}).Write(t.Context(), []integrity.Entry{{Path: "a/b.liquid", Bytes: []byte("good")}}, c.remove)
		if b, _ := os.ReadFile(filepath.Join(dir, "a/b.liquid")); err != nil || string(b) != "good" {
			t.Errorf("%s: the file is %q, %v", name, b, err)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "other/b.liquid")); string(b) != "other" {
			t.Errorf("%s: another file became %q", name, b)
		}
	}
}

// What is not looked after is in no plan and was not kept: it is never overwritten or removed.
func TestWhatIsNotLookedAfterIsLeftAlone(t *testing.T) {
	put := []integrity.Entry{{Path: "a/b.liquid", Bytes: []byte("good")}}
	for want, before := range map[string]func(dir string) error{
		"a is a symbolic link": func(dir string) error { return os.Symlink("uploads", filepath.Join(dir, "a")) },
		"a is no folder":       func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), nil, 0o644) },
		"a/b.liquid/theirs": func(dir string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, "a/b.liquid"), 0o755), os.WriteFile(filepath.Join(dir, "a/b.liquid/theirs"), nil, 0o644))
		},
	} {
		dir := tree(t, map[string]string{"uploads/b.liquid": "theirs"})
		if err := before(dir); err != nil {
			t.Fatal(err)
		}
		s := folder.New(folder.Config{Root: dir, Include: []string{"**/*.liquid"}, Exclude: []string{"uploads/**"}})
		if err := s.Write(t.Context(), put, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal is %v, want %s", err, want)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "uploads/b.liquid")); string(b) != "theirs" {
			t.Errorf("%s: an upload became %q", want, b)
		}
	}
}

func TestFilesAreWrittenWholeAndKeepTheirPermissions(t *testing.T) {
	dir := tree(t, map[string]string{"a.liquid": "bad", "added.js": "x"})
	s := folder.New(folder.Config{Root: dir})
	put := []integrity.Entry{{Path: "a.liquid", Bytes: []byte("good")}, {Path: "new/deep.liquid", Bytes: []byte("back")}}
	for range 2 { // a second attempt finds it done
		if err := s.Write(t.Context(), put, []string{"added.js"}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Read(t.Context())
	if err != nil || !slices.Equal(names(got), []string{"a.liquid", "new/deep.liquid"}) {
		t.Fatalf("afterwards there are %v, %v", names(got), err)
	}
	if st, err := os.Stat(filepath.Join(dir, "a.liquid")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v, %v", st.Mode(), err)
	}
	// A crash left the file beside its place: it is in nobody's way.
	if err := os.WriteFile(filepath.Join(dir, ".restoring-a.liquid"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), put, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".restoring-a.liquid")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for want, c := range map[string]folder.Config{
		"integrity.t.root: has to be a folder by its whole path": {Root: "templates"},
		`integrity.t.include: "[" is no pattern`:                 {Root: "/srv", Include: []string{"["}},
	} {
		if err := c.Validate("integrity.t"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
	if _, err := folder.New(folder.Config{Root: "/nowhere/at/all"}).Read(t.Context()); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all: no such file") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
