package console_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
)

// browser is somebody with cookies who does not follow redirects.
type browser struct {
	t    *testing.T
	desk *desktest.Desk
	url  string
	http *http.Client
}

type shown struct {
	status int
	header http.Header
	body   string
}

func open(t *testing.T, opt console.Options) (*browser, string) {
	t.Helper()
	d, token := desktest.New(now)
	fill(d)
	opt.Now = func() time.Time { return now }
	opt.Organisation = "PickAndPack"
	server := httptest.NewServer(console.New(d, opt))
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, desk: d, url: server.URL, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, token
}

// signedIn is open with the owner signed in.
func signedIn(t *testing.T, opt console.Options) *browser {
	b, token := open(t, opt)
	if got := b.post("/signin", url.Values{"token": {token}, "next": {"/"}}); got.status != http.StatusSeeOther {
		t.Fatalf("sign-in: %d %s", got.status, got.body)
	}
	return b
}

func (b *browser) send(method, path string, form url.Values, headers ...string) shown {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return shown{got.StatusCode, got.Header, string(text)}
}

func (b *browser) get(path string) shown { b.t.Helper(); return b.send("GET", path, nil) }
func (b *browser) post(path string, form url.Values) shown {
	b.t.Helper()
	return b.send("POST", path, form)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// submit fills in a form as its page shows it.
func (b *browser) submit(page, action string, form url.Values) shown {
	b.t.Helper()
	token := csrfField.FindStringSubmatch(b.get(page).body)
	if token == nil {
		b.t.Fatalf("%s has no form", page)
	}
	form.Set("csrf", token[1])
	return b.post(action, form)
}

// pages are all pages that a signed-in person can read.
var pages = []string{"/", "/open", "/suspect", "/incidents/INC-1", "/incidents/INC-1?order=story&source=fact", "/incidents/INC-1/scope", "/incidents/INC-1/scope?version=1", "/incidents/INC-1/scope?from=1&to=1", "/incidents/INC-1/timeline", "/incidents/INC-1/timeline?source=event&text=x",
	"/incidents/INC-1/notices", "/incidents/INC-1/notices?duty=tell_merchants", "/incidents/INC-1/notices?notice=NTC-1", "/incidents/INC-1/notices?notice=NTC-1&state=bounced",
	"/incidents/INC-1/notices?notice=NTC-2&party=m_1", "/incidents/INC-1/notices?notice=NTC-3",
	"/incidents/INC-1/do/confirm", "/incidents/INC-1/do/dismiss", "/incidents/INC-1/do/plan", "/incidents/INC-1/do/approve?action=ACT-2", "/incidents/INC-1/do/restore",
	"/incidents/INC-1/do/note", "/incidents/INC-1/do/close", "/incidents/INC-1/do/answer", "/incidents/INC-1/do/answer?fact=personal_data", "/incidents/INC-1/do/answers", "/incidents/INC-1/do/correct", "/incidents/INC-1/do/waive", "/incidents/INC-1/do/corrective", "/incidents/INC-1/do/switch",
	"/incidents/INC-1/do/hand-over", "/incidents/INC-1/do/accept-role", "/incidents/INC-1/do/unlink-signal", "/incidents/INC-1/do/attach", "/incidents/INC-1/do/hold", "/incidents/INC-1/do/release-hold", "/incidents/INC-1/do/merge", "/incidents/INC-1/do/split", "/incidents/INC-1/do/link-signal", "/incidents/INC-3", "/break-glass",
	"/incidents/INC-1/review", "/incidents/INC-1/review?version=client&text=line", "/incidents/INC-1/review/plan", "/incidents/INC-1/review/plan?version=client", "/incidents/INC-1/review/changes?from=1&to=0",
	"/incidents/INC-1/do/pick?entry=TL-1", "/incidents/INC-1/do/move-corrective?corrective=CA-1", "/incidents/INC-1/do/publish",
	"/clocks", "/clocks?q=tell&state=missed&sort=holder", "/notices", "/notices?state=waiting&kind=notice&to=merchants.affected&sort=needs", "/notices?q=nothing", "/find", "/find?q=INC", "/accesses", "/accesses?credential=tok_9f&from=2026-11-20T10%3A00", "/accesses/evt-1", "/accesses/evt-2", "/erasures", "/erasures?merchant=m_1", "/evidence", "/programme", "/incidents", "/settings", "/probes", "/integrity", "/integrity/theme", "/integrity/templates", "/incidents/INC-1/files", "/report", "/status", "/people", "/people/do/invite", "/drills", "/policy", "/policy/rules", "/policy/draft", "/join?code=abc", "/signin"}

// Each page is whole, escaped HTML: no element or attribute in it comes from anybody's text.
func TestPagesAreWellFormedAndEscaped(t *testing.T) {
	b := signedIn(t, console.Options{Env: "drill"})
	for _, path := range pages {
		got := b.get(path)
		if got.status != http.StatusOK {
			t.Errorf("%s: status %d", path, got.status)
			continue
		}
		doc, err := html.Parse(strings.NewReader(got.body))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		ids := map[string]bool{}
		headings, labels, fields := 0, map[string]bool{}, map[string]string{}
		for n := range doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			attr := map[string]string{}
			for _, a := range n.Attr {
				attr[a.Key] = a.Val
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
					t.Errorf("%s: %s has %s=%q", path, n.Data, a.Key, a.Val)
				}
			}
			if id := attr["id"]; id != "" {
				if ids[id] {
					t.Errorf("%s: two elements with the id %q", path, id)
				}
				ids[id] = true
			}
			switch n.Data {
			case "script":
				if attr["src"] == "" || n.FirstChild != nil {
					t.Errorf("%s: a script in the page", path)
				}
			case "img", "style", "iframe", "object":
				t.Errorf("%s: a %s in the page", path, n.Data)
			case "h1":
				headings++
			case "label":
				labels[attr["for"]] = true
			case "input", "select", "textarea":
				if t := attr["type"]; t != "hidden" && t != "checkbox" && t != "radio" && attr["aria-label"] == "" {
					fields[attr["id"]] = n.Data + " " + attr["name"]
				}
			}
		}
		if headings != 1 {
			t.Errorf("%s: %d headings of the first level", path, headings)
		}
		for id, what := range fields {
			if id == "" || !labels[id] {
				t.Errorf("%s: %s has no label", path, what)
			}
		}
		if !strings.Contains(got.body, "Drill — nobody outside is told") {
			t.Errorf("%s: no drill band", path)
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		b, _ := open(t, console.Options{Secure: secure})
		for _, path := range []string{"/", "/signin", "/policy", "/no/such/page", "/incidents/INC-1"} {
			h := b.get(path).header
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: CSP %q", path, csp)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", path, h)
			}
			if (h.Get("Strict-Transport-Security") != "") != secure {
				t.Errorf("%s: HSTS %q with TLS %v", path, h.Get("Strict-Transport-Security"), secure)
			}
		}
	}
}

