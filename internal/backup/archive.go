package backup

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// packTar writes a backup as a tar whose every byte follows from the manifest and the files.
func packTar(w io.Writer, dir string, m Manifest) error {
	archive := tar.NewWriter(w)
	for _, name := range append([]string{manifestName}, names(m)...) {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size()})
		}
		if err == nil {
			_, err = io.Copy(archive, f)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return archive.Close()
}

func names(m Manifest) (list []string) {
	for _, f := range m.Files {
		list = append(list, f.Name)
	}
	return list
}

func writeTar(dir, to string, m Manifest) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(packTar(f, dir, m), f.Sync(), f.Close())
}

// unpackTar puts the files of an archive into a folder. Links and names that leave it are refused.
func unpackTar(from, dir string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	archive := tar.NewReader(f)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
			return &AlteredError{[]string{filepath.Base(from) + ": is no archive as it was written"}}
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return &AlteredError{[]string{h.Name + ": stands in the archive twice"}}
		}
		if _, err = io.Copy(out, archive); errors.Is(err, io.ErrUnexpectedEOF) {
			err = &AlteredError{[]string{h.Name + ": is cut off"}}
		}
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}

// sameTar says whether an archive is byte for byte what its files make: nothing hides between them.
func sameTar(from, dir string, m Manifest) error {
	made := sha256.New()
	if err := packTar(made, dir, m); err != nil {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	stored := sha256.New()
	if _, err := io.Copy(stored, f); err != nil {
		return err
	}
	if string(made.Sum(nil)) != string(stored.Sum(nil)) {
		return &AlteredError{[]string{fmt.Sprintf("%s: holds bytes between its files that were not written", filepath.Base(from))}}
	}
	return nil
}
