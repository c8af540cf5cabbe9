package accesslog_test

import (
	"fmt"
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

	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/accesslog/table/s3"
)

// A data file that is altered while the server runs is named by whoever compares table and log, who is not
// told that something failed; the table is made again from the log, and then there is nothing to name.
//
// promise: INV-3
func TestDataFileThatIsAlteredMeanwhileIsNamedByTheComparisonThatFindsIt(t *testing.T) {
	s := newSite(t)
	s.close()
	s.table = table.Options{FlushRows: 1000, FlushAge: 10 * time.Millisecond}
	s.open(t)
	s.takeSome(t, "a", 100)
	s.close()
	s.open(t) // what is in memory only comes from files now
	if misfits, err := s.CompareTable(t.Context(), nil); err != nil || len(misfits) != 0 {
		t.Fatalf("before anything is altered: %+v, %v", misfits, err)
	}
	all, err := filepath.Glob(filepath.Join(s.dir, "table", "data", "*", "*.parquet"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	file := all[0]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(text) / 4; i < len(text)/2; i++ { // more than bytes that nobody reads
		text[i] ^= 1
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	misfits, err := s.CompareTable(t.Context(), nil)
	if err != nil || len(misfits) != 1 || !strings.HasSuffix(file, misfits[0].File) || !strings.HasPrefix(misfits[0].What, "is damaged or missing") {
		t.Errorf("%+v, %v; %s was altered", misfits, err, file)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if misfits, err = s.CompareTable(t.Context(), nil); err != nil || time.Now().After(end) {
			t.Fatalf("the table was not made again: %+v, %v", misfits, err)
		}
		if len(misfits) == 0 {
			break
		}
	}
}

// The object store of the table is away, at the start and in between: events are acknowledged and
// sealed all the same, questions are whole, Behind says how far the table is, and it catches up.
//
// promise: DET-1
func TestEventsAreTakenWhileTheObjectStoreOfTheTableIsAway(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
	backend := s3mem.New()
	if err := backend.CreateBucket("tocsin"); err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	inner := gofakes3.New(backend).Server()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(store.Close)
	bucket, err := s3.New(s3.Options{URL: "s3://tocsin/events", Endpoint: store.URL})
	if err != nil {
		t.Fatal(err)
	}
	away.Store(true)
	s := newSite(t)
	s.close()
	s.table = table.Options{FlushRows: 40, FlushAge: 10 * time.Millisecond, Bucket: bucket}
	s.open(t)
	whole := func(when string, want int) {
		t.Helper()
		if got := len(s.all(t)); got != want {
			t.Fatalf("%s a question finds %d events of %d", when, got, want)
		}
	}
	s.takeSome(t, "a", 100)
	whole("while it is away from the start", 100)
	if n := s.Behind(); n != 100 {
		t.Errorf("the table is %d behind, and it is away", n)
	}
	if err := s.TableTrouble(); err == nil || !strings.Contains(err.Error(), "answers 503") {
		t.Errorf("why the table is behind: %v", err)
	}
	caughtUp := func() {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); s.Behind() > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the table stays %d behind", s.Behind())
			}
		}
	}
	away.Store(false)
	caughtUp()
	if err := s.TableTrouble(); err != nil {
		t.Errorf("it answers again, and this is said: %v", err)
	}
	s.sameInColumns(t)
	away.Store(true)
	for i := range 6 { // more than memory may hold
		s.takeSome(t, fmt.Sprint("b", i), 50)
	}
	whole("while it is away", 400)
	for end := time.Now().Add(30 * time.Second); s.Behind() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the table took everything although it is away")
		}
	}
	s.close() // as a kill: what is in memory only cannot be written
	away.Store(false)
	s.open(t)
	caughtUp()
	s.sameInColumns(t)
	whole("after it", 400)
	files, err := filepath.Glob(filepath.Join(s.dir, "table", "metadata", "*"))
	if err != nil || len(files) > 0 {
		t.Errorf("metadata lie in the folder: %v, %v", files, err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		have, err := bucket.List(t.Context(), "metadata")
		if err != nil || time.Now().After(end) {
			t.Fatalf("no metadata in the store: %v", err)
		}
		if len(have) > 0 {
			break
		}
	}
	if sealed := s.sealedIDs(t); len(sealed) != 400 || !strings.HasPrefix(sealed[0], "a-") {
		t.Errorf("%d events are in the log", len(sealed))
	}
}
