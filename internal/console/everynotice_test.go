package console_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// The notices of all incidents in one list: filtered by state, kind, incident and recipients, in each order,
// as a file, and each with an address of its own and what is to be done about it.
//
// promise: NOT-1
func TestTheNoticesOfAllIncidentsAreOneList(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.States["INC-3"].Notices = []*incident.Notice{{ID: "NTC-1", Duty: "tell_merchants", Subject: "=SUM(A1)", State: incident.NoticeSent, DraftedBy: "person:omar", DraftedAt: now, Corrects: "NTC-0",
		Deliveries: map[string]*incident.Delivery{"m_9": {Recipient: "m_9", State: incident.DeliveryAccepted}}}}
	for query, want := range map[string]string{
		"":                                     "INC-3.NTC-1 INC-1.NTC-1 INC-1.NTC-2 INC-1.NTC-3",
		"?state=waiting":                       "INC-1.NTC-1 INC-1.NTC-2 INC-1.NTC-3",
		"?state=draft":                         "INC-1.NTC-2",
		"?kind=correction":                     "INC-3.NTC-1",
		"?kind=notice&incident=INC-1":          "INC-1.NTC-1 INC-1.NTC-2 INC-1.NTC-3",
		"?to=merchants.affected&state=sent":    "INC-3.NTC-1",
		"?to=nobody":                           "",
		"?q=ready":                             "INC-1.NTC-3",
		"?sort=needs":                          "INC-1.NTC-1 INC-1.NTC-2 INC-1.NTC-3 INC-3.NTC-1",
		"?sort=incident&incident=INC-3&q=OMAR": "INC-3.NTC-1",
	} {
		page := b.get("/notices" + query).body
		var got []string
		for _, part := range strings.Split(page, `<li id="`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			got = append(got, id)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s lists %v, want %s", query, got, want)
		}
		if want == "" && !strings.Contains(page, "No notice fits these choices") {
			t.Errorf("%s does not say that nothing fits", query)
		}
		rows, err := csv.NewReader(strings.NewReader(b.get("/notices.csv" + query).body)).ReadAll()
		if err != nil || len(rows) != len(got)+1 {
			t.Errorf("%s as a file has %d rows for %d notices: %v", query, len(rows), len(got), err)
		}
		var objects []string
		for line := range strings.Lines(b.get("/notices.ndjson" + query).body) {
			var one struct{ Incident, Notice string }
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Errorf("%s as JSON: %v: %s", query, err, line)
			}
			objects = append(objects, one.Incident+"."+one.Notice)
		}
		if strings.Join(objects, " ") != want {
			t.Errorf("%s as JSON lists %v, want %s", query, objects, want)
		}
	}
	page := b.get("/notices?incident=INC-1").body
	for _, link := range []string{`href="/notices?incident=INC-1#INC-1.NTC-1"`, `href="/incidents/INC-1/notices?notice=NTC-1#ledger"`, `href="/incidents/INC-1/notices?notice=NTC-3#send"`, "10 of 12 told", "to <bdi>affected merchants</bdi>", `href="/notices.csv?incident=INC-1"`} {
		if !strings.Contains(page, link) {
			t.Errorf("the list lacks %s", link)
		}
	}
	if file := b.get("/notices.csv?incident=INC-3").body; strings.Contains(file, ",=SUM") {
		t.Errorf("a spreadsheet would compute a subject: %s", file)
	}
	for id := range b.desk.States {
		b.desk.States[id].Notices = nil
	}
	if page := b.get("/notices").body; !strings.Contains(page, "Nobody has been written to yet") || !strings.Contains(page, `href="/clocks"`) {
		t.Error("an empty list does not say what to do")
	}
}

// Three hundred notices are pages of a hundred, and the filter stays on the way.
func TestNoticesByPages(t *testing.T) {
	b := signedIn(t, console.Options{})
	s := b.desk.States["INC-1"]
	s.Notices = nil
	for range 250 {
		s.Notices = append(s.Notices, &incident.Notice{ID: fmt.Sprint("NTC-", len(s.Notices)+1), Duty: "tell_merchants", Subject: "x", State: incident.NoticeDraft})
	}
	page := b.get("/notices?state=draft&skip=100").body
	for _, want := range []string{"101 to 200 of 250", `href="/notices?skip=200&amp;state=draft"`, `href="/notices?state=draft"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the second page lacks %q", want)
		}
	}
	if n := strings.Count(page, `<li id="INC-1.NTC-`); n != 100 {
		t.Errorf("a page shows %d", n)
	}
}

