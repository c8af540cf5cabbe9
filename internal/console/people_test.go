package console_test

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// drilled is an installation that has played drills.
type drilled struct{ firstHour }

func (drilled) Drills() ([]played.Run, error) {
	return []played.Run{
		{At: now, Card: played.Card{Policy: "p", Scenario: "insider", OK: true, Promises: []played.Promise{{ID: "NOT-1", Got: "kept", Reason: "=1+1"}}}},
		{At: now.AddDate(0, 0, -1), Card: played.Card{Policy: "p", Scenario: "stolen-token"}},
		{At: now.AddDate(0, 0, -2), Card: played.Card{Policy: "p", Scenario: "stolen-token"}, Failed: "no room"},
	}, nil
}

// table reads a file of the console.
func table(t *testing.T, b *browser, path string) [][]string {
	t.Helper()
	got := b.get(path)
	if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("%s: %d", path, got.status)
	}
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

func TestPeopleAndTokensAreFilteredOrderedAndExported(t *testing.T) {
	b := signedIn(t, console.Options{Hour: drilled{}})
	b.desk.Join("vera", "Vera", incident.Viewer)
	b.desk.Join("abel", "Zacharias", incident.Responder)
	all := table(t, b, "/people.csv")
	if len(all) < 3 || all[0][0] != "abel" {
		t.Errorf("all: %v", all)
	}
	if got := table(t, b, "/people.csv?sort=name"); got[len(got)-1][0] != "abel" {
		t.Errorf("by name: %v", got)
	}
	if got := table(t, b, "/people.csv?q=viewer&state=joined"); len(got) != 1 || got[0][0] != "vera" {
		t.Errorf("viewers: %v", got)
	}
	page := b.get("/people?person=vera").body
	if strings.Count(page, `id="person-`) != 1 || !strings.Contains(page, `href="/people?person=vera#person-vera"`) {
		t.Error("the address of a person does not show the person alone")
	}
	valid(t, "/people?person=vera", page)
	if none := b.get("/people?q=no-such"); !strings.Contains(none.body, "Nobody fits these choices") || !strings.Contains(none.body, "Tokens of people: none that fits.") {
		t.Error("nobody fits, and the page does not say so")
	}
	if got := table(t, b, "/tokens.csv?q=vera"); len(got) != 1 || got[0][2] != "vera" {
		t.Errorf("tokens of Vera: %v", got)
	}
	mine := looking(t, console.Options{})
	for _, row := range table(t, mine, "/tokens.csv") {
		if row[2] != "vera" {
			t.Errorf("a viewer is given the row %v", row)
		}
	}
}

func TestDrillsAreFilteredOrderedAndExported(t *testing.T) {
	b := signedIn(t, console.Options{Hour: drilled{}})
	if got := table(t, b, "/drills.csv"); len(got) != 3 || got[0][3] != "insider" || got[0][5] != "NOT-1" || strings.HasPrefix(got[0][8], "=") {
		t.Errorf("all: %v", got)
	}
	if got := table(t, b, "/drills.csv?sort=oldest&q=stolen"); len(got) != 2 || got[0][4] != "not played" {
		t.Errorf("the oldest with a stolen token: %v", got)
	}
	for state, want := range map[string]string{"expected": "insider", "other": "not as expected", "none": "not played"} {
		if page := b.get("/drills?state=" + state).body; strings.Count(page, `<tr id="`) != 1 || !strings.Contains(page, want) {
			t.Errorf("%s: another number of drills, or not the one", state)
		}
	}
	none := b.get("/drills?q=no-such").body
	if !strings.Contains(none, "No drill fits these choices") {
		t.Error("no drill fits, and the page does not say so")
	}
	valid(t, "/drills?q=no-such", none)
}
