package app

import (
	"fmt"
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
	// A leaf that does not open because it was altered is no reason to look for another key.
	keyBlamed := false
	named := func(full bool) bool {
		r, err := Examine(t.Context(), Options{Dir: dir}, Depth{Full: full})
		if err != nil {
			t.Error(err)
			return false
		}
		for _, f := range r.Findings {
			keyBlamed = keyBlamed || f.State != doctor.OK && strings.Contains(fmt.Sprint(f), "keys.db")
			if f.State == doctor.Fail && (f.ID == "evidence.verify" || f.ID == "folder.open") {
				return true
			}
		}
		return false
	}
	if named(true) {
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
			// In the length and the plain header of a leaf, in its nonce, and in what is sealed.
			places := []int{len(raw) / 2}
			if strings.Contains(path, "entries") {
				places = []int{0, 1, 2, 20, 40, 90, 110, len(raw) / 2, len(raw) - 1}
			}
			for _, at := range places {
				altered := append([]byte(nil), raw...)
				altered[at] ^= 1
				if err := os.WriteFile(path, altered, 0o600); err != nil {
					return err
				}
				for _, full := range []bool{false, true} {
					if !named(full) {
						t.Errorf("%s was altered at %d and nothing is named (all of it: %t)", path, at, full)
					}
				}
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
	if keyBlamed {
		t.Error("the keys are blamed for an altered log")
	}
	if n < 3 {
		t.Fatalf("only %d files were altered", n)
	}
}
