//go:build !race

package table

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// sickPlace fails the call after so many that write, and all after it: what a crash leaves is what was
// done before.
type sickPlace struct {
	place
	left int
}

var errSick = errors.New("the disk fails")

func (p *sickPlace) call(fn func() error) error {
	if p.left--; p.left < 0 {
		return errSick
	}
	return fn()
}

func (p *sickPlace) keep(temp, name string) error {
	return p.call(func() error { return p.place.keep(temp, name) })
}
func (p *sickPlace) write(name string, data []byte) error {
	return p.call(func() error { return p.place.write(name, data) })
}
func (p *sickPlace) create(name string, data []byte) error {
	return p.call(func() error { return p.place.create(name, data) })
}
func (p *sickPlace) hint(name string, data []byte) error {
	return p.call(func() error { return p.place.hint(name, data) })
}
func (p *sickPlace) remove(name string) error {
	return p.call(func() error { return p.place.remove(name) })
}

// found is what a question finds, in order of position.
func found(t testing.TB, tab *Table) []Row {
	t.Helper()
	var out []Row
	v := tab.View()
	defer v.Release()
	err := v.Scan(Selection{From: math.MinInt64, To: math.MaxInt64, UpTo: math.MaxInt64}, func(r *Row) error {
		c := *r
		if len(c.Customers) == 0 {
			c.Customers = nil
		}
		out = append(out, c)
		return nil
	}, func(int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b Row) int { return int(a.Seq - b.Seq) })
	return out
}

