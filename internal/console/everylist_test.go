package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// The days of the access log are filtered, ordered, shown by pages and exported, and a day has an address.
func TestDaysOfTheLogAreFilteredPagedAndExported(t *testing.T) {
	b := signedIn(t, console.Options{})
	for i := range 150 {
		d := desk.LogDay{Day: now.AddDate(0, 0, -i).Format(time.DateOnly), State: "kept", Events: int64(1000 + i), Why: "its time is not over"}
		if i == 140 {
			d.State, d.Why = "held", "HLD-1 of INC-1"
		}
		b.desk.Days = append(b.desk.Days, d)
	}
	first := b.get("/evidence").body
	if strings.Count(first, `<tr id="day-`) != 60 || !strings.Contains(first, "1 to 60 of 150") || !strings.Contains(first, `href="/evidence?days=60#days"`) {
		t.Error("the first page has not the first 60 days of 150, or leads to no other")
	}
	last := b.get("/evidence?days=120").body
	if strings.Count(last, `<tr id="day-`) != 30 || !strings.Contains(last, "<details open>") {
		t.Error("the last page has not the last 30 days, or is folded away")
	}
	held := b.get("/evidence?state=held").body
	if strings.Count(held, `<tr id="day-`) != 1 || !strings.Contains(held, "HLD-1 of INC-1") {
		t.Error("the days that are held are not the one")
	}
	valid(t, "/evidence?state=held", held)
	day := b.desk.Days[140].Day
	if one := b.get("/evidence?day=" + day).body; strings.Count(one, `<tr id="day-`) != 1 || !strings.Contains(one, `href="/evidence?day=`+day+`#day-`+day+`"`) {
		t.Error("the address of a day does not show the day alone")
	}
	if got := table(t, b, "/evidence/days.csv?from="+b.desk.Days[9].Day+"&to="+b.desk.Days[5].Day+"&sort=oldest"); len(got) != 5 || got[0][0] != b.desk.Days[9].Day {
		t.Errorf("five days, the oldest first: %v", got)
	}
	if got := table(t, b, "/evidence/days.csv?sort=events"); len(got) != 150 || got[0][2] != "1149" {
		t.Errorf("all days, most events first: %d", len(got))
	}
	if none := b.get("/evidence?q=no-such").body; !strings.Contains(none, "No day fits these choices") {
		t.Error("no day fits, and the page does not say so")
	}
}

