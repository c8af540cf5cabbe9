// Package keyring keeps the keys of one installation in a folder of their own: the AES-256 keys
// that seal parts, leaves and pseudonyms, and the ed25519 keys that sign the two logs.
//
// A symmetric key has a purpose and an id, such as "fact" and "m_214". It is made on first use,
// durably and before it is returned, because a key that is lost after something was sealed with
// it loses that something too. It can be destroyed, and then whatever it sealed is gone: that is
// how retention and erasure work. Keys never leave the process and never share a backup with the
// data they seal.
package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	_ "modernc.org/sqlite" // the driver of keys.db
)

// Size is the length of a symmetric key in bytes (AES-256).
const Size = 32

// maxName bounds a purpose, an id or a signer's name in bytes.
const maxName = 200

// maxCached bounds the keys that are held in memory: whoever sends events may invent merchants
// without end, and each has a key. It is some 25 MB, and enough for fifty thousand merchants who are all
// in an incident: each then has a key for pseudonyms and one for what facts say of it.
const maxCached = 200_000

// fileName is the name of the database of symmetric keys inside the folder.
const fileName = "keys.db"

// The errors of a ring.
var (
	ErrNotFound = fmt.Errorf("keyring: no such key: %w", fs.ErrNotExist)
	ErrClosed   = errors.New("keyring: closed")
	ErrAltered  = errors.New("keyring: a key is not the one that was made")
)

// Ring is an open folder of keys. It is safe for use by several goroutines. A ring prints as
// "[redacted]" whatever the verb.
type Ring struct {
	dir string
	db  *sql.DB

	mu      sync.Mutex          // guards what follows, and makes each key be made once
	keys    map[slot][Size]byte // at most most of them
	most    int
	signers map[string]signer
	closed  bool
}

// slot names a symmetric key.
type slot struct{ purpose, id string }

