package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// place is where the files of a table are. Names are below it: metadata/…, data/…. What a method has
// written when it returns is durable; what an error or a crash leaves is there whole or not at all.
type place interface {
	url() (string, error)                         // as Iceberg names it
	list(folder string) (map[string]int64, error) // bytes by name
	read(name string) ([]byte, error)             // fs.ErrNotExist
	keep(temp, name string) error                 // takes over a file that was synced
	write(name string, data []byte) error
	create(name string, data []byte) error // fs.ErrExist when it is there: this is what commits
	hint(name string, data []byte) error   // may be lost
	remove(name string) error              // no error when it is not there
	// local is a path under which a file can be read until done is called.
	local(name string, size int64) (path string, done func(), err error)
}

// folder is a place on a disk.
type folder struct{ dir string }

func (p folder) path(name string) string { return filepath.Join(p.dir, filepath.FromSlash(name)) }

func (p folder) url() (string, error) {
	abs, err := filepath.Abs(p.dir)
	if err != nil {
		return "", fmt.Errorf("table: %w", err)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), nil
}

func (p folder) list(below string) (map[string]int64, error) {
	out := map[string]int64{}
	err := filepath.WalkDir(p.path(below), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(p.dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			out[filepath.ToSlash(rel)] = info.Size()
		}
		return err
	})
	return out, err
}

func (p folder) read(name string) ([]byte, error) { return os.ReadFile(p.path(name)) }

func (p folder) keep(temp, name string) error {
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o700); err != nil {
		return err
	}
	if err := os.Rename(temp, p.path(name)); err != nil {
		return err
	}
	return errors.Join(fsync.Dir(filepath.Dir(p.path(name))), fsync.Dir(filepath.Dir(filepath.Dir(p.path(name)))))
}

func (p folder) write(name string, data []byte) error {
	f, err := os.OpenFile(p.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("table: %w", err)
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("table: write %s: %w", filepath.Base(name), err)
	}
	return nil
}

// create is a hard link to a file that is whole: it fails when the name is taken.
func (p folder) create(name string, data []byte) error {
	temp := "tmp/" + filepath.Base(name)
	if err := p.write(temp, data); err != nil {
		return err
	}
	if err := os.Link(p.path(temp), p.path(name)); err != nil {
		return fmt.Errorf("table: commit: %w", err)
	}
	if err := errors.Join(fsync.Dir(filepath.Dir(p.path(name))), os.Remove(p.path(temp))); err != nil {
		return fmt.Errorf("table: commit: %w", err)
	}
	return nil
}

func (p folder) hint(name string, data []byte) error {
	temp := p.path("tmp/" + filepath.Base(name))
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("table: %s: %w", filepath.Base(name), err)
	}
	return os.Rename(temp, p.path(name))
}

func (p folder) remove(name string) error {
	if err := os.Remove(p.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (p folder) local(name string, _ int64) (string, func(), error) {
	return p.path(name), func() {}, nil
}
