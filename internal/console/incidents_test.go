package console_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Every incident stands in one list that is filtered, ordered, paged and given out as a file.
func TestIncidentsAreFilteredOrderedPagedAndExported(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Rows = nil
	for i := range 230 {
		row := desk.BoardRow{ID: "INC-" + string(rune('A'+i/26)) + string(rune('A'+i%26)), Title: "=cmd " + hostile, Class: "unauthorised_access", Severity: "low", Status: "closed", Opened: now.Add(-time.Duration(i) * time.Hour)}
		switch {
		case i == 7:
			row.Status, row.Severity, row.Title, row.Lead = "open", "critical", "the one", "Lena"
		case i%2 == 0:
			row.Status = "dismissed"
		}
		b.desk.Rows = append(b.desk.Rows, row)
	}
	ids := func(path string) []string {
		t.Helper()
		got := b.get(path)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d", path, got.status)
		}
		rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, row := range rows[1:] {
			out = append(out, row[0])
			if strings.HasPrefix(row[1], "=") {
				t.Error("a spreadsheet takes a title for a formula")
			}
		}
		return out
	}
	if got := ids("/incidents.csv"); len(got) != 230 || got[0] != "INC-AH" {
		t.Errorf("all: %d, first %v", len(got), got[:1])
	}
	if got := ids("/incidents.csv?sort=oldest"); got[0] != "INC-IV" {
		t.Errorf("the oldest is %s", got[0])
	}
	if got := ids("/incidents.csv?sort=severity&state=open"); len(got) != 1 {
		t.Errorf("open: %v", got)
	}
	if got := ids("/incidents.csv?state=dismissed&q=no-such"); len(got) != 0 {
		t.Errorf("words: %v", got)
	}
	lines := strings.Split(strings.TrimSpace(b.get("/incidents.ndjson?q=lena").body), "\n")
	var row desk.BoardRow
	if err := json.Unmarshal([]byte(lines[0]), &row); err != nil || len(lines) != 1 || row.Title != "the one" {
		t.Errorf("as lines: %v %v", lines, err)
	}
	first, last := b.get("/incidents?state=dismissed"), b.get("/incidents?state=dismissed&skip=100")
	if strings.Count(first.body, `<li id="INC-`) != 100 || !strings.Contains(first.body, `href="/incidents?skip=100&amp;state=dismissed"`) || strings.Count(last.body, `<li id="INC-`) != 15 {
		t.Errorf("pages: %d and %d", strings.Count(first.body, `<li id="INC-`), strings.Count(last.body, `<li id="INC-`))
	}
	if at := `href="/incidents?incident=INC-HV#INC-HV"`; !strings.Contains(b.get("/incidents?sort=opened&skip=200").body, at) {
		t.Errorf("the line of INC-HV does not lead to %s", at)
	}
	if one := b.get("/incidents?incident=INC-HV").body; strings.Count(one, `<li id="INC-`) != 1 || !strings.Contains(one, `<li id="INC-HV"`) {
		t.Error("the address of a line does not show it")
	}
	if got := b.get("/programme.csv"); got.status != http.StatusOK || !strings.HasPrefix(got.body, "what,duty") {
		t.Errorf("the programme: %d %s", got.status, got.body)
	}
}

// Who opens an incident by hand says how it came to light and when it was noticed; the time of opening
// is corrected by the command that keeps both.
func TestOpeningByHandTellsHowAndWhenItCameToLight(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.States["INC-9"] = b.desk.States["INC-1"]
	form := url.Values{"class": {"unauthorised_access"}, "title": {"orders of another shop"}, "source": {"a merchant's mail"}, "detected": {"2026-11-22T03:10"}, "key": {"key-1"}}
	got := b.submit("/open", "/open", form)
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/incidents/INC-9" {
		t.Fatalf("%d %s", got.status, got.header.Get("Location"))
	}
	asked := b.desk.Asked()
	opened, _ := asked[len(asked)-2].Command.(incident.Open)
	if opened.Summary != "It came to light by: a merchant's mail" {
		t.Errorf("%+v", opened)
	}
	want := incident.Correct{Milestone: "detected", At: time.Date(2026, 11, 22, 2, 10, 0, 0, time.UTC), Reason: "noticed before the incident was opened, by: a merchant's mail"}
	if last := asked[len(asked)-1]; last.Command != incident.Command(want) || last.Incident != "INC-9" {
		t.Errorf("asked %+v", last)
	}
	b.desk.Answer = func(desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: "x", Message: "no"}
	}
	form.Set("key", "key-2")
	if got := b.submit("/open", "/open", form); !strings.HasPrefix(got.header.Get("Location"), "/incidents/INC-9/do/correct?milestone=detected") {
		t.Errorf("a refusal leads to %s", got.header.Get("Location"))
	}
}
