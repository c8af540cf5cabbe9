package keyring

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// algEd25519 is the algorithm byte of ed25519 keys in the note format.
const algEd25519 = 1

// maxKeyFile bounds what is read of a signer's file in bytes.
const maxKeyFile = 4096

// signer is a log's signing key with its public half. It is never printed.
type signer struct {
	note.Signer
	verifier note.Verifier
	vkey     string
}

// Signer returns the ed25519 note signer of a name such as "javabeanai/facts", which is also the
// origin of the log it signs for. The key is made durably on first use, in a file of its own with
// mode 0600.
func (r *Ring) Signer(name string) (note.Signer, error) {
	s, err := r.signer(name)
	if err != nil {
		return nil, err
	}
	return hiddenSigner{s.Signer}, nil
}

// Verifier returns the public half of the signer of that name, and the same as text in the note
// format ("NAME+HASH+KEY"), which may be shown to anyone. The key is made when there is none.
func (r *Ring) Verifier(name string) (note.Verifier, string, error) {
	s, err := r.signer(name)
	if err != nil {
		return nil, "", err
	}
	return s.verifier, s.vkey, nil
}

func (r *Ring) signer(name string) (signer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return signer{}, ErrClosed
	}
	if s, ok := r.signers[name]; ok {
		return s, nil
	}
	if name == "" || len(name) > maxName || strings.ContainsAny(name, "+ \t\r\n") {
		return signer{}, fmt.Errorf("keyring: %q cannot be the name of a signing key: up to %d bytes without space and plus", name, maxName)
	}
	path := filepath.Join(r.dir, signerFile(name))
	skey, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		var generated string
		if generated, _, err = note.GenerateKey(rand.Reader, name); err != nil {
			return signer{}, fmt.Errorf("keyring: make the signing key %s: %w", name, err)
		}
		if err := writeOnce(path, generated+"\n"); err != nil {
			return signer{}, fmt.Errorf("keyring: keep the signing key %s: %w", name, err)
		}
		// Read back what is there: if another process was first, its key counts.
		skey, err = readPrivate(path)
	}
	if err != nil {
		return signer{}, fmt.Errorf("keyring: read the signing key %s: %w", name, err)
	}
	s, err := parseSigner(name, skey)
	if err != nil {
		return signer{}, err
	}
	r.signers[name] = s
	return s, nil
}

// signerFile is the name of the file that holds a signing key.
func signerFile(name string) string { return "sign-" + url.PathEscape(name) + ".key" }

// HasSigner says whether there is a signing key of a name, and which file holds it.
func (r *Ring) HasSigner(name string) (file string, ok bool) {
	_, err := os.Lstat(filepath.Join(r.dir, signerFile(name)))
	return signerFile(name), err == nil
}

// parseSigner reads a private key in the note format. Its errors never hold the key's text.
func parseSigner(name, skey string) (signer, error) {
	bad := fmt.Errorf("keyring: keys/%s, the file of signing key %s, does not hold a note key of that name", signerFile(name), name)
	ns, err := note.NewSigner(skey)
	if err != nil || ns.Name() != name {
		return signer{}, bad
	}
	// PRIVATE+KEY+NAME+HASH+KEY. The base64 alphabet has a plus too, so the last field keeps the rest.
	fields := strings.SplitN(skey, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != algEd25519 {
		return signer{}, bad
	}
	public, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return signer{}, bad
	}
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return signer{}, bad
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return signer{}, bad
	}
	return signer{Signer: ns, verifier: verifier, vkey: vkey}, nil
}

// readPrivate reads a key file and refuses one that others may read.
func readPrivate(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if err := private(path, info); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}

// writeOnce puts text at path durably unless something is there already. A crash before the link
// leaves a temporary file that nobody reads; after it, the key is whole.
func writeOnce(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // the temporary name; the link stays
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsync.Dir(filepath.Dir(path))
}

// hiddenSigner keeps the private key out of prints: the note package's own signer would show it.
type hiddenSigner struct{ note.Signer }

// String hides the key from prints.
func (hiddenSigner) String() string { return redacted }

// GoString hides the key from %#v.
func (hiddenSigner) GoString() string { return redacted }

// Format hides the key from every verb.
func (hiddenSigner) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }
