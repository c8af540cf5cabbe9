package accesslog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/ids"
)

// The index of ids is derived: whatever becomes of it, the next start knows again what came in the
// last seven days, and an event that comes again is taken by nobody.
//
// promise: DET-1
func TestAnIDIsKnownForSevenDaysWhateverBecomesOfTheIndex(t *testing.T) {
	s := newSite(t)
	s.ids = ids.Options{Run: 64}
	s.close()
	s.open(t)
	body := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintln(&b, line(fmt.Sprint("e", i), noon, ""))
		}
		return b.String()
	}
	for i := 0; i < 500; i += 50 {
		s.take(t, body(i, i+50))
	}
	folder := filepath.Join(s.dir, "ids")
	for name, spoil := range map[string]func() error{
		"as it was": func() error { return nil },
		"gone":      func() error { return os.RemoveAll(folder) },
		"damaged": func() error {
			tables, err := filepath.Glob(filepath.Join(folder, "MANIFEST*"))
			for _, name := range tables {
				err = os.Truncate(name, 5)
			}
			return err
		},
	} {
		s.sealedIDs(t) // so that the spool lets go
		s.close()
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s.open(t)
		if r := s.take(t, body(0, 500)); r.Duplicates != 500 || r.Accepted != 0 {
			t.Fatalf("%s: %+v", name, r)
		}
		if e, err := s.EventByID(t.Context(), "e7"); err != nil || e.Seq != 8 {
			t.Fatalf("%s: e7 stands at %d, %v", name, e.Seq, err)
		}
	}
	s.set(noon.Add(8 * 24 * time.Hour))
	if r := s.take(t, body(0, 20)); r.Accepted != 20 {
		t.Fatalf("after eight days: %+v", r)
	}
	if r := s.take(t, body(0, 20)); r.Duplicates != 20 {
		t.Fatalf("again after that: %+v", r)
	}
}
