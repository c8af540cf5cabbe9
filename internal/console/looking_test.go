package console_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/played"
	"github.com/tocsin-ir/tocsin/ledger"
)

// The committed htmx is the published one, byte for byte.
func TestHtmxIsThePackage(t *testing.T) {
	for ours, theirs := range map[string]string{"static/htmx.min.js": "dist/htmx.min.js", "static/htmx.LICENSE.txt": "LICENSE"} {
		want, err := os.ReadFile("node_modules/htmx.org/" + theirs)
		if err != nil {
			absent(t, "htmx.org is not installed: npm ci --prefix internal/console")
		}
		got, err := os.ReadFile(ours)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from the package's %s: copy it again", ours, theirs)
		}
	}
}

// looking signs a reader in: a viewer, or the reader of a finished drill.
func looking(t *testing.T, opt console.Options) *browser {
	b, token := open(t, opt)
	if !opt.ReadOnly {
		token = b.desk.Join("vera", "Vera", incident.Viewer)
	}
	if got := b.post("/signin", url.Values{"token": {token}}); got.status != http.StatusSeeOther {
		t.Fatalf("sign-in: %d", got.status)
	}
	return b
}

// forActs are the pages that are there for nothing but an act.
var forActs = []string{"/open", "/integrity/", "/break-glass", "/erasures", "/policy/draft"}

// Who can only look sees no form and no link that would be refused, and reads why on every page. What they saw they
// may say, as everybody may.
func TestWhoOnlyLooksIsOfferedNothingElse(t *testing.T) {
	for why, opt := range map[string]console.Options{"your access is viewer": {}, "the record of a finished drill": {ReadOnly: true, Env: "drill"}} {
		b := looking(t, opt)
		for _, path := range pages {
			got := b.get(path)
			if strings.Contains(path, "/do/") || slices.ContainsFunc(forActs, func(p string) bool { return strings.HasPrefix(path, p) }) || path == "/suspect" && opt.ReadOnly {
				if got.status != http.StatusForbidden || strings.Contains(got.body, "<form method=\"post\" action=\"/inc") {
					t.Errorf("%s: %d for who only looks", path, got.status)
				}
				continue
			}
			if got.status != http.StatusOK {
				t.Errorf("%s: %d", path, got.status)
				continue
			}
			if !strings.HasPrefix(path, "/join") && path != "/signin" && !strings.Contains(got.body, why) {
				t.Errorf("%s does not say why nothing can be done", path)
			}
			doc, err := html.Parse(strings.NewReader(got.body))
			if err != nil {
				t.Fatal(err)
			}
			for n := range doc.Descendants() {
				action := attribute(n, "action")
				if n.Data == "form" && attribute(n, "method") == "post" && action != "/signout" && action != "/signin" && action != "/join" && (action != "/report" && action != "/suspect" || opt.ReadOnly) && !strings.HasSuffix(action, "/scope") {
					t.Errorf("%s offers the form %s", path, action)
				}
				if href := attribute(n, "href"); strings.Contains(href, "/do/") || href == "/open" {
					t.Errorf("%s leads to %s", path, href)
				}
				if n.Data == "button" && attribute(n, "value") == "record" {
					t.Errorf("%s offers to record a scope", path)
				}
			}
		}
		if n := len(b.desk.Asked()); n != 0 {
			t.Errorf("%d commands were given", n)
		}
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

var void = []string{"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

// shape writes what a parser makes of a page, one element a line with its depth.
func shape(n *html.Node, depth int, b *strings.Builder) {
	if n.Type == html.ElementNode {
		fmt.Fprintf(b, "%d %s\n", depth, n.Data)
		depth++
	}
	for c := range n.ChildNodes() {
		shape(c, depth, b)
	}
}

// written writes what the page says, one element a line with its depth. It fails where an end tag
// closes another element than the one that is open.
func written(t *testing.T, path, page string) string {
	t.Helper()
	var b strings.Builder
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF || len(open) > 0 {
				t.Errorf("%s: %v, still open: %v", path, z.Err(), open)
			}
			return b.String()
		case html.StartTagToken, html.SelfClosingTagToken:
			tag, _ := z.TagName()
			fmt.Fprintf(&b, "%d %s\n", len(open), tag)
			if !slices.Contains(void, string(tag)) {
				open = append(open, string(tag))
			}
		case html.EndTagToken:
			tag, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(tag) {
				t.Errorf("%s: </%s> while %v is open", path, tag, open)
				return b.String()
			}
			open = open[:len(open)-1]
		}
	}
}

// A browser has nothing to mend: what it builds is what was written. Every attribute is one that
// HTML knows, every label and description names a field that is there.
func TestPagesAreValid(t *testing.T) {
	b := signedIn(t, console.Options{Env: "drill", Ticking: true})
	for _, path := range append(pages, "/no/such", "/settled") {
		valid(t, path, b.get(path).body)
	}
}

// valid holds one page to it.
func valid(t *testing.T, path, page string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var built strings.Builder
	shape(doc, 0, &built)
	if got := written(t, path, page); got != built.String() {
		want := strings.Split(built.String(), "\n")
		for i, line := range strings.Split(got, "\n") {
			if i >= len(want) || line != want[i] {
				t.Errorf("%s: a browser builds another page from element %d on (%s)", path, i, line)
				break
			}
		}
	}
	ids := map[string]bool{}
	for n := range doc.Descendants() {
		if id := attribute(n, "id"); id != "" {
			if ids[id] || strings.ContainsAny(id, " \t\n") {
				t.Errorf("%s: the id %q is there twice or holds a space", path, id)
			}
			ids[id] = true
		}
	}
	for n := range doc.Descendants() {
		for _, name := range []string{"for", "aria-describedby", "aria-labelledby"} {
			if ref := attribute(n, name); ref != "" && !ids[ref] {
				t.Errorf("%s: %s=%q names nothing", path, name, ref)
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "hx-") || strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("%s: <%s> has the attribute %s", path, n.Data, a.Key)
			}
		}
		if n.Data == "ul" || n.Data == "ol" {
			if n.FirstChild == nil {
				t.Errorf("%s: an empty list", path)
			}
		}
	}
}

