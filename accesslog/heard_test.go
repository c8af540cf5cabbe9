package accesslog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
)

func (s *site) heard(t *testing.T, name string) accesslog.Heard {
	t.Helper()
	all, err := s.Heard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		if h.Name == name {
			return h
		}
	}
	t.Fatalf("%s is not among %+v", name, all)
	return accesslog.Heard{}
}

// promise: PRO-6
func TestSourceThatUsuallySpeaksIsNoticedWhenItFallsSilentAndWhenItSpeaksAgain(t *testing.T) {
	s := newSite(t)
	var lines strings.Builder
	for at := noon.Add(-14 * 24 * time.Hour); at.Before(noon); at = at.Add(10 * time.Minute) {
		fmt.Fprintln(&lines, line(at.String(), at, ""))
	}
	s.take(t, lines.String())
	if h := s.heard(t, app.Name); !h.Quiet.IsZero() {
		t.Fatalf("it spoke ten minutes ago: %+v", h)
	}
	s.set(noon.Add(time.Hour + 3*time.Minute))
	if h := s.heard(t, app.Name); !h.Quiet.Equal(noon) {
		t.Errorf("after an hour of silence it is quiet since %v, not %v", h.Quiet, noon)
	}
	s.take(t, line("back", noon.Add(time.Hour+2*time.Minute), ""))
	if h := s.heard(t, app.Name); !h.Quiet.IsZero() {
		t.Errorf("it came back: %+v", h)
	}
}

func TestSourceOfLogsThatWereSuppliedLaterIsNotTakenForSilent(t *testing.T) {
	s := newSite(t)
	later := accesslog.Source{Name: "handed in", Supplied: "sha256:" + strings.Repeat("a", 64)}
	both := accesslog.Source{Name: "both", Supplied: later.Supplied}
	live := accesslog.Source{Name: "both"}
	for i, src := range []accesslog.Source{later, both, live} {
		if _, err := s.Ingest(t.Context(), src, "", "auto", strings.NewReader(line(fmt.Sprint(i), noon.Add(-time.Duration(5-i)*time.Hour), ""))); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if h := s.heard(t, "handed in"); !h.Newest.IsZero() {
			t.Errorf("all of it was supplied later: %+v", h)
		}
		if h := s.heard(t, "both"); !h.Newest.Equal(noon.Add(-3 * time.Hour)) {
			t.Errorf("its newest live event is of %v: %+v", noon.Add(-3*time.Hour), h)
		}
		s.close()
		s.open(t)
	}
}

// Beyond what is kept of a day refused entries are counted, over restarts and over the end of the day.
func TestWhatIsRefusedBeyondWhatIsKeptIsCounted(t *testing.T) {
	s := newSite(t)
	s.close()
	s.rejects = 1 // nothing fits
	s.open(t)
	send := func(body string) {
		t.Helper()
		if _, err := s.Ingest(t.Context(), accesslog.Source{Name: "web"}, "", "native", strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	nobody := `{"time":"2026-11-22T03:02:11Z","action":"read"}` + "\n"
	counted := func(want int) {
		t.Helper()
		got, err := s.Refused(t.Context(), noon.Add(-time.Hour))
		if err != nil || len(got) != 1 || got[0] != (accesslog.Refusal{Source: "web", Entries: want, Field: "actor", Reason: "is missing", Most: want - 1}) {
			t.Errorf("%+v %v, want %d of web", got, err, want)
		}
		n := 0
		if err := s.Rejects(func(r accesslog.Rejected) error {
			for _, u := range r.Unkept {
				n += u.Entries
			}
			n += 1000 * len(r.Entries)
			return nil
		}); err != nil || n != want {
			t.Errorf("%d are listed, want %d: %v", n, want, err)
		}
	}
	send(nobody + nobody + "{broken\n") // written at once
	counted(3)
	send(nobody) // waits for a minute to end
	counted(4)
	s.set(noon.Add(2 * time.Minute))
	send(nobody) // both are written
	counted(5)
	send(nobody)
	s.close() // writes what waits
	s.open(t)
	counted(6)
	send(nobody)
	s.set(noon.Add(24 * time.Hour))
	send(nobody) // of the next day
	counted(8)
	if misfits, err := s.Inspect(t.Context(), accesslog.Depth{}); err != nil || len(misfits) > 0 {
		t.Errorf("%+v %v", misfits, err)
	}
}

func TestWhatWasRefusedIsSummedUpBySource(t *testing.T) {
	s := newSite(t)
	web, jobs := accesslog.Source{Name: "web"}, accesslog.Source{Name: "jobs"}
	send := func(src accesslog.Source, body string) {
		t.Helper()
		if _, err := s.Ingest(t.Context(), src, "", "native", strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	nobody := `{"time":"2026-11-22T03:02:11Z","action":"read"}` + "\n"
	send(web, nobody) // the day before yesterday, as it is looked at later
	s.set(noon.Add(47 * time.Hour))
	send(web, nobody+nobody+"{broken\n"+line("fine", noon, ""))
	send(jobs, nobody)
	got, err := s.Refused(t.Context(), noon.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := []accesslog.Refusal{
		{Source: "jobs", Entries: 1, Field: "actor", Reason: "is missing", Most: 1},
		{Source: "web", Entries: 3, Field: "actor", Reason: "is missing", Most: 2},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	// A file that was altered is named elsewhere, and does not keep the others from being read.
	today := filepath.Join(s.dir, "rejects", noon.Add(47*time.Hour).Format(time.DateOnly))
	text, err := os.ReadFile(today)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(today, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Refused(t.Context(), noon.Add(24*time.Hour)); err != nil || len(got) != 1 || got[0].Source != "web" {
		t.Errorf("beside a record that was altered: %+v, %v", got, err)
	}
}
