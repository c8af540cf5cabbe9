package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/tocsin-ir/tocsin/ledger"
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

// A file of an earlier program has its rows when this one has opened it, also when that was cut short: a step that
// does not come to its end changes nothing, and the next start takes it again.
func TestTheRowsOfAnEarlierProgramAreThereAfterItsFileIsOpened(t *testing.T) {
	steps, err := migrationSteps()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tocsin.db")
	old, err := open(path, "_txlock=immediate", 1, "journal_mode(WAL)", "foreign_keys(ON)")
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("x"), 2<<20)
	for _, step := range append(slices.Clone(steps[:2]), "PRAGMA user_version = 2") {
		if _, err := old.Exec(step); err != nil {
			t.Fatal(err)
		}
	}
	want := []ledger.Row{{Key: "K0", Rank: "B", Body: []byte(`{}`)}, {Key: "k2", Rank: "a", Body: large}, {Key: "k1", Rank: "b", Body: []byte(`{"key":"k1"}`)}, {Key: "ä", Rank: "b", Body: []byte{0, 255}}}
	for _, r := range want {
		if _, err := old.Exec(`INSERT INTO projections (name, key, rank, body) VALUES ('board', ?, ?, ?)`, r.Key, r.Rank, r.Body); err != nil {
			t.Fatal(err)
		}
	}
	// The process dies before the step is committed: what is in the files then is all that the next one has.
	tx, err := old.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("PRAGMA cache_size = 10; " + steps[2]); err != nil { // so little that the step is in the files already
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "tocsin.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err != nil || end != "" && len(b) < len(large) {
			t.Fatalf("%d bytes in the file %s: %v", len(b), end, err)
		}
		if err := os.WriteFile(killed+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tx.Rollback(), old.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and it is taken once
		s, err := Open(killed, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.View(t.Context(), func(r ledger.Reader) error {
			got, err := r.Rows("board", "", "", 0)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows, want %d as they were", len(got), len(want))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if version, err := schemaVersion(t.Context(), s.write); err != nil || version != len(steps) {
			t.Errorf("schema %d, %v", version, err)
		}
		err = s.Update(t.Context(), func(tx ledger.Tx) error { return tx.PutRow("board", want[2]) })
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
