// Package backup keeps an installation alive when its machine is not: a backup that is taken while
// the server runs, a copy of facts and logs that the server keeps off the machine as they come, and
// the restore that puts both together on another machine.
//
// What is restored is the same installation: its chains and logs go on where they ended. A copy
// carries what is newer than the backup. Keys leave the machine encrypted to recipients whose
// identities are kept elsewhere, or not at all.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/internal/fsync"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

// Folder is a place in the file system: a folder, or what is mounted there.
type Folder string

// Read returns a file; the error is fs.ErrNotExist when there is none.
func (f Folder) Read(_ context.Context, name string) ([]byte, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("backup: %q leaves its folder", name)
	}
	return os.ReadFile(filepath.Join(string(f), filepath.FromSlash(name)))
}

// Write replaces a file by a rename after its bytes are on the disk. A crash before leaves the old
// file; a crash between the rename and the sync of the folder may leave either.
func (f Folder) Write(_ context.Context, name string, data []byte) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("backup: %q leaves its folder", name)
	}
	path := filepath.Join(string(f), filepath.FromSlash(name))
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	temp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("backup: write %s: %w", name, err), os.Remove(temp.Name()))
	}
	if err := fsync.Dir(dir); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// under is a part of a place.
type under struct {
	translog.Place
	prefix string
}

func (u under) Read(ctx context.Context, name string) ([]byte, error) {
	return u.Place.Read(ctx, u.prefix+name)
}

func (u under) Write(ctx context.Context, name string, data []byte) error {
	return u.Place.Write(ctx, u.prefix+name, data)
}

// pinned is a source whose checkpoint stays what it was when it was pinned, while its log grows.
type pinned struct {
	translog.Source
	checkpoint []byte
}

func pin(ctx context.Context, at translog.Source) (pinned, error) {
	raw, err := at.Read(ctx, "checkpoint")
	return pinned{at, raw}, err
}

func (p pinned) Read(ctx context.Context, name string) ([]byte, error) {
	if name == "checkpoint" {
		return p.checkpoint, nil
	}
	return p.Source.Read(ctx, name)
}

// removed are the leaves of days whose events a folder removed when their time was over.
func removed(ctx context.Context, dir string) ([]translog.Range, error) {
	list, err := accesslog.Pruned(ctx, dir)
	out := make([]translog.Range, len(list))
	for i, x := range list {
		out[i] = translog.Range{First: x.Leaf, N: x.Leaves}
	}
	return out, err
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