// A thousand incidents are shown by pages of a hundred, the sums are of all of them, and settled
// ones say how they ended.
func TestBoardByPages(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Rows = nil
	for i := range 250 {
		b.desk.Rows = append(b.desk.Rows, desk.BoardRow{ID: fmt.Sprint("INC-", i+1), Title: fmt.Sprint("number ", i+1), Status: incident.StatusOpen, Missed: 1})
	}
	done := desk.BoardRow{ID: "INC-900", Title: "an old one", Class: "data_breach", Severity: "critical", Status: incident.StatusClosed, People: 2992, Merchants: 187}
	done.Milestones = map[string]time.Time{"closed": now.Add(-90 * time.Minute)}
	b.desk.Rows = append(b.desk.Rows, done)
	first, last := b.get("/").body, b.get("/?skip=200").body
	for page, wants := range map[string][]string{
		first: {"number 1<", "number 100<", "1 to 100 of 250", `href="/?skip=100"`, "CRITICAL", "data breach · ", "187 merchants, 2,992 customer accounts", "1 h 30 min ago", "closed"},
		last:  {"number 201<", "number 250<", "201 to 250 of 250", `href="/?skip=100"`},
	} {
		for _, want := range wants {
			if !strings.Contains(strings.ReplaceAll(page, "critical", "CRITICAL"), want) {
				t.Errorf("the board lacks %q", want)
			}
		}
		if strings.Count(page, `class="incident"`) > 100 || !strings.Contains(page, "<dd>250</dd>") {
			t.Error("a page is too long, or its sums are its own")
		}
	}
	if got := b.get("/?skip=99999999999999999999"); got.status != http.StatusOK {
		t.Errorf("a page that is none: %d", got.status)
	}
}

func TestEmptyBoardNamesTheLastDrill(t *testing.T) {
	opt := console.Options{LastDrill: func() (played.Run, bool) {
		return played.Run{At: now.Add(-50 * time.Minute), Card: played.Card{OK: true, Promises: []played.Promise{{ID: "NOT-1", Got: "kept"}, {ID: "PRO-1", Got: "not_reached"}}}}, true
	}}
	for _, known := range []bool{true, false} {
		if !known {
			opt.LastDrill = nil
		}
		b := signedIn(t, opt)
		b.desk.Rows = nil
		page := b.get("/").body
		if strings.Contains(page, "50 min ago") != known || strings.Contains(page, "1 promise was kept, 1 not judged") != known || !strings.Contains(page, "tocsin drill") {
			t.Errorf("known %v: the empty board says otherwise", known)
		}
	}
}

