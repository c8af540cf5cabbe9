package attack

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver of the database that is tampered with

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/verify"
)

// tamper changes the database while the server is stopped, as somebody with a copy of nothing but
// a SQL shell can: without a key.
func (s *target) tamper(statements ...string) {
	s.t.Helper()
	s.stop()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "tocsin.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	for _, trigger := range []string{"facts_stay", "facts_keep", "facts_anchor_once", "parts_stay", "parts_keep"} {
		statements = append([]string{"DROP TRIGGER " + trigger}, statements...)
	}
	for _, statement := range append(statements, "DELETE FROM projections", "PRAGMA wal_checkpoint(TRUNCATE)") {
		if _, err := db.ExecContext(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
	s.start()
}

func (s *target) export(incident string) (status int, file []byte) {
	s.t.Helper()
	return s.raw("owner", "POST", "/v1/incidents/"+incident+"/export", "application/json", []byte(`{"recipient":"counsel"}`))
}

// Somebody who can change the database and has no key cannot change what an export proves: either
// nothing is exported, or the check finds it.
func TestWhatWasChangedInTheDatabaseIsNotExportedAsEvidence(t *testing.T) {
	const last = "(SELECT max(seq) FROM facts WHERE chain = 'INC-1')"
	cut := []string{
		"DELETE FROM parts WHERE seq IN (SELECT seq FROM facts WHERE chain = 'INC-1' ORDER BY n DESC LIMIT 2)",
		"DELETE FROM facts WHERE seq IN (SELECT seq FROM facts WHERE chain = 'INC-1' ORDER BY n DESC LIMIT 2)",
	}
	repaired := append(cut[:2:2], "UPDATE heads SET (n, id, hash) = (SELECT n, id, hash FROM facts WHERE chain = 'INC-1' ORDER BY n DESC LIMIT 1) WHERE chain = 'INC-1'")
	for name, statements := range map[string][]string{
		"the newest facts deleted":                       cut,
		"the newest facts deleted and the head set back": repaired,
		"a fact in the middle deleted":                   {"DELETE FROM parts WHERE seq = " + last + " - 1", "DELETE FROM facts WHERE seq = " + last + " - 1"},
		"a header altered":                               {"UPDATE facts SET header = replace(CAST(header AS TEXT), 'person:owner', 'person:other') WHERE seq = " + last},
		"a part emptied":                                 {"UPDATE parts SET sealed = zeroblob(80) WHERE seq = " + last},
		"parts of two facts swapped":                     {"UPDATE parts SET sealed = (SELECT sealed FROM parts p WHERE p.seq = " + last + " - 1) WHERE seq = " + last},
		"a part and its commitment taken from another":   {"UPDATE parts SET (commitment, sealed) = (SELECT commitment, sealed FROM parts p WHERE p.seq = " + last + " - 1) WHERE seq = " + last},
		"a part given to another merchant":               {"UPDATE parts SET merchant = 'm_2' WHERE seq = " + last},
		"a part removed":                                 {"DELETE FROM parts WHERE seq = " + last},
		"a fact said to be anchored elsewhere":           {"UPDATE facts SET anchor = 0 WHERE seq = " + last},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "")
			if id := s.open(); id != "INC-1" {
				t.Fatal(id)
			}
			for i := range 4 {
				s.must("responder", "POST", "/v1/incidents/INC-1/note", map[string]string{"text": fmt.Sprintf("what we saw, %d", i)}, nil)
			}
			status, before := s.export("INC-1")
			if status != http.StatusOK {
				t.Fatalf("export: %d %s", status, before)
			}
			if r, err := verify.Reader(bytes.NewReader(before), int64(len(before)), verify.Options{}); err != nil || !r.OK {
				t.Fatalf("before: %v %+v", err, r)
			}
			// A fact of another chain after it, so that the log's end is whole.
			s.invite("late", "viewer")
			s.tamper(statements...)
			status, after := s.export("INC-1")
			if status != http.StatusOK {
				return
			}
			r, err := verify.Reader(bytes.NewReader(after), int64(len(after)), verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.OK {
				t.Errorf("it was exported, and the check says %q of %d facts", r.Verdict, r.Facts)
			}
		})
	}
}

// A withheld part is told from one that never was, and an export by the owner of the real key that
// nobody has an earlier checkpoint for is not called verified.
func TestWithoutAnEarlierCheckpointTheVerdictSaysSo(t *testing.T) {
	s := serve(t, "")
	s.send(event(0, "tok", "m_1", nil))
	s.open()
	status, file := s.export("INC-1")
	if status != http.StatusOK {
		t.Fatalf("export: %d %s", status, file)
	}
	r, err := verify.Reader(bytes.NewReader(file), int64(len(file)), verify.Options{})
	if err != nil || !r.OK || r.Verdict != "internally consistent only" {
		t.Errorf("verdict %q, %v, %v", r.Verdict, r.Findings, err)
	}
	var points struct{ Facts, Events string }
	s.must("", "GET", "/v1/checkpoints", nil, &points)
	if status, file = s.export("INC-1"); status != http.StatusOK {
		t.Fatalf("export: %d %s", status, file)
	}
	for kept, want := range map[string]string{
		points.Facts:  "verified against example/facts",
		points.Events: "example/facts internally consistent only",
	} {
		r, err := verify.Reader(bytes.NewReader(file), int64(len(file)), verify.Options{Since: [][]byte{[]byte(kept)}})
		if err != nil || !r.OK || !strings.Contains(r.Verdict, want) {
			t.Errorf("verdict %q, want %q, %v, %v", r.Verdict, want, r.Findings, err)
		}
	}
}

// Also when so much was recorded since that nothing reads that part of the log any more.
func TestDeletedFactsAreMissedHoweverLongAgo(t *testing.T) {
	s := serve(t, "")
	s.open()
	s.must("responder", "POST", "/v1/incidents/INC-1/note", map[string]string{"text": "what we would rather not have said"}, nil)
	other := s.open()
	for range 600 { // past the API, which slows many commands down
		_, err := s.app.Desk().Submit(t.Context(), desk.Request{Incident: other, Command: incident.Note{Text: "life goes on"},
			Caller: desk.Caller{Principal: "person:responder", Access: incident.Responder}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if status, body := s.export(other); status != http.StatusOK { // everything is in the log
		t.Fatalf("export: %d %s", status, body)
	}
	s.tamper(
		"DELETE FROM parts WHERE seq = (SELECT max(seq) FROM facts WHERE chain = 'INC-1')",
		"DELETE FROM facts WHERE seq = (SELECT max(seq) FROM facts WHERE chain = 'INC-1')",
		"UPDATE heads SET (n, id, hash) = (SELECT n, id, hash FROM facts WHERE chain = 'INC-1' ORDER BY n DESC LIMIT 1) WHERE chain = 'INC-1'",
	)
	if status, file := s.export("INC-1"); status == http.StatusOK {
		r, err := verify.Reader(bytes.NewReader(file), int64(len(file)), verify.Options{})
		t.Errorf("a fact was deleted, the export is given and checked as %q, %v", r.Verdict, err)
	}
}
