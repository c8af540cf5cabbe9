package ids_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-ir/tocsin/accesslog/ids"
)

func open(t testing.TB, dir string, run int) *ids.Index {
	t.Helper()
	x, why, err := ids.Open(dir, ids.Options{Run: run})
	if err != nil || why != "" {
		t.Fatal(why, err)
	}
	return x
}

func entries(prefix string, first, n int, minute uint32) []ids.Entry {
	list := make([]ids.Entry, n)
	for i := range list {
		list[i] = ids.Entry{Key: ids.KeyOf(ids.SourceOf("app"), fmt.Sprint(prefix, i)), Seq: uint64(first + i), Minute: minute}
	}
	return list
}

func TestAnIDIsFoundForAsLongAsAskedAndOfItsSourceOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ids")
	x := open(t, dir, 100)
	for i := range 30 { // more runs than are kept apart
		x.Add(entries(fmt.Sprint(i, "-"), 1+i*100, 100, uint32(i)))
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = open(t, dir, 100)
	defer x.Close()
	if x.UpTo() != 3000 {
		t.Fatalf("the disk has everything up to %d", x.UpTo())
	}
	app, other := ids.SourceOf("app"), ids.SourceOf("other")
	for i := range 30 {
		id := fmt.Sprint(i, "-", 7)
		found, _, err := x.Find([]ids.Key{ids.KeyOf(app, id), ids.KeyOf(other, id), ids.KeyOf(app, id+"x")}, 9)
		if err != nil || len(found) != min(1, max(0, i-9)) || len(found) == 1 && !found[ids.KeyOf(app, id)] {
			t.Fatalf("%s: %v, %v", id, found, err)
		}
		if seq, err := x.Newest(id); err != nil || seq != uint64(1+i*100+7) {
			t.Fatalf("%s stands at %d, %v", id, seq, err)
		}
	}
}

func TestTheNewestOfOneIDCounts(t *testing.T) {
	x := open(t, filepath.Join(t.TempDir(), "ids"), 10)
	defer x.Close()
	for i := range 3 {
		x.Add(append(entries("a", 1+20*i, 10, uint32(i)), entries("a", 11+20*i, 10, uint32(10+i))...))
		if seq, err := x.Newest("a3"); err != nil || seq != uint64(14+20*i) {
			t.Fatalf("it stands at %d, %v", seq, err)
		}
	}
}

// What is in no run when the process dies is not there, and the index says from where on.
func TestADamagedIndexBeginsAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ids")
	x := open(t, dir, 10)
	x.Add(entries("a", 1, 10, 1))
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal("no manifest", err)
	}
	for _, m := range manifests {
		if err := os.Truncate(m, 3); err != nil {
			t.Fatal(err)
		}
	}
	x, why, err := ids.Open(dir, ids.Options{})
	if err != nil || why == "" || x.UpTo() != 0 {
		t.Fatalf("up to %d, why %q, %v", x.UpTo(), why, err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

// fullDisk takes no file while it is full.
type fullDisk struct {
	vfs.FS
	full atomic.Bool
}

func (d *fullDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.full.Load() {
		return nil, syscall.ENOSPC
	}
	return d.FS.Create(name, c)
}

// What came while the disk refuses is not forgotten, memory has an end, and when there is room again
// the index goes on.
func TestARunThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	disk := &fullDisk{FS: vfs.Default}
	x, _, err := ids.Open(filepath.Join(t.TempDir(), "ids"), ids.Options{Run: 10, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	disk.full.Store(true)
	x.Add(entries("a", 1, 10, 1))
	x.Add(entries("b", 11, 10, 1))
	x.Add(entries("c", 21, 10, 1))
	if err := x.Ready(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("it says %v where there is no room", err)
	}
	if seq, err := x.Newest("a3"); err != nil || seq != 4 {
		t.Fatalf("a3 stands at %d, %v", seq, err)
	}
	disk.full.Store(false)
	for x.Ready() != nil || x.UpTo() < 10 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x.UpTo() != 30 {
		t.Fatalf("the disk has everything up to %d", x.UpTo())
	}
}

// BenchmarkFind looks for ids that never came, among four million.
func BenchmarkFind(b *testing.B) {
	x := open(b, filepath.Join(b.TempDir(), "ids"), 256<<10)
	defer x.Close()
	for i := range 16 {
		x.Add(entries(fmt.Sprint(i, "-"), 1+i<<18, 1<<18, 1))
	}
	app, n := ids.SourceOf("app"), 0
	for b.Loop() {
		keys := make([]ids.Key, 500)
		for i := range keys {
			n++
			keys[i] = ids.KeyOf(app, fmt.Sprint("other-", n))
		}
		if found, _, err := x.Find(keys, 0); err != nil || len(found) > 0 {
			b.Fatal(found, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/id")
}

func TestWhatCameLongAgoIsForgottenAndLeavesTheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ids")
	x := open(t, dir, 1000)
	for i := range 20 {
		x.Add(entries(fmt.Sprint(i, "-"), 1+i*1000, 1000, uint32(100+i)))
	}
	// One that came again lately is kept by its newest minute.
	x.Add(entries("3-", 20_001, 1, 500))
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	before := weight(t, dir)
	x = open(t, dir, 1000)
	n, err := x.Sweep(t.Context(), 109)
	if err != nil || n != 9_999 {
		t.Fatalf("%d were forgotten, %v", n, err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = open(t, dir, 1000)
	defer x.Close()
	if x.UpTo() != 20_001 {
		t.Fatalf("it says that it goes to %d", x.UpTo())
	}
	for i := range 20 {
		want := uint64(1 + i*1000 + 7)
		if i < 10 {
			want = 0
		}
		if seq, err := x.Newest(fmt.Sprint(i, "-7")); err != nil || seq != want {
			t.Fatalf("%d-7 stands at %d, %v", i, seq, err)
		}
	}
	if seq, err := x.Newest("3-0"); err != nil || seq != 20_001 {
		t.Fatalf("3-0 stands at %d, %v", seq, err)
	}
	if after := weight(t, dir); after > before*2/3 {
		t.Fatalf("%d bytes before and %d after", before, after)
	}
	if n, err := x.Sweep(t.Context(), 109); err != nil || n != 0 {
		t.Fatalf("again: %d, %v", n, err)
	}
}

// weight is what the tables of an index weigh.
func weight(t *testing.T, dir string) (sum int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
