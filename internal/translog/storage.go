package translog

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	tessera "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// Storage is what keeps a log: a driver of the library, and what this package needs beside it. Its
// files are read by their names whatever it keeps them as.
type Storage interface {
	Source
	// Driver is what the library appends with. It is asked for once, before anything is written, and
	// refuses a place that holds the log of another key. Witnesses are reached by the client where
	// the library lets it be chosen.
	Driver(ctx context.Context, signer note.Signer, client *http.Client) (tessera.Driver, error)
	// Settle waits until nothing that was begun and not answered can still give a leaf its place, and
	// returns how many leaves have one.
	Settle(ctx context.Context) (uint64, error)
	// Remove takes a full bundle of leaves away durably; one that is not there is no error.
	Remove(ctx context.Context, bundle uint64) error
	// Published says when the newest checkpoint was written.
	Published(ctx context.Context) (time.Time, error)
	// Poll is how often to ask it whether something has changed.
	Poll() time.Duration
	Close() error
	String() string // for messages, without secrets
}

// folder keeps a log on a local disk.
type folder string

// Driver makes the folder.
func (dir folder) Driver(ctx context.Context, _ note.Signer, client *http.Client) (tessera.Driver, error) {
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return nil, err
	}
	return posix.New(ctx, posix.Config{Path: string(dir), HTTPClient: client})
}

func (dir folder) Read(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(dir), filepath.FromSlash(name)))
}

// Settle has nothing to wait for: who wrote here before is dead or this process.
func (folder) Settle(context.Context) (uint64, error) { return 0, nil }

func (dir folder) Remove(_ context.Context, bundle uint64) error {
	path := filepath.Join(string(dir), filepath.FromSlash(layout.EntriesPath(bundle, 0)))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(path + ".p"); err != nil { // what it was while it was not full
		return err
	}
	if err := fsync.Dir(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (dir folder) Published(context.Context) (time.Time, error) {
	info, err := os.Stat(filepath.Join(string(dir), layout.CheckpointPath))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (folder) Poll() time.Duration { return 10 * time.Millisecond }
func (folder) Close() error        { return nil }
func (dir folder) String() string  { return string(dir) }

// files reads tiles and bundles by their address. A partial one is removed some time after the full
// one is there; what it held is the beginning of that.
type files struct{ at Source }

func (f files) tile(ctx context.Context, level, index uint64, p uint8) ([]byte, error) {
	return f.whole(ctx, layout.TilePath(level, index, p), layout.TilePath(level, index, 0), p)
}

func (f files) bundle(ctx context.Context, index uint64, p uint8) ([]byte, error) {
	return f.whole(ctx, layout.EntriesPath(index, p), layout.EntriesPath(index, 0), p)
}

func (f files) whole(ctx context.Context, name, full string, p uint8) ([]byte, error) {
	raw, err := f.at.Read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) && p > 0 {
		return f.at.Read(ctx, full)
	}
	return raw, err
}
