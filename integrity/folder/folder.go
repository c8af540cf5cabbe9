// Package folder is a folder of this machine whose files are compared with what was approved, such as
// the templates of an app.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tocsin-ir/tocsin/integrity"
)

// Config is one folder as the configuration writes it (type folder).
type Config struct {
	Root    string   `yaml:"root"`    // by its whole path
	Include []string `yaml:"include"` // globs below it, ** for any depth; default all files
	Exclude []string `yaml:"exclude"`
}

// Validate checks the settings; field names them in errors.
func (c Config) Validate(field string) error {
	if !filepath.IsAbs(c.Root) {
		return fmt.Errorf("%s.root: has to be a folder by its whole path, such as /srv/app/templates", field)
	}
	for _, list := range []struct {
		name  string
		globs []string
	}{{"include", c.Include}, {"exclude", c.Exclude}} {
		for _, g := range list.globs {
			if !doublestar.ValidatePattern(g) || path.IsAbs(g) {
				return fmt.Errorf("%s.%s: %q is no pattern such as **/*.liquid", field, list.name, g)
			}
		}
	}
	return nil
}

// Source is the folder.
type Source struct{ c Config }

// New makes the source. The folder need not be there yet.
func New(c Config) *Source { return &Source{c} }

// Kind is folder.
func (*Source) Kind() string { return "folder" }

// Place is where it is.
func (s *Source) Place() string { return s.c.Root }

func (s *Source) wanted(name string) bool {
	in := len(s.c.Include) == 0
	for _, g := range s.c.Include {
		in = in || doublestar.MatchUnvalidated(g, name)
	}
	for _, g := range s.c.Exclude {
		in = in && !doublestar.MatchUnvalidated(g, name)
	}
	return in
}

// Read reads every wanted file. Nothing is read through a symbolic link: whoever may write to the
// folder must not make the server read anything else.
func (s *Source) Read(ctx context.Context) ([]integrity.Entry, error) {
	root, err := os.OpenRoot(s.c.Root)
	if err != nil {
		return nil, s.failed(err)
	}
	defer root.Close()
	var out []integrity.Entry
	var total int64
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		link := e.Type()&fs.ModeSymlink != 0
		if !link && !e.Type().IsRegular() || !s.wanted(name) {
			return nil
		}
		if len(out) >= integrity.MaxFiles {
			return fmt.Errorf("%w: %s holds more than %d files: choose with include and exclude", integrity.ErrBounds, s.c.Root, integrity.MaxFiles)
		}
		entry := integrity.Entry{Path: name, Link: link}
		if link {
			to, err := root.Readlink(name)
			if err != nil {
				return err
			}
			entry.Bytes = []byte(to)
		} else if entry.Bytes, err = read(root, name); errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed while we looked
		} else if err != nil {
			return err
		}
		if total += int64(len(entry.Bytes)); total > integrity.MaxTotal {
			return fmt.Errorf("%w: the files of %s have more than %d MiB together: choose with include and exclude", integrity.ErrBounds, s.c.Root, integrity.MaxTotal>>20)
		}
		out = append(out, entry)
		return nil
	})
	if err != nil {
		return nil, s.failed(err)
	}
	return out, nil
}

func read(root *os.Root, name string) ([]byte, error) {
	// Without waiting: a pipe that was put in its place meanwhile would hold the look for ever.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no file any more", name))
	}
	b, err := io.ReadAll(io.LimitReader(f, integrity.MaxFile+1))
	if err == nil && len(b) > integrity.MaxFile {
		err = fmt.Errorf("%w: %s has more than %d MiB: leave it out with exclude", integrity.ErrBounds, name, integrity.MaxFile>>20)
	}
	return b, err
}

// Write puts files beside their places and renames them: a crash leaves each file as it was or as
// approved, and the next attempt goes on. Permissions of a file that is there are kept. What is to go
// goes first: it may stand where a folder of an approved file was. Nothing is written through a link.
func (s *Source) Write(ctx context.Context, put []integrity.Entry, remove []string) error {
	root, err := os.OpenRoot(s.c.Root)
	if err != nil {
		return s.failed(err)
	}
	defer root.Close()
	for _, name := range remove {
		if err := errors.Join(ctx.Err(), integrity.CheckPath(name)); err != nil {
			return err
		}
		err := folders(root, path.Dir(name), false)
		if err == nil {
			err = root.Remove(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s was not removed: %w", name, s.failed(err))
		}
	}
	for _, e := range put {
		if err := errors.Join(ctx.Err(), integrity.CheckPath(e.Path)); err != nil {
			return err
		}
		if err := write(root, e); err != nil {
			return fmt.Errorf("%s was not written back: %w", e.Path, s.failed(err))
		}
	}
	return nil
}

func write(root *os.Root, e integrity.Entry) error {
	if err := folders(root, path.Dir(e.Path), true); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if st, err := root.Lstat(e.Path); err == nil && st.Mode().IsRegular() {
		mode = st.Mode().Perm()
	} else if err == nil && st.IsDir() {
		if err := makeRoom(root, e.Path); err != nil {
			return err
		}
	}
	tmp := path.Join(path.Dir(e.Path), ".restoring-"+path.Base(e.Path))
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an attempt that was cut off
		return err
	}
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(e.Bytes)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(tmp, e.Path)
	}
	if err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	dir, err := root.Open(path.Dir(e.Path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// folders says whether dir and every folder above it is a folder of the root and no link, which could
// lead to files that nobody looks after; with make, those that are missing are made.
func folders(root *os.Root, dir string, make bool) error {
	if dir == "." {
		return nil
	}
	if err := folders(root, path.Dir(dir), make); err != nil {
		return err
	}
	st, err := root.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && make:
		return root.Mkdir(dir, 0o755)
	case err != nil:
		return err
	case st.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, and a folder is needed there: move the link away, then plan it again", dir)
	case !st.IsDir():
		return fmt.Errorf("%s is no folder, and one is needed there: move it away, then plan it again", dir)
	}
	return nil
}

// makeRoom removes a folder that stands where a file was approved. Files in it that were looked after are
// gone by now; any other is somebody's, and was not kept as evidence.
func makeRoom(root *os.Root, dir string) error {
	var empty []string
	err := fs.WalkDir(root.FS(), dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = fmt.Errorf("a folder stands there, with %s in it, which is not looked after: move it away, then plan it again", name)
		}
		empty = append(empty, name)
		return err
	})
	for _, name := range slices.Backward(empty) {
		if err != nil {
			return err
		}
		err = root.Remove(name)
	}
	return err
}

// failed words an error of the folder without the operation in front of it.
func (s *Source) failed(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
