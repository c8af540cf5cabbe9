package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// saved is a backup of a running server that has facts and events, without keys.
func saved(t *testing.T, to string) (dir string) {
	t.Helper()
	a, _, _, _ := logged(t)
	_, err := backup.Create(t.Context(), backup.CreateOptions{Dir: a.o.Dir, To: to, Installation: a.in.ID,
		Organisation: a.cfg.Organisation.ID, Engine: desk.EngineVersion, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return a.o.Dir
}

// promise: REC-3, PRO-8
func TestAnAlteredByteOfABackupIsNamed(t *testing.T) {
	to := filepath.Join(t.TempDir(), "saved")
	saved(t, to)
	m, err := backup.Check(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.Keys, "left out") {
		t.Errorf("keys: %s", m.Keys)
	}
	files := append(m.Files, backup.File{Name: "manifest"})
	for _, f := range files {
		path := filepath.Join(to, f.Name)
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(f.Name, "keys") || strings.HasPrefix(f.Name, "secrets") {
			t.Errorf("%s is in a backup without recipients", f.Name)
		}
		for _, at := range []int{0, len(was) / 2, len(was) - 1} {
			if len(was) == 0 {
				continue
			}
			bad := append([]byte(nil), was...)
			bad[at] ^= 1
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			var altered *backup.AlteredError
			if _, err := backup.Check(t.Context(), to); !errors.As(err, &altered) || len(altered.Files) != 1 || !strings.HasPrefix(altered.Files[0], f.Name+": ") {
				t.Errorf("byte %d of %s: %v", at, f.Name, err)
			}
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(to, "extra"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(to, "events.db")); err != nil {
		t.Fatal(err)
	}
	var altered *backup.AlteredError
	if _, err := backup.Check(t.Context(), to); !errors.As(err, &altered) || strings.Join(altered.Files, "; ") != "events.db: is missing; extra: was added" {
		t.Errorf("%v", err)
	}
}

func TestAnAlteredByteOfAnArchiveIsFound(t *testing.T) {
	to := filepath.Join(t.TempDir(), "saved.tar")
	data := saved(t, to)
	was, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	restore := func() (string, error) {
		dir := filepath.Join(t.TempDir(), "new")
		_, err := backup.Restore(t.Context(), backup.RestoreOptions{From: to, Dir: dir, KeysDir: data, Now: time.Now()})
		return dir, err
	}
	for at := 100; at < len(was); at += len(was) / 40 {
		bad := append([]byte(nil), was...)
		bad[at] ^= 1
		if err := os.WriteFile(to, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		dir, err := restore()
		var altered *backup.AlteredError
		if !errors.As(err, &altered) {
			t.Errorf("byte %d of %d: %v", at, len(was), err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("a refused restore left %v, %v", left, err)
		}
	}
	if err := os.WriteFile(to, was, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := restore()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), backup.RestoreOptions{From: to, Dir: dir, KeysDir: data, Now: time.Now()}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a folder in use: %v", err)
	}
	if _, err := backup.Restore(t.Context(), backup.RestoreOptions{From: to, Dir: filepath.Join(t.TempDir(), "x"), Now: time.Now()}); err == nil || !strings.Contains(err.Error(), "--keys DIR") {
		t.Errorf("without keys: %v", err)
	}
}

// An archive that is encrypted as a whole shows nothing without its identity, is found when a byte is
// altered, and is restored as any other.
//
// promise: PRO-8
func TestAnArchiveIsEncryptedAsAWhole(t *testing.T) {
	a, _, _, _ := logged(t)
	who, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	to := filepath.Join(dir, "saved.tar.age")
	take := backup.CreateOptions{Dir: a.o.Dir, To: to, Installation: a.in.ID, Organisation: a.cfg.Organisation.ID, Engine: desk.EngineVersion, Now: time.Now()}
	if _, err := backup.Create(t.Context(), take); err == nil || !strings.Contains(err.Error(), "nobody is named who can open it") {
		t.Fatalf("without a recipient: %v", err)
	}
	take.Recipients = []age.Recipient{who.Recipient()}
	m, err := backup.Create(t.Context(), take)
	if err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(to)
	if err != nil || !bytes.HasPrefix(was, []byte("age-encryption.org/v1\n")) || bytes.Contains(was, []byte("SQLite format 3")) || bytes.Contains(was, []byte(m.Organisation)) {
		t.Fatalf("it can be read: %v", err)
	}
	back := func(to string, ids ...age.Identity) error {
		_, err := backup.Restore(t.Context(), backup.RestoreOptions{Dir: to, From: take.To, Identities: ids, Now: time.Now()})
		return err
	}
	if err := back(filepath.Join(dir, "a")); err == nil || !strings.Contains(err.Error(), "give the identity") {
		t.Errorf("without an identity: %v", err)
	}
	for _, at := range []int{30, len(was) / 2, len(was) - 1} {
		bad := append([]byte(nil), was...)
		bad[at] ^= 1
		if err := os.WriteFile(to, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := back(filepath.Join(dir, "b"), who); err == nil {
			t.Errorf("byte %d was altered and it was restored", at)
		}
		os.RemoveAll(filepath.Join(dir, "b"))
	}
	if err := os.WriteFile(to, was, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := back(filepath.Join(dir, "c"), who); err != nil {
		t.Error(err)
	}
	for _, place := range []string{dir, a.o.Dir} {
		left, err := filepath.Glob(filepath.Join(place, ".*"))
		if err != nil || len(left) > 0 {
			t.Errorf("in the clear, %v is left: %v", left, err)
		}
	}
}
