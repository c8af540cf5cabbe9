package table

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rowAt is an event of a small world that the position decides.
func rowAt(seq int64) Row {
	r := rand.New(rand.NewPCG(uint64(seq), 7))
	row := Row{
		Seq: seq, ID: fmt.Sprintf("ev-%06d", seq), Source: "app", Kind: "pii_access", App: "shop", Env: "production", ActorType: "staff",
		Actor: fmt.Sprintf("staff-%d", r.IntN(5)), Credential: fmt.Sprintf("tok_%d", r.IntN(7)), Session: fmt.Sprint(r.IntN(50)),
		Action: "read", Endpoint: "GET /orders", Merchant: fmt.Sprintf("m_%d", r.IntN(9)), Store: fmt.Sprintf("s_%d", r.IntN(9)),
		DataTypes: `["customer.email"]`, Records: r.Int64N(3), Bytes: r.Int64N(5000), Outcome: []string{"ok", "denied", "error", ""}[r.IntN(4)],
		IP: fmt.Sprintf("192.0.2.%d", r.IntN(20)), Agent: "curl", Late: r.IntN(9) == 0, Skewed: r.IntN(9) == 0,
	}
	row.SetTime(noon.Add(time.Duration(r.Int64N(int64(72*time.Hour))) - 36*time.Hour))
	row.Received = row.Time + 5
	for range r.IntN(4) {
		var c [TokenLen]byte
		binary.BigEndian.PutUint64(c[:], uint64(r.IntN(40)))
		row.Customers = append(row.Customers, c)
	}
	return row
}

func rowsFrom(seq int64, n int) []Row {
	out := make([]Row, n)
	for i := range out {
		out[i] = rowAt(seq + int64(i))
	}
	return out
}

func openAt(t testing.TB, dir string, o Options) *Table {
	t.Helper()
	o.Dir, o.Origin = dir, "test/events"
	if o.FlushAge == 0 {
		o.FlushAge = time.Hour
	}
	tab, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tab.Close() })
	return tab
}

func all(t testing.TB, tab *Table) []Row {
	t.Helper()
	v := tab.View()
	defer v.Release()
	var out []Row
	for i := range v.Files {
		f := &v.Files[i]
		var last *Row
		err := f.rows(v.Dir, func(r *Row) error {
			c := *r
			if c.day() != f.Day {
				t.Fatalf("%s holds an event of %s", f.Name, c.At())
			}
			if last != nil && order(last, &c) > 0 {
				t.Fatalf("%s is not sorted", f.Name)
			}
			last = &c
			out = append(out, c)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out = append(out, v.Tail...)
	slices.SortFunc(out, func(a, b Row) int { return int(a.Seq - b.Seq) })
	for i := range out {
		if len(out[i].Customers) == 0 {
			out[i].Customers = nil
		}
	}
	return out
}

func same(t testing.TB, tab *Table, n int64) {
	t.Helper()
	got := all(t, tab)
	if int64(len(got)) != n || tab.UpTo() != n {
		t.Fatalf("the table has %d rows up to %d, want %d", len(got), tab.UpTo(), n)
	}
	for i := range got {
		if want := rowAt(int64(i + 1)); !reflect.DeepEqual(got[i], want) {
			t.Fatalf("row %d\n%+v, want\n%+v", i, got[i], want)
		}
	}
}

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

func fill(t testing.TB, tab *Table, n int64, each int) {
	t.Helper()
	for seq := int64(1); seq <= n; seq += int64(each) {
		if err := tab.Append(t.Context(), seq-1, rowsFrom(seq, each), seq+int64(each)-1); err != nil {
			t.Fatal(err)
		}
		if err := tab.Flush(); err != nil {
			t.Fatal(err)
		}
	}
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
		if err := v.Files[i].verify(v.Dir); err != nil {
			t.Fatalf("a pinned file went: %v", err)
		}
	}
	name := filepath.Join(v.Dir, v.Files[0].Name)
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

// promise: DET-1
func TestMergesAtTheSameTimeDoNotDoubleAnything(t *testing.T) {
	tab := openAt(t, t.TempDir(), Options{})
	var n int64
	for range 4 {
		for range 2 * fanIn {
			if err := tab.Append(t.Context(), n, rowsFrom(n+1, 200), n+200); err != nil {
				t.Fatal(err)
			}
			n += 200
			if err := tab.Flush(); err != nil { // which sends the merging of the background off, too
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := tab.Merge(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		same(t, tab, n)
	}
}
