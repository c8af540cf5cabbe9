package ids

import (
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// private is the disk, whose files are for their owner alone: Pebble makes its own as the umask says.
type private struct{ vfs.FS }

func (p private) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, c)
	return closed(f, err, name)
}

func (p private) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.OpenReadWrite(name, c, o...)
	return closed(f, err, name)
}

func (p private) Lock(name string) (io.Closer, error) {
	l, err := p.FS.Lock(name)
	return closed(l, err, name)
}

// closed closes a file to everybody else.
func closed[F io.Closer](f F, err error, name string) (F, error) {
	if err != nil {
		return f, err
	}
	if err := os.Chmod(name, 0o600); err != nil {
		var none F
		return none, errors.Join(err, f.Close())
	}
	return f, nil
}
