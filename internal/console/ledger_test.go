package console_test

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/console"
)

func TestTheLedgerIsFilteredSortedAndExported(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.States["INC-1"].Notices[0].Deliveries["m_7"].Attempts = 9
	got := b.get("/incidents/INC-1/notices.csv?notice=NTC-1&sort=attempts")
	rows, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	if err != nil || got.status != http.StatusOK || len(rows) != 13 || rows[1][3] != "m_7" || rows[1][5] != "9" {
		t.Fatalf("%d %v %v", got.status, err, rows)
	}
	if got = b.get("/incidents/INC-1/notices.csv?notice=NTC-1&q=550"); strings.Count(got.body, "\n") != 2 || !strings.Contains(got.body, "m_3") {
		t.Fatalf("filtered: %s", got.body)
	}
	if got = b.get("/incidents/INC-1/notices.csv?notice=NTC-9"); got.status != http.StatusNotFound {
		t.Fatalf("%d", got.status)
	}
	page := b.get("/incidents/INC-1/notices?notice=NTC-1&q=m_1&sort=recipient").body
	ledger := page[strings.Index(page, `id="ledger"`):]
	if !strings.Contains(ledger, "<code>m_10</code>") || strings.Contains(ledger, "<code>m_2</code>") || !strings.Contains(ledger, "/incidents/INC-1/notices.csv?notice=NTC-1&amp;q=m_1&amp;sort=recipient") {
		t.Fatalf("the page shows %.2000s", ledger)
	}
}
