package desk

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/org"
)

// withDays is a site whose access log is a real one, which seals what came in after flush or when somebody asks.
func withDays(t *testing.T, flush time.Duration, change func(*Options)) (*site, *accesslog.Store, *keyring.Ring) {
	t.Helper()
	dir := t.TempDir()
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	signer, err := keys.Signer(eventsOrigin)
	if err != nil {
		t.Fatal(err)
	}
	log, err := translog.Open(t.Context(), filepath.Join(dir, "log", "events"), signer, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s := newSite(t, change)
	events, err := accesslog.Open(t.Context(), accesslog.Options{Dir: dir, Keys: keys, Log: log, Now: s.clock.Now, Env: "production", FlushAge: flush})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { events.Close() })
	s.o.Events, s.o.EventLog, s.o.Prover = events, log, log
	if _, err := s.Found(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, events, keys
}

// A day goes when its time is over, the fact before the data; a hold with its legal basis keeps it, and
// so does an incident that is not settled. What a crash left between fact and removal the next start
// removes.
//
// promise: INV-3
// promise: PRO-9
func TestADayIsKeptByAHoldAndGoesWhenItsTimeIsOver(t *testing.T) {
	s, events, keys := withDays(t, 5*time.Millisecond, func(o *Options) { o.Keep = Keep{Days: 30} })
	for day := range 3 {
		at := noon.AddDate(0, 0, day)
		s.clock.Set(at)
		body := fmt.Sprintf(`{"id":"d%d","time":%q,"actor":{"type":"service","id":"w"},"action":"read","merchant":"m_1"}`, day, at.Format(time.RFC3339))
		if _, err := events.Ingest(t.Context(), accesslog.Source{Name: "app"}, "", "auto", strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := events.Sealed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	keep := func() string { // what the daily work does
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			err := errors.Join(s.closeDays(t.Context()), s.pruneDays(t.Context()))
			if err == nil {
				break
			}
			if time.Now().After(deadline) || !strings.Contains(err.Error(), "on their way into the log") {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		days, err := s.LogDays(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var states []string
		for _, d := range days.Days {
			states = append(states, d.State)
		}
		return strings.Join(states, " ") // newest first
	}
	if got := keep(); got != "open kept kept" {
		t.Fatalf("on the third day: %s", got)
	}
	// The incident is about the second day and later; its hold outlives it.
	s.clock.Set(noon.AddDate(0, 0, 2).Add(time.Hour))
	inc, err := s.OpenIncident(t.Context(), "", lena, incident.Open{Class: "unauthorized_access", Title: "a token was stolen"})
	if err != nil {
		t.Fatal(err)
	}
	s.give(lena, inc.Incident, incident.PlaceHold{What: "all access events", Basis: "litigation", Until: noon.AddDate(0, 0, 60)})
	s.clock.Set(noon.AddDate(0, 0, 40))
	if got := keep(); got != "held held removed" {
		t.Fatalf("after forty days: %s", got)
	}
	days, err := s.LogDays(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h := days.Days[1].Held; len(h) != 2 || h[0].Hold != "" || h[1].Hold != "HLD-1" || h[1].Basis != "litigation" {
		t.Fatalf("what keeps the second day: %+v", h)
	}
	if d := days.Days[2]; d.Fact == "" || d.Left || d.Basis == "" {
		t.Fatalf("the removed day: %+v", d)
	}
	_, err = s.ProveEvent(t.Context(), "d0", 0)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "the events of 2026-11-22 were removed on 2027-01-01 (fact "+days.Days[2].Fact+")") {
		t.Fatalf("a removed event: %v", err)
	}
	if _, err := s.ProveEvent(t.Context(), "d1", 0); err != nil {
		t.Fatalf("a held event: %v", err)
	}
	s.give(lena, inc.Incident, incident.Dismiss{Reason: "a test"})
	if got := keep(); got != "held held removed" {
		t.Fatalf("while the hold stands: %s", got)
	}
	s.clock.Set(noon.AddDate(0, 0, 61))
	// The process died after the fact of the second day: nothing of its data was removed yet.
	list, err := events.Days(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SubmitOrg(t.Context(), "", keeper, org.PruneEpoch{Day: list[1].Day, Stretches: stretches(list[1]), Keep: "30 days", Basis: "its time is over"}); err != nil {
		t.Fatal(err)
	}
	if days, err = s.LogDays(t.Context()); err != nil || !days.Days[1].Left {
		t.Fatalf("%+v, %v", days.Days[1], err)
	}
	state, err := s.Org(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := state.Version
	if got := keep(); got != "removed removed removed" {
		t.Fatalf("after the hold: %s", got)
	}
	if state, err = s.Org(t.Context()); err != nil || state.Version != before+1 {
		t.Fatalf("%d facts were recorded, %v", state.Version-before, err)
	}
	if _, err := keys.Lookup("epoch", "2026-11-23"); !errors.Is(err, keyring.ErrNotFound) {
		t.Fatalf("the key of a removed day: %v", err)
	}
}

// A day of which nothing has come into the log when it is over is closed then too: on the list of days it is
// not yet.
//
// promise: INV-3
func TestADayIsClosedAlsoWhenItsEventsComeIntoTheLogLate(t *testing.T) {
	s, events, _ := withDays(t, time.Hour, func(*Options) {}) // nothing is sealed unless somebody asks for it
	s.clock.Set(noon)
	body := fmt.Sprintf(`{"id":"e","time":%q,"actor":{"type":"service","id":"w"},"action":"read","merchant":"m_1"}`, noon.Format(time.RFC3339))
	if _, err := events.Ingest(t.Context(), accesslog.Source{Name: "app"}, "", "auto", strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if days, err := events.Days(t.Context()); err != nil || len(days) != 0 {
		t.Fatalf("before anything is sealed: %v, %v", days, err)
	}
	s.clock.Set(noon.AddDate(0, 0, 1))
	if err := s.closeDays(t.Context()); err != nil {
		t.Fatal(err)
	}
	days, err := s.LogDays(t.Context())
	if err != nil || len(days.Days) != 1 || days.Days[0].State != "kept" {
		t.Fatalf("on the next day: %+v, %v", days.Days, err)
	}
}
