//go:build !race

package table

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/tocsin-ir/tocsin/accesslog/table/s3"
)

// objects is an object store over HTTP that can be made to fail.
type objects struct {
	*httptest.Server
	left atomic.Int64 // requests that are still answered; negative: none
	lose atomic.Bool  // of the last that is answered the answer is lost
	puts atomic.Int64
}

func startObjects(t testing.TB) *objects {
	t.Helper()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"} {
		os.Setenv(name, value)
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("tocsin"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(backend).Server()
	o := &objects{}
	o.left.Store(math.MaxInt64)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left := o.left.Add(-1)
		if left < 0 {
			hangUp(w)
			return
		}
		if r.Method == http.MethodPut {
			o.puts.Add(1)
		}
		if left == 0 && o.lose.Load() {
			inner.ServeHTTP(httptest.NewRecorder(), r)
			hangUp(w)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func hangUp(w http.ResponseWriter) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		c.Close()
	}
}

func (o *objects) bucket(t testing.TB, prefix string) Bucket {
	t.Helper()
	b, err := s3.New(s3.Options{URL: "s3://tocsin/" + prefix, Endpoint: o.URL, Region: "eu-central-1"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the table promises it promises in a folder and in an object store: the same steps, drawn by
// chance, leave the same rows, also for whoever opens it from another folder without any copy.
//
// promise: DET-1
func TestTheTableIsTheSameInAFolderAndInAnObjectStore(t *testing.T) {
	store := startObjects(t)
	rounds := 3
	if os.Getenv("SOAK") != "" {
		rounds = 60
	}
	for round := range rounds {
		chance := rand.New(rand.NewPCG(uint64(round), 5))
		bucket := store.bucket(t, fmt.Sprintf("table-%d", round))
		var list []Tombstone
		var n int64
		inFolder := openAt(t, t.TempDir(), Options{})
		o := Options{Bucket: bucket, Cache: 1} // every copy goes as soon as nobody reads it
		inStore := openAt(t, t.TempDir(), o)
		for step := range 12 {
			k := 1 + chance.IntN(150)
			what := chance.IntN(6)
			for _, tab := range []**Table{&inFolder, &inStore} {
				var err error
				switch what {
				case 0, 1:
					err = (*tab).Append(t.Context(), n, rowsFrom(n+1, k), n+int64(k))
				case 2:
					err = (*tab).Flush()
				case 3:
					err = (*tab).Merge(t.Context())
				case 4:
					(*tab).Erase(append(list, Tombstone{ID: fmt.Sprint("F", step), Merchant: fmt.Sprintf("m_%d", k%9), UpTo: n}))
				case 5:
					if tab == &inStore {
						err = inStore.Close()
						o.Erased = list
						inStore = openAt(t, t.TempDir(), o) // another machine
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			switch what {
			case 0, 1:
				n += int64(k)
			case 4:
				list = append(list, Tombstone{ID: fmt.Sprint("F", step), Merchant: fmt.Sprintf("m_%d", k%9), UpTo: n})
			}
			if inStore.Anew() != "" {
				t.Fatal(inStore.Anew())
			}
			agree(t, inFolder, n, list)
			agree(t, inStore, n, list)
		}
		for _, tab := range []*Table{inFolder, inStore} {
			if err := errors.Join(tab.Flush(), tab.Merge(t.Context())); err != nil {
				t.Fatal(err)
			}
			agree(t, tab, n, list)
			if tab.Erasing() != 0 {
				t.Error("an erasure is not at its end")
			}
		}
		if err := inStore.Close(); err != nil {
			t.Fatal(err)
		}
		inStore = openAt(t, t.TempDir(), Options{Bucket: bucket, Erased: list})
		have, err := bucket.List(t.Context(), "data")
		if err != nil || len(have) != len(inStore.meta.files()) {
			t.Errorf("%d data files in the store and %d in the table: %v", len(have), len(inStore.meta.files()), err)
		}
	}
}

// The store fails at any request, with the request done or not, and stays away for a while: the table
// goes on from where it was, in this process and in the next, and has every row once.
//
// promise: DET-1
func TestAnOutageOfTheObjectStoreAtAnyRequestLosesAndDoublesNothing(t *testing.T) {
	store := startObjects(t)
	for _, lose := range []bool{false, true} {
		store.lose.Store(lose)
		for requests := int64(1); ; requests += int64(stride(int(requests))) {
			store.left.Store(math.MaxInt64)
			bucket := store.bucket(t, fmt.Sprintf("outage-%v-%d", lose, requests))
			tab := openAt(t, t.TempDir(), Options{Bucket: bucket})
			fill(t, tab, 100, 100)
			if err := tab.Append(t.Context(), 100, rowsFrom(101, 50), 150); err != nil {
				t.Fatal(err)
			}
			tab.cancel() // what follows are the only requests
			tab.work.Wait()
			store.left.Store(requests)
			var err error
			for range 2 {
				err = errors.Join(err, tab.Flush(), tab.Merge(t.Context()))
				agree(t, tab, 150, nil)
			}
			cut := store.left.Load() <= 0
			if err != nil && (!cut || !Away(err)) {
				t.Fatalf("%d requests, lost %v: %v", requests, lose, err)
			}
			if requests%2 == 0 { // the same process goes on
				store.left.Store(math.MaxInt64)
				for err = errAdopted; err != nil; err = errors.Join(tab.Flush(), tab.Merge(t.Context())) {
					if !errors.Is(err, errAdopted) {
						t.Fatal(err)
					}
				}
				agree(t, tab, 150, nil)
				same(t, tab, 150)
			}
			store.left.Store(math.MaxInt64)
			again := openAt(t, t.TempDir(), Options{Bucket: bucket}) // the first is as good as killed
			if again.Anew() != "" || again.UpTo() < 100 {
				t.Fatalf("%d requests, lost %v: up to %d, %s", requests, lose, again.UpTo(), again.Anew())
			}
			if at := again.UpTo(); at < 150 {
				if err := again.Append(t.Context(), at, rowsFrom(at+1, int(150-at)), 150); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(again.Flush(), again.Merge(t.Context())); err != nil {
				t.Fatal(err)
			}
			same(t, again, 150)
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if !cut {
				break
			}
		}
	}
}

// A store that does not answer when the program starts, or for long, holds nobody up: the table takes
// nothing meanwhile, says why, and opens by itself when the store answers.
func TestATableWhoseStoreIsAwayOpensLater(t *testing.T) {
	store := startObjects(t)
	bucket := store.bucket(t, "later")
	first := openAt(t, t.TempDir(), Options{Bucket: bucket})
	fill(t, first, 100, 100)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	store.left.Store(0)
	tab := openAt(t, t.TempDir(), Options{Bucket: bucket, FlushRows: 10, FlushAge: time.Millisecond, Erased: []Tombstone{{ID: "F", Merchant: "m_1", UpTo: 100}}})
	if err := tab.Append(t.Context(), 0, rowsFrom(1, 5), 5); !Away(err) || tab.UpTo() != 0 || tab.Anew() != "" {
		t.Fatalf("away: %v, up to %d, %s", err, tab.UpTo(), tab.Anew())
	}
	store.left.Store(math.MaxInt64)
	await(t, func() bool { return tab.UpTo() == 100 })
	agree(t, tab, 100, []Tombstone{{ID: "F", Merchant: "m_1", UpTo: 100}})
	// Away again: what fits in memory is taken, and then nobody waits.
	store.left.Store(0)
	at := int64(100)
	await(t, func() bool {
		err := tab.Append(t.Context(), at, rowsFrom(at+1, 15), at+15)
		if err == nil {
			at += 15
		}
		return Away(err)
	})
	store.left.Store(math.MaxInt64)
	await(t, func() bool { return tab.Append(t.Context(), at, rowsFrom(at+1, 15), at+15) == nil })
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	agree(t, tab, at+15, []Tombstone{{ID: "F", Merchant: "m_1", UpTo: 100}})
}

func await(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

// Two installations in one place: the second to commit is refused and says what to do.
func TestATableInAnObjectStoreHasOneWriter(t *testing.T) {
	store := startObjects(t)
	bucket := store.bucket(t, "shared")
	a := openAt(t, t.TempDir(), Options{Bucket: bucket})
	b := openAt(t, t.TempDir(), Options{Bucket: bucket})
	fill(t, a, 100, 100)
	if err := b.Append(t.Context(), 0, rowsFrom(1, 50), 50); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err == nil || !strings.Contains(err.Error(), "its own place") {
		t.Fatalf("the second writer: %v", err)
	}
	same(t, a, 100)
}

// A copy that was altered is not read: it is fetched again. An object that was altered makes the table
// begin anew.
func TestAnAlteredCopyIsFetchedAgainAndAnAlteredObjectIsDamage(t *testing.T) {
	store := startObjects(t)
	bucket := store.bucket(t, "altered")
	dir := t.TempDir()
	tab := openAt(t, dir, Options{Bucket: bucket})
	fill(t, tab, 100, 100)
	if err := tab.Close(); err != nil {
		t.Fatal(err)
	}
	copies, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.parquet"))
	if err != nil || len(copies) == 0 {
		t.Fatal("no copies", err)
	}
	for _, name := range copies {
		if err := os.WriteFile(name, []byte("PAR1 nothing of the kind"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tab = openAt(t, dir, Options{Bucket: bucket})
	same(t, tab, 100)
	name := tab.meta.files()[0].Name
	size := tab.meta.files()[0].Size
	if err := bucket.Put(t.Context(), name, strings.NewReader(strings.Repeat("x", int(size))), size, false); err != nil {
		t.Fatal(err)
	}
	fresh := openAt(t, t.TempDir(), Options{Bucket: bucket})
	v := fresh.View()
	defer v.Release()
	if _, _, err := v.Paths(Selection{From: math.MinInt64, To: math.MaxInt64, UpTo: math.MaxInt64}); !Damaged(err) {
		t.Fatalf("an altered object: %v", err)
	}
	select {
	case err := <-fresh.Damage():
		if !Damaged(err) {
			t.Fatal(err)
		}
	default:
		t.Error("nobody is told of the damage")
	}
}