func TestCookie(t *testing.T) {
	for name, secure := range map[string]bool{"tocsin": false, "__Host-tocsin": true} {
		b, token := open(t, console.Options{Secure: secure})
		got := b.post("/signin", url.Values{"token": {" " + token + "\n"}, "next": {"/incidents/INC-1"}})
		cookie := got.header.Get("Set-Cookie")
		if !strings.HasPrefix(cookie, name+"=") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") ||
			strings.Contains(cookie, "Domain") || strings.Contains(cookie, "; Secure") != secure || got.header.Get("Location") != "/incidents/INC-1" {
			t.Errorf("%s to %q", regexp.MustCompile(`tsc_token_\w+`).ReplaceAllString(cookie, "…"), got.header.Get("Location"))
		}
	}
}

func TestRedirectStaysOnTheSite(t *testing.T) {
	b, token := open(t, console.Options{})
	for _, next := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\r\nX: y", "evil", ""} {
		if got := b.post("/signin", url.Values{"token": {token}, "next": {next}}); got.header.Get("Location") != "/" {
			t.Errorf("%q leads to %q", next, got.header.Get("Location"))
		}
	}
}

// promise: PRO-4
func TestStrangersSeeOnlyPublicPages(t *testing.T) {
	b, _ := open(t, console.Options{})
	for _, path := range pages {
		got := b.get(path)
		public := path == "/policy" || path == "/policy/rules" || strings.HasPrefix(path, "/join") || path == "/signin" || path == "/report" || path == "/status"
		if public && got.status != http.StatusOK {
			t.Errorf("%s: %d", path, got.status)
		}
		if !public && (got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), "/signin?next=") || len(got.body) > 200) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/open", "/policy/draft", "/incidents/INC-1/do/note", "/incidents/INC-1/notices", "/incidents/INC-1/scope"} {
		if got := b.post(path, url.Values{"text": {"x"}}); got.status != http.StatusUnauthorized {
			t.Errorf("POST %s: %d", path, got.status)
		}
	}
	if got := b.post("/signin", url.Values{"token": {b.desk.MachineKey("switch", "", "a")}}); got.status != http.StatusForbidden {
		t.Errorf("a machine's key signs in: %d", got.status)
	}
	if n := len(b.desk.Asked()); n != 0 {
		t.Errorf("%d commands were given", n)
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	b := signedIn(t, console.Options{})
	form := url.Values{"text": {"forged"}}
	token := csrfField.FindStringSubmatch(b.get("/incidents/INC-1/do/note").body)[1]
	for name, got := range map[string]shown{
		"no token":         b.post("/incidents/INC-1/do/note", form),
		"a wrong token":    b.post("/incidents/INC-1/do/note", url.Values{"text": {"forged"}, "csrf": {"x"}}),
		"another site":     b.send("POST", "/incidents/INC-1/do/note", url.Values{"text": {"forged"}, "csrf": {token}}, "Sec-Fetch-Site", "cross-site"),
		"another origin":   b.send("POST", "/incidents/INC-1/do/note", url.Values{"text": {"forged"}, "csrf": {token}}, "Origin", "https://evil.example"),
		"a notice":         b.post("/incidents/INC-1/notices", url.Values{"do": {"send"}, "notice": {"NTC-3"}}),
		"a scope":          b.post("/incidents/INC-1/scope", url.Values{"do": {"record"}}),
		"an incident":      b.post("/open", url.Values{"title": {"forged"}}),
		"a foreign signin": b.send("POST", "/signin", url.Values{"token": {"x"}}, "Sec-Fetch-Site", "cross-site"),
	} {
		if got.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if n := len(b.desk.Asked()); n != 0 {
		t.Errorf("%d commands were given", n)
	}
	// A form from an earlier sign-in keeps what was written.
	if got := b.post("/incidents/INC-1/do/note", url.Values{"text": {"a long note"}, "csrf": {"old"}}); !strings.Contains(got.body, ">a long note</textarea>") || !strings.Contains(got.body, "Your text is kept") {
		t.Error("the text of an old form is lost")
	}
}

func TestNoteReachesTheDeskOnce(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := b.get("/incidents/INC-1").body
	token := csrfField.FindStringSubmatch(page)[1]
	key := regexp.MustCompile(`name="key" value="([^"]+)"`).FindStringSubmatch(page)[1]
	form := url.Values{"csrf": {token}, "key": {key}, "text": {"seen on the phone"}}
	for range 2 {
		if got := b.post("/incidents/INC-1/do/note", form); got.status != http.StatusSeeOther || got.header.Get("Location") != "/incidents/INC-1" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	asked := b.desk.Asked()
	if asked[0].ID == "" || asked[0].ID != asked[1].ID || asked[0].Command != (incident.Note{Text: "seen on the phone"}) || asked[0].Caller.Principal != "person:lena" {
		t.Errorf("%+v", asked)
	}
}

func TestRefusalListsWhatIsMissingWithLinksAndKeepsTheText(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Answer = func(desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: incident.RefusedGate, Message: "Restore is refused",
			Missing: []incident.Missing{{What: "the fix is not verified", Do: "verify it: tocsin incident verify-fix INC-1", Rule: "g_restore"}, {What: hostile, Do: hostile}}}
	}
	got := b.submit("/incidents/INC-1/do/restore", "/incidents/INC-1/do/restore", url.Values{"reason": {"the checkout answers " + hostile}})
	if got.status != http.StatusConflict {
		t.Fatalf("%d", got.status)
	}
	for _, want := range []string{"Restore is refused", `href="/incidents/INC-1/do/verify-fix"`, "tocsin incident verify-fix INC-1", `href="/policy/rules#g_restore"`, "gate_shut", "the checkout answers &lt;script&gt;"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// The button of an irreversible act repeats what it will do.
func TestIrreversibleActsShowTheirPlan(t *testing.T) {
	b := signedIn(t, console.Options{})
	for path, wants := range map[string][]string{
		"/incidents/INC-1/do/approve?action=ACT-2":        {"Approve ACT-2: revoke token credential ", "Revoke 214 tokens of acme-app", "stops sync for 214 merchants", "merchants sign in again"},
		"/incidents/INC-1/do/dismiss":                     {"Dismiss INC-1 as a false alarm", "Stops the clock: Tell 214 merchants"},
		"/incidents/INC-1/do/confirm":                     {"Starts the clock of tell merchants: 72h after confirmed"},
		"/incidents/INC-1/do/restore":                     {"The gate is closed", "the fix is not verified"},
		"/incidents/INC-1/notices?notice=NTC-3":           {"Send NTC-3 to 214 recipients", "cannot be called back"},
		"/incidents/INC-1/notices?notice=NTC-1":           {"m_3", "550", "Send again to m_3", "Send again to m_4"},
		"/incidents/INC-1/notices?notice=NTC-2&party=m_1": {"4 of your customers are concerned", "anna@example.com", "1 of 4 items written"},
	} {
		body := html.UnescapeString(b.get(path).body)
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
}

func TestClocksAreRelativeAndAbsoluteWithZone(t *testing.T) {
	b := signedIn(t, console.Options{})
	for _, path := range []string{"/", "/incidents/INC-1"} {
		body := b.get(path).body
		for _, want := range []string{"41 h 12 min", "Mon 23 Nov 21:57 Europe/Berlin", "Tell 214 merchants"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	body := b.get("/incidents/INC-1").body
	for _, want := range []string{"not due because no personal data was read", "waits for approval", "at least 214 merchants", "missing: the fix is not verified; check checkout has not passed; and 1 more", "10 of 12 told"} {
		if !strings.Contains(body, want) {
			t.Errorf("the room lacks %q", want)
		}
	}
}

func TestNoticeForms(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := "/incidents/INC-1/notices?duty=tell_merchants"
	if got := b.submit(page, "/incidents/INC-1/notices", url.Values{"do": {"draft"}, "duty": {"tell_merchants"}, "subject": {" S "}, "item.what_happened": {"one\r\ntwo"}, "item.what_data": {""}}); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, do := range []string{"approve", "send", "resend"} {
		form := url.Values{"do": {do}, "notice": {"NTC-1"}, "attest": {"yes"}, "party": {"m_3"}, "reason": {"asked by phone"}}
		if got := b.submit(page, "/incidents/INC-1/notices", form); got.status != http.StatusSeeOther {
			t.Fatalf("%s: %d", do, got.status)
		}
	}
	want := []string{
		"draft {Duty:tell_merchants Notice: Subject:S Content:map[what_data: what_happened:one\ntwo] Open:[] Corrects:}",
		"approve-notice {Notice:NTC-1 Attest:true}", "send {Notice:NTC-1}", "resend {Notice:NTC-1 Party:m_3 Reason:asked by phone}"}
	for i, r := range b.desk.Asked() {
		if got := r.Command.Name() + " " + plain(r.Command); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
	b.desk.Answer = func(desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: incident.RefusedContent, Message: "The notice says too little", Missing: []incident.Missing{{What: "what_data is empty"}}}
	}
	got := b.submit(page, "/incidents/INC-1/notices", url.Values{"do": {"draft"}, "duty": {"tell_merchants"}, "subject": {"kept subject"}, "item.what_happened": {"kept text"}})
	if !strings.Contains(got.body, ">kept text</textarea>") || !strings.Contains(got.body, `value="kept subject"`) || !strings.Contains(got.body, "what_data is empty") {
		t.Error("a refused draft loses its text")
	}
}

func plain(c incident.Command) string { return fmt.Sprintf("%+v", c) }

func TestScopeForm(t *testing.T) {
	b := signedIn(t, console.Options{})
	form := url.Values{"from": {"2026-11-22T04:00"}, "to": {"2026-11-22T05:00"}, "credential": {"tok_9f, tok_a1"}, "not_ip": {"198.51.100.7"}, "not_agent": {"PickAndPack/1.0 (a, b)"}, "reason": {"the stolen token"}, "do": {"compute"}}
	got := b.submit("/incidents/INC-1/scope", "/incidents/INC-1/scope", form)
	if got.status != http.StatusOK || !strings.Contains(got.body, "Record 1 merchant on INC-1") || !strings.Contains(got.body, "18,211 customer accounts") || len(b.desk.Asked()) != 0 {
		t.Errorf("computing: %d, asked %d", got.status, len(b.desk.Asked()))
	}
	form.Set("do", "compare")
	if got := b.submit("/incidents/INC-1/scope", "/incidents/INC-1/scope", form); got.status != http.StatusOK || !strings.Contains(got.body, "Beside what is usual") || !strings.Contains(got.body, "2 addresses: <bdi>203.0.113.9") {
		t.Errorf("comparing: %d %s", got.status, got.body)
	}
	form.Set("do", "record")
	if got := b.submit("/incidents/INC-1/scope", "/incidents/INC-1/scope", form); got.status != http.StatusSeeOther {
		t.Errorf("recording: %d %s", got.status, got.body)
	}
	// The page of a run says what the numbers rest on, draws them, and links to the accesses behind each.
	run := b.get("/incidents/INC-1/scope?run=run-1")
	for _, want := range []string{"sha256:" + strings.Repeat("ab", 32), "2 of 9", "US-CA", `<svg viewBox="0 0 600 120"`, `fill="url(#silent)"`, "The same as a table",
		`/accesses?merchant=m_1&amp;run=run-1&amp;store=s_1"`, `/accesses?data_type=customer.email&amp;merchant=m_1&amp;run=run-1"`, "Accesses by 4 hours", `form=parquet"`, `value="tok_9f, tok_a1"`} {
		if !strings.Contains(run.body, want) {
			t.Errorf("the page of a run lacks %s", want)
		}
	}
	// Every dimension that a query has can be asked for here, and a query that was recorded comes back whole.
	wide := url.Values{"from": {"2026-11-22T04:00"}, "to": {"2026-11-22T05:00"}, "action": {"export, list"}, "not_actor": {"worker-3"}, "do": {"compute"}}
	if got := b.submit("/incidents/INC-1/scope", "/incidents/INC-1/scope", wide); got.status != http.StatusOK || !strings.Contains(got.body, `value="export, list"`) || !strings.Contains(got.body, `value="worker-3"`) {
		t.Errorf("by action, and not by actor: %d %s", got.status, got.body)
	}
	b.desk.Run.Query = scope.Query{From: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC),
		Any: []scope.Clause{{Action: []string{"export", "list"}}}, Not: []scope.Clause{{Actor: []string{"worker-3"}}}}
	if got := b.get("/incidents/INC-1/scope?run=run-1"); !strings.Contains(got.body, `value="export, list"`) || !strings.Contains(got.body, `value="worker-3"`) {
		t.Error("the form loses a part of the query")
	}
	if got := b.get("/incidents/INC-1/scope/file?run=run-1&form=csv"); got.status != http.StatusOK || !strings.Contains(got.body, "m_1,s_1,") {
		t.Errorf("as CSV: %d %s", got.status, got.body)
	}
	if got := b.get("/incidents/INC-1/scope/file?version=1&form=parquet"); got.status != http.StatusOK || !strings.HasPrefix(got.body, "PAR1") {
		t.Errorf("as Parquet: %d", got.status)
	}
	b.desk.Run.State, b.desk.Run.Result = desk.RunRunning, nil
	b.desk.Run.Outcome, b.desk.Run.Progress = nil, ask.Progress{What: "distinct customers", Done: 1, Of: 6, Unit: "steps"}
	if got := b.get("/incidents/INC-1/scope?run=run-1"); !strings.Contains(got.body, "distinct customers: step 2 of 6") || !strings.Contains(got.body, `<noscript><meta http-equiv="refresh" content="3"></noscript>`) || !strings.Contains(got.body, `data-hx-trigger="every 1s"`) {
		t.Errorf("a count under way: %s", got.body)
	}
	if got := b.submit("/incidents/INC-1/scope", "/incidents/INC-1/scope", url.Values{"do": {"cancel"}, "run": {"run-1"}}); got.status != http.StatusSeeOther {
		t.Errorf("stopping it: %d %s", got.status, got.body)
	}
	if got := b.get("/incidents/INC-1/scope?run=run-1"); !strings.Contains(got.body, "The count was stopped") || strings.Contains(got.body, "refresh") {
		t.Errorf("a count that was stopped: %s", got.body)
	}
	if got := b.get("/incidents/INC-1/scope?run=run-2"); got.status != http.StatusNotFound || !strings.Contains(got.body, "Compute it once more") {
		t.Errorf("a count that is forgotten: %d", got.status)
	}
	form.Set("from", "yesterday")
	if got := b.submit("/incidents/INC-1/scope", "/incidents/INC-1/scope", form); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "tok_9f, tok_a1") {
		t.Errorf("a wrong time: %d", got.status)
	}
}

func TestJoinUsesTheLinkOnlyByItsButton(t *testing.T) {
	b, _ := open(t, console.Options{})
	code := b.desk.Invite("eve", "Eve "+hostile, incident.Responder)
	for range 2 {
		if got := b.get("/join?code=" + code); got.status != http.StatusOK {
			t.Fatalf("%d", got.status)
		}
	}
	got := b.post("/join", url.Values{"code": {code}})
	if got.status != http.StatusOK || !strings.Contains(got.body, "tsc_token_") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if board := b.get("/"); board.status != http.StatusOK || strings.Contains(board.body, "tsc_token_") {
		t.Errorf("after joining: %d", board.status)
	}
	if again := b.post("/join", url.Values{"code": {code}}); again.status != http.StatusForbidden || !strings.Contains(again.body, "used already") {
		t.Errorf("a second use: %d", again.status)
	}
	if out := b.post("/signout", url.Values{}); out.status != http.StatusSeeOther || b.get("/").status != http.StatusSeeOther {
		t.Errorf("signing out: %d", out.status)
	}
}

func TestPolicyPagesArePublicAndSafe(t *testing.T) {
	b, _ := open(t, console.Options{})
	page := b.get("/policy").body
	if !strings.Contains(page, "<strong>72 hours</strong>") || strings.Contains(page, "<script>alert") || strings.Contains(page, `href="javascript:`) {
		t.Error("the policy page is not what its Markdown says, or holds raw HTML")
	}
	if md := b.get("/policy.md"); !strings.HasPrefix(md.header.Get("Content-Type"), "text/markdown") || !strings.Contains(md.body, "\n- two\n") {
		t.Errorf("%s", md.body)
	}
	rules := b.get("/policy/rules").body
	for _, want := range []string{"NOT-1", "tell_merchants", "72h after confirmed", "REC-1", "the fix is verified", "no rule keeps it yet", "ZZZ-1"} {
		if !strings.Contains(rules, want) {
			t.Errorf("the rules lack %q", want)
		}
	}
}

func TestErrorsArePagesThatShowNothingInternal(t *testing.T) {
	b := signedIn(t, console.Options{})
	for path, status := range map[string]int{"/no/such": 404, "/incidents/INC-404": 404, "/incidents/INC-1/do/tick": 404, "/incidents/INC-1/do/report-result": 404} {
		if got := b.get(path); got.status != status || !strings.Contains(got.body, "</html>") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	b.desk.Answer = func(desk.Request) (desk.Outcome, error) { return desk.Outcome{}, io.ErrUnexpectedEOF }
	got := b.submit("/incidents/INC-1/do/note", "/incidents/INC-1/do/note", url.Values{"text": {"kept"}})
	if got.status != 500 || strings.Contains(got.body, "EOF") || !strings.Contains(got.body, ">kept</textarea>") {
		t.Errorf("%d", got.status)
	}
	if got := b.submit("/incidents/INC-1/do/note", "/incidents/INC-1/do/note", url.Values{"text": {strings.Repeat("x", 2<<20)}}); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge form: %d", got.status)
	}
}

// Every command a person may give has its page.
func TestEveryCommandOfPeopleHasAPage(t *testing.T) {
	// Who breaks the glass of a private incident is not on its list, and to them no page of it exists.
	elsewhere := map[string]bool{"break-glass": true, "open": true, "draft": true, "approve-notice": true, "send": true, "resend": true}
	workers := map[string]bool{"record-scope": true, "record-export": true, "record-switch": true, "report-attempt": true, "report-result": true, "signal": true, "end-signal": true, "tick": true,
		"record-directory": true, "begin-programme": true, "event": true}
	b := signedIn(t, console.Options{})
	for _, name := range incident.CommandNames() {
		want := http.StatusOK
		if elsewhere[name] || workers[name] {
			want = http.StatusNotFound
		}
		if got := b.get("/incidents/INC-1/do/" + name); got.status != want {
			t.Errorf("%s: %d", name, got.status)
		}
	}
}
