package evidence

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MaxFile bounds one attached file, in bytes.
const MaxFile = 32 << 20

// ErrFileTooLarge says that a file is larger than is kept.
var ErrFileTooLarge = fmt.Errorf("evidence: the file is larger than %d MiB: attach it in parts", MaxFile>>20)

// Keys gives the key of a purpose and an id, made durably when there is none.
type Keys interface {
	Key(purpose, id string) ([]byte, error)
}

// Files keeps what people attach to incidents, each file under its own digest and sealed with
// AES-256-GCM. What a sender called a file never becomes a path, and nothing in the folder can be
// opened or run by mistake.
type Files struct {
	Dir  string
	Keys Keys
	Key  string // id of the one key that seals all files; "": a key for each, which can be destroyed alone
}

// Put keeps a file and returns its digest and size once it is durable. A crash leaves a whole file
// or none; one that no fact names is nobody's evidence.
func (f Files) Put(r io.Reader) (digest string, size int64, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return "", 0, err
	}
	if len(raw) > MaxFile {
		return "", 0, ErrFileTooLarge
	}
	digest = fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
	if _, err := f.Get(digest); err == nil {
		return digest, int64(len(raw)), nil
	}
	box, err := f.box(digest)
	if err != nil {
		return "", 0, err
	}
	return digest, int64(len(raw)), write(f.path(digest), box.Seal(nil, nil, raw, []byte(digest)))
}

// Get returns a file by its digest. The error is fs.ErrNotExist when it is not kept here.
func (f Files) Get(digest string) ([]byte, error) {
	if !safeDigest.MatchString(digest) {
		return nil, fs.ErrNotExist
	}
	sealed, err := os.ReadFile(f.path(digest))
	if err != nil {
		return nil, err
	}
	box, err := f.box(digest)
	if err != nil {
		return nil, err
	}
	raw, err := box.Open(nil, nil, sealed, []byte(digest))
	if err != nil {
		return nil, errors.New("evidence: an attached file is damaged: " + digest)
	}
	return raw, nil
}

func (f Files) path(digest string) string {
	return filepath.Join(f.Dir, strings.TrimPrefix(digest, "sha256:")+".sealed")
}

func (f Files) box(digest string) (cipher.AEAD, error) {
	id := digest
	if f.Key != "" {
		id = f.Key
	}
	key, err := f.Keys.Key("attachment", id)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
