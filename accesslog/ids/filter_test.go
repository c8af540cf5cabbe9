package ids

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// some gives n keys of one source, from a number on.
func some(from, n int) []Entry {
	app := SourceOf("app")
	list := make([]Entry, n)
	for i := range list {
		list[i] = Entry{Key: KeyOf(app, fmt.Sprint("id-", from+i)), Seq: uint64(from + i), Minute: 100}
	}
	return list
}

func keysOf(list []Entry) []Key {
	out := make([]Key, len(list))
	for i := range list {
		out[i] = list[i].Key
	}
	return out
}

// until waits for what another goroutine is about to do.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about in 10 s", what)
		}
	}
}

// found counts which of some events the index knows.
func found(t *testing.T, x *Index, list []Entry) int {
	t.Helper()
	got, _, err := x.Find(keysOf(list), 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(got)
}

// What came is found before, while and after the filter is filled; most of what did not come is known
// not to have come without the disk.
func TestTheFilterHidesNothingThatCame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ids")
	x, _, err := Open(dir, Options{Run: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		x.Add(some(1+1000*i, 1000))
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x, _, err = Open(dir, Options{Run: 1000}); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if n := found(t, x, some(1, 20_000)); n != 20_000 {
		t.Fatalf("of 20,000 events that came %d were found after a start", n)
	}
	until(t, "a whole filter", func() bool { return x.filter.Load().whole.Load() })
	x.Add(some(20_001, 1000))
	until(t, "a run on the disk", func() bool { return x.UpTo() == 21_000 })
	if n := found(t, x, some(1, 21_000)); n != 21_000 {
		t.Fatalf("of 21,000 events that came %d were found behind the filter", n)
	}
	asked, f := 0, x.filter.Load()
	for _, e := range some(1_000_000, 10_000) {
		if f.has(&e.Key) {
			asked++
		}
	}
	if asked > 200 {
		t.Fatalf("of 10,000 events that did not come the disk is asked about %d", asked)
	}
}

// A filter that has no room for more says so, and the disk is asked; when enough was forgotten it is
// whole again.
func TestAFullFilterAsksTheDiskUntilEnoughIsForgotten(t *testing.T) {
	x, _, err := Open(filepath.Join(t.TempDir(), "ids"), Options{Run: 500, Part: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	for i := range 12 {
		list := some(1+500*i, 500)
		for k := range list {
			list[k].Minute = uint32(100 + i)
		}
		x.Add(list)
	}
	until(t, "every run on the disk", func() bool { return x.UpTo() == 6000 })
	if x.filter.Load().whole.Load() {
		t.Fatal("a filter for 4,000 events says that it has 6,000")
	}
	if n := found(t, x, some(1, 6000)); n != 6000 {
		t.Fatalf("of 6,000 events %d were found", n)
	}
	if n, err := x.Sweep(t.Context(), 105); err != nil || n != 3000 {
		t.Fatalf("%d were forgotten, %v", n, err)
	}
	until(t, "a whole filter", func() bool { return x.filter.Load().whole.Load() })
	if n := found(t, x, some(1, 6000)); n != 3000 {
		t.Fatalf("of 3,000 events that are known %d were found", n)
	}
}
