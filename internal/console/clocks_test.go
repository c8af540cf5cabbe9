package console_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Every clock of every incident stands on one page, the most urgent first, with whom it concerns,
// what is missing and whose it is; what is not due stands below with the reason.
func TestAllClocksStandOnOnePage(t *testing.T) {
	b := signedIn(t, console.Options{})
	rows := b.desk.Running["INC-1"]
	rows[1].Law, rows[1].To, rows[1].Person, rows[1].Title = "eu-gdpr-authority", "214 merchants", "lena", "stolen token"
	page := b.get("/clocks").body
	for _, want := range []string{`<dt>Running</dt><dd>4</dd>`, "Customer accounts affected", "18,211", "law eu-gdpr-authority", "to <bdi>214 merchants", "held by Lena (lead)",
		"41 h 12 min", "Europe/Berlin", "personal_data is not decided", `href="/incidents/INC-1/do/answer?fact=personal_data"`, "1 duty is not due", "no personal data was read", `id="INC-1.tell_merchants"`, `href="/programme"`} {
		if !strings.Contains(strings.Join(strings.Fields(page), " "), want) && !strings.Contains(strings.ReplaceAll(strings.Join(strings.Fields(page), " "), "> ", ">"), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	order := []string{`id="programme.drill"`, `id="INC-1.contain"`, `id="INC-1.tell_merchants"`, `id="programme.reread"`}
	for i := 1; i < len(order); i++ {
		if strings.Index(page, order[i-1]) > strings.Index(page, order[i]) {
			t.Errorf("%s stands after %s", order[i-1], order[i])
		}
	}
	missed := b.get("/clocks?state=missed").body
	if strings.Contains(missed, `id="INC-1.tell_merchants"`) || !strings.Contains(missed, `id="INC-1.contain"`) || !strings.Contains(missed, `href="/clocks.csv?state=missed"`) {
		t.Error("the filter of the state does not choose")
	}
	if found := b.get("/clocks?q=GDPR").body; strings.Contains(found, `id="INC-1.contain"`) || !strings.Contains(found, `id="INC-1.tell_merchants"`) {
		t.Error("the filter of words does not choose")
	}
}

// The list pages, and the file has all of what the filter chose, with nothing a spreadsheet would run.
func TestClocksPageAndExport(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Running[desk.OrgChain] = nil
	var many []desk.ClockRow
	for i := range 230 {
		many = append(many, desk.ClockRow{Incident: "INC-1", Duty: fmt.Sprint("d", i), Say: "=1+1", State: incident.DutyRunning, Due: now.Add(time.Duration(i) * time.Minute)})
	}
	b.desk.Running["INC-1"] = many
	page := b.get("/clocks?q=inc-1&skip=100").body
	if strings.Count(page, `<li class="running"`) != 100 || !strings.Contains(page, "101 to 200 of 230") || !strings.Contains(page, `href="/clocks?q=inc-1&amp;skip=200"`) || !strings.Contains(page, `href="/clocks?q=inc-1"`) {
		t.Error("the second page is not the second hundred")
	}
	got := b.get("/clocks.csv?q=inc-1")
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	if err != nil || got.status != http.StatusOK || len(rows) != 231 || rows[1][3] != "'=1+1" {
		t.Errorf("%d rows, %v, %q", len(rows), err, rows[1])
	}
}

// The palette finds pages, incidents and rules, and what it lists is there.
func TestWhatIsFoundIsThere(t *testing.T) {
	b := signedIn(t, console.Options{})
	for query, want := range map[string]string{"": `href="/clocks"`, "inc-1 scope": `href="/incidents/INC-1/scope"`, "false alarm": `href="/incidents/INC-2"`, "72 hours": `href="/policy/rules#tell_merchants"`} {
		if page := b.get("/find?q=" + strings.ReplaceAll(query, " ", "+")).body; !strings.Contains(page, want) {
			t.Errorf("looking for %q does not find %s", query, want)
		}
	}
	if page := b.get("/find?q=zebra").body; !strings.Contains(page, "Nothing is called that") {
		t.Error("what is not there is found")
	}
}
