package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/keyring"
)

func open(t *testing.T, dir string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestKeyIsTheSameAfterReopening(t *testing.T) { // promise: PRO-2
	dir := filepath.Join(t.TempDir(), "keys")
	first := open(t, dir)
	a, err := first.Key("fact", "m_1")
	if err != nil {
		t.Fatal(err)
	}
	own, err := first.Key("fact", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != keyring.Size || bytes.Equal(a, own) {
		t.Fatalf("keys are %d bytes, want %d and different for each id", len(a), keyring.Size)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Key("fact", "m_1"); !errors.Is(err, keyring.ErrClosed) {
		t.Errorf("a closed ring answered %v", err)
	}
	again, err := open(t, dir).Key("fact", "m_1")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, again) {
		t.Error("the key changed over a restart")
	}
}

func TestLookupMakesNothing(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "keys"))
	for range 2 {
		if _, err := r.Lookup("fact", "m_9"); !errors.Is(err, keyring.ErrNotFound) {
			t.Fatalf("lookup of a key never made: %v", err)
		}
	}
}

func TestDestroyedKeyIsGone(t *testing.T) { // promise: PRO-9
	dir := filepath.Join(t.TempDir(), "keys")
	r := open(t, dir)
	old, err := r.Key("fact", "m_1")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Destroy("fact", "m_1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lookup("fact", "m_1"); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("lookup after destroy: %v", err)
	}
	if err := r.Destroy("fact", "m_1"); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("second destroy: %v", err)
	}
	next, err := r.Key("fact", "m_1")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(old, next) {
		t.Error("the destroyed key came back")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(filepath.Join(dir, "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(stored, old) {
		t.Error("the file still holds the destroyed key")
	}
}

func TestManyCallersGetOneKey(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "keys"))
	got := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i], _ = r.Key("fact", "m_1") })
	}
	wg.Wait()
	for _, key := range got {
		if key == nil || !bytes.Equal(key, got[0]) {
			t.Fatal("two callers got different keys")
		}
	}
}

func TestChangingAReturnedKeyChangesNothing(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "keys"))
	a, err := r.Key("fact", "m_1")
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(a)
	clear(a)
	b, err := r.Key("fact", "m_1")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Error("a caller changed the cached key")
	}
}

func TestSignerSignsForItsVerifier(t *testing.T) { // promise: INV-3
	dir := filepath.Join(t.TempDir(), "keys")
	var vkeys []string
	for range 20 { // several names, so that base64 with a plus in it occurs
		name := fmt.Sprintf("javabeanai/facts%d", len(vkeys))
		r := open(t, dir)
		s, err := r.Signer(name)
		if err != nil {
			t.Fatal(err)
		}
		_, vkey, err := open(t, dir).Verifier(name)
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := note.Sign(&note.Note{Text: "hello\n"}, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := note.Open(signed, note.VerifierList(verifier)); err != nil {
			t.Fatalf("the printed verifier key does not verify: %v", err)
		}
		vkeys = append(vkeys, vkey)
	}
	files, err := filepath.Glob(filepath.Join(dir, "sign-*"))
	if err != nil || len(files) != len(vkeys) {
		t.Fatalf("want %d key files, got %d (%v)", len(vkeys), len(files), err)
	}
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("a signing key has mode %04o", info.Mode().Perm())
	}
}

func TestLoosePermissionsAreRefused(t *testing.T) { // promise: PRO-12
	dir := filepath.Join(t.TempDir(), "keys")
	r := open(t, dir)
	if _, err := r.Signer("o/facts"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a folder open to others: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "keys.db"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file open to others: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "keys.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "sign-o%2Ffacts.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Signer("o/facts"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a signing key open to others: %v", err)
	}
}

func TestNothingPrintsAKey(t *testing.T) { // promise: PRO-12
	dir := filepath.Join(t.TempDir(), "keys")
	r := open(t, dir)
	if _, err := r.Key("fact", "m_1"); err != nil {
		t.Fatal(err)
	}
	s, err := r.Signer("o/facts")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, v := range []any{r, s} {
			if got := fmt.Sprintf(verb, v); got != "[redacted]" {
				t.Errorf("%s printed %q", verb, got)
			}
		}
	}
	path := filepath.Join(dir, "sign-o%2Fbad.key")
	if err := os.WriteFile(path, []byte("PRIVATE+KEY+o/bad+secretsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Signer("o/bad"); err == nil || strings.Contains(err.Error(), "secretsecret") {
		t.Errorf("the error of a damaged key: %v", err)
	}
}

func TestNamesThatCannotBeKept(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "keys"))
	for _, name := range []string{"", "a b", "a+b", "a\nb", strings.Repeat("x", 201)} {
		if _, err := r.Signer(name); err == nil {
			t.Errorf("a signer named %q was made", name)
		}
	}
	if _, err := r.Key("", "x"); err == nil {
		t.Error("a key without purpose was made")
	}
	if _, err := r.Key("fact", "a\x00b"); err == nil {
		t.Error("a key with a control character in its id was made")
	}
}