// The questions that are open are one form of the room, with one reason; what is not chosen is not answered,
// what somebody else decided meanwhile is not overwritten, and an answer can be changed.
func TestTheQuestionsAreAnsweredInTheRoom(t *testing.T) {
	b := signedIn(t, console.Options{})
	room := "/incidents/INC-1"
	if page := b.get(room).body; !strings.Contains(page, `name="answer.personal_data" value="true"`) || strings.Contains(page, `name="answer.personal_data" value="true" checked`) || strings.Index(page, `id="questions"`) > strings.Index(page, `id="clocks"`) {
		t.Error("the room does not ask what is open above the clocks, or answers for the reader")
	}
	if got := b.submit(room, room+"/do/answers", url.Values{"reason": {"because"}}); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Choose an answer to at least one question.") || !strings.Contains(got.body, ">because</textarea>") {
		t.Errorf("no answer: %d", got.status)
	}
	if got := b.submit(room, room+"/do/answers", url.Values{"key": {"k"}, "answer.personal_data": {"true"}, "reason": {"orders were read"}}); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	asked := b.desk.Asked()
	if len(asked) != 1 || asked[0].Command != (incident.Answer{Fact: "personal_data", Value: true, Reason: "orders were read"}) || !strings.HasSuffix(asked[0].ID, "/personal_data") {
		t.Fatalf("given: %+v", asked)
	}
	b.desk.States["INC-1"].Answers = map[string]*incident.AnswerOf{"personal_data": {Value: false, By: "person:omar", At: now, Why: "test data alone"}}
	got := b.submit(room+"/do/answers", room+"/do/answers", url.Values{"answer.personal_data": {"true"}, "reason": {"orders were read"}})
	if got.status != http.StatusConflict || !strings.Contains(got.body, "test data alone") || len(b.desk.Asked()) != 1 {
		t.Errorf("an answer of somebody else: %d, %d commands", got.status, len(b.desk.Asked()))
	}
	if page := b.get(room).body; !strings.Contains(page, `href="/incidents/INC-1/do/answer?fact=personal_data"`) || strings.Contains(page, `name="answer.personal_data"`) {
		t.Error("an answer cannot be changed from the room, or is asked for again")
	}
	b.desk.States["INC-1"].Answers = nil
	b.desk.Answer = func(desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: incident.ReasonNotOwed, Message: "only the lead answers this"}
	}
	if got := b.submit(room, room+"/do/answers", url.Values{"answer.personal_data": {"false"}, "reason": {"I looked"}}); got.status != http.StatusConflict || !strings.Contains(got.body, "only the lead answers this") ||
		!strings.Contains(got.body, `value="false" checked`) || !strings.Contains(got.body, ">I looked</textarea>") {
		t.Errorf("a refusal loses what was chosen: %d", got.status)
	}
}

// One button on each line of the room and of the timeline puts it on the timeline of the review; the line
// then leads to where it stands there.
//
// promise: REV-1
func TestALineIsPinnedToTheReview(t *testing.T) {
	for _, from := range []string{"/incidents/INC-1?order=story", "/incidents/INC-1/timeline"} {
		b := signedIn(t, console.Options{})
		page := b.get(from).body
		i := strings.Index(page, `name="line" value="`)
		if i < 0 {
			t.Fatalf("%s has no button on its lines", from)
		}
		value, _, _ := strings.Cut(page[i+len(`name="line" value="`):], `"`)
		value = strings.ReplaceAll(value, "&amp;", "&")
		line, err := url.ParseQuery(value)
		if err != nil || line.Get("of") == "" {
			t.Fatalf("%s: %q", from, value)
		}
		got := b.submit(from, "/incidents/INC-1/do/pick", url.Values{"key": {"k"}, "line": {value}, "back": {from}})
		if got.status != http.StatusSeeOther || got.header.Get("Location") != from+"#l-"+line.Get("of") {
			t.Fatalf("%s: %d to %s: %s", from, got.status, got.header.Get("Location"), got.body)
		}
		asked := b.desk.Asked()
		pick, ok := asked[0].Command.(incident.PickEntry)
		if !ok || len(asked) != 1 || pick.Of != line.Get("of") || pick.Text == "" || pick.At.IsZero() || pick.Show != incident.VersionInternal || !strings.HasSuffix(asked[0].ID, "/"+pick.Of) {
			t.Fatalf("%s gave %+v", from, asked)
		}
		if got := b.submit(from, "/incidents/INC-1/do/pick", url.Values{"line": {value}, "back": {"https://evil.example/"}}); got.header.Get("Location") != "/incidents/INC-1#l-"+pick.Of {
			t.Errorf("leads to %s", got.header.Get("Location"))
		}
		b.desk.States["INC-1"].Review.Entries = []incident.Picked{{ID: "TL-9", Of: pick.Of, Text: pick.Text, At: pick.At, Show: "internal"}}
		if page := b.get(from).body; !strings.Contains(page, `href="/incidents/INC-1/review#TL-9"`) {
			t.Errorf("%s does not say that the line is in the review", from)
		}
		if page := b.get("/incidents/INC-1/review").body; !strings.Contains(page, `<li id="TL-9">`) {
			t.Error("the review does not show what was pinned")
		}
		b.desk.Answer = func(desk.Request) (desk.Outcome, error) {
			return desk.Outcome{}, &incident.Refusal{Reason: incident.ReasonNotOwed, Message: "not now"}
		}
		if got := b.submit(from, "/incidents/INC-1/do/pick", url.Values{"line": {value}}); got.status != http.StatusConflict || !strings.Contains(got.body, pick.Of) {
			t.Errorf("refused: %d", got.status)
		}
	}
	viewer := looking(t, console.Options{})
	if strings.Contains(viewer.get("/incidents/INC-1").body, `name="line"`) {
		t.Error("who can only look is offered the button")
	}
}
