package accesslog_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

// ring is testKeys from which keys can be destroyed.
type ring struct {
	mu   sync.Mutex
	gone map[string]bool
}

func (r *ring) Key(purpose, id string) ([]byte, error) { return r.Lookup(purpose, id) }

func (r *ring) Lookup(purpose, id string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone[purpose+"/"+id] {
		return nil, fs.ErrNotExist
	}
	sum := sha256.Sum256([]byte("test " + purpose + "/" + id))
	return sum[:], nil
}

func (r *ring) Destroy(purpose, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone[purpose+"/"+id] = true
	return nil
}

// stops is an event log whose removal of leaves fails, as if the process died before it or in it.
type stops struct {
	*translog.Log
	before, after bool
}

var errStopped = errors.New("stopped")

func (s *stops) Prune(ctx context.Context, leaves [][2]uint64) error {
	if s.before {
		return errStopped
	}
	err := s.Log.Prune(ctx, leaves)
	if s.after {
		return errors.Join(err, errStopped)
	}
	return err
}

const eventsOfADay = 400

// unscrubbed has neither digits nor the signs of an address: 24 MB of noise in which a telephone number may
// stand take minutes to look through under the race detector.
var unscrubbed = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.~!*,;:=|?/").WithPadding(base64.NoPadding)

// threeDays fills a store with three days of events that hardly pack, so that a leaf holds few of them
// and a bundle of leaves the days mixed.
func threeDays(t *testing.T, s *site) (days []string) {
	t.Helper()
	for day := range 3 {
		at := noon.AddDate(0, 0, day)
		s.set(at)
		days = append(days, at.Format(time.DateOnly))
		for first := 0; first < eventsOfADay; first += 100 {
			var b strings.Builder
			for i := first; i < first+100; i++ {
				noise := make([]byte, 15_000)
				rand.Read(noise)
				fmt.Fprintln(&b, line(fmt.Sprintf("d%d-%d", day, i), at, `"attributes":{"noise":"`+unscrubbed.EncodeToString(noise)+`"}`))
			}
			s.take(t, b.String())
		}
	}
	return days
}

// A day that is removed is gone from every file, wherever the removal was interrupted; what is left is
// what it was, the table can be made again, and the log still verifies.
//
// promise: PRO-9
func TestADayIsRemovedWhereverThatWasInterrupted(t *testing.T) {
	s := newSite(t)
	s.close()
	keys := &ring{gone: map[string]bool{}}
	s.keys = keys
	s.scrub = nil // patterns of their own are looked for in every text, in noise too
	s.open(t)
	days := threeDays(t, s)
	s.set(noon.AddDate(0, 0, 30))
	s.close()
	open := func(before, after bool) {
		t.Helper()
		s.wrap = func(l *translog.Log) accesslog.Log { return &stops{l, before, after} }
		s.open(t)
	}
	open(true, false)
	settle(t, s)
	if err := s.Prune(t.Context(), days[1], "F1"); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	s.close()
	open(false, true)
	settle(t, s)
	if err := s.Prune(t.Context(), days[1], "F1"); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	list, err := s.Days(t.Context())
	if err != nil || len(list) != 3 || list[1].Pruned != "F1" || list[1].Gone || list[0].Pruned != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	s.close()
	open(false, false)
	settle(t, s)
	for range 2 { // and once more does no harm
		if err := s.Prune(t.Context(), days[1], "F1"); err != nil {
			t.Fatal(err)
		}
	}
	if list, err = s.Days(t.Context()); err != nil || !list[1].Gone {
		t.Fatalf("%+v, %v", list, err)
	}
	check := func(when string) {
		t.Helper()
		n := map[string]int{}
		if err := s.Select(t.Context(), accesslog.Filter{}, func(e accesslog.Event) error { n[e.ID[:2]]++; return nil }); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if n["d0"] != eventsOfADay || n["d1"] != 0 || n["d2"] != eventsOfADay {
			t.Fatalf("%s: events a day: %v", when, n)
		}
		if _, err := s.EventByID(t.Context(), "d1-5"); !errors.Is(err, accesslog.ErrNotFound) {
			t.Fatalf("%s: a removed event: %v", when, err)
		}
		if e, err := s.EventByID(t.Context(), "d2-5"); err != nil || e.Seq != 2*eventsOfADay+6 {
			t.Fatalf("%s: %+v, %v", when, e, err)
		}
		next, err := s.EventsAfter(t.Context(), eventsOfADay-2, 4)
		if err != nil || len(next) != 4 || next[1].Seq != eventsOfADay || next[2].Seq != 2*eventsOfADay+1 {
			t.Fatalf("%s: events one after the other: %+v, %v", when, next, err)
		}
		var gone *accesslog.PrunedError
		if err := s.Disclose(t.Context(), []int64{eventsOfADay + 6}, func(accesslog.Leaf) error { return nil }); !errors.As(err, &gone) || gone.Day != days[1] || gone.Fact != "F1" {
			t.Fatalf("%s: %v", when, err)
		}
	}
	check("after the removal")
	if n, err := s.RebuildTable(t.Context()); err != nil || n != 2*eventsOfADay {
		t.Fatalf("the table made again has %d rows, %v", n, err)
	}
	check("from a table made again")
	// The first bundle of 256 leaves holds leaves of the day before, and goes with those.
	first := filepath.Join(s.dir, "log", "events", "tile", "entries", "000")
	if end := list[1].Stretches[0]; list[0].Stretches[0].Leaves >= 256 || end.Leaf+end.Leaves < 256 {
		t.Fatalf("the days do not lie as they should: %+v", list)
	}
	if _, err := os.Stat(first); err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(t.Context(), days[0], "F2"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the bundle of two removed days: %v", err)
	}
	gone, err := accesslog.Pruned(t.Context(), s.dir)
	if err != nil || len(gone) == 0 {
		t.Fatal(gone, err)
	}
	var ranges []translog.Range
	for _, g := range gone {
		ranges = append(ranges, translog.Range{First: g.Leaf, N: g.Leaves})
	}
	s.close()
	at := folder(filepath.Join(s.dir, "log", "events"))
	if _, err := translog.Verify(t.Context(), at, s.verify, ranges...); err != nil {
		t.Fatalf("the log does not verify: %v", err)
	}
	if _, err := translog.Verify(t.Context(), at, s.verify); err == nil || !strings.Contains(err.Error(), "nothing says that they were removed") {
		t.Fatalf("leaves are missing and nothing says why: %v", err)
	}
	if found := grep(t, s.dir, "d1-77"); found != "" {
		t.Fatalf("an id of a removed event stands in %s", found)
	}
	s.open(t)
	if r := s.take(t, line("again", noon.AddDate(0, 0, 30), "")); r.Accepted != 1 {
		t.Fatalf("after all that: %+v", r)
	}
}

// settle waits until the table has taken everything.
func settle(t *testing.T, s *site) {
	t.Helper()
	if _, _, err := s.Sealed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Select(t.Context(), accesslog.Filter{Limit: 1}, func(accesslog.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// folder reads the files of a log.
type folder string

func (f folder) Read(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), filepath.FromSlash(name)))
}

// grep is the first file below a folder that holds a text.
func grep(t *testing.T, dir, text string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || found != "" {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), text) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
