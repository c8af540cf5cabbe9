// Package fsync makes names durable: a file that was made, renamed or removed is so after a loss of
// power when its folder was synced too.
package fsync

import (
	"errors"
	"os"
)

// Dir syncs a folder. A crash before it may take back what was made, renamed or removed in it.
func Dir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
