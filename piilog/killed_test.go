package piilog_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/piilog"
)

// The test's own binary is the application that is killed.
const childEnv = "PIILOG_TEST_CHILD"

func TestMain(m *testing.M) {
	if endpoint, dir, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		h, err := piilog.New(piilog.Options{Endpoint: endpoint, Key: secretKey, App: "shop", SpillDir: dir})
		if err != nil {
			panic(err)
		}
		for i := range eventsOfTheKilled {
			piilog.Access(context.Background(), slog.New(h), piilog.Event{ID: fmt.Sprint("e", i), Action: "read", Merchant: "m_1"})
		}
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

const eventsOfTheKilled = 1_234

// An application that is killed while the server is away loses nothing that waited longer than a second,
// however little that was: memory is far from half full.
// promise: DET-1
func TestAKilledApplicationLeavesWhatWaitedForTheServer(t *testing.T) {
	d := newDoor(t, func(int) int { return http.StatusServiceUnavailable })
	dir := filepath.Join(t.TempDir(), "spill")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+d.URL+"/v1/events "+dir)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.ndjson"))
		kept := 0
		for _, f := range files {
			n, _ := strconv.Atoi(strings.Split(filepath.Base(f), ".")[1])
			kept += n
		}
		return kept == eventsOfTheKilled
	})
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the application ended by itself")
	}
	d.mu.Lock()
	d.answer = nil
	d.mu.Unlock()
	h := start(t, d, func(o *piilog.Options) { o.SpillDir = dir })
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if st := h.Stats(); d.distinct() != eventsOfTheKilled || st.Accepted != eventsOfTheKilled || st.Duplicates != 0 || st.Lost != 0 || st.Spilled != 0 {
		t.Errorf("%d arrived: %+v", d.distinct(), st)
	}
}
