package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
func (p place) Address() string             { return string(p) }

func newPlace(t *testing.T) storetest.AddressedPlace {
	return place(filepath.Join(t.TempDir(), "data", "tocsin.db"))
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place { return newPlace(t) })
}

func TestKilled(t *testing.T) { storetest.RunKilled(t, newPlace) } // promise: INV-3

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
