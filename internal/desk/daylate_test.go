package desk

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

// A day of which nothing has come into the log when it is over is closed then too: on the list of days it is
// not yet.
//
// promise: INV-3
func TestADayIsClosedAlsoWhenItsEventsComeIntoTheLogLate(t *testing.T) {
	dir := t.TempDir()
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	signer, err := keys.Signer(eventsOrigin)
	if err != nil {
		t.Fatal(err)
	}
	log, err := translog.Open(t.Context(), filepath.Join(dir, "log", "events"), signer, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s := newSite(t, func(*Options) {})
	// Nothing is sealed unless somebody asks for it.
	events, err := accesslog.Open(t.Context(), accesslog.Options{Dir: dir, Keys: keys, Log: log, Now: s.clock.Now, Env: "production", FlushAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	s.o.Events, s.o.EventLog, s.o.Prover = events, log, log
	if _, err := s.Found(t.Context()); err != nil {
		t.Fatal(err)
	}
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
