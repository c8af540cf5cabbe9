package accesslog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/ids"
)

// An index that is damaged while the server runs refuses batches, makes itself again from the log,
// and goes on: what came before is a duplicate, and nothing has to be started again.
//
// promise: DET-1
func TestAnIndexThatIsDamagedWhileItRunsHealsItself(t *testing.T) {
	s := newSite(t)
	s.close()
	s.ids = ids.Options{Run: 64}
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
	s.close()
	s.open(t) // with nothing of it in memory
	files, err := filepath.Glob(filepath.Join(s.dir, "ids", "*.sst"))
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			raw[i] ^= 0x5a
		}
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for deadline := time.Now().Add(20 * time.Second); ; {
		r, err := s.Ingest(t.Context(), app, "", "auto", strings.NewReader(body(0, 510)))
		if errors.Is(err, accesslog.ErrIndexing) && time.Now().Before(deadline) {
			refused++
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Duplicates != 500 || r.Accepted != 10 {
			t.Fatalf("it forgot: %+v", r)
		}
		break
	}
	if refused == 0 {
		t.Fatal("the damage was not noticed")
	}
	if e, err := s.EventByID(t.Context(), "e7"); err != nil || e.Seq != 8 {
		t.Fatalf("e7 stands at %d, %v", e.Seq, err)
	}
}

// An id that is not compared any more is forgotten by the index, and its event is found all the same.
func TestAnEventThatIsOlderThanTheIndexIsFound(t *testing.T) {
	s := newSite(t)
	s.take(t, line("old", noon, "")+"\n"+line("older", noon, ""))
	s.close() // what is in memory goes to the disk
	s.open(t)
	s.set(noon.Add(9 * 24 * time.Hour))
	s.take(t, line("new", noon.Add(9*24*time.Hour), ""))
	if err := s.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, seq := range map[string]int64{"old": 1, "older": 2, "new": 3} {
		if e, err := s.EventByID(t.Context(), id); err != nil || e.Seq != seq || e.ID != id {
			t.Fatalf("%s: %+v, %v", id, e, err)
		}
	}
	if _, err := s.EventByID(t.Context(), "never"); !errors.Is(err, accesslog.ErrNotFound) {
		t.Fatalf("an event that never came: %v", err)
	}
}

// What was refused is kept for a week, and goes then also where nothing is refused any more.
func TestRefusedEntriesGoAfterAWeek(t *testing.T) {
	s := newSite(t)
	s.take(t, `{"id":"x"}`)
	count := func() (n int) {
		if err := s.Rejects(func(accesslog.Rejected) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, step := range []struct {
		days, want int
	}{{0, 1}, {7, 1}, {9, 0}} {
		s.set(noon.Add(time.Duration(step.days) * 24 * time.Hour))
		if err := s.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != step.want {
			t.Fatalf("after %d days %d batches with refused entries are kept", step.days, n)
		}
	}
	if names, err := os.ReadDir(filepath.Join(s.dir, "rejects")); err != nil || len(names) > 0 {
		t.Fatalf("files are left: %v, %v", names, err)
	}
}