// Open opens the key folder dir, and makes it with mode 0700 when there is none. A folder or a
// key file that others may read is refused, with the command that repairs it.
func Open(dir string) (*Ring, error) {
	if err := prepareFolder(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName)
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	// synchronous=EXTRA also syncs the folder after the rollback journal is removed, so a key that
	// was returned is on disk. secure_delete overwrites what Destroy removes.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(DELETE)&_pragma=synchronous(EXTRA)&_pragma=secure_delete(ON)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("keyring: open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	// A crash here leaves an empty database, and the next Open makes the table.
	if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS keys (
		purpose TEXT NOT NULL,
		id      TEXT NOT NULL,
		key     BLOB NOT NULL CHECK (length(key) = 32),
		made    INTEGER NOT NULL, -- Unix seconds
		sum     BLOB,             -- checksum, so that a key that was altered is noticed before it is used
		PRIMARY KEY (purpose, id)
	) WITHOUT ROWID`); err != nil {
		return nil, errors.Join(fmt.Errorf("keyring: prepare %s: %w", path, err), db.Close())
	}
	if err := addSums(db); err != nil {
		return nil, errors.Join(fmt.Errorf("keyring: prepare %s: %w", path, err), db.Close())
	}
	return &Ring{dir: dir, db: db, keys: map[slot][Size]byte{}, most: maxCached, signers: map[string]signer{}}, nil
}

// Close closes the ring and forgets every key. It may be called twice.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	clear(r.keys)
	clear(r.signers)
	if err := r.db.Close(); err != nil {
		return fmt.Errorf("keyring: close: %w", err)
	}
	return nil
}

// Key returns the key of a purpose and an id, and makes it durably when there is none. After
// Destroy it makes a new one, which opens nothing that the old one sealed. The caller may keep
// the result but not change what others see.
func (r *Ring) Key(purpose, id string) ([]byte, error) {
	if err := r.Prepare(purpose, id); err != nil {
		return nil, err
	}
	return r.Lookup(purpose, id)
}

// Prepare makes every key of a purpose that does not exist yet, in one durable write. Sealing for
// three hundred merchants then waits for the disk once and not three hundred times.
func (r *Ring) Prepare(purpose string, ids ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	var missing []slot
	for _, id := range ids {
		s := slot{purpose, id}
		if err := s.valid(); err != nil {
			return err
		}
		if _, ok := r.keys[s]; ok {
			continue
		}
		switch _, err := r.load(s); {
		case errors.Is(err, ErrNotFound):
			missing = append(missing, s)
		case err != nil:
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return r.make(missing)
}

// Lookup returns the key of a purpose and an id without making one. The error is ErrNotFound when
// it was never made or has been destroyed.
func (r *Ring) Lookup(purpose, id string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	s := slot{purpose, id}
	if err := s.valid(); err != nil {
		return nil, err
	}
	if key, ok := r.keys[s]; ok {
		return key[:], nil // key is a copy already
	}
	key, err := r.load(s)
	if err != nil {
		return nil, err
	}
	return key[:], nil
}

// Destroy removes a key for good. It returns once the removal is durable; a key that does not
// exist is ErrNotFound. A crash before the write leaves the key, and Destroy has to be repeated.
func (r *Ring) Destroy(purpose, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	s := slot{purpose, id}
	if err := s.valid(); err != nil {
		return err
	}
	result, err := r.db.Exec(`DELETE FROM keys WHERE purpose = ? AND id = ?`, purpose, id)
	if err != nil {
		return fmt.Errorf("keyring: destroy key %s/%s: %w", purpose, id, err)
	}
	delete(r.keys, s)
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return fmt.Errorf("%w: %s/%s", ErrNotFound, purpose, id)
	}
	return nil
}

// load reads a key into the cache. The caller holds r.mu.
func (r *Ring) load(s slot) ([Size]byte, error) {
	var stored, sum []byte
	err := r.db.QueryRow(`SELECT key, sum FROM keys WHERE purpose = ? AND id = ?`, s.purpose, s.id).Scan(&stored, &sum)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return [Size]byte{}, fmt.Errorf("%w: %s/%s", ErrNotFound, s.purpose, s.id)
	case err != nil:
		return [Size]byte{}, fmt.Errorf("keyring: read key %s/%s: %w", s.purpose, s.id, err)
	case len(stored) != Size:
		return [Size]byte{}, fmt.Errorf("keyring: key %s/%s has %d bytes, want %d", s.purpose, s.id, len(stored), Size)
	case !bytes.Equal(sum, sumOf(s, stored)):
		return [Size]byte{}, fmt.Errorf("%w: %s: key %s/%s", ErrAltered, fileName, s.purpose, s.id)
	}
	key := [Size]byte(stored)
	if len(r.keys) >= r.most {
		clear(r.keys) // they are read again as they are needed
	}
	r.keys[s] = key
	return key, nil
}

// make generates keys and writes them in one transaction. The caller holds r.mu.
func (r *Ring) make(slots []slot) error {
	tx, err := r.db.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("keyring: make keys: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit this does nothing
	now := time.Now().Unix()
	for _, s := range slots {
		// OR IGNORE: another process that opened the folder may have made the same key a moment ago.
		key := fresh()
		if _, err := tx.Exec(`INSERT OR IGNORE INTO keys (purpose, id, key, made, sum) VALUES (?, ?, ?, ?, ?)`,
			s.purpose, s.id, key, now, sumOf(s, key)); err != nil {
			return fmt.Errorf("keyring: make key %s/%s: %w", s.purpose, s.id, err)
		}
	}
	// A crash before this commit: nobody has seen the keys and nothing is sealed with them. After
	// it: they are on disk, used or not.
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("keyring: make keys: %w", err)
	}
	for _, s := range slots {
		if _, err := r.load(s); err != nil {
			return err
		}
	}
	return nil
}

// fresh returns a new random key. crypto/rand.Read never fails.
func fresh() []byte {
	key := make([]byte, Size)
	_, _ = rand.Read(key)
	return key
}

func (s slot) valid() error {
	if s.purpose == "" {
		return errors.New("keyring: a key needs a purpose")
	}
	for _, v := range []string{s.purpose, s.id} {
		if len(v) > maxName {
			return fmt.Errorf("keyring: the name of a key is %d bytes, the limit is %d", len(v), maxName)
		}
		if strings.ContainsFunc(v, unicode.IsControl) {
			return errors.New("keyring: the name of a key has a control character")
		}
	}
	return nil
}

// prepareFolder makes dir private to its owner, or says how to make it so.
func prepareFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keyring: make the key folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("keyring: look at the key folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("keyring: %s is not a folder", dir)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("keyring: others may enter the key folder %s (mode %04o): run chmod 700 %s", dir, mode, dir)
	}
	return nil
}

// prepareFile makes path exist with mode 0600, or refuses one that others may read.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("keyring: open a key file: %w", err)
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keyring: look at a key file: %w", err)
	}
	return private(path, info)
}

// private refuses a key file that others may read.
func private(path string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("keyring: others may read the key file %s (mode %04o): run chmod 600 %s", path, mode, path)
	}
	return nil
}

const redacted = "[redacted]"

// String hides the keys from prints.
func (r *Ring) String() string { return redacted }

// GoString hides the keys from %#v.
func (r *Ring) GoString() string { return redacted }

// LogValue hides the keys from logs.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format hides the keys from every verb.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }
