package desk

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/accesslog"
)

// Pages of the access log, put together, are every event once, the newest first, and a filter leaves
// out the others.
func TestPagesOfAccessesAreTheWholeLog(t *testing.T) {
	s := &Desk{}
	log, events, err := openEvents(t.TempDir(), theGround(t).keys, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(events.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	s.o.Events = events
	var lines strings.Builder
	for i := range 25 {
		fmt.Fprintf(&lines, `{"id":"e%02d","time":"%s","kind":"pii_access","actor":{"type":"service","id":"svc"},"credential":"tok_%d","action":"read","merchant":"m_1","outcome":"%s"}`+"\n",
			i, noon.UTC().Format("2006-01-02T15:04:05Z"), i%2, []string{"ok", "ok", "denied"}[i%3])
	}
	got, err := events.Ingest(t.Context(), accesslog.Source{Name: "shop", App: "pickandpack"}, "b1", "auto", strings.NewReader(lines.String()))
	if err != nil || got.Accepted != 25 {
		t.Fatal(got, err)
	}
	if _, _, err := events.Sealed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for credential, want := range map[string]int{"": 25, "tok_0": 13, "tok_1": 12, "tok_9": 0} {
		var ids []string
		for before := int64(0); ; {
			page, err := s.Accesses(t.Context(), AccessQuery{Credential: credential, Before: before, Limit: 4})
			if err != nil || len(page.Accesses) > 4 || len(ids) > 30 {
				t.Fatal(err, len(page.Accesses))
			}
			for _, a := range page.Accesses {
				if credential != "" && a.Credential != credential || len(ids) > 0 && a.ID >= ids[len(ids)-1] {
					t.Errorf("%s stands after %v", a.ID, ids)
				}
				ids = append(ids, a.ID)
			}
			if before = page.Next; before == 0 {
				break
			}
		}
		if len(ids) != want {
			t.Errorf("%q: %d events, want %d", credential, len(ids), want)
		}
	}
	denied, err := s.Accesses(t.Context(), AccessQuery{Outcome: "denied", Limit: 100})
	if err != nil || len(denied.Accesses) != 8 || denied.Accesses[0].ID != "e23" {
		t.Errorf("%d were denied: %v", len(denied.Accesses), err)
	}
	one, err := s.Access(t.Context(), "e07")
	if err != nil || one.Credential != "tok_1" || one.Source != "shop" || !one.Sealed {
		t.Errorf("%+v %v", one, err)
	}
}