// The evidence of any incident can be exported, also of one that is too old to be suggested.
func TestTheEvidenceOfAnOldIncidentIsExportedByItsID(t *testing.T) {
	b := signedIn(t, console.Options{})
	for i := range 500 {
		b.desk.Rows = append(b.desk.Rows, desk.BoardRow{ID: fmt.Sprint("INC-", 1000+i), Title: "old", Status: incident.StatusClosed})
	}
	page := b.get("/evidence?incident=INC-1499").body
	if n := strings.Count(page, "<option value=\"INC-"); n == 0 || n > 200 || !strings.Contains(page, `value="INC-1499"`) || strings.Contains(page, `<option value="INC-1499"`) {
		t.Errorf("%d suggestions, or the one of the address is not filled in", n)
	}
	b.desk.ExportFile = filepath.Join(t.TempDir(), "x.tocsin")
	if err := os.WriteFile(b.desk.ExportFile, []byte("evidence"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := b.submit("/evidence", "/evidence/export", url.Values{"incident": {" INC-1499 "}, "recipient": {"the regulator"}, "key": {"k1"}})
	if got.status != http.StatusOK || got.body != "evidence" || !strings.Contains(got.header.Get("Content-Disposition"), `"INC-1499.tocsin"`) {
		t.Errorf("%d %q", got.status, got.header)
	}
}

// What the policy owes all the year round, what was done of it and the corrective actions are each filtered, paged and exported.
func TestTheProgrammeIsFilteredPagedAndExported(t *testing.T) {
	b := signedIn(t, console.Options{})
	for i := range 60 {
		b.desk.Yearly.Done = append(b.desk.Yearly.Done, incident.DoneOf{Duty: "drill", At: now.AddDate(0, 0, i-60), By: "person:lena", Note: fmt.Sprint("round ", i), Fact: fmt.Sprint("01F", i)})
	}
	s := b.desk.States["INC-1"]
	s.Review.Corrective = nil
	for i := range 30 {
		s.Review.Corrective = append(s.Review.Corrective, incident.Corrective{ID: fmt.Sprint("CA-", i+1), Text: fmt.Sprint("mend ", i), Owner: "person:lena", Due: now.AddDate(0, 0, i-1), State: incident.CorrectiveOpen})
	}
	page := b.get("/programme").body
	for _, want := range []string{"1 to 25 of 61", "1 to 25 of 30", `href="/programme?done=25#done"`, `href="/programme?correctives=25#correctives"`, `id="01F59"`, "round 59<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if older := b.get("/programme?done=50").body; !strings.Contains(older, "51 to 61 of 61") || strings.Contains(older, "round 59<") || !strings.Contains(older, "1 to 25 of 30") {
		t.Error("a later page of one list moves another, or is not the last eleven")
	}
	if one := b.get("/programme?q=01F59").body; !strings.Contains(one, "round 59<") || strings.Contains(one, "round 58<") || !strings.Contains(one, `href="/programme?q=01F59#01F59"`) {
		t.Error("the address of an act does not show the act alone")
	}
	late := b.get("/programme?state=overdue").body
	if !strings.Contains(late, "CA-1<") || strings.Contains(late, "CA-9<") || strings.Contains(late, "round 59<") {
		t.Error("what is overdue is not what is shown")
	}
	valid(t, "/programme?state=overdue", late)
	if got := table(t, b, "/correctives.csv?q=mend+29"); len(got) != 1 || got[0][1] != "CA-30" {
		t.Errorf("one corrective action: %v", got)
	}
	if got := table(t, b, "/programme.csv?state=done&sort=latest"); len(got) != 61 || !strings.Contains(got[60][8], "round 59") {
		t.Errorf("all that was done, the other way round: %d", len(got))
	}
}

// Erasures are filtered, ordered, paged and exported, and nobody who was named is in the file.
//
// promise: PRO-6
func TestErasuresAreFilteredPagedAndExported(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Erased = nil
	for i := range 130 {
		b.desk.Erased = append(b.desk.Erased, desk.ErasureRow{ID: fmt.Sprint("ERS-", i+1), Merchant: fmt.Sprint("m_", 200-i), Names: 1, At: now.Add(time.Duration(i) * time.Minute), By: "person:lena", Basis: "Art. 17 GDPR", Reason: fmt.Sprint("request ", i), Fact: fmt.Sprint("01E", i)})
	}
	first := b.get("/erasures").body
	if strings.Count(first, `<li id="ERS-`) != 100 || !strings.Contains(first, "1 to 100 of 130") || !strings.Contains(first, `href="/erasures?skip=100"`) {
		t.Error("the first page has not the newest hundred of 130")
	}
	if one := b.get("/erasures?erasure=ERS-7").body; strings.Count(one, `<li id="ERS-`) != 1 || !strings.Contains(one, `href="/erasures?erasure=ERS-7#ERS-7"`) {
		t.Error("the address of an erasure does not show it alone")
	}
	if got := table(t, b, "/erasures.csv?q=m_199&sort=oldest"); len(got) != 1 || got[0][0] != "ERS-2" || got[0][6] != "Art. 17 GDPR" {
		t.Errorf("of one merchant: %v", got)
	}
	if got := table(t, b, "/erasures.csv?sort=oldest"); len(got) != 130 || got[0][0] != "ERS-1" {
		t.Errorf("all, the oldest first: %d", len(got))
	}
	if none := b.get("/erasures?q=no-such").body; !strings.Contains(none, "No erasure fits these choices") {
		t.Error("no erasure fits, and the page does not say so")
	}
	if got := looking(t, console.Options{}).get("/erasures.csv"); got.status != http.StatusForbidden {
		t.Errorf("a viewer is given the file: %d", got.status)
	}
}

// The timeline shows what a phone can scroll through, and leads on; longer pages are chosen, and kept by the links.
func TestTheTimelineIsReadByPages(t *testing.T) {
	b := signedIn(t, console.Options{})
	for i := range 300 {
		b.desk.Lines["INC-1"] = append(b.desk.Lines["INC-1"], desk.TimelineLine{ID: fmt.Sprint("01Z", i), At: now, Text: fmt.Sprint("line ", i), Source: desk.SourceFact})
	}
	all := len(b.desk.Lines["INC-1"])
	seen := map[string]int{}
	at, pages := "/incidents/INC-1/timeline", 0
	for at != "" {
		body := b.get(at).body
		if n := strings.Count(body, `<li id="l-`); n > 50 {
			t.Fatalf("%s shows %d entries", at, n)
		}
		for part := range strings.SplitSeq(body, `<li id="l-`) {
			id, _, _ := strings.Cut(part, `"`)
			seen[id]++
		}
		if pages++; pages > 20 {
			t.Fatal("the pages have no end")
		}
		_, rest, more := strings.Cut(body, `<nav class="pager"`)
		_, next, on := strings.Cut(rest, `">Go on</a>`)
		at = ""
		if before, _, _ := strings.Cut(rest, `">Go on</a>`); more && on {
			_ = next
			at = strings.ReplaceAll(before[strings.LastIndex(before, `href="`)+6:], "&amp;", "&")
		}
	}
	if got := len(seen) - 1; got != all || pages != (all+49)/50 { // one part is what stands before the first entry
		t.Errorf("%d of %d entries on %d pages", got, all, pages)
	}
	long := b.get("/incidents/INC-1/timeline?rows=200").body
	if n := strings.Count(long, `<li id="l-`); n != 200 || !strings.Contains(long, "rows=200") {
		t.Errorf("a page of 200 has %d entries, or its links forget it", n)
	}
}

// Tokens and keys are filtered by whether they open their door, and shown by pages.
func TestTokensAreFilteredByStateAndPaged(t *testing.T) {
	b := signedIn(t, console.Options{})
	for i := range 70 {
		b.desk.Join(fmt.Sprint("p", i), fmt.Sprint("Person ", i), incident.Viewer)
	}
	page := b.get("/people").body
	if !strings.Contains(page, `href="/people?tokens=50#tokens"`) || !strings.Contains(page, `<option value="expired"`) {
		t.Error("the tokens are not shown by pages, or cannot be filtered")
	}
	valid(t, "/people", page)
	all, used := table(t, b, "/tokens.csv"), table(t, b, "/tokens.csv?bearer=in+use")
	revoked := table(t, b, "/tokens.csv?bearer=revoked")
	if len(used) == 0 || len(used)+len(revoked)+len(table(t, b, "/tokens.csv?bearer=expired")) != len(all) {
		t.Errorf("%d in use and %d revoked of %d", len(used), len(revoked), len(all))
	}
	// Not the one that this browser holds: it would be signed out.
	other := slices.IndexFunc(used, func(row []string) bool { return row[2] == "p7" })
	if other < 0 {
		t.Fatalf("no token of p7: %v", used[0])
	}
	id := used[other][1]
	if got := b.submit("/people/do/revoke-token?id="+id, "/people/do/revoke-token", url.Values{"id": {id}, "key": {"k1"}}); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := table(t, b, "/tokens.csv?bearer=revoked"); len(got) != len(revoked)+1 {
		t.Errorf("after one was revoked, %d are", len(got))
	}
}

// An owner of a corrective action is named as people know them, also when two have the same name.
func TestOwnersOfCorrectiveActionsAreNamed(t *testing.T) {
	b := signedIn(t, console.Options{})
	s := b.desk.States["INC-1"]
	s.Review.Corrective = []incident.Corrective{{ID: "CA-1", Text: "mend it", Owner: "person:abel", Due: now.AddDate(0, 0, 1), State: incident.CorrectiveOpen}}
	b.desk.Join("abel", "Zacharias Müller", incident.Responder)
	for _, path := range []string{"/incidents/INC-1/review", "/programme"} {
		if page := b.get(path).body; !strings.Contains(page, "<bdi>Zacharias Müller</bdi>") {
			t.Errorf("%s does not name the owner", path)
		}
	}
	b.desk.Join("zack", "Zacharias Müller", incident.Viewer)
	if page := b.get("/programme").body; !strings.Contains(page, "<bdi>Zacharias Müller (abel)</bdi>") {
		t.Error("of two people with one name it is not said who")
	}
}

// The doctor's findings on Settings are filtered and exported, and each has an address.
func TestFindingsAreFilteredAndExported(t *testing.T) {
	b := signedIn(t, console.Options{Hour: findings{}})
	all := table(t, b, "/settings.csv")
	if len(all) != 3 || all[0][0] != "mail.relay" || all[0][4] != "NOT-1 NOT-2" {
		t.Errorf("all: %v", all)
	}
	page := b.get("/settings?state=fail").body
	if !strings.Contains(page, `id="mail.relay"`) || strings.Contains(page, `id="clock"`) || !strings.Contains(page, `href="/settings?finding=mail.relay#mail.relay"`) || !strings.Contains(page, `<dd>3</dd>`) && !strings.Contains(page, `href="/settings.csv?state=fail"`) {
		t.Error("what fails is not what is shown, or has no address")
	}
	valid(t, "/settings?state=fail", page)
	if one := b.get("/settings?finding=clock").body; strings.Contains(one, `id="mail.relay"`) || !strings.Contains(one, `id="clock"`) {
		t.Error("the address of a finding does not show it alone")
	}
	if none := b.get("/settings?q=no-such").body; !strings.Contains(none, "No finding fits these choices") {
		t.Error("no finding fits, and the page does not say so")
	}
}

// findings is an installation of which something is amiss.
type findings struct{ firstHour }

func (findings) Checkup(context.Context) (doctor.Report, error) {
	return doctor.Report{Findings: []doctor.Finding{{ID: "mail.relay", State: doctor.Fail, Say: "The relay does not answer.", Do: "start it", Promises: []string{"NOT-1", "NOT-2"}},
		{ID: "clock", State: doctor.Warn, Say: "The clock is not kept.", Do: "keep it", Promises: []string{}}, {ID: "policy.text", State: doctor.OK, Say: "The page is whole.", Promises: []string{}}}}, nil
}

// Everybody who is not signed in is led to what is public, and finds the file of RFC 9116 also where it once was.
func TestStrangersAreLedToWhatIsPublic(t *testing.T) {
	b, _ := open(t, console.Options{PublicURL: "https://ir.example.com"})
	for _, path := range []string{"/status", "/report", "/policy"} {
		page := b.get(path).body
		nav, _, _ := strings.Cut(page[strings.Index(page, "<nav"):], "</nav>")
		for _, want := range []string{`href="/policy"`, `href="/status"`, `href="/report"`} {
			if !strings.Contains(nav, want) {
				t.Errorf("%s does not lead to %s", path, want)
			}
		}
		if strings.Contains(nav, `href="/"`) {
			t.Errorf("%s leads a stranger to the board", path)
		}
	}
	if got := b.get("/security.txt"); got.status != http.StatusMovedPermanently || got.header.Get("Location") != "/.well-known/security.txt" {
		t.Errorf("%d %s", got.status, got.header.Get("Location"))
	}
}

// What is settled is filtered as one kind, closed and dismissed alike, and found in the palette with its doors.
func TestSettledIncidentsAreFilteredAndFound(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Rows = append(b.desk.Rows, desk.BoardRow{ID: "INC-90", Title: "over", Status: incident.StatusClosed}, desk.BoardRow{ID: "INC-91", Title: "nothing", Status: incident.StatusDismissed})
	got := table(t, b, "/incidents.csv?state=settled")
	if len(got) != 3 || got[1][0] != "INC-90" || got[2][0] != "INC-91" { // beside the one that the fixture dismissed
		t.Errorf("settled: %v", got)
	}
	if page := b.get("/settled").body; !strings.Contains(page, `href="/incidents.csv?state=settled"`) {
		t.Error("the settled ones lead to no file")
	}
	for query, want := range map[string]string{"INC-90 review": "/incidents/INC-90/review", "INC-1 timeline": "/incidents/INC-1/timeline", "erasures": "/erasures", "probes": "/probes", "security.txt": "/.well-known/security.txt", "approved files": "/integrity"} {
		if page := b.get("/find?q=" + url.QueryEscape(query)).body; !strings.Contains(page, `<a href="`+want+`"`) {
			t.Errorf("%q does not find %s", query, want)
		}
	}
}
