//go:build !race

package app

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// A leaf that is altered under a running server is named, wherever in it the byte is: also where it is no
// leaf any more.
//
// promise: INV-3
func TestAnAlteredLeafIsNamedWhileTheServerRuns(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	app := sender(t, a)
	for n := range 12 { // more than the spool keeps of what stands in the log
		sendLarge(t, a, app, 250*n, 250)
	}
	if _, _, err := a.access.Sealed(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop() // what is in memory has to be read from the log afterwards
	_, stop = start(t, Options{Dir: dir})
	defer stop()
	name := layout.EntriesPath(0, 0)
	file := filepath.Join(dir, "log", "events", filepath.FromSlash(name))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{-1, 0, 1, 2, 20, 40, 90, 110, 300, len(raw) - 1} {
		altered := append([]byte(nil), raw...)
		if at >= 0 {
			altered[at] ^= 1
		}
		if err := os.WriteFile(file, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		var r doctor.Report
		if err := local(t, dir).Do(t.Context(), http.MethodGet, "/v1/doctor?full=true", nil, &r); err != nil {
			t.Errorf("altered at %d: %v", at, err)
			continue
		}
		f := finding(t, r, "evidence.verify")
		if found := f.State == doctor.Fail && strings.Contains(f.Say, "log/events/"+name); found != (at >= 0) {
			t.Errorf("altered at %d: %+v", at, f)
		}
	}
}