func agree(t testing.TB, tab *Table, n int64, list []Tombstone) {
	t.Helper()
	got, want := found(t, tab), wantOf(n, list)
	if len(got) != len(want) {
		t.Fatalf("a question finds %d rows, want %d of %d", len(got), len(want), n)
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("row %d\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
}

// onDisk looks at every Parquet file of a folder, whatever names it, for rows that tombstones name.
func onDisk(t testing.TB, dir string, list []Tombstone) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dir, name)
		f := File{Name: filepath.ToSlash(rel), Size: info.Size()}
		err = f.rows(folder{dir}, func(r *Row) error {
			if left, ok := leftOf(*r, list); !ok || len(left.Customers) != len(r.Customers) {
				return fmt.Errorf("%s holds event %d, which is erased", rel, r.Seq)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// promise: PRO-6
func TestWhatIsErasedIsFoundByNoQuestionAndThenInNoFile(t *testing.T) {
	dir := t.TempDir()
	tab := openAt(t, dir, Options{})
	fill(t, tab, 400, 100)
	if err := tab.Append(t.Context(), 400, rowsFrom(401, 50), 450); err != nil { // in memory only
		t.Fatal(err)
	}
	before := tab.View()
	for n := range someTombstones {
		tab.Erase(someTombstones[:n+1])
		agree(t, tab, 450, someTombstones[:n+1])
		if n == 0 {
			if err := tab.Merge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	v := tab.View()
	if !v.Pending(Selection{From: math.MinInt64, To: math.MaxInt64, UpTo: math.MaxInt64}) && tab.Erasing() > 0 {
		t.Error("files hold what is erased, and the engine would be given them")
	}
	v.Release()
	before.Release()
	for range 2 {
		if err := tab.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := tab.Merge(t.Context()); err != nil {
			t.Fatal(err)
		}
		agree(t, tab, 450, someTombstones)
		if n := tab.Erasing(); n != 0 {
			t.Fatalf("%d files are still to be written anew", n)
		}
		onDisk(t, dir, someTombstones)
		if len(tab.meta.Snapshots) != 1 && tab.meta.Properties[erasedProperty] == "" {
			t.Errorf("%d snapshots, erased %q", len(tab.meta.Snapshots), tab.meta.Properties[erasedProperty])
		}
	}
	// Made again from the log, it leaves the same out.
	if err := tab.Reset("test"); err != nil {
		t.Fatal(err)
	}
	fill(t, tab, 450, 50)
	agree(t, tab, 450, someTombstones)
	onDisk(t, dir, someTombstones)
	// What comes later than an erasure is logged again.
	if err := tab.Append(t.Context(), 450, rowsFrom(451, 100), 550); err != nil {
		t.Fatal(err)
	}
	agree(t, tab, 550, someTombstones)
	if len(wantOf(550, someTombstones)) <= len(wantOf(450, someTombstones)) {
		t.Fatal("the test shows nothing")
	}
}

// A crash after any number of writes: the next start is given the tombstones, no question ever finds
// what is erased, nothing else is lost or doubled, and in the end no file holds it.
//
// promise: PRO-6
func TestAnErasureThatIsCutOffAnywhereGoesOn(t *testing.T) {
	for writes := 0; ; writes += stride(writes) {
		dir := t.TempDir()
		p := &sickPlace{folder{dir}, math.MaxInt}
		tab := openAt(t, dir, Options{place: p})
		fill(t, tab, 300, 300)
		if err := tab.Append(t.Context(), 300, rowsFrom(301, 20), 320); err != nil {
			t.Fatal(err)
		}
		tab.cancel() // nothing in the background: the count of writes is that of what follows
		tab.work.Wait()
		p.left = writes
		tab.Erase(someTombstones)
		err := errors.Join(tab.Flush(), tab.Merge(t.Context()))
		agree(t, tab, 320, someTombstones)
		if err != nil && !errors.Is(err, errSick) {
			t.Fatal(err)
		}
		cut := p.left < 0
		again := openAt(t, dir, Options{Erased: someTombstones})
		if again.Anew() != "" {
			t.Fatalf("after %d writes: %s", writes, again.Anew())
		}
		if at := again.UpTo(); at < 320 {
			if err := again.Append(t.Context(), at, rowsFrom(at+1, int(320-at)), 320); err != nil {
				t.Fatal(err)
			}
		}
		agree(t, again, 320, someTombstones)
		if err := errors.Join(again.Flush(), again.Merge(t.Context())); err != nil {
			t.Fatal(err)
		}
		agree(t, again, 320, someTombstones)
		onDisk(t, dir, someTombstones)
		if n := again.Erasing(); n != 0 {
			t.Fatalf("after %d writes: %d files are left", writes, n)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if !cut {
			if writes < 5 {
				t.Fatalf("only %d writes", writes)
			}
			return
		}
	}
}

func TestErasuresInAnyOrderWithWritesAndMergesLeaveTheSame(t *testing.T) {
	runs, soak := 0, os.Getenv("SOAK")
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		if runs++; runs > 15 && soak == "" {
			return
		}
		var list []Tombstone
		tab := openAt(t, dir, Options{})
		var n int64
		for step := range rapid.IntRange(1, 10).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "flush", "merge", "open", "erase", "reset"}).Draw(rt, "step") {
			case "append":
				k := rapid.IntRange(1, 120).Draw(rt, "rows")
				err = tab.Append(t.Context(), n, rowsFrom(n+1, k), n+int64(k))
				n += int64(k)
			case "flush":
				err = tab.Flush()
			case "merge":
				err = tab.Merge(t.Context())
			case "open":
				err = tab.Close()
				tab = openAt(t, dir, Options{Erased: list})
			case "erase":
				x := Tombstone{ID: fmt.Sprint("F", step), Merchant: fmt.Sprintf("m_%d", rapid.IntRange(0, 8).Draw(rt, "merchant")), UpTo: n}
				for range rapid.IntRange(0, 20).Draw(rt, "customers") {
					x.Customers = append(x.Customers, customer(byte(rapid.IntRange(0, 39).Draw(rt, "customer"))))
				}
				list = append(list, x)
				tab.Erase(list)
			case "reset":
				err = errors.Join(tab.Reset("test"), tab.Append(t.Context(), 0, rowsFrom(1, int(n)), n))
			}
			if err != nil {
				rt.Fatal(err)
			}
			agree(t, tab, n, list)
		}
		if err := errors.Join(tab.Flush(), tab.Merge(t.Context())); err != nil {
			rt.Fatal(err)
		}
		agree(t, tab, n, list)
		onDisk(t, dir, list)
		if err := tab.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// stride is how many writes further the next crash is: each one only when there is time.
func stride(writes int) int {
	if os.Getenv("SOAK") != "" {
		return 1
	}
	return 1 + writes/2
}
