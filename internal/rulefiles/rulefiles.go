// Package rulefiles reads detection rules from a disk, for the server and for the command line.
package rulefiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

// MaxFile bounds a rule file, in bytes.
const MaxFile = 8 << 20

// Read reads a rule file, or the .yml and .yaml files of a folder and those below it.
func Read(root string) (out []sigma.File, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return unreadable(path, err)
		}
		ext := strings.ToLower(filepath.Ext(path))
		if d.IsDir() || path != root && (ext != ".yml" && ext != ".yaml" || !d.Type().IsRegular()) {
			return nil
		}
		body, err := read(path)
		if err != nil {
			return err
		}
		out = append(out, sigma.File{Name: path, Data: body})
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s holds no rule file: they end in .yml or .yaml", root)
	}
	return out, err
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(body) > MaxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, MaxFile>>20)
	}
	return body, nil
}

// unreadable names the file once: the errors of the disk name it too.
func unreadable(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s cannot be read: %w", path, err)
}
