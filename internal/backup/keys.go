package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	_ "modernc.org/sqlite" // the driver of the databases that are copied
)

// sealedKeys is the file of keys and named secrets, encrypted with age (age-encryption.org).
const sealedKeys = "keys.age"

// maxSecrets bounds what is unpacked of it.
const maxSecrets = 1 << 30

// Recipients reads age recipients, such as age1….
func Recipients(list []string) ([]age.Recipient, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out, err := age.ParseRecipients(strings.NewReader(strings.Join(list, "\n")))
	if err != nil {
		return nil, errors.New("a recipient has to be the public half of an age identity, such as age1…: age-keygen makes one")
	}
	return out, nil
}

// snapshot copies a SQLite database as it is at one moment, while others write to it. The result is
// one file without a log beside it.
func snapshot(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: from}).EscapedPath()+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return fmt.Errorf("backup: copy %s: %w", filepath.Base(from), err)
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("backup: copy %s: %w", filepath.Base(from), err)
	}
	return os.Chmod(to, 0o600)
}

// packKeys encrypts the folders keys and secrets of a data folder.
func packKeys(ctx context.Context, dir string, to []age.Recipient) (_ []byte, err error) {
	temp, err := os.MkdirTemp(dir, ".backup-*") // inside the data folder: nobody else may enter
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if err := snapshot(ctx, filepath.Join(dir, "keys", "keys.db"), filepath.Join(temp, "keys.db")); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	sealed, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, fmt.Errorf("backup: encrypt the keys: %w", err)
	}
	archive := tar.NewWriter(sealed)
	for _, folder := range []string{"keys", "secrets"} {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(path string, d fs.DirEntry, err error) error {
			if missing(err) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "keys.db-") {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			if name == filepath.Join("keys", "keys.db") {
				path = filepath.Join(temp, "keys.db")
			}
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := archive.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o600, Size: int64(len(body))}); err != nil {
				return err
			}
			_, err = archive.Write(body)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("backup: pack the keys: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), sealed.Close()); err != nil {
		return nil, fmt.Errorf("backup: encrypt the keys: %w", err)
	}
	return out.Bytes(), nil
}

// unpackKeys decrypts what packKeys made into a data folder.
func unpackKeys(sealed []byte, dir string, identities []age.Identity) error {
	if len(identities) == 0 {
		return errors.New("the keys are encrypted: name the age identity they were encrypted to (--identity FILE)")
	}
	plain, err := age.Decrypt(bytes.NewReader(sealed), identities...)
	if err != nil {
		return errors.New("the keys cannot be decrypted: it is another identity, or " + sealedKeys + " was altered")
	}
	archive := tar.NewReader(io.LimitReader(plain, maxSecrets))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("the keys cannot be decrypted: " + sealedKeys + " was altered")
		}
		first, _, _ := strings.Cut(h.Name, "/")
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) || first != "keys" && first != "secrets" {
			return fmt.Errorf("%s holds %q, which is neither a key nor a secret", sealedKeys, h.Name)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		body, err := io.ReadAll(archive)
		if err != nil {
			return errors.New("the keys cannot be decrypted: " + sealedKeys + " was altered")
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return err
		}
	}
}
