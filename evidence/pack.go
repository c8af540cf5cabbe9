package evidence

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// Magic is the first line of an export.
const Magic = "tocsin-export/v1"

// envelope signs the digest of a zip.
func envelope(signer note.Signer, origin string, size int, digest [sha256.Size]byte) ([]byte, error) {
	text := fmt.Sprintf("%s\n%s\n%d\n%s\n", Magic, origin, size, base64.StdEncoding.EncodeToString(digest[:]))
	return note.Sign(&note.Note{Text: text}, signer)
}

// pack makes the whole file. The zip's offsets count from the start of the file, so the length of
// the note before it has to be known first; it depends on nothing but the number of digits of the
// zip's length, which does not depend on the offsets.
func pack(signer note.Signer, origin string, files []file) ([]byte, error) {
	guess := 1_000_000 // most exports have seven digits
	for range 3 {
		before, err := envelope(signer, origin, guess, [sha256.Size]byte{})
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		body, err := zipped(files, int64(len(before)))
		if err != nil {
			return nil, err
		}
		head, err := envelope(signer, origin, len(body), sha256.Sum256(body))
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		if len(head) == len(before) {
			return append(head, body...), nil
		}
		guess = len(body)
	}
	return nil, errors.New("the signature has no constant length")
}

// zipped writes the files with no times and no attributes, so that the same files give the same bytes.
func zipped(files []file, offset int64) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.SetOffset(offset)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if f.store {
			h.Method = zip.Store
		}
		out, err := w.CreateHeader(h)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := out.Write(f.data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return b.Bytes(), nil
}

// write makes the file durable under its name.
func write(path string, raw []byte) error {
	dir := filepath.Dir(path)
	fail := func(err error) error { return fmt.Errorf("evidence: write %s: %w", filepath.Base(path), err) }
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	tmp, err := os.CreateTemp(dir, ".export-*")
	if err != nil {
		return fail(err)
	}
	// A crash until the rename leaves a hidden file that nobody refers to; the export is made again.
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fail(errors.Join(err, os.Remove(tmp.Name())))
	}
	// A crash between the rename and this: the file may be gone and was not yet recorded as handed out.
	// The folder above is synced because it may have this one since just now.
	for _, dir := range []string{dir, filepath.Dir(dir)} {
		if err := fsync.Dir(dir); err != nil {
			return fail(err)
		}
	}
	return nil
}
