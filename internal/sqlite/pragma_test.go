package sqlite

import (
	"path/filepath"
	"testing"
)

// The write connection waits for the disk, and the readers cannot write.
func TestPragmas(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "a folder?with#signs%", "tocsin.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "query_only": "0"} {
		var got string
		if err := s.write.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s of the write connection is %s, want %s (%v)", pragma, got, want, err)
		}
	}
	if _, err := s.read.Exec(`DELETE FROM wakes`); err == nil {
		t.Error("a reader wrote")
	}
	if n := s.write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d write connections, want 1", n)
	}
}
