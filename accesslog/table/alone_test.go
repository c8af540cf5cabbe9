//go:build !race

package table

// What one goroutine does to a table. The race detector has nothing to find in it, and makes the
// writing of a Parquet file, which moves large buffers, some twenty times slower.

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// promise: DET-1
func TestWhateverIsWrittenMergedAndOpenedAgainIsThereOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		tab := openAt(t, dir, Options{})
		var n int64
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "flush", "merge", "open", "again"}).Draw(rt, "step") {
			case "append":
				k := rapid.IntRange(1, 300).Draw(rt, "rows")
				if err := tab.Append(t.Context(), n, rowsFrom(n+1, k), n+int64(k)); err != nil {
					rt.Fatal(err)
				}
				n += int64(k)
			case "flush":
				if err := tab.Flush(); err != nil {
					rt.Fatal(err)
				}
			case "merge":
				if err := tab.Merge(t.Context()); err != nil {
					rt.Fatal(err)
				}
			case "open":
				if err := tab.Close(); err != nil {
					rt.Fatal(err)
				}
				if tab = openAt(t, dir, Options{}); tab.Anew() != "" {
					rt.Fatal(tab.Anew())
				}
			case "again": // what was taken comes again after a crash
				if err := tab.Append(t.Context(), 0, rowsFrom(1, int(n)), n); err != nil {
					rt.Fatal(err)
				}
			}
		}
		same(t, tab, n)
		if err := tab.Verify(t.Context()); err != nil {
			rt.Fatal(err)
		}
		if err := tab.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// promise: DET-1
func TestADamagedOrMissingFileMakesTheTableBeginAnew(t *testing.T) {
	damage := map[string]func(path string) error{
		"missing": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 100) },
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	}
	for what, spoil := range damage {
		for _, pattern := range []string{"data/*/*.parquet", "metadata/v*.metadata.json", "metadata/snap-*.avro", "metadata/files-*.avro"} {
			if what == "missing" && strings.HasPrefix(pattern, "metadata/v") {
				continue // then the commit before it is the newest, or none: both go on from their position
			}
			t.Run(what+" "+filepath.Base(pattern), func(t *testing.T) {
				dir := t.TempDir()
				tab := openAt(t, dir, Options{})
				fill(t, tab, 400, 100)
				current := tab.meta
				if err := tab.Close(); err != nil {
					t.Fatal(err)
				}
				found, err := filepath.Glob(filepath.Join(dir, pattern))
				if err != nil || len(found) == 0 {
					t.Fatal("nothing to damage", err)
				}
				for _, path := range found {
					name, _ := filepath.Rel(dir, path)
					if filepath.Dir(pattern) != "metadata" || name == "metadata/"+metadataName(current.number) || slices.Contains(current.manifestOf[current.Current], name) {
						if err := spoil(path); err != nil {
							t.Fatal(err)
						}
					}
				}
				tab = openAt(t, dir, Options{})
				if tab.UpTo() != 0 || tab.Anew() == "" {
					t.Fatalf("up to %d, because %q", tab.UpTo(), tab.Anew())
				}
				fill(t, tab, 400, 100)
				same(t, tab, 400)
			})
		}
	}
}

func TestAlteredBytesAreFoundByTheirDigest(t *testing.T) {
	dir := t.TempDir()
	tab := openAt(t, dir, Options{})
	fill(t, tab, 200, 100)
	if err := tab.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, tab.View().Files[0].Name)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tab.Verify(t.Context()); !Damaged(err) {
		t.Fatalf("verify: %v", err)
	}
	if err := tab.Reset("test"); err != nil {
		t.Fatal(err)
	}
	fill(t, tab, 200, 100)
	same(t, tab, 200)
}

func TestWhatACrashLeftIsSweptAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	tab := openAt(t, dir, Options{})
	fill(t, tab, 300, 100)
	if err := tab.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(dir, "data", "time_day=2026-11-22", "00000099-stray.parquet")
	for _, name := range []string{stray, filepath.Join(dir, "tmp", "file-1"), filepath.Join(dir, "metadata", "files-99.avro")} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tab = openAt(t, dir, Options{})
	same(t, tab, 300)
	if _, err := os.Stat(stray); err == nil {
		t.Error("the stray file is still there")
	}
	found, _ := filepath.Glob(filepath.Join(dir, "data", "*", "*"))
	if v := tab.View(); len(found) != len(v.Files) {
		t.Errorf("%d files on the disk, %d in the table", len(found), len(v.Files))
	}
}

func TestAViewKeepsItsFilesUntilItIsReleased(t *testing.T) {
	tab := openAt(t, t.TempDir(), Options{})
	fill(t, tab, 100, 100)
	v := tab.View()
	for i := range keepSnapshots + 2 {
		if err := tab.Append(context.Background(), 100+int64(i)*10, rowsFrom(101+int64(i)*10, 10), 110+int64(i)*10); err != nil {
			t.Fatal(err)
		}
		if err := tab.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := tab.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range keepSnapshots + 2 {
		if err := tab.Append(context.Background(), 620+int64(i), rowsFrom(621+int64(i), 1), 621+int64(i)); err != nil {
			t.Fatal(err)
		}
		if err := tab.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range v.Files {
		if err := v.Files[i].verify(v.t.at); err != nil {
			t.Fatalf("a pinned file went: %v", err)
		}
	}
	name := filepath.Join(v.t.o.Dir, v.Files[0].Name)
	v.Release()
	if _, err := os.Stat(name); err == nil {
		t.Error("an expired file stays after the last view was released")
	}
	if n := len(tab.meta.Snapshots); n > keepSnapshots {
		t.Errorf("%d snapshots are kept", n)
	}
}

func TestAMovedFolderGoesOn(t *testing.T) {
	dir := t.TempDir()
	tab := openAt(t, filepath.Join(dir, "a"), Options{})
	fill(t, tab, 100, 100)
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		tab = openAt(t, filepath.Join(dir, "b"), Options{})
		same(t, tab, tab.UpTo())
		if tab.UpTo() < 100 {
			t.Fatal("it began anew")
		}
		next := tab.UpTo() + 1
		if err := tab.Append(t.Context(), next-1, rowsFrom(next, 5), next+4); err != nil {
			t.Fatal(err)
		}
		if err := tab.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
