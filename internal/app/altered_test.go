package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// Every file of the events log that is altered is named by the doctor.
//
// promise: INV-3
func TestTheDoctorNamesEveryAlteredFileOfTheEventsLog(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, err := New(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	entry := `{"id":"e1","time":"2026-11-22T12:00:00Z","actor":{"type":"service","id":"w"},"action":"read","merchant":"m_1"}`
	if _, err := a.Access().Ingest(t.Context(), accesslog.Source{Name: "app"}, "", "auto", strings.NewReader(entry)); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	named := func() bool {
		r, err := Examine(t.Context(), Options{Dir: dir}, Depth{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			if f.State == doctor.Fail && (f.ID == "evidence.verify" || f.ID == "folder.open") {
				return true
			}
		}
		return false
	}
	if named() {
		t.Fatal("nothing was altered, and something is named")
	}
	n := 0
	for _, below := range []string{"tile", "checkpoint"} {
		err := filepath.WalkDir(filepath.Join(dir, "log", "events", below), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n++
			altered := append([]byte(nil), raw...)
			altered[len(altered)/2] ^= 1
			if err := os.WriteFile(path, altered, 0o600); err != nil {
				return err
			}
			if !named() {
				t.Errorf("%s was altered and nothing is named", path)
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 3 {
		t.Fatalf("only %d files were altered", n)
	}
}
