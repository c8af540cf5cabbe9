package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// writeFile writes a file that is either whole or not there: a crash or an error leaves at most a
// file whose name ends in .part.
func writeFile(path string, fill func(io.Writer) error) (int64, error) {
	f, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, &failure{text: "cannot write " + path + ".part", hint: "does the folder exist, and may you write there?"}
	}
	err = fill(f)
	size := int64(0)
	if info, statErr := f.Stat(); statErr == nil {
		size = info.Size()
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Clean(path))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return size, err
}

// toNewFile writes a file that must not be there yet, and says where it is. One that could not be written
// whole does not stay.
func (a *app) toNewFile(path string, write func(io.Writer) error) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return &failure{text: err.Error(), hint: "name a file that does not exist in a folder you can write to"}
	}
	if err := errors.Join(write(out), out.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	if !a.asJSON {
		fmt.Fprintf(a.deps.Err, "written to %s\n", path)
	}
	return nil
}
