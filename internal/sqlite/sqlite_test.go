package sqlite_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/storetest"
	"github.com/tocsin-ir/tocsin/ledger"
)

func TestMain(m *testing.M) {
	os.Exit(storetest.Main(m, func(path string) (ledger.Store, error) { return sqlite.Open(path, sqlite.Options{}) }))
}

// place is a database file in a folder of its own.
type place string

func (p place) Open() (ledger.Store, error) { return sqlite.Open(string(p), sqlite.Options{}) }
func (p place) OpenPolling(every time.Duration) (ledger.Store, error) {
	return sqlite.Open(string(p), sqlite.Options{Poll: every})
}
func (p place) Address() string { return string(p) }

func newPlace(t *testing.T) storetest.AddressedPlace {
	return place(filepath.Join(t.TempDir(), "data", "tocsin.db"))
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place { return newPlace(t) })
}

func TestKilled(t *testing.T) { storetest.RunKilled(t, newPlace) } // promise: INV-3

func TestSoakKilled(t *testing.T) { storetest.SoakKilled(t, newPlace) }

func TestTheDataFolderHasOneOwner(t *testing.T) {
	p := newPlace(t)
	s, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Open()
	if !errors.Is(err, ledger.ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("a second opener got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := sqlite.LockFolder(filepath.Dir(p.Address()))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = sqlite.Open(p.Address(), sqlite.Options{Lock: lock}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), lock.Close()); err != nil {
		t.Error(err)
	}
}

func fill(t *testing.T, p storetest.Place, n int) {
	t.Helper()
	s, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		err := s.Update(t.Context(), func(tx ledger.Tx) error {
			_, err := storetest.Append(tx, &storetest.Keys{}, storetest.Fact("INC-1", i, "m_1"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAReadOnlyStoreReadsAndWritesNothing(t *testing.T) {
	p := newPlace(t)
	fill(t, p, 3)
	dir := filepath.Dir(p.Address())
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		s, err := sqlite.Open(p.Address(), sqlite.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		if records, err := storetest.Verify(t.Context(), s); err != nil || len(records) != 3 {
			t.Errorf("%d facts: %v", len(records), err)
		}
		if n, err := s.Busy(t.Context()); err != nil || n != 0 {
			t.Errorf("busy: %d, %v", n, err)
		}
		for name, call := range map[string]func() error{
			"update":  func() error { return s.Update(t.Context(), func(ledger.Tx) error { return nil }) },
			"rebuild": func() error { return s.Rebuild(t.Context(), func(ledger.Tx, ledger.Record) error { return nil }) },
			"run":     func() error { return s.Run(t.Context(), 1, nil, nil) },
		} {
			if err := call(); !errors.Is(err, ledger.ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	look()
	if _, err := os.Stat(filepath.Join(dir, "lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a read-only store left a lock file")
	}
	before, err := os.ReadFile(p.Address())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	look() // also where nothing can be written
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(p.Address()); err != nil || string(after) != string(before) {
		t.Errorf("reading changed the file (%v)", err)
	}
	if _, err := sqlite.Open(filepath.Join(dir, "none.db"), sqlite.Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestAReadOnlyStoreReadsWhileAnotherWrites(t *testing.T) {
	p := newPlace(t)
	fill(t, p, 2)
	writer, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := sqlite.Open(p.Address(), sqlite.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Update(t.Context(), func(tx ledger.Tx) error {
		_, err := storetest.Append(tx, &storetest.Keys{}, storetest.Fact("INC-1", 3))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if records, err := storetest.Verify(t.Context(), reader); err != nil || len(records) != 3 {
		t.Errorf("%d facts: %v", len(records), err)
	}
	if err := errors.Join(reader.Close(), writer.Close()); err != nil {
		t.Error(err)
	}
}

func TestTheDatabaseRefusesToChangeFacts(t *testing.T) { // promise: INV-3
	p := newPlace(t)
	fill(t, p, 2)
	db, err := sql.Open("sqlite", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, statement := range []string{
		`DELETE FROM facts`, `UPDATE facts SET header = x'00' WHERE seq = 1`, `UPDATE facts SET hash = prev`,
		`DELETE FROM parts`, `UPDATE parts SET sealed = x'00'`,
	} {
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), "never") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if _, err := db.Exec(`UPDATE facts SET anchor = 5 WHERE seq = 1`); err != nil {
		t.Error(err)
	}
	if _, err := db.Exec(`UPDATE facts SET anchor = 6 WHERE seq = 1`); err == nil {
		t.Error("a fact was anchored twice")
	}
}

func TestAFileOfANewerProgramIsLeftAlone(t *testing.T) {
	p := newPlace(t)
	fill(t, p, 1)
	db, err := sql.Open("sqlite", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`PRAGMA user_version = 999`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("opened to write: %v", err)
	}
	if _, err := sqlite.Open(p.Address(), sqlite.Options{ReadOnly: true}); err == nil {
		t.Error("opened to read")
	}
}

func TestTheFilesAreForTheirOwnerAlone(t *testing.T) { // promise: PRO-11
	p := newPlace(t)
	s, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(p.Address()), "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("files %v: %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", filepath.Base(file), info.Mode(), err)
		}
	}
}
