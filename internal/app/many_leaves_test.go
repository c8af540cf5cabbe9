package app

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
)

// A log has more leaves than the doctor reads when it is not asked for all of it. Events that do not
// compress make it: two of them fill a leaf. An altered leaf among the older ones is then found by some
// looks and missed by others, each of which says how much it read; --full finds it always, and names
// the file.
//
// promise: INV-3
func TestSoakTheDoctorSaysWhatItDidNotReadOfALogOfManyLeaves(t *testing.T) {
	soaktest.Start(t)
	const bundles = newestBundles + otherBundles + 8
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	app := sender(t, a)
	size := func() uint64 {
		t.Helper()
		c, err := local(t, dir).Checkpoints(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.EventsSize
	}
	events := 0
	for began := time.Now(); size() <= bundles*layout.EntryBundleWidth; {
		sendLarge(t, a, app, events, 200)
		events += 200
		if events%10_000 == 0 {
			t.Logf("%d events, %d leaves after %v", events, size(), time.Since(began).Round(time.Second))
		}
	}
	// Everything is sealed before anything is looked at.
	if _, _, err := a.access.Sealed(t.Context()); err != nil {
		t.Fatal(err)
	}
	look := func(full bool) (doctor.Report, time.Duration) {
		t.Helper()
		path, began := "/v1/doctor", time.Now()
		if full {
			path += "?full=true"
		}
		var r doctor.Report
		if err := local(t, dir).Do(t.Context(), http.MethodGet, path, nil, &r); err != nil {
			t.Fatal(err)
		}
		return r, time.Since(began)
	}
	leaves := size()
	r, took := look(false)
	f := finding(t, r, "evidence.verify")
	t.Logf("%d events, %d leaves; a look takes %v: %s", events, leaves, took.Round(time.Millisecond), f.Say)
	if f.State != doctor.OK || !strings.Contains(f.Say, fmt.Sprintf("of the %d leaves of access events the newest ", leaves)) ||
		!strings.Contains(f.Say, fmt.Sprintf(" and %d others at random", otherBundles*layout.EntryBundleWidth)) || !strings.Contains(f.Say, "The rest was not looked at: tocsin doctor --full reads all of it.") {
		t.Fatalf("before: %+v", f)
	}
	if r, took := look(true); finding(t, r, "evidence.verify").State != doctor.OK || strings.Contains(finding(t, r, "evidence.verify").Say, "not looked at") {
		t.Fatalf("all of it, before: %+v", finding(t, r, "evidence.verify"))
	} else {
		t.Logf("all of it takes %v: %s", took.Round(time.Millisecond), finding(t, r, "evidence.verify").Say)
	}
	// One byte of a leaf among the older ones.
	const altered = 5
	name := layout.EntriesPath(altered, 0)
	file := filepath.Join(dir, "log", "events", filepath.FromSlash(name))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	total := (leaves + layout.EntryBundleWidth - 1) / layout.EntryBundleWidth
	chance := float64(otherBundles) / float64(total-newestBundles)
	// Sixty looks of one kind alone are rarer than one in a hundred thousand at this chance.
	found, missed := 0, 0
	for found+missed < 60 && (found == 0 || missed == 0) {
		r, _ := look(false)
		switch f := finding(t, r, "evidence.verify"); {
		case f.State == doctor.Fail && strings.Contains(f.Say, "log/events/"+name):
			found++
		case f.State == doctor.OK && strings.Contains(f.Say, "The rest was not looked at"):
			missed++
		default:
			t.Fatalf("a look: %+v", f)
		}
	}
	t.Logf("of %d looks %d found it; one finds it with a chance of %.0f %%", found+missed, found, 100*chance)
	if found == 0 || missed == 0 {
		t.Errorf("%d looks found it and %d missed it", found, missed)
	}
	if f := finding(t, func() doctor.Report { r, _ := look(true); return r }(), "evidence.verify"); f.State != doctor.Fail || !strings.Contains(f.Say, "log/events/"+name) {
		t.Errorf("all of it: %+v", f)
	}
	stop()
	// The same of a folder that nobody serves.
	r, err = Examine(t.Context(), Options{Dir: dir}, Depth{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, r, "evidence.verify"); f.State != doctor.Fail || !strings.Contains(f.Say, "log/events/"+name) {
		t.Errorf("all of a folder that nobody serves: %+v", f)
	}
}

// sendLarge sends so many events from a number on, of 30 kB each that cannot be made smaller: a leaf holds two.
func sendLarge(t *testing.T, a *App, app *client.Client, from, n int) {
	t.Helper()
	// Sixty-four characters that the scrubber has no interest in: six bits each, and none to spare.
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.~!*=:;,/|"
	noise := make([]byte, 30_000)
	var b strings.Builder
	for i := range n {
		for i := range noise {
			noise[i] = letters[rand.IntN(len(letters))]
		}
		fmt.Fprintf(&b, `{"id":"big-%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"worker"},"credential":"tok_1","action":"read","merchant":"m_1","records":1,"attributes":{"noise":%q}}`+"\n",
			from+i, a.desk.Now().UTC().Format(time.RFC3339), noise)
	}
	got, err := app.Ingest(t.Context(), fmt.Sprint("large-", from), "native", []byte(b.String()))
	if err != nil || got.Accepted != n {
		t.Fatalf("taken in: %+v, %v", got, err)
	}
}
