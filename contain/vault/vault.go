// Package vault keeps secrets as files in a folder that only this user may read.
package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// MaxSize is the largest secret in bytes.
const MaxSize = 64 << 10

// Folder is a vault in a folder (0700), one file (0600) per secret.
type Folder struct{ dir string }

var _ contain.Vault = (*Folder)(nil)

// Open makes the folder when it is not there.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("secrets folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("secrets folder: %w", err)
	}
	return &Folder{dir: dir}, nil
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

func (f *Folder) path(name string) (string, error) {
	if !goodName.MatchString(name) {
		return "", errors.New("a secret's name has letters, digits, dots, dashes and underscores, at most 128")
	}
	return filepath.Join(f.dir, name), nil
}

// Get reads a secret, without one line break at its end: people write these files with an editor.
func (f *Folder) Get(name string) (contain.Secret, error) {
	path, err := f.path(name)
	if err != nil {
		return contain.Secret{}, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return contain.Secret{}, fmt.Errorf("secret %s: %w", name, contain.ErrNoSecret)
	}
	if err != nil {
		return contain.Secret{}, fmt.Errorf("secret %s: %w", name, err)
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if s == "" {
		return contain.Secret{}, fmt.Errorf("secret %s is empty: %w", name, contain.ErrNoSecret)
	}
	return contain.NewSecret(s), nil
}

// Put writes beside the place and renames: a crash before the rename leaves the old value, after
// it the new one, never a part of either.
func (f *Folder) Put(name string, s contain.Secret) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if s.Empty() || len(s.Reveal()) > MaxSize {
		return fmt.Errorf("secret %s: it has to be 1 to %d bytes", name, MaxSize)
	}
	tmp, err := os.CreateTemp(f.dir, ".put-*") // 0600
	if err != nil {
		return fmt.Errorf("secret %s: %w", name, err)
	}
	_, err = tmp.WriteString(s.Reveal())
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("secret %s: %w", name, err)
	}
	return f.sync(name)
}

// Delete removes a secret. A crash before the folder is synced may bring it back.
func (f *Folder) Delete(name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("secret %s: %w", name, err)
	}
	return f.sync(name)
}

// Names lists the secrets, sorted, without those the system keeps for itself.
func (f *Folder) Names() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("secrets folder: %w", err)
	}
	var names []string
	for _, e := range entries {
		if goodName.MatchString(e.Name()) && !Reserved(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (f *Folder) sync(name string) error {
	if err := fsync.Dir(f.dir); err != nil {
		return fmt.Errorf("secret %s: %w", name, err)
	}
	return nil
}

// Reserved reports whether a name is the system's own, which nobody may write by hand.
func Reserved(name string) bool { return strings.HasPrefix(name, "rotation.") }