// Each recipient can be chosen by name; a hostile name turns round nothing but itself.
func TestRecipientsHaveNames(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Known = []ledger.Merchant{{ID: "m_3", Name: "שוק \u202Eevil"}, {ID: "m_4", Name: "<b>Bold</b>"}}
	page := b.get("/incidents/INC-1/notices?notice=NTC-1").body
	for _, want := range []string{"m_3 — \u2068שוק evil\u2069", "<bdi>&lt;b&gt;Bold&lt;/b&gt;</bdi>", `<select id="party" name="party">`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// What stands in the way leads to the form that mends it, filled in.
func TestMissingItemsLeadToFilledInForms(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Shut["INC-1"] = []desk.GateRow{{Command: "restore", Missing: []incident.Missing{
		{What: "a", Do: "have it approved, or cancel it: tocsin incident approve INC-1 ACT-2 (Service returns when the cause is fixed.)"},
		{What: "b", Do: "write it: tocsin incident draft INC-1 tell_merchants"},
		{What: "c", Do: "give it: tocsin incident approve-notice INC-1 NTC-2 --attest"},
		{What: "d", Do: "assess it: tocsin incident assess INC-1 (or waive it: tocsin incident waive INC-1 assess --reason …)"},
		{What: "person:lena recorded it", Do: "contain it: tocsin incident contain INC-1 ACTION --reason …"},
		{What: "e", Do: "assign the role: tocsin incident assign INC-1 lead PERSON"},
		{What: "f", Do: "decide it: tocsin incident answer INC-1 personal_data"},
		{What: "g", Do: "compute the scope: tocsin scope --incident INC-1"},
	}}}
	page := b.get("/incidents/INC-1").body
	for _, want := range []string{"do/approve?action=ACT-2\"", "notices?duty=tell_merchants\"", "notices?notice=NTC-2\"", "do/waive?duty=assess\">or waive it</a>", "do/assess\">assess it</a>", "<span>Lena recorded it</span>", "do/plan\">contain it</a>", "do/assign?role=lead\"",
		"do/answer?fact=personal_data\"", "/incidents/INC-1/scope\"", "Service returns when the cause is fixed.", "<code class=\"wide\">tocsin incident approve INC-1 ACT-2</code>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the room lacks %q", want)
		}
	}
	if form := b.get("/incidents/INC-1/do/answer?fact=personal_data").body; !strings.Contains(form, `<option value="true">Yes</option>`) || !strings.Contains(form, `<option value="personal_data" selected>`) {
		t.Error("the question is not asked as yes or no")
	}
}

// Deliveries are left out of the timeline until they are asked for, and a line's link begins a page at it.
func TestTimelineChoicesStayInItsLinks(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := b.get("/incidents/INC-1").body
	if !strings.Contains(page, `href="/incidents/INC-1?from=01J00039#l-01J00039"`) || !strings.Contains(page, `id="l-01J00039"`) {
		t.Error("a line has no link that lasts")
	}
	if page := b.get("/incidents/INC-1?source=event&source=delivery").body; !strings.Contains(page, "source=event&amp;source=delivery#l-") || strings.Contains(page, `id="l-01J00039"`) {
		t.Error("the choice of sources is lost")
	}
	if page := b.get("/incidents/INC-1?from=01J00010").body; strings.Contains(page, "l-01J00011") || !strings.Contains(page, `id="l-01J00010"`) || strings.Contains(page, "every 10s") {
		t.Error("a page that begins at a line shows others, or moves under the reader")
	}
}

// A switch is turned from the room, and the room then shows it.
func TestSwitchIsTurnedFromTheRoom(t *testing.T) {
	b := signedIn(t, console.Options{})
	got := b.submit("/incidents/INC-1/do/switch", "/incidents/INC-1/do/switch", url.Values{"merchant": {" m_3 "}, "state": {"off"}, "reason": {"its orders are read"}})
	if got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, path := range []string{"/", "/incidents/INC-1"} {
		if page := b.get(path).body; !strings.Contains(page, "<code>m_3</code>") || !strings.Contains(page, "its orders are read") {
			t.Errorf("%s does not show the switch", path)
		}
	}
}

// Who planned an action is not sent to a signature that would be refused.
func TestThePlannerIsNotAskedToApprove(t *testing.T) {
	b := signedIn(t, console.Options{})
	if page := b.get("/incidents/INC-1").body; !strings.Contains(page, "/do/approve?action=ACT-2") {
		t.Error("another responder is not led to the approval")
	}
	b.desk.States["INC-1"].Actions[1].PlannedBy = "person:lena"
	if page := b.get("/incidents/INC-1").body; strings.Contains(page, "/do/approve?action=ACT-2") || !strings.Contains(page, "Somebody else has to approve it") {
		t.Error("the planner is led to an approval that would be refused")
	}
}

// A settled incident says of a role that nobody held it, and offers nobody for it.
func TestRolesOfASettledIncidentAreNotWaitedFor(t *testing.T) {
	b := signedIn(t, console.Options{})
	s := b.desk.States["INC-1"]
	s.Roles = nil
	if got := b.get("/incidents/INC-1").body; !strings.Contains(got, "nobody yet") || !strings.Contains(got, "Hand over") {
		t.Error("an open incident does not say that a role is free")
	}
	s.Status = incident.StatusClosed
	if got := b.get("/incidents/INC-1").body; strings.Contains(got, "nobody yet") || strings.Contains(got, "Hand over</a>") || !strings.Contains(got, "nobody held it") {
		t.Error("a closed incident waits for a role")
	}
}
