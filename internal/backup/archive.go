package backup

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
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

// Sealed says whether a backup is one file that is encrypted as a whole, by its name.
func Sealed(name string) bool { return strings.HasSuffix(name, ".tar.age") }

// writeTar writes the archive, encrypted to the recipients where its name says so.
func writeTar(dir, to string, m Manifest, recipients []age.Recipient) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if !Sealed(to) {
		return errors.Join(packTar(f, dir, m), f.Sync(), f.Close())
	}
	proof, err := passing(recipients)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w, err := age.Encrypt(f, append(slices.Clip(recipients), proof.Recipient)...)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(packTar(w, dir, m), w.Close(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return sealedSame(to, dir, m, proof.Identity)
}

// pair is an identity that lives as long as one archive is written: with it what was encrypted is read
// back, although those who it is for are elsewhere. It is nowhere but in memory.
type pair struct {
	age.Identity
	age.Recipient
}

// passing makes one of the kind of the recipients, as age does not mix kinds.
func passing(recipients []age.Recipient) (pair, error) {
	if _, hybrid := recipients[0].(*age.HybridRecipient); hybrid {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return pair{}, err
		}
		return pair{id, id.Recipient()}, nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return pair{}, err
	}
	return pair{id, id.Recipient()}, nil
}

// sealedSame reads an encrypted archive back: it holds byte for byte what its files make.
func sealedSame(from, dir string, m Manifest, id age.Identity) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := age.Decrypt(f, id)
	if err != nil {
		return fmt.Errorf("the archive that was written cannot be opened: %w", err)
	}
	made, stored := sha256.New(), sha256.New()
	if err := packTar(made, dir, m); err != nil {
		return err
	}
	if _, err := io.Copy(stored, in); err != nil {
		return fmt.Errorf("the archive that was written cannot be read back: %w", err)
	}
	if string(made.Sum(nil)) != string(stored.Sum(nil)) {
		return &AlteredError{[]string{filepath.Base(from) + ": is not what was written"}}
	}
	return nil
}

// digestFile is the digest of a file and how long it is.
func digestFile(name string) (string, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return fmt.Sprintf("sha256:%x", h.Sum(nil)), n, err
}

// unseal decrypts an archive into a new file of a folder that nobody else may enter.
func unseal(from, dir string, identities []age.Identity) (name string, err error) {
	if len(identities) == 0 {
		return "", fmt.Errorf("%s is encrypted: give the identity that opens it", from)
	}
	f, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer f.Close()
	in, err := age.Decrypt(f, identities...)
	if err != nil {
		return "", fmt.Errorf("%s: it cannot be opened with this identity, or was altered: %w", from, err)
	}
	out, err := os.CreateTemp(dir, ".unsealed-*.tar") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("%s: it was altered or cut off: %w", from, err), os.Remove(out.Name()))
	}
	return out.Name(), nil
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
